//! One agent at a time: a kernel lock on a file in the state folder.
//!
//! Invariant: no lock outlives those who hold it, because the kernel drops it with the last descriptor; what the file says is only for
//! people. Each docker command gets the lock as its standard input: when the agent is killed in the middle of a `down`, a resume waits
//! until that `down` has ended too, instead of starting services that are then stopped behind its back.
//!
//! Holders that hang can lose it to a new file in the place of the old one ([`take_over`]). So whoever got a lock looks whether its file
//! still is the one that has the name.

mod take_over;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use crate::{
    cancel::Cancel,
    durable::{DurableError, make_folder},
    holder::holders,
};

pub(crate) use take_over::{ORPHAN, Orphans};

/// Between two looks: short at first, because most locks are held for a moment.
const LOOK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The lock, held until dropped by us and by every docker command that was started under it.
#[derive(Debug)]
pub struct Lock(File);

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody holds it.
    #[error("another offsite-agent is at work: {holder}")]
    Busy {
        /// What the holder wrote into the file.
        holder: String,
    },
    /// A signal came while another agent held it.
    #[error("stopped by a signal while waiting for another offsite-agent: {holder}")]
    Stopped {
        /// What the holder wrote into the file.
        holder: String,
    },
    /// The file cannot be opened or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Those who hold it cannot be found.
    #[error("cannot find who holds {}: {source}", path.display())]
    Holders {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One who holds it cannot be ended.
    #[error("cannot end process {process} ({program}), which holds {}: {source}", path.display())]
    Strike {
        /// The file.
        path: PathBuf,
        /// The process.
        process: i32,
        /// Its program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no state folder.
    #[error(transparent)]
    Folder(#[from] DurableError),
}

fn file(state: &Path) -> PathBuf {
    state.join("lock")
}

impl Lock {
    /// Takes the lock of the state folder `state`, which is made where it is missing. `purpose` tells others what for, as "run of
    /// services". With `wait`, returns only when the lock is ours: waits for an agent for as long as it lives, and for a docker command
    /// whose agent is dead for 3 minutes, after which that command is ended.
    ///
    /// Errors: [`LockError::Busy`] without `wait`.
    pub fn take(state: &Path, purpose: &str, wait: bool) -> Result<Self, LockError> {
        if wait { Self::wait(state, purpose, &Cancel::default()) } else { Self::attempt(state, purpose) }
    }

    /// As [`Lock::take`] with `wait`, until somebody wants us to stop.
    ///
    /// Errors: [`LockError::Stopped`] within about a second of that, if the lock is not ours by then.
    pub fn wait(state: &Path, purpose: &str, cancel: &Cancel) -> Result<Self, LockError> {
        Self::wait_for(state, purpose, ORPHAN, cancel)
    }

    /// Waits for agents, and `patience` at most for commands whose agent is dead.
    fn wait_for(state: &Path, purpose: &str, patience: Duration, cancel: &Cancel) -> Result<Self, LockError> {
        let (mut pause, mut orphans) = (Pause::default(), Orphans::default());
        loop {
            match Self::attempt(state, purpose) {
                Err(LockError::Busy { holder }) if cancel.is_set() => return Err(LockError::Stopped { holder }),
                Err(LockError::Busy { .. }) => {}
                done => return done,
            }
            if orphans.since(state).is_some_and(|since| since.elapsed() >= patience) {
                match Self::take_over(state, purpose, &|| Ok(Orphans::default().since(state).is_some())) {
                    Ok(Some(taken)) => return Ok(taken.lock),
                    // Somebody else is about it, or it became free.
                    Ok(None) | Err(LockError::Busy { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            pause.once();
        }
    }

    /// One try. What it locked may have lost its name to a new file meanwhile: then once more.
    fn attempt(state: &Path, purpose: &str) -> Result<Self, LockError> {
        make_folder(state)?;
        let path = file(state);
        let failed = |source| LockError::Lock { path: path.clone(), source };
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(busy(&file)),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            let ours = file.metadata().map_err(failed)?;
            if std::fs::metadata(&path).is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
                return Ok(Self(file).noted(purpose));
            }
        }
    }

    /// Writes who holds it, for people.
    fn noted(mut self, purpose: &str) -> Self {
        let note = format!("{purpose}, process {}\n", std::process::id());
        if let Err(error) = self.0.set_len(0).and_then(|()| self.0.rewind()).and_then(|()| self.0.write_all(note.as_bytes())) {
            // Only people read it, and nothing is decided by it: on a full disk it must not keep services down.
            tracing::warn!("the lock is held, but its file cannot say by whom: {error}");
        }
        self
    }

    /// The lock for a child's standard input: the child shares it, and reads nothing, for the file is at its end.
    ///
    /// Errors: what the system says when no descriptor is left.
    pub(crate) fn share(&self) -> io::Result<Stdio> {
        Ok(Stdio::from(self.0.try_clone()?))
    }
}

/// Whether another process holds the lock of `state`, as far as can be seen. Nothing is locked for it, which might be in a run's way.
pub(crate) fn is_held(state: &Path) -> bool {
    holders(&file(state)).is_ok_and(|holding| !holding.is_empty())
}

/// The error for a lock that somebody holds, with what the holder wrote.
fn busy(file: &File) -> LockError {
    let mut holder = String::new();
    // Only for the message: an unreadable note changes nothing.
    let known = file.take(200).read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
    LockError::Busy { holder: if known { holder.trim().to_owned() } else { "its purpose is unknown".into() } }
}

/// Between two looks at the lock.
#[derive(Debug)]
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(LOOK.0)
    }
}

impl Pause {
    /// Sleeps, longer each time.
    pub(crate) fn once(&mut self) {
        std::thread::sleep(self.0);
        self.0 = (self.0 * 2).min(LOOK.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_says_who() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        let first = Lock::take(&state, "run of services", false).unwrap();
        let busy = Lock::take(&state, "resume", false).unwrap_err().to_string();
        assert_eq!(busy, format!("another offsite-agent is at work: run of services, process {}", std::process::id()));
        drop(first);
        // Waiting, because a child that another test forks just now holds every descriptor until its exec.
        Lock::take(&state, "resume", true).unwrap();
    }

    /// A child that holds the lock and does nothing for ever.
    pub(super) fn child(lock: &Lock) -> std::process::Child {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "kill -STOP $$"]).stdin(lock.share().unwrap()).stdout(Stdio::piped());
        command.spawn().unwrap()
    }

    #[test]
    fn a_child_that_shares_it_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path(), "run", false).unwrap();
        let mut child = child(&lock);
        drop(lock);
        assert!(matches!(Lock::take(dir.path(), "resume", false), Err(LockError::Busy { .. })));
        child.kill().unwrap();
        child.wait().unwrap();
        Lock::take(dir.path(), "resume", true).unwrap();
    }

    #[test]
    fn a_wish_to_stop_ends_the_wait_and_a_free_lock_is_taken_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        cancel.set();
        let lock = Lock::take(dir.path(), "run of services", false).unwrap();
        let error = Lock::wait(dir.path(), "run", &cancel).unwrap_err();
        assert!(matches!(&error, LockError::Stopped { holder } if holder.starts_with("run of services")), "{error}");
        assert!(error.to_string().starts_with("stopped by a signal while waiting for another offsite-agent: run of services"), "{error}");
        drop(lock);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_keeps_nobody_from_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        // Can be opened and locked, and nothing can be written to it.
        std::os::unix::fs::symlink("/dev/full", file(dir.path())).unwrap();
        Lock::take(dir.path(), "resume", true).unwrap();
    }
}
