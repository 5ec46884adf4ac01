//! The program from outside: what it prints, what it writes, how it ends. No network, own home folder.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[path = "cli/status.rs"]
mod status;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use offsite::key::Key;
use offsite_repository::{
    LocalStore,
    seal::{SealedOptions, create_vault},
};
use offsite_tests::Dialogue;
use tempfile::TempDir;

struct Home(TempDir);

struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With a configuration of one Pi and one cloud on a disk.
    fn configured() -> Self {
        let home = Self::new();
        let text = format!(
            "repository: ~/Backups\nstate: ~/state\npi: {{host: pi.invalid, user: u, path: /p}}\nclouds:\n- {{name: disk, url: 'file://{}'}}\n",
            home.path("disk").display()
        );
        fs::create_dir_all(home.config().parent().unwrap()).unwrap();
        fs::write(home.config(), text).unwrap();
        home
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn config(&self) -> PathBuf {
        self.path(".config/offsite/offsite.yaml")
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[])
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.0.path()).env("TZ", "UTC").current_dir(self.0.path());
        command
    }

    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command(env!("CARGO_BIN_EXE_offsite"));
        let output = command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&self.0.path().display().to_string(), "HOME");
        Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn without_a_configuration_it_says_how_to_get_one() {
    let ended = Home::new().run(&["status"]);
    assert_eq!(ended.code, 2);
    let wanted = "error: cannot read the configuration HOME/.config/offsite/offsite.yaml: No such file or directory (os error 2)\n\
                  next:  write a first one: offsite init\n";
    assert_eq!((ended.err.as_str(), ended.out.as_str()), (wanted, ""));
}

#[test]
fn a_mistake_in_the_configuration_is_named_and_nothing_is_made() {
    let home = Home::configured();
    fs::write(home.config(), "repository: ~/Backups\nkepe: 3\n").unwrap();
    for arguments in [&["status"][..], &["key", "new"], &["accept", "a/2026-11-22T040000Z"], &["history"]] {
        let ended = home.run(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}");
        let wanted = "error: HOME/.config/offsite/offsite.yaml:2: unknown key \"kepe\"; did you mean \"keep\"?\n\
                      next:  correct the file; nothing was changed\n";
        assert_eq!(ended.err, wanted);
    }
    assert!(!home.path("Backups").exists() && !home.path("state").exists());
}

#[test]
fn a_daemon_that_starts_with_a_mistake_every_ten_minutes_fills_no_disk() {
    let home = Home::configured();
    fs::write(home.config(), "kepe: 3\n").unwrap();
    // Where launchd writes; of the two systems' folders this one's is looked at.
    let logs = ["Library/Logs/offsite", ".local/state/offsite/log"].map(|folder| home.path(folder).join("launchd.log"));
    for log in &logs {
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        fs::write(log, "error: a mistake\n".repeat(100_000)).unwrap();
    }
    assert_eq!(home.run(&["status"]).code, 2);
    let sizes = || logs.each_ref().map(|log| fs::metadata(log).unwrap().len());
    assert_eq!(sizes(), [1_700_000; 2], "who only looks changes nothing");
    assert_eq!(home.run(&["daemon"]).code, 2);
    assert!(sizes().iter().any(|size| (200_000..=250_000).contains(size)), "{:?}", sizes());
}

#[test]
fn config_check_tells_a_program_what_it_tells_a_person() {
    let home = Home::configured();
    let asked = || {
        let ended = home.run(&["config", "check", "--json"]);
        let told: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!((ended.err.as_str(), &told["version"], &told["config"]), ("", &1.into(), &"HOME/.config/offsite/offsite.yaml".into()));
        (ended.code, told)
    };
    let text = fs::read_to_string(home.config()).unwrap();
    fs::write(home.config(), format!("keep: 2\nverify: none\n{text}")).unwrap();
    let said = home.run(&["config", "check"]).out;
    let notes: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("note: ")).collect();
    assert!(["keep is 2, ", "verify is none: "].iter().all(|begins| notes.iter().any(|note| note.starts_with(begins))), "{said}");
    let (code, told) = asked();
    assert_eq!((code, &told["error"], &told["notes"]), (0, &serde_json::Value::Null, &notes.into()));

    fs::write(home.config(), text.replace("repository:", "repositry:")).unwrap();
    let said = home.run(&["config", "check"]);
    let (code, told) = asked();
    let error = told["error"].as_str().unwrap();
    assert!(error.starts_with("HOME/.config/offsite/offsite.yaml:1: unknown key \"repositry\""), "{error}");
    assert!(said.err.starts_with(&format!("error: {error}\n")), "{error}: {}", said.err);
    assert_eq!((said.code, code, &told["notes"]), (2, 2, &serde_json::json!([])));
    fs::remove_file(home.config()).unwrap();
    let (code, told) = asked();
    assert!(code == 2 && told["error"].as_str().unwrap().starts_with("cannot read the configuration HOME/"), "{told}");
}

