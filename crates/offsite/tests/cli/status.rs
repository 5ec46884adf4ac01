//! Status and history from outside: exit codes, what goes into a pipe, and that looking changes nothing but the cache.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    sync::mpsc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use offsite_repository::{Layout, LocalStore, Repository, manifest_path};
use serde_json::{Value, json};

use super::*;

/// A home in which all was well an hour ago. Its manifest is noise: nobody may open it.
struct House {
    home: Home,
    archive: String,
    hour_ago: Timestamp,
}

impl House {
    fn new() -> Self {
        let home = Home::configured();
        // Only the Mac and the Pi: what is overdue in a cloud is another matter.
        let text = "repository: ~/Backups\nstate: ~/state\nat: '00:00'\nplain: none\npi: {host: pi.invalid, user: u, path: /p}\n";
        fs::write(home.config(), text).unwrap();
        let hour_ago = Timestamp::from_second(Timestamp::now().as_second() - 3600).unwrap();
        let archive = format!("services/{}", hour_ago.strftime("%Y-%m-%dT%H%M%SZ"));
        let store = LocalStore::create(&home.path("Backups")).unwrap();
        let made = Repository::create(std::sync::Arc::new(store), Layout::Packs);
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(made).unwrap();
        let manifest = home.path("Backups").join(manifest_path(&archive.parse().unwrap()).to_string());
        fs::create_dir_all(manifest.parent().unwrap()).unwrap();
        fs::write(manifest, "noise").unwrap();
        fs::create_dir(home.path("state")).unwrap();
        let house = Self { home, archive, hour_ago };
        let pulled = json!({"kind": "pulled", "pi": "pi", "archive": house.archive, "sequence": 1, "moved": 1000, "total": 2000, "verified": true,
            "complete": true});
        house.note(0, pulled);
        house.ran("fine");
        house
    }

    fn note(&self, seconds: i64, mut fact: Value) {
        fact["time"] = json!(self.hour_ago + SignedDuration::from_secs(seconds));
        let mut journal = fs::File::options().create(true).append(true).open(self.home.path("state/journal.jsonl")).unwrap();
        journal.write_all(format!("{fact}\n").as_bytes()).unwrap();
    }

    fn ran(&self, outcome: &str) {
        let night = self.hour_ago.strftime("%Y-%m-%d").to_string();
        self.note(60, json!({"kind": "ran", "owed": night, "outcome": outcome, "began": self.hour_ago}));
    }

    fn quiet(&self) -> (i32, String) {
        let ended = self.home.run(&["status", "--quiet"]);
        assert_eq!(ended.err, "");
        (ended.code, ended.out)
    }
}

#[test]
fn each_verdict_has_its_exit_code_and_its_line() {
    let house = House::new();
    assert_eq!(house.quiet(), (0, String::new()));
    let failed = json!({"kind": "failed", "step": "push", "object": "cold", "message": "no\u{1b}[2J"});
    house.note(30, failed);
    assert_eq!(house.quiet(), (1, "failed: push cold: no\\u{1b}[2J\n".to_owned()));
    house.ran("incomplete");
    assert_eq!(house.quiet(), (3, "incomplete: push cold: no\\u{1b}[2J\n".to_owned()));
    house.ran("fine");
    assert_eq!(house.quiet().0, 0);
    fs::remove_dir_all(house.home.path("Backups/manifests")).unwrap();
    assert_eq!(house.quiet(), (4, "overdue: archives: there is none of any job\n".to_owned()));
    fs::write(house.home.config(), "at: noon\n").unwrap();
    assert_eq!(house.home.run(&["status", "--quiet"]).code, 2);
}

#[test]
fn a_pipe_gets_no_colours_unless_they_are_asked_for_and_columns_are_heard() {
    let house = House::new();
    let status = |arguments: &[&str], variables: &[(&str, &str)]| house.home.run_with(&[&["status"], arguments].concat(), variables).out;
    let plain = status(&[], &[]);
    assert!(plain.starts_with("fine: every copy is where it should be\n") && !plain.contains('\u{1b}'), "{plain}");
    assert!(status(&["--color", "always"], &[("NO_COLOR", "1")]).starts_with("\u{1b}[32mfine:"));
    let narrow = status(&[], &[("COLUMNS", "30")]);
    assert!(narrow.lines().all(|line| line.chars().count() <= 30), "{narrow}");
}

