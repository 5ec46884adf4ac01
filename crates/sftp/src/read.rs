//! Reading byte ranges with many requests in flight.
//!
//! Ranges are cut into pieces of at most 128 KiB; the pieces of all ranges share one pipeline, so a hundred small ranges
//! cost one round trip and not a hundred. Each piece is read by a task of its own: a consumer that pauses must not keep the
//! slots that another one waits for. Answers are checked, not believed: never longer than asked, never empty; a short
//! one is completed from the gap.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt};
use russh_sftp::client::error::Error as RawError;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::error::SftpError;
use crate::link::Link;
use crate::session::{Held, READS, Session};

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) modified: u32,
}

impl Stamp {
    /// Of a regular file; anything else is no object, and opening a pipe would hang the server.
    pub(crate) fn of(operation: &'static str, path: &str, attrs: &FileAttributes) -> Result<Self, SftpError> {
        if !attrs.file_type().is_file() {
            return Err(SftpError::NotFile { operation, path: path.to_owned() });
        }
        match attrs.size {
            Some(size) if i64::try_from(size).is_ok() => Ok(Self { size, modified: attrs.mtime.unwrap_or(0) }),
            _ => Err(SftpError::Protocol { operation, path: path.to_owned(), reason: "no believable size".to_owned() }),
        }
    }
}

/// A remote file that is being read; survives the loss of the link.
pub(crate) struct Reader {
    link: Arc<Link>,
    path: String,
    pub(crate) stamp: Stamp,
    state: Mutex<State>,
}

struct State {
    held: Arc<Held>,
    /// How often the link was replaced.
    renewed: u32,
    /// Why that failed, so that `held` is still the old one.
    failed: Option<SftpError>,
}

impl Reader {
    /// Reads what is open as `held`, of a file that is as `stamp` says.
    pub(crate) fn new(link: &Arc<Link>, held: Held, stamp: Stamp) -> Self {
        let path = held.path.clone();
        Self { link: Arc::clone(link), path, stamp, state: Mutex::new(State { held: Arc::new(held), renewed: 0, failed: None }) }
    }

    async fn current(&self) -> (Arc<Held>, u32) {
        let state = self.state.lock().await;
        (Arc::clone(&state.held), state.renewed)
    }