#[test]
fn init_writes_once_and_makes_the_repository() {
    let home = Home::new();
    let ended = home.run(&["init", "--pi", "me@10.0.0.5:2222", "--repository", "store"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let text = fs::read_to_string(home.config()).unwrap();
    assert!(text.contains("host: 10.0.0.5") && text.contains("port: 2222") && text.contains("/store\n"), "{text}");
    let marker = fs::read_to_string(home.path("store/repository.json")).unwrap();
    assert!(marker.contains("\"packs\""), "{marker}");
    fs::write(home.config(), text.replace("keep: 10", "keep: 4")).unwrap();
    let again = home.run(&["init"]);
    assert_eq!((again.code, again.err.as_str()), (0, ""));
    assert!(again.out.starts_with("kept  HOME/.config/offsite/offsite.yaml"), "{}", again.out);
    assert!(fs::read_to_string(home.config()).unwrap().contains("keep: 4"));
    assert_eq!(fs::read_to_string(home.path("store/repository.json")).unwrap(), marker);
}

#[test]
fn status_before_anything_is_overdue_and_makes_nothing() {
    let home = Home::configured();
    let ended = home.run(&["status"]);
    assert_eq!(ended.code, 1, "the repository is not there: {}", ended.out);
    assert!(ended.out.contains("HOME/Backups") && ended.out.contains("offsite init") && !ended.out.contains('\x1b'), "{}", ended.out);
    assert!(!home.path("Backups").exists() && !home.path("state").exists());
    assert_eq!(home.run(&["init"]).code, 0);
    let ended = home.run(&["status", "--json"]);
    assert_eq!(ended.code, 4);
    let json: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&json["verdict"], &json["alarms"][0]["kind"]), (&"overdue".into(), &"overdue".into()));
}

