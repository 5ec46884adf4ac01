//! The part of a run with services away: stop, read, bring back.
//!
//! Invariants: nothing is stopped before the ledger and the watch that ends the downtime stand; services are brought back on every way
//! out, an error, a panic of ours and a reader that never returns included; the ledger names them until they are.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use offsite_archive::{JobName, Quiesced};

pub(crate) use crate::budget::Late;
use crate::{
    cancel::Cancel,
    comeback::{AGAIN, Returned, Way, come_back},
    config::{Config, Job, Quiesce, Scope, words},
    engine::Engine,
    error::RunError,
    groups::Group,
    health::Probe,
    ledger::{Checks, Ledger, Project, Stage},
    plan,
    quiesce::{self, Away, NotBack, QuiesceError},
    sources::{Root, There},
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
    /// Told what does not come back, as soon as that is known.
    pub owed: &'a dyn Fn(&NotBack),
}

/// What was read while services were away, and how they came back.
#[derive(Debug, Default)]
pub(crate) struct Back {
    /// What was away, and for how long.
    pub quiesced: Vec<Quiesced>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Why what was read is not of one moment, or not all of it: services came back before the reader was done, by us or by somebody
    /// else, or took what was mounted with them.
    pub late: Option<String>,
    /// Services that came back and are not well, each as one sentence.
    pub unhealthy: Vec<String>,
    /// Something did not come back; the ledger names it. What was read is what lay there, but nobody knows whether it can be started from.
    pub owed: bool,
    /// That services were away for longer than the job allows, though all was read in time: what was read is good.
    pub over: Option<String>,
    /// How long starting took.
    pub starting: Option<Duration>,
}

