//! Sleep, recognised by two clocks: the one on the wall goes on in it, the one of this computer's work does not.
//!
//! Somebody who sets the wall clock looks the same, and that costs no more than reading everything again.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

/// More than this between the clocks is no delay of ours.
const GAP: SignedDuration = SignedDuration::from_secs(60);

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The one on the wall.
    pub wall: Timestamp,
    /// How long this computer was awake since some moment.
    pub uptime: Duration,
}

impl Clocks {
    /// What they show now. On macOS and Linux an [`Instant`] stands while the computer sleeps.
    pub fn now() -> Self {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        let start = *START;
        Self { wall: Timestamp::now(), uptime: start.elapsed() }
    }

    /// Whether this computer slept from here to `later`, or somebody set its clock by more than a minute.
    pub fn slept_until(&self, later: Self) -> bool {
        let awake = SignedDuration::try_from(later.uptime.saturating_sub(self.uptime)).unwrap_or(SignedDuration::MAX);
        later.wall.duration_since(self.wall).saturating_sub(awake).abs() > GAP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_what_only_one_clock_saw() {
        let at = |wall: i64, uptime: u64| Clocks {
            wall: Timestamp::from_second(1_000_000 + wall).unwrap(),
            uptime: Duration::from_secs(uptime),
        };
        let slept = |wall: i64, uptime: u64| at(0, 500).slept_until(at(wall, 500 + uptime));
        assert!(!slept(0, 0) && !slept(7200, 7200) && !slept(60, 0) && !slept(7200, 7141));
        assert!(slept(61, 0) && slept(7200, 3600) && slept(-61, 0) && slept(0, 61));
    }
}
