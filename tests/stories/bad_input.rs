//! What is wrong is said by its name, with the next step, and whatever was whole before still is.

mod damage;
mod suspicious;
mod thirty;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use offsite_tests::tree::{Tree, make_tree, mutate};
use offsite_tests::{Held, Home, Lab, Mac, Outcome, Pi, S3};
use serde_json::json;

const SIZE: u64 = 100_000;

/// Fails unless an error says all of `words`, and what to do next.
#[track_caller]
fn tells(said: &Outcome, words: &[&str]) {
    for words in words {
        said.says(words);
    }
    assert!(said.err.contains("next:") || said.out.contains("next"), "no next step\n-- out:\n{}\n-- err:\n{}", said.out, said.err);
}

/// A house with one archive, and its Pi.
fn one_night(lab: &Lab) -> Option<(Home<'_>, Pi, String)> {
    let home = Home::new(lab);
    let pi = home.pi()?;
    make_tree(&home.source(), 7, SIZE);
    let archive = home.archive();
    Some((home, pi, archive))
}

/// The same, with a Mac that has pulled it onto a disk of its own of so many bytes.
fn on_a_small_disk(lab: &Lab, bytes: u64) -> Option<(Home<'_>, Pi, String, Mac<'_>)> {
    let (home, pi, archive) = one_night(lab)?;
    let mac = Mac::on(lab, Some(lab.disk("small", bytes)?), &home.entry(&pi), "", "");
    let _ = mac.offsite(&["sync"]).succeeds();
    Some((home, pi, archive, mac))
}

/// A night that did not go well: 1 if nothing was done, 3 if something was.
#[track_caller]
fn unwell(said: Outcome) -> Outcome {
    assert!([Some(1), Some(3)].contains(&said.code), "{said:?}");
    said
}

#[test]
fn a_mistake_in_a_configuration_names_file_line_and_key_and_changes_nothing() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    make_tree(&home.source(), 7, SIZE);
    let entry = "- {name: pi, host: pi.invalid, user: u, path: /p}\n";
    let mac = Mac::new(&lab, entry, "", "");
    let [agent, offsite] = [home.agent_config(), mac.config()].map(|path| (fs::read_to_string(&path).unwrap(), path));
    let before = Tree::read(lab.path());

    let repository = format!("'{}'", mac.repository().display());
    for (find, replace, line, key) in [
        ("at: ", "att: ", 3, "\"att\"; did you mean \"at\"?"),
        (repository.as_str(), "[a, list]", 1, "repository"),
        ("at: \"", "at: \"99", 3, "at"),
        ("user: u", "user: u, port: ssh", 5, "port"),
    ] {
        fs::write(&offsite.1, offsite.0.replacen(find, replace, 1)).unwrap();
        for verb in ["sync", "daemon", "status"] {
            tells(&mac.offsite(&[verb]).exits(2), &[&format!("{}:{line}: ", offsite.1.display()), key]);
        }
    }
    restore(&offsite);
    let sources = format!("[{}]", home.source().display());
    for (find, replace, line, key) in [
        ("quiesce: ", "quiese: ", 7, "did you mean \"quiesce\"?"),
        (sources.as_str(), "7", 6, "sources"),
        ("quiesce: none", "quiesce: none\n    at: \"25:00\"", 8, "at"),
        ("quiesce: none", "quiesce: perhaps", 7, "quiesce"),
    ] {
        fs::write(&agent.1, agent.0.replacen(find, replace, 1)).unwrap();
        for verb in [&["run", Home::JOB][..], &["check"]] {
            let said = home.agent().args(verb).run().exits(2);
            said.says(&format!("{}:{line}: ", agent.1.display()));
            said.says(key);
        }
    }
    restore(&agent);
    // Both files are as they were, but for their times and their folders'.
    let timeless = |tree: Tree| tree.0.into_iter().map(|(path, node)| (path, node.kind, node.mode)).collect::<Vec<_>>();
    assert!(timeless(Tree::read(lab.path())) == timeless(before));
}

