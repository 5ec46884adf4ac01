//! The state folder: what this Mac remembers that is neither configuration nor an archive.
//!
//! One type knows the names in it. The folder is the owner's alone (0700), because the key of the sealed copies lies there.

use std::{
    fs::{DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    human,
    journal::Journal,
    lock::{Lock, LockError},
    platform,
};

/// Bytes that must be free for what a night writes here. With less, most starts end with an error that leaves no receipt.
const ROOM: u64 = 1_000_000;

#[derive(Debug, Clone)]
pub struct State {
    folder: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot make the state folder {}", path.display())]
pub struct StateError {
    pub path: PathBuf,
    pub source: io::Error,
}

impl State {
    /// The folder at `folder`, made if it is not there.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        make(folder).map_err(|source| StateError { path: folder.to_owned(), source })?;
        Ok(Self::at(folder))
    }

    /// The folder at `folder`, for reading: nothing is made.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn journal(&self) -> Journal {
        Journal::at(self.folder.join("journal.jsonl"))
    }

    pub fn lock(&self, verb: &str, now: Timestamp) -> Result<Lock, LockError> {
        Lock::take(&self.folder.join("lock"), verb, now)
    }

    /// For a reader of the Mac's repository: what is there stays as long as what is given back lives. Nothing where nobody can lock.
    pub fn reading(&self) -> Option<Lock> {
        Lock::share(&self.reading_lock())
    }

    /// For one that takes packs or manifests away from the Mac's repository.
    ///
    /// # Errors
    /// [`LockError::Read`] while somebody reads there.
    pub fn alone(&self) -> Result<Lock, LockError> {
        Lock::alone(&self.reading_lock())
    }

    fn reading_lock(&self) -> PathBuf {
        self.folder.join("reading.lock")
    }

    /// Why nothing can be written here, and what to do, if that is known. A folder that is not there is made by the first that writes.
    pub(crate) fn trouble(&self) -> Option<(String, String)> {
        use rustix::{fs::Access, io::Errno};
        let journal = self.journal();
        let may_write = |path: &Path| match rustix::fs::access(path, Access::WRITE_OK) {
            Err(error) if error != Errno::NOENT => {
                Err(format!("this account cannot write to {}: {}", path.display(), io::Error::from(error)))
            }
            _ => Ok(()),
        };
        let refused = may_write(&self.folder).and_then(|()| may_write(journal.path())).err();
        trouble(refused, platform::free(&self.folder).ok(), &self.folder)
    }

    /// The file whose lock sees to it that only one daemon waits.
    pub(crate) fn daemon_lock(&self) -> PathBuf {
        self.folder.join("daemon.lock")
    }

    /// The file that remembers when each pack was read back.
    pub fn rounds(&self) -> PathBuf {
        self.folder.join("rounds.json")
    }

    /// The file that remembers where each Pi was found last.
    pub fn addresses(&self) -> PathBuf {
        self.folder.join("addresses.json")
    }

    /// The file that tells what is done right now.
    pub fn live(&self) -> PathBuf {
        self.folder.join("live.json")
    }

    /// The file whose lock tells that somebody writes the one above.
    pub(crate) fn live_lock(&self) -> PathBuf {
        self.folder.join("live.lock")
    }

    /// The file that remembers what the owner was told.
    pub fn told(&self) -> PathBuf {
        self.folder.join("told.json")
    }

    /// The file whose lock sees to it that only one process tells.
    pub(crate) fn told_lock(&self) -> PathBuf {
        self.folder.join("told.lock")
    }

    /// The folder of notices that wait for a screen.
    pub fn notices(&self) -> PathBuf {
        self.folder.join("notices")
    }

    /// The file of the vault's master key.
    pub fn key(&self) -> PathBuf {
        self.folder.join("key.json")
    }
}

/// Makes the folder and what lacks above it, as durable as what is put there.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make(above)?;
    // Another process may just have made it.
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    File::open(above)?.sync_all()
}

fn trouble(refused: Option<String>, free: Option<u64>, folder: &Path) -> Option<(String, String)> {
    let folder = folder.display();
    match (refused, free) {
        (Some(refused), _) => {
            Some((refused, format!("give it back to this account: sudo chown -R \"$(id -un)\" '{folder}'; chmod -R u+rwX '{folder}'")))
        }
        (None, Some(free)) if free < ROOM => Some((
            format!("only {} are free on its disk, so that no receipt can be written", human::size(free)),
            "make room on that disk: nothing runs until then".to_owned(),
        )),
        _ => None,
    }
}

/// Puts `bytes` into the file at `path`, for the owner alone (0600): after a power cut it is the old one or the new one, and whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_that_takes_no_receipt_is_named() {
        let of = |refused: Option<&str>, free| trouble(refused.map(str::to_owned), free, Path::new("/s")).map(|trouble| trouble.0);
        assert_eq!(of(None, Some(ROOM)), None);
        assert_eq!(of(None, None), None, "a disk that does not say what is free");
        assert_eq!(of(None, Some(20_000)).unwrap(), "only 20 kB are free on its disk, so that no receipt can be written");
        assert!(of(None, Some(ROOM - 1)).is_some());
        assert_eq!(of(Some("no"), Some(0)).unwrap(), "no");
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(State::at(&dir.path().join("not/yet")).trouble(), None);
        // In the way of a folder lies a file: what root is refused, too.
        std::fs::write(dir.path().join("file"), "").unwrap();
        let said = State::at(&dir.path().join("file/state")).trouble().unwrap();
        assert!(said.0.starts_with("this account cannot write to ") && said.1.contains("chown"), "{said:?}");
    }
}
