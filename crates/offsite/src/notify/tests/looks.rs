//! Whole looks: the journal in, messages out, receipts and memory behind.

use std::{fs, io, path::Path};

use jiff::{SignedDuration, Timestamp};
use offsite_archive::ArchiveName;

use super::{
    bounds, config, facts,
    receiver::{Answer, Receiver},
};
use crate::{
    config::Config,
    journal::{Fact, Outcome, Receipt, Step},
    notify::{
        self, Channel, Outgoing, Ping, Post, Real, SendError, begun,
        http::Bounds,
        look_due,
        told::{Failing, Look, Memory},
    },
    state::State,
    status::{Facts, Held, Kind, Local, Report, gather},
};

async fn look_within(config: &Config, ran: Option<Outcome>, broke: Option<&anyhow::Error>, bounds: &Bounds) {
    notify::look_within(&Real { bounds: bounds.clone() }, config, ran, broke, bounds.total).await;
}

async fn ended_within(config: &Config, ran: Option<Outcome>, bounds: &Bounds) {
    look_within(config, ran, None, bounds).await;
}

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

/// The time comes at which channels that fail are tried again.
fn lapse(config: &Config) {
    let path = state(config).told();
    let mut memory = Memory::read(&path);
    memory.failing.values_mut().for_each(|failing| failing.after = Timestamp::UNIX_EPOCH);
    memory.write(&path).unwrap();
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
        // It is left alone for a while, then tried again, and the third time it gets through; one receipt for each change.
        let before = receiver.got().len();
        ended_within(&config, None, &bounds).await;
        assert_eq!(receiver.got().len(), before);
        lapse(&config);
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
    // A run that only lacks a Pi is not over.
    let away = serde_json::json!({"kind": "ran", "outcome": "incomplete", "owed": "2026-11-22", "away": ["pi"]});
    add(&config, serde_json::from_value(away).unwrap());
    ended_within(&config, None, &bounds()).await;
    assert_eq!(receiver.got().len(), 0, "a look without a run");
    begun(&Real::default(), &config).await;
    ran(&config, Outcome::Failed);
    // It is not there at the end of the run: it hears of it at a later look.
    ended_within(&config, Some(Outcome::Failed), &bounds()).await;
    ended_within(&config, None, &bounds()).await;
    assert_eq!(receiver.got().len(), 2, "not at once");
    lapse(&config);
    ended_within(&config, None, &bounds()).await;
    ended_within(&config, None, &bounds()).await;
    // Of a run, too, that was killed before it could tell.
    ran(&config, Outcome::Fine);
    assert!(look_due(&state(&config), Timestamp::now()));
    ended_within(&config, None, &bounds()).await;
    ended_within(&config, None, &bounds()).await;
    let got = receiver.got();
    let lines: Vec<&str> = got.iter().map(|got| got.line.as_str()).collect();
    let fail = "POST /ping/x/fail";
    assert_eq!(lines, ["POST /ping/x/start", fail, fail, fail], "it ended fine, but a Mac without archives is not");
    assert!(got[2].body.contains("\"outcome\":\"failed\"") && got[3].body.contains("\"outcome\":\"fine\""), "{got:?}");
    assert_eq!(notices(&config), [pair("failed", "healthchecks"), pair("notified", "healthchecks")]);
}

#[tokio::test]
async fn a_lost_or_damaged_memory_tells_again() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine()]);
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/"))).await;
    let told = state(&config).told();
    ended_within(&config, None, &bounds()).await;
    let whole = fs::read(&told).unwrap().trim_ascii_end().to_vec();
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
    for _ in 0..3 {
        ended_within(&config, None, &bounds()).await;
    }
    assert_eq!((receiver.got().len(), notices(&config)), (1, vec![pair("failed", "told.json")]), "once, and it says why");
    assert!(receiver.got()[0].body.contains("untold told.json: cannot write"), "{}", receiver.got()[0].body);
    // What is new is told all the same.
    add(&config, Fact::Failed { step: Step::Pull, object: "services".into(), message: "m".into(), hint: None });
    ended_within(&config, None, &bounds()).await;
    ended_within(&config, None, &bounds()).await;
    assert_eq!(receiver.got().len(), 2);
    fs::remove_dir(&told).unwrap();
    ended_within(&config, None, &bounds()).await;
    assert_eq!(notices(&config), [pair("failed", "told.json"), pair("notified", "told.json")]);
    assert!(!told.with_extension("webhook").is_symlink());
}

