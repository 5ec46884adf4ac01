//! What a person should know and do, from the facts. Pure.
//!
//! Every alarm names its object and the next step. One cause makes one alarm: a run that is overdue because it failed shows both lines,
//! but a job is not called overdue on a Mac that has no repository to look into.

use jiff::{SignedDuration, Timestamp};
use offsite_archive::{ArchiveName, JobName};
use serde::Serialize;

use super::{Facts, JobReport, PlaceKind};
use crate::{
    config::{PlaceName, PlainCopies},
    exit::Exit,
    hint, human,
    journal::{Failure, Outcome, Step, Waiting},
    platform,
};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// What sort of trouble.
    pub kind: Kind,
    /// What is in trouble.
    pub object: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Sorts of trouble, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A place holds less than it should.
    Lost,
    /// The tripwire caught an archive.
    Suspicious,
    /// A step failed.
    Failed,
    /// Nothing happened for too long.
    Overdue,
    /// The disk is nearly full.
    Space,
    /// Something is there in part.
    Incomplete,
    /// A way of telling the owner does not work. It says nothing about the copies.
    Untold,
}

impl Kind {
    /// The word on the screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Suspicious => "suspicious",
            Self::Failed => "failed",
            Self::Overdue => "overdue",
            Self::Space => "space",
            Self::Incomplete => "incomplete",
            Self::Untold => "untold",
        }
    }

    /// How the process ends with it.
    pub fn exit(self) -> Exit {
        match self {
            Self::Lost | Self::Suspicious | Self::Failed => Exit::Failed,
            Self::Overdue => Exit::Overdue,
            Self::Space | Self::Incomplete | Self::Untold => Exit::Incomplete,
        }
    }
}

/// Whether something of `time` is older than `limit`. A time more than a day ahead is a wrong clock, and no proof of freshness.
pub(super) fn stale(time: Timestamp, now: Timestamp, limit: SignedDuration) -> bool {
    let age = now.duration_since(time);
    age > limit || age < SignedDuration::from_hours(-24)
}

