//! The one operation behind pull, push, heal and restore from a cloud: bring an archive into another repository.
//!
//! Only frames that the target lacks move; each is decoded and hashed before it is kept. Packs and their index objects come first, the
//! manifest, byte for byte the source's, last: the archive exists in the target when all of it does. Stopped at any point, what
//! lies in finished packs is held, and the next copy goes on behind it.

use std::collections::HashSet;

use bytes::Bytes;
use futures::StreamExt;
use offsite_archive::{ArchiveName, FrameId, FrameRef, Manifest};

use crate::{
    FetchError, Index, Layout, PackFacts, PackName, PackWriter, Progress, Repository, RepositoryError, WrittenPack, fetch, lack::delete,
};

/// How to copy.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// Requests under way at the source; each holds up to 4 MiB.
    pub in_flight: usize,
    /// Bytes of frames at which a pack is full. A pack lies in memory until it is put, and a cut link costs one.
    pub pack_target: u64,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { in_flight: 8, pack_target: 32 << 20 }
    }
}

/// What a copy did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Frames of the archive, each counted as often as it occurs.
    pub frames_total: u64,
    /// Frames that moved.
    pub frames_moved: u64,
    /// Encoded bytes of the archive.
    pub bytes_total: u64,
    /// Encoded bytes that moved.
    pub bytes_moved: u64,
    /// Bytes put into the target, before any sealing: packs, index objects, the manifest.
    pub bytes_written: u64,
    /// Packs written.
    pub packs: u32,
    /// The target had the archive before. If frames moved all the same, it was healed.
    pub already: bool,
}

impl Copied {
    /// Whether an archive that the target had before got frames back.
    pub fn healed(&self) -> bool {
        self.already && self.frames_moved > 0
    }
}

/// An archive could not be copied. Archives that were in the target before are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The target takes no frames.
    #[error("cannot copy {archive} into a repository of layout {layout}")]
    Layout {
        /// The archive.
        archive: ArchiveName,
        /// The target's layout.
        layout: Layout,
    },
    /// The source forgot the archive, before the copy or while it ran. That is its right.
    #[error("{archive} is gone from the source")]
    Gone {
        /// The archive.
        archive: ArchiveName,
    },
    /// The source's manifest or index cannot be had.
    #[error("cannot read what the source says of {archive}")]
    Source {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: RepositoryError,
    },
    /// The source says of a frame that the target holds what it is not.
    #[error("the source's manifest of {archive} gives frame {frame} a length of {says} bytes; it has {has}")]
    Lies {
        /// The archive.
        archive: ArchiveName,
        /// The frame.
        frame: FrameId,
        /// Its raw length as the manifest says, in bytes.
        says: u32,
        /// Its raw length, in bytes.
        has: u32,
    },
    /// A frame cannot be had.
    #[error("cannot fetch the frames of {archive}")]
    Fetch {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: FetchError,
    },
    /// The target has another archive of that name.
    #[error("the target holds another archive under the name {archive}; neither was changed")]
    Differs {
        /// The archive.
        archive: ArchiveName,
    },
    /// The target cannot be read or written.
    #[error("cannot keep {archive}")]
    Target {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: RepositoryError,
    },
}

