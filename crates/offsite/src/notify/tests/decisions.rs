//! What is news, over long times: nothing twice, nothing never, and one "all is well" for each trouble.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{alarm, report};
use crate::{
    journal::Outcome,
    notify::news::{AGAIN, News, Told, key, news, reminder},
    status::{Alarm, JobReport, Kind, WarningsReport},
};

const START: i64 = 1_790_000_000;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(START + hours * 3600).unwrap()
}

/// What one look says, in a word for each thing.
fn said(found: &[News]) -> Vec<String> {
    let of = |sign: &str, alarms: &[Alarm]| alarms.iter().map(|alarm| format!("{sign}{}", alarm.object)).collect::<Vec<_>>();
    let words = found.iter().map(|news| match news {
        News::Alarms { begun, again, others } => [of("+", begun), of("=", again), vec![others.to_string()]].concat().join(" "),
        News::Well { ended } => format!("well: {}", ended.join(", ")),
        News::Warnings(of) => of.iter().map(|warned| format!("warnings {}", warned.archive)).collect(),
        News::Night { others } => format!("night {others}"),
    });
    words.collect()
}

/// A look: its hour, what stands, how a run ended then, and what must be said.
type Expected = (i64, &'static [&'static str], Option<Outcome>, &'static [&'static str]);

/// Looks in turn.
fn story(looks: &[Expected]) {
    let (mut told, mut last) = (Told::default(), None);
    for (hour, standing, ran, wanted) in looks {
        last = ran.map(|outcome| (at(*hour), outcome)).or(last);
        let alarms = standing.iter().map(|object| alarm(Kind::Failed, object)).collect();
        let (found, next) = news(&report(at(*hour), alarms, last), &told, *ran);
        assert_eq!(said(&found), *wanted, "at hour {hour}");
        told = next;
    }
}

#[test]
fn new_warnings_are_told_once_and_never_instead_of_an_alarm() {
    let name = |day: i64| format!("services/2026-11-{:02}T040000Z", day).parse().unwrap();
    let look = |hour, alarms: Vec<Alarm>, newest, new_in: i64, told: &Told| {
        let mut report = report(at(hour), alarms, Some((at(hour), Outcome::Fine)));
        let warnings = WarningsReport { archive: name(newest), count: 2, first: vec!["a".to_owned()], new_in: Some(name(new_in)) };
        let job = "services".parse().unwrap();
        let (places, pushed) = (Vec::new(), BTreeMap::new());
        report.jobs = vec![JobReport { job, places, pulled: None, pushed, drilled: None, tripwire: None, warnings: Some(warnings) }];
        let (found, next) = news(&report, told, FINE);
        (said(&found).concat(), next)
    };
    let (words, told) = look(0, Vec::new(), 20, 20, &Told::default());
    assert_eq!(words, "warnings services/2026-11-20T040000Z");
    let (words, told) = look(24, Vec::new(), 21, 20, &told);
    assert_eq!(words, "night 0", "it stays, and is no news");
    let (words, told) = look(48, vec![alarm(Kind::Failed, "pi")], 23, 22, &told);
    assert_eq!(words, "+pi 0", "the alarm first");
    let (words, told) = look(49, vec![alarm(Kind::Failed, "pi")], 23, 22, &told);
    assert_eq!(words, "warnings services/2026-11-23T040000Z", "though a later archive came in between");
    let back: Told = serde_json::from_str(&serde_json::to_string(&told).unwrap()).unwrap();
    assert_eq!(look(50, vec![alarm(Kind::Failed, "pi")], 23, 22, &back).0, "night 1");
}

const FINE: Option<Outcome> = Some(Outcome::Fine);
const FAILED: Option<Outcome> = Some(Outcome::Failed);

