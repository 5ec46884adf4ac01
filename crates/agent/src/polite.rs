//! Reading while services run: only with the disk and the processors that nobody else wants.
//!
//! The I/O class is set by `ionice`, since no maintained crate wraps that call; where it is missing, or nothing schedules the disk by
//! class, the hot pass is merely less polite. It must not outlive the hot pass: in the cold one, services wait for us.

#[cfg(target_os = "linux")]
use std::process::{Command, Stdio};

use rustix::process::{getpriority_process, setpriority_process};

/// How far down the hot pass goes: below everything that was not put down as well.
const NICE: i32 = 10;

/// While this lives, the calling thread and those it starts give way to others. Drop it in the same thread.
#[derive(Debug)]
pub(crate) struct Polite {
    nice: Option<i32>,
}

impl Polite {
    /// Gives way from now on. Only root can take it back later, so others do not begin.
    pub(crate) fn begin() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self { nice: None };
        }
        let nice = getpriority_process(None).ok().filter(|nice| setpriority_process(None, NICE.max(*nice)).is_ok());
        class("3");
        Self { nice }
    }
}

impl Drop for Polite {
    fn drop(&mut self) {
        if let Some(nice) = self.nice
            && let Err(error) = setpriority_process(None, nice)
        {
            tracing::warn!(%error, "cannot take back the low priority of the hot pass");
        }
        if rustix::process::geteuid().is_root() {
            class("0");
        }
    }
}

#[cfg(target_os = "linux")]
fn class(class: &str) {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let done =
        Command::new("ionice").args(["-c", class, "-p", &thread]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !done.is_ok_and(|status| status.success()) {
        tracing::debug!(class, "ionice did not set the I/O class");
    }
}

/// Other systems have no such classes.
#[cfg(not(target_os = "linux"))]
fn class(_class: &str) {}
