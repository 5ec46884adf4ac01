//! Frames that only other jobs' archives have: a source that names one must show it.
//!
//! Frames that are held do not move, so a source need not have them to name them. Whoever knows an id could so make another job's content
//! part of an archive of its own, and be given it with the next restore. What the job's own archives hold is its own already; what no
//! archive holds came by a transfer that was interrupted. Manifests of other jobs are only read where something is left to ask about.

use std::collections::HashSet;

use futures::StreamExt;
use offsite_archive::{ArchiveName, FrameId, FrameRef, Manifest};

use crate::{CopyError, FetchError, Index, Layout, Repository, RepositoryError, fetch, layout::manifest_name};

/// The frames of `manifest` that `to` holds for other jobs alone, in file order.
pub(crate) async fn foreign(to: &Repository, manifest: &Manifest, held: &Index) -> Result<Vec<FrameRef>, RepositoryError> {
    let mut open: HashSet<FrameId> = manifest.frames.iter().map(|frame| frame.id).filter(|id| held.held(id)).collect();
    let named = to.manifests().await?.into_iter().filter_map(|object| Some((manifest_name(&object.location)?, object.location)));
    let job = &manifest.head.archive.job;
    let (mut own, others): (Vec<_>, Vec<_>) = named.partition(|(name, _)| name.job == *job);
    // The newest has nearly all of them.
    own.sort_by(|a, b| b.0.cmp(&a.0));
    for (_, path) in own {
        if open.is_empty() {
            return Ok(Vec::new());
        }
        for frame in frames(to, &path).await? {
            open.remove(&frame.id);
        }
    }
    let mut foreign = HashSet::new();
    for (_, path) in others {
        if open.is_empty() {
            break;
        }
        foreign.extend(frames(to, &path).await?.iter().filter(|frame| open.remove(&frame.id)).map(|frame| frame.id));
    }
    Ok(manifest.frames.iter().filter(|frame| foreign.remove(&frame.id)).copied().collect())
}

/// The frames of one manifest; one that cannot be read explains nothing.
async fn frames(of: &Repository, path: &object_store::path::Path) -> Result<Vec<FrameRef>, RepositoryError> {
    match of.read_manifest(path).await {
        Ok(read) => Ok(read.map(|object| object.manifest.frames).unwrap_or_default()),
        Err(error) if error.is_damage() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Has `from` show these frames of `name`: each is fetched, decoded and hashed, and thrown away.
pub(crate) async fn show(
    from: &Repository,
    index: &Index,
    name: &ArchiveName,
    frames: &[FrameRef],
    in_flight: usize,
) -> Result<(), CopyError> {
    let wanted: Vec<FrameId> = frames.iter().map(|frame| frame.id).collect();
    let mut shown = std::pin::pin!(fetch(from, index, wanted, in_flight));
    while let Some(frame) = shown.next().await {
        frame.map_err(|source| match source {
            FetchError::Gone { .. } if from.layout() == Layout::Plain => CopyError::Gone { archive: name.clone() },
            source if source.is_damage() => CopyError::Foreign { archive: name.clone(), source },
            source => CopyError::Fetch { archive: name.clone(), source },
        })?;
    }
    Ok(())
}
