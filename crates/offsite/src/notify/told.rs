//! `told.json` in the state folder: what each channel was told, and when to look again though nothing is owed.
//!
//! It is a memory and no record: lost or damaged it is an empty one, and then what stands is told again. The record is the journal.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    look,
    news::{Told, reminder},
};
use crate::{
    state::State,
    status::{Facts, Report},
};

/// All that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// What each channel was told.
    pub(super) channels: BTreeMap<String, Told>,
    /// What healthchecks was told.
    #[serde(skip_serializing_if = "Pings::is_empty")]
    pub(super) pings: Pings,
    /// The last look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) look: Option<Look>,
}

/// What healthchecks was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Pings {
    /// The id of the run that began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<String>,
    /// How that run ended, if that could not be told: fine or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<bool>,
}

impl Pings {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// When was looked, and when the next look is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Look {
    /// When it was.
    pub(super) at: Timestamp,
    /// When an alarm may begin by time alone, or a reminder is due.
    pub(super) next: Timestamp,
    /// How long the journal was, in bytes: what was added since was not looked at.
    pub(super) journal: u64,
}

/// Why the memory could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct ToldError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Memory {
    /// What `path` remembers.
    pub(super) fn read(path: &Path) -> Self {
        // Unreadable and lost are the same: what stands is told again.
        std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Replaces what `path` remembers, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<(), ToldError> {
        self.try_write(path).map_err(|source| ToldError { path: path.to_owned(), source })
    }

    fn try_write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("json.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        std::fs::rename(&new, path)
    }
}

impl Look {
    /// The look that made `report` while the journal was `journal` bytes long.
    pub(super) fn of(facts: &Facts, report: &Report, told: &BTreeMap<String, Told>, pending: bool, journal: u64) -> Self {
        let at = report.time;
        let reminders = told.values().filter_map(|told| reminder(report, told));
        let next = if pending { at } else { reminders.chain([look::next(facts, report)]).min().unwrap_or(at).max(at) };
        Self { at, next, journal }
    }

    /// Whether it is time for the next.
    pub(super) fn is_due(&self, now: Timestamp, journal: u64) -> bool {
        // A clock that was put back proves nothing about what it will be when.
        now >= self.next || now < self.at.saturating_sub(SLACK).unwrap_or(self.at) || journal != self.journal
    }
}

/// What clocks are put back by every day.
const SLACK: SignedDuration = SignedDuration::from_mins(5);

/// Length of the journal in bytes; 0 if there is none.
pub(super) fn journal_length(state: &State) -> u64 {
    std::fs::metadata(state.journal().path()).map_or(0, |metadata| metadata.len())
}

/// One process at a time tells: the lock, or `None` while another has it.
pub(super) fn lock(path: &Path) -> Result<Option<File>, ToldError> {
    let failed = |source| ToldError { path: path.to_owned(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}
