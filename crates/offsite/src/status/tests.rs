//! Whole screens, compared as text: what a person meets is pinned.

mod json;
mod listing;
mod screens;

use jiff::tz::TimeZone;
use offsite_archive::ArchiveName;

use super::*;
use crate::{
    config::{Config, Home, PlaceName},
    exit::Exit,
    human::look::{Look, Paint},
    journal::{Fact, Holding, Outcome, Receipt, Standing, Step, Waiting, Warned},
    tripwire::Why,
};

const CONFIG: &str = "\
repository: /backups
pi: {host: pi.local, user: offsite, path: /srv/backup/offsite}
clouds:
- {name: cold, url: 's3://bucket'}
";

fn config(text: &str) -> Config {
    Config::parse(std::path::Path::new("offsite.yaml"), text, &Home::at(std::path::Path::new("/home/owner"))).unwrap()
}

fn name(text: &str) -> ArchiveName {
    text.parse().unwrap()
}

fn place(text: &str) -> PlaceName {
    text.parse().unwrap()
}

fn receipt(time: &str, fact: Fact) -> Receipt {
    Receipt { time: time.parse().unwrap(), fact }
}

fn seen(time: &str, at: &str, job: &str, count: u64, newest: &str) -> Receipt {
    let jobs = [(job.parse().unwrap(), Holding { count, newest: name(newest) })].into();
    receipt(time, Fact::Seen { place: place(at), jobs })
}

fn ran(time: &str, owed: &str, outcome: Outcome) -> Receipt {
    let owed = Some(owed.parse().unwrap());
    receipt(time, Fact::Ran { owed, outcome, began: None, away: Default::default(), slept: false })
}

fn pulled(time: &str, archive: &ArchiveName, moved: u64, total: u64) -> Receipt {
    let (pi, archive) = (place("pi"), archive.clone());
    receipt(time, Fact::Pulled { pi, archive, sequence: 1, moved, total, verified: true, complete: None, warnings: Default::default() })
}

fn failed(step: Step, object: &str, message: &str, hint: Option<&str>) -> Receipt {
    let hint = hint.map(str::to_owned);
    receipt("2026-11-22T03:31:30Z", Fact::Failed { step, object: object.into(), message: message.into(), hint })
}

/// The receipts of a night in which all went well.
fn night(day: &str) -> Vec<Receipt> {
    let archive = name(&format!("services/{day}T030000Z"));
    let at = |clock: &str| format!("{day}T{clock}Z");
    vec![
        seen(&at("03:30:05"), "pi", "services", 3, &archive.to_string()),
        pulled(&at("03:32:00"), &archive, 212_000_000, 9_400_000_000),
        receipt(
            &at("03:33:00"),
            Fact::Pushed { cloud: place("cold"), archive: archive.clone(), sequence: 1, moved: 208_000_000, total: 9_400_000_000 },
        ),
        seen(&at("03:33:05"), "cold", "services", 10, &archive.to_string()),
        ran(&at("03:33:06"), day, Outcome::Fine),
    ]
}

fn held(names: &[&str]) -> Local {
    Local { archives: names.iter().map(|text| Held { name: name(text), complete: true }).collect(), ..Local::default() }
}

fn facts(config: Config, receipts: &[Receipt], local: Local, now: &str) -> Facts {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    Facts { config, standing: Standing::of(receipts), damaged_lines: Vec::new(), local, running: None, now: now.parse().unwrap(), zone }
}

/// The morning after the night of the 22nd.
fn morning(receipts: &[Receipt], local: Local) -> Facts {
    facts(config(CONFIG), receipts, local, "2026-11-22T08:12:00Z")
}

fn text(facts: &Facts) -> String {
    screen(&Report::of(facts), &facts.zone, Look::PLAIN)
}

const TWO: [&str; 2] = ["services/2026-11-21T030000Z", "services/2026-11-22T030000Z"];

#[test]
fn a_good_night() {
    let facts = morning(&night("2026-11-22"), held(&TWO));
    assert_eq!(Report::of(&facts).exit(), Exit::Fine);
    let wanted = "\
fine: every copy is where it should be

services  newest            age      kept  verified
  pi      2026-11-22 04:00  5 h         3  -
  mac     2026-11-22 04:00  5 h   2 of 10  4 h ago
  cold    2026-11-22 04:00  5 h  10 of 10  -
  moved last: pulled 212 MB for 9.4 GB (3 %), cold got 208 MB for 9.4 GB (3 %)
  drill: no restore was rehearsed yet: offsite drill services

3-2-1     holds: 3 fresh copies, 3 media, 1 off site
last run  2026-11-22 04:33, fine
next run  2026-11-23 04:30
";
    assert_eq!(text(&facts), wanted);
}

