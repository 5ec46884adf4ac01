//! `offsite doctor` at a real Pi: each thing that goes wrong is one red line at its own place, what needs it is skipped, and nothing is changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use offsite_tests::{Home, Lab, Mac, Outcome, Pi};
use serde_json::Value;

/// A Pi with an archive, and a Mac that has it.
struct Scene<'a> {
    home: Home<'a>,
    pi: Pi,
    mac: Mac<'a>,
}

impl<'a> Scene<'a> {
    fn new(lab: &'a Lab) -> Option<Self> {
        let home = Home::new(lab);
        fs::write(home.source().join("a"), vec![7; 100_000]).unwrap();
        let pi = home.pi()?;
        let _ = home.archive();
        let mac = Mac::new(lab, &home.entry(&pi), "", "");
        let _ = mac.offsite(&["sync"]).succeeds();
        Some(Self { home, pi, mac })
    }

    /// The checks of the Pi by name, as verdict, words and fix.
    fn pi_checks(&self) -> BTreeMap<String, (String, String, String)> {
        checks(&self.mac.offsite(&["doctor", "--json", "--pi", "pi"]), "pi")
    }

    /// Fails the test unless `check` is bad and says `words`, all before it is well, and all after it is skipped.
    #[track_caller]
    fn is_bad(&self, check: &str, words: &str, fix: &str) {
        const ORDER: [&str; 11] =
            ["ssh", "name", "port", "host key", "login", "sftp", "folder", "repository", "archives", "test pull", "read-only"];
        let checks = self.pi_checks();
        let mut seen = false;
        for name in ORDER {
            let (verdict, said, todo) = &checks[name];
            // Whether the account may write is asked before the repository is opened.
            let free = seen && name == "read-only" && ["repository", "archives", "test pull"].contains(&check);
            let wanted = if name == check {
                "bad"
            } else if seen && !free {
                "skipped"
            } else {
                "ok"
            };
            assert_eq!(verdict, wanted, "{name}: {checks:#?}");
            if name == check {
                assert!(said.contains(words) && todo.contains(fix), "{checks:#?}");
                seen = true;
            }
        }
    }
}

#[track_caller]
fn checks(said: &Outcome, place: &str) -> BTreeMap<String, (String, String, String)> {
    let told = said.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_place = told["checks"].as_array().unwrap().iter().filter(|check| check["place"] == place).cloned();
    of_place.map(|check| (text(&check["check"]), (text(&check["verdict"]), text(&check["words"]), text(&check["fix"])))).collect()
}

/// Everything below a folder: mode, time, length.
fn state_of(folder: &Path) -> BTreeMap<PathBuf, (u32, std::time::SystemTime, u64)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            folders.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.insert(path, (meta.permissions().mode(), meta.modified().unwrap(), meta.len()));
    }
    all
}

#[test]
fn a_household_that_works_is_said_to_and_nothing_is_touched() {
    let lab = Lab::new();
    let Some(scene) = Scene::new(&lab) else { return };
    let before = (state_of(&scene.home.pi_repository()), state_of(&scene.mac.repository()), state_of(&scene.mac.state()));
    let said = scene.mac.offsite(&["doctor", "--pi", "pi"]);
    let after = (state_of(&scene.home.pi_repository()), state_of(&scene.mac.repository()), state_of(&scene.mac.state()));
    assert_eq!(before, after);
    let checks = scene.pi_checks();
    assert!(checks.values().all(|(verdict, _, _)| verdict == "ok"), "{said:#?}\n{checks:#?}");
    assert_eq!(checks["read-only"].1, "the Pi refuses every write of this account");
    assert!(checks["test pull"].1.contains("fetched, unpacked, checked and thrown away"), "{checks:#?}");
    assert!(said.out.contains("checks"), "{said:#?}");
}

#[test]
fn whoever_else_answers_is_named_at_the_host_key() {
    let lab = Lab::new();
    let Some(mut scene) = Scene::new(&lab) else { return };
    scene.pi.impostor();
    scene.is_bad("host key", "is not the one on file", "ssh-keygen -R");
    fs::write(scene.pi.known_hosts(), "").unwrap();
    scene.is_bad("host key", "is not in", "compare SHA256:");
}

#[test]
fn a_key_that_the_pi_does_not_know_is_named_at_the_login() {
    let lab = Lab::new();
    let Some(scene) = Scene::new(&lab) else { return };
    let key = scene.pi.key();
    fs::remove_file(&key).unwrap();
    scene.is_bad("login", "read private key", "ssh-keygen -t ed25519");
    let made = std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    scene.is_bad("login", "was refused", "the line that offsite init shows");
}

