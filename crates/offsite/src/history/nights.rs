//! From receipts to nights. Pure.
//!
//! A run's receipts are those between its beginning and its end. What lies before that and is no end belongs to a run that never ended: it was
//! killed, or the power went. The order is the file's, since clocks go back and the file does not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil, tz::TimeZone};
use offsite_archive::ArchiveName;
use serde::Serialize;

use crate::{
    config::PlaceName,
    journal::{Fact, Outcome, Receipt, Step, Waiting},
    owed::{OwedId, Schedule},
};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Night<'r> {
    pub(super) line: Line,
    pub(super) receipts: Vec<&'r Receipt>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Line {
    /// A run that ended, or that was cut off.
    Run(Run),
    /// A night whose run waited, and never began.
    Waited { night: OwedId, time: Timestamp, why: Waiting, text: String },
    /// Nights of which nothing is known: nobody started offsite then. `open` is one that reaches to now: nothing has made up for it.
    Gap { night: OwedId, last: OwedId, nights: u64, open: bool },
}

/// What one run did. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Run {
    /// The slot it settled, or tried to; absent where it is not known or none was due.
    pub(super) night: Option<OwedId>,
    /// The civil day it is listed under.
    pub(super) day: civil::Date,
    pub(super) began: Option<Timestamp>,
    /// When it ended, or the last that is known of it.
    pub(super) ended: Timestamp,
    /// Absent: it was cut off, or is still at work.
    pub(super) outcome: Option<Outcome>,
    pub(super) pulled: Moved,
    pub(super) pushed: BTreeMap<PlaceName, Moved>,
    /// Archives that were forgotten, by place.
    pub(super) forgotten: BTreeMap<PlaceName, u64>,
    /// Pis that were not at home.
    pub(super) away: BTreeSet<PlaceName>,
    pub(super) failures: Vec<Failed>,
    pub(super) suspicious: Vec<ArchiveName>,
    pub(super) lost: Vec<Lost>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Moved {
    pub(super) archives: u64,
    pub(super) bytes: u64,
}

impl Moved {
    fn add(&mut self, bytes: u64) {
        self.archives += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Failed {
    pub(super) step: Step,
    pub(super) object: String,
    pub(super) message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Lost {
    pub(super) place: PlaceName,
    pub(super) archive: ArchiveName,
}

impl Line {
    pub(super) fn first(&self) -> civil::Date {
        match self {
            Self::Run(run) => run.day,
            Self::Waited { night, .. } | Self::Gap { night, .. } => night.day(),
        }
    }

    pub(super) fn last(&self) -> civil::Date {
        match self {
            Self::Gap { last, .. } => last.day(),
            _ => self.first(),
        }
    }

    fn night(&self) -> Option<OwedId> {
        match self {
            Self::Run(run) => run.night,
            Self::Waited { night, .. } => Some(*night),
            Self::Gap { .. } => None,
        }
    }
}

/// The history in file order, with what the schedule had wanted in between.
pub(super) fn nights<'r>(receipts: &'r [Receipt], schedule: &Schedule, now: Timestamp) -> Vec<Night<'r>> {
    with_gaps(happened(receipts, &schedule.zone), schedule, now)
}

fn happened<'r>(receipts: &'r [Receipt], zone: &TimeZone) -> Vec<Night<'r>> {
    let mut nights: Vec<Night<'r>> = Vec::new();
    let mut open: Vec<&'r Receipt> = Vec::new();
    for receipt in receipts {
        match &receipt.fact {
            Fact::Ran { began, .. } => {
                let own = began.map_or(0, |began| open.iter().position(|receipt| receipt.time >= began).unwrap_or(open.len()));
                let mut own = open.split_off(own);
                nights.extend(cut_off(std::mem::take(&mut open), zone));
                own.push(receipt);
                let night = run(own, zone);
                // What it waited for before it ran is no news any more.
                nights.retain(|before| !matches!(&before.line, Line::Waited { night: waited, .. } if Some(*waited) == night.line.night()));
                nights.push(night);
            }
            Fact::Waited { owed, why } => {
                // Who waits has the lock, so no run is at work any more.
                nights.extend(cut_off(std::mem::take(&mut open), zone));
                let night = owed.unwrap_or_else(|| OwedId::new(day(receipt.time, zone)));
                // The last reason is the one that counts.
                let again = |before: &Night<'_>| matches!(&before.line, Line::Waited { night: waited, .. } if *waited == night);
                let mut all: Vec<&Receipt> = nights.pop_if(|last| again(last)).map_or_else(Vec::new, |last| last.receipts);
                all.push(receipt);
                let line = Line::Waited { night, time: receipt.time, why: why.clone(), text: why.to_string() };
                nights.push(Night { line, receipts: all });
            }
            _ => open.push(receipt),
        }
    }
    nights.extend(cut_off(open, zone));
    nights
}

