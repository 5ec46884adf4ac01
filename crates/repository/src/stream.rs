//! The raw tar stream of an archive, or some ranges of it, from whatever packs hold its frames.
//!
//! Nothing reaches the sink that is not the frame the manifest names. When the whole stream is read, it is held against the manifest's
//! digest, too.

use std::{io, ops::Range};

use futures::StreamExt;
use offsite_archive::{ArchiveName, FrameId, Manifest};

use crate::{FetchError, Index, Repository, RepositoryError, content::Content, fetch};

/// Requests under way while a stream is read.
pub(crate) const IN_FLIGHT: usize = 4;

/// The stream of an archive could not be given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The repository failed before the first frame.
    #[error("cannot find the frames of {archive}")]
    Repository {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: RepositoryError,
    },
    /// A frame could not be had.
    #[error("cannot read {archive}")]
    Fetch {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: FetchError,
    },
    /// The caller's sink refused the bytes.
    #[error("cannot write what was read of {archive}")]
    Sink {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The ranges asked for are not ascending or reach beyond the end.
    #[error("the range {start}..{end} of {archive} does not follow the one before or passes the end at {raw}")]
    Range {
        /// The archive.
        archive: ArchiveName,
        /// Where the range begins, in bytes of the raw stream.
        start: u64,
        /// Where it ends.
        end: u64,
        /// Where the stream ends.
        raw: u64,
    },
    /// The manifest gives a frame another raw length than it has.
    #[error("the manifest of {archive} says that frame {frame} has {expected} raw bytes, it has {found}")]
    Length {
        /// The archive.
        archive: ArchiveName,
        /// The frame.
        frame: FrameId,
        /// What the manifest says, in bytes.
        expected: u32,
        /// What it has, in bytes.
        found: u32,
    },
    /// All frames are good, yet together they are not the content that the manifest binds.
    #[error("the stream of {archive} has the digest {found}, its manifest says {expected}")]
    Digest {
        /// The archive.
        archive: ArchiveName,
        /// What the manifest says.
        expected: FrameId,
        /// What came out.
        found: FrameId,
    },
}

/// A part of a frame in an archive's raw stream.
#[derive(Debug)]
pub enum Slice<'a> {
    /// It was read.
    Bytes {
        /// Where it begins in the stream, in bytes.
        at: u64,
        /// It.
        bytes: &'a [u8],
    },
    /// It cannot be had from this repository, however often one asks.
    Lost {
        /// Where it lies in the stream, in bytes.
        range: Range<u64>,
        /// Why not.
        source: &'a FetchError,
    },
}

