//! The state folder: what this Mac remembers that is neither configuration nor an archive.
//!
//! One type knows the names in it. The folder is the owner's alone (0700), because the key of the sealed copies lies there.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    journal::Journal,
    lock::{Lock, LockError},
};

/// The folder.
#[derive(Debug, Clone)]
pub struct State {
    folder: PathBuf,
}

/// A state folder that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the state folder {}", path.display())]
pub struct StateError {
    /// The folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl State {
    /// The folder at `folder`, made if it is not there.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| StateError { path: folder.to_owned(), source })?;
        Ok(Self::at(folder))
    }

    /// The folder at `folder`, for reading: nothing is made.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The journal.
    pub fn journal(&self) -> Journal {
        Journal::at(self.folder.join("journal.jsonl"))
    }

    /// Takes the lock for `verb`.
    pub fn lock(&self, verb: &str, now: Timestamp) -> Result<Lock, LockError> {
        Lock::take(&self.folder.join("lock"), verb, now)
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

    /// The configuration as it was when it last held.
    pub(crate) fn last_config(&self) -> PathBuf {
        self.folder.join("last.yaml")
    }

    /// The file of the vault's master key.
    pub fn key(&self) -> PathBuf {
        self.folder.join("key.json")
    }
}