#[test]
fn before_the_first_run() {
    let facts = morning(&[], Local::default());
    assert_eq!(Report::of(&facts).exit(), Exit::Overdue);
    let wanted = "\
overdue: something that should have happened did not
  overdue     run: no run ended well yet
    next      run the first one: offsite sync

no archive is known yet

3-2-1     does not hold: there is nothing yet
last run  never
next run  2026-11-23 04:30; owed since 2026-11-22 04:30
";
    assert_eq!(text(&facts), wanted);
}

#[test]
fn three_silent_days() {
    let facts = morning(&night("2026-11-19"), held(&["services/2026-11-19T030000Z"]));
    assert_eq!(Report::of(&facts).exit(), Exit::Overdue);
    let wanted = "\
overdue: something that should have happened did not
  overdue     run: the last that ended well was 3 days ago
    next      run it now: offsite sync; then check the alarm clock: offsite install
  overdue     services: its newest archive is from 3 days ago
    next      see why the agent made none: on the Pi, systemctl status offsite-agent@services; if services is no job any more: remove its archives on the Pi (offsite-agent check names them), then offsite forget --last ARCHIVE…, here and with --cloud in each cloud

services  newest               age      kept  verified
  pi      2026-11-19 04:00  3 days         3  -
  mac     2026-11-19 04:00  3 days   1 of 10  3 days ago
  cold    2026-11-19 04:00  3 days  10 of 10  -
  moved last: pulled 212 MB for 9.4 GB (3 %), cold got 208 MB for 9.4 GB (3 %)
  drill: no restore was rehearsed yet: offsite drill services

3-2-1     does not hold for services: 0 fresh copies, 0 media, 0 off site
last run  2026-11-19 04:33, fine
next run  2026-11-23 04:30; owed since 2026-11-22 04:30
";
    assert_eq!(text(&facts), wanted);
}

