//! What is owed: a pure function of the schedule, the clock and the last settled slot.
//!
//! launchd merges missed starts, loses those of a Mac that was off, and starts twice now and then; so being started means nothing, and
//! only this decides. A slot is one civil day at one civil time; any number of missed slots is settled by one run. The clock may jump
//! either way: back by less than a day runs nothing twice, and a settled slot far in the future (a clock once wrong by years) does not
//! silence the nights until then. Who flies west lives a day twice: it is owed again if it comes again long enough after its run, so that
//! no journey puts more than [`AGAIN`] and a day between two runs.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp, ToSpan, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::config::TimeOfDay;

/// A day whose slot comes again at least so long after a fine run is owed again. Less, and the flight to the next zone would cost a run; more,
/// and a Mac that flies west would be overdue before its next one.
const AGAIN: SignedDuration = SignedDuration::from_hours(8);

#[derive(Debug, Clone)]
pub struct Schedule {
    pub at: TimeOfDay,
    pub zone: TimeZone,
}

/// A slot's name: its civil day, as `2026-11-22`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwedId(civil::Date);

/// A run that is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// The slot it will settle: the newest that is due.
    pub id: OwedId,
    pub due: Timestamp,
}

impl OwedId {
    pub const fn new(day: civil::Date) -> Self {
        Self(day)
    }

    pub const fn day(self) -> civil::Date {
        self.0
    }
}

impl fmt::Display for OwedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for OwedId {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Schedule {
    /// The instant of the slot of `day`: a time that a clock change skips is the first instant after the gap as far along, one that
    /// comes twice is the first.
    fn due(&self, day: civil::Date) -> Option<Timestamp> {
        let at = day.at(self.at.hour().cast_signed(), self.at.minute().cast_signed(), 0, 0);
        self.zone.to_ambiguous_zoned(at).compatible().ok().map(|zoned| zoned.timestamp())
    }

    /// The newest slot that is due at `now`.
    pub fn latest(&self, now: Timestamp) -> Option<Owed> {
        let today = now.to_zoned(self.zone.clone()).date();
        // Tomorrow, because clocks put back across midnight show yesterday again; two days back, because a zone may skip a civil day.
        let days = [today.tomorrow().ok(), Some(today), today.yesterday().ok(), today.checked_sub(2.days()).ok()];
        days.into_iter().flatten().find_map(|day| self.due(day).filter(|due| *due <= now).map(|due| Owed { id: OwedId(day), due }))
    }

    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_zoned(self.zone.clone()).date();
        let days = [today.yesterday().ok(), Some(today), today.tomorrow().ok(), today.checked_add(2.days()).ok()];
        days.into_iter().flatten().find_map(|day| self.due(day).filter(|due| *due > now))
    }
}

