//! `told.json` in the state folder: what each channel was told, and when to look again though nothing is owed.
//!
//! It is a memory and no record: lost or damaged it is an empty one, and then what stands is told again. The record is the journal.
//!
//! It is longer than it need be: on a disk without room for another file it is written over, in the room that it has.

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
    news::{SLACK, Told, reminder},
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
    /// The channels that did not take what there was for them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) failing: BTreeMap<String, Failing>,
    /// When the run ended whose end healthchecks was told last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pinged: Option<Timestamp>,
    /// The last look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) look: Option<Look>,
}

/// How often a channel did not take what there was for it, and when it is tried again. One that takes a message and does not say so would
/// otherwise get it at each start of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failing {
    /// Looks in which it failed, one after the other.
    pub(super) looks: u32,
    /// Not before this.
    pub(super) after: Timestamp,
}

/// Between the first look in which a channel fails and the next; doubled each time.
const FIRST: SignedDuration = SignedDuration::from_mins(10);
/// The longest.
const LONGEST: SignedDuration = SignedDuration::from_hours(6);
/// Starts are as far apart as [`FIRST`], not to the second.
const EARLY: SignedDuration = SignedDuration::from_mins(1);

impl Failing {
    /// After another look in which it failed.
    pub(super) fn once_more(before: Option<&Self>, now: Timestamp) -> Self {
        let looks = before.map_or(0, |before| before.looks).saturating_add(1);
        let pause = FIRST.saturating_mul(1 << (looks - 1).min(16)).min(LONGEST) - EARLY;
        Self { looks, after: now.saturating_add(pause).unwrap_or(now) }
    }

    /// Whether it is left alone. A time that is further away than any is of a clock that was put back.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        now < self.after && self.after.duration_since(now) <= LONGEST
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

    /// Replaces what `path` remembers: whole or not at all, or where there is no room for a second file, in place.
    pub(super) fn write(&self, path: &Path) -> Result<(), ToldError> {
        let failed = |source| ToldError { path: path.to_owned(), source };
        let bytes = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        // What cannot be written in place either cannot be written for the first reason.
        replace(path, &bytes).or_else(|source| overwrite(path, &bytes).map_err(|_| failed(source)))
    }
}

/// What a file system gives room in. Bytes.
const BLOCK: usize = 4096;
/// How much longer it may become in place, at least. Bytes.
const SPARE: usize = 1024;

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let written = file.write_all(&padded(bytes, (bytes.len() + SPARE).next_multiple_of(BLOCK))).and_then(|()| file.sync_data());
    let replaced = written.and_then(|()| std::fs::rename(&new, path));
    if replaced.is_err() {
        // A part of it is of no use, and takes what room there is. If it stays, it is written over.
        let _ = std::fs::remove_file(&new);
    }
    replaced
}

/// Torn by a power cut it is an empty memory.
fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    if length < bytes.len() {
        return Err(io::ErrorKind::StorageFull.into());
    }
    file.write_all(&padded(bytes, length))?;
    file.sync_data()
}

/// JSON may end in spaces.
fn padded(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(length, b' ');
    padded
}

/// A channel took a test: it is not left alone any more.
pub(super) fn mended(state: &State, channel: &str) {
    // Who looks at this moment, or a memory that cannot be kept, leaves it to the next try.
    if let Ok(Some(_lock)) = lock(&state.told_lock()) {
        let mut memory = Memory::read(&state.told());
        if memory.failing.remove(channel).is_some() {
            let _ = memory.write(&state.told());
        }
    }
}

impl Look {
    /// The look that made `report` while the journal was `journal` bytes long. `at_once`: the next start looks again in any case.
    pub(super) fn of(facts: &Facts, report: &Report, memory: &Memory, at_once: bool, journal: u64) -> Self {
        let at = report.time;
        let heard = memory.channels.iter().filter(|(name, _)| !memory.failing.contains_key(*name));
        let reminders = heard.filter_map(|(_, told)| reminder(report, told));
        let tries = memory.failing.values().map(|failing| failing.after);
        let next = reminders.chain(tries).chain([look::next(facts, report)]).min().unwrap_or(at).max(at);
        Self { at, next: if at_once { at } else { next }, journal }
    }

    /// Whether it is time for the next.
    pub(super) fn is_due(&self, now: Timestamp, journal: u64) -> bool {
        // A clock that was put back proves nothing about what it will be when.
        now >= self.next || now < self.at.saturating_sub(SLACK).unwrap_or(self.at) || journal != self.journal
    }
}

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
