//! When an alarm may begin by time alone: a pure function, so that a daemon with nothing owed need not look each time.

use jiff::{SignedDuration, Timestamp};

use crate::status::{Facts, PlaceKind, Report};

/// The longest that is waited though no limit is known to pass: for what begins without us, as a disk that somebody else fills.
pub(super) const AT_LEAST_EVERY: SignedDuration = SignedDuration::from_hours(6);

/// The first limit that passes after the report, at most [`AT_LEAST_EVERY`] away.
pub(crate) fn next(facts: &Facts, report: &Report) -> Timestamp {
    let now = report.time;
    let limits = facts.standing.last_fine.map(|time| (time, facts.config.overdue)).into_iter();
    let jobs = report.jobs.iter().flat_map(|job| {
        let limit = facts.config.overdue_of(&job.job);
        // A Pi's own archives are nobody's limit; the Mac's and the clouds' are.
        let places = job.places.iter().filter(|place| place.kind != PlaceKind::Pi);
        places.filter_map(move |place| Some((place.newest.as_ref()?.time(), limit)))
    });
    let passes = |(time, limit): (Timestamp, SignedDuration)| time.checked_add(limit).ok()?.checked_add(SignedDuration::from_secs(1)).ok();
    let latest = now.checked_add(AT_LEAST_EVERY).unwrap_or(now);
    limits.chain(jobs).filter_map(passes).filter(|time| *time > now).fold(latest, Timestamp::min)
}
