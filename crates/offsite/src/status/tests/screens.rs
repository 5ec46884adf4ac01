//! Screens for terminals of many widths: some pinned as text, many only asked whether a line is too wide.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    human::lines::width,
    journal::Waiting,
    live::{Now, Phase},
};

const MORNING: &str = "2026-11-22T08:12:00Z";

fn at_width(facts: &Facts, columns: usize) -> String {
    let look = Look { width: Some(columns), ..Look::PLAIN };
    let text = screen(&Report::of(facts), &facts.zone, look);
    for line in text.lines() {
        assert!(width(line) <= columns, "{columns}: {line}");
    }
    text
}

pub(super) fn pulling() -> Now {
    Now {
        pid: 7,
        verb: "daemon".into(),
        since: "2026-11-22T08:02:00Z".parse().unwrap(),
        time: MORNING.parse().unwrap(),
        phase: Phase::Pull,
        object: "services/2026-11-22T030000Z".into(),
        done: 1_200_000_000,
        total: 9_400_000_000,
        rate: 23_000_000,
    }
}

/// A night of another job.
fn night_of(job: &str, day: &str) -> Vec<Receipt> {
    // What a place holds is one receipt for all jobs: see `seen_all`.
    let text = serde_json::to_string(&night(day)).unwrap().replace("services", job);
    serde_json::from_str(&text).unwrap()
}

/// What the places hold after a night of all `jobs`.
fn seen_all(jobs: &[&str], day: &str) -> Vec<Receipt> {
    let holding = |job: &str, count| (job.parse().unwrap(), Holding { count, newest: name(&format!("{job}/{day}T030000Z")) });
    let seen = |at: &str, count| {
        let jobs = jobs.iter().map(|job| holding(job, count)).collect();
        receipt(&format!("{day}T03:33:05Z"), Fact::Seen { place: place(at), jobs })
    };
    vec![seen("pi", 3), seen("cold", 10)]
}

#[test]
fn two_jobs_fit_on_one_screen_even_while_a_run_is_at_work() {
    let mut receipts = [night_of("immich", "2026-11-22"), night("2026-11-22"), seen_all(&["immich", "services"], "2026-11-22")].concat();
    receipts.push(receipt(
        "2026-11-10T09:00:00Z",
        Fact::Drilled { place: place("cold"), archive: name("services/2026-11-10T030000Z"), files: 12_345, bytes: 9_400_000_000 },
    ));
    let local = held(&["immich/2026-11-22T030000Z", TWO[0], TWO[1]]);
    let facts = Facts { running: Some(pulling()), ..facts(config(CONFIG), &receipts, local, MORNING) };
    let text = at_width(&facts, 80);
    assert!(text.lines().count() < 24, "{text}");
    let wanted = "\
fine: every copy is where it should be

immich  newest            age      kept  verified
  pi    2026-11-22 04:00  5 h         3  -
  mac   2026-11-22 04:00  5 h   1 of 10  4 h ago
  cold  2026-11-22 04:00  5 h  10 of 10  -
  moved last: pulled 212 MB for 9.4 GB (3 %), cold got 208 MB for 9.4 GB (3 %)
  drill: no restore was rehearsed yet: offsite drill immich

services  newest            age      kept  verified
  pi      2026-11-22 04:00  5 h         3  -
  mac     2026-11-22 04:00  5 h   2 of 10  4 h ago
  cold    2026-11-22 04:00  5 h  10 of 10  -
  moved last: pulled 212 MB for 9.4 GB (3 %), cold got 208 MB for 9.4 GB (3 %)
  drill: 11 days ago, the archive of 2026-11-10 04:00 from cold

3-2-1     holds: 3 fresh copies, 3 media, 1 off site
last run  2026-11-22 04:33, fine
at work   daemon for 10 min: pulling services/2026-11-22T030000Z
          [==>                    ] 1.2 GB of 9.4 GB (12 %), 23 MB/s, 5 min left
next run  2026-11-23 04:30
";
    assert_eq!(text, wanted);
}

