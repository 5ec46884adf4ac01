//! What the journal adds up to: a pure fold over receipts, in file order.
//!
//! File order, not time order: clocks go back, the file does not. A failure stands until the next run that does not meet it; suspicion
//! until accepted; loss until healed or seen whole. So an alarm ends by something that happened, never by time passing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use offsite_archive::{ArchiveName, JobName};
use serde::{Deserialize, Serialize};

use super::{BadLine, Fact, Holding, Outcome, Receipt, Step, Waiting};
use crate::{
    config::PlaceName,
    owed::OwedId,
    tripwire::{Change, Why},
};

/// What stands after all receipts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// When the last run ended, and how.
    pub last_run: Option<(Timestamp, Outcome)>,
    /// When the last run began, where that was noted.
    pub began: Option<Timestamp>,
    /// When the last fine run ended.
    pub last_fine: Option<Timestamp>,
    /// The slot of the last fine run that had one, in file order.
    pub settled: Option<OwedId>,
    /// What was tried of the slot that the last run was for, since the last fine run.
    pub tried: Option<Tried>,
    /// What the daemon waits for, since the last run.
    pub waiting: Option<Waited>,
    /// Failures of the last run and of what was done since, each object and step once.
    pub failures: Vec<Failure>,
    /// The ways of telling the owner that did not work when they were last tried, by channel.
    pub silent: BTreeMap<String, Failure>,
    /// Suspicious archives that nobody accepted and that some place is known to hold.
    pub suspicious: BTreeMap<ArchiveName, Why>,
    /// Archives somebody accepted.
    pub accepted: BTreeSet<ArchiveName>,
    /// What became in each archive of the good one before it, as long as the Mac has it.
    pub compared: BTreeMap<ArchiveName, Compared>,
    /// Archives a place does not hold whole, with the number of lacking frames (`None`: all).
    #[serde(with = "super::pairs")]
    pub lost: BTreeMap<(PlaceName, ArchiveName), Option<u64>>,
    /// Since when each archive is known to be good, per place: when the first of its frames was read back in the last round through it.
    #[serde(with = "super::pairs")]
    pub verified: BTreeMap<(PlaceName, ArchiveName), Timestamp>,
    /// What each place was last known to hold.
    pub held: BTreeMap<PlaceName, BTreeMap<JobName, Holding>>,
    /// The places that are known to hold each archive: where it came to and was not forgotten.
    pub places: BTreeMap<ArchiveName, BTreeSet<PlaceName>>,
    /// When each place was last listed.
    pub seen: BTreeMap<PlaceName, Timestamp>,
    /// Whether everything that should be in it is, of each archive that the Mac has and whose receipt tells.
    pub complete: BTreeMap<ArchiveName, bool>,
    /// What the last pull of each job moved.
    pub pulled: BTreeMap<JobName, Moved>,
    /// What the last push of each job to each cloud moved.
    #[serde(with = "super::pairs")]
    pub pushed: BTreeMap<(PlaceName, JobName), Moved>,
    /// What was to be forgotten since the last run that ended.
    pub forgot: BTreeSet<(PlaceName, ArchiveName)>,
    /// From which Pi each job came, last.
    pub origins: BTreeMap<JobName, PlaceName>,
    /// Lines of the journal that a person knows to be damaged.
    pub acknowledged: BTreeSet<BadLine>,
    /// The last drill of each job that went well.
    pub drilled: BTreeMap<JobName, Drilled>,
}

/// What became of an archive's frames in a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The archive before.
    pub with: ArchiveName,
    /// What became of it.
    pub change: Change,
}

/// A drill that went well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drilled {
    /// When it ended.
    pub time: Timestamp,
    /// Where the archive was restored from.
    pub place: PlaceName,
    /// The archive.
    pub archive: ArchiveName,
}

impl Drilled {
    /// What a drill is called where one failed.
    pub fn object(job: &JobName, place: &PlaceName) -> String {
        format!("{job} from {place}")
    }
}