#[test]
fn a_failure_is_told_once_then_daily_and_its_end_once() {
    story(&[
        (0, &[], FINE, &["night 0"]),
        (24, &["pi"], FAILED, &["+pi 0"]),
        (25, &["pi"], FAILED, &[]),
        (26, &["pi", "cold"], FAILED, &["+cold 1"]),
        (45, &["pi", "cold"], FAILED, &[]),
        (46, &["pi", "cold"], FAILED, &["=pi 1"]),
        (47, &["pi", "cold"], None, &[]),
        (48, &["pi", "cold"], FAILED, &["=cold 1"]),
        (49, &["cold"], FAILED, &[]),
        (50, &[], FINE, &["well: failed cold, failed pi"]),
        (51, &[], FINE, &["night 0"]),
    ]);
}

#[test]
fn all_is_well_only_after_a_run_that_ended_fine() {
    // It was accepted by hand, or healed, at hour 3.
    story(&[(0, &["a"], FINE, &["+a 0"]), (3, &[], None, &[]), (9, &[], None, &[]), (24, &[], FINE, &["well: failed a"])]);
    // However long ago: what was told is not forgotten before it was taken back, and a run that ended before it proves nothing.
    story(&[(0, &["a"], FINE, &["+a 0"]), (1, &[], None, &[]), (60, &[], None, &[]), (61, &[], FINE, &["well: failed a"])]);
    // While anything stands, not all is well.
    story(&[(0, &["a"], FAILED, &["+a 0"]), (1, &["b"], FINE, &["+b 0"]), (2, &[], FINE, &["well: failed a, failed b"])]);
}

#[test]
fn an_alarm_that_returns_is_told_and_the_good_news_waits() {
    story(&[
        (0, &["a"], FAILED, &["+a 0"]),
        (1, &[], FINE, &["well: failed a"]),
        // The last that was heard would be untrue.
        (2, &["a"], FAILED, &["+a 0"]),
        // And now it is not believed so soon.
        (3, &[], FINE, &["night 0"]),
        (4, &["a"], FAILED, &[]),
        (5, &[], FINE, &["night 0"]),
        (23, &[], None, &[]),
        (24, &[], None, &["well: failed a"]),
        (25, &["a"], FAILED, &["+a 0"]),
        (26, &[], FINE, &["well: failed a"]),
        (27, &["b"], FAILED, &["+b 0"]),
        (28, &[], FINE, &["well: failed b"]),
    ]);
}

#[test]
fn a_reminder_comes_with_a_run_or_three_hours_later() {
    story(&[
        (0, &["a"], FAILED, &["+a 0"]),
        (22, &["a"], None, &[]),
        (24, &["a"], FAILED, &["=a 0"]),
        (48, &["a"], None, &[]),
        (49, &["a"], None, &["=a 0"]),
    ]);
    let alarms = || report(at(22), vec![alarm(Kind::Failed, "a")], None);
    let (_, told) = news(&report(at(0), alarms().alarms, None), &Told::default(), None);
    assert_eq!(reminder(&alarms(), &told), Some(at(25)));
}

#[test]
fn archives_that_lack_something_each_night_are_one_trouble_and_end_by_the_name_they_began_with() {
    let look = |hour, alarms: Vec<Alarm>, told: &Told| news(&report(at(hour), alarms, None), told, FAILED);
    let night = |day| vec![alarm(Kind::Incomplete, &format!("services/2026-11-{day}T030000Z"))];
    let (_, mut told) = look(0, night(10), &Told::default());
    for day in 11..20 {
        let (found, next) = look((day - 10) * 24, night(day), &told);
        assert_eq!(said(&found), [format!("=services/2026-11-{day}T030000Z 0")]);
        told = next;
    }
    assert_eq!((told.open.len(), told.alarms.len(), told.shown.len()), (1, 1, 1));
    let (found, told) = news(&report(at(240), Vec::new(), None), &told, FINE);
    assert_eq!(said(&found), ["well: incomplete services/2026-11-10T030000Z"]);
    assert!(told.shown.is_empty() && told.open.is_empty());
}

