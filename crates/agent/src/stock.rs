//! What a run need not do again: the newest archive's frames, and the cache that says which files they hold.
//!
//! Invariant: nothing here can make an archive wrong. The cache is only believed about the archive it was written for, never across a
//! clock that went back, and an archive that cannot be read merely gives nothing. All of it may be deleted at any time.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use offsite_archive::{CacheError, JobName, Stock};

use crate::{
    chain,
    durable::{self, DurableError},
    place::Place,
    run::RunError,
};

fn path(state: &Path, job: &JobName) -> PathBuf {
    state.join("cache").join(job.as_str())
}

/// The stock that a run of `job` begins with, and what a person should know of it. With `full`, no file is known to be unchanged; frames
/// that were made before are still not made again.
///
/// Errors: there is no room for what is new.
pub(crate) fn open(place: &Place, state: &Path, job: &JobName, full: bool, now: Timestamp) -> Result<(Stock, Vec<String>), RunError> {
    let mut stock = Stock::new(place.scratch()?);
    let mut warnings = Vec::new();
    let newest = match place.newest(job) {
        Ok(Some(newest)) => newest,
        Ok(None) => return Ok((stock, warnings)),
        Err(error) => {
            warnings.push(format!("the archive before cannot be used, so nothing is taken over from it: {}", chain(&error)));
            return Ok((stock, warnings));
        }
    };
    let back = newest.manifest.end.finished > now;
    if back {
        warnings.push(format!(
            "the clock went back since the archive before was made ({}), so file times prove nothing and everything is read again",
            newest.manifest.end.finished
        ));
    }
    let cache = if full || back { None } else { durable::read(&path(state, job))? };
    match stock.add(newest.file, &newest.manifest, cache.as_deref()) {
        Err(CacheError::Damaged) => {
            warnings.push(format!("{} is damaged, so everything is read again", path(state, job).display()));
        }
        // A run that ended between publishing and noting leaves the cache of the one before.
        Err(error) => tracing::info!(%error, "everything is read again"),
        Ok(()) => {}
    }
    Ok((stock, warnings))
}

/// Keeps what the next run may know.
///
/// Errors: it cannot be written; then the next run reads everything.
pub(crate) fn save(state: &Path, job: &JobName, cache: &[u8]) -> Result<(), DurableError> {
    durable::make_folder(&state.join("cache"))?;
    durable::replace(&path(state, job), cache)
}

/// Forgets it: it led to something that is not so.
///
/// Errors: it cannot be removed.
pub(crate) fn forget(state: &Path, job: &JobName) -> Result<(), DurableError> {
    if path(state, job).exists() { durable::remove(&path(state, job)) } else { Ok(()) }
}