/// The runs of one slot that did not end fine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The slot, if one was due.
    pub owed: Option<OwedId>,
    /// When the last of them ended.
    pub ended: Timestamp,
    /// How many in a row, the last included, had a failure: something else than a Pi that was away. 0: only Pis are lacking.
    pub failed: u32,
    /// Whether this computer slept in the last of them, so that it counts neither way.
    pub slept: bool,
    /// The Pis that none of them reached.
    pub away: BTreeSet<PlaceName>,
}

/// What a run that is owed waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// Since when it is known.
    pub since: Timestamp,
    /// The slot that was owed when it was last noted.
    pub owed: Option<OwedId>,
    /// What for.
    pub why: Waiting,
}

/// Something that failed and has not gone well since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub time: Timestamp,
    /// What was tried.
    pub step: Step,
    /// On what.
    pub object: String,
    /// The error.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
}

/// What one transfer moved. Bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// When it ended.
    pub time: Timestamp,
    /// The archive.
    pub archive: ArchiveName,
    /// What was moved.
    pub moved: u64,
    /// What the archive is.
    pub total: u64,
}

impl Standing {
    /// Adds up `receipts`.
    pub fn of(receipts: &[Receipt]) -> Self {
        let mut fold = Fold::default();
        receipts.iter().for_each(|receipt| fold.add(receipt));
        fold.standing()
    }

    fn add(&mut self, time: Timestamp, fact: &Fact, ended: &mut usize) {
        match fact {
            Fact::Ran { owed, outcome, began, away, slept } => {
                self.last_run = Some((time, *outcome));
                self.began = *began;
                self.forgot.clear();
                self.waiting = None;
                if *slept {
                    self.failures.clear();
                    *ended = 0;
                }
                let failed = *outcome != Outcome::Fine && !slept && (away.is_empty() || !self.failures.is_empty());
                let before = self.tried.take().filter(|tried| tried.owed == *owed).map_or(0, |before| before.failed);
                self.tried = (*outcome != Outcome::Fine).then(|| Tried {
                    owed: *owed,
                    ended: time,
                    failed: if *slept {
                        before
                    } else if failed {
                        before.saturating_add(1)
                    } else {
                        0
                    },
                    slept: *slept,
                    away: away.clone(),
                });
                if *outcome == Outcome::Fine {
                    self.last_fine = Some(time);
                    self.settled = owed.or(self.settled);
                }
            }
            Fact::Waited { owed, why } => {
                let since = self.waiting.take().filter(|old| old.why.same(why)).map_or(time, |old| old.since);
                self.waiting = Some(Waited { since, owed: *owed, why: why.clone() });
            }
            Fact::Seen { place, jobs } => {
                self.seen.insert(place.clone(), time);
                self.held.insert(place.clone(), jobs.clone());
            }
            Fact::Pulled { pi, archive, moved, total, verified, complete, .. } => {
                // One that came again, from a Pi that was set up anew, may be another.
                match complete {
                    Some(complete) => drop(self.complete.insert(archive.clone(), *complete)),
                    None => drop(self.complete.remove(archive)),
                }
                let (mac, moved) = (PlaceName::mac(), Moved { time, archive: archive.clone(), moved: *moved, total: *total });
                self.pulled.insert(archive.job.clone(), moved);
                if *verified {
                    self.whole(&mac, archive, time);
                }
                self.add_held(&mac, archive);
                self.origins.insert(archive.job.clone(), pi.clone());
                self.seen.entry(pi.clone()).or_insert(time);
            }
            Fact::Pushed { cloud, archive, moved, total, .. } => {
                let moved = Moved { time, archive: archive.clone(), moved: *moved, total: *total };
                self.pushed.insert((cloud.clone(), archive.job.clone()), moved);
                self.lost.remove(&(cloud.clone(), archive.clone()));
                self.add_held(cloud, archive);
            }
            Fact::Verified { place, archive, since } => self.whole(place, archive, since.unwrap_or(time)),
            Fact::Healed { place, archive, .. } => {
                self.lost.remove(&(place.clone(), archive.clone()));
            }
            Fact::Notified { channel } => {
                self.silent.remove(channel);
            }
            Fact::Drilled { place, archive, .. } => {
                let drilled = Drilled { time, place: place.clone(), archive: archive.clone() };
                self.drilled.insert(archive.job.clone(), drilled);
            }
            Fact::Forgot { place, archives } => archives.iter().for_each(|archive| {
                self.forget(place, archive);
                self.forgot.insert((place.clone(), archive.clone()));
            }),
            Fact::Failed { step, object, message, hint } => {
                // The same thing failing hourly is one line with the latest words.
                if let Some(at) = self.failures[*ended..].iter().position(|old| old.step == *step && old.object == *object) {
                    self.failures.remove(*ended + at);
                }
                self.failures.push(Failure { time, step: *step, object: object.clone(), message: message.clone(), hint: hint.clone() });
            }
            Fact::Suspicious { archive, why } => {
                if !self.accepted.contains(archive) {
                    self.suspicious.insert(archive.clone(), why.clone());
                }
            }
            Fact::Compared { archive, with, change } => {
                self.compared.insert(archive.clone(), Compared { with: with.clone(), change: *change });
            }
            Fact::Accepted { archive } => {
                self.suspicious.remove(archive);
                self.accepted.insert(archive.clone());
            }
            Fact::Acknowledged { lines } => self.acknowledged.extend(lines.iter().cloned()),
            Fact::Lost { place, archive, frames } => {
                self.verified.remove(&(place.clone(), archive.clone()));
                self.lost.insert((place.clone(), archive.clone()), *frames);
            }
        }
    }