#[test]
fn a_pi_that_is_off_is_named_at_the_port_and_a_host_that_is_none_at_the_name() {
    let lab = Lab::new();
    let Some(mut scene) = Scene::new(&lab) else { return };
    scene.pi.power_off();
    scene.is_bad("port", "connection refused", "check that SSH runs");
    let entry = |host: &str, port: u16| {
        format!(
            "- {{name: pi, host: {host}, port: {port}, user: offsite, path: /repository, key: '{}', known_hosts: '{}', ssh_config: none}}\n",
            scene.pi.key().display(),
            scene.pi.known_hosts().display()
        )
    };
    // No part of a name is as long, so nobody needs to be asked for it.
    scene.mac.configure(&entry(&"x".repeat(64), 22), "", "");
    scene.is_bad("name", "resolve xxx", "check the name");
}

#[test]
fn a_wrong_path_an_unreadable_manifest_and_damage_are_told_apart() {
    let lab = Lab::new();
    let Some(scene) = Scene::new(&lab) else { return };
    let entry = scene.home.entry(&scene.pi);
    scene.mac.configure(&entry.replace("path: /repository", "path: /elsewhere"), "", "");
    scene.is_bad("folder", "does not exist", "check `path:`");
    scene.mac.configure(&entry.replace("path: /repository", "path: /"), "", "");
    scene.is_bad("repository", "", "offsite-agent init");
    scene.mac.configure(&entry, "", "");
    let archive = scene.home.pi_archives().pop().unwrap();
    let file = scene.home.pi_file(&archive);
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.len() / 4;
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    scene.is_bad_alone("test pull");
    let closed = scene.home.pi_repository().join("repository.json");
    let mode = fs::metadata(&closed).unwrap().permissions();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    scene.is_bad("repository", "denied", "`group:` in agent.yaml");
    fs::set_permissions(&closed, mode).unwrap();
}

impl Scene<'_> {
    /// As [`Scene::is_bad`], where nothing else depends on it.
    #[track_caller]
    fn is_bad_alone(&self, check: &str) {
        let checks = self.pi_checks();
        let bad: Vec<&String> = checks.iter().filter(|(_, (verdict, _, _))| verdict != "ok").map(|(name, _)| name).collect();
        assert_eq!(bad, [check], "{checks:#?}");
    }
}

#[test]
fn a_state_folder_on_a_full_disk_is_told_before_anything_fails_of_it() {
    let lab = Lab::new();
    let Some(disk) = lab.disk("mac/state", 3_000_000) else { return };
    let pi = "- {name: pi, host: 127.0.0.1, port: 1, user: offsite, path: /repository, ssh_config: none}\n";
    let mac = Mac::new(&lab, pi, "", "");
    fs::set_permissions(disk.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let ask = |args: &[&str]| disk.sees(mac.cmd()).args(args).run();
    let state = || checks(&ask(&["doctor", "--offline", "--json"]), "mac").remove("state").unwrap();
    let _ = ask(&["status"]).exits(4);
    assert_eq!(state().0, "ok");
    fs::write(disk.path().join("other"), vec![1; 2_500_000]).unwrap();
    ask(&["status"]).exits(1).says("are free on its disk, so that no receipt can be written");
    let (verdict, _, fix) = state();
    assert!(verdict == "bad" && fix.starts_with("make room on that disk"), "{verdict} {fix}");
}

#[test]
fn this_machines_own_faults_are_red_and_have_a_fix() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let disk = Mac::disk(&lab, "disk", "");
    let pi = "- {name: pi, host: 127.0.0.1, port: 1, user: offsite, path: /repository, ssh_config: none}\n";
    let mac = Mac::new(&lab, pi, &disk, "");
    let ask = || mac.offsite(&["doctor", "--offline", "--json"]);
    let of = |place: &str, check: &str| checks(&ask(), place).remove(check).unwrap();
    assert_eq!(of("mac", "state").0, "ok");
    assert_eq!((of("mac", "key").0, of("disk", "vault").0, of("pi", "login").0), ("ok".into(), "note".into(), "off".into()));

    fs::set_permissions(mac.state(), fs::Permissions::from_mode(0o755)).unwrap();
    let (verdict, words, fix) = of("mac", "state");
    assert!(verdict == "bad" && words.contains("mode 0755") && fix.starts_with("chmod 700"), "{words} {fix}");
    fs::set_permissions(mac.state(), fs::Permissions::from_mode(0o700)).unwrap();

    let key = mac.state().join("key.json");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (verdict, _, fix) = of("mac", "key");
    assert!(verdict == "bad" && fix.starts_with("chmod 600"), "{fix}");
    assert_eq!(of("disk", "vault").0, "skipped");
    fs::rename(&key, lab.join("key.json")).unwrap();
    let (verdict, _, fix) = of("mac", "key");
    assert!(verdict == "bad" && fix.contains("offsite key new"), "{fix}");
    fs::rename(lab.join("key.json"), &key).unwrap();

    fs::rename(mac.repository(), lab.join("away")).unwrap();
    let (verdict, _, fix) = of("mac", "repository");
    assert!(verdict == "bad" && fix.contains("mount the disk"), "{fix}");
    assert_eq!(of("mac", "room").0, "skipped");
    fs::rename(lab.join("away"), mac.repository()).unwrap();

    fs::remove_dir_all(lab.dir("disk")).unwrap();
    let (verdict, _, fix) = of("disk", "folder");
    assert!(verdict == "bad" && fix.contains("mount the disk"), "{fix}");

    assert_eq!(ask().code, Some(1));
    fs::write(mac.config(), "repository: [").unwrap();
    let told = ask();
    assert_eq!((told.code, of("mac", "configuration").0.as_str()), (Some(1), "bad"));
    drop(home);
}