/// All alarms, worst first, each kind in the order of its objects.
pub(super) fn alarms(facts: &Facts, jobs: &[JobReport]) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let mut add = |kind, object: String, message: String, next: Option<String>| alarms.push(Alarm { kind, object, message, next });
    // A place that was taken out of the configuration is nobody's worry any more.
    let ours = |place: &PlaceName| {
        *place == PlaceName::mac()
            || facts.config.clouds.iter().any(|cloud| cloud.name == *place)
            || facts.config.pis.iter().any(|pi| pi.name == *place)
    };
    let run = |what: &str| sync(facts, what);
    for ((place, archive), frames) in facts.standing.lost.iter().filter(|((place, _), _)| ours(place)) {
        let (message, next) = lost(place, archive, *frames, &run);
        add(Kind::Lost, format!("{archive} in {place}"), message, Some(next));
    }
    for (object, error) in &facts.local.unreadable {
        add(Kind::Lost, object.clone(), error.clone(), Some("read everything back: offsite verify".to_owned()));
    }
    for (archive, why) in &facts.standing.suspicious {
        // Forgotten here, as somebody who does not trust it does, and held elsewhere.
        let places = facts.standing.places.get(archive).filter(|places| !places.contains(&PlaceName::mac()));
        let forget: Vec<String> = places
            .into_iter()
            .flatten()
            .filter(|place| ours(place))
            .map(|place| format!("offsite forget {archive}{}", at(place)))
            .collect();
        let or = if forget.is_empty() { String::new() } else { format!("; if it is not: {}", forget.join("; ")) };
        let next = format!(
            "look at the Pi; if it is as it should be: offsite accept {archive} (nothing of {} is forgotten anywhere until then){or}",
            archive.job
        );
        add(Kind::Suspicious, archive.to_string(), why.to_string(), Some(next));
    }
    if let Some((message, next)) = facts.local.problem.as_ref().filter(|_| !facts.local.unplugged) {
        add(Kind::Failed, facts.config.repository.display().to_string(), message.clone(), next.clone());
    }
    if let Some((message, next)) = &facts.local.state {
        add(Kind::Failed, facts.config.state.display().to_string(), message.clone(), Some(next.clone()));
    }
    let partial = matches!(facts.standing.last_run, Some((_, Outcome::Incomplete)));
    let gone = |failure: &Failure| {
        let place = failure.object.rsplit_once(" from ").filter(|_| failure.step == Step::Drill).and_then(|(_, place)| place.parse().ok());
        place.is_some_and(|place| !ours(&place))
    };
    for failure in facts.standing.failures.iter().filter(|failure| !gone(failure)) {
        let since = facts.standing.last_run.is_some_and(|(run, _)| failure.time > run);
        let kind = if partial && !since { Kind::Incomplete } else { Kind::Failed };
        add(kind, format!("{} {}", failure.step, failure.object), failure.message.clone(), failure.hint.clone());
    }
    // One that lacks but a Pi that is not at home, or broke in a sleep, has said why; `overdue` tells of it in time.
    let only_away = facts.standing.tried.as_ref().is_some_and(|tried| tried.failed == 0 || tried.slept);
    if let (Some((_, outcome @ (Outcome::Failed | Outcome::Incomplete))), true) =
        (facts.standing.last_run, facts.standing.failures.is_empty() && !only_away)
    {
        let kind = if outcome == Outcome::Failed { Kind::Failed } else { Kind::Incomplete };
        add(kind, "last run".to_owned(), "it did not say why".to_owned(), Some("try again and watch: offsite sync".to_owned()));
    }
    overdue(facts, jobs, &mut add);
    space(facts, &mut add);
    for (channel, failure) in &facts.standing.silent {
        // One that was taken out of the configuration is missed by nobody.
        if facts.config.notify.has(channel) {
            add(Kind::Untold, channel.clone(), failure.message.clone(), failure.hint.clone());
        }
    }
    for (left, next) in &facts.local.drills {
        add(Kind::Incomplete, "drill".to_owned(), left.clone(), Some(next.clone()));
    }
    for job in jobs {
        if let Some(held) = facts.local.archives.iter().rfind(|held| held.name.job == job.job).filter(|held| !held.complete) {
            let next = "see what the agent could not read: offsite archives";
            add(Kind::Incomplete, held.name.to_string(), "something that should be in it is not".to_owned(), Some(next.to_owned()));
        }
    }
    if let Some(line) = facts.damaged_lines.first() {
        let message =
            format!("{} no receipt, the first is line {line}", human::count(facts.damaged_lines.len() as u64, "line is", "lines are"));
        add(
            Kind::Incomplete,
            "journal".to_owned(),
            message,
            Some("check the disk; what those lines said is lost; when you have looked: offsite accept --journal".to_owned()),
        );
    }
    alarms.sort_by_key(|alarm| alarm.kind);
    alarms
}

/// `what` by `offsite sync`; which would be refused while another is at work, and may be what that one does.
fn sync(facts: &Facts, what: &str) -> String {
    match &facts.running {
        Some(now) => format!("wait until offsite {} has ended: offsite status --watch", now.verb),
        None => format!("{what}: offsite sync"),
    }
}

fn lost(place: &PlaceName, archive: &ArchiveName, frames: Option<u64>, sync: &impl Fn(&str) -> String) -> (String, String) {
    match frames {
        Some(frames) => (
            format!("{} lacking or damaged", human::count(frames, "frame of it is", "frames of it are")),
            sync("repair it from another place"),
        ),
        None => (
            format!("{place} held it and does not any more"),
            format!("find out who removed it; if it was meant: offsite forget {archive}{}", at(place)),
        ),
    }
}

/// The option that names a cloud.
fn at(place: &PlaceName) -> String {
    if *place == PlaceName::mac() { String::new() } else { format!(" --cloud {place}") }
}

