//! From the frames of a repository to files: the reading side is asynchronous, the side that takes blocks, a short queue lies between.
//!
//! The queue holds a few pieces of at most one frame each, so memory does not grow with the archive. Invariant: the side that takes sees the
//! end of the stream only if the reading side said so; a reader that failed or was dropped is an error there, never a shorter archive. What is
//! lost is said in its place in the stream, where whole members are left out.

use std::{
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use bytes::{Buf, Bytes};
use offsite_archive::{Around, ExtractError, ExtractOptions, Extracted, Lost, Manifest, TAR_END, extract};
use offsite_repository::{Progress, Repository, Slice, StreamError, read_ranges, read_what_is_left};

/// Pieces that wait; with one in each hand that is at most 24 MiB.
const WAITING: usize = 4;

enum Piece {
    Data(Bytes),
    Lost(Lost),
    End,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum BridgeError {
    #[error(transparent)]
    Read(StreamError),
    #[error(transparent)]
    Extract(ExtractError),
    #[error("the extraction did not end as it should")]
    Thread(#[source] tokio::task::JoinError),
}

#[derive(Debug)]
pub(crate) enum Stopped<E> {
    Read(StreamError),
    /// The side that takes ended with this.
    Taken(E),
    Thread(tokio::task::JoinError),
}

pub(crate) struct Load<'a> {
    pub repository: &'a Repository,
    pub manifest: &'a Manifest,
    /// Which parts of the tar stream, whole members each.
    pub ranges: &'a [Range<u64>],
    /// The manifest object: members of which bytes are lost are left out. Without it, what is lost ends the reading.
    pub around: Option<&'a Bytes>,
}

/// Extracts what `load` names into `into`, which exists. The files are on the disk when this returns. `progress` is told the raw bytes.
///
/// # Errors
/// [`BridgeError`]; what was extracted until then stays. A wrong digest of a whole stream shows only at the end.
pub(super) async fn carry(
    load: Load<'_>,
    into: &Path,
    options: ExtractOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Extracted, BridgeError> {
    let into: PathBuf = into.to_owned();
    over(load, progress, move |queue| unload(queue, &into, &options)).await.map_err(|stopped| match stopped {
        Stopped::Read(error) => BridgeError::Read(error),
        Stopped::Taken(error) => BridgeError::Extract(error),
        Stopped::Thread(error) => BridgeError::Thread(error),
    })
}

/// Gives what `load` names to `take`, as a tar, on a thread of its own. `progress` is told the raw bytes.
///
/// # Errors
/// [`Stopped`]. A wrong digest of a whole stream shows only at the end, after all of it was taken.
pub(crate) async fn over<T: Send + 'static, E: Send + 'static>(
    load: Load<'_>,
    progress: &(dyn Fn(Progress) + Sync),
    take: impl FnOnce(&mut Queue) -> Result<T, E> + Send + 'static,
) -> Result<T, Stopped<E>> {
    let total = load.ranges.iter().map(|range| range.end - range.start).sum();
    // A whole stream brings its own end; picked members need one.
    let whole = matches!(load.ranges, [all] if *all == (0..load.manifest.end.raw));
    let (send, receive) = sync_channel(WAITING);
    let taking = tokio::task::spawn_blocking(move || take(&mut Queue { receive, piece: Bytes::new(), ended: false }));
    let read = feed(&load, whole, total, &send, progress).await;
    drop(send);
    let taken = taking.await.map_err(Stopped::Thread)?;
    match (read, taken) {
        (Ok(()), taken) => taken.map_err(Stopped::Taken),
        // The side that takes ended first, and for its own reason.
        (Err(StreamError::Sink { source, .. }), Err(error)) if source.kind() == io::ErrorKind::BrokenPipe => Err(Stopped::Taken(error)),
        (Err(error), _) => Err(Stopped::Read(error)),
    }
}

async fn feed(
    load: &Load<'_>,
    whole: bool,
    total: u64,
    send: &SyncSender<Piece>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(), StreamError> {
    let mut done = 0;
    // The thread that waits here has nothing else to do until the other side has taken what waits.
    let give = |piece| send.send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe));
    let mut data = |bytes: &[u8], passed: usize| {
        if passed < bytes.len() {
            give(Piece::Data(Bytes::copy_from_slice(&bytes[passed..])))?;
        }
        done += bytes.len() as u64;
        progress(Progress { done, total });
        Ok(())
    };
    let mut around = None;
    if let Some(object) = load.around {
        let mut sink = |slice: Slice<'_>| match slice {
            Slice::Bytes { at, bytes } => {
                let passed = around.as_ref().map_or(0, |around: &Around<_>| around.passed(&(at..at + bytes.len() as u64)));
                data(bytes, usize::try_from(passed).unwrap_or(usize::MAX))
            }
            Slice::Lost { range, source } => {
                let around = match &mut around {
                    Some(around) => around,
                    none => none.insert(Around::new(Manifest::entries(object).map_err(io::Error::other)?)),
                };
                let members = around.lose(&range).map_err(io::Error::other)?;
                give(Piece::Lost(Lost { cause: offsite_agent::chain(source).into(), members }))
            }
        };
        read_what_is_left(load.repository, load.manifest, load.ranges, &mut sink).await?;
    } else {
        read_ranges(load.repository, load.manifest, load.ranges, &mut |bytes| data(bytes, 0)).await?;
    }
    // What is lost may be the end.
    let end = if whole && around.is_none() { Ok(()) } else { give(Piece::Data(Bytes::from_static(&TAR_END))) };
    end.and_then(|()| give(Piece::End)).map_err(|source| StreamError::Sink { archive: load.manifest.head.archive.clone(), source })
}

fn unload(queue: &mut Queue, into: &Path, options: &ExtractOptions) -> Result<Extracted, ExtractError> {
    let extracted = extract(queue, into, options, &mut |_| {})?;
    // "Restored" is said to people, so it must survive the plug being pulled.
    rustix::fs::sync();
    Ok(extracted)
}

pub(crate) struct Queue {
    receive: Receiver<Piece>,
    piece: Bytes,
    ended: bool,
}

impl Read for Queue {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.receive.recv() {
                Ok(Piece::Data(piece)) => self.piece = piece,
                Ok(Piece::Lost(lost)) => return Err(io::Error::other(lost)),
                Ok(Piece::End) => self.ended = true,
                Err(_) => return Err(io::Error::other("the archive could not be read to its end")),
            }
        }
        let length = into.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(pieces: Vec<Piece>) -> Queue {
        let (send, receive) = sync_channel(pieces.len());
        pieces.into_iter().for_each(|piece| send.send(piece).unwrap());
        Queue { receive, piece: Bytes::new(), ended: false }
    }

    #[test]
    fn pieces_come_in_order_and_the_end_stays() {
        let mut queue = queue(vec![Piece::Data("ab".into()), Piece::Data(Bytes::new()), Piece::Data("c".into()), Piece::End]);
        let mut all = Vec::new();
        assert_eq!(queue.read_to_end(&mut all).unwrap(), 3);
        assert_eq!(all, b"abc");
        assert_eq!(queue.read(&mut [0; 4]).unwrap(), 0);
    }

    #[test]
    fn a_reader_that_went_away_is_no_end() {
        let mut queue = queue(vec![Piece::Data("ab".into())]);
        let mut all = Vec::new();
        let error = queue.read_to_end(&mut all).unwrap_err();
        assert_eq!((all.as_slice(), error.kind()), (&b"ab"[..], io::ErrorKind::Other));
    }
}
