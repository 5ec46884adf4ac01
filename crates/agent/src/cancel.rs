//! A wish to stop, heard by whoever reads and writes for long.
//!
//! A signal only sets a flag: what a run does about it depends on where it is. Before anything is stopped it just ends; while it
//! reads, reading ends and the services come back; while they come back, nothing is hurried.

use std::{
    io,
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

    /// The flag itself, for those who know no [`Cancel`].
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }

    /// Whether somebody wants us to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
