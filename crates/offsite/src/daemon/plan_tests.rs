use proptest::prelude::*;

use super::*;
use crate::{
    journal::{Outcome, Step as Part},
    owed::OwedId,
};

fn names(text: &str) -> BTreeSet<PlaceName> {
    text.split_whitespace().map(|name| name.parse().unwrap()).collect()
}

fn at(minute: i64) -> Timestamp {
    "2026-11-22T04:30:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

fn slot() -> Option<OwedId> {
    "2026-11-22".parse().ok()
}

/// A run of a slot: how many minutes after it was due it ended, how, without which Pis, and whether something failed in it.
fn ran(slot: Option<OwedId>, minute: i64, outcome: Outcome, away: &str, failed: bool, slept: bool) -> Vec<Receipt> {
    let failure = Fact::Failed { step: Part::Push, object: "x".to_owned(), message: "no".to_owned(), hint: None };
    let ran = Fact::Ran { owed: slot, outcome, began: None, away: names(away), slept };
    let receipts = failed.then_some(failure).into_iter().chain([ran]);
    receipts.map(|fact| Receipt { time: at(minute), fact }).collect()
}

fn failed(minute: i64) -> Vec<Receipt> {
    ran(slot(), minute, Outcome::Failed, "", true, false)
}

fn known(minute: i64, pis: &str, tail: &[Receipt]) -> Known {
    Known {
        now: at(minute),
        owed: slot().map(|id| Owed { id, due: at(0) }),
        standing: Standing::of(tail),
        begun: begun(tail),
        power: None,
        battery: 20,
        unplugged: None,
        pis: names(pis),
    }
}

fn heard(answers: &str, minutes: u64) -> Heard {
    Heard { answers: names(answers), no_route: BTreeSet::new(), waited: Duration::from_secs(60 * minutes), wait: Duration::from_secs(3600) }
}

fn run(away: &str, had: &str) -> Step {
    Step::Run(Tonight { owed: slot(), away: names(away), had: names(had) })
}

fn gives_up(pis: &str) -> Step {
    Step::Postpone(Waiting::Away { pis: names(pis), no_route: BTreeSet::new() })
}

#[test]
fn what_is_cheap_to_know_is_asked_first() {
    let mut known = known(1, "pi", &[]);
    assert_eq!(known.before(), Before::Ask);
    known.power = Some(Power { mains: false, percent: 20 });
    assert_eq!(known.before(), Before::Ask);
    known.unplugged = Some("/Volumes/disk/offsite".into());
    assert_eq!(known.before(), Before::Postpone(Waiting::Disk { folder: "/Volumes/disk/offsite".into() }));
    known.power = Some(Power { mains: false, percent: 19 });
    assert_eq!(known.before(), Before::Postpone(Waiting::Battery { percent: 19 }));
    known.power = Some(Power { mains: true, percent: 3 });
    assert!(matches!(known.before(), Before::Postpone(Waiting::Disk { .. })));
    known.power = Some(Power { mains: false, percent: 0 });
    known.battery = 0;
    assert!(matches!(known.before(), Before::Postpone(Waiting::Disk { .. })), "a battery that does not matter");
    known.owed = None;
    assert_eq!(known.before(), Before::Done);
}

#[test]
fn one_pi_is_waited_for_and_then_given_up() {
    let known = known(1, "pi", &[]);
    assert_eq!(known.step(&heard("pi", 0)), run("", ""));
    assert_eq!([known.step(&heard("", 0)), known.step(&heard("", 59))], [Step::Pause, Step::Pause]);
    assert_eq!(known.step(&heard("", 60)), gives_up("pi"));
}

#[test]
fn a_system_that_knows_no_way_is_quoted() {
    let known = known(1, "attic pi", &[]);
    let heard = Heard { no_route: names("pi other"), ..heard("", 60) };
    assert_eq!(known.step(&heard), Step::Postpone(Waiting::Away { pis: names("attic pi"), no_route: names("pi") }));
}

#[test]
fn one_that_is_away_keeps_the_others_waiting_only_for_a_moment_and_only_once() {
    let fresh = known(1, "attic pi", &[]);
    assert_eq!(fresh.step(&heard("pi attic", 0)), run("", ""));
    assert_eq!(fresh.step(&heard("pi", 4)), Step::Pause);
    assert_eq!(fresh.step(&heard("pi", 5)), run("attic", ""));

    let partial = ran(slot(), 7, Outcome::Incomplete, "attic", false, false);
    let after = known(8, "attic pi", &partial);
    assert_eq!(after.before(), Before::Ask, "it is no failure that would be tried again later");
    assert_eq!([after.step(&heard("pi", 0)), after.step(&heard("pi", 60))], [Step::Pause, gives_up("attic")]);
    // The one that was there may have left meanwhile: its night is done.
    assert_eq!(after.step(&heard("attic", 0)), run("pi", "pi"));
    let Step::Run(tonight) = after.step(&heard("attic", 0)) else { panic!() };
    assert!(tonight.lacking().is_empty());
    // A Pi that was added since has to wait for the next slot, or for a sync.
    let mut added = after.clone();
    added.pis = names("attic new pi");
    assert_eq!(added.step(&heard("new pi", 60)), gives_up("attic"));
    // One that was taken out of the configuration is waited for no more.
    added.pis = names("pi");
    assert_eq!(added.step(&heard("pi", 0)), run("", ""));
    // The next slot begins anew.
    let mut next = after;
    next.owed = Some(Owed { id: "2026-11-23".parse().unwrap(), due: at(1440) });
    assert_eq!(next.step(&heard("pi", 4)), Step::Pause);
    assert!(matches!(next.step(&heard("pi", 5)), Step::Run(_)));
}

#[test]
fn of_three_those_that_come_home_are_dealt_with_as_they_come() {
    let partial = ran(slot(), 7, Outcome::Incomplete, "attic shed", false, false);
    let known = known(8, "attic pi shed", &partial);
    assert_eq!(known.step(&heard("pi attic", 0)), Step::Pause, "the other may come in a moment");
    assert_eq!(known.step(&heard("pi attic", 5)), run("shed", "pi"));
}

#[test]
fn what_needs_no_pi_is_done_without_one() {
    let yesterday: Option<OwedId> = "2026-11-21".parse().ok();
    let unpushed = ran(yesterday, -1440, Outcome::Incomplete, "", true, false);
    let known_ = known(1, "pi", &unpushed);
    assert_eq!([known_.step(&heard("", 4)), known_.step(&heard("", 5))], [Step::Pause, run("pi", "")]);
    // So is what a kill left.
    let seen = Receipt { time: at(2), fact: Fact::Seen { place: "pi".parse().unwrap(), jobs: Default::default() } };
    assert_eq!(known(3, "pi", &[seen]).step(&heard("", 5)), run("pi", ""));
    // A night that lacked but the Pi leaves nothing.
    let away = ran(yesterday, -1440, Outcome::Incomplete, "pi", false, false);
    assert_eq!(known(1, "pi", &away).step(&heard("", 5)), Step::Pause);
}

#[test]
fn a_run_that_failed_is_tried_again_after_pauses_that_grow() {
    let mut tail = Vec::new();
    let mut now = 1;
    for pause in [30, 60, 120, 240, 240, 240] {
        tail.extend(failed(now));
        assert_eq!(known(now, "pi", &tail).before(), Before::Later(at(now + pause)));
        assert_eq!(known(now + pause - 1, "pi", &tail).before(), Before::Later(at(now + pause)));
        assert_eq!(known(now + pause, "pi", &tail).before(), Before::Ask);
        now += pause;
    }
    assert_eq!(known(now, "pi", &tail).step(&heard("pi", 0)), run("", ""));
    // The clock was put back, by a day or by a minute: the pause is over.
    assert_eq!(known(-1440, "pi", &tail).before(), Before::Ask);
    assert_eq!(known(now - 241, "pi", &tail).before(), Before::Ask);
}

#[test]
fn a_pi_that_comes_home_does_not_wait_for_a_cloud_that_fails() {
    let both = ran(slot(), 7, Outcome::Incomplete, "attic", true, false);
    let within = known(8, "attic pi", &both);
    assert_eq!(within.before(), Before::Ask);
    assert_eq!(within.step(&heard("pi", 5)), Step::Pause);
    assert_eq!(within.step(&heard("pi", 60)), gives_up("attic"));
    // What failed may have been the other's, so it counts as dealt with only when it is there.
    assert_eq!(within.step(&heard("attic", 0)), run("pi", ""));
    let after = known(37, "attic pi", &both);
    assert_eq!(after.step(&heard("pi", 5)), run("attic", ""));
}

#[test]
fn a_run_that_was_slept_through_is_played_again_and_counts_neither_way() {
    let mut tail = failed(1);
    tail.extend(ran(slot(), 40, Outcome::Incomplete, "", true, true));
    let known_ = known(41, "pi", &tail);
    assert!(known_.standing.failures.is_empty());
    assert_eq!((known_.before(), known_.step(&heard("pi", 0))), (Before::Ask, run("", "")));
    tail.extend(failed(50));
    assert_eq!(known(50, "pi", &tail).before(), Before::Later(at(110)), "the second failure");
    // With a Pi that was away in it, too.
    let tail = ran(slot(), 40, Outcome::Incomplete, "attic", true, true);
    assert_eq!(known(41, "attic pi", &tail).step(&heard("attic", 5)), run("pi", ""));
}

#[test]
fn the_pauses_grow_from_seconds_to_minutes() {
    let pauses: Vec<u64> = (0..8).map(|asked| pause(asked).as_secs()).collect();
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
    assert_eq!(pause(u32::MAX).as_secs(), 300);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was tried, with whomever there: nobody is asked for ever, and a run leaves out nobody who answers.
    #[test]
    fn every_wait_ends(
        runs in prop::collection::vec((0_i64..600, 0..4_usize, any::<bool>(), any::<bool>()), 0..5),
        answers in 0..4_usize,
        minute in 0_i64..700,
        waited in 0_u64..70,
    ) {
        let sets = ["", "attic", "pi", "attic pi"];
        let mut tail = Vec::new();
        for (minute, away, failed, slept) in runs {
            let away = if failed { sets[away] } else { ["attic", "attic", "pi", "attic pi"][away] };
            tail.extend(ran(slot(), minute, Outcome::Incomplete, away, failed, slept));
        }
        let known = known(minute, "attic pi", &tail);
        let heard = heard(sets[answers], waited);
        match known.step(&heard) {
            Step::Pause => prop_assert!(waited < 60),
            Step::Postpone(Waiting::Away { pis, .. }) => {
                prop_assert!(waited >= 60);
                prop_assert!(!pis.is_empty() && pis.is_disjoint(&heard.answers));
            }
            Step::Postpone(why) => prop_assert!(false, "{why}"),
            Step::Run(tonight) => {
                prop_assert!(tonight.away.is_disjoint(&heard.answers));
                prop_assert!(tonight.had.is_disjoint(&tonight.lacking()));
            }
        }
        // All there, and the time has come: it runs.
        if known.before() == Before::Ask {
            let step = known.step(&Heard { answers: known.pis.clone(), ..heard });
            prop_assert!(matches!(step, Step::Run(_)), "{step:?}");
        }
    }
}