/// Brings `name` from one repository into another. `held` is the target's index, read once for many copies; the copy adds what it
/// writes, also when it fails. Progress counts the encoded bytes that move.
///
/// # Errors
/// See [`CopyError`]. Good frames that arrived before an error stay in the target, so a second try is cheaper.
pub async fn copy(
    from: &Repository,
    to: &Repository,
    held: &mut Index,
    name: &ArchiveName,
    options: &CopyOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Copied, CopyError> {
    if to.layout() == Layout::Plain {
        return Err(CopyError::Layout { archive: name.clone(), layout: Layout::Plain });
    }
    let source_error = |source| match source {
        RepositoryError::NoSuchArchive { .. } => CopyError::Gone { archive: name.clone() },
        source => CopyError::Source { archive: name.clone(), source },
    };
    let target_error = |source| CopyError::Target { archive: name.clone(), source };

    let object = from.manifest(name).await.map_err(source_error)?;
    let there = state(to, name, &object.bytes).await.map_err(target_error)?;
    if matches!(there, There::Other) {
        return Err(CopyError::Differs { archive: name.clone() });
    }
    // Frames that move are compared with their length when they are decoded; those that are held, here.
    let has = |frame: &FrameRef| held.locate(&frame.id).map(|location| location.raw).filter(|raw| *raw != frame.raw);
    if let Some((frame, has)) = object.manifest.frames.iter().find_map(|frame| Some((frame, has(frame)?))) {
        return Err(CopyError::Lies { archive: name.clone(), frame: frame.id, says: frame.raw, has });
    }
    let lacking = lacking(&object.manifest, held);
    let mut copied = Copied {
        frames_total: object.manifest.frames.len() as u64,
        bytes_total: object.manifest.end.bytes,
        already: matches!(there, There::Same),
        ..Copied::default()
    };
    if !lacking.is_empty() {
        let index = from.index_of(&object.manifest).await.map_err(source_error)?;
        let mut moving = Moving { to, held, writer: PackWriter::new(options.pack_target), copied: &mut copied };
        let moved = moving.frames(from, &index, &lacking, name, options, progress).await;
        // Also after an error: what arrived is good, and the next try need not ask for it again.
        let flushed = moving.flush().await.map_err(target_error);
        moved?;
        flushed?;
    }
    if let There::Damaged(path) = &there {
        // The good manifest takes the damaged one's place. Between the two the archive does not exist, as it did not before.
        delete(to, path).await.map_err(target_error)?;
    }
    if !copied.already {
        to.put_manifest(name, object.bytes.clone()).await.map_err(target_error)?;
        copied.bytes_written += object.bytes.len() as u64;
    }
    Ok(copied)
}

/// What the target has under the name.
enum There {
    Nothing,
    Same,
    Other,
    Damaged(object_store::path::Path),
}

async fn state(to: &Repository, name: &ArchiveName, bytes: &Bytes) -> Result<There, RepositoryError> {
    match to.manifest(name).await {
        Ok(object) if object.bytes == *bytes => Ok(There::Same),
        Ok(_) => Ok(There::Other),
        Err(RepositoryError::NoSuchArchive { .. }) => Ok(There::Nothing),
        // Sealed manifests have no name in the clear; a damaged one there is nobody's, and does not come up here.
        Err(
            RepositoryError::Manifest { .. }
            | RepositoryError::Misnamed { .. }
            | RepositoryError::AbsurdFrame { .. }
            | RepositoryError::TooLarge { .. },
        ) => Ok(There::Damaged(crate::manifest_path(name))),
        Err(error) => Err(error),
    }
}

/// The frames of an archive that are not held, in file order, each once.
fn lacking(manifest: &Manifest, held: &Index) -> Vec<FrameRef> {
    let mut seen = HashSet::new();
    manifest.frames.iter().filter(|frame| !held.held(&frame.id) && seen.insert(frame.id)).copied().collect()
}

struct Moving<'a> {
    to: &'a Repository,
    held: &'a mut Index,
    writer: PackWriter,
    copied: &'a mut Copied,
}

impl Moving<'_> {
    async fn frames(
        &mut self,
        from: &Repository,
        index: &Index,
        lacking: &[FrameRef],
        name: &ArchiveName,
        options: &CopyOptions,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), CopyError> {
        let mut seen = Progress { done: 0, total: lacking.iter().map(|frame| u64::from(frame.len)).sum() };
        progress(seen);
        let wanted: Vec<_> = lacking.iter().map(|frame| frame.id).collect();
        let mut frames = std::pin::pin!(fetch(from, index, wanted, options.in_flight));
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(|source| match source {
                FetchError::Gone { .. } if from.layout() == Layout::Plain => CopyError::Gone { archive: name.clone() },
                source => CopyError::Fetch { archive: name.clone(), source },
            })?;
            self.writer.push(frame.id, frame.location.raw, &frame.encoded);
            self.copied.frames_moved += 1;
            self.copied.bytes_moved += frame.encoded.len() as u64;
            seen.done += frame.encoded.len() as u64;
            progress(seen);
            if self.writer.is_full() {
                self.flush().await.map_err(|source| CopyError::Target { archive: name.clone(), source })?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), RepositoryError> {
        let Some(WrittenPack { id, bytes, written, table }) = self.writer.write(self.to).await? else { return Ok(()) };
        self.held.add(PackFacts { name: PackName::Object(id), bytes }, &table);
        self.copied.packs += 1;
        self.copied.bytes_written += written;
        Ok(())
    }
}