#[test]
fn forty_columns_are_enough() {
    let mut receipts = night("2026-11-19");
    receipts.push(receipt("2026-11-22T08:11:00Z", Fact::Suspicious { archive: name(TWO[0]), why: Why::Empty }));
    let pis = BTreeSet::from([place("pi")]);
    receipts.push(receipt("2026-11-22T04:30:00Z", Fact::Waited { owed: None, why: Waiting::Away { pis, no_route: BTreeSet::new() } }));
    let local = held(&["services/2026-11-19T030000Z"]);
    let facts = Facts { running: Some(pulling()), ..facts(config(CONFIG), &receipts, local, MORNING) };
    let wanted = "\
failed: something needs you
suspicious: services/2026-11-21T030000Z:
  it is empty
  next: look at the Pi; if it is as it
    should be: offsite accept
    services/2026-11-21T030000Z (nothing
    of services is forgotten anywhere
    until then)
overdue: run: the last that ended well
  was 3 days ago
  next: wait until offsite daemon has
    ended: offsite status --watch
overdue: services: its newest archive is
  from 3 days ago
  next: see why the agent made none: on
    the Pi, systemctl status
    offsite-agent@services; if services
    is no job any more: remove its
    archives on the Pi (offsite-agent
    check names them), then offsite
    forget --last ARCHIVE…, here and
    with --cloud in each cloud

services
  pi: 2026-11-19 04:00, 3 days old, 3
    kept
  mac: 2026-11-19 04:00, 3 days old, 1
    of 10 kept, verified 3 days ago
  cold: 2026-11-19 04:00, 3 days old, 10
    of 10 kept
  moved last: pulled 212 MB for 9.4 GB
    (3 %), cold got 208 MB for 9.4 GB (3
    %)
  drill: no restore was rehearsed yet:
    offsite drill services

3-2-1: does not hold for services: 0
  fresh copies, 0 media, 0 off site
last run: 2026-11-19 04:33, fine
at work: daemon for 10 min: pulling
  services/2026-11-22T030000Z
  1.2 GB of 9.4 GB (12 %), 23 MB/s, 5
  min left
waiting: not at home: pi does not
  answer; since 2026-11-22 05:30
next run: 2026-11-23 04:30; owed since
  2026-11-22 04:30
";
    assert_eq!(at_width(&facts, 40), wanted);
}

#[test]
fn waiting_is_a_state_and_no_alarm_until_it_is_overdue() {
    let mut receipts = night("2026-11-21");
    let pis = BTreeSet::from([place("pi")]);
    receipts.push(receipt(
        "2026-11-22T04:30:00Z",
        Fact::Waited { owed: Some("2026-11-22".parse().unwrap()), why: Waiting::Away { pis, no_route: BTreeSet::new() } },
    ));
    let facts = facts(config(CONFIG), &receipts, held(&TWO), MORNING);
    assert_eq!(Report::of(&facts).exit(), Exit::Fine);
    let said = at_width(&facts, 80);
    let wanted = "\
waiting   not at home: pi does not answer; since 2026-11-22 05:30
next run  2026-11-23 04:30; owed since 2026-11-22 04:30
";
    assert!(said.starts_with("fine:") && said.ends_with(wanted), "{said}");
}

#[test]
fn where_there_is_no_way_to_the_pi_a_sync_in_a_terminal_proves_nothing() {
    let late = |no_route: BTreeSet<PlaceName>| {
        let mut receipts = night("2026-11-19");
        let why = Waiting::Away { pis: BTreeSet::from([place("pi")]), no_route };
        receipts.push(receipt("2026-11-22T04:30:00Z", Fact::Waited { owed: Some("2026-11-22".parse().unwrap()), why }));
        facts(config(CONFIG), &receipts, held(&TWO), MORNING)
    };
    let next = |facts: &Facts| Report::of(facts).alarms[0].next.clone().unwrap();
    let (away, forbidden) = (late(BTreeSet::new()), late(BTreeSet::from([place("pi")])));
    assert!(next(&away).starts_with("run it now: offsite sync"), "{}", next(&away));
    assert!(next(&forbidden).contains("ping ") && !next(&forbidden).contains("offsite sync"), "{}", next(&forbidden));
    assert!(at_width(&forbidden, 100).contains("not at home: pi does not answer (no route to host); since"));
}

