//! Whether the next run will succeed, found out without stopping or writing anything.
//!
//! Everything that a run would refuse is looked at with the same functions that the run uses, and all of it is told at once; what a
//! run would not notice, data that no source covers and a disk that is filling up, is told as a warning.

use std::path::Path;

use serde::Serialize;

use crate::{
    config::{Config, Quiesce, Snapshot},
    durable::DurableError,
    human::{chain, count},
    journal::{self, Event, Record},
    ledger::Ledger,
    lock,
    snapshot::Btrfs,
};

mod installed;
mod repository;
mod services;
mod snapshots;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// A run would succeed, and somebody should look all the same.
    Warning,
    /// A run would fail.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub what: String,
    /// What was found, one sentence.
    pub says: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, level: Level, what: &str, says: impl Into<String>) {
        self.0.push(Finding { level, what: what.into(), says: says.into() });
    }
}

/// Looks at everything that a run of any job of `config` needs.
pub fn check(config: &Config) -> Vec<Finding> {
    let mut found = Findings::default();
    found.add(Level::Ok, "configuration", format!("{}: {}", config.path.display(), count(config.jobs.len(), "job")));
    repository::repository(config, &mut found);
    state(config, &mut found);
    installed::installed(config, &installed::FOLDERS.map(Path::new), &mut found);
    for (name, job) in &config.jobs {
        let what = format!("job {name}");
        let wrong = crate::sources::check_sources(config, name, job);
        if wrong.is_empty() {
            found.add(Level::Ok, &what, format!("{} can be read", count(job.sources.len(), "source")));
            match crate::sources::empty(config, name, job) {
                Ok(empty) => empty.into_iter().for_each(|says| found.add(Level::Warning, &what, says)),
                Err(error) => found.add(Level::Bad, &what, chain(&error)),
            }
        }
        wrong.iter().for_each(|error| found.add(Level::Bad, &what, chain(error)));
    }
    for (name, job) in config.jobs.iter().filter(|(_, job)| job.snapshot == Snapshot::Auto) {
        let says = snapshots::survey(&Btrfs::new(None), &job.sources);
        says.into_iter().for_each(|(level, says)| found.add(level, &format!("job {name}"), says));
    }
    if config.jobs.values().any(|job| job.quiesce != Quiesce::None) {
        services::services(config, &mut found);
    }
    found.0
}

/// The journal, and whether somebody held the lock when it read so.
fn records(state: &Path) -> Result<(Vec<Record>, bool), DurableError> {
    loop {
        let (records, held) = (journal::read(state)?, lock::is_held(state));
        // A run that ended in between has said so by now.
        if journal::read(state)? == records {
            return Ok((records, held));
        }
    }
}

fn state(config: &Config, found: &mut Findings) {
    match Ledger::read(&config.state) {
        Ok(None) => {}
        Ok(Some(ledger)) => {
            let projects = ledger.projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>().join(", ");
            found.add(
                Level::Bad,
                "ledger",
                format!("a run of {} is under way, or left stopped: {projects} (offsite-agent resume)", ledger.job),
            );
        }
        Err(error) => found.add(Level::Bad, "ledger", chain(&error)),
    }
    match records(&config.state) {
        Err(error) => found.add(Level::Bad, "journal", chain(&error)),
        Ok((records, held)) => {
            let newest = records.iter().rfind(|record| record.event == Event::Began);
            for name in config.jobs.keys() {
                let runs = records.iter().rev().filter(|record| {
                    record.job == *name && matches!(record.event, Event::Began | Event::Made { .. } | Event::Failed { .. })
                });
                match runs.map(|record| (record.time, &record.event)).next() {
                    // One run at a time: of two that did not end only the newest can go on.
                    Some((time, Event::Began)) if held && newest.is_some_and(|newest| newest.job == *name) => {
                        found.add(Level::Ok, &format!("job {name}"), format!("a run began at {time:.0} and goes on"))
                    }
                    Some((time, Event::Began)) => {
                        found.add(Level::Warning, &format!("job {name}"), format!("the run that began at {time:.0} did not end"))
                    }
                    Some((time, Event::Failed { error, notes })) => {
                        found.add(Level::Warning, &format!("job {name}"), format!("the last run failed at {time:.0}: {error}"));
                        notes.iter().for_each(|note| found.add(Level::Warning, &format!("job {name}"), format!("that run found: {note}")));
                    }
                    Some((time, Event::Made { degraded: Some(reason), .. })) => {
                        found.add(Level::Warning, &format!("job {name}"), format!("the last run, at {time:.0}: {reason}"))
                    }
                    Some((time, _)) => found.add(Level::Ok, &format!("job {name}"), format!("the last run made an archive at {time:.0}")),
                    None => found.add(Level::Warning, &format!("job {name}"), "it has never run"),
                }
            }
        }
    }
}
