//! Who holds a kernel lock, and an end to it.
//!
//! The kernel itself is asked: a descriptor that holds a lock says so in `/proc/PID/fdinfo`. So a process that only waits for the lock,
//! or only has the file open, is never taken for a holder, and a number that now belongs to another process is never struck: the
//! process is pinned first and looked at again. Where there is no such `/proc`, nobody is seen, and nobody is ended.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its number.
    pub process: i32,
    /// The file name of its program.
    pub program: String,
    /// Whether it got SIGKILL: then it never returns to its program, even if the kernel cannot end it yet.
    pub killed: bool,
}

impl Holder {
    /// Whether it is an agent, and not a command that an agent started.
    pub(crate) fn is_agent(&self) -> bool {
        self.program == "offsite-agent"
    }
}

/// The processes other than this one that hold the lock on `file`, by number; those of other users only as root.
///
/// Errors: the processes cannot be listed. One that ends meanwhile is no error.
pub(crate) fn holders(file: &Path) -> io::Result<Vec<Holder>> {
    let file = fs::metadata(file)?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if u32::try_from(process) != Ok(std::process::id()) && holds(process, &file) {
            found.push(Holder { process, program: program(process), killed: killed(process) });
        }
    }
    found.sort_by_key(|holder| holder.process);
    Ok(found)
}

/// Whether a descriptor of `process` holds the lock on `file`. A process that is gone, or is another user's, holds nothing we know of.
///
/// All threads are asked: when one of them cannot be ended yet, the first may be gone, and the process shows no descriptors any more.
fn holds(process: i32, file: &Metadata) -> bool {
    let first = PathBuf::from(format!("/proc/{process}"));
    if fs::read_dir(first.join("fd")).is_ok_and(|mut open| open.next().is_some()) {
        return shows(&first, file);
    }
    let Ok(threads) = fs::read_dir(first.join("task")) else { return false };
    threads.flatten().any(|thread| shows(&thread.path(), file))
}

/// Whether one of the descriptors that `/proc` shows below `root` holds the lock on `file`.
fn shows(root: &Path, file: &Metadata) -> bool {
    let Ok(descriptors) = fs::read_dir(root.join("fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        let same = fs::metadata(descriptor.path()).is_ok_and(|open| (open.dev(), open.ino()) == (file.dev(), file.ino()));
        let info = || fs::read_to_string(root.join("fdinfo").join(descriptor.file_name()));
        same && info().is_ok_and(|info| says_locked(&info))
    })
}

/// Whether the text of an `fdinfo` says that this descriptor holds a lock on the whole file.
fn says_locked(info: &str) -> bool {
    info.lines().filter_map(|line| line.strip_prefix("lock:")).any(|lock| lock.split_whitespace().any(|word| word == "FLOCK"))
}

/// The file name of the program, also when its file was replaced since; empty where it cannot be told.
fn program(process: i32) -> String {
    let path = fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned()
}

/// Whether `process` got SIGKILL and is not gone; `false` where it cannot be told.
fn killed(process: i32) -> bool {
    fs::read_to_string(format!("/proc/{process}/status")).is_ok_and(|status| says_killed(&status))
}

/// Whether the text of a `status` says that SIGKILL awaits the process or its first thread.
fn says_killed(status: &str) -> bool {
    const KILL: u64 = 1 << (9 - 1);
    let pending = status.lines().filter_map(|line| line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:")));
    pending.filter_map(|set| u64::from_str_radix(set.trim(), 16).ok()).any(|set| set & KILL != 0)
}

/// Sends SIGKILL to `holder`, if it still holds the lock on `file`. From then on it does nothing more, even when the kernel keeps it
/// for as long as a dead disk does not answer: it never returns to its program.
///
/// Errors: the signal is not permitted. That it is gone already is no error.
#[cfg(target_os = "linux")]
pub(crate) fn strike(holder: &Holder, file: &Path) -> io::Result<()> {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let Some(pid) = Pid::from_raw(holder.process) else { return Ok(()) };
    let gone = |error: rustix::io::Errno| if error == rustix::io::Errno::SRCH { Ok(()) } else { Err(error.into()) };
    let pinned = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pinned) => pinned,
        Err(error) => return gone(error),
    };
    if !holds(holder.process, &fs::metadata(file)?) {
        return Ok(());
    }
    pidfd_send_signal(pinned, Signal::KILL).or_else(gone)
}

/// As on Linux, where alone holders are seen.
#[cfg(not(target_os = "linux"))]
pub(crate) fn strike(_holder: &Holder, _file: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sigkill_means_that_it_never_runs_again() {
        let status = |thread: &str, shared: &str| {
            format!("Name:\tx\nState:\tD (disk sleep)\nSigPnd:\t{thread}\nShdPnd:\t{shared}\nSigBlk:\t0000000000000100\n")
        };
        let none = "0000000000000000";
        assert!(says_killed(&status("0000000000000100", none)) && says_killed(&status(none, "0000000000004100")));
        // SIGTERM (15) is only asked; what is blocked is not what came.
        assert!(!says_killed(&status(none, "0000000000004000")) && !says_killed(&status(none, none)) && !says_killed(""));
    }

    #[test]
    fn only_a_lock_on_the_whole_file_counts() {
        assert!(says_locked("pos:\t0\nflags:\t02\nlock:\t1: FLOCK  ADVISORY  WRITE 7 fe:00:10 0 EOF\n"));
        assert!(!says_locked("pos:\t0\nflags:\t02\nlock:\t1: POSIX  ADVISORY  WRITE 7 fe:00:10 0 EOF\n"));
        assert!(!says_locked("pos:\t0\nflags:\t02\nino:\t10\n"));
    }
}