fn restore((text, path): &(String, std::path::PathBuf)) {
    fs::write(path, text).unwrap();
}

#[test]
fn a_wrong_key_or_passphrase_opens_nothing() {
    let lab = Lab::new();
    let Some((home, pi, _)) = one_night(&lab) else { return };
    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::disk(&lab, "disk", ""), "");
    // This Mac's key opens with a passphrase too.
    fs::remove_file(mac.state().join("key.json")).unwrap();
    let made = mac.cmd().args(["key", "new", "--passphrase"]).env("OFFSITE_PASSPHRASE", "right words").run().succeeds();
    let paper: Vec<_> = made.out.lines().filter(|line| line.starts_with("    ")).map(str::trim).collect();
    let paper = paper.join("-");
    let _ = mac.offsite(&["sync"]).succeeds();

    let address = format!("file://{}", lab.join("disk").display());
    let open = |key: &[&str], words: &str| {
        let cmd = lab.offsite().args(["archives", "--from", &address]).args(key).env("OFFSITE_PASSPHRASE", words);
        cmd.env("HOME", lab.dir("a new home")).run()
    };
    tells(&open(&["--passphrase"], "wrong words").exits(1), &["wrong passphrase"]);
    let other = fs::read_to_string(mac.paper()).unwrap();
    tells(&open(&["--recovery-key", &other.replace('\n', "-")], "").exits(1), &["wrong recovery key"]);
    let slip = format!("{}{}", if paper.starts_with('7') { '8' } else { '7' }, &paper[1..]);
    tells(&open(&["--recovery-key", &slip], "").exits(1), &["group 1 of the recovery key has a slip in it"]);
    tells(&open(&["--recovery-key", "ABC"], "").exits(1), &["13 groups of 5 characters"]);
    let _ = open(&["--passphrase"], "right words").succeeds();
    let _ = open(&["--recovery-key", &paper.to_lowercase().replace('-', " ")], "").succeeds();
    let _ = open(&["--recovery-key", &paper], "").succeeds();
}

#[test]
fn what_the_pis_account_may_not_read_is_told_with_the_way_to_let_it() {
    let lab = Lab::new();
    let Some((home, pi, archive)) = one_night(&lab) else { return };
    let mac = Mac::new(&lab, &home.entry(&pi), "", "");
    // One file of it, and all that is there.
    for closed in [home.pi_file(&archive), home.pi_repository()] {
        let open = fs::metadata(&closed).unwrap().permissions();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
        tells(&unwell(mac.offsite(&["sync"])), &["ermission denied", "let the account read the agent's repository: `group:`"]);
        assert!(mac.archives(&[]).is_empty());
        fs::set_permissions(&closed, open).unwrap();
    }
    let _ = mac.offsite(&["sync"]).succeeds();
    assert_eq!(mac.archives(&[]), [archive]);
}

#[test]
fn an_unknown_or_changed_host_key_is_never_accepted() {
    let lab = Lab::new();
    let Some((home, mut pi, first)) = one_night(&lab) else { return };
    let unknown = lab.file("unknown_hosts", "");
    let mac = Mac::new(&lab, &home.entry_at(&pi, pi.port(), &unknown), "", "");
    let said = mac.offsite(&["sync"]).exits(1);
    tells(&said, &["cannot reach pi", "host key", "is not in", "SHA256:", "add this line to"]);
    assert_eq!(fs::read_to_string(&unknown).unwrap(), "", "nothing is learnt silently");
    assert_eq!(mac.archives(&[]), [""; 0]);

    // The line that it names is the right one.
    let line = said.err.split("add this line to ").nth(1).unwrap().lines().next().unwrap().split_once(": ").unwrap().1;
    fs::write(&unknown, format!("{line}\n")).unwrap();
    let _ = mac.offsite(&["sync"]).succeeds();
    pi.impostor();
    let _ = home.archive();
    let forget = format!("ssh-keygen -R '[127.0.0.1]:{}' -f {}", pi.port(), unknown.display());
    tells(&mac.offsite(&["sync"]).exits(1), &["host key", "someone else answers", &forget]);
    tells(&mac.offsite(&["status"]).exits(1), &["host key"]);
    assert_eq!(mac.archives(&[]), [first]);
    let _ = mac.offsite(&["verify"]).succeeds();
    // The command that it names makes the new key an unknown one, to be compared as the first was.
    let _ = lab.cmd("sh").args(["-c", &forget]).run().succeeds();
    tells(&mac.offsite(&["sync"]).exits(1), &["is not in", "add this line to"]);
}

