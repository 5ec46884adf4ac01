//! Frames by coalesced ranged reads, several in flight, each one decoded and hashed before anyone sees it.
//!
//! What to read is planned purely ([`plan_reads`]): frames that follow each other in a pack, with small gaps, become one request.
//! Requests run ahead of the consumer, frames come out in the order asked for, and they are decoded one at a time when they are
//! taken: a request of 4 MiB may hold gigabytes of zeros. So memory is `in_flight` requests and one raw frame.

use std::ops::Range;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use object_store::ObjectStoreExt;
use offsite_archive::FrameId;

use crate::{FetchError, Index, Location, PackFacts, PackName, Repository};

/// Bytes between two frames that are read and thrown away rather than asked around.
const GAP: u64 = 64 << 10;
/// Longest request, in bytes, unless one frame alone is longer.
const REQUEST: u64 = 4 << 20;

/// One ranged read, and the frames that it brings, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Which pack: its place in [`Index::packs`].
    pub pack: u32,
    /// What of it, in bytes.
    pub range: Range<u64>,
    /// The frames inside.
    pub frames: Vec<(FrameId, Location)>,
}

/// A frame that was fetched and is what its id says.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The frame.
    pub id: FrameId,
    /// Where it lay.
    pub location: Location,
    /// Its raw bytes.
    pub raw: Vec<u8>,
    /// Its zstd frame, exactly as it lay in the pack.
    pub encoded: Bytes,
}

/// Groups frames into reads, without changing their order: a read ends where the next frame lies in another pack, lies before the
/// last one, lies more than 64 KiB behind it, or would make the read longer than 4 MiB.
pub fn plan_reads(frames: impl IntoIterator<Item = (FrameId, Location)>) -> impl Iterator<Item = Read> {
    let mut frames = frames.into_iter().peekable();
    std::iter::from_fn(move || {
        let (id, first) = frames.next()?;
        let end = |location: &Location| location.offset.saturating_add(u64::from(location.len));
        let mut read = Read { pack: first.pack, range: first.offset..end(&first), frames: vec![(id, first)] };
        let fits = |read: &Read, next: &Location| {
            next.pack == read.pack
                && next.offset >= read.range.end
                && next.offset - read.range.end <= GAP
                && end(next) - read.range.start <= REQUEST
        };
        while let Some((id, next)) = frames.next_if(|(_, next)| fits(&read, next)) {
            read.range.end = end(&next);
            read.frames.push((id, next));
        }
        Some(read)
    })
}

/// The frames `wanted`, in that order, with up to `in_flight` requests under way. A frame wanted twice is fetched twice.
///
/// Each item is a frame or the reason why this one cannot be had. After damage ([`FetchError::is_damage`]) the stream goes on with
/// the next frame; after anything else its order is lost and it should be dropped.
pub fn fetch<'a>(
    repository: &'a Repository,
    index: &'a Index,
    wanted: impl IntoIterator<Item = FrameId, IntoIter: Send + 'a>,
    in_flight: usize,
) -> impl Stream<Item = Result<Fetched, FetchError>> + Send + 'a {
    fetch_located(repository, index.packs(), wanted.into_iter().map(|id| (id, index.locate(&id))), in_flight)
}

/// As [`fetch`], for frames whose place is known (or known not to be), in `packs`.
pub(crate) fn fetch_located<'a>(
    repository: &'a Repository,
    packs: &'a [PackFacts],
    wanted: impl IntoIterator<Item = (FrameId, Option<Location>), IntoIter: Send + 'a>,
    in_flight: usize,
) -> impl Stream<Item = Result<Fetched, FetchError>> + Send + 'a {
    // Frames that are not held are errors in their place, so they travel between the reads.
    let mut located = wanted.into_iter().peekable();
    let steps = std::iter::from_fn(move || {
        if let Some((id, _)) = located.next_if(|(_, location)| location.is_none()) {
            return Some(vec![Err(FetchError::Lacking { frame: id })]);
        }
        // Bounded, so that the plan of a large archive is not made at once.
        let mut run = Vec::new();
        while run.len() < 4096 {
            let Some((id, Some(location))) = located.next_if(|(_, location)| location.is_some()) else { break };
            run.push((id, location));
        }
        if run.is_empty() { None } else { Some(plan_reads(run).map(Ok).collect()) }
    });
    stream::iter(steps.flatten())
        .map(move |step| async move {
            match step {
                Ok(read) => read_frames(repository, packs, read).await,
                Err(error) => vec![Err(error)],
            }
        })
        .buffered(in_flight.max(1))
        .flat_map(stream::iter)
        .map(|frame| frame.and_then(decode))
}

/// A frame's bytes, not yet believed.
struct Encoded {
    id: FrameId,
    location: Location,
    object: PackName,
    encoded: Bytes,
}

fn decode(frame: Encoded) -> Result<Fetched, FetchError> {
    let Encoded { id, location, object, encoded } = frame;
    match offsite_archive::decode(&encoded, &id, location.raw) {
        Ok(raw) => Ok(Fetched { id, location, raw, encoded }),
        Err(source) => Err(FetchError::Damaged { frame: id, object: object.to_string(), source }),
    }
}

