//! What to do now, from what is known: pure.
//!
//! The order of the questions is the order of what they cost: the journal, the battery, the disk, the network. A run that failed is tried
//! again after a pause that grows, because each try reads and sends; a Pi that is away costs one packet, so it is asked as often as the
//! waiting allows, and what can be done without it is done once per slot and not at every start.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{
    config::PlaceName,
    journal::{Fact, Receipt, Standing, Tried, Waiting},
    night::Tonight,
    owed::Owed,
    platform::Power,
};

/// How long the others wait for a Pi that does not answer. A Pi that boots, or a network after a wake, is there in less.
pub(super) const GRACE: Duration = Duration::from_secs(5 * 60);
/// The pauses between questions to a Pi.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// The pauses after the first, second, … run of a slot that failed; the last stays. Ten tries in a day, and the next slot begins anew.
const AGAIN: [SignedDuration; 4] =
    [SignedDuration::from_mins(30), SignedDuration::from_hours(1), SignedDuration::from_hours(2), SignedDuration::from_hours(4)];

/// What is known before the network is asked.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Now.
    pub now: Timestamp,
    /// The slot that is owed, if one is.
    pub owed: Option<Owed>,
    /// What the journal's tail adds up to.
    pub standing: Standing,
    /// Whether a run was killed: something was moved after the last run that ended.
    pub begun: bool,
    /// How this computer is powered, if it has a battery.
    pub power: Option<Power>,
    /// The charge below which a run is postponed. Per cent.
    pub battery: u8,
    /// The repository, if its disk is not there.
    pub unplugged: Option<PathBuf>,
    /// The Pis of the configuration.
    pub pis: BTreeSet<PlaceName>,
}

/// What the network says, and for how long it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// The Pis that answer.
    pub answers: BTreeSet<PlaceName>,
    /// Those towards which the system knows no way.
    pub no_route: BTreeSet<PlaceName>,
    /// How long this start has waited, by the clock that does not count sleep.
    pub waited: Duration,
    /// For how long it may.
    pub wait: Duration,
}

/// What may be known without the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing is owed.
    Done,
    /// What is owed failed not long ago: not before then.
    Later(Timestamp),
    /// Something must come first, and somebody starts us again when it has, or in ten minutes.
    Postpone(Waiting),
    /// Ask the Pis.
    Ask,
}

/// What to do, once the Pis were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Play this night.
    Run(Tonight),
    /// Ask again later.
    Pause,
    /// Give up for this start.
    Postpone(Waiting),
}

impl Known {
    /// Whether there is anything to do, and whether anything on this computer is against it.
    pub(super) fn before(&self) -> Before {
        if self.owed.is_none() {
            return Before::Done;
        }
        if let Some(at) = self.not_before()
            && self.missed().is_empty()
        {
            return Before::Later(at);
        }
        if let Some(Power { mains: false, percent }) = self.power
            && percent < self.battery
        {
            return Before::Postpone(Waiting::Battery { percent });
        }
        match &self.unplugged {
            Some(folder) => Before::Postpone(Waiting::Disk { folder: folder.clone() }),
            None => Before::Ask,
        }
    }

    /// What to do with these answers.
    pub(super) fn step(&self, heard: &Heard) -> Step {
        let away: BTreeSet<PlaceName> = self.pis.difference(&heard.answers).cloned().collect();
        let wanted = self.wanted();
        let lacking: BTreeSet<PlaceName> = away.intersection(&wanted).cloned().collect();
        let worth = lacking.len() < wanted.len() || self.undone();
        if lacking.is_empty() || worth && heard.waited >= GRACE.min(heard.wait) {
            let had = if self.is_broken() { BTreeSet::new() } else { self.pis.difference(&wanted).cloned().collect() };
            return Step::Run(Tonight { owed: self.owed.map(|owed| owed.id), away, had });
        }
        if heard.waited < heard.wait {
            return Step::Pause;
        }
        let no_route = lacking.intersection(&heard.no_route).cloned().collect();
        Step::Postpone(Waiting::Away { pis: lacking, no_route })
    }

    /// Whether more may be lacking of this slot than the Pis that were missed.
    fn is_broken(&self) -> bool {
        self.tried().is_some_and(|tried| tried.failed > 0 || tried.slept)
    }

    /// The runs of this slot.
    fn tried(&self) -> Option<&Tried> {
        let id = self.owed?.id;
        self.standing.tried.as_ref().filter(|tried| tried.owed == Some(id))
    }

    /// Until when a run that failed is not tried again. A clock that was put back ends the pause: it would be of unknown length.
    fn not_before(&self) -> Option<Timestamp> {
        let tried = self.tried().filter(|tried| tried.failed > 0 && !tried.slept)?;
        let at = tried.ended.checked_add(pause_after(tried.failed)).ok()?;
        (self.now < at && tried.ended <= self.now).then_some(at)
    }

    /// The Pis that the last run of this slot did not find at home.
    fn missed(&self) -> BTreeSet<PlaceName> {
        self.tried().map(|tried| tried.away.intersection(&self.pis).cloned().collect()).unwrap_or_default()
    }

    /// The Pis for which a run is due: all, or those that were missed if nothing else is lacking, or nothing else is to be tried yet.
    fn wanted(&self) -> BTreeSet<PlaceName> {
        let missed = self.missed();
        let only_those = !missed.is_empty() && (!self.is_broken() || self.not_before().is_some());
        if only_those { missed } else { self.pis.clone() }
    }

    /// Whether there is something to do without any Pi: what a run left that failed or was killed, such as a push.
    fn undone(&self) -> bool {
        let failed = self.standing.tried.as_ref().is_some_and(|tried| tried.failed > 0 || tried.slept);
        (failed || self.begun) && self.not_before().is_none()
    }
}

fn pause_after(failed: u32) -> SignedDuration {
    let at = usize::try_from(failed).unwrap_or(usize::MAX).saturating_sub(1);
    AGAIN.get(at).or(AGAIN.last()).copied().unwrap_or(SignedDuration::from_hours(4))
}

/// The pause after so many questions that got no answer.
pub(super) fn pause(asked: u32) -> Duration {
    FIRST.saturating_mul(1_u32.checked_shl(asked).unwrap_or(u32::MAX)).min(LONGEST)
}

/// Whether a run left traces after the last that ended.
pub(super) fn begun(tail: &[Receipt]) -> bool {
    let since = tail.iter().rposition(|receipt| matches!(receipt.fact, Fact::Ran { .. })).map_or(0, |at| at + 1);
    tail[since..].iter().any(|receipt| matches!(receipt.fact, Fact::Seen { .. } | Fact::Pulled { .. } | Fact::Pushed { .. }))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
