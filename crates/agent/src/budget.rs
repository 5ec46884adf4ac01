//! How long services may be away, and who notices that it is over while a reader hangs.
//!
//! Invariant: whether a reader was done in time is decided once, under one lock, before the first service starts to come back. So what
//! counts as read in time was read while nothing ran, and a reader in a system call that never returns keeps no service down.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use offsite_archive::JobName;

use crate::journal::{Event, Record};

/// Services get at least so long to start within the budget.
const LEAST: Duration = Duration::from_secs(5);
/// So many of the last runs say how long starting takes.
const RUNS: usize = 5;

/// How much of `budget` is kept for starting: what starting took at most in the last runs of `job`, and no more than half.
pub(crate) fn margin(records: &[Record], job: &JobName, budget: Duration) -> Duration {
    let took = |record: &Record| match &record.event {
        Event::Made { starting: Some(seconds), .. } => Duration::try_from_secs_f64(*seconds).ok(),
        _ => None,
    };
    let longest = records.iter().rev().filter(|record| record.job == *job).filter_map(took).take(RUNS).max();
    longest.unwrap_or_default().max(LEAST).min(budget / 2)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Stopping,
    Reading,
    Done,
    Late,
    LateAndDone,
}

/// Tells a reader that services came back before it was done.
#[derive(Debug)]
pub(crate) struct Late {
    flag: AtomicBool,
    phase: Mutex<Phase>,
    changed: Condvar,
}

impl Late {
    pub(super) fn new() -> Self {
        Self { flag: AtomicBool::new(false), phase: Mutex::new(Phase::Stopping), changed: Condvar::new() }
    }

    /// Whether services are coming back: what is read from now on is not of the moment that they were stopped at. Cheap.
    pub(crate) fn is_late(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// Everything is stopped: the time of the reader begins.
    pub(super) fn reading(&self) {
        self.change(Phase::Stopping, Phase::Reading);
    }

    /// The reader is done, or there is none. Returns whether it was in time; then nobody else brings the services back.
    pub(super) fn done(&self) -> bool {
        self.change(Phase::Stopping, Phase::Done);
        self.change(Phase::Reading, Phase::Done);
        self.change(Phase::Late, Phase::LateAndDone);
        !self.is_late()
    }

    fn change(&self, from: Phase, to: Phase) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if *phase == from {
            *phase = to;
            self.changed.notify_all();
        }
    }

    /// Waits until the reader is done or `at` is past. Returns true where it is late, once.
    pub(super) fn watch(&self, at: Instant) -> bool {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *phase {
                Phase::Done | Phase::Late | Phase::LateAndDone => return false,
                Phase::Stopping => phase = self.changed.wait(phase).unwrap_or_else(PoisonError::into_inner),
                Phase::Reading => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        *phase = Phase::Late;
                        self.flag.store(true, Ordering::SeqCst);
                        return true;
                    }
                    phase = self.changed.wait_timeout(phase, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Waits until a reader that is late has ended, `pause` at most. Returns whether it has.
    pub(super) fn ends_within(&self, pause: Duration) -> bool {
        let phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let (phase, _) =
            self.changed.wait_timeout_while(phase, pause, |phase| *phase == Phase::Late).unwrap_or_else(PoisonError::into_inner);
        *phase != Phase::Late
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn keeps_what_starting_took_but_never_all_of_the_budget() {
        let made = |job: &str, starting: Option<f64>| Record {
            time: Timestamp::UNIX_EPOCH,
            job: job.parse().unwrap(),
            event: Event::Made {
                read: 0,
                fresh: 0,
                full: false,
                notes: Vec::new(),
                archive: format!("{job}/2026-11-22T040000Z").parse().unwrap(),
                sequence: 1,
                complete: true,
                entries: 1,
                raw: 1,
                bytes: 1,
                quiesced: Vec::new(),
                warnings: 0,
                died: Vec::new(),
                degraded: None,
                unhealthy: Vec::new(),
                starting,
                forgotten: Vec::new(),
            },
        };
        let seconds = Duration::from_secs;
        let of = |records: &[Record], budget| margin(records, &"services".parse().unwrap(), seconds(budget));
        assert_eq!((of(&[], 600), of(&[], 6)), (seconds(5), seconds(3)));
        let records = [made("services", Some(40.0)), made("other", Some(90.0)), made("services", Some(2.0)), made("services", None)];
        assert_eq!((of(&records, 600), of(&records, 60)), (seconds(40), seconds(30)));
        let long_ago: Vec<Record> =
            std::iter::once(made("services", Some(100.0))).chain((0..5).map(|_| made("services", Some(7.0)))).collect();
        assert_eq!(of(&long_ago, 600), seconds(7));
        assert_eq!(of(&[made("services", Some(-1.0)), made("services", Some(f64::NAN))], 600), seconds(5));
    }

    #[test]
    fn late_or_done_is_decided_once() {
        let late = Late::new();
        late.reading();
        assert!(late.watch(Instant::now()) && late.is_late());
        assert!(!late.ends_within(Duration::ZERO));
        assert!(!late.done() && !late.watch(Instant::now()) && late.is_late());
        assert!(late.ends_within(Duration::MAX));
        let done = Late::new();
        done.reading();
        assert!(done.done() && !done.watch(Instant::now()) && !done.is_late());
    }

    #[test]
    fn the_time_of_stopping_is_not_the_reader_s() {
        let late = Late::new();
        std::thread::scope(|scope| {
            // Past already, and yet it waits: nothing is brought back while projects are still being stopped.
            let watch = scope.spawn(|| late.watch(Instant::now()));
            late.done();
            assert!(!watch.join().unwrap());
        });
    }
}