    fn whole(&mut self, place: &PlaceName, archive: &ArchiveName, time: Timestamp) {
        let key = (place.clone(), archive.clone());
        self.lost.remove(&key);
        self.verified.insert(key, time);
    }

    /// Counts one more archive at a place, which its next listing corrects.
    fn add_held(&mut self, place: &PlaceName, archive: &ArchiveName) {
        self.places.entry(archive.clone()).or_default().insert(place.clone());
        let jobs = self.held.entry(place.clone()).or_default();
        let holding = jobs.entry(archive.job.clone()).or_insert_with(|| Holding { count: 0, newest: archive.clone() });
        if holding.newest <= *archive {
            holding.newest = archive.clone();
        }
        holding.count += 1;
    }

    fn forget(&mut self, place: &PlaceName, archive: &ArchiveName) {
        let key = (place.clone(), archive.clone());
        self.lost.remove(&key);
        self.verified.remove(&key);
        if let Some(holding) = self.held.get_mut(place).and_then(|jobs| jobs.get_mut(&archive.job)) {
            holding.count = holding.count.saturating_sub(1);
        }
        if let Some(places) = self.places.get_mut(archive) {
            places.remove(place);
        }
        // As long as a place holds it, it must not push good ones out there, nor must what came after it.
        if self.places.get(archive).is_none_or(BTreeSet::is_empty) {
            self.places.remove(archive);
            self.suspicious.remove(archive);
        }
        if *place == PlaceName::mac() {
            self.compared.remove(archive);
            self.complete.remove(archive);
        }
    }
}

/// An addition that can be taken up again: after the receipts of today come those of tomorrow, and the sum is that of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fold {
    standing: Standing,
    /// How many of the failures belong to runs that have ended: the next end replaces those.
    ended: usize,
    /// The drills that failed and did not go well since.
    drills: BTreeMap<String, Failure>,
}