#[test]
fn a_pi_that_is_away_does_not_keep_the_cloud_waiting() {
    let lab = Lab::new();
    let Some((home, mut pi, archive)) = one_night(&lab) else { return };
    let mac = Mac::new(&lab, &home.entry(&pi), "", "");
    let _ = mac.offsite(&["sync"]).succeeds();
    mac.configure(&home.entry(&pi), &Mac::disk(&lab, "disk", ""), "");
    pi.power_off();
    let said = mac.offsite(&["sync"]).exits(3);
    tells(&said, &["cannot reach pi", "connection refused", &format!("pushed {archive} (disk)")]);
    assert_eq!(mac.archives(&["--from", "disk"]), [archive]);
    tells(&mac.offsite(&["status"]).exits(3), &["cannot reach pi"]);
    pi.power_on();
    let _ = mac.offsite(&["sync"]).succeeds();
    let _ = mac.offsite(&["status"]).succeeds();
}

#[test]
fn a_disk_that_fills_up_costs_the_new_archive_and_no_other() {
    let lab = Lab::new();
    let Some((home, _pi, first, mac)) = on_a_small_disk(&lab, 12 << 20) else { return };
    let disk = mac.disk_of_its_own().unwrap();
    let held = || Held::read(&disk.path().join("repository"), None);
    let whole = held();

    fs::write(home.source().join("a film"), random(16 << 20)).unwrap();
    let second = home.archive();
    for _ in 0..2 {
        tells(&mac.offsite(&["sync"]).exits(1), &[&format!("there is no room for {second}: it needs "), " are free", "make room"]);
        assert!(held() == whole, "the first archive, and nothing half");
        assert_eq!(mac.archives(&[]), std::slice::from_ref(&first));
        let _ = mac.offsite(&["verify"]).succeeds();
    }
    disk.grow(80 << 20);
    let _ = mac.offsite(&["sync"]).succeeds();
    assert_eq!(mac.archives(&[]), [first, second]);
}

#[test]
fn no_room_for_a_plain_copy_keeps_no_archive_out_and_a_full_disk_may_keep_less() {
    let lab = Lab::new();
    let Some((home, pi, first, mac)) = on_a_small_disk(&lab, 12 << 20) else { return };
    fs::write(home.source().join("a clip"), random(7 << 20)).unwrap();
    let second = home.archive();
    let said = mac.offsite(&["sync"]).exits(3);
    tells(&said, &[&format!("pulled {second}"), &format!("there is no room for the plain copy of {second}: it needs "), "`plain: none`"]);
    assert_eq!(mac.archives(&[]), [first, second.clone()]);

    fs::write(home.source().join("a film"), seeded(b"longer", 16 << 20)).unwrap();
    let third = home.archive();
    mac.configure(&home.entry(&pi), "", "keep: 1\n");
    tells(&mac.offsite(&["sync"]).exits(1), &[&format!("there is no room for {third}: "), "keep less", "forgot "]);
    assert_eq!(mac.archives(&[]), [second]);
}

