//! Bringing back what a run left stopped, from the ledger alone.
//!
//! Idempotent: without a ledger there is nothing to do, and what runs is left alone. Needs no configuration, because a configuration
//! that somebody broke yesterday must not keep services down today. Beside a living run it does nothing: the lock says that the run
//! is there, and the run brings its services back itself.

use std::path::Path;

use jiff::Timestamp;
use offsite_archive::JobName;

use crate::{
    durable::DurableError,
    engine::Docker,
    journal::{self, Event, Record},
    ledger::{Ledger, LedgerError},
    lock::{Lock, LockError},
    quiesce::{NotBack, bring_back},
};

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The job whose run had stopped them.
    pub job: JobName,
    /// The projects, by name.
    pub projects: Vec<String>,
}

/// Why services are still away, or not known to be back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// A run is alive, or the lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The ledger cannot be read, understood or kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Services did not come back.
    #[error(transparent)]
    NotBack(#[from] NotBack),
    /// They are back, but the journal cannot be written.
    #[error(transparent)]
    Journal(#[from] DurableError),
}

/// Brings back what the ledger in `state` names; `None` where nothing is owed. With `wait`, waits for a run to end first.
///
/// Errors: [`ResumeError::Lock`] while a run is alive; [`ResumeError::NotBack`], after which the ledger names what is still away.
pub fn resume(state: &Path, wait: bool) -> Result<Option<Resumed>, ResumeError> {
    let lock = Lock::take(state, "resume", wait)?;
    leftovers(state, &lock)
}

/// As [`resume`], under a lock that is held already.
pub(crate) fn leftovers(state: &Path, lock: &Lock) -> Result<Option<Resumed>, ResumeError> {
    let Some(mut ledger) = Ledger::read(state)? else { return Ok(None) };
    tracing::warn!(job = %ledger.job, "a run did not bring its services back: bringing them back now");
    let names = ledger.projects.iter().map(|project| project.name.clone()).collect();
    let engine = Docker::new(&ledger.docker, Some(lock));
    if let Err(not_back) = bring_back(&engine, &ledger.projects) {
        ledger.projects.clone_from(&not_back.projects);
        ledger.write(state)?;
        return Err(not_back.into());
    }
    Ledger::clear(state)?;
    let resumed = Resumed { job: ledger.job, projects: names };
    let event = Event::Resumed { projects: resumed.projects.clone() };
    journal::append(state, &Record { time: Timestamp::now(), job: resumed.job.clone(), event })?;
    Ok(Some(resumed))
}

/// Gives up what the ledger in `state` names, and returns it: for a project that nobody wants back.
///
/// Errors: as [`resume`], but nothing is started.
pub fn give_up(state: &Path) -> Result<Option<Ledger>, ResumeError> {
    let _lock = Lock::take(state, "resume --forget", false)?;
    let ledger = Ledger::read(state)?;
    Ledger::clear(state)?;
    Ok(ledger)
}
