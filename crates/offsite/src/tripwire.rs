//! The tripwire: does a new archive look like the good ones before it?
//!
//! An unmounted disk, a wiped folder or a mangled configuration makes a small, perfectly valid archive, and a tree that was encrypted one
//! of the usual size; ten nights of those would rotate every good one out. So a suspicious archive is kept and pushed, yet nothing of its
//! job is forgotten anywhere until a person accepts it. Size is judged here, content in [`change`]. Pure.

pub mod change;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::change::{Change, Expected, replaced};

/// How many good archives the new one is compared with.
pub(crate) const LAST: usize = 5;

/// The size of an archive, as its manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Of the raw tar stream, in bytes.
    pub raw: u64,
    pub entries: u64,
    /// Number of sources; each has one entry even when it is empty.
    pub sources: u64,
}

/// An earlier archive of the same job that is complete, and not suspicious or accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Good {
    pub shape: Shape,
    /// Whether a person accepted it: what came before it is then no measure any more.
    pub accepted: bool,
}

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
    /// Less than two thirds of the usual bytes.
    Smaller { now: u64, usual: u64 },
    /// Fewer than two thirds of the usual entries.
    Fewer { now: u64, usual: u64 },
    /// Much less of the archive before is still in it than usually, by the median of the last good nights, and than is enough. Per cent of that
    /// archive's bytes.
    Replaced { stays: u64, usual: u64, least: u64 },
    /// Less of the archive before is still in it than is enough, and what came instead does not compress although what went did: `was` per cent
    /// were left of what went, `is` are of what came.
    Scrambled { stays: u64, least: u64, was: u64, is: u64 },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "it is empty"),
            Self::Broken => write!(f, "its content is not what its manifest says"),
            Self::Ahead => write!(f, "it is named for a time that has not come: the Pi's clock is wrong"),
            Self::Smaller { now, usual } => {
                write!(
                    f,
                    "it holds {}, usually {}; less than two thirds is suspicious",
                    crate::human::size(*now),
                    crate::human::size(*usual)
                )
            }
            Self::Fewer { now, usual } => {
                let (now, usual) = (crate::human::count(*now, "entry", "entries"), crate::human::number(*usual));
                write!(f, "it has {now}, usually {usual}; fewer than two thirds is suspicious")
            }
            Self::Replaced { stays, usual, least } => {
                write!(f, "only {stays} % of the archive before is still in it, usually {usual} %; below {least} % is suspicious")
            }
            Self::Scrambled { stays, least, was, is } => write!(
                f,
                "it looks encrypted: {stays} % of the archive before is still in it, and what replaced the rest compresses to {is} % of its \
                 size where that compressed to {was} %; below {least} % is suspicious then"
            ),
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
    if shrank(new.raw, usual) {
        return Some(Why::Smaller { now: new.raw, usual });
    }
    let usual = median(measure.iter().map(|good| good.shape.entries))?;
    shrank(new.entries, usual).then_some(Why::Fewer { now: new.entries, usual })
}

/// Less than two thirds: half a tree is gone sooner by accident than a third of it on purpose, in one night.
fn shrank(now: u64, usual: u64) -> bool {
    u128::from(now) * 3 < u128::from(usual) * 2
}

/// The lower median; `None` of nothing.
pub(crate) fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
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
    fn two_thirds_are_well_and_less_is_not() {
        let before = [good(900, 90), good(900, 90), good(900, 90)];
        assert_eq!(suspicion(shape(600, 60), &before), None);
        assert_eq!(suspicion(shape(599, 90), &before), Some(Why::Smaller { now: 599, usual: 900 }));
        assert_eq!(suspicion(shape(900, 59), &before), Some(Why::Fewer { now: 59, usual: 90 }));
        assert_eq!(suspicion(shape(600, 90), &[good(901, 90)]), Some(Why::Smaller { now: 600, usual: 901 }));
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
        assert_eq!(suspicion(shape(66, 10), &before), Some(Why::Smaller { now: 66, usual: 100 }));
    }

    #[test]
    fn says_what_looks_wrong() {
        let smaller = Why::Smaller { now: 1_200_000, usual: 9_400_000_000 };
        assert_eq!(smaller.to_string(), "it holds 1.2 MB, usually 9.4 GB; less than two thirds is suspicious");
        let fewer = Why::Fewer { now: 1, usual: 12_345 };
        assert_eq!(fewer.to_string(), "it has 1 entry, usually 12,345; fewer than two thirds is suspicious");
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