#[test]
fn a_bad_night() {
    let mut receipts = night("2026-11-21");
    let shrunk = name("services/2026-11-22T030000Z");
    receipts.extend([
        seen("2026-11-22T03:30:05Z", "pi", "services", 3, &shrunk.to_string()),
        pulled("2026-11-22T03:31:00Z", &shrunk, 300_000, 1_200_000),
        receipt("2026-11-22T03:31:01Z", Fact::Suspicious { archive: shrunk, why: Why::Smaller { now: 1_200_000, usual: 9_400_000_000 } }),
        failed(Step::Push, "cold", "put packs/1f: the server \u{1b}[2Jsaid 503", Some("try again later: offsite sync")),
        receipt("2026-11-22T03:32:00Z", Fact::Lost { place: place("mac"), archive: name("services/2026-11-21T030000Z"), frames: Some(2) }),
        ran("2026-11-22T03:33:06Z", "2026-11-22", Outcome::Incomplete),
    ]);
    let facts = morning(&receipts, held(&TWO));
    assert_eq!(Report::of(&facts).exit(), Exit::Failed);
    let wanted = "\
failed: something needs you
  lost        services/2026-11-21T030000Z in mac: 2 frames of it are lacking or damaged
    next      repair it from another place: offsite sync
  suspicious  services/2026-11-22T030000Z: it holds 1.2 MB, usually 9.4 GB; less than two thirds is suspicious
    next      look at the Pi; if it is as it should be: offsite accept services/2026-11-22T030000Z (nothing of services is forgotten anywhere until then)
  incomplete  push cold: put packs/1f: the server \\u{1b}[2Jsaid 503
    next      try again later: offsite sync

services  newest             age      kept  verified
  pi      2026-11-22 04:00   5 h         3  -
  mac     2026-11-22 04:00   5 h   2 of 10  4 h ago
  cold    2026-11-21 04:00  29 h  10 of 10  -
  moved last: pulled 300 kB for 1.2 MB (25 %), cold got 208 MB for 9.4 GB (3 %)
  drill: no restore was rehearsed yet: offsite drill services

3-2-1     does not hold for services: 1 fresh copy, 1 medium, 1 off site
last run  2026-11-22 04:33, incomplete
next run  2026-11-23 04:30; owed since 2026-11-22 04:30
";
    assert_eq!(text(&facts), wanted);
    let painted = painted(&facts);
    for wanted in ["\x1b[1;31mfailed: ", "  \x1b[1;31mlost ", "  \x1b[1;31msuspicious\x1b[0m", "  \x1b[33mincomplete\x1b[0m"] {
        assert!(painted.contains(wanted), "{wanted:?}: {painted:?}");
    }
}

#[test]
fn a_disk_that_is_not_mounted_is_one_alarm_and_not_two() {
    let problem = Some(("there is no folder /backups (is its disk mounted?)".to_owned(), Some("mount it".to_owned())));
    let facts = morning(&night("2026-11-22"), Local { problem, ..Local::default() });
    assert_eq!((alarms(&facts), Report::of(&facts).exit()), (vec!["failed /backups".to_owned()], Exit::Failed));
    assert!(text(&facts).contains("failed      /backups: there is no folder /backups (is its disk mounted?)\n"), "{}", text(&facts));
}

#[test]
fn a_disk_that_was_ejected_is_a_state_whatever_is_owed_until_that_lasts() {
    let problem = Some(("there is no folder /mnt/backups".to_owned(), None));
    let ejected = || Local { problem: problem.clone(), unplugged: true, ..Local::default() };
    let at = |receipts: &[Receipt], now| facts(config(CONFIG), receipts, ejected(), now);
    // Settled, and owed with the daemon not started yet.
    for now in ["2026-11-22T08:12:00Z", "2026-11-23T04:00:00Z"] {
        let facts = at(&night("2026-11-22"), now);
        assert_eq!((alarms(&facts), Report::of(&facts).exit()), (vec![], Exit::Fine));
        let said = text(&facts);
        assert!(said.ends_with("\ndisk      the repository's disk is not mounted: what it holds is not shown\n"), "{said}");
    }
    assert_eq!(alarms(&at(&night("2026-11-22"), "2026-11-23T16:00:00Z")), ["overdue run"]);
    // That the daemon once waited for it excuses nothing on a disk that is there.
    let waited = receipt("2026-11-23T03:30:00Z", Fact::Waited { owed: None, why: Waiting::Disk { folder: "/backups".into() } });
    let receipts = [night("2026-11-22"), vec![waited]].concat();
    let lost = Local { unplugged: false, ..ejected() };
    assert_eq!(alarms(&facts(config(CONFIG), &receipts, lost, "2026-11-23T04:00:00Z")), ["failed /backups"]);
}

#[test]
fn a_state_folder_that_takes_no_receipt_is_a_failure_before_anything_is_owed() {
    let local = Local { state: Some(("only 0 B are free".to_owned(), "make room".to_owned())), ..held(&TWO) };
    let facts = morning(&night("2026-11-22"), local);
    let wanted = format!("failed {}", facts.config.state.display());
    assert_eq!((alarms(&facts), Report::of(&facts).exit()), (vec![wanted], Exit::Failed));
}

#[test]
fn while_a_run_is_at_work_nobody_is_sent_to_one_that_would_be_refused() {
    let nexts = |receipts: &[Receipt], running| {
        let facts = Facts { running, ..facts(config(CONFIG), receipts, held(&TWO[..1]), "2026-11-23T16:00:00Z") };
        Report::of(&facts).alarms.into_iter().filter_map(|alarm| alarm.next).collect::<Vec<_>>().join("\n")
    };
    let mut receipts = night("2026-11-21");
    receipts.push(receipt("2026-11-22T03:32:00Z", Fact::Lost { place: place("mac"), archive: name(TWO[0]), frames: Some(2) }));
    for receipts in [&receipts[..], &night("2026-11-22"), &[]] {
        assert!(nexts(receipts, None).contains("offsite sync"));
        let said = nexts(receipts, Some(screens::pulling()));
        assert!(!said.contains("offsite sync") && said.contains("offsite status --watch"), "{said}");
    }
}

/// The kinds and objects of all alarms.
fn alarms(facts: &Facts) -> Vec<String> {
    Report::of(facts).alarms.iter().map(|alarm| format!("{} {}", alarm.kind.word(), alarm.object)).collect()
}

#[test]
fn a_cloud_that_fell_behind_is_overdue_and_one_that_is_just_behind_is_not() {
    let mut receipts = night("2026-11-19");
    receipts.push(ran("2026-11-22T03:33:06Z", "2026-11-22", Outcome::Fine));
    assert_eq!(alarms(&morning(&receipts, held(&TWO))), ["overdue services in cold"]);
    let mut receipts = night("2026-11-21");
    receipts.push(ran("2026-11-22T03:33:06Z", "2026-11-22", Outcome::Fine));
    assert_eq!(alarms(&morning(&receipts, held(&TWO))), [""; 0]);
}

#[test]
fn a_job_may_be_slower_than_the_rest() {
    let weekly = format!("{CONFIG}jobs: {{services: {{overdue_hours: 200}}}}\n");
    let mut receipts = night("2026-11-19");
    receipts.push(ran("2026-11-22T03:33:06Z", "2026-11-22", Outcome::Fine));
    let local = || held(&["services/2026-11-19T030000Z"]);
    assert_eq!(alarms(&morning(&receipts, local())), ["overdue services"]);
    assert_eq!(alarms(&facts(config(&weekly), &receipts, local(), "2026-11-22T08:12:00Z")), [""; 0]);
}

#[test]
fn a_clock_that_is_years_behind_proves_nothing_fresh() {
    let facts = facts(config(CONFIG), &night("2026-11-22"), held(&TWO), "2024-01-01T00:00:00Z");
    assert_eq!(alarms(&facts), ["overdue run", "overdue services"]);
}

#[test]
fn a_drill_from_a_place_that_is_no_longer_configured_is_nobodys_worry() {
    let failed = |object: &str| failed(Step::Drill, object, "it did not come back", None);
    let mut receipts = night("2026-11-22");
    receipts.extend(["services from cold", "services from mac", "services from pi", "services from attic"].map(failed));
    let said = alarms(&morning(&receipts, held(&TWO)));
    let objects: Vec<&str> = said.iter().filter(|alarm| alarm.contains("drill")).map(String::as_str).collect();
    assert_eq!(objects.len(), 3, "{said:?}");
    assert!(said.iter().all(|alarm| !alarm.contains("attic")), "{said:?}");
}

#[test]
fn an_incomplete_archive_and_an_unreadable_manifest_are_shown() {
    let mut local = held(&TWO);
    local.archives[1].complete = false;
    local.unreadable.push(("manifests/services/2026-11-20T030000Z.zst".into(), "it is damaged".into()));
    let mut facts = morning(&night("2026-11-22"), local);
    facts.damaged_lines = vec![7, 9];
    let wanted = ["lost manifests/services/2026-11-20T030000Z.zst", "incomplete services/2026-11-22T030000Z", "incomplete journal"];
    assert_eq!(alarms(&facts), wanted);
}

#[test]
fn without_a_cloud_nothing_is_off_site() {
    let text = "repository: /backups\npi: {host: pi.local, user: offsite, path: /p}\nclouds:\n- {name: cold, url: 'file:///disk'}\n";
    let facts = facts(config(text), &night("2026-11-22"), held(&TWO), "2026-11-22T08:12:00Z");
    let rule = Report::of(&facts).rule;
    assert_eq!((rule.holds, rule.copies, rule.off_site), (false, 3, 0));
}

#[test]
fn a_disk_without_room_for_another_night_is_told_with_figures() {
    let at = |text: &str, free| {
        let local = Local { free: Some(free), ..held(&TWO) };
        facts(config(text), &night("2026-11-22"), local, "2026-11-22T08:12:00Z")
    };
    // 212 MB came, and the plain copy has 9.4 GB.
    assert_eq!(alarms(&at(CONFIG, 9_612_000_000)), [""; 0]);
    let low = at(CONFIG, 9_611_999_999);
    assert_eq!((alarms(&low), Report::of(&low).exit()), (vec!["space /backups".to_owned()], Exit::Incomplete));
    assert!(painted(&low).starts_with("\x1b[33mincomplete: "), "{:?}", painted(&low));
    let said = text(&low);
    assert!(said.contains("9.6 GB are free on its disk, and a night like the last one needs 9.6 GB"), "{said}");
    let without = format!("{CONFIG}plain: none\n");
    assert_eq!(alarms(&at(&without, 212_000_000)), [""; 0]);
    assert_eq!(alarms(&at(&without, 211_999_999)), ["space /backups"]);
}

#[test]
fn a_catch_up_of_several_archives_is_shown_and_reckoned_whole() {
    let mut receipts = night("2026-11-22");
    // As a night pulls: the newest first, and of the older ones what that left.
    let older = |archive: &str, moved, total| pulled("2026-11-22T03:32:30Z", &name(archive), moved, total);
    receipts.splice(2..2, [older(TWO[0], 7_000_000, 9_300_000_000), older("services/2026-11-20T030000Z", 225, 5_900_000)]);
    let at = |free| morning(&receipts, Local { free: Some(free), ..held(&TWO) });
    let said = text(&at(u64::MAX));
    assert!(said.contains("  moved last: pulled 219 MB for 9.4 GB (3 %), cold got 208 MB for 9.4 GB (3 %)\n"), "{said}");
    assert_eq!(alarms(&at(9_619_000_225)), [""; 0]);
    assert_eq!(alarms(&at(9_619_000_224)), ["space /backups"]);
}

#[test]
fn a_disk_that_made_errors_is_worth_a_line_after_all_was_healed() {
    let facts = morning(&night("2026-11-22"), Local { set_aside: 2, ..held(&TWO) });
    let said = text(&facts);
    assert!(
        said.ends_with("disk      2 damaged packs lie in the folder damaged: watch this disk, and remove them when you have looked\n"),
        "{said}"
    );
    assert_eq!(Report::of(&facts).exit(), Exit::Fine);
}

#[test]
fn what_a_killed_drill_left_is_named_with_where_it_lies() {
    let left = ("it left what it had restored, in the clear: /disk/offsite-drill-1".to_owned(), "offsite sync".to_owned());
    let local = Local { drills: vec![left], ..held(&TWO) };
    let facts = morning(&night("2026-11-22"), local);
    assert_eq!((alarms(&facts), Report::of(&facts).exit()), (vec!["incomplete drill".to_owned()], Exit::Incomplete));
    let said = text(&facts).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("what it had restored, in the clear: /disk/offsite-drill-1") && said.contains("offsite sync"), "{said}");
}