impl Fold {
    /// Adds one more.
    pub(super) fn add(&mut self, Receipt { time, fact }: &Receipt) {
        let Self { standing, ended, drills } = self;
        // A night rehearses nothing, so its end says nothing about a drill: the failure of one stands until the same one goes well.
        match fact {
            Fact::Failed { step: Step::Drill, object, message, hint } => {
                let (object, message, hint) = (object.clone(), message.clone(), hint.clone());
                drills.insert(object.clone(), Failure { time: *time, step: Step::Drill, object, message, hint });
                return;
            }
            // Nor about notices: a channel that is silent is so until something gets through.
            Fact::Failed { step: Step::Notify, object, message, hint } => {
                let (object, message, hint) = (object.clone(), message.clone(), hint.clone());
                standing.silent.insert(object.clone(), Failure { time: *time, step: Step::Notify, object, message, hint });
                return;
            }
            Fact::Drilled { place, archive, .. } => drop(drills.remove(&Drilled::object(&archive.job, place))),
            _ => {}
        }
        if let Fact::Ran { .. } = fact {
            standing.failures.drain(..*ended);
            *ended = standing.failures.len();
        }
        standing.add(*time, fact, ended);
    }

    /// What it adds up to so far.
    pub(super) fn standing(mut self) -> Standing {
        self.standing.failures.extend(self.drills.into_values());
        self.standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64, fact: Fact) -> Receipt {
        Receipt { time: Timestamp::from_second(second).unwrap(), fact }
    }

    fn failed(object: &str, message: &str) -> Fact {
        Fact::Failed { step: Step::Push, object: object.into(), message: message.into(), hint: None }
    }

    fn ran(day: &str, outcome: Outcome) -> Fact {
        Fact::Ran { owed: Some(day.parse().unwrap()), outcome, began: None, away: BTreeSet::new(), slept: false }
    }

    fn messages(receipts: &[Receipt]) -> Vec<String> {
        Standing::of(receipts).failures.into_iter().map(|failure| failure.message).collect()
    }

    fn archive(day: u32) -> ArchiveName {
        format!("services/2026-11-{day:02}T040000Z").parse().unwrap()
    }

    fn cold() -> PlaceName {
        "cold".parse().unwrap()
    }

    #[test]
    fn failures_stand_until_a_run_ends_without_them() {
        let mut receipts = vec![at(1, failed("cold", "a")), at(2, ran("2026-11-22", Outcome::Incomplete))];
        assert_eq!(messages(&receipts), ["a"]);
        receipts.push(at(3, failed("cold", "b")));
        assert_eq!(messages(&receipts), ["a", "b"], "the next run is not over");
        receipts.push(at(4, failed("cold", "c")));
        assert_eq!(messages(&receipts), ["a", "c"], "the same thing again is one failure");
        receipts.push(at(5, ran("2026-11-22", Outcome::Failed)));
        assert_eq!(messages(&receipts), ["c"]);
        receipts.push(at(6, ran("2026-11-22", Outcome::Fine)));
        assert_eq!(messages(&receipts), [""; 0]);
    }

    #[test]
    fn what_was_to_be_forgotten_is_remembered_until_a_run_ends() {
        let forgot = |place, day| Fact::Forgot { place, archives: vec![archive(day)] };
        let pulled = |pi: &str, day| Fact::Pulled {
            pi: pi.parse().unwrap(),
            archive: archive(day),
            sequence: 1,
            moved: 1,
            total: 1,
            verified: true,
            complete: None,
        };
        let receipts = [
            pulled("old", 22),
            forgot(PlaceName::mac(), 20),
            ran("2026-11-22", Outcome::Fine),
            pulled("new", 23),
            forgot(PlaceName::mac(), 21),
            forgot(cold(), 21),
            ran("2026-11-23", Outcome::Fine),
        ]
        .map(|fact| at(1, fact));
        let days =
            |upto: usize| Standing::of(&receipts[..upto]).forgot.into_iter().map(|(place, name)| (place, name.time())).collect::<Vec<_>>();
        let of = |place, day| (place, archive(day).time());
        assert_eq!(days(2), [of(PlaceName::mac(), 20)]);
        assert_eq!(days(6), [of(cold(), 21), of(PlaceName::mac(), 21)]);
        assert_eq!((days(3).len(), days(7).len()), (0, 0));
        let origin = |upto: usize| Standing::of(&receipts[..upto]).origins[&archive(22).job].to_string();
        assert_eq!((origin(3).as_str(), origin(4).as_str()), ("old", "new"));
    }

