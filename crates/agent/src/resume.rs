//! Bringing back what a run left stopped, from the ledger alone.
//!
//! Idempotent: without a ledger there is nothing to do, and what runs is left alone. Needs no configuration, because a configuration
//! that somebody broke yesterday must not keep services down today. Beside a living run it does nothing, for the run brings its
//! services back itself; unless that run is well past the time by which it had to, or its commands outlive it: then it hangs, is
//! ended, and the services come back. A run that was ended has made no archive, so nothing that was read beside running services is
//! ever taken for a good one.

use std::{
    convert::Infallible,
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use offsite_archive::JobName;

use crate::{
    cancel::Cancel,
    comeback::{AGAIN, Way, come_back},
    durable::DurableError,
    engine::Docker,
    health::Curl,
    holder::Holder,
    journal::{self, Event, Record},
    ledger::{Ledger, LedgerError, Stage},
    lock::{Lock, LockError, Orphans, Pause},
    overdue::Patience,
    quiesce::NotBack,
};

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The job whose run had stopped them.
    pub job: JobName,
    /// The projects, by name.
    pub projects: Vec<String>,
    /// Processes that hung and were ended first, as "offsite-agent, process 123".
    pub ended: Vec<String>,
    /// What runs again and is not well, each as one sentence.
    pub unhealthy: Vec<String>,
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

/// Brings back what the ledger in `state` names; `None` where nothing is owed. With `wait`, waits until a run has brought its services
/// back itself; a run that is overdue is ended in either case.
///
/// Errors: [`ResumeError::Lock`] without `wait` beside a living run that has time left; [`ResumeError::NotBack`], after which the
/// ledger names what is still away.
pub fn resume(state: &Path, wait: bool) -> Result<Option<Resumed>, ResumeError> {
    let (mut patience, mut orphans, mut pause) = (Patience::default(), Orphans::default(), Pause::default());
    loop {
        let busy = match Lock::take(state, "resume", false) {
            Ok(lock) => return leftovers(state, &lock),
            Err(busy @ LockError::Busy { .. }) => busy,
            Err(error) => return Err(error.into()),
        };
        match Ledger::read(state)? {
            // Nothing is away at this moment, and who holds the lock brings back whatever it stops.
            None if wait => return Ok(None),
            None => return Err(busy.into()),
            Some(ledger) => {
                let left = patience.left(&ledger, orphans.since(state), Timestamp::now(), Instant::now());
                if left == Some(Duration::ZERO) {
                    match take_over(state, &ledger) {
                        Ok(None) => {}
                        Ok(done) => return Ok(done),
                        // Somebody else is about it.
                        Err(ResumeError::Lock(LockError::Busy { .. })) if wait => {}
                        Err(error) => return Err(error),
                    }
                } else if !wait {
                    return Err(busy.into());
                }
            }
        }
        pause.once();
    }
}

/// Ends those who hold the lock, and brings back; `None` when the run went on after all.
fn take_over(state: &Path, ledger: &Ledger) -> Result<Option<Resumed>, ResumeError> {
    // Right before each blow: another run, or another step of this one, has time of its own.
    let due = || Ok::<_, ResumeError>(Ledger::read(state)?.is_some_and(|now| now == *ledger));
    let Some(taken) = Lock::take_over(state, "resume", &due)? else { return Ok(None) };
    for holder in &taken.lingering {
        tracing::warn!(process = holder.process, program = holder.program, "the kernel cannot end it yet; it holds nobody up any more");
    }
    back(state, &taken.lock, &taken.ended)
}

/// As [`resume`], under a lock that is held already.
pub(crate) fn leftovers(state: &Path, lock: &Lock) -> Result<Option<Resumed>, ResumeError> {
    back(state, lock, &[])
}

/// Tries to bring back what the ledger in `state` names, again and again until it is back or `over` is closed: beside the rest of a run,
/// which holds the lock, nobody else can.
pub(crate) fn insist(state: &Path, lock: &Lock, over: &Receiver<Infallible>) {
    while over.recv_timeout(AGAIN) == Err(RecvTimeoutError::Timeout) {
        match leftovers(state, lock) {
            Ok(_) => return,
            Err(error) => tracing::warn!("{}\ntrying again for as long as the run lasts", crate::human::chain(&error)),
        }
    }
}

fn back(state: &Path, lock: &Lock, ended: &[Holder]) -> Result<Option<Resumed>, ResumeError> {
    let Some(mut ledger) = Ledger::read(state)? else { return Ok(None) };
    tracing::warn!(job = %ledger.job, "a run did not bring its services back: bringing them back now");
    let projects = ledger.projects.iter().map(|project| project.name.clone()).collect();
    let engine = Docker::new(&ledger.docker, Some(lock));
    // Whoever ended the run may have ended its docker command too, and the engine goes on with a stop whose command is dead: what looks
    // up at first may go down then.
    let cut = ledger.stage == Stage::Stopping;
    // From now on it is this resume that somebody else may take for hung, and not the run.
    ledger.latest_by = Some(Timestamp::now());
    let way = Way { engine: &engine, probe: &Curl, state };
    let returned = match come_back(&way, &mut ledger, cut, &Cancel::default(), &Timestamp::now) {
        Ok(returned) => returned,
        Err(not_back) => {
            // While a stop may go on, what was seen running may end, and is owed as before.
            if !ledger.cut {
                ledger.projects.clone_from(&not_back.projects);
            }
            ledger.write(state)?;
            return Err(not_back.into());
        }
    };
    returned.cleared?;
    for warning in &returned.warnings {
        tracing::warn!("{warning}");
    }
    let ended = ended.iter().map(|holder| format!("{}, process {}", holder.program, holder.process)).collect();
    let resumed = Resumed { job: ledger.job, projects, ended, unhealthy: returned.unhealthy };
    let event = Event::Resumed { projects: resumed.projects.clone(), ended: resumed.ended.clone() };
    journal::append(state, &Record { time: Timestamp::now(), job: resumed.job.clone(), event })?;
    Ok(Some(resumed))
}

/// Gives up what the ledger in `state` names, and returns its text: for a project that nobody wants back, and for a ledger that cannot be
/// understood. The file is kept beside under another name, so a slip can be undone; that needs no room on the disk.
///
/// Errors: as [`resume`], but nothing is started.
pub fn give_up(state: &Path) -> Result<Option<String>, ResumeError> {
    let _lock = Lock::take(state, "resume --forget", false)?;
    Ok(Ledger::forget(state)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_a_ledger_over_has_time_of_its_own_and_knows_of_a_stop_that_may_go_on() {
        for (stage, cut) in [("stopping", true), ("reading", false)] {
            let dir = tempfile::tempdir().unwrap();
            let project = r#"{"name":"p","folder":"/p","files":[],"environment":[],"services":[{"name":"x","scale":1}]}"#;
            let text = format!(
                r#"{{"version":1,"job":"s","started":"2020-01-01T00:00:00Z","latest_by":"2020-01-01T00:00:00Z","stage":"{stage}","docker":"/nowhere","projects":[{project}]}}"#
            );
            std::fs::write(dir.path().join("ledger.json"), text).unwrap();
            let before = Timestamp::now();
            let lock = Lock::take(dir.path(), "test", true).unwrap();
            assert!(matches!(leftovers(dir.path(), &lock), Err(ResumeError::NotBack(_))));
            let left = Ledger::read(dir.path()).unwrap().unwrap();
            assert_eq!((left.stage, left.cut), (Stage::Starting, cut));
            assert!(left.latest_by >= Some(before), "{left:?}");
        }
    }
}
