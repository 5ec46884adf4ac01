//! The part of a run with services away: stop, read, bring back.
//!
//! Invariants: nothing is stopped before the ledger and the watch that ends the downtime stand; services are brought back on every way
//! out, an error, a panic of ours and a reader that never returns included; the ledger names them until they are.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use offsite_archive::{JobName, Quiesced};

pub(crate) use crate::budget::Late;
use crate::{
    cancel::Cancel,
    comeback::{Way, come_back},
    config::{Config, Job, words},
    engine::Engine,
    groups::{Group, Root},
    health::{Checks, Probe},
    ledger::{Ledger, Project, Stage},
    quiesce::{self, Away},
    run::RunError,
};

/// What a downtime of one run needs.
pub(crate) struct Window<'a> {
    pub engine: &'a dyn Engine,
    pub probe: &'a dyn Probe,
    pub config: &'a Config,
    pub name: &'a JobName,
    pub job: &'a Job,
    /// When the run began.
    pub started: Timestamp,
    pub clock: &'a dyn Fn() -> Timestamp,
    pub cancel: &'a Cancel,
    /// How much of the budget is kept for starting.
    pub margin: Duration,
}

/// What was read while services were away, and how they came back.
#[derive(Debug, Default)]
pub(crate) struct Back {
    /// What was away, and for how long.
    pub quiesced: Vec<Quiesced>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Why what was read is not of one moment: services came back before the reader was done.
    pub late: Option<String>,
    /// Services that came back and are not well, each as one sentence.
    pub unhealthy: Vec<String>,
    /// How long starting took.
    pub starting: Option<Duration>,
}

impl Window<'_> {
    /// One downtime after the other: those of `steps`. Where services came back and are not well, no others are stopped any more, and
    /// the rest is read while they run.
    ///
    /// Errors: as [`Window::with`]; then no further step was begun.
    pub(crate) fn each<'s>(
        &self,
        steps: &'s [Group],
        mut read: impl FnMut(&Late, &'s [Root]) -> Result<(), RunError>,
    ) -> Result<Back, RunError> {
        let mut all = Back::default();
        for step in steps {
            let projects = if all.unhealthy.is_empty() { step.projects.as_slice() } else { &[] };
            if projects.len() < step.projects.len() {
                let names = step.projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>().join(", ");
                all.warnings.push(format!("{names} went on running while it was read, because others are back and not well"));
            }
            let back = self.with(projects, |late| read(late, &step.roots))?;
            all.quiesced.extend(back.quiesced);
            all.warnings.extend(back.warnings);
            all.late = all.late.or(back.late);
            all.unhealthy.extend(back.unhealthy);
            all.starting = all.starting.max(back.starting);
            if self.cancel.is_set() {
                return Err(RunError::Stopped);
            }
        }
        Ok(all)
    }

    /// Stops `projects`, lets `read` read, and brings exactly them back; without projects it just reads. When the budget is about to
    /// be over they come back while `read` is still at work, and [`Late`] tells it.
    ///
    /// Errors: those of `read`, and why services were not stopped or are not back.
    pub(crate) fn with(&self, projects: &[Project], read: impl FnOnce(&Late) -> Result<(), RunError>) -> Result<Back, RunError> {
        let late = Late::new();
        if projects.is_empty() {
            read(&late)?;
            return Ok(Back::default());
        }
        let (begun, wall) = (Instant::now(), (self.clock)());
        // From the clock once and then counted: the watch runs beside us, and a clock that is set meanwhile changes nothing.
        let now = move || SignedDuration::try_from(begun.elapsed()).ok().and_then(|since| wall.checked_add(since).ok()).unwrap_or(wall);
        let mut ledger = self.ledger(projects, wall);
        let (engine, cancel) = (self.engine, self.cancel);
        let way = Way { engine, probe: self.probe, state: &self.config.state };
        let return_at = begun + self.job.budget.saturating_sub(self.margin);
        let mut away = Away::new();

        let mut watched = ledger.clone();
        let (read, in_time, returned) = std::thread::scope(|scope| {
            let watch = || late.watch(return_at).then(|| come_back(&way, &mut watched, false, cancel, &now));
            let watch = std::thread::Builder::new().spawn_scoped(scope, watch).map_err(|source| RunError::Watch { source })?;
            // Even a defect of ours must not leave services down: a panic goes on only after they are back.
            let read = catch_unwind(AssertUnwindSafe(|| {
                let limit = begun + self.job.budget;
                let warnings = quiesce::stop(engine, &mut ledger, &self.config.state, cancel, self.job, limit, &mut away)?;
                late.reading();
                read(&late)?;
                Ok(warnings)
            }));
            let in_time = late.done();
            let returned = match watch.join() {
                Ok(Some(returned)) => returned,
                // In time, or a defect in the watch: what it may have started is left alone by starting again.
                Ok(None) | Err(_) => {
                    let cut = matches!(&read, Ok(Err(RunError::Quiesce(error))) if error.is_late());
                    come_back(&way, &mut ledger, cut, cancel, &now)
                }
            };
            Ok::<_, RunError>((read, in_time, returned))
        })?;

        let returned = match returned {
            Ok(returned) => returned,
            Err(not_back) => {
                let after = read.ok().and_then(Result::err).map(Box::new);
                return Err(RunError::NotBack { not_back, after });
            }
        };
        let mut warnings: Vec<String> = read.unwrap_or_else(|panic| resume_unwind(panic))?;
        returned.cleared?;
        warnings.extend(returned.warnings);
        let late = (!in_time).then(|| {
            let budget = words(self.job.budget);
            format!("services may be away for {budget}, so they came back before all was read: the rest was read while they ran")
        });
        let quiesced = seconds(away, &returned.running);
        Ok(Back { quiesced, warnings, late, unhealthy: returned.unhealthy, starting: Some(returned.starting) })
    }

    fn ledger(&self, projects: &[Project], wall: Timestamp) -> Ledger {
        let budget = SignedDuration::try_from(self.job.budget).ok();
        Ledger {
            version: 1,
            job: self.name.clone(),
            started: self.started,
            latest_by: budget.and_then(|budget| wall.checked_add(budget).ok()),
            stage: Stage::Stopping,
            docker: self.config.docker.clone(),
            checks: Checks::from(&self.job.health),
            projects: projects.to_vec(),
        }
    }
}

/// How long each project was away.
fn seconds(away: Away, running: &Away) -> Vec<Quiesced> {
    let of = |(project, since): (String, Instant)| {
        let until = running.iter().find(|(name, _)| *name == project).map_or_else(Instant::now, |(_, until)| *until);
        // To the millisecond: more would be noise in every manifest.
        Quiesced { project, seconds: (until.saturating_duration_since(since).as_secs_f64() * 1000.0).round() / 1000.0 }
    };
    away.into_iter().map(of).collect()
}

#[cfg(test)]
#[path = "away_tests.rs"]
mod tests;
