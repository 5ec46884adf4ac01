//! How long a resume waits for whoever holds the lock while services are away: pure.
//!
//! A living run keeps its downtime budget by itself, so one that is well past it hangs: it is stopped, waits for a dead disk, or for a
//! docker command that does not end. Time is measured here from the first look at a ledger, so that a clock which is set right in the
//! middle neither ends a good run nor spares a dead one.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::{
    ledger::{Ledger, Stage},
    lock::ORPHAN,
};

/// Beyond the latest-by time: a run brings its services back before that, and they may take a while.
const GRACE: Duration = Duration::from_secs(2 * 60);
/// The same while services are being started already: ending that and doing it again gains nothing unless it hangs. Longer than
/// any docker command may take.
const STARTING: Duration = Duration::from_secs(30 * 60);
/// However the clock was set between the ledger and the first look at it.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The patience of one resume.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// What the ledger said, and until when that is waited for; `None` for ever.
    seen: Option<(Window, Option<Instant>)>,
}

/// What of a ledger decides.
type Window = (Timestamp, Option<Timestamp>, Stage);

impl Patience {
    /// How much longer the holder of the lock is waited for; zero when it is to be ended, `None` for ever (an agent lives that knows
    /// no latest-by time). `orphaned` says since when no agent has held the lock, only commands of a dead one.
    pub(crate) fn left(&mut self, ledger: &Ledger, orphaned: Option<Instant>, clock: Timestamp, now: Instant) -> Option<Duration> {
        let window = (ledger.started, ledger.latest_by, ledger.stage);
        let until = match &self.seen {
            Some((seen, until)) if *seen == window => *until,
            _ => ledger.latest_by.map(|latest_by| now + away(latest_by, ledger.stage, clock)),
        };
        self.seen = Some((window, until));
        let orphaned = orphaned.map(|since| since + ORPHAN);
        let until = [until, orphaned].into_iter().flatten().min()?;
        Some(until.saturating_duration_since(now))
    }
}

/// From the clock's time to the end of patience.
fn away(latest_by: Timestamp, stage: Stage, clock: Timestamp) -> Duration {
    let grace = match stage {
        Stage::Stopping | Stage::Reading => GRACE,
        Stage::Starting | Stage::Checking => STARTING,
    };
    let end = latest_by.saturating_add(SignedDuration::try_from(grace).unwrap_or_default()).unwrap_or(latest_by);
    Duration::try_from(end.duration_since(clock)).unwrap_or_default().min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: i64 = 600;

    fn ledger(stage: Stage, latest_by: Option<i64>) -> Ledger {
        let mut ledger: Ledger = serde_json::from_str(
            r#"{"version":1,"job":"services","started":"2026-01-01T00:00:00Z","stage":"reading","docker":"docker","projects":[]}"#,
        )
        .unwrap();
        (ledger.stage, ledger.latest_by) = (stage, latest_by.map(at));
        ledger
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn seconds(patience: Option<Duration>) -> Option<u64> {
        patience.map(|left| left.as_secs())
    }

    #[test]
    fn a_run_has_its_budget_and_a_grace() {
        let now = Instant::now();
        let left = |stage, clock| seconds(Patience::default().left(&ledger(stage, Some(BUDGET)), None, at(clock), now));
        assert_eq!([left(Stage::Stopping, 0), left(Stage::Reading, 100), left(Stage::Reading, 720)], [Some(720), Some(620), Some(0)]);
        assert_eq!([left(Stage::Starting, 720), left(Stage::Checking, 2400), left(Stage::Starting, 9999)], [Some(1680), Some(0), Some(0)]);
        assert_eq!(Patience::default().left(&ledger(Stage::Reading, None), None, at(9999), now), None);
    }

    #[test]
    fn commands_of_a_dead_agent_have_minutes() {
        let now = Instant::now();
        let left = |latest_by, clock| seconds(Patience::default().left(&ledger(Stage::Stopping, latest_by), Some(now), at(clock), now));
        assert_eq!([left(Some(BUDGET), 0), left(Some(BUDGET), 700), left(None, 0)], [Some(180), Some(20), Some(180)]);
    }

    #[test]
    fn a_clock_that_is_set_meanwhile_changes_nothing_and_a_new_window_does() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        let ledger = |latest_by| ledger(Stage::Reading, Some(latest_by));
        assert_eq!(seconds(patience.left(&ledger(BUDGET), None, at(0), now)), Some(720));
        let later = now + Duration::from_secs(20);
        for clock in [20, 99_999, -99_999_999] {
            assert_eq!(seconds(patience.left(&ledger(BUDGET), None, at(clock), later)), Some(700), "{clock}");
        }
        assert_eq!(seconds(patience.left(&ledger(BUDGET + 60), None, at(20), later)), Some(760));
        // A clock that was years behind when the window was first seen.
        assert_eq!(patience.left(&ledger(BUDGET + 61), None, at(-99_999_999), later), Some(LONGEST));
    }
}
