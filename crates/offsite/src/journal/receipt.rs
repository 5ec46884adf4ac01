//! One line of the journal.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use jiff::Timestamp;
use offsite_archive::{ArchiveName, JobName};
use serde::{Deserialize, Serialize};

use crate::{
    config::PlaceName,
    owed::OwedId,
    tripwire::{Change, Why},
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// When it was written, by the Mac's clock.
    pub time: Timestamp,
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
        outcome: Outcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        began: Option<Timestamp>,
        /// The Pis that were not at home in it, nor in an earlier run of the slot: what is lacking besides the failures.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        away: BTreeSet<PlaceName>,
        /// Whether this computer slept in it and it did not end fine: what broke then is nobody's failure, and is done again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        slept: bool,
    },
    /// A person wants the daemon to play a night at its next start: the newest slot is owed once more, with nothing tried yet.
    Asked,
    /// A daemon gave up waiting for what a run needs. Written once per reason and slot, not at each start.
    Waited {
        /// The slot that stays owed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owed: Option<OwedId>,
        why: Waiting,
    },
    /// What a place holds, as listed by a run.
    Seen { place: PlaceName, jobs: BTreeMap<JobName, Holding> },
    /// An archive came whole from a Pi to the Mac.
    Pulled {
        pi: PlaceName,
        archive: ArchiveName,
        /// Its number on the Pi.
        sequence: u64,
        /// What crossed the network.
        moved: u64,
        /// What the archive is in the Pi's file.
        total: u64,
        /// Whether all of it was read back, beyond what came tonight (which always is decompressed and hashed).
        verified: bool,
        /// Whether everything that should be in it is; absent in receipts of an older offsite, which did not note it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        complete: Option<bool>,
        /// What the agent had to say about it.
        #[serde(default, skip_serializing_if = "Warned::is_none")]
        warnings: Warned,
    },
    /// An archive went whole from the Mac to a cloud.
    Pushed {
        cloud: PlaceName,
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
        place: PlaceName,
        archive: ArchiveName,
        /// When the first of them was, if that took several nights.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
    /// Archives were dropped: by the retention rule, or by a person.
    Forgot {
        place: PlaceName,
        archives: Vec<ArchiveName>,
        /// By a person: what was forgotten so on the Mac is not pulled again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_hand: bool,
    },
    /// A person wants an archive after all that was forgotten by hand.
    Again { archive: ArchiveName },
    /// A step failed.
    Failed {
        step: Step,
        /// On what: an archive, a place, a folder.
        object: String,
        message: String,
        /// The next step for a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// The tripwire caught an archive: it is kept, and pushes nothing out until it is accepted.
    Suspicious { archive: ArchiveName, why: Why },
    /// A new archive was compared with the good one before it.
    Compared { archive: ArchiveName, with: ArchiveName, change: Change },
    /// A person said that a suspicious archive is as it should be.
    Accepted { archive: ArchiveName },
    /// A person knows that lines of the journal are no receipts.
    Acknowledged { lines: BTreeSet<BadLine> },
    /// A place no longer holds an archive whole: a file is gone or damaged.
    Lost {
        place: PlaceName,
        archive: ArchiveName,
        /// How many of its frames lack; absent when the whole archive is gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frames: Option<u64>,
    },
    /// What was lost came back from another place.
    Healed { place: PlaceName, archive: ArchiveName, from: PlaceName },
    /// An archive was restored for practice, its regular files compared with its manifest and found right, and thrown away.
    Drilled { place: PlaceName, archive: ArchiveName, files: u64, bytes: u64 },
    /// A notice got through where the last could not be sent. The channel may be the file that remembers what was told.
    Notified { channel: String },
}

/// The kinds this version knows, as written.
pub(super) const KINDS: [&str; 18] = [
    "ran",
    "seen",
    "pulled",
    "pushed",
    "verified",
    "forgot",
    "again",
    "failed",
    "suspicious",
    "compared",
    "accepted",
    "acknowledged",
    "lost",
    "healed",
    "drilled",
    "waited",
    "notified",
    "asked",
];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// The BLAKE3 of its bytes, without the newline: another line with the number is another matter.
    pub hash: String,
}

/// The warnings of an archive, as far as a screen has room for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warned {
    pub count: u64,
    /// How many of them the archive before did not have.
    #[serde(default)]
    pub new: u64,
    /// The first of them, new ones before others, each cut to [`Warned::LONGEST`] letters.
    #[serde(default)]
    pub first: Vec<String>,
}

impl Warned {
    /// How many texts are kept.
    const TEXTS: usize = 3;
    const LONGEST: usize = 200;

    /// Those of an archive, where the one before it had `before`.
    pub fn of(warnings: &[String], before: &[String]) -> Self {
        let known =
            |text: &&String| before.contains(text) || moment(text).is_some_and(|what| before.iter().any(|text| text.ends_with(what)));
        let (old, new): (Vec<&String>, Vec<&String>) = warnings.iter().partition(known);
        let cut = |text: &String| match text.char_indices().nth(Self::LONGEST - 1) {
            Some((at, letter)) if at + letter.len_utf8() < text.len() => format!("{}…", &text[..at]),
            _ => text.clone(),
        };
        let first = new.iter().chain(&old).take(Self::TEXTS).map(|text| cut(text)).collect();
        Self { count: warnings.len() as u64, new: new.len() as u64, first }
    }

