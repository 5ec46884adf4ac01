//! One line of the journal.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use offsite_archive::{ArchiveName, JobName};
use serde::{Deserialize, Serialize};

use crate::{
    config::PlaceName,
    owed::OwedId,
    tripwire::{Change, Why},
};

/// A fact and when it became one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// When it was written, by the Mac's clock.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What can happen. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Fact {
    /// A run ended. A run that was killed leaves none, and so stays owed.
    Ran {
        /// The slot it settles, or tried to; absent when a person ran it before any slot was due.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owed: Option<OwedId>,
        /// How it ended.
        outcome: Outcome,
    },
    /// What a place holds, as listed by a run.
    Seen {
        /// The place.
        place: PlaceName,
        /// Its archives by job.
        jobs: BTreeMap<JobName, Holding>,
    },
    /// An archive came whole from a Pi to the Mac.
    Pulled {
        /// The Pi.
        pi: PlaceName,
        /// The archive.
        archive: ArchiveName,
        /// Its number on the Pi.
        sequence: u64,
        /// What crossed the network.
        moved: u64,
        /// What the archive is in the Pi's file.
        total: u64,
        /// Whether all of it was read back, beyond what came tonight (which always is decompressed and hashed).
        verified: bool,
    },
    /// An archive went whole from the Mac to a cloud.
    Pushed {
        /// The cloud.
        cloud: PlaceName,
        /// The archive.
        archive: ArchiveName,
        /// Its number on the Pi.
        sequence: u64,
        /// Objects written, sealed.
        moved: u64,
        /// What the archive is in the Pi's file.
        total: u64,
    },
    /// Every frame of an archive was read back and found right.
    Verified {
        /// Where.
        place: PlaceName,
        /// The archive.
        archive: ArchiveName,
        /// When the first of them was, if that took several nights.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
    /// Archives were dropped by the retention rule.
    Forgot {
        /// Where.
        place: PlaceName,
        /// Which.
        archives: Vec<ArchiveName>,
    },
    /// A step failed.
    Failed {
        /// What was tried.
        step: Step,
        /// On what: an archive, a place, a folder.
        object: String,
        /// The error with its causes.
        message: String,
        /// The next step for a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// The tripwire caught an archive: it is kept, and pushes nothing out until it is accepted.
    Suspicious {
        /// The archive.
        archive: ArchiveName,
        /// What looks wrong.
        why: Why,
    },
    /// A new archive was compared with the good one before it.
    Compared {
        /// The new one.
        archive: ArchiveName,
        /// The earlier one.
        with: ArchiveName,
        /// What became of its frames.
        change: Change,
    },
    /// A person said that a suspicious archive is as it should be.
    Accepted {
        /// The archive.
        archive: ArchiveName,
    },
    /// A place no longer holds an archive whole: a file is gone or damaged.
    Lost {
        /// Where.
        place: PlaceName,
        /// The archive.
        archive: ArchiveName,
        /// How many of its frames lack; absent when the whole archive is gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frames: Option<u64>,
    },
    /// What was lost came back from another place.
    Healed {
        /// Where.
        place: PlaceName,
        /// The archive.
        archive: ArchiveName,
        /// Where the frames came from.
        from: PlaceName,
    },
}

/// The kinds this version knows, as written.
pub(super) const KINDS: [&str; 12] =
    ["ran", "seen", "pulled", "pushed", "verified", "forgot", "failed", "suspicious", "compared", "accepted", "lost", "healed"];

/// The archives of one job in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// How many.
    pub count: u64,
    /// The newest by time.
    pub newest: ArchiveName,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All places were reached and all steps done.
    Fine,
    /// Something was done and something was not; each lack has its own receipt.
    Incomplete,
    /// Nothing useful was done.
    Failed,
}

/// What was tried when something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Reading the configuration or the key.
    Configure,
    /// Reaching a place and listing it.
    Reach,
    /// Pi to Mac.
    Pull,
    /// Mac to cloud.
    Push,
    /// Forgetting and pruning.
    Keep,
    /// Reading back.
    Verify,
    /// Repairing.
    Heal,
    /// The plain copy of the newest archive.
    Plain,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Configure => "configure",
            Self::Reach => "reach",
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Keep => "keep",
            Self::Verify => "verify",
            Self::Heal => "heal",
            Self::Plain => "plain copy",
        })
    }
}
