//! The tripwire: does a new archive look like the good ones before it?
//!
//! An unmounted disk, a wiped folder or a mangled configuration makes a small, perfectly valid archive; ten nights of those would rotate
//! every good one out. So a suspicious archive is kept and pushed, yet pushes nothing out until a person accepts it. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many good archives the new one is compared with.
const LAST: usize = 5;

/// The size of an archive, as its manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Length of the raw tar stream, in bytes.
    pub raw: u64,
    /// Number of entries.
    pub entries: u64,
    /// Number of sources; each has one entry even when it is empty.
    pub sources: u64,
}

/// An earlier archive of the same job that is complete, and not suspicious or accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Good {
    /// Its size.
    pub shape: Shape,
    /// Whether a person accepted it: what came before it is then no measure any more.
    pub accepted: bool,
}

/// What looks wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "what")]
#[non_exhaustive]
pub enum Why {
    /// Nothing in it but the sources' own folders: an empty mount point looks like this.
    Empty,
    /// Its frames are whole and are not the stream that its manifest tells of.
    Broken,
    /// It is named for a time more than a day ahead: the Pi's clock is wrong.
    Ahead,
    /// Fewer than half of the usual bytes.
    Smaller {
        /// Raw bytes now.
        now: u64,
        /// Median of the last good ones.
        usual: u64,
    },
    /// Fewer than half of the usual entries.
    Fewer {
        /// Entries now.
        now: u64,
        /// Median of the last good ones.
        usual: u64,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "it is empty"),
            Self::Broken => write!(f, "its content is not what its manifest says"),
            Self::Ahead => write!(f, "it is named for a time that has not come: the Pi's clock is wrong"),
            Self::Smaller { now, usual } => write!(f, "it holds {}, usually {}", crate::human::size(*now), crate::human::size(*usual)),
            Self::Fewer { now, usual } => {
                write!(f, "it has {}, usually {}", crate::human::count(*now, "entry", "entries"), crate::human::number(*usual))
            }
        }
    }
}

/// What is suspicious about `new`; `before` are the good archives of its job, oldest first.
pub fn suspicion(new: Shape, before: &[Good]) -> Option<Why> {
    let since = before.iter().rposition(|good| good.accepted).unwrap_or(0).max(before.len().saturating_sub(LAST));
    let measure = &before[since..];
    let bare = |shape: Shape| shape.entries <= shape.sources;
    // A job whose one source is a small file is always bare; having been so before (and good) makes it usual.
    if new.entries == 0 || (bare(new) && !measure.iter().any(|good| bare(good.shape))) {
        return Some(Why::Empty);
    }
    let usual = median(measure.iter().map(|good| good.shape.raw))?;
    if new.raw < usual.div_ceil(2) {
        return Some(Why::Smaller { now: new.raw, usual });
    }
    let usual = median(measure.iter().map(|good| good.shape.entries))?;
    (new.entries < usual.div_ceil(2)).then_some(Why::Fewer { now: new.entries, usual })
}

/// The lower median; `None` of nothing.
fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn good(raw: u64, entries: u64) -> Good {
        Good { shape: shape(raw, entries), accepted: false }
    }

    fn shape(raw: u64, entries: u64) -> Shape {
        Shape { raw, entries, sources: 2 }
    }

    #[test]
    fn half_is_well_and_less_is_not() {
        let before = [good(1000, 100), good(1000, 100), good(1000, 100)];
        assert_eq!(suspicion(shape(500, 50), &before), None);
        assert_eq!(suspicion(shape(499, 100), &before), Some(Why::Smaller { now: 499, usual: 1000 }));
        assert_eq!(suspicion(shape(1000, 49), &before), Some(Why::Fewer { now: 49, usual: 100 }));
        assert_eq!(suspicion(shape(500, 100), &[good(1001, 100)]), Some(Why::Smaller { now: 500, usual: 1001 }));
    }

    #[test]
    fn one_odd_night_does_not_move_the_measure() {
        let before = [good(1000, 100), good(1000, 100), good(9_000_000, 9000), good(1000, 100)];
        assert_eq!(suspicion(shape(900, 90), &before), None);
    }

    #[test]
    fn an_empty_mount_is_caught_even_at_first() {
        assert_eq!(suspicion(shape(3072, 2), &[]), Some(Why::Empty));
        assert_eq!(suspicion(shape(1024, 0), &[good(1024, 0)]), Some(Why::Empty));
        assert_eq!(suspicion(shape(3072, 3), &[]), None);
    }

    #[test]
    fn a_job_of_one_small_file_is_usual_once_it_was_good() {
        let single = Shape { raw: 2048, entries: 1, sources: 1 };
        assert_eq!(suspicion(single, &[]), Some(Why::Empty));
        assert_eq!(suspicion(single, &[Good { shape: single, accepted: true }]), None);
    }

    #[test]
    fn an_accepted_archive_is_the_new_measure() {
        let mut before = vec![good(1000, 100); 4];
        before.push(Good { accepted: true, ..good(100, 10) });
        assert_eq!(suspicion(shape(100, 10), &before), None);
        assert_eq!(suspicion(shape(49, 10), &before), Some(Why::Smaller { now: 49, usual: 100 }));
    }

    #[test]
    fn says_what_looks_wrong() {
        assert_eq!(Why::Smaller { now: 1_200_000, usual: 9_400_000_000 }.to_string(), "it holds 1.2 MB, usually 9.4 GB");
        assert_eq!(Why::Fewer { now: 1, usual: 12_345 }.to_string(), "it has 1 entry, usually 12,345");
    }

    proptest! {
        #[test]
        fn the_same_again_is_never_suspicious(raw in 5000_u64..u64::MAX, entries in 3_u64..u64::MAX, nights in 0_usize..9) {
            prop_assert_eq!(suspicion(shape(raw, entries), &vec![good(raw, entries); nights]), None);
        }

        #[test]
        fn more_is_never_suspicious_where_less_is_not(raw in 5000_u64..1 << 60, entries in 3_u64..1 << 60, more in 0_u64..1 << 60, usual in 5000_u64..1 << 60) {
            let before = [good(usual, entries)];
            if suspicion(shape(raw, entries), &before).is_none() {
                prop_assert_eq!(suspicion(shape(raw + more, entries + more), &before), None);
            }
        }
    }
}
