//! What is news for one channel: a pure function of the report and of what that channel was told.
//!
//! A channel's memory moves on only when it took the message, so what could not be sent is simply still news at the next look, in the words
//! of that time. Whatever is doubtful (a memory that is lost, a clock that was put back) is told again: twice is a nuisance, silence a lie.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    journal::Outcome,
    status::{Alarm, Kind, Report},
};

/// How long an alarm that was told is not told again, whether it stands or comes and goes. A day less what nights differ in length, so that
/// the reminder comes with a night and does not creep through the day.
pub const AGAIN: SignedDuration = SignedDuration::from_hours(22);

/// What a channel was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// When each alarm was told last; what has gone is remembered until [`AGAIN`] has passed, and until it was told that all is well.
    pub alarms: BTreeMap<String, Timestamp>,
    /// The alarms that were told since it last was told that all is well.
    pub open: BTreeSet<String>,
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
    /// A run ended fine, and nothing else is new: for who wants to hear of every good night.
    Night {
        /// How many alarms stand that were told not long ago.
        others: usize,
    },
}

/// The name of an alarm in the memory. A failed and an incomplete run are the same trouble to whom it was told.
pub fn key(alarm: &Alarm) -> String {
    let kind = if alarm.kind == Kind::Incomplete { Kind::Failed } else { alarm.kind };
    format!("{} {}", kind.word(), alarm.object)
}

/// What is news, and the memory of a channel that was told it. `ran` is how the run ended that this look belongs to.
///
/// All alarms make one message. The memory may change without news: what has gone long enough ago is dropped from it.
#[must_use]
pub fn news(report: &Report, told: &Told, ran: Option<Outcome>) -> (Vec<News>, Told) {
    let now = report.time;
    let mut next = told.clone();
    for time in next.alarms.values_mut() {
        // The clock was put back: count from here, or the alarm would be silent until that time comes again.
        *time = (*time).min(now);
    }
    let (mut begun, mut again, mut others) = (Vec::new(), Vec::new(), 0);
    let mut standing = BTreeSet::new();
    for alarm in &report.alarms {
        // One trouble may have two lines (a failed and an incomplete try): it is told once.
        if !standing.insert(key(alarm)) {
            continue;
        }
        match next.alarms.get(&key(alarm)) {
            Some(time) if now.duration_since(*time) < AGAIN => others += 1,
            Some(_) if next.open.contains(&key(alarm)) => again.push(alarm.clone()),
            _ => begun.push(alarm.clone()),
        }
    }
    let open = &next.open;
    next.alarms.retain(|key, time| standing.contains(key) || open.contains(key) || now.duration_since(*time) < AGAIN);
    if !begun.is_empty() || !again.is_empty() {
        for alarm in begun.iter().chain(&again) {
            next.alarms.insert(key(alarm), now);
            next.open.insert(key(alarm));
        }
        return (vec![News::Alarms { begun, again, others }], next);
    }
    if report.alarms.is_empty() && !next.open.is_empty() && ended_fine(report, &next, ran) {
        let ended = std::mem::take(&mut next.open).into_iter().collect();
        return (vec![News::Well { ended }], next);
    }
    let night = ran == Some(Outcome::Fine);
    (if night { vec![News::Night { others }] } else { Vec::new() }, next)
}

/// Whether a run ended fine since the last alarm was told: this one, or one whose good news could not be sent.
fn ended_fine(report: &Report, told: &Told, ran: Option<Outcome>) -> bool {
    let last_told = told.open.iter().filter_map(|key| told.alarms.get(key)).max();
    ran == Some(Outcome::Fine)
        || report.run.last.is_some_and(|last| last.outcome == Outcome::Fine && last_told.is_none_or(|told| last.time > *told))
}

/// When the channel is to be reminded, if no run ends before: the first time at which an alarm that stands may be told again.
#[must_use]
pub fn reminder(report: &Report, told: &Told) -> Option<Timestamp> {
    let last = report.alarms.iter().filter_map(|alarm| told.alarms.get(&key(alarm))).min()?;
    last.checked_add(AGAIN).ok()
}