    #[test]
    fn only_a_fine_run_settles_its_slot() {
        let mut receipts = vec![at(1, ran("2026-11-21", Outcome::Fine)), at(2, ran("2026-11-22", Outcome::Incomplete))];
        let standing = Standing::of(&receipts);
        assert_eq!((standing.settled, standing.last_fine), (Some("2026-11-21".parse().unwrap()), Some(Timestamp::from_second(1).unwrap())));
        receipts.push(at(3, Fact::Ran { owed: None, outcome: Outcome::Fine, began: None, away: BTreeSet::new(), slept: false }));
        let standing = Standing::of(&receipts);
        assert_eq!((standing.settled, standing.last_fine), (Some("2026-11-21".parse().unwrap()), Some(Timestamp::from_second(3).unwrap())));
    }

    #[test]
    fn suspicion_ends_by_acceptance_and_does_not_come_back() {
        let suspicious = Fact::Suspicious { archive: archive(22), why: Why::Empty };
        let mut receipts = vec![at(1, suspicious.clone())];
        assert!(Standing::of(&receipts).suspicious.contains_key(&archive(22)));
        receipts.push(at(2, Fact::Accepted { archive: archive(22) }));
        receipts.push(at(3, suspicious));
        let standing = Standing::of(&receipts);
        assert!(standing.suspicious.is_empty() && standing.accepted.contains(&archive(22)));
    }

    #[test]
    fn suspicion_stands_until_no_place_holds_the_archive_any_more() {
        let forgot = |place| Fact::Forgot { place, archives: vec![archive(22)] };
        let receipts = [
            Fact::Suspicious { archive: archive(22), why: Why::Empty },
            Fact::Pulled {
                pi: "pi".parse().unwrap(),
                archive: archive(22),
                sequence: 1,
                moved: 1,
                total: 1,
                verified: false,
                complete: None,
            },
            Fact::Pushed { cloud: cold(), archive: archive(22), sequence: 1, moved: 1, total: 1 },
            forgot(PlaceName::mac()),
            forgot(PlaceName::mac()),
            forgot(cold()),
        ]
        .map(|fact| at(1, fact));
        let held = |upto: usize| Standing::of(&receipts[..upto]).suspicious.contains_key(&archive(22));
        assert_eq!([held(3), held(4), held(5), held(6)], [true, true, true, false]);
    }