#[tokio::test]
async fn who_takes_it_and_does_not_say_so_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::Closes]);
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/"))).await;
    for _ in 0..3 {
        ended_within(&config, None, &bounds()).await;
    }
    assert_eq!(receiver.got().len(), 1);
    assert!(!look_due(&state(&config), Timestamp::now()), "and nothing is gathered for it at each start");
    // What breaks at each start is no reason either, and a run's end is one.
    look_within(&config, Some(Outcome::Failed), Some(&anyhow::anyhow!("full")), &bounds()).await;
    assert_eq!(receiver.got().len(), 1);
    ended_within(&config, Some(Outcome::Failed), &bounds()).await;
    assert_eq!(receiver.got().len(), 2);
    // A test that it takes ends it.
    let memory = || Memory::read(&state(&config).told());
    assert_eq!(memory().failing["webhook"].looks, 2);
    crate::notify::told::mended(&state(&config), "webhook");
    assert!(memory().failing.is_empty());
}

#[test]
fn a_channel_that_fails_is_tried_less_and_less_often() {
    let now: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
    let mut failing = None;
    let mut pauses = Vec::new();
    for _ in 0..40 {
        let next = Failing::once_more(failing.as_ref(), now);
        pauses.push(next.after.duration_since(now).as_mins());
        failing = Some(next);
    }
    assert_eq!(pauses[..8], [9, 19, 39, 79, 159, 319, 359, 359]);
    let last = failing.unwrap();
    assert!((pauses[39], last.holds(now), last.holds(last.after)) == (359, true, false));
    assert!(!last.holds(now - SignedDuration::from_hours(24)), "a clock that was put back");
}

#[test]
fn a_memory_without_room_for_another_file_is_kept_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("told.json");
    let mut memory = Memory::default();
    memory.write(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 4096);
    // Whoever cannot make the new file has no room for it.
    fs::create_dir(path.with_extension("json.new")).unwrap();
    memory.channels.entry("ntfy".into()).or_default().open.insert("failed pull services".into());
    memory.write(&path).unwrap();
    assert_eq!((Memory::read(&path), fs::metadata(&path).unwrap().len()), (memory.clone(), 4096));
    let kept = memory.clone();
    memory.channels.entry("email".into()).or_default().open.insert("x".repeat(4096));
    memory.write(&path).unwrap_err();
    assert_eq!(Memory::read(&path), kept, "what does not fit leaves the old one whole");
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
async fn what_broke_a_start_is_told_with_or_without_a_state_folder_and_looked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine()]);
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/"))).await;
    let broke = anyhow::anyhow!("no space left").context("cannot append to the journal");
    for _ in 0..2 {
        look_within(&config, Some(Outcome::Failed), Some(&broke), &bounds()).await;
        assert_eq!(receiver.got().len(), 1, "told once");
        assert!(look_due(&state(&config), Timestamp::now()), "no receipt will say that it is over");
    }
    let body = &receiver.got()[0].body;
    assert!(body.contains("failed run: cannot append to the journal: no space left"), "{body}");
    ended_within(&config, None, &bounds()).await;
    assert!(!look_due(&state(&config), Timestamp::now()));

    fs::remove_dir_all(&config.state).unwrap();
    fs::write(&config.state, "no folder").unwrap();
    look_within(&config, None, Some(&broke), &bounds()).await;
    assert!(receiver.got()[1].body.contains("failed run"), "{}", receiver.got()[1].body);
}

/// The real world but for what is changed in what is known of it.
struct Changed<F>(Real, F);

impl<F: Fn(&mut Facts)> Post for Changed<F> {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn facts(&self, config: &Config) -> anyhow::Result<Facts> {
        let mut facts = self.0.facts(config).await?;
        self.1(&mut facts);
        Ok(facts)
    }

    async fn send(&self, config: &Config, channel: Channel<'_>, out: &Outgoing) -> Result<(), SendError> {
        self.0.send(config, channel, out).await
    }

    async fn ping(&self, config: &Config, what: (Ping, &str)) -> Result<(), SendError> {
        self.0.ping(config, what).await
    }
}

