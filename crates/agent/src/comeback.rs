//! Bringing back to the end: started, seen running, well, and only then out of the ledger.
//!
//! Invariant: the ledger goes when everything that it names was seen running and is well, or when what is not well has been written to
//! the journal: then nothing is owed that starting once more would mend (decision 14). While health is awaited the ledger stays, with
//! a later latest-by time, because the services are not away any more. The same while a stop that was cut short may go on in the engine:
//! the engine alone knows of it, so only the containers' own grace says when it is over. A defect of ours on the way ends neither the
//! process nor the attempt.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    cancel::Cancel,
    engine::{Container, Engine},
    health::{self, Probe},
    journal::{self, Event, Record},
    ledger::{Ledger, LedgerError, Project, Stage},
    plan,
    quiesce::{Away, NotBack, Started, bring_back},
};

/// Between two attempts to bring back beside a reader that goes on; as the unit of a resume does.
pub(crate) const AGAIN: Duration = if cfg!(test) { Duration::from_millis(10) } else { Duration::from_secs(30) };
/// What the engine gives a container to end by itself where its compose file says nothing.
const GRACE: Duration = Duration::from_secs(10);
/// A longer grace than this is not waited for: less than what the unit of a resume may take, or it would be begun anew for ever.
const LONGEST_GRACE: Duration = Duration::from_secs(5 * 60 * 60);
/// How long a container may take to be gone that was killed after its grace.
const DYING: Duration = if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(5) };
/// Between two looks at services that may be ended by a stop that was cut short.
const LOOK: Duration = if cfg!(test) { Duration::from_millis(10) } else { Duration::from_secs(1) };
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
/// may go on in the engine and end what was just started: then they are brought back again until that is over, and the ledger says so.
///
/// Errors: something does not run, or a panic of ours left that unknown; the ledger on the disk still names it.
pub(crate) fn come_back(
    way: &Way<'_>,
    ledger: &mut Ledger,
    cut: bool,
    cancel: &Cancel,
    now: &dyn Fn() -> Timestamp,
) -> Result<Returned, NotBack> {
    catch_unwind(AssertUnwindSafe(|| to_the_end(way, ledger, cut, cancel, now))).unwrap_or_else(|panic| {
        // Starting needs none of what may have failed around it: no words, no looks, no files.
        for project in ledger.projects.iter().rev() {
            drop(catch_unwind(AssertUnwindSafe(|| way.engine.up(project, Duration::MAX))));
        }
        let reason = format!("it is not known whether all was started, because of {}", crate::human::defect(&*panic));
        Err(NotBack { reasons: vec![reason], projects: ledger.projects.clone() })
    })
}

fn to_the_end(way: &Way<'_>, ledger: &mut Ledger, cut: bool, cancel: &Cancel, now: &dyn Fn() -> Timestamp) -> Result<Returned, NotBack> {
    let left = ledger.latest_by.and_then(|latest_by| Duration::try_from(latest_by.duration_since(now())).ok()).unwrap_or_default();
    let mut warnings = Vec::new();
    ledger.cut |= cut;
    if let Err(error) = ledger.advance(way.state, Stage::Starting) {
        // The ledger on the disk names the same services at an earlier stage: good enough to go on.
        warnings.push(error.to_string());
    }
    // What is to end still runs: where nothing runs, nothing is being stopped any more. Asked only after the ledger is written: until
    // then whoever finds it takes us for the run that is overdue.
    let cut =
        ledger.cut && way.engine.containers().map_or(true, |containers| !plan::still_running(&ledger.projects, &containers).is_empty());
    let begun = Instant::now();
    let mut back = bring_back(way.engine, &ledger.projects, left)?;
    let starting = begun.elapsed();
    if cut {
        let over = grace(&ledger.projects, &back.containers) + DYING;
        // Nobody may take us for hung meanwhile.
        ledger.latest_by = SignedDuration::try_from(over).ok().and_then(|over| now().checked_add(over).ok());
        if let Err(error) = ledger.advance(way.state, Stage::Starting) {
            warnings.push(error.to_string());
        }
        back = outlast(way.engine, &ledger.projects, over)?;
    }
    ledger.cut = false;
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

/// How long a stop that is under way in the engine may take to end `projects`: pure.
fn grace(projects: &[Project], containers: &[Container]) -> Duration {
    let member = |container: &&Container| {
        container.compose.as_ref().is_some_and(|compose| projects.iter().any(|project| project.name == compose.project))
    };
    let graces = containers.iter().filter(member).map(|container| container.grace.unwrap_or(GRACE));
    graces.max().unwrap_or(GRACE).min(LONGEST_GRACE)
}

/// Brings back what ends within the time `over`, as soon as it does.
fn outlast(engine: &dyn Engine, projects: &[Project], over: Duration) -> Result<Started, NotBack> {
    let end = Instant::now() + over;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // Started once more in any case: what was ended at the very last is not seen by a look.
            return bring_back(engine, projects, Duration::MAX);
        }
        std::thread::sleep(left.min(LOOK));
        if !died(engine, projects).is_empty() {
            bring_back(engine, projects, Duration::MAX)?;
        }
    }
}

/// A second look, after all the rest: services that started and ended again.
pub(crate) fn died(engine: &dyn Engine, projects: &[Project]) -> Vec<String> {
    if projects.is_empty() {
        return Vec::new();
    }
    match engine.containers() {
        Ok(containers) => projects.iter().flat_map(|project| plan::lacking(project, &containers)).collect(),
        Err(error) => vec![format!("it is not known whether services still run: {error}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, project};

    #[test]
    fn the_longest_grace_of_what_comes_back_counts_however_long() {
        let mut containers = Fake::new(&["a", "b", "c"]).containers().unwrap();
        let seconds = Duration::from_secs;
        for (container, grace) in containers.iter_mut().zip([Some(seconds(150)), None, Some(seconds(9999))]) {
            container.grace = grace;
        }
        let of = |names: &[&str]| grace(&names.iter().map(|name| project(name)).collect::<Vec<_>>(), &containers);
        assert_eq!([of(&["a", "b"]), of(&["b"]), of(&["c", "a"]), of(&["gone"])], [150, 10, 9999, 10].map(seconds));
        containers[0].grace = Some(Duration::MAX);
        assert_eq!(grace(&[project("a")], &containers), LONGEST_GRACE);
    }
}
