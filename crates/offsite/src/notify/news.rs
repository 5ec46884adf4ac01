//! What is news for one channel: a pure function of the report and of what that channel was told.
//!
//! A channel's memory moves on only when it took the message, so what could not be sent is simply still news at the next look, in the words
//! of that time. Whatever is doubtful (a memory that is lost, a clock that was put back) is told again: twice is a nuisance, silence a lie.
//!
//! What a channel was told last is never better than what is true: an alarm that returns after "all is well" is told at once. It is the good
//! news that waits, if the same alarm returned within the day.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use offsite_archive::{ArchiveName, JobName};
use serde::{Deserialize, Serialize};

use crate::{
    journal::Outcome,
    status::{Alarm, Kind, Report, WarningsReport},
};

/// How long an alarm that stands is not told again. A day less what nights differ in length, so that the reminder comes with a night and does
/// not creep through the day.
pub(crate) const AGAIN: SignedDuration = SignedDuration::from_hours(22);
/// When it is told again though no run ends: a day, and what nights differ in length.
pub(super) const WITHOUT_A_RUN: SignedDuration = SignedDuration::from_hours(25);
/// What clocks are put back by every day.
pub(super) const SLACK: SignedDuration = SignedDuration::from_mins(5);

/// What a channel was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    /// When each alarm was told last; what has gone is remembered until [`AGAIN`] has passed, and until it was told that all is well.
    pub alarms: BTreeMap<String, Timestamp>,
    /// The alarms that were told since it last was told that all is well.
    pub open: BTreeSet<String>,
    /// Those of them that it was told by another name than the one they have here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub shown: BTreeMap<String, String>,
    /// Of each job, the archive whose new warnings it was told last.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub warned: BTreeMap<JobName, ArchiveName>,
    /// Those of them that returned within [`AGAIN`], after it was told that all is well.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub returned: BTreeSet<String>,
    /// Whether it may have heard that all is well, of which nobody knows whether it arrived.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub doubtful: bool,
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Not all is well.
    Alarms {
        /// Alarms that were not told yet, worst first.
        begun: Vec<Alarm>,
        /// Alarms that were told and still stand.
        again: Vec<Alarm>,
        /// How many others stand that were told not long ago.
        others: usize,
    },
    /// All is well again.
    Well {
        /// The alarms that were told and have gone.
        ended: Vec<String>,
    },
    /// Archives came with warnings that those before them did not have. No alarm, so it waits for a look that has nothing worse to say.
    Warnings(Vec<WarningsReport>),
    /// A run ended fine, and nothing else is new: for who wants to hear of every good night.
    Night {
        /// How many alarms stand that were told not long ago.
        others: usize,
    },
}

/// The name of an alarm in the memory. A failed and an incomplete run are the same trouble to whom it was told, and so are archives of one
/// job of which each night's lacks something.
pub(crate) fn key(alarm: &Alarm) -> String {
    if alarm.kind != Kind::Incomplete {
        return name(alarm);
    }
    let job = alarm.object.parse::<ArchiveName>().map(|archive| format!("{}/", archive.job));
    format!("{} {}", Kind::Failed.word(), job.as_deref().unwrap_or(&alarm.object))
}

/// The name of an alarm as it is shown.
fn name(alarm: &Alarm) -> String {
    format!("{} {}", alarm.kind.word(), alarm.object)
}