#[tokio::test]
async fn a_full_disk_is_one_alarm_and_what_else_breaks_another() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine()]);
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/"))).await;
    // It takes no memory of what was told either.
    fs::create_dir(state(&config).told()).unwrap();
    let full = |facts: &mut Facts| facts.local.state = Some(("only 20 kB are free".to_owned(), "make room".to_owned()));
    let post = Changed(Real { bounds: bounds() }, full);
    let full = anyhow::Error::new(io::Error::from(io::ErrorKind::StorageFull)).context("cannot append to the journal");
    for error in [full, anyhow::anyhow!("the Pi is on fire")] {
        notify::ended(&post, &config, Some(Outcome::Failed), Some(&error)).await;
    }
    let told = |at: usize, what: &str| receiver.got()[at].body.contains(what);
    assert!(told(0, "only 20 kB are free") && !told(0, "failed run") && !told(0, "untold"), "{}", receiver.got()[0].body);
    assert!(told(1, "failed run: the Pi is on fire"), "{}", receiver.got()[1].body);
}

/// A Mac of which nothing is wrong but what its journal says.
fn well() -> Changed<impl Fn(&mut Facts)> {
    let fresh = |facts: &mut Facts| {
        let name = ArchiveName::new("services".parse().unwrap(), facts.now);
        facts.local = Local { archives: vec![Held { name, complete: true }], ..Local::default() };
    };
    Changed(Real { bounds: bounds() }, fresh)
}

#[tokio::test]
async fn what_returns_while_nobody_knows_who_heard_that_all_is_well_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine(), Answer::Hangs, Answer::fine()]);
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/"))).await;
    let failed = || add(&config, Fact::Failed { step: Step::Pull, object: "services".into(), message: "m".into(), hint: None });
    let look = async |outcome| {
        ran(&config, outcome);
        notify::ended(&well(), &config, Some(outcome), None).await;
    };
    failed();
    look(Outcome::Failed).await;
    // That it is over is taken, and we are killed before anybody knows.
    let heard = async {
        while receiver.got().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = look(Outcome::Fine) => panic!("nobody answered"),
        () = heard => {}
    }
    failed();
    look(Outcome::Failed).await;
    notify::ended(&well(), &config, Some(Outcome::Failed), None).await;
    let got = receiver.got();
    let news = |at: usize| got[at].body.contains("all is well again");
    assert_eq!((got.len(), news(0), news(1), news(2)), (3, false, true, false), "{got:?}");
}

#[tokio::test]
async fn a_channel_that_missed_what_is_over_by_now_is_tried_until_it_takes_something() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::status(400), Answer::status(400), Answer::fine()]);
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/"))).await;
    add(&config, Fact::Failed { step: Step::Pull, object: "services".into(), message: "m".into(), hint: None });
    for (outcome, tries) in [(Outcome::Failed, 1), (Outcome::Fine, 2)] {
        ran(&config, outcome);
        notify::ended(&well(), &config, Some(outcome), None).await;
        assert_eq!(receiver.got().len(), tries);
    }
    assert_eq!(untold(&config).await, ["webhook"]);
    notify::ended(&well(), &config, None, None).await;
    assert_eq!(receiver.got().len(), 2, "not at once");
    lapse(&config);
    for _ in 0..2 {
        notify::ended(&well(), &config, None, None).await;
        assert_eq!((receiver.got().len(), untold(&config).await), (3, Vec::new()));
    }
    let body = &receiver.got()[2].body;
    assert!(body.contains("all is well again") && body.contains("untold webhook"), "{body}");
}

#[tokio::test]
async fn what_fails_in_a_run_that_goes_on_is_told_when_it_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([Answer::fine()]);
    let config = home(dir.path(), &format!("  webhook: {{url: '{}'}}\n", receiver.url("/"))).await;
    let live = crate::live::Live::begin(&state(&config), "daemon", Timestamp::now());
    add(&config, Fact::Failed { step: Step::Pull, object: "services".into(), message: "m".into(), hint: None });
    ended_within(&config, None, &bounds()).await;
    // That there are no archives, which stood before, is told.
    assert!(receiver.got().len() == 1 && !receiver.got()[0].body.contains("pull services"), "{}", receiver.got()[0].body);
    drop(live);
    // A child that another test forks just now holds every lock until its exec.
    while crate::live::read(&state(&config)).is_some() {
        tokio::task::yield_now().await;
    }
    ended_within(&config, None, &bounds()).await;
    assert!(receiver.got()[1].body.contains("pull services"), "{}", receiver.got()[1].body);
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
        Look::of(facts, &report, &Memory::default(), pending, 0).next
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
