//! An archive as one plain `.tar.zst`, whatever the layout it is kept in.
//!
//! The frames are written as they are kept, then the tail. Where the repository keeps them as the agent encoded them, the file
//! equals the agent's byte for byte; where a frame was first met in another encoding, the bytes differ and the content does not,
//! because the seek table is made of the lengths that were really written.

use std::io::Write;

use futures::StreamExt;
use offsite_archive::{ArchiveName, FrameId, Manifest, write_tail};

use crate::{ManifestObject, Progress, Repository, StreamError, content::Content, fetch, stream::IN_FLIGHT};

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Number of frames.
    pub frames: u64,
    /// Length of the raw tar stream, in bytes.
    pub raw: u64,
    /// Length of the file, in bytes.
    pub bytes: u64,
    /// Whether the file is the agent's, byte for byte.
    pub verbatim: bool,
}

/// Writes the archive `name` to `out` as a plain `.tar.zst` with its tail. `progress` is told the raw bytes.
///
/// Every frame is decoded and hashed, and the whole is held against the manifest's digest before the tail is written. `out` is not flushed.
///
/// # Errors
/// [`StreamError`]; what was written by then is to be thrown away.
pub async fn export(
    repository: &Repository,
    name: &ArchiveName,
    out: &mut (impl Write + Send),
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Exported, StreamError> {
    let lost = |source| StreamError::Repository { archive: name.clone(), source };
    let ManifestObject { manifest, bytes: object } = repository.manifest(name).await.map_err(lost)?;
    let index = repository.index_of(&manifest).await.map_err(lost)?;
    let sink = |source| StreamError::Sink { archive: name.clone(), source };

    let mut exported = Exported { frames: 0, raw: 0, bytes: 0, verbatim: true };
    let mut content = Content::of(&manifest);
    let mut lens = Vec::with_capacity(manifest.frames.len());
    let wanted: Vec<FrameId> = manifest.frames.iter().map(|frame| frame.id).collect();
    let mut frames = std::pin::pin!(fetch(repository, &index, wanted, IN_FLIGHT));
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|source| StreamError::Fetch { archive: name.clone(), source })?;
        // The sums in the manifest are made of these lengths, and so is the seek table of the agent's file.
        if let Some(listed) = manifest.frames.get(lens.len()).filter(|listed| listed.raw != frame.location.raw) {
            let (expected, found) = (listed.raw, frame.location.raw);
            return Err(StreamError::Length { archive: name.clone(), frame: frame.id, expected, found });
        }
        content.add(&frame.id, &frame.raw);
        out.write_all(&frame.encoded).map_err(sink)?;
        lens.push((frame.location.len, frame.location.raw));
        exported.frames += 1;
        exported.raw += frame.raw.len() as u64;
        exported.bytes += frame.encoded.len() as u64;
        progress(Progress { done: exported.raw, total: manifest.end.raw });
    }
    content.finish()?;
    exported.verbatim = is_verbatim(&manifest, &lens);
    exported.bytes += write_tail(out, lens.into_iter(), &object).map_err(sink)?;
    Ok(exported)
}

/// By the lengths: another encoding of the same length is possible, yet zstd's versions do not differ that little.
fn is_verbatim(manifest: &Manifest, lens: &[(u32, u32)]) -> bool {
    manifest.frames.iter().map(|frame| (frame.len, frame.raw)).eq(lens.iter().copied())
}