#[test]
fn the_tripwire_says_what_is_usual_and_where_it_lies() {
    let compared = |archive: &str, gone: u64| {
        let mass = |raw| crate::tripwire::change::Mass { frames: 50, raw, data: raw, kept: raw };
        let change = crate::tripwire::Change { earlier: mass(1000), gone: mass(gone), fresh: mass(gone), recut: false };
        receipt("2026-11-22T03:32:00Z", Fact::Compared { archive: name(archive), with: name("services/2026-11-20T030000Z"), change })
    };
    let mut receipts = night("2026-11-22");
    receipts.extend([compared(TWO[0], 30), compared(TWO[1], 20)]);
    let said = text(&morning(&receipts, held(&TWO)));
    assert!(said.contains("  tripwire: 98 % of the last stayed, usually 97 %; below 48 % is suspicious\n"), "{said}");
    // Of a job of which nothing ever stays no share is suspicious.
    let dump = [night("2026-11-22"), vec![compared(TWO[1], 1000)]].concat();
    let said = text(&morning(&dump, held(&TWO)));
    assert!(said.contains("  tripwire: 0 % of the last stayed, usually 0 %; too little to judge by, size and compression are\n"), "{said}");
    // One that is suspicious, or gone, is no measure.
    let why = Why::Replaced { stays: 3, usual: 97, least: 48 };
    receipts.push(receipt("2026-11-22T03:32:01Z", Fact::Suspicious { archive: name(TWO[1]), why }));
    let said = text(&morning(&receipts, held(&TWO)));
    assert!(said.contains("  tripwire: 97 % of the last stayed, usually 97 %;"), "{said}");
    assert!(said.contains("only 3 % of the archive before is still in it, usually 97 %; below 48 % is suspicious"), "{said}");
    assert!(said.contains("nothing of services is forgotten anywhere until then"), "{said}");
    assert!(!text(&morning(&receipts, held(&[]))).contains("tripwire"));
}

fn painted(facts: &Facts) -> String {
    screen(&Report::of(facts), &facts.zone, Look { paint: Paint { on: true }, ..Look::PLAIN })
}

#[test]
fn colours_change_no_word() {
    let facts = morning(&night("2026-11-19"), held(&TWO));
    let painted = painted(&facts);
    assert!(painted.starts_with("\x1b[1;31moverdue: ") && painted.contains("\n  \x1b[1;31moverdue "), "{painted:?}");
    // What follows an escape ends with its `m`.
    let plain: String =
        painted.split('\x1b').enumerate().map(|(n, part)| if n == 0 { part } else { part.split_once('m').unwrap().1 }).collect();
    assert_ne!(painted, plain);
    assert_eq!(plain, text(&facts));
}
