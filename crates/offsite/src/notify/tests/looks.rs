//! Whole looks: the journal in, messages out, receipts and memory behind.

use std::{fs, path::Path};

use jiff::{SignedDuration, Timestamp};

use super::{
    bounds, config, facts,
    receiver::{Answer, Receiver},
};
use crate::{
    config::Config,
    journal::{Fact, Outcome, Receipt, Step},
    notify::{
        begun, ended_within, look_due,
        told::{Look, Memory},
    },
    state::State,
    status::{Kind, Report, gather},
};

fn state(config: &Config) -> State {
    State::open(&config.state).unwrap()
}

fn add(config: &Config, fact: Fact) {
    state(config).journal().append(&Receipt { time: Timestamp::now(), fact }).unwrap();
}

fn ran(config: &Config, outcome: Outcome) {
    add(config, serde_json::from_value(serde_json::json!({"kind": "ran", "outcome": outcome})).unwrap());
}

/// A repository with an archive of today, so that nothing but what a test does is an alarm.
async fn home(folder: &Path, notify: &str) -> Config {
    let config = config(folder, notify);
    fs::create_dir_all(&config.repository).unwrap();
    ran(&config, Outcome::Fine);
    let standing = gather(&config).await.unwrap();
    let alarms = Report::of(&standing).alarms;
    assert!(!alarms.is_empty(), "a Mac without archives is overdue");
    config
}

fn notices(config: &Config) -> Vec<(String, String)> {
    let receipts = state(config).journal().read().unwrap().receipts;
    let of = |receipt: Receipt| match receipt.fact {
        Fact::Failed { step: Step::Notify, object, .. } => Some(("failed".to_owned(), object)),
        Fact::Notified { channel } => Some(("notified".to_owned(), channel)),
        _ => None,
    };
    receipts.into_iter().filter_map(of).collect()
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

async fn untold(config: &Config) -> Vec<String> {
    let alarms = Report::of(&gather(config).await.unwrap()).alarms;
    alarms.into_iter().filter(|alarm| alarm.kind == Kind::Untold).map(|alarm| alarm.object).collect()
}

#[tokio::test]
async fn told_once_then_silent_then_a_channel_fails_once_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    // Fine; then three tries of a look that fails, and the same of the next; then fine for ever.
    let bad = || Answer::status(400);
    let receiver = Receiver::new([Answer::fine(), bad(), bad(), Answer::fine()]);
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/"))).await;
    let bounds = bounds();
    let look = || ended_within(&config, Some(Outcome::Failed), &bounds);
    assert!(look_due(&state(&config), Timestamp::now()), "nothing was looked at yet");
    look().await;
    look().await;
    assert_eq!((receiver.got().len(), notices(&config).len()), (1, 0), "told once");
    assert!(!look_due(&state(&config), Timestamp::now()));

    add(&config, Fact::Failed { step: Step::Pull, object: "services".into(), message: "m".into(), hint: None });
    assert!(look_due(&state(&config), Timestamp::now()), "the journal has grown");
    look().await;
    assert_eq!(notices(&config), [pair("failed", "webhook")]);
    assert_eq!(untold(&config).await, ["webhook"]);
    for _ in 0..2 {
        // Any start of the daemon tries again, and the third time it gets through; one receipt for each change.
        assert!(look_due(&state(&config), Timestamp::now()));
        ended_within(&config, None, &bounds).await;
    }
    assert_eq!(notices(&config), [pair("failed", "webhook"), pair("notified", "webhook")]);
    let got = receiver.got();
    assert_eq!(got.len(), 4);
    assert!(got[3].body.contains("pull services") && !got[3].body.contains("untold"), "{}", got[3].body);
    assert_eq!(untold(&config).await, [""; 0]);
    look().await;
    assert_eq!(receiver.got().len(), 4);
}

#[tokio::test]
async fn one_channel_tells_that_another_does_not_work() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (Receiver::new([Answer::fine()]), Receiver::new([Answer::status(401)]));
    let notify = format!("  webhook: {{url: '{}'}}\n  ntfy: {{url: '{}'}}\n", good.url("/"), bad.url("/t"));
    let config = home(dir.path(), &notify).await;
    ended_within(&config, None, &bounds()).await;
    ended_within(&config, None, &bounds()).await;
    let got = good.got();
    assert_eq!(got.len(), 2);
    assert!(got[1].body.contains("untold ntfy: 127.0.0.1") && got[1].body.contains("check the credentials of ntfy"), "{}", got[1].body);
    // A run is not to blame for it.
    let report = Report::of(&gather(&config).await.unwrap());
    assert_eq!(report.alarms.iter().filter(|alarm| alarm.kind == Kind::Failed && alarm.object.contains("ntfy")).count(), 0);
    // Whoever takes it out of the configuration does not miss it.
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", good.url("/"))).await;
    assert_eq!(untold(&config).await, [""; 0]);
}