/// What a run left that never ended; nothing if these are what people and other verbs noted between runs.
fn cut_off<'r>(receipts: Vec<&'r Receipt>, zone: &TimeZone) -> Option<Night<'r>> {
    let of_a_run =
        |receipt: &&Receipt| matches!(receipt.fact, Fact::Seen { .. } | Fact::Pulled { .. } | Fact::Pushed { .. } | Fact::Compared { .. });
    receipts.iter().any(of_a_run).then(|| run(receipts, zone))
}

fn day(time: Timestamp, zone: &TimeZone) -> civil::Date {
    time.to_zoned(zone.clone()).date()
}

fn run<'r>(receipts: Vec<&'r Receipt>, zone: &TimeZone) -> Night<'r> {
    let last = receipts.last().map_or(Timestamp::UNIX_EPOCH, |receipt| receipt.time);
    let mut run = Run {
        night: None,
        day: day(last, zone),
        began: None,
        ended: last,
        outcome: None,
        pulled: Moved::default(),
        pushed: BTreeMap::new(),
        forgotten: BTreeMap::new(),
        away: BTreeSet::new(),
        failures: Vec::new(),
        suspicious: Vec::new(),
        lost: Vec::new(),
    };
    for receipt in &receipts {
        run.add(&receipt.fact);
    }
    run.day = run.night.map_or(run.day, OwedId::day);
    Night { line: Line::Run(run), receipts }
}

impl Run {
    fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::Ran { owed, outcome, began, away, .. } => {
                (self.night, self.outcome, self.began, self.away) = (*owed, Some(*outcome), *began, away.clone());
            }
            Fact::Pulled { moved, .. } => self.pulled.add(*moved),
            Fact::Pushed { cloud, moved, .. } => self.pushed.entry(cloud.clone()).or_default().add(*moved),
            Fact::Forgot { place, archives, .. } => *self.forgotten.entry(place.clone()).or_default() += archives.len() as u64,
            Fact::Failed { step, object, message, .. } => {
                let failed = Failed { step: *step, object: object.clone(), message: message.clone() };
                if !self.failures.contains(&failed) {
                    self.failures.push(failed);
                }
            }
            Fact::Suspicious { archive, .. } => self.suspicious.push(archive.clone()),
            Fact::Lost { place, archive, .. } => self.lost.push(Lost { place: place.clone(), archive: archive.clone() }),
            _ => {}
        }
    }
}

/// Puts in between what nothing is known of.
fn with_gaps<'r>(happened: Vec<Night<'r>>, schedule: &Schedule, now: Timestamp) -> Vec<Night<'r>> {
    let known: BTreeSet<civil::Date> = happened.iter().filter_map(|night| night.line.night()).map(OwedId::day).collect();
    let (Some(first), Some(latest)) = (known.first(), schedule.latest(now)) else { return happened };
    let mut gaps = gaps(*first, latest.id.day(), &known).into_iter().peekable();
    let mut nights = Vec::new();
    for night in happened {
        while let Some(gap) = gaps.next_if(|gap| gap.last() < night.line.first()) {
            nights.push(Night { line: gap, receipts: Vec::new() });
        }
        nights.push(night);
    }
    nights.extend(gaps.map(|line| Night { line, receipts: Vec::new() }));
    nights
}

/// The days from `first` to `latest` that are not `known`, those in a row as one.
fn gaps(first: civil::Date, latest: civil::Date, known: &BTreeSet<civil::Date>) -> Vec<Line> {
    let gap = |from: civil::Date, to: civil::Date| {
        let days = from.until(to).map_or(0, |span| span.get_days());
        let nights = u64::try_from(days).ok()? + 1;
        (from <= to).then(|| Line::Gap { night: OwedId::new(from), last: OwedId::new(to), nights, open: to == latest })
    };
    let mut gaps = Vec::new();
    let mut from = Some(first);
    for day in known.iter().filter(|day| **day <= latest) {
        if let (Some(from), Ok(to)) = (from, day.yesterday()) {
            gaps.extend(gap(from, to));
        }
        from = day.tomorrow().ok();
    }
    gaps.extend(from.and_then(|from| gap(from, latest)));
    gaps
}
