//! Counting what crosses the wire, and holding it back.
//!
//! The counters sit below SSH, on the TCP stream, and outlive a reconnection: they say what the link really
//! carried, protocol and retries included, which is what a receipt should state. A limit is kept by not reading: the other side's
//! TCP then waits, whatever it wanted to send.

use std::future::Future;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes moved over the network by one store since it was connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub read: u64,
    /// Bytes sent.
    pub written: u64,
}

#[derive(Debug)]
pub(crate) struct Meter {
    /// Bytes a second.
    limit: Option<NonZeroU64>,
    /// When what was read so far may have come at the earliest.
    due: Mutex<Instant>,
    read: AtomicU64,
    written: AtomicU64,
    /// Bytes of data among what was read, and operations that ended well: what tells a line with gaps from one that is no good.
    gained: AtomicU64,
    /// Where the host was found last.
    address: Mutex<Option<IpAddr>>,
}

/// What may come at once under a limit, as time: less would only cost system calls.
const BURST: Duration = Duration::from_millis(50);

impl Meter {
    pub(crate) fn new(limit: Option<NonZeroU64>) -> Self {
        Self {
            limit,
            due: Mutex::new(Instant::now()),
            read: AtomicU64::default(),
            written: AtomicU64::default(),
            gained: AtomicU64::default(),
            address: Mutex::default(),
        }
    }

    /// Notes what was read; says when more may be, if that is not now.
    fn came(&self, bytes: usize) -> Option<Instant> {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        let limit = self.limit?;
        let now = Instant::now();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        *due = due.max(now) + Duration::from_secs_f64(bytes as f64 / limit.get() as f64);
        (*due > now + BURST).then_some(*due)
    }

    pub(crate) fn gain(&self, amount: usize) {
        self.gained.fetch_add(amount as u64, Ordering::Relaxed);
    }

    pub(crate) fn gained(&self) -> u64 {
        self.gained.load(Ordering::Relaxed)
    }

    pub(crate) fn note_address(&self, address: IpAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn traffic(&self) -> Traffic {
        Traffic { read: self.read.load(Ordering::Relaxed), written: self.written.load(Ordering::Relaxed) }
    }
}

pub(crate) struct Metered<S> {
    inner: S,
    meter: Arc<Meter>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Metered<S> {
    pub(crate) fn new(inner: S, meter: Arc<Meter>) -> Self {
        Self { inner, meter, pause: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let came = buf.filled().len() - before;
        self.pause = self.meter.came(came).map(|due| Box::pin(sleep_until(due)));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.meter.written.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of what may come and of when it may is the limit; a process that was frozen has nothing to make up for.
    #[test]
    fn what_came_is_due_by_the_limit() {
        let meter = Meter::new(NonZeroU64::new(1_000_000));
        let began = Instant::now();
        assert_eq!(meter.came(1000), None);
        let due = (0..10).filter_map(|_| meter.came(100_000)).last().unwrap();
        assert!(due >= began + Duration::from_secs(1), "a million bytes and a thousand are due after a second");
        assert_eq!(meter.traffic().read, 1_001_000);
        assert_eq!(Meter::new(None).came(usize::MAX), None);
    }

    /// Nothing is asked of the clock but that it does not run ahead: however slow the machine is, more never comes.
    #[tokio::test]
    async fn a_line_gives_no_more_than_its_limit() {
        let (limit, mut buffer) = (1_000_000, [0; 10_000]);
        let meter = Arc::new(Meter::new(NonZeroU64::new(limit)));
        let mut line = Metered::new(tokio::io::repeat(7), meter.clone());
        let began = Instant::now();
        while meter.traffic().read < 300_000 {
            tokio::io::AsyncReadExt::read_exact(&mut line, &mut buffer).await.unwrap();
            let may = (began.elapsed() + BURST).as_secs_f64() * limit as f64;
            assert!(meter.traffic().read as f64 <= may + buffer.len() as f64, "{} of {may}", meter.traffic().read);
        }
    }
}
