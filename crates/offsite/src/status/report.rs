//! The status as a value: what the screen shows and `--json` prints. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use offsite_archive::{ArchiveName, JobName};
use serde::Serialize;

use super::{Alarm, Facts, Held, Kind, alarm};
use crate::{
    config::{Cloud, CloudUrl, PlaceName},
    exit::Exit,
    journal::{Drilled, Moved, Outcome, Standing, Waiting},
    live::Now,
    newest::newest,
    owed::{self, Schedule},
    tripwire::{Change, Expected},
};

/// Everything the status says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Of this form; another means that a field changed its meaning or went.
    pub version: u32,
    /// When it was made.
    pub time: Timestamp,
    /// `fine`, `failed`, `incomplete` or `overdue`: the process's exit in a word.
    pub verdict: &'static str,
    /// Each job, by name.
    pub jobs: Vec<JobReport>,
    /// The daemon's runs.
    pub run: RunReport,
    /// What an offsite does right now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Now>,
    /// Three copies, two media, one off site.
    pub rule: Rule321,
    /// Whether the Mac's repository cannot be looked into because its disk is not mounted. A state, and no trouble.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unplugged: bool,
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
    /// The last restore that was rehearsed and went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drilled: Option<DrilledReport>,
    /// What the tripwire compares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tripwire: Option<TripwireReport>,
    /// What the agent had to say about the newest archive here. No trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<WarningsReport>,
}

/// The warnings of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WarningsReport {
    /// The archive.
    pub archive: ArchiveName,
    /// How many there are.
    pub count: u64,
    /// The first of them, each cut to a length.
    pub first: Vec<String>,
    /// The last archive that had one which the archive before it did not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_in: Option<ArchiveName>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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

/// A rehearsed restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrilledReport {
    /// When it ended.
    pub time: Timestamp,
    /// From where.
    pub place: PlaceName,
    /// Of which archive.
    pub archive: ArchiveName,
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
    /// Since when a run that is owed waits, and for what. A state, and no trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingReport>,
    /// When the slot that is owed was due.
    pub owed: Option<Timestamp>,
    /// The next slot.
    pub next: Option<Timestamp>,
    /// Whether nothing is installed here that would start the daemon then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unstarted: bool,
}

/// What a run that is owed waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingReport {
    /// Since when that is known.
    pub since: Timestamp,
    /// What for.
    #[serde(flatten)]
    pub why: Waiting,
    /// The same in words.
    pub text: String,
}

/// How the last run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LastRun {
    /// When it began, where that was noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
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
    /// The kinds of media that these are on: a Pi's disk, this Mac's, another disk, a cloud's.
    pub media: usize,
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
            version: 1,
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
                last: facts.standing.last_run.map(|(time, outcome)| LastRun { began: facts.standing.began, time, outcome }),
                waiting: facts.standing.waiting.as_ref().map(|waited| WaitingReport {
                    since: waited.since,
                    why: waited.why.clone(),
                    text: waited.why.to_string(),
                }),
                owed: owed::owed(&schedule, facts.now, facts.standing.settled, facts.standing.last_fine).map(|owed| owed.due),
                next: schedule.next(facts.now),
                unstarted: facts.local.unstarted,
            },
            running: facts.running.clone(),
            unplugged: facts.local.unplugged,
            set_aside: facts.local.set_aside,
            alarms,
        }
    }

    /// How the process ends.
    pub fn exit(&self) -> Exit {
        worst(&self.alarms)
    }

    /// The same for the copies alone, whoever could be told of them or not.
    pub fn copies_exit(&self) -> Exit {
        self.alarms.iter().filter(|alarm| alarm.kind != Kind::Untold).fold(Exit::Fine, |exit, alarm| exit.worst(alarm.kind.exit()))
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
    // One that is no more there, or of which a person wants nothing, is nobody's worry, also before the next listing.
    let there =
        seen.flat_map(|(_, jobs)| jobs).filter(|(_, holding)| holding.count > 0 && !facts.standing.refused.contains(&holding.newest));
    names.extend(there.map(|(job, _)| job.clone()));
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
    let mac = PlaceName::mac();
    // One of which a night found that even the manifest cannot be read has a name here, and that is all.
    let gone = |name: &ArchiveName| standing.lost.get(&(mac.clone(), name.clone())).is_some_and(Option::is_none);
    let here: Vec<&Held> = facts.local.archives.iter().filter(|held| held.name.job == job && !gone(&held.name)).collect();
    let newest = newest(here.iter().map(|held| &held.name), facts.now).cloned();
    let warnings = newest.as_ref().and_then(|newest| warnings(standing, newest));
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
    JobReport {
        places,
        pulled: standing.pulled.get(&job).map(Into::into),
        pushed: pushed.collect(),
        drilled: standing.drilled.get(&job).map(Into::into),
        tripwire: tripwire(facts, &job),
        warnings,
        job,
    }
}

fn warnings(standing: &Standing, archive: &ArchiveName) -> Option<WarningsReport> {
    let warned = standing.warned.get(archive)?;
    let mut earlier = standing.warned.iter().rev().filter(|(name, _)| name.job == archive.job && *name <= archive);
    let new_in = earlier.find(|(_, warned)| warned.new > 0).map(|(name, _)| name.clone());
    Some(WarningsReport { archive: archive.clone(), count: warned.count, first: warned.first.clone(), new_in })
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

impl From<&Drilled> for DrilledReport {
    fn from(drilled: &Drilled) -> Self {
        Self { time: drilled.time, place: drilled.place.clone(), archive: drilled.archive.clone() }
    }
}

impl From<&Moved> for MovedReport {
    fn from(moved: &Moved) -> Self {
        Self { time: moved.time, archive: moved.archive.clone(), moved: moved.moved, total: moved.total }
    }
}

fn rule(facts: &Facts, jobs: &[JobReport]) -> Rule321 {
    let count = |job: &JobReport| -> Counted {
        let limit = facts.config.overdue_of(&job.job);
        // What is lost or suspicious there is no copy to count on, whatever its age.
        let doubtful = |place: &PlaceReport, newest: &ArchiveName| {
            facts.standing.lost.contains_key(&(place.place.clone(), newest.clone())) || facts.standing.suspicious.contains_key(newest)
        };
        let good = |place: &&PlaceReport| {
            place.newest.as_ref().is_some_and(|newest| !alarm::stale(newest.time(), facts.now, limit) && !doubtful(place, newest))
        };
        let fresh: Vec<PlaceKind> = job.places.iter().filter(good).map(|place| place.kind).collect();
        let off_site = fresh.iter().filter(|kind| **kind == PlaceKind::Cloud).count();
        Counted { copies: fresh.len(), media: fresh.iter().collect::<BTreeSet<_>>().len(), off_site }
    };
    let counted = jobs.iter().map(|job| (count(job), &job.job));
    let fewest = counted.min_by_key(|(counted, _)| (counted.enough(), counted.copies, counted.off_site));
    let Some((counted, job)) = fewest else { return Rule321 { holds: false, copies: 0, media: 0, off_site: 0, job: None } };
    let Counted { copies, media, off_site } = counted;
    let holds = counted.enough();
    Rule321 { holds, copies, media, off_site, job: (!holds).then(|| job.clone()) }
}

/// What the rule asks for, of one job.
struct Counted {
    copies: usize,
    media: usize,
    off_site: usize,
}

impl Counted {
    fn enough(&self) -> bool {
        self.copies >= 3 && self.media >= 2 && self.off_site >= 1
    }
}