    /// Opens the file over a new link, unless another piece has done so since `seen`.
    async fn renew(&self, seen: u32, error: SftpError) -> Result<(), SftpError> {
        let mut state = self.state.lock().await;
        // The other pieces must not each try again, and all must tell the same reason.
        if let Some(failed) = &state.failed {
            return Err(failed.clone());
        }
        if state.renewed > seen {
            return Ok(());
        }
        // Stays if this future is dropped half-way.
        state.failed = Some(error);
        match self.reopen().await {
            Ok(held) => {
                state.held = Arc::new(held);
                state.renewed += 1;
                state.failed = None;
                Ok(())
            }
            Err(error) => {
                state.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn reopen(&self) -> Result<Held, SftpError> {
        loop {
            // It is the link that says when it is enough.
            let session = self.link.session().await?;
            match self.reopen_in(&session).await {
                Err(error) if error.is_lost_link() => {}
                result => return result,
            }
        }
    }

    async fn reopen_in(&self, session: &Arc<Session>) -> Result<Held, SftpError> {
        let stamp = Stamp::of("read", &self.path, &session.lstat("read", &self.path).await?)?;
        if stamp != self.stamp {
            return Err(SftpError::Changed { path: self.path.clone() });
        }
        session.open("read", &self.path, OpenFlags::READ).await
    }

    async fn piece(&self, piece: Range<u64>) -> Result<Bytes, SftpError> {
        loop {
            let (held, seen) = self.current().await;
            match read_piece(&held, piece.clone()).await {
                Err(error) if error.is_lost_link() => {
                    drop(held);
                    self.renew(seen, error).await?;
                }
                Ok(bytes) => {
                    self.link.meter.gain(bytes.len());
                    return Ok(bytes);
                }
                refused => return refused,
            }
        }
    }
}

/// Cuts a range into pieces of at most `size` bytes.
fn pieces(range: Range<u64>, size: u32) -> impl Iterator<Item = Range<u64>> {
    let step = u64::from(size.max(1));
    let mut at = range.start;
    std::iter::from_fn(move || {
        let start = at;
        at = range.end.min(start.saturating_add(step));
        (start < at).then_some(start..at)
    })
}

async fn read_piece(held: &Held, piece: Range<u64>) -> Result<Bytes, SftpError> {
    let path = held.path.as_str();
    let broken = |reason: &str| SftpError::Protocol { operation: "read", path: path.to_owned(), reason: reason.to_owned() };
    let mut parts = Vec::new();
    let mut at = piece.start;
    while at < piece.end {
        // The semaphore is never closed.
        let _slot = held.session.reads.acquire().await.map_err(|error| broken(&error.to_string()))?;
        let wanted = u32::try_from(piece.end - at).map_err(|error| broken(&error.to_string()))?;
        let request = held.session.raw.read(held.handle.as_str(), at, wanted);
        let request = async {
            match request.await {
                Err(RawError::Status(status)) if status.status_code == StatusCode::Eof => Ok(None),
                answer => answer.map(Some),
            }
        };
        let Some(data) = held.session.ask("read", path, request).await? else {
            return Err(SftpError::Truncated { path: path.to_owned(), at, expected: piece.end });
        };
        match data.data.len() as u64 {
            0 => return Err(broken("an empty answer before the end of the file")),
            got if got > u64::from(wanted) => return Err(broken("more bytes than were asked for")),
            got => at += got,
        }
        parts.push(Bytes::from(data.data));
    }
    Ok(joined(parts))
}

/// One buffer of several, without a copy where there is only one.
fn joined(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        0 => Bytes::new(),
        1 => parts.swap_remove(0),
        _ => {
            let mut all = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
            parts.iter().for_each(|part| all.extend_from_slice(part));
            all.freeze()
        }
    }
}

/// A piece being read; ends with whoever wants it.
struct Pending(JoinHandle<Result<Bytes, SftpError>>, String);

impl Future for Pending {
    type Output = Result<Bytes, SftpError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|joined| {
            joined.unwrap_or_else(|error| Err(SftpError::Remote { operation: "read", path: self.1.clone(), reason: error.to_string() }))
        })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The bytes of `ranges`, piece by piece and in order, each with the index of its range.
fn pipeline(reader: Arc<Reader>, ranges: Vec<Range<u64>>, size: u32) -> impl Stream<Item = Result<(usize, Bytes), SftpError>> + Send {
    let cut = ranges.into_iter().enumerate().flat_map(move |(index, range)| pieces(range, size).map(move |piece| (index, piece)));
    stream::iter(cut)
        .map(move |(index, piece)| {
            let reader = Arc::clone(&reader);
            let path = reader.path.clone();
            let pending = Pending(tokio::spawn(async move { reader.piece(piece).await }), path);
            async move { pending.await.map(|bytes| (index, bytes)) }
        })
        .buffered(READS)
}

/// Streams one range.
pub(crate) fn stream_range(reader: Arc<Reader>, range: Range<u64>, size: u32) -> impl Stream<Item = Result<Bytes, SftpError>> + Send {
    pipeline(reader, vec![range], size).map(|piece| piece.map(|(_, bytes)| bytes))
}

/// Reads many ranges, each into one buffer, in the order given.
pub(crate) async fn read_ranges(reader: Arc<Reader>, ranges: Vec<Range<u64>>, size: u32) -> Result<Vec<Bytes>, SftpError> {
    let mut parts: Vec<Vec<Bytes>> = ranges.iter().map(|_| Vec::new()).collect();
    let mut pieces = Box::pin(pipeline(reader, ranges, size));
    while let Some(piece) = pieces.next().await {
        let (index, bytes) = piece?;
        if let Some(part) = parts.get_mut(index) {
            part.push(bytes);
        }
    }
    Ok(parts.into_iter().map(joined).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_tile_the_range(start in 0u64..1 << 40, len in 0u64..5_000_000, size in 1000u32..200_000) {
            let range = start..start + len;
            let mut at = range.start;
            for piece in pieces(range.clone(), size) {
                prop_assert_eq!(piece.start, at);
                prop_assert!(piece.end > piece.start && piece.end - piece.start <= u64::from(size));
                at = piece.end;
            }
            prop_assert_eq!(at, range.end);
        }
    }

    #[test]
    fn pieces_do_not_overflow() {
        let all: Vec<_> = pieces(u64::MAX - 5..u64::MAX, 4).collect();
        assert_eq!(all, vec![u64::MAX - 5..u64::MAX - 1, u64::MAX - 1..u64::MAX]);
    }

    #[test]
    fn joining_keeps_order() {
        assert_eq!(joined(vec![]), Bytes::new());
        assert_eq!(joined(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")]), Bytes::from_static(b"abc"));
    }
}