impl Window<'_> {
    /// One downtime after the other: those of `steps`. Where services did not come back, or are not well, no others are stopped any more,
    /// and the rest is read while they run.
    ///
    /// Errors: as [`Window::with`]; then no further step was begun.
    pub(crate) fn each<'s>(
        &self,
        steps: &'s [Group],
        mut read: impl FnMut(&Late, &'s [Root]) -> Result<(), RunError>,
    ) -> Result<Back, RunError> {
        let mut all = Back::default();
        let mut unstopped = None;
        let known = self.known(steps)?;
        for step in steps {
            let projects = if all.unhealthy.is_empty() && !all.owed { step.projects.as_slice() } else { &[] };
            if projects.len() < step.projects.len() {
                let names = step.projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>().join(", ");
                all.warnings.push(format!("{names} went on running while it was read, because others did not come back well"));
            }
            // What the engine unmounts with a service is an empty folder then.
            let there = if projects.is_empty() { None } else { Some(There::look(&step.roots)?) };
            let (mut gone, mut woken) = (None, None);
            let back = self.with(projects, |late| {
                gone = there.map_or(Ok(None), |there| there.gone())?;
                read(late, &step.roots)?;
                // Before we bring anything back ourselves; the watch goes on, should the engine not answer.
                (woken, unstopped) = self.awake(projects, &known);
                Ok(())
            })?;
            all.quiesced.extend(back.quiesced);
            all.warnings.extend(back.warnings);
            // Who was late found what came back for that.
            let woken = if back.late.is_some() { None } else { woken };
            all.late = [all.late, back.late, woken, gone].into_iter().flatten().reduce(|one, other| format!("{one}; {other}"));
            all.unhealthy.extend(back.unhealthy);
            all.owed |= back.owed;
            all.over = all.over.or(back.over);
            all.starting = all.starting.max(back.starting);
            if self.cancel.is_set() {
                return Err(RunError::Stopped);
            }
        }
        all.late = [all.late, unstopped].into_iter().flatten().reduce(|one, other| format!("{one}; {other}"));
        Ok(all)
    }

    /// The projects that may run while files are read, or will have been stopped: those of `steps`, and with `scope: each` those of which
    /// nothing lies below the sources.
    fn known(&self, steps: &[Group]) -> Result<BTreeSet<String>, RunError> {
        let mut known: BTreeSet<String> = steps.iter().flat_map(|step| &step.projects).map(|project| project.name.clone()).collect();
        if self.job.quiesce != Quiesce::None && self.job.scope == Scope::Each {
            let containers = self.engine.containers().map_err(QuiesceError::Engine)?;
            known.extend(plan::plan(&containers, self.job, &quiesce::real).projects.into_iter().map(|project| project.name));
        }
        Ok(known)
    }

    /// Why what was read may not be of one moment though we stopped `away`: somebody else started services meanwhile, and they run now;
    /// and others write there that the job does not stop.
    fn awake(&self, away: &[Project], known: &BTreeSet<String>) -> (Option<String>, Option<String>) {
        if self.job.quiesce == Quiesce::None {
            return (None, None);
        }
        let containers = match self.engine.containers() {
            Ok(containers) => containers,
            Err(error) => {
                return (Some(format!("it is not known whether somebody started services while files were read: {error}")), None);
            }
        };
        let why = |says: &str, names: Vec<String>| {
            (!names.is_empty()).then(|| format!("{says}, so this archive replaces no good one: {}", names.join(", ")))
        };
        (
            why("somebody started services while files were read", plan::woken(away, known, self.job, &containers, &quiesce::real)),
            why("not all was at rest while files were read", plan::unstopped(&containers, self.job, &quiesce::real)),
        )
    }

    /// Stops `projects`, lets `read` read, and brings exactly them back; without projects it just reads. When the budget is about to
    /// be over they come back while `read` is still at work, and [`Late`] tells it.
    ///
    /// Errors: those of `read` and a panic in it, and why services were not stopped. That they are not back is none: what was read is there.
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
            let watch = || late.watch(return_at).then(|| insist(&way, &mut watched, &late, cancel, &now));
            let watch = std::thread::Builder::new().spawn_scoped(scope, watch).map_err(|source| RunError::Watch { source })?;
            // Even a defect of ours must not leave services down.
            let read = catch_unwind(AssertUnwindSafe(|| {
                let limit = begun + self.job.budget;
                let warnings = quiesce::stop(engine, &mut ledger, &self.config.state, cancel, self.job, limit, &mut away)?;
                late.reading();
                read(&late)?;
                Ok(warnings)
            }))
            .unwrap_or_else(|panic| Err(RunError::Defect(crate::human::defect(&*panic))));
            let in_time = late.done();
            let returned = match watch.join() {
                Ok(Some(returned)) => returned,
                // In time, or a defect in the watch: what it may have started is left alone by starting again.
                Ok(None) | Err(_) => {
                    let cut = matches!(&read, Err(RunError::Quiesce(error)) if error.may_go_on());
                    come_back(&way, &mut ledger, cut, cancel, &now)
                }
            };
            Ok::<_, RunError>((read, in_time, returned))
        })?;

        let late = (!in_time).then(|| {
            let budget = words(self.job.budget);
            format!("services may be away for {budget}, so they came back before all was read: the rest was read while they ran")
        });
        if let Err(not_back) = &returned {
            (self.owed)(not_back);
        }
        let mut warnings = read?;
        let Ok(returned) = returned else {
            return Ok(Back { quiesced: seconds(away, &Away::new()), warnings, late, owed: true, ..Back::default() });
        };
        returned.cleared?;
        warnings.extend(returned.warnings);
        let quiesced = seconds(away, &returned.running);
        let longest = quiesced.iter().map(|quiesced| quiesced.seconds).fold(0.0, f64::max);
        let over = (longest > self.job.budget.as_secs_f64()).then(|| {
            let (budget, starting) = (words(self.job.budget), returned.starting.as_secs_f64());
            format!("services were away for {longest:.1} s, of which starting took {starting:.1} s, and the job allows {budget}; what was read is good")
        });
        let starting = Some(returned.starting);
        Ok(Back { quiesced, warnings, late, unhealthy: returned.unhealthy, over, starting, owed: false })
    }

    fn ledger(&self, projects: &[Project], wall: Timestamp) -> Ledger {
        let budget = SignedDuration::try_from(self.job.budget).ok();
        Ledger {
            version: 1,
            job: self.name.clone(),
            started: self.started,
            latest_by: budget.and_then(|budget| wall.checked_add(budget).ok()),
            stage: Stage::Stopping,
            cut: false,
            docker: self.config.docker.clone(),
            checks: Checks::from(&self.job.health),
            projects: projects.to_vec(),
        }
    }
}

/// Brings back what `ledger` names beside a reader that is late: again and again, because nobody else can while it reads on.
fn insist(way: &Way<'_>, ledger: &mut Ledger, late: &Late, cancel: &Cancel, now: &dyn Fn() -> Timestamp) -> Result<Returned, NotBack> {
    loop {
        let returned = come_back(way, ledger, false, cancel, now);
        match &returned {
            Err(not_back) if !late.ends_within(AGAIN) => tracing::warn!("{not_back}\ntrying again, because the reader is still at work"),
            _ => return returned,
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