#[test]
fn three_jobs_and_a_long_name() {
    let jobs = ["configurations-of-the-house", "immich", "services"];
    let mut receipts = jobs.map(|job| night_of(job, "2026-11-22")).concat();
    receipts.extend(seen_all(&jobs, "2026-11-22"));
    let names = jobs.map(|job| format!("{job}/2026-11-22T030000Z"));
    let facts = facts(config(CONFIG), &receipts, held(&names.each_ref().map(String::as_str)), MORNING);
    let text = at_width(&facts, 80);
    assert!(
        text.contains("configurations-of-the-house\n        newest            age      kept  verified\n  pi    2026-11-22 04:00"),
        "{text}"
    );
    assert!(text.contains("\nimmich  newest") && text.contains("\nservices  newest"), "{text}");
}

#[test]
fn the_length_of_a_run_is_told_unless_the_clock_was_put_back() {
    let ran = |began: &str| {
        let fact = serde_json::json!({"kind": "ran", "owed": "2026-11-22", "outcome": "fine", "began": began});
        receipt("2026-11-22T03:33:06Z", serde_json::from_value(fact).unwrap())
    };
    let said = |began| {
        let mut receipts = night("2026-11-22");
        receipts.push(ran(began));
        text(&facts(config(CONFIG), &receipts, held(&TWO), MORNING))
    };
    assert!(said("2026-11-22T03:30:01Z").contains("last run  2026-11-22 04:33, fine, in 3 min\n"));
    assert!(said("2026-11-22T04:30:01Z").contains("last run  2026-11-22 04:33, fine\n"));
}

#[test]
fn one_line_says_the_worst() {
    let fine = facts(config(CONFIG), &night("2026-11-22"), held(&TWO), MORNING);
    assert_eq!(headline(&Report::of(&fine)), "fine");
    let late = facts(config(CONFIG), &night("2026-11-19"), held(&TWO), MORNING);
    assert_eq!(headline(&Report::of(&late)), "overdue: run: the last that ended well was 3 days ago");
}

/// Words that nobody would choose.
fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,12}", "[写真\u{301}\u{1b}\u{202e}é]{1,8}", Just("x".repeat(90)), Just("a b\nc\td".to_owned())]
}

fn archive() -> impl Strategy<Value = ArchiveName> {
    ("[a-z0-9]{1,3}|[a-z]{40,64}", 1_u8..28).prop_map(|(job, day)| name(&format!("{job}/2026-11-{day:02}T030000Z")))
}