    #[test]
    fn loss_ends_by_healing_or_by_being_seen_whole_in_that_place_only() {
        let lost = |place| Fact::Lost { place, archive: archive(22), frames: Some(2) };
        let base = vec![at(1, lost(cold())), at(2, lost(PlaceName::mac()))];
        let left = |fact| {
            let mut receipts = base.clone();
            receipts.push(at(3, fact));
            Standing::of(&receipts).lost.into_keys().map(|(place, _)| place.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(left(Fact::Verified { place: PlaceName::mac(), archive: archive(22), since: None }), ["cold"]);
        assert_eq!(left(Fact::Healed { place: cold(), archive: archive(22), from: PlaceName::mac() }), ["mac"]);
        assert_eq!(left(Fact::Forgot { place: cold(), archives: vec![archive(22)] }), ["mac"]);
        assert_eq!(left(Fact::Verified { place: PlaceName::mac(), archive: archive(21), since: None }), ["cold", "mac"]);
        assert_eq!(left(Fact::Pushed { cloud: cold(), archive: archive(22), sequence: 1, moved: 1, total: 1 }), ["mac"]);
    }

    #[test]
    fn what_a_place_holds_is_its_last_listing_and_what_came_since() {
        let job: JobName = "services".parse().unwrap();
        let seen = Fact::Seen { place: cold(), jobs: [(job.clone(), Holding { count: 2, newest: archive(21) })].into() };
        let pushed = Fact::Pushed { cloud: cold(), archive: archive(22), sequence: 1, moved: 1, total: 1 };
        let forgot = Fact::Forgot { place: cold(), archives: vec![archive(19)] };
        let receipts = [at(1, pushed.clone()), at(2, seen), at(3, pushed), at(4, forgot)];
        let holding = |upto: usize| Standing::of(&receipts[..upto]).held[&cold()][&job].clone();
        assert_eq!(holding(1), Holding { count: 1, newest: archive(22) });
        assert_eq!(holding(2), Holding { count: 2, newest: archive(21) });
        assert_eq!(holding(3), Holding { count: 3, newest: archive(22) });
        assert_eq!(holding(4), Holding { count: 2, newest: archive(22) });
    }

    #[test]
    fn a_lost_archive_counts_as_verified_no_more() {
        let verified = Fact::Verified { place: PlaceName::mac(), archive: archive(22), since: None };
        let lost = Fact::Lost { place: PlaceName::mac(), archive: archive(22), frames: None };
        assert!(Standing::of(&[at(1, verified), at(2, lost)]).verified.is_empty());
    }

    #[test]
    fn a_failed_drill_stands_until_the_same_one_goes_well() {
        let failed =
            |message: &str| Fact::Failed { step: Step::Drill, object: "services from cold".into(), message: message.into(), hint: None };
        let drilled = |place| Fact::Drilled { place, archive: archive(22), files: 1, bytes: 1 };
        let mut receipts = vec![at(1, failed("a")), at(2, ran("2026-11-22", Outcome::Fine)), at(3, ran("2026-11-23", Outcome::Fine))];
        assert_eq!(messages(&receipts), ["a"], "nights say nothing about it");
        receipts.push(at(4, failed("b")));
        assert_eq!(messages(&receipts), ["b"]);
        receipts.push(at(5, drilled(PlaceName::mac())));
        assert_eq!(messages(&receipts), ["b"], "that was another place");
        receipts.push(at(6, drilled(cold())));
        assert_eq!(messages(&receipts), [""; 0]);
        let last = Drilled { time: Timestamp::from_second(6).unwrap(), place: cold(), archive: archive(22) };
        assert_eq!(Standing::of(&receipts).drilled, [("services".parse().unwrap(), last)].into());
    }

    #[test]
    fn every_kind_is_read_back_as_written_and_known() {
        let place = cold;
        let facts = [
            ran("2026-11-22", Outcome::Fine),
            Fact::Ran { owed: None, outcome: Outcome::Failed, began: None, away: BTreeSet::new(), slept: false },
            Fact::Seen { place: place(), jobs: [("services".parse().unwrap(), Holding { count: 1, newest: archive(1) })].into() },
            Fact::Pulled { pi: place(), archive: archive(1), sequence: 1, moved: 2, total: 3, verified: true, complete: None },
            Fact::Pushed { cloud: place(), archive: archive(1), sequence: 1, moved: 2, total: 3 },
            Fact::Verified { place: place(), archive: archive(1), since: None },
            Fact::Verified { place: place(), archive: archive(1), since: Some(Timestamp::UNIX_EPOCH) },
            Fact::Compared { archive: archive(2), with: archive(1), change: Change::default() },
            Fact::Forgot { place: place(), archives: vec![archive(1)] },
            Fact::Failed { step: Step::Plain, object: "a".into(), message: "line\nbreak".into(), hint: Some("b".into()) },
            Fact::Suspicious { archive: archive(1), why: Why::Empty },
            Fact::Suspicious { archive: archive(1), why: Why::Fewer { now: 1, usual: 2 } },
            Fact::Suspicious { archive: archive(1), why: Why::Replaced { stays: 3, usual: 98, least: 49 } },
            Fact::Suspicious { archive: archive(1), why: Why::Scrambled { stays: 3, least: 49, was: 40, is: 100 } },
            Fact::Accepted { archive: archive(1) },
            Fact::Acknowledged { lines: [BadLine { line: 7, hash: "ab".into() }].into() },
            Fact::Lost { place: place(), archive: archive(1), frames: None },
            Fact::Healed { place: place(), archive: archive(1), from: PlaceName::mac() },
            Fact::Drilled { place: place(), archive: archive(1), files: 2, bytes: 3 },
        ];
        let receipts: Vec<Receipt> = facts.into_iter().map(|fact| at(1, fact)).collect();
        let text: String = receipts.iter().map(|receipt| serde_json::to_string(receipt).unwrap() + "\n").collect();
        let read = crate::journal::parse(text.as_bytes());
        assert_eq!((read.receipts, read.unknown, read.damaged), (receipts, 0, vec![]));
    }

    fn tried(owed: &str, outcome: Outcome, away: &[&str], slept: bool) -> Fact {
        let away = away.iter().map(|name| name.parse().unwrap()).collect();
        Fact::Ran { owed: owed.parse().ok(), outcome, began: None, away, slept }
    }

    #[test]
    fn tries_of_a_slot_are_counted_until_one_is_fine() {
        let count = |receipts: &[Receipt]| Standing::of(receipts).tried.map(|tried| (tried.failed, tried.slept, tried.away.len()));
        let mut receipts = vec![at(1, tried("2026-11-22", Outcome::Failed, &[], false))];
        assert_eq!(count(&receipts), Some((1, false, 0)));
        receipts.extend([at(2, failed("a", "no")), at(3, tried("2026-11-22", Outcome::Incomplete, &["pi"], false))]);
        assert_eq!(count(&receipts), Some((2, false, 1)));
        // Slept through: what failed in it is nobody's failure, and the count stays.
        receipts.extend([at(4, failed("b", "no")), at(5, tried("2026-11-22", Outcome::Incomplete, &[], true))]);
        assert_eq!((count(&receipts), messages(&receipts).len()), (Some((2, true, 0)), 0));
        // Nothing lacks but a Pi.
        receipts.push(at(6, tried("2026-11-22", Outcome::Incomplete, &["pi"], false)));
        assert_eq!(count(&receipts), Some((0, false, 1)));
        receipts.push(at(7, tried("2026-11-23", Outcome::Failed, &[], false)));
        assert_eq!(count(&receipts), Some((1, false, 0)), "another slot begins anew");
        receipts.push(at(8, tried("2026-11-23", Outcome::Fine, &[], false)));
        assert_eq!(count(&receipts), None);
    }

    #[test]
    fn what_is_waited_for_stands_since_it_was_noted_first_and_ends_with_a_run() {
        let waited = |owed: &str, why: Waiting| Fact::Waited { owed: owed.parse().ok(), why };
        let away = || Waiting::Away { pis: ["pi".parse().unwrap()].into(), no_route: BTreeSet::new() };
        let mut receipts = vec![at(1, waited("2026-11-22", away())), at(2, waited("2026-11-23", away()))];
        let standing =
            |receipts: &[Receipt]| Standing::of(receipts).waiting.map(|waited| (waited.since.as_second(), waited.why.to_string()));
        assert_eq!(standing(&receipts), Some((1, "not at home: pi does not answer".to_owned())));
        receipts.push(at(3, waited("2026-11-23", Waiting::Battery { percent: 12 })));
        receipts.push(at(4, waited("2026-11-24", Waiting::Battery { percent: 7 })));
        assert_eq!(standing(&receipts), Some((3, "on battery, 7 %".to_owned())));
        receipts.push(at(5, waited("2026-11-24", Waiting::Disk { folder: "/Volumes/disk/offsite".into() })));
        assert_eq!(standing(&receipts), Some((5, "the disk with /Volumes/disk/offsite is not mounted".to_owned())));
        receipts.push(at(6, tried("2026-11-24", Outcome::Failed, &[], false)));
        assert_eq!(standing(&receipts), None);
    }
}