    pub fn is_none(&self) -> bool {
        self.count == 0
    }
}

/// What a warning says, if that is about a file that was at work just then: of a job that stops nothing, each night says it of other files, and
/// that is no news.
fn moment(text: &str) -> Option<&'static str> {
    ["it changed while it was read", "it vanished before it could be read"].into_iter().find(|what| text.ends_with(what))
}

/// The archives of one job in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    pub count: u64,
    /// The newest by time.
    pub newest: ArchiveName,
}

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

/// Why a run that is owed has not begun. A state, not a failure: it ends by itself, or `overdue` tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "lowercase")]
pub enum Waiting {
    /// Pis do not answer: they are off, or this Mac is not at home.
    Away {
        pis: BTreeSet<PlaceName>,
        /// Those of them towards which the system knows no way ("no route to host"): they are off, this Mac is elsewhere, or macOS forbids
        /// this program the local network.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        no_route: BTreeSet<PlaceName>,
    },
    /// Too little is left in the battery.
    Battery { percent: u8 },
    /// The disk with the repository is not there.
    Disk { folder: PathBuf },
}

impl Waiting {
    /// Whether `other`, which was found later, is the same reason: a battery that drains is no news, nor is an answer that was heard before.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Battery { .. }, Self::Battery { .. }) => true,
            (Self::Away { pis, no_route }, Self::Away { pis: others, no_route: later }) => pis == others && later.is_subset(no_route),
            _ => self == other,
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away { pis, no_route } => {
                let names = |pis: &BTreeSet<PlaceName>| pis.iter().map(PlaceName::as_str).collect::<Vec<_>>().join(" and ");
                let verb = if pis.len() == 1 { "does" } else { "do" };
                write!(f, "not at home: {} {verb} not answer", names(pis))?;
                match no_route.len() {
                    0 => Ok(()),
                    all if all == pis.len() => write!(f, " (no route to host)"),
                    _ => write!(f, " ({}: no route to host)", names(no_route)),
                }
            }
            Self::Battery { percent } => write!(f, "on battery, {percent} %"),
            Self::Disk { folder } => write!(f, "the disk with {} is not mounted", folder.display()),
        }
    }
}

/// What was tried when something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    Configure,
    Reach,
    Pull,
    Push,
    Keep,
    Verify,
    Heal,
    /// The plain copy of the newest archive.
    Plain,
    Drill,
    /// Telling the owner; the object is the channel.
    Notify,
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
            Self::Drill => "drill",
            Self::Notify => "notify",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(pis: &str, no_route: &str) -> Waiting {
        let names = |text: &str| text.split_whitespace().map(|name| name.parse().unwrap()).collect();
        Waiting::Away { pis: names(pis), no_route: names(no_route) }
    }

    #[test]
    fn a_way_that_is_not_there_is_news_once() {
        assert!(away("pi", "pi").same(&away("pi", "")) && away("pi", "pi").same(&away("pi", "pi")));
        assert!(!away("pi", "").same(&away("pi", "pi")) && !away("pi", "").same(&away("attic pi", "")));
        let said = [("pi", ""), ("pi", "pi"), ("attic pi", "attic")].map(|(pis, no_route)| away(pis, no_route).to_string());
        assert_eq!(
            said,
            [
                "not at home: pi does not answer",
                "not at home: pi does not answer (no route to host)",
                "not at home: attic and pi do not answer (attic: no route to host)"
            ]
        );
    }

    #[test]
    fn what_is_waited_for_is_written_as_documented() {
        let time = Timestamp::UNIX_EPOCH;
        for (why, text) in [
            (away("pi", ""), r#"{"for":"away","pis":["pi"]}"#),
            (away("attic pi", "attic"), r#"{"for":"away","pis":["attic","pi"],"no_route":["attic"]}"#),
            (Waiting::Battery { percent: 11 }, r#"{"for":"battery","percent":11}"#),
            (Waiting::Disk { folder: "/Volumes/d".into() }, r#"{"for":"disk","folder":"/Volumes/d"}"#),
        ] {
            let receipt = Receipt { time, fact: Fact::Waited { owed: "2026-11-22".parse().ok(), why } };
            let line = format!(r#"{{"time":"1970-01-01T00:00:00Z","kind":"waited","owed":"2026-11-22","why":{text}}}"#);
            assert_eq!(serde_json::to_string(&receipt).unwrap(), line);
            assert_eq!(super::super::parse(format!("{line}\n").as_bytes()).receipts, [receipt]);
        }
    }

    #[test]
    fn a_run_says_only_what_is_out_of_the_ordinary() {
        let ran = |away: BTreeSet<PlaceName>, slept| Fact::Ran { owed: None, outcome: Outcome::Incomplete, began: None, away, slept };
        let text = |fact| serde_json::to_string(&Receipt { time: Timestamp::UNIX_EPOCH, fact }).unwrap();
        let start = r#"{"time":"1970-01-01T00:00:00Z","kind":"ran","outcome":"incomplete""#;
        assert_eq!(text(ran(BTreeSet::new(), false)), format!("{start}}}"));
        assert_eq!(text(ran(["pi".parse().unwrap()].into(), true)), format!(r#"{start},"away":["pi"],"slept":true}}"#));
    }
}
