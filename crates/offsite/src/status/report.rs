//! The status as a value: what the screen shows and `--json` prints. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use offsite_archive::{ArchiveName, JobName};
use serde::Serialize;

use super::{Alarm, Facts, Held, alarm};
use crate::{
    config::{Cloud, CloudUrl, PlaceName},
    exit::Exit,
    journal::{Moved, Outcome},
    night,
    owed::{self, Schedule},
    tripwire::{Change, Expected},
};

/// Everything the status says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// When it was made.
    pub time: Timestamp,
    /// `fine`, `failed`, `incomplete` or `overdue`: the process's exit in a word.
    pub verdict: &'static str,
    /// Each job, by name.
    pub jobs: Vec<JobReport>,
    /// The daemon's runs.
    pub run: RunReport,
    /// Three copies, two media, one off site.
    pub rule: Rule321,
    /// Damaged packs that lie in the repository's folder `damaged`: this disk made errors.
    #[serde(skip_serializing_if = "is_none")]
    pub set_aside: usize,
    /// What is not as it should be, worst first.
    pub alarms: Vec<Alarm>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// One job in all places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobReport {
    /// The job.
    pub job: JobName,
    /// Each place: Pis that were seen to have it, the Mac, the clouds.
    pub places: Vec<PlaceReport>,
    /// What the last pull moved. Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulled: Option<MovedReport>,
    /// What the last push to each cloud moved.
    pub pushed: BTreeMap<PlaceName, MovedReport>,
    /// What the tripwire compares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tripwire: Option<TripwireReport>,
}

/// How much of an archive stays in the next. Per cent of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TripwireReport {
    /// The newest good archive that was compared.
    pub archive: ArchiveName,
    /// How much of the one before is in it.
    pub stays: u64,
    /// What is expected of the next night.
    #[serde(flatten)]
    pub expected: Expected,
}

/// One job in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceReport {
    /// The place.
    pub place: PlaceName,
    /// What it is.
    pub kind: PlaceKind,
    /// The newest archive it is known to hold.
    pub newest: Option<ArchiveName>,
    /// How many it is known to hold.
    pub count: u64,
    /// How many it should keep, where we decide that.
    pub keep: Option<usize>,
    /// When the newest was last read back there, or arrived with every frame checked.
    pub verified: Option<Timestamp>,
    /// When the place was last listed.
    pub seen: Option<Timestamp>,
}

/// What a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaceKind {
    /// A Pi.
    Pi,
    /// This Mac.
    Mac,
    /// Object storage elsewhere.
    Cloud,
    /// A folder of sealed copies on some disk.
    Disk,
}

impl PlaceKind {
    /// Whether sealed copies go there.
    pub fn is_cloud(self) -> bool {
        matches!(self, Self::Cloud | Self::Disk)
    }

    fn of(cloud: &Cloud) -> Self {
        match cloud.url {
            CloudUrl::S3 { .. } => Self::Cloud,
            CloudUrl::File(_) => Self::Disk,
        }
    }
}

/// What one transfer moved. Bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedReport {
    /// When it ended.
    pub time: Timestamp,
    /// The archive.
    pub archive: ArchiveName,
    /// What was moved.
    pub moved: u64,
    /// What the archive is.
    pub total: u64,
}

/// The daemon's runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// When the last ended, and how.
    pub last: Option<LastRun>,
    /// When the slot that is owed was due.
    pub owed: Option<Timestamp>,
    /// The next slot.
    pub next: Option<Timestamp>,
}

/// How the last run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LastRun {
    /// When it ended.
    pub time: Timestamp,
    /// How.
    pub outcome: Outcome,
}

/// Three copies, two media, one off site: counted for the job that has the fewest, over places whose newest archive is fresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule321 {
    /// Whether it holds for every job.
    pub holds: bool,
    /// Fresh copies of the job with the fewest.
    pub copies: usize,
    /// Those of them that are off site.
    pub off_site: usize,
    /// That job, where it does not hold.
    pub job: Option<JobName>,
}

impl Report {
    /// The report of `facts`.
    pub fn of(facts: &Facts) -> Self {
        let jobs: Vec<JobReport> = names(facts).into_iter().map(|job| job_report(facts, job)).collect();
        let alarms = alarm::alarms(facts, &jobs);
        let exit = worst(&alarms);
        let schedule = Schedule { at: facts.config.at, zone: facts.zone.clone() };
        Self {
            time: facts.now,
            verdict: match exit {
                Exit::Fine | Exit::Differs => "fine",
                Exit::Incomplete => "incomplete",
                Exit::Overdue => "overdue",
                Exit::Failed | Exit::Usage => "failed",
            },
            rule: rule(facts, &jobs),
            jobs,
            run: RunReport {
                last: facts.standing.last_run.map(|(time, outcome)| LastRun { time, outcome }),
                owed: owed::owed(&schedule, facts.now, facts.standing.settled).map(|owed| owed.due),
                next: schedule.next(facts.now),
            },
            set_aside: facts.local.set_aside,
            alarms,
        }
    }

    /// How the process ends.
    pub fn exit(&self) -> Exit {
        worst(&self.alarms)
    }
}

fn worst(alarms: &[Alarm]) -> Exit {
    alarms.iter().fold(Exit::Fine, |exit, alarm| exit.worst(alarm.kind.exit()))
}