#[test]
fn a_full_disk_stops_export_plain_copy_and_prune_and_harms_nothing() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    let Some(disk) = lab.disk("small", 64 << 20) else { return };
    make_tree(&home.source(), 7, SIZE);
    let mac = Mac::on(&lab, Some(disk), &home.entry(&pi), "", "");
    let disk = mac.disk_of_its_own().unwrap();
    let archives = [b"a film", b"others"].map(|seed| {
        fs::write(home.source().join("film"), seeded(seed, 10 << 20)).unwrap();
        let archive = home.archive();
        let _ = mac.offsite(&["sync"]).succeeds();
        archive
    });
    let repository = disk.path().join("repository");
    let filler = disk.path().join("filler");
    let fill = || {
        let mut file = fs::File::options().append(true).create(true).open(&filler).unwrap();
        for size in [1 << 20, 4096, 1] {
            while std::io::Write::write_all(&mut file, &vec![1; size]).is_ok() {}
        }
    };
    let whole = |count: usize| {
        mac.offsite(&["verify"]).succeeds().says(&format!("verified {count} archive"));
        let litter = fs::read_dir(&repository).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(litter.filter(|name| name.starts_with('.')).collect::<Vec<_>>(), [""; 0]);
    };
    fill();
    let out = disk.at().join("out.tar.zst");
    mac.offsite(&["export", &archives[0], out.to_str().unwrap()]).exits(1).says("No space left on device");
    assert!(!disk.path().join("out.tar.zst").exists());
    whole(2);
    // The plain copy goes, and its room is taken at once.
    fs::remove_file(repository.join("plain").join(format!("{}.tar.zst", archives[1]))).unwrap();
    fill();
    tells(&mac.offsite(&["sync"]).exits(3), &[&format!("there is no room for the plain copy of {}", archives[1]), "make room"]);
    whole(2);
    // A pack of which little is needed is written anew before it goes: that needs a little room.
    mac.offsite(&["forget", &archives[0]]).exits(1).says("No space left on device");
    whole(1);
    fs::File::options().write(true).open(&filler).unwrap().set_len(1 << 20).unwrap();
    // The Pi still has it, and the frames were not gone yet.
    mac.offsite(&["sync", "--again", &archives[0]]).succeeds().says("0 B of ");
    whole(2);
    mac.offsite(&["forget", &archives[0]]).succeeds().says("11 MB freed");
    whole(1);
}

fn random(len: usize) -> Vec<u8> {
    seeded(b"film", len)
}

fn seeded(seed: &[u8], len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(seed).finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn a_cloud_that_refuses_or_stumbles_loses_nothing() {
    let lab = Lab::new();
    let (Some((home, pi, first)), Some(s3)) = (one_night(&lab), lab.s3()) else { return };
    let mut archives = vec![first];
    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::bucket(&s3, "cloud", ""), "").with_env(s3.env());
    // A wrong account is refused at the door, and the pull is done all the same.
    let denied = mac.cmd().env("AWS_ACCESS_KEY_ID", "nobody").arg("sync").run().exits(3);
    tells(&denied, &["cloud", "check the credentials", &format!("pulled {}", archives[0])]);
    assert_eq!(s3.objects(), []);
    tells(&mac.offsite(&["status"]).exits(4), &["no run ended well yet", "cannot open the cloud"]);

    // A few refusals in a row are waited out.
    s3.fault(&json!({ "method": "PUT", "match": "packs|manifests", "status": 503, "times": 3 }));
    let _ = mac.offsite(&["sync"]).succeeds();
    assert_eq!(mac.archives(&["--from", "cloud"]), archives);

    // A right that lacks is told, whatever it is for; what was there stays, and the next run goes on.
    mutate(&home.source(), 1);
    archives.push(home.archive());
    for (status, times, said) in [(403, 1, "check the credentials"), (503, 6, "the next run goes on")] {
        s3.fault(&json!({ "method": "PUT", "match": "packs/", "status": status, "times": times }));
        tells(&unwell(mac.offsite(&["sync"])), &[&format!("push: {} (cloud)", archives[1]), &status.to_string(), said]);
        assert_eq!(mac.archives(&["--from", "cloud"]), archives[..1]);
    }
    let _ = mac.offsite(&["sync"]).succeeds();
    assert_eq!(mac.archives(&["--from", "cloud"]), archives);
    assert_eq!(s3.objects().iter().filter(|object| object.key.contains("/manifests/")).count(), 2, "{}", S3::BUCKET);
    let _ = mac.offsite(&["status"]).succeeds();
}
