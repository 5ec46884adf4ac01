//! What the journal adds up to: a pure fold over receipts, in file order.
//!
//! File order, not time order: clocks go back, the file does not. A failure stands until the next run that does not meet it; suspicion
//! until accepted; loss until healed or seen whole. So an alarm ends by something that happened, never by time passing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use offsite_archive::{ArchiveName, JobName};
use serde::{Deserialize, Serialize};

use super::{BadLine, Fact, Holding, Outcome, Receipt, Step, Waiting, Warned};
use crate::{
    config::PlaceName,
    owed::OwedId,
    tripwire::{Change, Why},
};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub last_run: Option<(Timestamp, Outcome)>,
    /// When the last run began, where that was noted.
    pub began: Option<Timestamp>,
    /// When the last fine run ended.
    pub last_fine: Option<Timestamp>,
    /// The slot of the last fine run that had one, in file order; none if a person asked the daemon for another since.
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
    /// The warnings of each archive that the Mac has and that has any.
    pub warned: BTreeMap<ArchiveName, Warned>,
    /// What a person forgot on the Mac and did not want again since.
    pub refused: BTreeSet<ArchiveName>,
    /// What the last run that pulled each job moved.
    pub pulled: BTreeMap<JobName, Moved>,
    /// What the last run that pushed each job to each cloud moved.
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The archive before.
    pub with: ArchiveName,
    /// What became of it.
    pub change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drilled {
    /// When it ended.
    pub time: Timestamp,
    /// Where the archive was restored from.
    pub place: PlaceName,
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
    pub why: Waiting,
}

/// Something that failed and has not gone well since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub time: Timestamp,
    pub step: Step,
    pub object: String,
    pub message: String,
    pub hint: Option<String>,
}

/// What one run moved of a job, to one place. Bytes.
///
/// Newest archives go first, and of what they have in common nothing goes again: only all of them together tell what a run costs. A run that was
/// killed is one with the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// When the last of it ended.
    pub time: Timestamp,
    /// The newest archive of it.
    pub archive: ArchiveName,
    /// What was moved, of all archives.
    pub moved: u64,
    /// What the newest archive is.
    pub total: u64,
    /// Whether the run has ended, so that what comes next is of another.
    pub over: bool,
}

impl Moved {
    fn and(before: Option<Self>, time: Timestamp, archive: &ArchiveName, moved: u64, total: u64) -> Self {
        let one = Self { time, archive: archive.clone(), moved, total, over: false };
        let Some(before) = before.filter(|before| !before.over) else { return one };
        let moved = before.moved.saturating_add(moved);
        if before.archive > *archive { Self { time, moved, ..before } } else { Self { moved, ..one } }
    }
}

impl Standing {
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
                self.pulled.values_mut().chain(self.pushed.values_mut()).for_each(|moved| moved.over = true);
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
            Fact::Asked => (self.settled, self.tried) = (None, None),
            Fact::Waited { owed, why } => {
                let since = self.waiting.take().filter(|old| old.why.same(why)).map_or(time, |old| old.since);
                self.waiting = Some(Waited { since, owed: *owed, why: why.clone() });
            }
            Fact::Seen { place, jobs } => {
                self.seen.insert(place.clone(), time);
                self.held.insert(place.clone(), jobs.clone());
            }
            Fact::Pulled { pi, archive, moved, total, verified, complete, warnings, .. } => {
                self.refused.remove(archive);
                self.warned.remove(archive);
                if !warnings.is_none() {
                    self.warned.insert(archive.clone(), warnings.clone());
                }
                // One that came again, from a Pi that was set up anew, may be another.
                match complete {
                    Some(complete) => drop(self.complete.insert(archive.clone(), *complete)),
                    None => drop(self.complete.remove(archive)),
                }
                let (mac, job) = (PlaceName::mac(), &archive.job);
                let moved = Moved::and(self.pulled.remove(job), time, archive, *moved, *total);
                self.pulled.insert(job.clone(), moved);
                if *verified {
                    self.whole(&mac, archive, time);
                }
                self.add_held(&mac, archive);
                self.origins.insert(archive.job.clone(), pi.clone());
                self.seen.entry(pi.clone()).or_insert(time);
            }
            Fact::Pushed { cloud, archive, moved, total, .. } => {
                let key = (cloud.clone(), archive.job.clone());
                let moved = Moved::and(self.pushed.remove(&key), time, archive, *moved, *total);
                self.pushed.insert(key, moved);
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
            Fact::Again { archive } => drop(self.refused.remove(archive)),
            Fact::Forgot { place, archives, by_hand } => archives.iter().for_each(|archive| {
                self.forget(place, archive);
                if *by_hand && *place == PlaceName::mac() {
                    self.refused.insert(archive.clone());
                }
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
            self.warned.remove(archive);
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

    pub(super) fn standing(mut self) -> Standing {
        self.standing.failures.extend(self.drills.into_values());
        self.standing
    }
}

#[cfg(test)]
mod tests;