#[test]
fn what_could_not_be_sent_is_news_at_the_next_look() {
    let look = |hour, alarms: &[&str], ran, told: &Told| {
        let alarms = alarms.iter().map(|object| alarm(Kind::Failed, object)).collect();
        news(&report(at(hour), alarms, Some((at(2), Outcome::Fine))), told, ran)
    };
    // The alarm did not get through: the memory stays as it was.
    let (first, _) = look(0, &["a"], FAILED, &Told::default());
    let (second, told) = look(1, &["a"], None, &Told::default());
    assert_eq!((said(&first), said(&second)), (vec!["+a 0".to_owned()], vec!["+a 0".to_owned()]));
    // Nor did the good news, and the next look belongs to no run.
    let (first, _) = look(2, &[], FINE, &told);
    let (second, told) = look(3, &[], None, &told);
    assert_eq!((said(&first), said(&second)), (vec!["well: failed a".to_owned()], vec!["well: failed a".to_owned()]));
    assert_eq!(said(&look(4, &[], None, &told).0), [""; 0]);
}

#[test]
fn after_a_clock_was_put_back_what_stands_is_told_again() {
    let look = |time| report(time, vec![alarm(Kind::Lost, "a")], None);
    let (_, told) = news(&look(at(9000)), &Told::default(), None);
    // What a clock is put back by every day is no news.
    let (found, _) = news(&look(at(9000) - SignedDuration::from_mins(4)), &told, None);
    assert_eq!(said(&found), [""; 0]);
    let (found, told) = news(&look(at(0)), &told, None);
    assert_eq!(said(&found), ["=a 0"]);
    let (found, _) = news(&look(at(1)), &told, None);
    assert_eq!((said(&found), reminder(&look(at(1)), &told)), (vec![], Some(at(25))));
}

#[test]
fn a_failed_and_an_incomplete_run_are_one_trouble() {
    let both = vec![alarm(Kind::Failed, "push cold"), alarm(Kind::Incomplete, "push cold")];
    let (found, told) = news(&report(at(0), both, None), &Told::default(), FAILED);
    assert_eq!(said(&found), ["+push cold 0"]);
    let (found, _) = news(&report(at(1), vec![alarm(Kind::Incomplete, "push cold")], None), &told, FAILED);
    assert_eq!(said(&found), [""; 0]);
    let (found, _) = news(&report(at(2), Vec::new(), None), &told, FINE);
    assert_eq!(said(&found), ["well: failed push cold"]);
    // A webhook finds in `ended` what it got in `begun`.
    let (_, told) = news(&report(at(0), vec![alarm(Kind::Incomplete, "push cold")], None), &Told::default(), FAILED);
    let (found, _) = news(&report(at(2), Vec::new(), None), &told, FINE);
    assert_eq!(said(&found), ["well: incomplete push cold"]);
}

/// One look of a random life.
#[derive(Debug, Clone)]
struct Look {
    minutes: i64,
    standing: BTreeSet<u8>,
    ran: Option<Outcome>,
    gets_through: bool,
}

fn look() -> impl Strategy<Value = Look> {
    let ran = prop_oneof![Just(None), Just(Some(Outcome::Fine)), Just(Some(Outcome::Failed)), Just(Some(Outcome::Incomplete))];
    let standing = prop_oneof![Just(BTreeSet::new()), proptest::collection::btree_set(0_u8..4, 0..4)];
    (1_i64..=60, standing, ran, proptest::bool::weighted(0.8), 1_usize..40).prop_map(|(minutes, standing, ran, gets_through, _)| Look {
        minutes,
        standing,
        ran,
        gets_through,
    })
}

