//! Histories as text, from journals made by hand.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{config::TimeOfDay, human::lines::width};

fn schedule() -> Schedule {
    Schedule { at: "04:30".parse::<TimeOfDay>().unwrap(), zone: TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap() }
}

fn receipt(time: &str, fact: Value) -> Receipt {
    let mut line = fact;
    line["time"] = json!(time);
    serde_json::from_value(line).unwrap()
}

fn archive(day: u8) -> String {
    format!("services/2026-11-{day:02}T030000Z")
}

fn pulled(time: &str, day: u8) -> Receipt {
    receipt(
        time,
        json!({"kind": "pulled", "pi": "pi", "archive": archive(day), "sequence": 1, "moved": 212_000_000, "total": 9_400_000_000_u64, "verified": true}),
    )
}

fn pushed(time: &str, day: u8) -> Receipt {
    receipt(
        time,
        json!({"kind": "pushed", "cloud": "cold", "archive": archive(day), "sequence": 1, "moved": 208_000_000, "total": 9_400_000_000_u64}),
    )
}

fn ran(time: &str, slot: Option<u8>, outcome: &str, began: Option<&str>) -> Receipt {
    let mut fact = json!({"kind": "ran", "outcome": outcome});
    if let Some(slot) = slot {
        fact["owed"] = json!(format!("2026-11-{slot:02}"));
    }
    if let Some(began) = began {
        fact["began"] = json!(began);
    }
    receipt(time, fact)
}

fn waited(time: &str, slot: u8) -> Receipt {
    receipt(time, json!({"kind": "waited", "owed": format!("2026-11-{slot:02}"), "why": {"for": "away", "pis": ["pi"]}}))
}

#[test]
fn damaged_lines_are_said_and_none_are_not() {
    assert_eq!(text::damaged(&[], Look::PLAIN), "");
    let said = text::damaged(&[7, 9], Look::PLAIN);
    assert_eq!(said, "2 lines of the journal are no receipt, the first is line 7: what they said is not in this list\n");
}

#[test]
fn no_nights_at_all_cannot_be_asked_for() {
    assert!(at_least_one("0").is_err() && at_least_one("-1").is_err() && at_least_one("x").is_err());
    assert_eq!(at_least_one("1"), Ok(1));
}

/// A week in which much happened.
fn week() -> Vec<Receipt> {
    vec![
        pulled("2026-11-14T03:31:00Z", 14),
        pushed("2026-11-14T03:32:00Z", 14),
        receipt("2026-11-14T03:32:30Z", json!({"kind": "forgot", "place": "mac", "archives": [archive(1), archive(2)]})),
        ran("2026-11-14T03:33:00Z", Some(14), "fine", Some("2026-11-14T03:30:01Z")),
        // Killed in the middle of the 15th; a person accepted something; the 16th and 17th were away, and on the 18th all was made up for.
        pulled("2026-11-15T03:31:00Z", 15),
        receipt("2026-11-15T09:00:00Z", json!({"kind": "accepted", "archive": archive(15)})),
        waited("2026-11-16T04:30:00Z", 16),
        pulled("2026-11-18T11:05:00Z", 18),
        receipt(
            "2026-11-18T11:06:00Z",
            json!({"kind": "failed", "step": "push", "object": "cold", "message": "put packs/1f: the server said 503"}),
        ),
        ran("2026-11-18T11:07:00Z", Some(18), "incomplete", Some("2026-11-18T11:04:00Z")),
        waited("2026-11-19T04:30:00Z", 19),
        ran("2026-11-19T11:07:00Z", Some(19), "fine", None),
        ran("2026-11-19T12:07:00Z", None, "fine", Some("2026-11-19T12:06:30Z")),
    ]
}

const NOW: &str = "2026-11-21T08:00:00Z";

fn made(receipts: &[Receipt]) -> Vec<Night<'_>> {
    nights::nights(receipts, &schedule(), NOW.parse().unwrap())
}

const WEEK: &str = "\
NIGHT         BEGAN   TOOK  ENDED       PULLED     PUSHED          FORGOT
2026-11-14    04:30  2 min  fine        1, 212 MB  cold 1, 208 MB       2
(2026-11-15)  -          -  no end      1, 212 MB  -                    -
            it was cut off, or is at work now
2026-11-15  no run
2026-11-16  waited, and did not run: not at home: pi does not answer
2026-11-17  no run
2026-11-18    12:04  3 min  incomplete  1, 212 MB  -                    -
            push cold: put packs/1f: the server said 503
2026-11-19    -          -  fine        -          -                    -
(2026-11-19)  13:06   30 s  fine        -          -                    -
2026-11-20 to 2026-11-21  2 nights without a run; nothing has made up for it yet
";

#[test]
fn a_week_with_holes() {
    let receipts = week();
    assert_eq!(text::list(&made(&receipts), &schedule().zone, Look::PLAIN), WEEK);
    let shown = text::list(&made(&receipts), &schedule().zone, Look { width: Some(80), ..Look::PLAIN });
    assert_eq!(shown, WEEK);
    assert_eq!(text::none(None, Look::PLAIN), "no night yet: offsite sync plays the first\n");
    assert_eq!(text::none(Some(civil::date(2027, 1, 1)), Look::PLAIN), "no night since 2027-01-01\n");
}

