//! The daemon through whole years: its real loop, journal, status and news, in a world whose clock is ours.
//!
//! Each year ends with every owed night settled once, and the owner told of everything that lasted, at its time, as often as is right, and of
//! nothing else. What was owed and what was overdue is worked out anew here, from the script and the receipts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub, reason = "tests")]

mod house;
mod launchd;
mod night;
mod script;
mod single;
mod telling;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use offsite::{
    daemon::Ended,
    journal::{Fact, Outcome},
    owed::{OwedId, Schedule, owed},
};

use house::{House, Start};
use launchd::INTERVAL;
use script::{HOUR, Script, Second};

const DAYS: Second = 366;
/// A try that failed is made again after at most four hours of being awake, by a start that may wait for an hour; then comes the night.
const SETTLED: Second = 6 * HOUR;
/// A day that comes again so long after its run is owed again.
const AGAIN: SignedDuration = SignedDuration::from_hours(8);

/// What must be true whenever a start has ended.
struct Watcher {
    seed: u64,
    /// How often nothing was against the daemon for long enough to demand something of it.
    demands: usize,
}

impl Watcher {
    fn look(&mut self, house: &House) {
        let Self { seed, .. } = self;
        let at = house.now();
        // Of the starts that found nothing to do, one in four hours is enough.
        let idle = matches!(house.starts.borrow().last(), Some(Start { ended: Some(Ok(Ended::Nothing)), .. }));
        if idle && at / INTERVAL % 24 != 0 {
            return;
        }
        let (facts, report) = house.report();
        let alarms: BTreeSet<String> = report.alarms.iter().map(|alarm| house::name(&serde_json::to_value(alarm).unwrap())).collect();
        // Told at its time: with this start, or not so long ago that it would be told again. A clock that was put back makes that longer, and
        // one that was put forward and back.
        let set = house.script.clock.iter().any(|clock| (at - 50 * HOUR..=at).contains(&clock.0));
        let lately = if set { 36 * HOUR } else { 25 * HOUR };
        // What others did to the disk's room is known at the next look.
        let full = |at| script::within(&house.script.full_mac, at).is_some();
        let unseen = full(at) != full(at - telling::UNSEEN);
        let fine = report.run.last.filter(|last| last.outcome == Outcome::Fine);
        let fine = fine.map_or(0, |last| at - house.wall(at).duration_since(last.time).as_secs());
        for channel in ["webhook", "ntfy"] {
            let messages = house.heard(channel);
            for alarm in alarms.iter().filter(|alarm| !(unseen && alarm.starts_with("space"))) {
                let told = messages.iter().any(|message| at - message.at <= lately && message.names(alarm));
                assert!(told, "seed {seed}: {alarm} stands at {at} and {channel} did not tell: {:?}", house.starts.borrow().last());
            }
            let silent = !set && !unseen && alarms.is_empty() && telling::owes_well(&messages, fine, at);
            assert!(!silent, "seed {seed}: all is well at {at}, and {channel} does not say so: {:?}", messages.last());
        }
        if house.good_for(SETTLED, at) {
            let schedule = Schedule { at: house.config.at, zone: house.zone_at(at) };
            let late = owed(&schedule, house.wall(at), facts.standing.settled, facts.standing.last_fine);
            let late = late.filter(|owed| house.wall(at).duration_since(owed.due).as_secs() > 2 * HOUR);
            assert!(late.is_none(), "seed {seed}: {late:?} is owed at {at} though nothing was against it");
            // A slot is a civil day. Who flies west may have had this day's up to eight hours before its time.
            let zone = |at| script::since(&house.script.zones, at);
            let steady =
                |hour: Second| script::since(&house.script.clock, at - hour * HOUR) == Some(0) && zone(at - hour * HOUR) == zone(at);
            if (0..36).all(steady) {
                let due = schedule.latest(house.wall(at)).unwrap().due;
                let due = if house.wall(at).duration_since(due).as_secs() > 2 * HOUR { due } else { due - SignedDuration::from_hours(25) };
                let due = at - house.wall(at).duration_since(due).as_secs();
                assert!(house.has_newest(due), "seed {seed}: at {at} something did not come");
            }
            self.demands += 1;
            let begun =
                |spans: &&Vec<script::Span>| script::within(spans, at - 60 * HOUR).is_some() || script::begins(spans, at - 60 * HOUR) < at;
            let reason = [&house.script.lazy, &house.script.tampered, &house.script.full_mac].iter().any(begun);
            if house.good_for(30 * HOUR, at) && (0..72).all(steady) && !reason {
                assert!(alarms.is_empty(), "seed {seed}: at {at} {alarms:?} stand for no reason");
            }
        }
    }
}

fn live(seed: u64) {
    let house = House::new(seed, Script::wild(seed, DAYS));
    let mut watcher = Watcher { seed, demands: 0 };
    house.live(DAYS, &mut |house| watcher.look(house));
    assert!(watcher.demands > 40, "seed {seed}: {} times", watcher.demands);
    let receipts = house.receipts();
    let mut runs: BTreeMap<OwedId, Vec<Outcome>> = BTreeMap::new();
    let mut waits: BTreeMap<Option<OwedId>, usize> = BTreeMap::new();
    let mut settled: Vec<(OwedId, Timestamp)> = Vec::new();
    for receipt in &receipts {
        match &receipt.fact {
            Fact::Ran { owed, outcome, began, .. } => {
                let slot = owed.unwrap();
                // A day that is lived twice, by flying west, is owed twice.
                let later = |last: &(OwedId, Timestamp)| last.0 < slot || began.unwrap().duration_since(last.1) > AGAIN;
                assert!(settled.last().is_none_or(later), "seed {seed}: {slot} ran again after it or a later one was settled");
                runs.entry(slot).or_default().push(*outcome);
                if *outcome == Outcome::Fine {
                    settled.push((slot, receipt.time));
                }
            }
            Fact::Waited { owed, .. } => *waits.entry(*owed).or_default() += 1,
            _ => {}
        }
    }
    // Neither the work nor the log of a bad day grows without end.
    assert!(runs.values().all(|runs| runs.len() <= 16), "seed {seed}: {runs:?}");
    assert!(waits.values().all(|waits| *waits <= 16), "seed {seed}: {waits:?}");
    every_night(&house, seed, &settled);
    telling::told_at_its_time(&house, seed);
}

/// Each night of the year was settled by the end of the first hours after it in which nothing was against it. That none was settled twice is
/// known already.
fn every_night(house: &House, seed: u64, settled: &[(OwedId, Timestamp)]) {
    let mut nights = BTreeSet::new();
    for end in (1..DAYS * 24).map(|hour| hour * HOUR).filter(|end| house.good_for(SETTLED, *end)) {
        let schedule = Schedule { at: house.config.at, zone: house.zone_at(end) };
        let due = schedule.latest(house.wall(end - SETTLED)).unwrap();
        let from = due.due - AGAIN;
        let done = settled.iter().any(|(slot, time)| (from..=house.wall(end)).contains(time) && *slot >= due.id);
        assert!(done, "seed {seed}: {} was not settled by {end} though nothing was against it", due.id);
        nights.insert(due.id);
    }
    assert!(nights.len() > 250, "seed {seed}: {} nights could be judged", nights.len());
}

#[test]
fn wild_years() {
    let years: u64 = std::env::var("OFFSITE_YEARS").ok().and_then(|years| years.parse().ok()).unwrap_or(6);
    std::thread::scope(|scope| {
        for odd in 0..2 {
            scope.spawn(move || (0..years).filter(|seed| seed / 2 % 2 == odd).for_each(live));
        }
    });
}