async fn read_frames(repository: &Repository, packs: &[PackFacts], read: Read) -> Vec<Result<Encoded, FetchError>> {
    let Some(facts) = packs.get(read.pack as usize) else {
        return read.frames.into_iter().map(|(frame, _)| Err(FetchError::Lacking { frame })).collect();
    };
    let many = read.frames.len() > 1;
    // What is known to be cut off is not asked for: stores disagree about what a range beyond the end is.
    let inside = read.range.end <= facts.bytes;
    match if inside { read_once(repository, facts, &read).await } else { Ok(Vec::new()) } {
        Ok(frames) if inside => frames,
        // One bad spot on a disk, one bad chunk of a sealed pack: each frame by itself, so that only those on it are lost.
        Ok(_) if many => one_by_one(repository, facts, read).await,
        Err(error) if many && error.is_damage() => one_by_one(repository, facts, read).await,
        Ok(_) => read.frames.into_iter().map(|(frame, _)| Err(FetchError::Short { frame, object: facts.name.to_string() })).collect(),
        Err(error) => vec![Err(error)],
    }
}

async fn one_by_one(repository: &Repository, facts: &PackFacts, read: Read) -> Vec<Result<Encoded, FetchError>> {
    let mut frames = Vec::with_capacity(read.frames.len());
    for (id, location) in read.frames {
        let end = location.offset.saturating_add(u64::from(location.len));
        if end > facts.bytes {
            frames.push(Err(FetchError::Short { frame: id, object: facts.name.to_string() }));
            continue;
        }
        let single = Read { pack: read.pack, range: location.offset..end, frames: vec![(id, location)] };
        match read_once(repository, facts, &single).await {
            Ok(read) => frames.extend(read),
            Err(error) => frames.push(Err(error)),
        }
    }
    frames
}

async fn read_once(repository: &Repository, facts: &PackFacts, read: &Read) -> Result<Vec<Result<Encoded, FetchError>>, FetchError> {
    let path = facts.name.path();
    let object = || path.to_string();
    let bytes = repository.store().get_range(&path, read.range.clone()).await.map_err(|source| match source {
        object_store::Error::NotFound { .. } => FetchError::Gone { object: object() },
        source => FetchError::Read { object: object(), source },
    })?;
    let cut = |(id, location): &(FrameId, Location)| {
        let start = usize::try_from(location.offset - read.range.start).unwrap_or(usize::MAX);
        let end = start.saturating_add(location.len as usize);
        // A pack may have become shorter since it was listed; stores then give less than was asked for.
        if end > bytes.len() {
            return Err(FetchError::Short { frame: *id, object: object() });
        }
        Ok(Encoded { id: *id, location: *location, object: facts.name.clone(), encoded: bytes.slice(start..end) })
    };
    Ok(read.frames.iter().map(cut).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pack: u32, offset: u64, len: u32) -> (FrameId, Location) {
        (FrameId::of(&offset.to_le_bytes()), Location { pack, offset, len, raw: 1 })
    }

    fn ranges(frames: Vec<(FrameId, Location)>) -> Vec<(u32, Range<u64>, usize)> {
        plan_reads(frames).map(|read| (read.pack, read.range, read.frames.len())).collect()
    }

    #[test]
    fn neighbours_become_one_read() {
        assert_eq!(ranges(vec![at(0, 0, 10), at(0, 10, 10), at(0, 25, 5)]), [(0, 0..30, 3)]);
        assert_eq!(ranges(vec![]), []);
    }

    #[test]
    fn a_read_ends_at_another_pack_a_step_back_and_a_wide_gap() {
        assert_eq!(ranges(vec![at(0, 0, 10), at(1, 10, 10)]), [(0, 0..10, 1), (1, 10..20, 1)]);
        assert_eq!(ranges(vec![at(0, 10, 10), at(0, 0, 10)]), [(0, 10..20, 1), (0, 0..10, 1)]);
        assert_eq!(ranges(vec![at(0, 0, 10), at(0, 0, 10)]), [(0, 0..10, 1), (0, 0..10, 1)]);
        assert_eq!(ranges(vec![at(0, 0, 10), at(0, 10 + GAP, 1)]), [(0, 0..11 + GAP, 2)]);
        assert_eq!(ranges(vec![at(0, 0, 10), at(0, 11 + GAP, 1)]), [(0, 0..10, 1), (0, 11 + GAP..12 + GAP, 1)]);
    }

    #[test]
    fn a_read_ends_at_four_mebibytes_but_takes_a_longer_frame_whole() {
        let half = 2 << 20;
        assert_eq!(ranges(vec![at(0, 0, half), at(0, 2 << 20, half)]), [(0, 0..4 << 20, 2)]);
        assert_eq!(ranges(vec![at(0, 0, half), at(0, 2 << 20, half + 1)]), [(0, 0..2 << 20, 1), (0, 2 << 20..(4 << 20) + 1, 1)]);
        assert_eq!(ranges(vec![at(0, 0, crate::MAX_FRAME_LEN)]), [(0, 0..u64::from(crate::MAX_FRAME_LEN), 1)]);
    }
}
