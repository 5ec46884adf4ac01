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

    /// The file that remembers when each pack was read back.
    pub fn rounds(&self) -> PathBuf {
        self.folder.join("rounds.json")
    }

    /// The file that remembers where each Pi was found last.
    pub fn addresses(&self) -> PathBuf {
        self.folder.join("addresses.json")
    }

    /// The file of the vault's master key.
    pub fn key(&self) -> PathBuf {
        self.folder.join("key.json")
    }
}
