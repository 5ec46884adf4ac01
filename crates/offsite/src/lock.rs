//! One offsite at a time works on one state folder, and what somebody reads of the Mac's repository stays there as long as he does.
//!
//! The lock is the kernel's, on an open file: it ends with its process, however that ends, so there is never a stale one to remove. The
//! text in the file only tells a person who holds it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

/// The lock, held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A lock that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// `holder` is what that one wrote about itself; empty if it has not yet.
    #[error("another offsite is at work{}", holder_text(holder))]
    Busy { holder: String },
    /// Somebody reads what would go.
    #[error("a restore, export, cat or diff is reading this Mac's repository")]
    Read,
    #[error("cannot use the lock {}", path.display())]
    File { path: PathBuf, source: io::Error },
}

fn holder_text(holder: &str) -> String {
    if holder.is_empty() { String::new() } else { format!(": {holder}") }
}

impl Lock {
    /// Takes the lock at `path`, or says who has it; never waits. `verb` and `now` are for whoever meets the lock.
    pub fn take(path: &Path, verb: &str, now: Timestamp) -> Result<Self, LockError> {
        let failed = |source| LockError::File { path: path.to_owned(), source };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who it is only helps a person; that it is taken is the answer.
                let _ = Read::by_ref(&mut file).take(200).read_to_string(&mut holder);
                return Err(LockError::Busy { holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        // The lock is the kernel's and is had; a disk that is too full for the text must not keep anybody from telling that it is.
        let _ = introduce(&mut file, &format!("offsite {verb}, process {}, since {second}\n", std::process::id()));
        Ok(Self { _file: file })
    }

    /// A reader's share of the lock at `path`. Nothing where it cannot be had: the bad day must not need it. Waits while somebody has it alone.
    pub fn share(path: &Path) -> Option<Self> {
        let file = shared(path).ok()?;
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                note!("waiting until what may go from this Mac's repository is gone");
                file.lock_shared().ok()?;
            }
            Err(TryLockError::Error(_)) => return None,
        }
        Some(Self { _file: file })
    }

    /// The lock at `path` for one that takes away what readers may need; never waits for them.
    pub fn alone(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::File { path: path.to_owned(), source };
        let file = shared(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Read),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// A lock's file that readers of other accounts use too: one that root made, restoring owners, must not keep the nights from ever forgetting.
fn shared(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    Ok(file)
}

fn introduce(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_about_the_first_and_the_third_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let now = "2026-11-22T04:30:00Z".parse().unwrap();
        let first = Lock::take(&path, "daemon", now).unwrap();
        let error = Lock::take(&path, "sync", now).unwrap_err();
        let wanted = format!("another offsite is at work: offsite daemon, process {}, since 2026-11-22T04:30:00Z", std::process::id());
        assert_eq!(error.to_string(), wanted);
        drop(first);
        // A child that another test forks just now holds every descriptor until its exec.
        let third = (0..2000)
            .find_map(|_| Lock::take(&path, "sync", now).map_err(|_| std::thread::sleep(std::time::Duration::from_millis(5))).ok());
        assert!(third.is_some());
    }

    #[test]
    fn readers_share_it_and_nothing_goes_before_the_last_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reading.lock");
        assert!(Lock::share(&dir.path().join("none/reading.lock")).is_none(), "where there is no state folder it is not needed");
        let readers = [Lock::share(&path).unwrap(), Lock::share(&path).unwrap()];
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644, "whoever made it, all accounts can use it");
        for reader in readers {
            assert!(matches!(Lock::alone(&path), Err(LockError::Read)));
            drop(reader);
        }
        // A child that another test forks just now holds every descriptor until its exec.
        let free = (0..2000).find_map(|_| Lock::alone(&path).map_err(|_| std::thread::sleep(std::time::Duration::from_millis(5))).ok());
        let free = free.unwrap();
        let late = std::thread::spawn({
            let path = path.clone();
            move || Lock::share(&path).is_some()
        });
        drop(free);
        assert!(late.join().unwrap(), "it waits, and gets its share");
    }

    #[test]
    fn one_that_takes_no_text_is_a_lock_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        // As on a full disk, what is in it cannot be replaced.
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let _lock = Lock::take(&path, "daemon", "2026-11-22T04:30:00Z".parse().unwrap()).unwrap();
        let again = File::options().read(true).write(true).open(&path).unwrap();
        assert!(matches!(again.try_lock(), Err(TryLockError::WouldBlock)));
    }

    #[test]
    fn a_file_left_behind_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::fs::write(&path, "offsite daemon, process 1, since long ago, and a much longer line than the next\n").unwrap();
        let _lock = Lock::take(&path, "sync", "2026-11-22T04:30:00Z".parse().unwrap()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("offsite sync, ") && text.lines().count() == 1, "{text}");
    }
}
