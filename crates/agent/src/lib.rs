//! The agent on the Pi: it produces archives, and nothing else.
//!
//! A run stops the services of a job, reads its sources into an archive, brings back exactly what was running, publishes the archive
//! into the repository beside it, and keeps the newest few. The Mac comes and fetches. The agent reaches nobody: it links no cipher,
//! no cloud client and no SSH. What must never fail, services that come back, rests on a ledger on the disk and on `resume`, which
//! outlives any run.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod away;
mod budget;
mod cancel;
mod check;
mod clock;
mod comeback;
pub mod config;
mod cover;
mod durable;
mod engine;
mod error;
mod export;
#[cfg(test)]
mod fake;
mod groups;
mod health;
mod hint;
mod holder;
pub mod human;
mod journal;
mod known;
mod ledger;
mod lock;
mod modes;
mod mounts;
mod number;
mod overdue;
mod passes;
mod place;
mod plan;
mod polite;
mod quiesce;
mod resume;
mod run;
mod snapshot;
mod sources;
mod stock;
mod units;

pub use cancel::Cancel;
pub use check::{Finding, Level, check};
pub use config::{Config, ConfigError, TimeOfDay, distance};
pub use durable::DurableError;
pub use engine::{CommandError, EngineError};
pub use error::RunError;
pub use export::{ExportError, export};
pub use hint::{NOT_BACK, hint};
pub use human::chain;
pub use journal::{Event, Record};
pub use ledger::{Checks, Ledger, LedgerError, Project, Service, Stage};
pub use lock::{Lock, LockError};
pub use modes::ModesError;
pub use place::Listed;
pub use quiesce::{NotBack, QuiesceError};
pub use resume::{ResumeError, Resumed, give_up, resume};
pub use run::{Made, RunOptions, run, run_after_boot};
pub use sources::{Absent, SourceError, accept_empty};
pub use units::{Enabled, Unit, enabled, is_ours, timer_job, units};

/// What lies in the repository of `config`.
///
/// Errors: the repository is not there or cannot be read; one archive that cannot be read is no error.
pub fn archives(config: &Config) -> Result<Listed, RunError> {
    place::archives(&config.repository)
}

/// Makes the repository of `config` where it is missing, with group and modes. Returns whether it was missing.
///
/// Errors: the folder cannot be made or holds another kind of repository.
pub fn make_repository(config: &Config) -> Result<bool, RunError> {
    place::make(&config.repository, config.layout, config.group.as_deref())
}

/// What the agent noted in the state folder of `config`, oldest first.
///
/// Errors: the journal cannot be read.
pub fn journal(config: &Config) -> Result<Vec<Record>, DurableError> {
    journal::read(&config.state)
}
