//! Keeps the Mac from idle sleep while a night runs: a favour of the system, whose failure never fails a backup.

use std::process::{Child, Stdio};

use crate::platform;

/// Keeps the system awake until dropped, where the system can be asked to.
#[derive(Debug)]
pub(crate) struct Awake(Option<Child>);

impl Awake {
    /// Asks the system to stay awake for this process.
    pub(crate) fn keep() -> Self {
        let command = platform::current().stay_awake(std::process::id());
        let child = command.and_then(|mut command| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok());
        Self(child)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // Whether it was there to be ended makes no difference now.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
