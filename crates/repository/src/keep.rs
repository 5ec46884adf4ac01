//! The retention rule: which archives stay and why. Pure.
//!
//! Invariant: an archive goes only if `keep` archives that are at least as good are newer by number *and* by time. So a Pi whose
//! clock or counter jumped can make its archives look old or new, but cannot push others out by it; and a run of bad nights pushes
//! out no good one. Age alone never counts: after a year without a backup the last ten are still there.

use std::fmt;

use offsite_archive::ArchiveName;

/// What an archive is worth to the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Suspicious or not yet verified: pushes nothing out, and is not forgotten itself before somebody has judged it.
    Held,
    /// Verified, but something that should be in it is missing: pushes out only others of its kind.
    Incomplete,
    /// Verified and complete.
    Good,
}

/// An archive as the rule sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name; its job and time count.
    pub name: ArchiveName,
    /// Its number from the manifest.
    pub sequence: u64,
    /// What it is worth.
    pub standing: Standing,
}

/// Why an archive stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Fewer than `keep` at least as good archives are newer; this many are.
    Newer(usize),
    /// It waits for a judgement.
    Held,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(0) => write!(f, "the newest"),
            Self::Newer(newer) => write!(f, "number {} from the newest", newer + 1),
            Self::Held => write!(f, "held until it is verified or accepted"),
        }
    }
}

/// What stays and what goes, both ordered by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeepPlan {
    /// What stays, and why.
    pub keep: Vec<(ArchiveName, Reason)>,
    /// What goes.
    pub forget: Vec<ArchiveName>,
}

impl fmt::Display for KeepPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keep.iter().try_for_each(|(name, reason)| writeln!(f, "keep   {name}  ({reason})"))?;
        self.forget.iter().try_for_each(|name| writeln!(f, "forget {name}"))
    }
}

/// Applies the rule to each job by itself; `keep` below 1 is taken as 1.
pub fn plan_keep(candidates: &[Candidate], keep: usize) -> KeepPlan {
    let mut sorted: Vec<&Candidate> = candidates.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut plan = KeepPlan::default();
    for candidate in sorted {
        let newer = candidates.iter().filter(|other| pushes(other, candidate)).count();
        match candidate.standing {
            Standing::Held => plan.keep.push((candidate.name.clone(), Reason::Held)),
            _ if newer < keep.max(1) => plan.keep.push((candidate.name.clone(), Reason::Newer(newer))),
            _ => plan.forget.push(candidate.name.clone()),
        }
    }
    plan
}

fn pushes(other: &Candidate, candidate: &Candidate) -> bool {
    other.name.job == candidate.name.job
        && other.standing >= candidate.standing
        && other.standing != Standing::Held
        && other.sequence > candidate.sequence
        && other.name.time() > candidate.name.time()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn candidate(job: &str, day: i64, sequence: u64, standing: Standing) -> Candidate {
        let time = Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap();
        Candidate { name: ArchiveName::new(job.parse().unwrap(), time), sequence, standing }
    }

    fn good(day: i64) -> Candidate {
        candidate("services", day, day as u64, Standing::Good)
    }

    fn forgotten(candidates: &[Candidate], keep: usize) -> Vec<i64> {
        let day = |name: &ArchiveName| (name.time().as_second() - 1_800_000_000) / 86_400;
        plan_keep(candidates, keep).forget.iter().map(day).collect()
    }

    #[test]
    fn keeps_the_newest_ten() {
        let all: Vec<_> = (1..=13).map(good).collect();
        assert_eq!(forgotten(&all, 10), [1, 2, 3]);
    }

    #[test]
    fn jobs_do_not_push_each_other_out() {
        let all = [good(1), candidate("photos", 2, 2, Standing::Good)];
        assert_eq!(forgotten(&all, 1), [0; 0]);
    }

    #[test]
    fn held_archives_push_nothing_out_and_stay() {
        let mut all = vec![good(1)];
        all.extend((2..9).map(|day| candidate("services", day, day as u64, Standing::Held)));
        assert_eq!(forgotten(&all, 1), [0; 0]);
        all.push(good(20));
        assert_eq!(forgotten(&all, 1), [1]);
    }

    #[test]
    fn incomplete_nights_are_limited_among_themselves_and_spare_the_good_one() {
        let mut all = vec![good(1)];
        all.extend((2..6).map(|day| candidate("services", day, day as u64, Standing::Incomplete)));
        assert_eq!(forgotten(&all, 2), [2, 3]);
        all.extend([good(7), good(8)]);
        assert_eq!(forgotten(&all, 2), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_clock_or_a_counter_alone_pushes_nothing_out() {
        // The Pi was set up anew: its counter began again, or its clock stood in the past.
        let counter = [candidate("services", 1, 900, Standing::Good), candidate("services", 2, 1, Standing::Good)];
        assert_eq!(forgotten(&counter, 1), [0; 0]);
        let clock = [candidate("services", 9, 1, Standing::Good), candidate("services", 2, 2, Standing::Good)];
        assert_eq!(forgotten(&clock, 1), [0; 0]);
    }

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let standing = prop_oneof![Just(Standing::Good), Just(Standing::Incomplete), Just(Standing::Held)];
        let one = (prop_oneof![Just("a"), Just("b")], 0..30i64, 0..30u64, standing);
        prop::collection::vec(one, 0..40).prop_map(|all| {
            let mut all: Vec<_> = all.into_iter().map(|(job, day, sequence, standing)| candidate(job, day, sequence, standing)).collect();
            all.sort_by(|a, b| a.name.cmp(&b.name));
            all.dedup_by(|a, b| a.name == b.name);
            all
        })
    }

    proptest! {
        #[test]
        fn every_archive_is_either_kept_or_forgotten(all in candidates(), keep in 1..5usize) {
            let plan = plan_keep(&all, keep);
            let mut names: Vec<_> = plan.keep.iter().map(|(name, _)| name.clone()).chain(plan.forget).collect();
            names.sort();
            prop_assert_eq!(names, all.into_iter().map(|candidate| candidate.name).collect::<Vec<_>>());
        }

        #[test]
        fn what_goes_leaves_enough_better_and_newer_behind(all in candidates(), keep in 1..5usize) {
            let plan = plan_keep(&all, keep);
            for name in &plan.forget {
                let gone = all.iter().find(|candidate| candidate.name == *name).unwrap();
                let left = all.iter().filter(|other| !plan.forget.contains(&other.name) && pushes(other, gone)).count();
                prop_assert!(left >= keep, "{name} went and left {left}");
            }
        }

        #[test]
        fn a_second_time_nothing_goes(all in candidates(), keep in 1..5usize) {
            let plan = plan_keep(&all, keep);
            let rest: Vec<_> = all.into_iter().filter(|candidate| !plan.forget.contains(&candidate.name)).collect();
            prop_assert_eq!(plan_keep(&rest, keep).forget, Vec::new());
        }

        #[test]
        fn the_order_of_the_listing_does_not_matter(mut all in candidates(), keep in 1..5usize) {
            let plan = plan_keep(&all, keep);
            all.reverse();
            prop_assert_eq!(plan_keep(&all, keep), plan);
        }
    }
}