#[test]
fn a_network_without_a_way_to_the_pi_is_named_at_the_port() {
    let lab = Lab::new();
    if !offsite_tests::is_root() && offsite_tests::lacking("a network of its own", "not root") {
        return;
    }
    let pi = "- {name: pi, host: 192.168.77.7, user: offsite, path: /repository, ssh_config: none}\n";
    let mac = Mac::new(&lab, pi, "", "");
    // A network with nothing in it, and no way out of it: the machine's own is not touched.
    let script = "ip link set lo up && ip route add unreachable 192.168.77.0/24 && exec \"$@\"";
    let alone = |cmd: offsite_tests::Cmd| cmd.under("unshare", &["--net", "sh", "-c", script, "alone"]);
    let found = checks(&alone(mac.cmd().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(["doctor", "--json", "--pi", "pi"])).run(), "pi");
    let (verdict, words, fix) = &found["port"];
    assert!(verdict == "bad" && words.contains("no route to host") && fix.contains("ping 192.168.77.7"), "{found:#?}");
    assert_eq!((found["name"].0.as_str(), found["host key"].0.as_str()), ("ok", "skipped"));
}

/// The events of the only log, as its lines tell them.
fn log(folder: &Path) -> Vec<Value> {
    let names: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    fs::read_to_string(&names[0]).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_night_is_told_in_the_log_and_goes_on_without_one() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    fs::write(home.source().join("a"), "a").unwrap();
    let Some(pi) = home.pi() else { return };
    let archive = home.archive();
    let disk = Mac::disk(&lab, "disk", "");
    let mac = Mac::new(&lab, &home.entry(&pi), &disk, "log: {format: json}\n");
    let logs = lab.dir("logs");
    let sync = || mac.cmd().env("XDG_STATE_HOME", &logs).arg("sync").run();
    let folder = logs.join("offsite/log");
    let _ = sync().succeeds();
    let told = log(&folder);
    let events: Vec<&str> = told.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let mut at = 0;
    for wanted in ["begun", "reached", "fetched", "pulled", "sent", "pushed", "pruned", "ran"] {
        let found = events[at..].iter().position(|event| *event == wanted);
        at += found.unwrap_or_else(|| panic!("{wanted} after {at} in {events:?}"));
    }
    let fetched = told.iter().find(|line| line["event"] == "fetched").unwrap();
    assert!(fetched["archive"] == archive.as_str() && fetched["seconds"].is_number() && fetched["bytes"].is_number(), "{fetched}");
    assert_eq!(told.last().unwrap()["outcome"], "fine");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    // Nothing but nights has a log.
    let before = told.len();
    let _ = mac.cmd().env("XDG_STATE_HOME", &logs).arg("verify").run().succeeds();
    assert_eq!(log(&folder).len(), before);
    // A log that cannot be is said once, and stops nothing.
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "").unwrap();
    let _ = home.archive();
    let said = sync().succeeds();
    assert_eq!(said.err.matches("cannot write the log").count(), 1, "{said:#?}");
}
