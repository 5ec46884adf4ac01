//! Whether the next run will succeed, found out without stopping or writing anything.
//!
//! Everything that a run would refuse is looked at with the same functions that the run uses, and all of it is told at once; what a
//! run would not notice, data that no source covers and a disk that is filling up, is told as a warning.

use offsite_archive::JobName;
use offsite_repository::{Archives, Layout, LocalStore, PackName, Repository, RepositoryError};
use serde::Serialize;

use crate::{
    chain,
    config::{Config, Quiesce, Snapshot},
    human::{count, size},
    journal::{self, Event},
    ledger::Ledger,
    modes, place,
    snapshot::{Btrfs, survey},
};

mod services;

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
    repository(config, &mut found);
    state(config, &mut found);
    for (name, job) in &config.jobs {
        let what = format!("job {name}");
        match crate::sources::check_sources(config, name, job) {
            Ok(()) => found.add(Level::Ok, &what, format!("{} can be read", count(job.sources.len(), "source"))),
            Err(error) => found.add(Level::Bad, &what, chain(&error)),
        }
    }
    for (name, job) in config.jobs.iter().filter(|(_, job)| job.snapshot == Snapshot::Auto) {
        let says = survey(&Btrfs::new(None), &job.sources);
        says.into_iter().for_each(|(level, says)| found.add(level, &format!("job {name}"), says));
    }
    if config.jobs.values().any(|job| job.quiesce != Quiesce::None) {
        services::services(config, &mut found);
    }
    found.0
}

fn repository(config: &Config, found: &mut Findings) {
    const WHAT: &str = "repository";
    if let Some(group) = &config.group {
        // The run itself reads the same table.
        let table = std::fs::read_to_string("/etc/group").unwrap_or_default();
        if let Err(error) = modes::gid(group, &table) {
            found.add(Level::Bad, "group", error.to_string());
        }
    }
    let looked = LocalStore::open(&config.repository).map_err(crate::RunError::Local).and_then(|local| {
        let runtime = place::runtime()?;
        let looked = runtime.block_on(async {
            let repository = Repository::open(std::sync::Arc::new(local)).await?;
            Ok::<_, RepositoryError>((repository.layout(), repository.archives().await?, repository.packs().await?.0))
        });
        looked.map_err(crate::RunError::Repository)
    });
    let (layout, archives, files) = match looked {
        Ok(looked) => looked,
        Err(error) => return found.add(Level::Bad, WHAT, chain(&error)),
    };
    if layout != Layout::Plain {
        return found.add(
            Level::Bad,
            WHAT,
            format!("{} has the layout \"{layout}\"; the agent writes only \"plain\" ones", config.repository.display()),
        );
    }
    found.add(Level::Ok, WHAT, format!("{}: {}", config.repository.display(), count(archives.good.len(), "archive")));
    for bad in &archives.unreadable {
        found.add(Level::Warning, WHAT, format!("{} cannot be read: {}", bad.object, chain(&bad.error)));
    }
    for file in &files {
        if let PackName::Archive(name) = &file.name
            && archives.good.iter().all(|info| info.name != *name)
            && archives.unreadable.iter().all(|bad| bad.object != offsite_repository::manifest_path(name).to_string())
        {
            found.add(Level::Warning, WHAT, format!("{} has no manifest, so nobody fetches it; its tail holds a copy", file.name.path()));
        }
    }
    space(config, &archives, found);
}

fn space(config: &Config, archives: &Archives, found: &mut Findings) {
    const WHAT: &str = "space";
    let free = match rustix::fs::statvfs(&config.repository) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => {
            return found.add(Level::Bad, WHAT, format!("cannot ask {} for its free space: {error}", config.repository.display()));
        }
    };
    let newest = |job: &JobName| archives.good.iter().filter(|info| info.name.job == *job).max_by_key(|info| info.sequence);
    let largest = config.jobs.keys().filter_map(newest).map(|info| info.end.bytes).max().unwrap_or(0);
    let says = format!("{} are free", size(free));
    if free < largest {
        found.add(Level::Bad, WHAT, format!("{says}, less than the newest archive needs ({}): keep fewer, or make room", size(largest)));
    } else if free / 2 < largest {
        found.add(Level::Warning, WHAT, format!("{says}, less than twice the newest archive ({})", size(largest)));
    } else {
        found.add(Level::Ok, WHAT, says);
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
    match journal::read(&config.state) {
        Err(error) => found.add(Level::Bad, "journal", chain(&error)),
        Ok(records) => {
            for name in config.jobs.keys() {
                let runs = records
                    .iter()
                    .rev()
                    .filter(|record| record.job == *name && matches!(record.event, Event::Made { .. } | Event::Failed { .. }));
                match runs.map(|record| (record.time, &record.event)).next() {
                    Some((time, Event::Failed { error })) => {
                        found.add(Level::Warning, &format!("job {name}"), format!("the last run failed at {time:.0}: {error}"))
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