#[tokio::test]
async fn healthchecks_hears_of_runs_and_of_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine(), Answer::status(400), Answer::fine()]);
    let config = home(dir.path(), &format!("  healthchecks: {{url: '{}'}}\n", receiver.url("/ping/x"))).await;
    ended_within(&config, None, &bounds()).await;
    assert_eq!(receiver.got().len(), 0, "a look without a run");
    begun(&config).await;
    ran(&config, Outcome::Failed);
    // It is not there at the end of the run: it hears of it at the next look, with the id of the run.
    ended_within(&config, Some(Outcome::Failed), &bounds()).await;
    ended_within(&config, None, &bounds()).await;
    ended_within(&config, None, &bounds()).await;
    let got = receiver.got();
    let lines: Vec<String> = got.iter().map(|got| got.line.replace(|char: char| char.is_ascii_hexdigit(), "")).collect();
    assert_eq!(lines, ["POST /ping/x/strt?ri=----", "POST /ping/x/il?ri=----", "POST /ping/x/il?ri=----"]);
    let run = |at: usize| got[at].line.rsplit('=').next().unwrap();
    assert!(run(0) == run(1) && run(1) == run(2));
    assert!(got[2].body.contains("\"outcome\":\"failed\""), "{}", got[2].body);
    assert_eq!(notices(&config), [pair("failed", "healthchecks"), pair("notified", "healthchecks")]);
}

#[tokio::test]
async fn a_lost_or_damaged_memory_tells_again() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine()]);
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/"))).await;
    let told = state(&config).told();
    ended_within(&config, None, &bounds()).await;
    let whole = fs::read(&told).unwrap();
    for (n, damaged) in [&b""[..], b"{", b"null", b"{\"channels\": 7}", &whole[..whole.len() / 2]].into_iter().enumerate() {
        fs::write(&told, damaged).unwrap();
        assert!(look_due(&state(&config), Timestamp::now()));
        ended_within(&config, None, &bounds()).await;
        assert_eq!(receiver.got().len(), n + 2, "{damaged:?}");
    }
    fs::remove_file(&told).unwrap();
    ended_within(&config, None, &bounds()).await;
    assert_eq!(receiver.got().len(), 7);
    // What a newer version remembers besides is no damage.
    let more = fs::read_to_string(&told).unwrap().replacen('{', "{\"newer\":1,", 1);
    fs::write(&told, more).unwrap();
    ended_within(&config, None, &bounds()).await;
    assert_eq!(receiver.got().len(), 7);
}

#[tokio::test]
async fn a_memory_that_cannot_be_kept_is_told_and_silences_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine()]);
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/"))).await;
    let told = state(&config).told();
    fs::create_dir(&told).unwrap();
    ended_within(&config, None, &bounds()).await;
    ended_within(&config, None, &bounds()).await;
    assert_eq!((receiver.got().len(), notices(&config)), (2, vec![pair("failed", "told.json")]));
    assert!(receiver.got()[1].body.contains("untold told.json"), "{}", receiver.got()[1].body);
    fs::remove_dir(&told).unwrap();
    ended_within(&config, None, &bounds()).await;
    assert_eq!(notices(&config), [pair("failed", "told.json"), pair("notified", "told.json")]);
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_is_an_alarm_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine()]);
    let config = config(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/")));
    fs::create_dir_all(state(&config).journal().path()).unwrap();
    ended_within(&config, Some(Outcome::Failed), &bounds()).await;
    assert!(receiver.got()[0].body.contains("failed status: cannot read the journal"), "{}", receiver.got()[0].body);
}

#[tokio::test]
async fn who_is_telling_already_is_not_disturbed() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine()]);
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/"))).await;
    let lock = crate::notify::told::lock(&state(&config).told_lock()).unwrap().unwrap();
    let short = crate::notify::http::Bounds { total: std::time::Duration::from_millis(50), ..bounds() };
    ended_within(&config, None, &short).await;
    assert_eq!(receiver.got().len(), 0);
    assert!(look_due(&state(&config), Timestamp::now()), "and it is not forgotten");
    drop(lock);
}

#[test]
fn a_look_is_due_by_time_by_the_journal_and_by_a_clock_put_back() {
    let now: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
    let hours = |hours| now + SignedDuration::from_hours(hours);
    let look = Look { at: now, next: hours(5), journal: 100 };
    let due = |time, journal| look.is_due(time, journal);
    assert_eq!([due(now, 100), due(hours(4), 100), due(hours(5), 100), due(hours(9), 100)], [false, false, true, true]);
    assert_eq!([due(hours(1), 101), due(hours(1), 0), due(hours(-1), 100)], [true, true, true]);
}

#[test]
fn the_next_look_is_where_a_limit_passes() {
    let now: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
    let hours = |hours| now + SignedDuration::from_hours(hours);
    let mut facts = facts(config(Path::new("/x"), ""), now);
    let next = |facts: &crate::status::Facts, pending| {
        let report = Report::of(facts);
        Look::of(facts, &report, &Memory::default().channels, pending, 0).next
    };
    assert_eq!((next(&facts, false), next(&facts, true)), (hours(6), now));
    // The last fine run was 33 hours ago, and 36 are allowed.
    facts.standing.last_fine = Some(hours(-33));
    assert_eq!(next(&facts, false), hours(3) + SignedDuration::from_secs(1));
    facts.now = next(&facts, false);
    assert!(Report::of(&facts).alarms.iter().any(|alarm| alarm.object == "run" && alarm.message.contains("ago")), "it has begun then");
    facts.now -= SignedDuration::from_secs(2);
    assert!(!Report::of(&facts).alarms.iter().any(|alarm| alarm.message.contains("the last that ended well")), "and not before");
}