#[test]
fn watch_shows_a_change_and_ends_by_an_interrupt_with_the_status() {
    use std::io::{BufRead, BufReader};

    let home = Home::configured();
    assert_eq!(home.run(&["init"]).code, 0);
    fs::create_dir(home.path("state")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_offsite"));
    command.args(["status", "--watch", "--json"]).env_clear().env("HOME", home.0.path()).env("TZ", "UTC");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut alarms = || {
        let json: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        json["alarms"].as_array().unwrap().iter().map(|alarm| alarm["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(alarms(), ["overdue"]);
    let line = r#"{"time":"2026-11-22T03:31:00Z","kind":"suspicious","archive":"services/2026-11-22T030000Z","why":{"what":"empty"}}"#;
    fs::write(home.path("state/journal.jsonl"), format!("{line}\n")).unwrap();
    // One change may be shown in more than one look; the last says it all.
    while alarms() != ["suspicious", "overdue"] {}
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn accept_takes_only_what_is_suspicious_and_mends_a_torn_journal() {
    let home = Home::configured();
    fs::create_dir(home.path("state")).unwrap();
    let journal = home.path("state/journal.jsonl");
    let line = r#"{"time":"2026-11-22T03:31:00Z","kind":"suspicious","archive":"services/2026-11-22T030000Z","why":{"what":"empty"}}"#;
    fs::write(&journal, format!("{line}\n{{\"time\":\"2026-11-2")).unwrap();
    let wrong = home.run(&["accept", "services/2026-11-21T030000Z"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("is not suspicious; these are: services/2026-11-22T030000Z"), "{}", wrong.err);
    assert_eq!(home.run(&["accept", "../etc"]).code, 2);
    for _ in 0..2 {
        let ended = home.run(&["accept", "services/2026-11-22T030000Z"]);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    }
    let text = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, line));
    assert!(lines[1].ends_with(r#""kind":"accepted","archive":"services/2026-11-22T030000Z"}"#), "{text}");
}

#[test]
fn a_key_is_made_once_and_shows_no_secret_later() {
    let home = Home::configured();
    let made = home.run(&["key", "new"]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let groups: Vec<&str> = made.out.lines().filter(|line| line.starts_with("    ")).flat_map(|line| line.trim().split('-')).collect();
    assert_eq!(groups.len(), 13, "{}", made.out);
    let file = home.path("state/key.json");
    assert_eq!((mode(&file), mode(&home.path("state"))), (0o600, 0o700));
    let before = fs::read(&file).unwrap();
    let again = home.run(&["key", "new"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("there is a key already at HOME/state/key.json"), "{}", again.err);
    assert_eq!(fs::read(&file).unwrap(), before);
    let shown = home.run(&["key", "show"]);
    assert_eq!(shown.code, 0);
    assert!(shown.out.contains("opens with a recovery key"), "{}", shown.out);
    let json: serde_json::Value = serde_json::from_slice(&before).unwrap();
    let master = json["master"].as_str().unwrap();
    assert_eq!(master.len(), 128);
    assert!(!shown.out.contains(&master[..16]) && !made.out.contains(&master[..16]));
    assert!(shown.out.contains(json["vault"].as_str().unwrap()));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let home = Home::configured();
    assert_eq!(home.run(&["key", "new"]).code, 0);
    fs::set_permissions(home.path("state/key.json"), fs::Permissions::from_mode(0o644)).unwrap();
    let shown = home.run(&["key", "show"]);
    assert_eq!(shown.code, 1);
    assert!(shown.err.contains("can be read by others") && shown.err.contains("chmod 600"), "{}", shown.err);
}

/// A Mac with a cloud, that cloud's address, its key, and the lines of its recovery key as they were printed.
fn vault() -> (Home, String, Key, String) {
    let old = Home::configured();
    let made = old.run_with(&["key", "new", "--passphrase"], &[("OFFSITE_PASSPHRASE", "correct horse")]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let printed: String = made.out.lines().filter(|line| line.starts_with("    ")).map(|line| format!("{line}\n")).collect();
    let key = Key::load(&old.path("state/key.json")).unwrap();
    let store = Arc::new(LocalStore::create(&old.path("disk")).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(create_vault(store, &key.master, &key.slots, &SealedOptions::default())).unwrap();

    let url = format!("file://{}", old.path("disk").display());
    (old, url, key, printed)
}

#[test]
fn a_new_mac_gets_the_key_from_a_cloud_with_the_recovery_key_or_the_passphrase() {
    let (_old, url, key, recovery) = vault();
    for (arguments, variable) in [
        (&["key", "recover", url.as_str()][..], ("OFFSITE_RECOVERY_KEY", recovery.as_str())),
        (&["key", "recover", &url, "--passphrase"], ("OFFSITE_PASSPHRASE", "correct horse")),
    ] {
        let new = Home::configured();
        let wrong = new.run_with(arguments, &[(variable.0, "wrong")]);
        assert_eq!(wrong.code, 1);
        assert!(wrong.err.contains("next:  "), "{}", wrong.err);
        assert!(!new.path("state/key.json").exists());
        let back = new.run_with(arguments, &[variable]);
        assert_eq!((back.code, back.err.as_str()), (0, ""));
        let found = Key::load(&new.path("state/key.json")).unwrap();
        assert_eq!((found.vault, found.master.expose(), found.slots.len()), (key.vault, key.master.expose(), 2));
        assert_eq!(new.run_with(arguments, &[variable]).code, 1, "never overwritten");
    }
    let unmounted = Home::configured().run_with(&["key", "recover", "disk"], &[("OFFSITE_RECOVERY_KEY", recovery.as_str())]);
    assert_eq!(unmounted.code, 1);
    assert!(unmounted.err.contains("is its disk mounted?"), "{}", unmounted.err);
    let unknown = Home::configured().run(&["key", "recover", "warm"]);
    assert!(unknown.err.contains("no cloud of the configuration is called \"warm\" (disk)"), "{}", unknown.err);
}

#[test]
fn a_recovery_key_is_taken_in_the_lines_that_it_is_printed_in_and_the_shell_gets_none_of_them() {
    let (_old, url, _, printed) = vault();
    assert_eq!(printed.lines().count(), 3);
    let first = printed.trim().get(..5).unwrap();
    let (spoilt, short) = (printed.replacen(first, "00001", 1), format!("{first}\n\n"));
    let shell = "\"$@\"; echo ended with $?; IFS= read -r left; echo \"left: [$left]\"";
    for verb in [&["archives", "--recovery-key", "-", "--from", url.as_str()][..], &["key", "recover", &url]] {
        for (typed, code, words) in [
            (printed.clone(), 0, ""),
            (format!("\n{printed}"), 0, ""),
            (spoilt.clone(), 1, "group 1 of the recovery key has a slip in it"),
            (short.clone(), 1, "this has 5 characters instead of 65"),
        ] {
            let new = Home::configured();
            let mut command = new.command("/bin/bash");
            command.args(["-c", shell, "bash", env!("CARGO_BIN_EXE_offsite")]).args(verb);
            let mut person = Dialogue::start(command);
            let _ = person.hears("recovery key, all of its lines: ");
            person.types(&typed);
            let said = person.hears("ended with ");
            assert_eq!(person.hears("\n"), format!("{code}"), "{said}");
            assert!(said.contains(words) && typed.split_whitespace().all(|line| !said.contains(line)), "{said}");
            person.types("next\n");
            let _ = person.hears("left: [next]");
        }
        let new = Home::configured();
        let paper = new.path("paper");
        fs::write(&paper, format!("\n{printed}")).unwrap();
        let mut piped = new.command(env!("CARGO_BIN_EXE_offsite"));
        let ended = piped.args(verb).stdin(fs::File::open(paper).unwrap()).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
}

#[test]
fn install_prints_what_it_would_install_and_changes_nothing() {
    let home = Home::configured();
    let file = home.config().display().to_string();
    // The account of the test may be root, for whom nothing is installed.
    let ended = home.run(&["--config", &file, "install", "--print", "--user", "nobody"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let at = if cfg!(target_os = "macos") { "<key>StartCalendarInterval</key>" } else { "OnCalendar=*-*-* 04:30:00" };
    assert!(ended.out.contains(at) && ended.out.contains("HOME/.config/offsite/offsite.yaml"), "{}", ended.out);
    let root = home.run(&["--config", &file, "install", "--print", "--user", "root"]);
    assert_eq!(root.code, 1, "never root by accident");
    assert!(root.err.contains("it must not be root"), "{}", root.err);
    let entries: Vec<_> = fs::read_dir(home.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(entries, [".config"]);
}

/// How a verb ends whose standard output is `out`, and what it says on standard error.
fn into(home: &Home, arguments: &[&str], out: Stdio) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offsite"));
    command.args(arguments).env_clear().env("HOME", home.0.path()).env("TZ", "UTC").stdin(Stdio::null()).stdout(out);
    let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_who_has_enough_changes_no_exit_code_and_a_full_disk_is_an_error() {
    let home = Home::configured();
    assert_eq!(home.run(&["key", "new"]).code, 0);
    let status = home.run(&["status"]).code;
    assert_ne!(status, 0);
    let verbs: [(&[&str], i32); 7] = [
        (&["status"], status),
        (&["status", "--json"], status),
        (&["status", "--watch"], status),
        (&["key", "show"], 0),
        (&["history"], 0),
        (&["config", "check"], 0),
        (&["completions", "zsh"], 0),
    ];
    for (arguments, code) in verbs {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(into(&home, arguments, writer.into()), (Some(code), String::new()), "{arguments:?}");
        // Not every system has a disk that is always full.
        if let Ok(full) = fs::File::options().write(true).open("/dev/full") {
            let (code, said) = into(&home, arguments, full.into());
            assert!(code == Some(1) && said.starts_with("error: cannot write to standard output"), "{arguments:?}: {code:?} {said}");
        }
    }
}

#[test]
fn a_recovery_key_that_nobody_could_read_is_no_success() {
    let home = Home::configured();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(into(&home, &["key", "new"], writer.into()).0, Some(1));
}

#[test]
fn every_verb_has_help() {
    let help = Home::new().run(&["--help"]);
    assert_eq!(help.code, 0);
    for verb in [
        "daemon", "sync", "status", "history", "archives", "ls", "find", "cat", "diff", "verify", "export", "restore", "accept", "key",
        "init", "install", "demo",
    ] {
        assert!(help.out.lines().any(|line| line.trim_start().starts_with(verb)), "{verb} in\n{}", help.out);
        assert_eq!(Home::new().run(&[verb, "--help"]).code, 0, "{verb}");
    }
    assert_eq!(Home::new().run(&["frobnicate"]).code, 2);
}