#[test]
fn looking_changes_nothing_but_the_cache() {
    let house = House::new();
    let names = || {
        let mut names: Vec<_> = fs::read_dir(house.home.path("state")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let journal = fs::read(house.home.path("state/journal.jsonl")).unwrap();
    for arguments in [&["status"][..], &["status", "--json"], &["history"]] {
        assert_eq!(house.home.run(arguments).code, 0, "{arguments:?}");
    }
    assert_eq!(names(), ["journal.jsonl", "standing.json"]);
    assert_eq!(mode(&house.home.path("state/standing.json")), 0o600);
    assert_eq!(fs::read(house.home.path("state/journal.jsonl")).unwrap(), journal);
}

#[test]
fn history_tells_a_night() {
    let house = House::new();
    let night = house.hour_ago.strftime("%Y-%m-%d").to_string();
    let list = house.home.run(&["history"]);
    assert_eq!((list.code, list.err.as_str()), (0, ""));
    assert!(list.out.starts_with("NIGHT") && list.out.contains(&format!("{night}  ")) && list.out.contains("fine"), "{}", list.out);
    let detail = house.home.run(&["history", &night]);
    assert!(detail.out.contains(&format!("pulled {} from pi: 1.0 kB of 2.0 kB moved (50 %)", house.archive)), "{}", detail.out);
    let json: Value = serde_json::from_str(&house.home.run(&["history", "--json"]).out).unwrap();
    assert_eq!((json["version"].as_u64(), json["nights"][0]["outcome"].as_str()), (Some(1), Some("fine")));
    let none = house.home.run(&["history", "1999-12-31"]);
    assert_eq!(
        (none.code, none.err.as_str()),
        (1, "error: the journal knows nothing of the night 1999-12-31\nnext:  see which there are: offsite history --all\n")
    );
    assert_eq!(house.home.run(&["history", "yesterday"]).code, 2);
}

#[test]
fn completions_and_pages_need_no_configuration() {
    let home = Home::new();
    let zsh = home.run(&["completions", "zsh"]);
    assert!(zsh.code == 0 && zsh.out.starts_with("#compdef offsite"));
    assert!(home.run(&["man"]).out.contains(".TH offsite 1"));
    assert_eq!(home.run(&["man", "--out", "share/man1"]).code, 0);
    assert!(home.path("share/man1/offsite-status.1").exists());
}

#[test]
fn watch_follows_the_journal_and_a_run_until_it_ends() {
    let house = House::new();
    let state = offsite::state::State::at(&house.home.path("state"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_offsite"));
    command.args(["status", "--watch", "--json"]).env_clear().env("HOME", house.home.0.path()).env("TZ", "UTC");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let (said, heard) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().try_for_each(|line| said.send(line.unwrap())));
    // Each line is a whole status; which change it was made for is not said, so the one that is awaited may be the next but one.
    let until = |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        // The look that comes anyway comes a minute after the last: what is seen before that was seen because a file changed.
        let end = Instant::now() + Duration::from_secs(30);
        let next = || heard.recv_timeout(end.saturating_duration_since(Instant::now()));
        let found = std::iter::from_fn(|| next().ok()).any(|line| wanted(&serde_json::from_str(&line).unwrap()));
        assert!(found, "{what}: not seen within 30 s, so no change of a file tells of it");
    };
    until("the first look", &|status| status["verdict"] == "fine" && status.get("running").is_none());
    house.note(30, json!({"kind": "failed", "step": "push", "object": "cold", "message": "no"}));
    until("a receipt", &|status| status["verdict"] == "failed");
    for outcome in ["incomplete", "fine"] {
        house.ran(outcome);
        until("the next receipt", &|status| status["verdict"] == outcome);
    }
    let live = offsite::live::Live::begin(&state, "sync", house.hour_ago);
    live.phase(offsite::live::Phase::Push, "services");
    until("a run", &|status| status["running"]["phase"] == "push" && status["running"]["verb"] == "sync");
    for done in [40, 70] {
        offsite::live::progress(offsite_repository::Progress { done, total: 100 });
        until("its progress", &|status| status["running"]["done"] == done && status["running"]["total"] == 100);
    }
    drop(live);
    until("its end", &|status| status.get("running").is_none());
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
