//! The daemon through whole years: its real loop, journal, status and news, in a world whose clock is ours.
//!
//! Each year ends with every owed night settled once, and the owner told of everything that lasted, once, and of nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub, reason = "tests")]

mod house;
mod script;
mod single;

use std::collections::{BTreeMap, BTreeSet};

use offsite::{
    daemon::Ended,
    journal::{Fact, Outcome},
    owed::{OwedId, Schedule, owed},
};

use house::{House, Start};
use script::{HOUR, Script, Second};

const DAYS: Second = 366;
/// A try that failed is made again after at most four hours of being awake, and a start may be an hour late; then comes the night.
const SETTLED: Second = 6 * HOUR;

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
        // Of the starts that found nothing to do, a fourth is enough.
        let idle = matches!(house.starts.borrow().last(), Some(Start { ended: Some(Ok(Ended::Nothing)), .. }));
        if idle && at / HOUR % 4 != 0 {
            return;
        }
        let (facts, report) = house.report();
        let alarms: BTreeSet<String> = report.alarms.iter().map(offsite::notify::key).collect();
        // Told at its time: with this start, or not so long ago that it would be told again. A clock that was put back by half a day
        // makes that longer.
        // That the disk was taken away is nobody's news while nothing is owed; a look that is due for another reason may tell of it.
        let repository = house.config.repository.display().to_string();
        for alarm in alarms.iter().filter(|alarm| !alarm.contains(&repository)) {
            let told = house.messages.borrow().iter().any(|message| at - message.at < 36 * HOUR && message.names(alarm));
            assert!(told, "seed {seed}: {alarm} stands at {at} and was not told: {:?}", house.starts.borrow().last());
        }
        if house.good_for(SETTLED) {
            let schedule = Schedule { at: house.config.at, zone: house.zone_at(at) };
            let late = owed(&schedule, house.wall(at), facts.standing.settled);
            let late = late.filter(|owed| house.wall(at).duration_since(owed.due).as_secs() > 2 * HOUR);
            assert!(late.is_none(), "seed {seed}: {late:?} is owed at {at} though nothing was against it");
            // A slot is a civil day. Who flies west has had this day's before, and the next comes up to two days after it.
            let zone = |at| script::since(&house.script.zones, at);
            let steady =
                |hour: Second| script::since(&house.script.clock, at - hour * HOUR) == Some(0) && zone(at - hour * HOUR) == zone(at);
            if (0..48).all(steady) {
                let due = schedule.latest(house.wall(at)).unwrap().due;
                let due =
                    if house.wall(at).duration_since(due).as_secs() > 2 * HOUR { due } else { due - jiff::SignedDuration::from_hours(25) };
                let due = at - house.wall(at).duration_since(due).as_secs();
                assert!(house.has_newest(due), "seed {seed}: at {at} something did not come");
            }
            self.demands += 1;
            let lazy =
                script::within(&house.script.lazy, at - 60 * HOUR).is_some() || script::begins(&house.script.lazy, at - 60 * HOUR) < at;
            if house.good_for(30 * HOUR) && (0..72).all(steady) && !lazy {
                assert!(alarms.is_empty(), "seed {seed}: at {at} {alarms:?} stand for no reason");
                let unended = house.messages.borrow().last().is_some_and(|message| !message.well);
                assert!(!unended, "seed {seed}: at {at} the owner does not know that all is well again");
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
    let mut settled = Vec::new();
    for receipt in &receipts {
        match &receipt.fact {
            Fact::Ran { owed, outcome, .. } => {
                let slot = owed.unwrap();
                assert!(!settled.contains(&slot), "seed {seed}: {slot} ran again after it was settled");
                runs.entry(slot).or_default().push(*outcome);
                if *outcome == Outcome::Fine {
                    assert!(settled.last().is_none_or(|last| *last < slot), "seed {seed}: {slot} was settled after a later one");
                    settled.push(slot);
                }
            }
            Fact::Waited { owed, .. } => *waits.entry(*owed).or_default() += 1,
            _ => {}
        }
    }
    assert!(settled.len() > 200, "seed {seed}: {}", settled.len());
    // Neither the work nor the log of a bad day grows without end.
    assert!(runs.values().all(|runs| runs.len() <= 16), "seed {seed}: {runs:?}");
    assert!(waits.values().all(|waits| *waits <= 16), "seed {seed}: {waits:?}");
    once(&house, seed);
}

/// No alarm is told twice within a night, unless it was said to be over or the Mac's clock was set in between; no recovery without an alarm.
fn once(house: &House, seed: u64) {
    let mut last: BTreeMap<String, Second> = BTreeMap::new();
    let mut open = false;
    for message in house.messages.borrow().iter() {
        assert!(!message.well || open, "seed {seed}: {message:?} ends nothing");
        open = !message.well;
        if message.well {
            // What returns after that is told at once.
            last.clear();
        }
        for key in message.begun.iter().chain(&message.again) {
            if let Some(before) = last.insert(key.clone(), message.at) {
                let set = house.script.clock.iter().any(|clock| (before..=message.at).contains(&clock.0));
                assert!(set || message.at - before >= 22 * HOUR, "seed {seed}: {key} at {before} and again at {}", message.at);
            }
        }
    }
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
