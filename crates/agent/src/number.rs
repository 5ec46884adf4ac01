//! The name and the number of the next archive: pure.
//!
//! A Pi without a battery has no clock after a power cut and may live through the same hour twice. So the number follows the clock but
//! never goes back, and a name that is taken moves on by a second: neither can replace or overtake an archive that is there.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use offsite_archive::{ArchiveName, JobName};

/// The number after `last`, the highest ever given, at `now`.
pub(crate) fn sequence(last: Option<u64>, now: Timestamp) -> u64 {
    let clock = u64::try_from(now.as_second()).unwrap_or(0);
    last.map_or(clock, |last| clock.max(last.saturating_add(1)))
}

/// How far an archive may lie ahead of the clock and still be followed: further, and it is that archive's clock that was wrong.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The name of a run of `job` that began at `now`: later than any in `taken` that is not far ahead of the clock, because the retention
/// rule goes by time as well; and not one of them.
pub(crate) fn name(job: &JobName, now: Timestamp, taken: &HashSet<ArchiveName>) -> ArchiveName {
    let near = taken.iter().filter(|name| name.job == *job).map(ArchiveName::time).filter(|time| time.duration_since(now) <= AHEAD).max();
    let after = near.and_then(|time| time.checked_add(SECOND).ok());
    let mut time = after.map_or(now, |after| after.max(now));
    loop {
        let name = ArchiveName::new(job.clone(), time);
        match time.checked_add(SECOND) {
            Ok(next) if taken.contains(&name) => time = next,
            _ => return name,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn follows_the_clock_and_never_goes_back() {
        assert_eq!(
            [
                sequence(None, at(1000)),
                sequence(Some(10), at(1000)),
                sequence(Some(1000), at(1000)),
                sequence(Some(5000), at(1000)),
                sequence(None, at(-5))
            ],
            [1000, 1000, 1001, 5001, 0]
        );
    }

    proptest! {
        #[test]
        fn numbers_always_grow(seconds in proptest::collection::vec(-10i64..2_000_000_000, 1..20)) {
            let mut last = None;
            for second in seconds {
                let next = sequence(last, at(second));
                prop_assert!(last.is_none_or(|last| next > last));
                last = Some(next);
            }
        }
    }

    #[test]
    fn a_taken_name_moves_on() {
        let job: JobName = "services".parse().unwrap();
        let mut taken = HashSet::new();
        for second in [1000, 1001, 1002] {
            let name = name(&job, at(1000), &taken);
            assert_eq!(name.time(), at(second));
            taken.insert(name);
        }
        assert_eq!(name(&"other".parse().unwrap(), at(1000), &taken).time(), at(1000));
        // The first one went in the meantime: its second is not used again.
        taken.remove(&ArchiveName::new(job.clone(), at(1000)));
        assert_eq!(name(&job, at(1000), &taken).time(), at(1003));
    }

    #[test]
    fn a_clock_that_was_far_ahead_once_is_not_followed() {
        let job: JobName = "services".parse().unwrap();
        let taken = [1000, 1000 + 3600, 1000 + 4000].map(|second| ArchiveName::new(job.clone(), at(second))).into();
        assert_eq!(name(&job, at(1000), &taken).time(), at(4601));
        assert_eq!(name(&job, at(999), &taken).time(), at(1001));
    }
}