/// Every job that is configured, held or was seen anywhere that is still configured.
fn names(facts: &Facts) -> BTreeSet<JobName> {
    let places: BTreeSet<&PlaceName> =
        facts.config.pis.iter().map(|pi| &pi.name).chain(facts.config.clouds.iter().map(|cloud| &cloud.name)).collect();
    let mut names: BTreeSet<JobName> = facts.config.jobs.keys().cloned().collect();
    names.extend(facts.local.archives.iter().map(|held| held.name.job.clone()));
    let seen = facts.standing.held.iter().filter(|(place, _)| places.contains(place));
    names.extend(seen.flat_map(|(_, jobs)| jobs.keys().cloned()));
    names
}

fn job_report(facts: &Facts, job: JobName) -> JobReport {
    let (config, standing) = (&facts.config, &facts.standing);
    let known = |place: &PlaceName, kind, keep| {
        let holding = standing.held.get(place).and_then(|jobs| jobs.get(&job));
        let newest = holding.filter(|holding| holding.count > 0).map(|holding| holding.newest.clone());
        PlaceReport {
            place: place.clone(),
            kind,
            verified: newest.as_ref().and_then(|newest| standing.verified.get(&(place.clone(), newest.clone())).copied()),
            newest,
            count: holding.map_or(0, |holding| holding.count),
            keep,
            seen: standing.seen.get(place).copied(),
        }
    };
    let pis = config.pis.iter().map(|pi| known(&pi.name, PlaceKind::Pi, None)).filter(|place| place.newest.is_some());
    let mut places: Vec<PlaceReport> = pis.collect();
    let here: Vec<&Held> = facts.local.archives.iter().filter(|held| held.name.job == job).collect();
    let (mac, newest) = (PlaceName::mac(), night::newest(here.iter().map(|held| &held.name), facts.now).cloned());
    places.push(PlaceReport {
        verified: newest.as_ref().and_then(|newest| standing.verified.get(&(mac.clone(), newest.clone())).copied()),
        newest,
        count: here.len() as u64,
        keep: Some(config.keep_of(&job).get()),
        seen: facts.local.problem.is_none().then_some(facts.now),
        kind: PlaceKind::Mac,
        place: mac,
    });
    places.extend(config.clouds.iter().map(|cloud| known(&cloud.name, PlaceKind::of(cloud), Some(cloud.keep.get()))));
    let pushed = config.clouds.iter().filter_map(|cloud| {
        let moved = standing.pushed.get(&(cloud.name.clone(), job.clone()))?;
        Some((cloud.name.clone(), moved.into()))
    });
    JobReport { places, pulled: standing.pulled.get(&job).map(Into::into), pushed: pushed.collect(), tripwire: tripwire(facts, &job), job }
}

/// As the night counts: good archives since the last that a person accepted.
fn tripwire(facts: &Facts, job: &JobName) -> Option<TripwireReport> {
    let standing = &facts.standing;
    let here = |name: &ArchiveName| facts.local.archives.iter().any(|held| held.name == *name);
    let good = standing.compared.iter().filter(|(name, _)| name.job == *job && here(name) && !standing.suspicious.contains_key(*name));
    let mut good: Vec<(&ArchiveName, Change)> = good.map(|(name, compared)| (name, compared.change)).collect();
    if let Some(since) = good.iter().rposition(|(name, _)| standing.accepted.contains(*name)) {
        good.drain(..since);
    }
    let (archive, last) = good.last().cloned()?;
    let changes: Vec<Change> = good.iter().map(|(_, change)| *change).collect();
    Some(TripwireReport { archive: archive.clone(), stays: last.stays(), expected: Expected::of(&changes, 1).for_change(&last) })
}

impl From<&Moved> for MovedReport {
    fn from(moved: &Moved) -> Self {
        Self { time: moved.time, archive: moved.archive.clone(), moved: moved.moved, total: moved.total }
    }
}

fn rule(facts: &Facts, jobs: &[JobReport]) -> Rule321 {
    let count = |job: &JobReport| -> (usize, usize) {
        let limit = facts.config.overdue_of(&job.job);
        // What is lost or suspicious there is no copy to count on, whatever its age.
        let doubtful = |place: &PlaceReport, newest: &ArchiveName| {
            facts.standing.lost.contains_key(&(place.place.clone(), newest.clone())) || facts.standing.suspicious.contains_key(newest)
        };
        let good = |place: &&PlaceReport| {
            place.newest.as_ref().is_some_and(|newest| !alarm::stale(newest.time(), facts.now, limit) && !doubtful(place, newest))
        };
        let fresh: Vec<&PlaceReport> = job.places.iter().filter(good).collect();
        (fresh.len(), fresh.iter().filter(|place| place.kind == PlaceKind::Cloud).count())
    };
    let enough = |copies: usize, off_site: usize| copies >= 3 && off_site >= 1;
    let counted = jobs.iter().map(|job| (count(job), &job.job));
    let fewest = counted.min_by_key(|((copies, off_site), _)| (enough(*copies, *off_site), *copies, *off_site));
    let Some(((copies, off_site), job)) = fewest else { return Rule321 { holds: false, copies: 0, off_site: 0, job: None } };
    let holds = enough(copies, off_site);
    Rule321 { holds, copies, off_site, job: (!holds).then(|| job.clone()) }
}
