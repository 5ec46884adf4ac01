//! One agent at a time: a kernel lock on a file in the state folder.
//!
//! Invariant: no lock outlives those who hold it, because the kernel drops it with the last descriptor; what the file says is only for
//! people. Each docker command gets the lock as its standard input: when the agent is killed in the middle of a `down`, a resume waits
//! until that `down` has ended too, instead of starting services that are then stopped behind its back.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::durable::{DurableError, make_folder};

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
    /// The file cannot be opened or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no state folder.
    #[error(transparent)]
    Folder(#[from] DurableError),
}

impl Lock {
    /// Takes the lock of the state folder `state`, which is made where it is missing. `purpose` tells others what for, as "run of
    /// services". With `wait`, returns only when the lock is ours.
    ///
    /// Errors: [`LockError::Busy`] without `wait`.
    pub fn take(state: &Path, purpose: &str, wait: bool) -> Result<Self, LockError> {
        make_folder(state)?;
        let path = state.join("lock");
        let failed = |source| LockError::Lock { path: path.clone(), source };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if wait => file.lock().map_err(failed)?,
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message: an unreadable note changes nothing.
                let known = (&file).take(200).read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
                return Err(LockError::Busy { holder: if known { holder.trim().to_owned() } else { "its purpose is unknown".into() } });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let note = format!("{purpose}, process {}\n", std::process::id());
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(note.as_bytes())).map_err(failed)?;
        Ok(Self(file))
    }

    /// The lock for a child's standard input: the child shares it, and reads nothing, for the file is at its end.
    ///
    /// Errors: what the system says when no descriptor is left.
    pub(crate) fn share(&self) -> io::Result<Stdio> {
        Ok(Stdio::from(self.0.try_clone()?))
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

    #[test]
    fn a_child_that_shares_it_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path(), "run", false).unwrap();
        let mut child = std::process::Command::new("sh")
            .args(["-c", "kill -STOP $$"])
            .stdin(lock.share().unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(lock);
        assert!(matches!(Lock::take(dir.path(), "resume", false), Err(LockError::Busy { .. })));
        child.kill().unwrap();
        child.wait().unwrap();
        Lock::take(dir.path(), "resume", true).unwrap();
    }
}