/// What is news, and the memory of a channel that was told it. `ran` is how the run ended that this look belongs to.
///
/// All alarms make one message. The memory may change without news: what has gone long enough ago is dropped from it.
#[must_use]
pub(crate) fn news(report: &Report, told: &Told, ran: Option<Outcome>) -> (Vec<News>, Told) {
    let now = report.time;
    let mut next = told.clone();
    let standing: BTreeSet<String> = report.alarms.iter().map(key).collect();
    let latest = now.saturating_add(SLACK).unwrap_or(now);
    // The clock was put back, and when that time was nobody knows: what stands is told again.
    next.alarms.retain(|key, time| *time <= latest || !standing.contains(key));
    for time in next.alarms.values_mut() {
        *time = (*time).min(now);
    }
    let silent = if ran.is_some() { AGAIN } else { WITHOUT_A_RUN };
    let (mut begun, mut again, mut others) = (Vec::new(), Vec::new(), 0);
    let mut seen = BTreeSet::new();
    for alarm in &report.alarms {
        let key = key(alarm);
        // One trouble may have two lines (a failed and an incomplete try): it is told once.
        if !seen.insert(key.clone()) {
            continue;
        }
        let age = next.alarms.get(&key).map(|time| now.duration_since(*time));
        if next.open.contains(&key) && !next.doubtful {
            if age.is_some_and(|age| age < silent) { others += 1 } else { again.push(alarm.clone()) }
        } else {
            if age.is_some_and(|age| age < AGAIN) {
                next.returned.insert(key);
            }
            begun.push(alarm.clone());
        }
    }
    let open = &next.open;
    next.alarms.retain(|key, time| standing.contains(key) || open.contains(key) || now.duration_since(*time) < AGAIN);
    if !begun.is_empty() || !again.is_empty() {
        next.doubtful = false;
        for alarm in begun.iter().chain(&again) {
            let (key, name) = (key(alarm), name(alarm));
            next.alarms.insert(key.clone(), now);
            // Its end is told by the name of its beginning.
            if next.open.insert(key.clone()) && key != name {
                next.shown.insert(key, name);
            }
        }
        return (vec![News::Alarms { begun, again, others }], next);
    }
    if report.alarms.is_empty() && !next.open.is_empty() && ended_fine(report, &next, ran) && !is_restless(&next, now) {
        next.returned.clear();
        next.doubtful = false;
        let mut shown = std::mem::take(&mut next.shown);
        let ended = std::mem::take(&mut next.open).into_iter().map(|key| shown.remove(&key).unwrap_or(key)).collect();
        return (vec![News::Well { ended }], next);
    }
    let mut warnings = Vec::new();
    for (job, warned) in report.jobs.iter().filter_map(|job| Some((&job.job, job.warnings.as_ref()?))) {
        let Some(new_in) = warned.new_in.as_ref().filter(|new_in| next.warned.get(job).is_none_or(|told| told < *new_in)) else { continue };
        next.warned.insert(job.clone(), new_in.clone());
        warnings.push(warned.clone());
    }
    if !warnings.is_empty() {
        return (vec![News::Warnings(warnings)], next);
    }
    let night = ran == Some(Outcome::Fine);
    (if night { vec![News::Night { others }] } else { Vec::new() }, next)
}

/// Whether something came, went and returned within the day: it is not called gone until that has passed.
fn is_restless(told: &Told, now: Timestamp) -> bool {
    let recent = |key| told.alarms.get(key).is_some_and(|time| now.duration_since(*time) < AGAIN);
    told.returned.iter().any(recent)
}

/// Whether a run ended fine since the last alarm was told: this one, or one whose good news could not be sent.
fn ended_fine(report: &Report, told: &Told, ran: Option<Outcome>) -> bool {
    let last_told = told.open.iter().filter_map(|key| told.alarms.get(key)).max();
    ran == Some(Outcome::Fine)
        || report.run.last.is_some_and(|last| last.outcome == Outcome::Fine && last_told.is_none_or(|told| last.time > *told))
}

/// When the channel is to be reminded, if no run ends before: the first time at which an alarm that stands is told again without one.
#[must_use]
pub(crate) fn reminder(report: &Report, told: &Told) -> Option<Timestamp> {
    let last = report.alarms.iter().filter_map(|alarm| told.alarms.get(&key(alarm))).min()?;
    last.checked_add(WITHOUT_A_RUN).ok()
}
