//! A wish to stop, heard by whoever reads and writes for long.
//!
//! A signal only sets a flag: what a run does about it depends on where it is. Before anything is stopped it just ends; while it
//! reads, the next write fails and the services come back; while they come back, nothing is hurried.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The flag; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Sets the flag when this process gets SIGTERM, SIGINT or SIGHUP.
    ///
    /// Errors: the system refuses the handlers.
    pub fn on_signals(&self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let flag = self.clone();
        let (mut terminate, mut interrupt, mut hang_up) = {
            use tokio::signal::unix::{SignalKind, signal};
            let _inside = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                        _ = hang_up.recv() => {}
                    }
                    flag.set();
                }
            });
        });
        Ok(())
    }

    /// Sets the flag.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody wants us to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A writer that fails once the flag is set.
#[derive(Debug)]
pub(crate) struct Stoppable<W> {
    inner: W,
    cancel: Cancel,
}

impl<W> Stoppable<W> {
    pub(crate) fn new(inner: W, cancel: Cancel) -> Self {
        Self { inner, cancel }
    }

    pub(crate) fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Not ErrorKind::Interrupted, which callers take as a reason to try again.
        if self.cancel.is_set() { Err(io::Error::other("stopped by a signal")) } else { self.inner.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_until_somebody_wants_it_to_stop() {
        let cancel = Cancel::default();
        let mut out = Stoppable::new(Vec::new(), cancel.clone());
        out.write_all(b"one").unwrap();
        cancel.set();
        assert_eq!(out.write_all(b"two").unwrap_err().to_string(), "stopped by a signal");
        assert_eq!(out.into_inner(), b"one");
    }
}
