//! Bringing back to the end: started, seen running, well, and only then out of the ledger.
//!
//! Invariant: the ledger goes when everything that it names was seen running and is well, or when what is not well has been written to
//! the journal: then nothing is owed that starting once more would mend (decision 14). While health is awaited the ledger stays, with
//! a later latest-by time, because the services are not away any more.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    cancel::Cancel,
    engine::Engine,
    health::{self, Probe},
    journal::{self, Event, Record},
    ledger::{Ledger, LedgerError, Stage},
    plan,
    quiesce::{Away, NotBack, bring_back},
};

/// What the engine gives a container to end by itself where its compose file says nothing.
const GRACE: Duration = Duration::from_secs(10);
/// A longer grace than this is not waited for.
const LONGEST_GRACE: Duration = Duration::from_secs(120);
/// Over the wait for health, before somebody else may take us for hung.
const SLACK: Duration = Duration::from_secs(60);

/// The outside world of a return.
pub(crate) struct Way<'a> {
    pub engine: &'a dyn Engine,
    pub probe: &'a dyn Probe,
    pub state: &'a Path,
}

/// Services that run again.
#[derive(Debug)]
pub(crate) struct Returned {
    /// When each project was seen running, by its name.
    pub running: Away,
    /// How long starting took.
    pub starting: Duration,
    /// What is not well, each as one sentence; it stands in the journal already.
    pub unhealthy: Vec<String>,
    /// What a person should know; it hindered nothing.
    pub warnings: Vec<String>,
    /// Whether the ledger is gone.
    pub cleared: Result<(), LedgerError>,
}

/// Brings back what `ledger` names and waits until it is well. `now` is the time of day. `cut` says that a stop was cut short, which
/// may go on in the engine and end what was just started.
///
/// Errors: something does not run; the ledger on the disk still names it.
pub(crate) fn come_back(
    way: &Way<'_>,
    ledger: &mut Ledger,
    cut: bool,
    cancel: &Cancel,
    now: &dyn Fn() -> Timestamp,
) -> Result<Returned, NotBack> {
    let mut warnings = Vec::new();
    if let Err(error) = ledger.advance(way.state, Stage::Starting) {
        // The ledger on the disk names the same services at an earlier stage: good enough to go on.
        warnings.push(error.to_string());
    }
    let begun = Instant::now();
    let mut back = bring_back(way.engine, &ledger.projects)?;
    if cut {
        let members = back.containers.iter().filter(|container| {
            container.compose.as_ref().is_some_and(|compose| ledger.projects.iter().any(|project| project.name == compose.project))
        });
        let grace = members.map(|container| container.grace.unwrap_or(GRACE)).max().unwrap_or(GRACE);
        std::thread::sleep(grace.min(LONGEST_GRACE));
        back = bring_back(way.engine, &ledger.projects)?;
    }
    let starting = begun.elapsed();
    let mut unhealthy = Vec::new();
    if health::is_checked(&ledger.checks, &ledger.projects, &back.containers) {
        let wait = Duration::from_secs(ledger.checks.wait) + SLACK;
        ledger.latest_by = SignedDuration::try_from(wait).ok().and_then(|wait| now().checked_add(wait).ok());
        if let Err(error) = ledger.advance(way.state, Stage::Checking) {
            warnings.push(error.to_string());
        }
        unhealthy = health::wait(way.engine, way.probe, &ledger.checks, &ledger.projects, cancel);
    }
    if !unhealthy.is_empty() {
        let event = Event::Unhealthy { services: unhealthy.clone() };
        if let Err(error) = journal::append(way.state, &Record { time: now(), job: ledger.job.clone(), event }) {
            warnings.push(error.to_string());
        }
    }
    Ok(Returned { running: back.running, starting, unhealthy, warnings, cleared: Ledger::clear(way.state) })
}

/// A second look, after all the rest: services that started and ended again.
pub(crate) fn died(engine: &dyn Engine, projects: &[crate::ledger::Project]) -> Vec<String> {
    if projects.is_empty() {
        return Vec::new();
    }
    match engine.containers() {
        Ok(containers) => projects.iter().flat_map(|project| plan::lacking(project, &containers)).collect(),
        Err(error) => vec![format!("it is not known whether services still run: {error}")],
    }
}