#[test]
fn one_night_in_detail() {
    let receipts = week();
    let nights = made(&receipts);
    let args = Args { night: Some("2026-11-18".parse().unwrap()), ..Args::default() };
    let wanted = "\
NIGHT       BEGAN   TOOK  ENDED       PULLED     PUSHED  FORGOT
2026-11-18  12:04  3 min  incomplete  1, 212 MB  -            -
            push cold: put packs/1f: the server said 503

  12:05:00  pulled services/2026-11-18T030000Z from pi: 212 MB of 9.4 GB moved (3 %)
  12:06:00  failed: push cold: put packs/1f: the server said 503
  12:07:00  ended: incomplete
";
    assert_eq!(text::detail(choose(&nights, &args).unwrap(), &schedule().zone, Look::PLAIN), wanted);
    let none = Args { night: Some("2026-12-24".parse().unwrap()), ..Args::default() };
    assert_eq!(choose(&nights, &none).unwrap_err().to_string(), "the journal knows nothing of the night 2026-12-24");
}

#[test]
fn the_end_is_shown_unless_more_is_asked_for() {
    let receipts = week();
    let nights = made(&receipts);
    let count = |args: &Args| choose(&nights, args).unwrap().len();
    assert_eq!(count(&Args { nights: 2, ..Args::default() }), 2);
    assert_eq!(count(&Args { nights: 99, ..Args::default() }), nights.len());
    assert_eq!(count(&Args { all: true, ..Args::default() }), nights.len());
    assert_eq!(count(&Args { since: Some("2026-11-19".parse().unwrap()), ..Args::default() }), 3);
    assert_eq!(count(&Args { since: Some("2027-11-19".parse().unwrap()), ..Args::default() }), 0);
}

#[test]
fn a_run_that_began_before_what_a_killed_one_left_takes_only_its_own() {
    let receipts = [
        pulled("2026-11-14T03:31:00Z", 13),
        pulled("2026-11-14T05:01:00Z", 14),
        ran("2026-11-14T05:02:00Z", Some(14), "fine", Some("2026-11-14T05:00:00Z")),
    ];
    let nights = made(&receipts);
    assert_eq!(nights.iter().map(|night| night.receipts.len()).collect::<Vec<_>>(), [1, 2, 0]);
}

#[test]
fn json_has_every_line_and_its_kind() {
    let receipts = week();
    let nights = made(&receipts);
    let json = serde_json::to_value(nights.iter().map(|night| &night.line).collect::<Vec<_>>()).unwrap();
    let kinds: Vec<&str> = json.as_array().unwrap().iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["run", "run", "gap", "waited", "gap", "run", "run", "run", "gap"]);
    let first = json!({
        "kind": "run", "night": "2026-11-14", "day": "2026-11-14", "began": "2026-11-14T03:30:01Z", "ended": "2026-11-14T03:33:00Z",
        "outcome": "fine", "pulled": {"archives": 1, "bytes": 212_000_000}, "pushed": {"cold": {"archives": 1, "bytes": 208_000_000}},
        "forgotten": {"mac": 2}, "away": [], "failures": [], "suspicious": [], "lost": [],
    });
    assert_eq!(json[0], first);
    assert_eq!(
        json[3],
        json!({
            "kind": "waited", "night": "2026-11-16", "time": "2026-11-16T04:30:00Z", "why": {"for": "away", "pis": ["pi"]},
            "text": "not at home: pi does not answer",
        })
    );
    assert_eq!(json[8], json!({"kind": "gap", "night": "2026-11-20", "last": "2026-11-21", "nights": 2, "open": true}));
    assert_eq!(json[5]["failures"], json!([{"step": "push", "object": "cold", "message": "put packs/1f: the server said 503"}]));
}

fn any_receipt() -> impl Strategy<Value = Receipt> {
    let time = || (1_u8..29, 0_u8..24).prop_map(|(day, hour)| format!("2026-11-{day:02}T{hour:02}:30:00Z"));
    prop_oneof![
        (time(), 1_u8..29).prop_map(|(time, day)| pulled(&time, day)),
        (time(), 1_u8..29).prop_map(|(time, day)| pushed(&time, day)),
        (time(), 1_u8..29).prop_map(|(time, day)| waited(&time, day)),
        (time(), prop::option::of(1_u8..29), prop::option::of(time())).prop_map(|(time, slot, began)| ran(
            &time,
            slot,
            "fine",
            began.as_deref()
        )),
        (time(), "[a-z写\u{1b}\n ]{0,40}")
            .prop_map(|(time, words)| { receipt(&time, json!({"kind": "failed", "step": "push", "object": words, "message": words})) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_line_is_too_wide_and_no_receipt_of_a_run_is_lost(receipts in prop::collection::vec(any_receipt(), 0..20), columns in 20_usize..130) {
        let nights = made(&receipts);
        let look = Look { width: Some(columns), ..Look::PLAIN };
        for line in text::detail(&nights, &schedule().zone, look).lines() {
            prop_assert!(width(line) <= columns, "{columns}: {line:?}");
            prop_assert!(!line.chars().any(char::is_control));
        }
        let runs = |fact: &crate::journal::Fact| matches!(fact, crate::journal::Fact::Pulled { .. } | crate::journal::Fact::Pushed { .. });
        let shown = nights.iter().flat_map(|night| &night.receipts).filter(|receipt| runs(&receipt.fact)).count();
        prop_assert_eq!(shown, receipts.iter().filter(|receipt| runs(&receipt.fact)).count());
        // Every day from the first slot known to the last that is due is spoken of.
        let slots = receipts.iter().filter_map(|receipt| match &receipt.fact {
            crate::journal::Fact::Ran { owed, .. } | crate::journal::Fact::Waited { owed, .. } => *owed,
            _ => None,
        });
        if let Some(first) = slots.min() {
            let mut day = first.day();
            while day <= civil::date(2026, 11, 21) {
                let spoken = nights.iter().any(|night| night.line.first() <= day && day <= night.line.last());
                prop_assert!(spoken, "{day}");
                day = day.tomorrow().unwrap();
            }
        }
    }
}
