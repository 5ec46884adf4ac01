//! Frames by coalesced ranged reads, several in flight, each one decoded and hashed before anyone sees it.
//!
//! What to read is planned purely ([`plan_reads`]): frames that follow each other in a pack, with small gaps, become one request.
//! Requests run ahead of the consumer, counted by their bytes: a night of scattered changes needs many small ones at a time to fill a
//! long line. Frames come out in the order asked for, and are decoded one at a time: a request of 4 MiB may hold gigabytes of
//! zeros. So memory is `in_flight` times 4 MiB, and one raw frame for each thread that decodes.

use std::{iter, ops::Range, sync::Arc, thread};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use object_store::ObjectStoreExt;
use offsite_archive::{Decoder, FrameId};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task,
};

use crate::{FetchError, Index, Location, PackFacts, PackName, Repository};

/// Bytes between two frames that are read and thrown away rather than asked around. A request costs a line some 400 bytes, and what lies between
/// scattered changes is seldom less than 16 KiB and often less than 64: those made a night a fifth longer.
const GAP: u64 = 16 << 10;
/// Longest request, in bytes, unless one frame alone is longer. Measured: longer ones leave the processor's caches before they are decoded.
const REQUEST: u64 = 1 << 20;
/// What a caller counts in.
const UNIT: u64 = 4 << 20;
/// Most requests at a time for each unit, where they are small.
const SMALL: usize = 32;
/// Most threads that decode for one stream: more than any line gives work to.
const THREADS: usize = 4;

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
/// last one, lies more than 16 KiB behind it, or would make the read longer than 1 MiB.
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

/// The frames `wanted`, in that order. What is under way is `in_flight` times 4 MiB at most, in 32 times as many requests at most. A
/// frame wanted twice is fetched twice.
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
    let mut decoder = None;
    arriving(repository, packs, wanted, in_flight)
        .flat_map(|Arrived { frames, room }| {
            let mut frames = frames.into_iter();
            stream::iter(iter::from_fn(move || {
                let _until_the_last_is_taken = &room;
                frames.next()
            }))
        })
        .map(move |frame| frame.and_then(|frame| decode(&mut decoder, frame)))
}

/// Frames of one request that were decoded and hashed, in the order asked for, up to the first that failed. What was decoded is let go:
/// this is for who keeps frames as they are.
pub(crate) struct Checked {
    pub(crate) frames: Vec<CheckedFrame>,
    pub(crate) failed: Option<FetchError>,
    _room: Option<OwnedSemaphorePermit>,
}

/// One of them.
pub(crate) struct CheckedFrame {
    pub(crate) id: FrameId,
    /// Raw length, in bytes.
    pub(crate) raw: u32,
    pub(crate) encoded: Bytes,
}

/// The frames `wanted` as [`fetch`] has them, decoded on several threads.
pub(crate) fn fetch_checked<'a>(
    repository: &'a Repository,
    index: &'a Index,
    wanted: impl IntoIterator<Item = FrameId, IntoIter: Send + 'a>,
    in_flight: usize,
) -> impl Stream<Item = Checked> + Send + 'a {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    arriving(repository, index.packs(), wanted.into_iter().map(|id| (id, index.locate(&id))), in_flight)
        .map(|arrived| async {
            task::spawn_blocking(move || check(arrived)).await.unwrap_or_else(|error| {
                let source = object_store::Error::Generic { store: "decoder", source: error.into() };
                Checked { frames: Vec::new(), failed: Some(FetchError::Read { object: "frames".to_owned(), source }), _room: None }
            })
        })
        .buffered(threads)
}

fn check(Arrived { frames, room }: Arrived) -> Checked {
    let mut checked = Checked { frames: Vec::with_capacity(frames.len()), failed: None, _room: room };
    let mut decoder = None;
    for frame in frames {
        match frame.and_then(|frame| decode(&mut decoder, frame)) {
            Ok(Fetched { id, location, encoded, .. }) => checked.frames.push(CheckedFrame { id, raw: location.raw, encoded }),
            Err(error) => {
                checked.failed = Some(error);
                break;
            }
        }
    }
    checked
}

/// What one request brought, and the room that it takes in memory.
struct Arrived {
    frames: Vec<Result<Encoded, FetchError>>,
    room: Option<OwnedSemaphorePermit>,
}

fn arriving<'a>(
    repository: &'a Repository,
    packs: &'a [PackFacts],
    wanted: impl IntoIterator<Item = (FrameId, Option<Location>), IntoIter: Send + 'a>,
    in_flight: usize,
) -> impl Stream<Item = Arrived> + Send + 'a {
    // Frames that are not held are errors in their place, so they travel between the reads.
    let mut located = wanted.into_iter().peekable();
    let steps = iter::from_fn(move || {
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
    let in_flight = in_flight.max(1);
    let all = in_flight.saturating_mul(UNIT as usize).min(Semaphore::MAX_PERMITS);
    let room = Arc::new(Semaphore::new(all));
    stream::iter(steps.flatten())
        .map(move |step| {
            let room = room.clone();
            async move {
                match step {
                    Ok(read) => {
                        // Asked for in the order of the stream, and given in the order of asking: the first in line never waits for a later one.
                        let bytes = usize::try_from(read.range.end.saturating_sub(read.range.start)).unwrap_or(all).min(all);
                        // It is never closed.
                        let room = room.acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX)).await.ok();
                        Arrived { frames: read_frames(repository, packs, read).await, room }
                    }
                    Err(error) => Arrived { frames: vec![Err(error)], room: None },
                }
            }
        })
        .buffered(in_flight.saturating_mul(SMALL))
}

/// A frame's bytes, not yet believed.
struct Encoded {
    id: FrameId,
    location: Location,
    object: PackName,
    encoded: Bytes,
}

/// Decodes with `decoder`, which is made when it is first needed.
fn decode(decoder: &mut Option<Decoder>, frame: Encoded) -> Result<Fetched, FetchError> {
    let Encoded { id, location, object, encoded } = frame;
    let damaged = |source| FetchError::Damaged { frame: id, object: object.to_string(), source };
    let decoder = match decoder {
        Some(decoder) => decoder,
        none => none.insert(Decoder::new().map_err(damaged)?),
    };
    let raw = decoder.decode(&encoded, &id, location.raw).map_err(damaged)?;
    Ok(Fetched { id, location, raw, encoded })
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
    fn a_read_ends_at_its_longest_but_takes_a_longer_frame_whole() {
        let half = 512 << 10;
        assert_eq!(ranges(vec![at(0, 0, half), at(0, 512 << 10, half)]), [(0, 0..REQUEST, 2)]);
        assert_eq!(ranges(vec![at(0, 0, half), at(0, 512 << 10, half + 1)]), [(0, 0..512 << 10, 1), (0, 512 << 10..REQUEST + 1, 1)]);
        assert_eq!(ranges(vec![at(0, 0, crate::MAX_FRAME_LEN)]), [(0, 0..u64::from(crate::MAX_FRAME_LEN), 1)]);
    }
}