/// Times that last: each look's alarms stand for a while.
fn life() -> impl Strategy<Value = Vec<Look>> {
    proptest::collection::vec((look(), 1_usize..40), 1..12).prop_map(|parts| {
        let many = parts.into_iter().flat_map(|(look, times)| std::iter::repeat_n(look, times));
        many.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_twice_within_the_interval_nothing_untold_for_a_day_and_the_last_that_was_heard_is_true(looks in life()) {
        let mut told = Told::default();
        let mut now = Timestamp::from_second(START).unwrap();
        let mut last = None;
        let mut told_at: BTreeMap<String, Timestamp> = BTreeMap::new();
        let mut stands_since: BTreeMap<String, Timestamp> = BTreeMap::new();
        // Told and not taken back, as the owner knows it.
        let mut known: BTreeSet<String> = BTreeSet::new();
        // Told again soon after they were taken back.
        let mut returned: BTreeSet<String> = BTreeSet::new();
        let mut fine_since = true;
        let mut deaf_since: Option<Timestamp> = None;
        for Look { minutes, standing, ran, gets_through } in looks {
            now += SignedDuration::from_mins(minutes);
            last = ran.map(|outcome| (now, outcome)).or(last);
            fine_since |= ran == Some(Outcome::Fine);
            let kinds = [Kind::Lost, Kind::Suspicious, Kind::Overdue, Kind::Space];
            let alarms: Vec<Alarm> = standing.iter().map(|n| alarm(kinds[usize::from(*n)], &n.to_string())).collect();
            let keys: BTreeSet<String> = alarms.iter().map(key).collect();
            stands_since.retain(|key, _| keys.contains(key));
            for key in &keys {
                stands_since.entry(key.clone()).or_insert(now);
            }
            let (found, next) = news(&report(now, alarms, last), &told, ran);
            prop_assert!(found.len() <= 1, "several alarms are one message");
            if !gets_through && !found.is_empty() {
                deaf_since = deaf_since.or(Some(now));
                continue;
            }
            deaf_since = None;
            told = next;
            match found.first() {
                Some(News::Alarms { begun, again, .. }) => {
                    for alarm in begun.iter().chain(again) {
                        let before = told_at.insert(key(alarm), now);
                        let soon = before.is_some_and(|before| now.duration_since(before) < AGAIN);
                        prop_assert!(!(soon && known.contains(&key(alarm))), "{} twice", key(alarm));
                        if soon {
                            prop_assert!(!returned.contains(&key(alarm)), "{} a third time", key(alarm));
                            returned.insert(key(alarm));
                        }
                        known.insert(key(alarm));
                    }
                    // A run that ended at this very look ended before the message.
                    fine_since = false;
                }
                Some(News::Well { ended }) => {
                    prop_assert_eq!(&ended.iter().cloned().collect::<BTreeSet<_>>(), &known, "once, for all that was told");
                    prop_assert!(keys.is_empty() && fine_since);
                    known.clear();
                    returned.clear();
                }
                Some(News::Night { .. }) => prop_assert_eq!(ran, Some(Outcome::Fine)),
                Some(News::Warnings(_)) | None => {}
            }
            let recovered = keys.is_empty() && ran == Some(Outcome::Fine);
            prop_assert!(!(recovered && !known.is_empty() && returned.is_empty()), "recovery is told at once");
            prop_assert!(keys.is_subset(&known), "all is not well, and that was the last that was heard");
            for (key, since) in &stands_since {
                let told_last = told_at.get(key).map_or(*since, |told| (*told).max(*since));
                let silent = now.duration_since(told_last);
                prop_assert!(silent < SignedDuration::from_hours(26), "{key} has been standing and was not told for {silent}");
            }
            for key in &keys {
                prop_assert!(told_at.contains_key(key), "{key} was never told");
            }
        }
    }

    /// Whatever a memory says, and whatever the clock did: what stands is told within a day of being looked at.
    #[test]
    fn no_memory_silences_what_stands(
        times in proptest::collection::btree_map("(lost|failed) [abc]", -100_000_000_i64..100_000_000, 0..6),
        open in proptest::collection::btree_set("(lost|failed) [abc]", 0..6),
    ) {
        let alarms = times.into_iter().map(|(key, offset)| (key, Timestamp::from_second(START + offset).unwrap())).collect();
        let mut told = Told { alarms, open, ..Told::default() };
        let mut heard = false;
        for hour in 0..26 {
            let (found, next) = news(&report(at(hour), vec![alarm(Kind::Lost, "a")], None), &told, None);
            told = next;
            heard |= !found.is_empty();
        }
        prop_assert!(heard);
    }
}
