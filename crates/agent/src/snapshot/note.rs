//! The note of snapshots: what may lie on a disk because of us, on the disk before it is taken.
//!
//! Invariant: a snapshot of ours that no note names does not exist. So what a kill or a power cut left behind is found by the next
//! run, whatever its job, and nothing is ever removed because its name looks like ours.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{SnapshotError, Snapshots, Volume};
use crate::{durable, human::chain};

/// A snapshot that may be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted {
    /// What it shows.
    pub volume: Volume,
    /// Its name.
    pub name: String,
}

fn path(state: &Path) -> PathBuf {
    state.join("snapshots.json")
}

/// What is noted in `state`.
pub(super) fn read(state: &Path) -> Result<Vec<Noted>, SnapshotError> {
    let path = path(state);
    match durable::read(&path)? {
        None => Ok(Vec::new()),
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|source| SnapshotError::Note {
            operation: "understand the note of snapshots",
            path,
            source,
        }),
    }
}

/// Notes `noted` in `state`, in place of what is noted there.
pub(super) fn write(state: &Path, noted: &[Noted]) -> Result<(), SnapshotError> {
    let path = path(state);
    if noted.is_empty() {
        return Ok(durable::remove(&path)?);
    }
    let bytes = serde_json::to_vec(noted);
    let bytes = bytes.map_err(|source| SnapshotError::Note { operation: "write the note of snapshots", path: path.clone(), source })?;
    Ok(durable::replace(&path, &bytes)?)
}

/// Removes what earlier runs left. Returns what a person should know: a snapshot that stays holds the room of all that has been
/// deleted since. Under the agent's lock only, or it would remove what a run is reading.
pub(crate) fn leftovers(snapshots: &dyn Snapshots, state: &Path) -> Vec<String> {
    match read(state) {
        Ok(noted) => remove(snapshots, state, &noted),
        Err(error) => vec![may_be_left(&error)],
    }
}

/// Removes the snapshots `gone`, and then strikes them off the note. Returns a warning for each that is still there.
pub(super) fn remove(snapshots: &dyn Snapshots, state: &Path, gone: &[Noted]) -> Vec<String> {
    if gone.is_empty() {
        return Vec::new();
    }
    let (mut stay, mut warnings) = (Vec::new(), Vec::new());
    for one in gone {
        if let Err(error) = snapshots.remove(&one.volume, &one.name) {
            let path = one.volume.home.join(&one.name);
            warnings.push(format!("the snapshot {} is still there and takes room: {}", path.display(), chain(&error)));
            stay.push(one);
        }
    }
    let struck = read(state).and_then(|mut all| {
        all.retain(|one| stay.contains(&one) || !gone.contains(one));
        write(state, &all)
    });
    warnings.extend(struck.err().map(|error| may_be_left(&error)));
    warnings
}

fn may_be_left(error: &SnapshotError) -> String {
    format!("snapshots may be left behind: {}", chain(error))
}