/// Gives `ranges` of the archive's raw tar stream to `sink`, in order and in pieces of at most one frame. Ranges are in bytes,
/// ascend and do not overlap; the whole archive is the one range `0..raw`.
///
/// # Errors
/// [`StreamError`]; what the sink was given before is good, but not all of it.
pub async fn read_ranges(
    repository: &Repository,
    manifest: &Manifest,
    ranges: &[Range<u64>],
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> Result<(), StreamError> {
    read(repository, manifest, ranges, false, &mut |slice| if let Slice::Bytes { bytes, .. } = slice { sink(bytes) } else { Ok(()) }).await
}

/// As [`read_ranges`], but frames that are lost ([`FetchError::is_lost`]) do not end it. Where there are such, nothing is held against the
/// digest of the whole.
///
/// # Errors
/// [`StreamError`], for all other reasons.
pub async fn read_what_is_left(
    repository: &Repository,
    manifest: &Manifest,
    ranges: &[Range<u64>],
    sink: &mut (dyn FnMut(Slice<'_>) -> io::Result<()> + Send),
) -> Result<(), StreamError> {
    read(repository, manifest, ranges, true, sink).await
}

async fn read(
    repository: &Repository,
    manifest: &Manifest,
    ranges: &[Range<u64>],
    go_around: bool,
    sink: &mut (dyn FnMut(Slice<'_>) -> io::Result<()> + Send),
) -> Result<(), StreamError> {
    let archive = || manifest.head.archive.clone();
    let raw = manifest.end.raw;
    check(ranges, raw).map_err(|range| StreamError::Range { archive: archive(), start: range.start, end: range.end, raw })?;
    let index = repository.index_of(manifest).await.map_err(|source| StreamError::Repository { archive: archive(), source })?;
    // Twice the same rather than a list of them: of a large archive that would be the largest thing in memory.
    let wanted = parts(manifest, ranges).map(|part| part.id);
    let mut frames = std::pin::pin!(fetch(repository, &index, wanted, IN_FLIGHT));
    let mut whole = matches!(ranges, [all] if *all == (0..raw));
    let mut content = Content::of(manifest);
    let mut sink = |slice: Slice<'_>| sink(slice).map_err(|source| StreamError::Sink { archive: archive(), source });
    for part in parts(manifest, ranges) {
        let Some(frame) = frames.next().await else { break };
        let frame = match frame {
            Ok(frame) => frame,
            Err(source) if go_around && source.is_lost() => {
                whole = false;
                for slice in part.slices {
                    sink(Slice::Lost { range: part.start + slice.start as u64..part.start + slice.end as u64, source: &source })?;
                }
                continue;
            }
            Err(source) => return Err(StreamError::Fetch { archive: archive(), source }),
        };
        if frame.location.raw != part.raw {
            let (frame, expected, found) = (part.id, part.raw, frame.location.raw);
            return Err(StreamError::Length { archive: archive(), frame, expected, found });
        }
        if whole {
            content.add(&frame.id, &frame.raw);
        }
        for slice in part.slices {
            sink(Slice::Bytes { at: part.start + slice.start as u64, bytes: &frame.raw[slice] })?;
        }
    }
    if whole { content.finish() } else { Ok(()) }
}

/// The bytes of `ranges` of the archive's raw stream whose frames `index` does not have.
pub fn not_held<'a>(
    manifest: &'a Manifest,
    ranges: &'a [Range<u64>],
    index: &'a Index,
) -> impl Iterator<Item = (FrameId, Range<u64>)> + 'a {
    let part = |part: Part| {
        let place = move |slice: Range<usize>| (part.id, part.start + slice.start as u64..part.start + slice.end as u64);
        part.slices.into_iter().map(place)
    };
    parts(manifest, ranges).filter(|part| !index.held(&part.id)).flat_map(part)
}

/// The first range that does not follow the one before or passes the end.
fn check(ranges: &[Range<u64>], raw: u64) -> Result<(), Range<u64>> {
    let mut last = 0;
    for range in ranges {
        if range.start < last || range.end < range.start || range.end > raw {
            return Err(range.clone());
        }
        last = range.end;
    }
    Ok(())
}

/// A frame, and which of its bytes are wanted.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    id: FrameId,
    /// Where it begins in the stream, in bytes.
    start: u64,
    raw: u32,
    slices: Vec<Range<usize>>,
}

/// The frames in which ascending `ranges` lie, each once.
fn parts<'a>(manifest: &'a Manifest, ranges: &'a [Range<u64>]) -> impl Iterator<Item = Part> + 'a {
    let mut begin = 0;
    let mut first = 0;
    manifest.frames.iter().filter_map(move |frame| {
        let start = begin;
        let end = start + u64::from(frame.raw);
        begin = end;
        // Ranges that end at or before this frame are done with; empty ones among them.
        while ranges.get(first).is_some_and(|range| range.end <= start) {
            first += 1;
        }
        let inside = ranges[first..].iter().take_while(|range| range.start < end).filter(|range| !range.is_empty());
        // Both differences are at most a frame's length.
        let slices: Vec<_> = inside.map(|range| (range.start.max(start) - start) as usize..(range.end.min(end) - start) as usize).collect();
        (!slices.is_empty()).then_some(Part { id: frame.id, start, raw: frame.raw, slices })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use offsite_archive::{Chunker, End, FrameRef, Head};

    /// Frames of 10, 20 and 30 raw bytes.
    fn manifest() -> Manifest {
        let frames = [10_u32, 20, 30].map(|raw| FrameRef { id: FrameId::of(&raw.to_le_bytes()), raw, len: raw });
        let chunker = Chunker { id: "files-1".into(), page: 1, text: [1; 3], data: [1; 3], bundle: [1; 2] };
        let name: offsite_archive::ArchiveName = "a/2026-11-22T040000Z".parse().unwrap();
        let finished = name.time();
        Manifest {
            head: Head { version: 1, archive: name, sequence: 1, host: String::new(), agent: String::new(), sources: vec![], chunker },
            frames: frames.to_vec(),
            end: End {
                entries: 0,
                frames: 3,
                raw: 60,
                bytes: 60,
                digest: FrameId::of(b""),
                finished,
                quiesced: vec![],
                warnings: vec![],
                complete: true,
            },
        }
    }

    fn of(ranges: &[Range<u64>]) -> Vec<(u32, Vec<Range<usize>>)> {
        parts(&manifest(), ranges).map(|part| (part.raw, part.slices)).collect()
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
    fn ranges_are_cut_at_frames() {
        assert_eq!(of(&[0..60]), [(10, vec![0..10]), (20, vec![0..20]), (30, vec![0..30])]);
        assert_eq!(of(&[5..35]), [(10, vec![5..10]), (20, vec![0..20]), (30, vec![0..5])]);
        assert_eq!(of(&[0..10]), [(10, vec![0..10])]);
        assert_eq!(of(&[10..11, 12..13, 29..31]), [(20, vec![0..1, 2..3, 19..20]), (30, vec![0..1])]);
        assert_eq!(of(&[59..60]), [(30, vec![29..30])]);
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[0..0, 5..5, 60..60]), []);
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges, clippy::single_range_in_vec_init, reason = "that is what is to be refused")]
    fn ranges_that_go_back_or_too_far_are_refused() {
        assert_eq!(check(&[0..10, 10..60], 60), Ok(()));
        assert_eq!(check(&[0..10, 9..60], 60), Err(9..60));
        assert_eq!(check(&[0..61], 60), Err(0..61));
        assert_eq!(check(&[7..6], 60), Err(7..6));
    }
}
