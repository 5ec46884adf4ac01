//! What is told: a process, and what it is at.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    pub pid: u32,
    /// The verb: `daemon`, `sync`, `verify`, `restore`.
    pub verb: String,
    pub since: Timestamp,
    /// When this was written.
    pub time: Timestamp,
    pub phase: Phase,
    /// On what; empty if that says nothing.
    pub object: String,
    /// In bytes.
    pub done: u64,
    /// Bytes in all; 0 if that is not known.
    pub total: u64,
    /// Bytes per second, lately; 0 if that is not known.
    pub rate: u64,
}

impl Now {
    /// How long the rest takes at the present rate, if that can be said.
    pub fn left(&self) -> Option<SignedDuration> {
        let seconds = self.total.saturating_sub(self.done).checked_div(self.rate)?;
        (self.total > 0).then(|| SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Wait,
    Reach,
    Pull,
    Check,
    Verify,
    Heal,
    Plain,
    Keep,
    Push,
    Restore,
    Export,
    Drill,
    /// Something else, or what only a newer version knows.
    #[serde(other)]
    Work,
}

impl Phase {
    /// The phase of a bar's label, and the rest of it: `pull services/…`.
    pub(super) fn of_label(label: &str) -> (Self, &str) {
        const LABELS: [(&str, Phase); 9] = [
            ("pull", Phase::Pull),
            ("push", Phase::Push),
            ("check", Phase::Check),
            ("verify", Phase::Verify),
            ("heal", Phase::Heal),
            ("plain copy", Phase::Plain),
            ("restore", Phase::Restore),
            ("export", Phase::Export),
            ("drill", Phase::Drill),
        ];
        let rest = |begin: &str| label.strip_prefix(begin).filter(|rest| rest.is_empty() || rest.starts_with(' '));
        let known = LABELS.iter().find_map(|(begin, phase)| Some((*phase, rest(begin)?.trim_start())));
        known.unwrap_or((Self::Work, label))
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Wait => "waiting",
            Self::Reach => "reaching",
            Self::Pull => "pulling",
            Self::Check => "checking",
            Self::Verify => "reading back",
            Self::Heal => "healing",
            Self::Plain => "writing the plain copy of",
            Self::Keep => "forgetting and pruning",
            Self::Push => "pushing",
            Self::Restore => "restoring",
            Self::Export => "exporting",
            Self::Drill => "rehearsing",
            Self::Work => "working",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_their_phase() {
        for (label, wanted) in [
            ("pull a/b", (Phase::Pull, "a/b")),
            ("verify", (Phase::Verify, "")),
            ("plain copy a/b", (Phase::Plain, "a/b")),
            ("drill a/b", (Phase::Drill, "a/b")),
            ("pulling", (Phase::Work, "pulling")),
        ] {
            assert_eq!(Phase::of_label(label), wanted);
        }
    }

    #[test]
    fn a_phase_of_a_newer_version_is_work() {
        assert_eq!(serde_json::from_str::<Phase>("\"dance\"").unwrap(), Phase::Work);
        assert_eq!(serde_json::to_string(&Phase::Heal).unwrap(), "\"heal\"");
    }

    #[test]
    fn what_is_left_is_told_where_it_is_known() {
        let epoch = Timestamp::UNIX_EPOCH;
        let now = |done, total, rate| Now {
            pid: 1,
            verb: "sync".into(),
            since: epoch,
            time: epoch,
            phase: Phase::Pull,
            object: String::new(),
            done,
            total,
            rate,
        };
        assert_eq!(now(40, 100, 20).left(), Some(SignedDuration::from_secs(3)));
        assert_eq!(now(200, 100, 20).left(), Some(SignedDuration::ZERO));
        assert_eq!([now(0, 100, 0).left(), now(0, 0, 5).left()], [None, None]);
        assert_eq!(now(0, u64::MAX, 1).left(), Some(SignedDuration::from_secs(i64::MAX)));
    }
}