fn any_place() -> impl Strategy<Value = PlaceName> {
    prop_oneof![Just("pi"), Just("mac"), Just("cold"), Just("usb")].prop_map(place)
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let bytes = || prop_oneof![Just(0_u64), any::<u64>(), 0..10_000_000_000_u64];
    prop_oneof![
        (any_place(), archive(), any::<u64>()).prop_map(|(at, newest, count)| {
            let jobs = [(newest.job.clone(), Holding { count, newest })].into();
            Fact::Seen { place: at, jobs }
        }),
        (archive(), bytes(), bytes()).prop_map(|(archive, moved, total)| Fact::Pulled {
            pi: place("pi"),
            archive,
            sequence: 1,
            moved,
            total,
            verified: true,
            complete: Some(false),
            warnings: Default::default(),
        }),
        (archive(), bytes(), bytes()).prop_map(|(archive, moved, total)| Fact::Pushed {
            cloud: place("usb"),
            archive,
            sequence: 1,
            moved,
            total
        }),
        (word(), word()).prop_map(|(object, message)| Fact::Failed {
            step: Step::Push,
            object,
            message: message.clone(),
            hint: Some(message)
        }),
        (any_place(), archive()).prop_map(|(place, archive)| Fact::Lost { place, archive, frames: None }),
        archive().prop_map(|archive| Fact::Suspicious { archive, why: Why::Empty }),
        (any_place(), archive()).prop_map(|(place, archive)| Fact::Drilled { place, archive, files: 1, bytes: 1 }),
        any::<u8>().prop_map(|percent| Fact::Waited { owed: None, why: Waiting::Battery { percent } }),
        word().prop_map(|folder| Fact::Waited { owed: None, why: Waiting::Disk { folder: folder.into() } }),
        Just(serde_json::from_value(serde_json::json!({"kind": "ran", "outcome": "incomplete", "began": "2026-11-21T00:00:00Z"})).unwrap()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_line_is_wider_than_the_terminal(
        known in prop::collection::vec((any_fact(), -3_000_000_000_i64..3_000_000_000), 0..14),
        local in prop::collection::vec(archive(), 0..4),
        live in prop::option::of((word(), word(), any::<u64>(), any::<u64>(), any::<u64>())),
        columns in 20_usize..160,
        on in any::<bool>(),
    ) {
        let text = format!("{CONFIG}- {{name: usb, url: 'file:///usb'}}\n");
        let now: jiff::Timestamp = MORNING.parse().unwrap();
        let receipts: Vec<Receipt> =
            known.into_iter().map(|(fact, seconds)| Receipt { time: now + jiff::SignedDuration::from_secs(seconds), fact }).collect();
        let names: Vec<String> = local.iter().map(ToString::to_string).collect();
        let running = live.map(|(verb, object, done, total, rate)| Now { verb, object, done, total, rate, ..pulling() });
        let local = held(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let facts = Facts { running, ..facts(config(&text), &receipts, local, MORNING) };
        let look = Look { paint: Paint { on }, width: Some(columns), height: None };
        let shown = screen(&Report::of(&facts), &facts.zone, look);
        for line in shown.lines() {
            // What is left must be text: a colour is the only thing that may steer the terminal.
            let bare = ["\x1b[0m", "\x1b[1m", "\x1b[32m", "\x1b[33m", "\x1b[1;31m"].iter().fold(line.to_owned(), |line, code| line.replace(code, ""));
            prop_assert!(width(&bare) <= columns, "{columns}: {bare:?}");
            prop_assert!(!bare.chars().any(|char| char.is_control() || char == '\u{202e}'), "{bare:?}");
        }
        prop_assert!(on || !shown.contains('\x1b'));
    }
}

/// The block of the README that comes after the line which begins so.
fn block(begins: &str) -> String {
    let readme = include_str!("../../../../../README.md");
    let (_, after) = readme.split_once(&format!("\n{begins}")).unwrap();
    let lines = after.lines().skip_while(|line| !line.is_empty()).skip(1).take_while(|line| line.is_empty() || line.starts_with("    "));
    let block: String = lines.map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect();
    format!("{}\n", block.trim_end())
}

#[test]
fn the_readmes_screen_is_the_programs() {
    let at = |clock: &str| format!("2026-11-22T{clock}Z");
    let all = ["services/2026-11-20T030000Z", TWO[0], TWO[1]];
    let newest = name(TWO[1]);
    let mass = |raw| crate::tripwire::change::Mass { frames: 50, raw, data: raw, kept: raw };
    let change = crate::tripwire::Change { earlier: mass(1000), gone: mass(50), fresh: mass(50), recut: false };
    let (moved, total, sequence) = (850_000, 26_000_000, 3);
    let receipts = [
        seen(&at("18:15:00"), "pi", "services", 3, TWO[1]),
        receipt(&at("18:15:01"), Fact::Compared { archive: newest.clone(), with: name(TWO[0]), change }),
        receipt(
            &at("18:15:01"),
            Fact::Pulled {
                pi: place("pi"),
                archive: newest.clone(),
                sequence,
                moved,
                total,
                verified: true,
                complete: Some(true),
                warnings: Default::default(),
            },
        ),
        receipt(&at("18:15:02"), Fact::Verified { place: PlaceName::mac(), archive: newest.clone(), since: None }),
        receipt(&at("18:15:03"), Fact::Pushed { cloud: place("cold"), archive: newest, sequence, moved: 875_000, total }),
        seen(&at("18:15:03"), "cold", "services", 3, TWO[1]),
        receipt(
            &at("18:15:04"),
            Fact::Ran {
                owed: Some("2026-11-22".parse().unwrap()),
                outcome: Outcome::Fine,
                began: Some(at("18:15:00").parse().unwrap()),
                away: BTreeSet::new(),
                slept: false,
            },
        ),
    ];
    let disk = CONFIG.replace("s3://bucket", "file:///Volumes/usb/offsite");
    let facts = facts(config(&disk), &receipts, held(&all), &at("18:15:30"));
    assert_eq!(text(&facts), block("Look at `offsite status` when you like"));
}