/// The run that is owed at `now`, if any; `settled` is the slot of the last fine run that had one, `fine` when the last fine run ended.
pub fn owed(schedule: &Schedule, now: Timestamp, settled: Option<OwedId>, fine: Option<Timestamp>) -> Option<Owed> {
    let latest = schedule.latest(now)?;
    let Some(settled) = settled else { return Some(latest) };
    // A day or two ahead is a clock put back or a flight west over the date line; more was never true.
    let credible = latest.id.0.checked_add(2.days()).unwrap_or(civil::Date::MAX);
    let again = fine.is_some_and(|fine| latest.due.duration_since(fine) > AGAIN);
    (settled < latest.id || settled.0 > credible || again).then_some(latest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Rules instead of names, so that no machine's time zone database decides a test.
    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
    /// Berlin; New York; Lord Howe, which shifts by half an hour; St John's as it was, where clocks went back across midnight; Auckland.
    const ZONES: [&str; 6] = [
        "UTC0",
        BERLIN,
        "EST5EDT,M3.2.0,M11.1.0",
        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
        "NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01",
        "NZST-12NZDT,M9.5.0,M4.1.0/3",
    ];

    fn schedule(at: &str, zone: &str) -> Schedule {
        Schedule { at: at.parse().unwrap(), zone: TimeZone::posix(zone).unwrap() }
    }

    fn id(text: &str) -> Option<OwedId> {
        Some(text.parse().unwrap())
    }

    fn due(schedule: &Schedule, now: &str, settled: Option<OwedId>) -> Option<String> {
        owed(schedule, now.parse().unwrap(), settled, None).map(|owed| format!("{} {}", owed.id, owed.due))
    }

    #[test]
    fn a_first_run_is_owed_at_once() {
        let schedule = schedule("04:30", BERLIN);
        assert_eq!(due(&schedule, "2026-11-22T12:00:00Z", None).as_deref(), Some("2026-11-22 2026-11-22T03:30:00Z"));
        assert_eq!(due(&schedule, "2026-11-22T03:29:59Z", None).as_deref(), Some("2026-11-21 2026-11-21T03:30:00Z"));
    }

    #[test]
    fn a_settled_slot_is_owed_no_more_and_the_next_one_is() {
        let schedule = schedule("04:30", BERLIN);
        assert_eq!(due(&schedule, "2026-11-22T12:00:00Z", id("2026-11-22")), None);
        assert_eq!(due(&schedule, "2026-11-23T03:29:59Z", id("2026-11-22")), None);
        assert_eq!(due(&schedule, "2026-11-23T03:30:00Z", id("2026-11-22")).as_deref(), Some("2026-11-23 2026-11-23T03:30:00Z"));
    }

    #[test]
    fn a_week_off_is_one_run() {
        let schedule = schedule("04:30", BERLIN);
        assert_eq!(due(&schedule, "2026-11-29T20:00:00Z", id("2026-11-22")).as_deref(), Some("2026-11-29 2026-11-29T03:30:00Z"));
        assert_eq!(due(&schedule, "2026-11-29T21:00:00Z", id("2026-11-29")), None);
    }

    #[test]
    fn a_time_that_the_clock_change_skips_comes_just_after_it() {
        let schedule = schedule("02:30", BERLIN);
        assert_eq!(due(&schedule, "2026-03-29T01:29:59Z", id("2026-03-28")), None);
        assert_eq!(due(&schedule, "2026-03-29T01:30:00Z", id("2026-03-28")).as_deref(), Some("2026-03-29 2026-03-29T01:30:00Z"));
    }

    #[test]
    fn a_time_that_comes_twice_is_owed_once() {
        let schedule = schedule("02:30", BERLIN);
        assert_eq!(due(&schedule, "2026-10-25T00:30:00Z", id("2026-10-24")).as_deref(), Some("2026-10-25 2026-10-25T00:30:00Z"));
        assert_eq!(due(&schedule, "2026-10-25T01:30:00Z", id("2026-10-25")), None);
    }

    #[test]
    fn a_clock_put_back_runs_nothing_twice_and_a_wild_clock_silences_nothing() {
        let schedule = schedule("04:30", "UTC0");
        assert_eq!(due(&schedule, "2026-11-22T03:00:00Z", id("2026-11-22")), None);
        assert!(due(&schedule, "2026-11-22T12:00:00Z", id("2031-01-01")).is_some());
    }

    #[test]
    fn over_the_date_line_a_day_is_run_once() {
        let (auckland, angeles) = (schedule("04:30", "NZST-12NZDT,M9.5.0,M4.1.0/3"), schedule("04:30", "PST8PDT,M3.2.0,M11.1.0"));
        assert_eq!(due(&auckland, "2026-11-21T15:30:00Z", id("2026-11-21")).as_deref(), Some("2026-11-22 2026-11-21T15:30:00Z"));
        // West: the same day comes again, and had its run; the next is the next.
        assert_eq!(due(&angeles, "2026-11-22T12:29:59Z", id("2026-11-22")), None);
        assert_eq!(due(&angeles, "2026-11-23T12:29:59Z", id("2026-11-22")), None);
        assert_eq!(due(&angeles, "2026-11-23T12:30:00Z", id("2026-11-22")).as_deref(), Some("2026-11-23 2026-11-23T12:30:00Z"));
        // Its run was at 04:30 in Auckland, 21 hours before: that is long ago.
        let (again, ran) = ("2026-11-22T12:30:00Z".parse().unwrap(), "2026-11-21T15:30:00Z".parse().unwrap());
        assert_eq!(owed(&angeles, again, id("2026-11-22"), Some(ran)).map(|owed| owed.id), id("2026-11-22"));
        assert_eq!(owed(&angeles, again, id("2026-11-22"), Some(again - AGAIN)), None);
        // East: a day is jumped over, and what is owed is one run.
        assert_eq!(due(&auckland, "2026-11-22T15:30:00Z", id("2026-11-21")).as_deref(), Some("2026-11-23 2026-11-22T15:30:00Z"));
    }

    #[test]
    fn a_slot_settled_ahead_is_believed_for_two_days() {
        let schedule = schedule("04:30", "UTC0");
        for (settled, is_owed) in [("2026-11-23", false), ("2026-11-24", false), ("2026-11-25", true), ("9999-12-31", true)] {
            assert_eq!(due(&schedule, "2026-11-22T12:00:00Z", id(settled)).is_some(), is_owed, "{settled}");
        }
    }

    fn instants() -> impl Strategy<Value = (Schedule, Timestamp)> {
        // 2005 to 2035, and any minute of the day.
        (0..ZONES.len(), 0_u32..24, 0_u32..60, 1_104_537_600_i64..2_051_222_400).prop_map(|(zone, hour, minute, second)| {
            (schedule(&format!("{hour:02}:{minute:02}"), ZONES[zone]), Timestamp::from_second(second).unwrap())
        })
    }

    proptest! {
        #[test]
        fn the_latest_slot_is_past_and_the_next_is_ahead((schedule, now) in instants()) {
            let (latest, next) = (schedule.latest(now).unwrap(), schedule.next(now).unwrap());
            prop_assert!(latest.due <= now && now < next);
            prop_assert!(next.duration_since(latest.due) <= SignedDuration::from_hours(50));
        }

        #[test]
        fn settling_ends_owing((schedule, now) in instants()) {
            let first = owed(&schedule, now, None, None).unwrap();
            prop_assert_eq!(owed(&schedule, now, Some(first.id), Some(now)), None);
        }

        #[test]
        fn each_slot_is_settled_once_however_often_one_looks((schedule, start) in instants(), steps in prop::collection::vec(1_i64..200_000, 1..40)) {
            let (mut now, mut settled, mut fine, mut runs) = (start, None, None, Vec::new());
            for step in steps {
                now += SignedDuration::from_secs(step);
                if let Some(owed) = owed(&schedule, now, settled, fine) {
                    (settled, fine) = (Some(owed.id), Some(now));
                    runs.push(owed.id);
                }
                prop_assert_eq!(settled, schedule.latest(now).map(|owed| owed.id));
            }
            prop_assert!(runs.windows(2).all(|pair| pair[0] < pair[1]));
        }

        /// A Mac that travels, whose clock is set, and that is on whenever it likes: no slot twice but a day that is lived twice, and a day at
        /// home ends with nothing owed.
        #[test]
        fn no_journey_runs_a_slot_twice(
            (home, start) in instants(),
            legs in prop::collection::vec((0..ZONES.len(), 1_i64..200_000, -40_000_i64..40_000), 1..30),
        ) {
            let (mut now, mut settled, mut fine, mut runs) = (start, None, None, Vec::new());
            let mut look = |schedule: &Schedule, clock: Timestamp| {
                if let Some(owed) = owed(schedule, clock, settled, fine) {
                    let lived_twice = fine.is_some_and(|fine| owed.due.duration_since(fine) > AGAIN);
                    runs.push((owed.id, lived_twice));
                    (settled, fine) = (Some(owed.id), Some(clock));
                }
                settled
            };
            for (zone, step, wrong) in legs {
                now += SignedDuration::from_secs(step);
                look(&Schedule { at: home.at, zone: TimeZone::posix(ZONES[zone]).unwrap() }, now + SignedDuration::from_secs(wrong));
            }
            for _ in 0..4 {
                now += SignedDuration::from_hours(24);
                look(&home, now);
            }
            prop_assert_eq!(look(&home, now), home.latest(now).map(|owed| owed.id));
            prop_assert!(runs.windows(2).all(|pair| pair[0].0 < pair[1].0 || pair[1].1), "{:?}", runs);
        }

        /// A Mac that is always on and flies wherever it likes.
        #[test]
        fn no_journey_puts_more_than_a_day_and_a_third_between_two_runs(
            (home, start) in instants(),
            legs in prop::collection::vec((0..ZONES.len(), 1_u32..200), 1..12),
        ) {
            let (mut now, mut settled, mut last) = (start, None, start);
            for (zone, half_hours) in legs {
                let here = Schedule { at: home.at, zone: TimeZone::posix(ZONES[zone]).unwrap() };
                for _ in 0..half_hours {
                    if let Some(owed) = owed(&here, now, settled, Some(last)) {
                        // The day of a clock change has 25 hours.
                        let gap = now.duration_since(last);
                        prop_assert!(gap <= SignedDuration::from_mins((8 + 25) * 60 + 30), "{:?} after {:?}", owed, gap);
                        (settled, last) = (Some(owed.id), now);
                    }
                    now += SignedDuration::from_mins(30);
                }
            }
            prop_assert!(now.duration_since(last) <= SignedDuration::from_mins((8 + 25) * 60 + 30));
        }

        #[test]
        fn a_clock_put_back_by_less_than_a_day_owes_nothing((schedule, now) in instants(), back in 0_i64..80_000) {
            let settled = schedule.latest(now).unwrap().id;
            prop_assert_eq!(owed(&schedule, now - SignedDuration::from_secs(back), Some(settled), Some(now)), None);
        }
    }
}