fn overdue(facts: &Facts, jobs: &[JobReport], add: &mut impl FnMut(Kind, String, String, Option<String>)) {
    let Facts { config, standing, now, .. } = facts;
    let now = *now;
    let tell = |time: Timestamp| human::ago(now.duration_since(time));
    let sync = |what: &str| sync(facts, what);
    let run = |what: &str, then: &str| match facts.running {
        Some(_) => sync(what),
        None => no_way(facts).unwrap_or_else(|| sync(what) + then),
    };
    match standing.last_fine {
        None => {
            add(Kind::Overdue, "run".to_owned(), "no run ended well yet".to_owned(), Some(run("run the first one", "")));
        }
        Some(time) if stale(time, now, config.overdue) => {
            let next = run("run it now", "; then check the alarm clock: offsite install");
            add(Kind::Overdue, "run".to_owned(), format!("the last that ended well was {}", tell(time)), Some(next));
        }
        Some(_) => {}
    }
    if jobs.is_empty() && standing.last_fine.is_some() && facts.local.problem.is_none() {
        let next = "make the first one: on the Pi, offsite-agent run JOB; then here: offsite sync";
        add(Kind::Overdue, "archives".to_owned(), "there is none of any job".to_owned(), Some(next.to_owned()));
    }
    for job in jobs {
        let limit = config.overdue_of(&job.job);
        let newest = |kind| job.places.iter().filter(move |place| place.kind == kind).filter_map(|place| place.newest.as_ref()).max();
        let mac = newest(PlaceKind::Mac);
        match mac {
            None if facts.local.problem.is_none() => {
                add(Kind::Overdue, job.job.to_string(), "this Mac has no archive of it".to_owned(), Some(sync("pull it")));
            }
            Some(archive) if stale(archive.time(), now, limit) => {
                let (message, next) = late(&job.job, archive, newest(PlaceKind::Pi), &tell, &sync);
                add(Kind::Overdue, job.job.to_string(), message, Some(next));
            }
            _ => {}
        }
        for cloud in job.places.iter().filter(|place| place.kind.is_cloud()) {
            let behind = cloud.newest.as_ref().is_none_or(|newest| mac.is_some_and(|mac| newest < mac) && stale(newest.time(), now, limit));
            // An archive that came just now has until the next run to get there.
            let known = mac.is_some() && standing.last_fine.is_some();
            if behind && known && mac.is_some_and(|mac| cloud.newest.as_ref() != Some(mac)) {
                let message = match &cloud.newest {
                    None => "it has no archive of this job".to_owned(),
                    Some(newest) => format!("its newest is from {}", tell(newest.time())),
                };
                add(Kind::Overdue, format!("{} in {}", job.job, cloud.place), message, Some(sync("push it")));
            }
        }
    }
}

/// What to do where the daemon, asking who is at home, was told that there is no way to a Pi: `offsite sync` in a terminal proves nothing about
/// it, because macOS lets a terminal go where it forbids others to.
fn no_way(facts: &Facts) -> Option<String> {
    let Waiting::Away { no_route, .. } = &facts.standing.waiting.as_ref()?.why else { return None };
    let pi = facts.config.pis.iter().find(|pi| no_route.contains(&pi.name))?;
    Some(hint::no_route(&pi.host, platform::current().has_launchd(), None))
}

/// A night may bring as much as the last one did, and its plain copies are written before the old ones go.
fn space(facts: &Facts, add: &mut impl FnMut(Kind, String, String, Option<String>)) {
    let Some(free) = facts.local.free else { return };
    let plain = |total: u64| if facts.config.plain == PlainCopies::None { 0 } else { total };
    let last = facts.standing.pulled.values();
    let need = last.fold(0_u64, |sum, pulled| sum.saturating_add(pulled.moved).saturating_add(plain(pulled.total)));
    if free < need {
        let message = format!("{} are free on its disk, and a night like the last one needs {}", human::size(free), human::size(need));
        let next = format!("make room, or keep less: `keep:` and `plain:` in {}", facts.config.path.display());
        add(Kind::Space, facts.config.repository.display().to_string(), message, Some(next));
    }
}

/// Who is late: the agent that made nothing, or the Mac that did not fetch it.
fn late(
    job: &JobName,
    mac: &ArchiveName,
    pi: Option<&ArchiveName>,
    tell: &impl Fn(Timestamp) -> String,
    sync: &impl Fn(&str) -> String,
) -> (String, String) {
    match pi {
        Some(pi) if pi > mac => ("the Pi has a newer archive that did not come".to_owned(), sync("pull it")),
        _ => (
            format!("its newest archive is from {}", tell(mac.time())),
            format!(
                "see why the agent made none: on the Pi, systemctl status offsite-agent@{job}; if {job} is no job any more: remove its archives on the \
                 Pi (offsite-agent check names them), then offsite forget --last ARCHIVE…, here and with --cloud in each cloud"
            ),
        ),
    }
}
