//! What is owed is done once, however often the daemon is started, and nothing else is.

use std::fs;
use std::io::BufRead as _;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use offsite_tests::tree::make_tree;
use offsite_tests::{Home, Lab, Link, Mac, until};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde_json::json;

#[test]
fn where_nothing_is_owed_neither_the_daemon_nor_a_look_touches_any_place() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let (Some(pi), Some(s3)) = (home.pi(), lab.s3()) else { return };
    make_tree(&home.source(), 7, 50_000);
    let _ = home.archive();
    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::bucket(&s3, "cloud", ""), "").with_env(s3.env());
    let _ = mac.offsite(&["daemon"]).succeeds();
    let (receipts, requests) = (mac.receipts(), s3.requests());

    // Where the Pi was is something that only counts who comes.
    let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    door.set_nonblocking(true).unwrap();
    let port = |port: u16| format!("port: {port},");
    let text = fs::read_to_string(mac.config()).unwrap();
    assert!(text.contains(&port(pi.port())), "{text}");
    fs::write(mac.config(), text.replace(&port(pi.port()), &port(door.local_addr().unwrap().port()))).unwrap();
    for look in [&["status"][..], &["status", "--json"], &["history"]] {
        let _ = mac.offsite(look).exits(0);
    }
    // Nor is the repository's disk there, and nobody minds.
    fs::rename(mac.repository(), lab.join("unmounted")).unwrap();
    for _ in 0..3 {
        let said = mac.offsite(&["daemon"]).succeeds();
        assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    }
    assert_eq!((mac.receipts(), s3.requests()), (receipts, requests));
    assert_eq!(door.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
}

#[test]
fn many_missed_nights_are_one_run() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    make_tree(&home.source(), 7, 50_000);
    let mut archives = vec![home.archive()];
    let mac = Mac::new(&lab, &home.entry(&pi), "", "");
    let _ = mac.offsite(&["daemon"]).succeeds();
    let slot = mac.receipts_of("ran").pop().unwrap()["owed"].as_str().unwrap().to_owned();

    // The Mac was away for a week, in which the Pi archived.
    let journal = mac.state().join("journal.jsonl");
    let week: jiff::civil::Date = slot.parse().unwrap();
    // The day that was owed, and not the day in the archives' names, which is the same one from 04:30 on.
    let owed = |day: &str| format!("\"owed\":\"{day}\"");
    let before = fs::read_to_string(&journal).unwrap();
    let text = before.replace(&owed(&slot), &owed(&week.checked_sub(jiff::ToSpan::days(7)).unwrap().to_string()));
    assert_ne!(before, text);
    fs::write(&journal, text).unwrap();
    archives.extend([home.archive(), home.archive()]);
    assert!(mac.offsite(&["status"]).exits(0).out.contains("owed since"));

    for _ in 0..3 {
        let _ = mac.offsite(&["daemon"]).succeeds();
    }
    let ran = mac.receipts_of("ran");
    assert_eq!((ran.len(), &ran[1]["owed"]), (2, &slot.into()), "one run, for the newest slot");
    assert_eq!(mac.archives(&[]), archives);
}

#[test]
fn who_asks_the_daemon_for_a_night_gets_one_from_its_next_start_and_no_more() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(mut pi) = home.pi() else { return };
    make_tree(&home.source(), 7, 50_000);
    let mut archives = vec![home.archive()];
    let mac = Mac::new(&lab, &home.entry(&pi), "", "wait: 0\n");
    let _ = mac.offsite(&["sync"]).succeeds();
    archives.push(home.archive());
    let _ = mac.offsite(&["daemon"]).succeeds();
    assert_eq!(mac.archives(&[]), archives[..1], "the sync settled the slot");

    mac.offsite(&["sync", "--by-daemon"]).succeeds().says("nothing starts the daemon here: offsite install");
    assert_eq!(mac.archives(&[]), archives[..1], "it is left to the daemon");
    assert!(mac.offsite(&["status"]).exits(0).out.contains("owed since"));
    // It waits as any night does.
    pi.power_off();
    let _ = mac.offsite(&["daemon"]).succeeds();
    assert_eq!((mac.receipts_of("ran").len(), mac.receipts_of("waited").len()), (1, 1));
    pi.power_on();
    for _ in 0..2 {
        let _ = mac.offsite(&["daemon"]).succeeds();
    }
    let ran = mac.receipts_of("ran");
    assert_eq!((ran.len(), &ran[1]["owed"]), (2, &ran[0]["owed"]));
    assert_eq!(mac.archives(&[]), archives);
}

#[test]
fn a_pi_that_is_not_at_home_is_no_failure_and_its_night_stays_owed() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(mut pi) = home.pi() else { return };
    make_tree(&home.source(), 7, 50_000);
    let archive = home.archive();
    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::disk(&lab, "disk", ""), "wait: 0\n");
    pi.power_off();
    for _ in 0..3 {
        let said = mac.offsite(&["daemon"]).succeeds();
        assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    }
    let kinds: Vec<_> = mac.receipts().iter().map(|receipt| receipt["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["waited"], "once, however often it looked");
    // A person who says it is told what is wrong.
    mac.offsite(&["sync"]).exits(3).says("cannot reach pi");
    pi.power_on();
    let _ = mac.offsite(&["sync"]).succeeds();
    assert_eq!(mac.archives(&[]), [archive]);
    let before = mac.receipts();
    let _ = mac.offsite(&["daemon"]).succeeds();
    assert_eq!(mac.receipts(), before, "the sync settled the slot");
}

#[test]
fn a_run_that_failed_is_not_tried_again_at_each_start() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    make_tree(&home.source(), 7, 50_000);
    let _ = home.archive();
    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::disk(&lab, "disk", ""), "");
    let (disk, aside) = (lab.join("disk"), lab.join("aside"));
    fs::rename(&disk, &aside).unwrap();
    let _ = mac.offsite(&["daemon"]).exits(3);
    let before = mac.receipts();
    assert!(before.iter().any(|receipt| receipt["message"].as_str().is_some_and(|said| said.contains("cannot open the cloud disk"))));
    for _ in 0..2 {
        let _ = mac.offsite(&["daemon"]).succeeds();
    }
    assert_eq!(mac.receipts(), before);
    // Half an hour later it is.
    let journal = mac.state().join("journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let ended = before.last().unwrap()["time"].as_str().unwrap();
    let earlier: jiff::Timestamp = ended.parse().unwrap();
    let earlier = (earlier - jiff::SignedDuration::from_mins(31)).to_string();
    fs::write(&journal, text.replace(ended, &earlier)).unwrap();
    fs::rename(&aside, &disk).unwrap();
    let _ = mac.offsite(&["daemon"]).succeeds();
    assert_eq!(mac.receipts().last().unwrap()["outcome"], "fine");
}

#[test]
fn a_signal_in_the_middle_of_a_pull_ends_it_and_the_next_start_goes_on() {
    for signal in ["-TERM", "-INT"] {
        let lab = Lab::new();
        let home = Home::new(&lab);
        let Some(pi) = home.pi() else { return };
        make_tree(&home.source(), 7, 6_000_000);
        let archive = home.archive();
        let link = Link::to(pi.port());
        let slow = home.entry_at(&pi, link.port(), &pi.known_hosts_through(link.port())).replace("}\n", ", limit: 200 KB/s}\n");
        let mac = Mac::new(&lab, &slow, "", "");
        let daemon = mac.cmd().arg("daemon").command().stderr(Stdio::piped()).spawn().unwrap();
        link.wait_for(400_000);
        let _ = lab.cmd("kill").args([signal, &daemon.id().to_string()]).run().succeeds();
        let ended = daemon.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        // To be stopped by the system is no failure; to be interrupted by a person is one.
        assert_eq!((ended.status.code(), said.lines().count()), (Some(i32::from(signal == "-INT")), 1), "{said}");
        assert!(said.starts_with("stopped by a signal; what arrived stays"), "{said}");
        assert!(mac.receipts_of("ran").is_empty() && mac.receipts_of("pulled").is_empty());
        mac.configure(&home.entry(&pi), "", "");
        let _ = mac.offsite(&["daemon"]).succeeds();
        assert_eq!(mac.archives(&[]), [archive.as_str()]);
        let _ = mac.offsite(&["verify"]).succeeds();
    }
}

#[test]
fn a_signal_in_the_middle_of_a_push_ends_it_and_the_next_start_goes_on() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let (Some(pi), Some(s3)) = (home.pi(), lab.s3()) else { return };
    make_tree(&home.source(), 7, 400_000);
    let archive = home.archive();
    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::bucket(&s3, "cloud", ""), "").with_env(s3.env());
    s3.fault(&json!({ "method": "PUT", "match": "packs/", "hold": true }));
    let daemon = mac.cmd().arg("daemon").command().stderr(Stdio::piped()).spawn().unwrap();
    until!(s3.requests().iter().any(|(method, path)| method == "PUT" && path.contains("packs/")));
    let _ = lab.cmd("kill").args(["-TERM", &daemon.id().to_string()]).run().succeeds();
    let ended = daemon.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), said.lines().count()), (Some(0), 1), "{said}");
    assert!(said.starts_with("stopped by a signal; what arrived stays"), "{said}");
    let moved = ["pulled", "pushed", "ran", "failed"].map(|kind| mac.receipts_of(kind).len());
    assert_eq!(moved, [1, 0, 0, 0], "what came stays, and nothing is noted of what did not");
    let _ = mac.offsite(&["daemon"]).succeeds();
    assert_eq!((mac.receipts_of("pulled").len(), mac.archives(&["--from", "cloud"])), (1, vec![archive]));
}

#[test]
fn a_signal_while_packs_are_read_back_claims_nothing_and_leaves_the_night_owed() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    make_tree(&home.source(), 7, 400_000);
    let _ = home.archive();
    let mac = Mac::new(&lab, &home.entry(&pi), "", "verify: all\n");
    let _ = mac.offsite(&["daemon"]).succeeds();
    let _ = mac.offsite(&["sync", "--by-daemon"]).succeeds();
    let before = (mac.receipts(), fs::read(mac.state().join("rounds.json")).unwrap());

    // A disk on which each read of a pack takes far longer than a stopped daemon may.
    let packs: Vec<_> = fs::read_dir(mac.repository().join("packs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let slow = ["-f", "-qq", "-o", "/dev/null", "--trace=read,pread64", "--inject=read,pread64:delay_enter=6s"];
    let on = packs.iter().flat_map(|pack| ["-P", pack.to_str().unwrap()]);
    let daemon = mac
        .cmd()
        .arg("daemon")
        .under("strace", &slow.into_iter().chain(on).collect::<Vec<_>>())
        .command()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let now = || mac.offsite(&["status", "--json"]).json()["running"].clone();
    until!(now()["phase"] == "verify");
    let _ = lab.cmd("kill").args(["-TERM", &now()["pid"].to_string()]).run().succeeds();
    let ended = daemon.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    let new = mac.receipts().split_off(before.0.len());
    assert!(new.iter().all(|receipt| receipt["kind"] == "seen"), "{new:?}");
    assert_eq!(fs::read(mac.state().join("rounds.json")).unwrap(), before.1, "nothing was read back");
    assert!(mac.offsite(&["status"]).exits(0).out.contains("owed since"));

    let _ = mac.offsite(&["daemon"]).succeeds();
    assert_eq!(mac.receipts_of("ran").len(), 2);
    assert_ne!(fs::read(mac.state().join("rounds.json")).unwrap(), before.1);
}

#[test]
fn a_signal_ends_even_a_step_that_lets_nothing_else_run() {
    let lab = Lab::new();
    let mac = Mac::new(&lab, "- {name: pi, host: 127.0.0.1, port: 1, user: u, path: /p, ssh_config: none}\n", "", "wait: 0\n");
    // What it was told last is read where it says what it waits for, and this file never ends.
    let told = mac.state().join("told.json");
    let _ = lab.cmd("mkfifo").arg(&told).run().succeeds();
    // Far more than it may take; without it, a daemon that no signal ends would be waited for for ever.
    let mut daemon = mac.cmd().arg("daemon").under("timeout", &["-s", "KILL", "60"]).command().stderr(Stdio::piped()).spawn().unwrap();
    let _pipe = loop {
        // Refused for as long as nobody reads.
        match rustix::fs::open(&told, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()) {
            Ok(pipe) => break pipe,
            Err(error) => assert!(error == Errno::NXIO && daemon.try_wait().unwrap().is_none(), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    // It passes the signal on.
    let _ = lab.cmd("kill").args(["-TERM", &daemon.id().to_string()]).run().succeeds();
    let ended = daemon.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()), (Some(0), ""), "no time for a word");
    assert_eq!((mac.receipts_of("waited").len(), mac.receipts().len()), (1, 1));
}

#[test]
fn a_second_daemon_leaves_the_work_to_the_first() {
    let lab = Lab::new();
    // A Pi that takes the connection and then says nothing: the first daemon is at work for as long as it likes.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let (key, known) = (lab.join("key"), lab.file("known_hosts", ""));
    let _ = lab.cmd("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).run().succeeds();
    let entry = format!(
        "- {{name: pi, host: 127.0.0.1, port: {port}, user: u, path: /p, key: '{}', known_hosts: '{}'}}\n",
        key.display(),
        known.display()
    );
    let mac = Mac::new(&lab, &entry, "", "wait: 0\n");
    let mut first = mac.cmd().arg("daemon").command().stderr(Stdio::piped()).spawn().unwrap();
    // It asks whether somebody is at home, and then connects.
    let held = (silent.accept().unwrap(), silent.accept().unwrap());
    let said = mac.offsite(&["daemon"]).succeeds();
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""), "the first does it");
    for second in ["sync", "verify"] {
        let said = mac.offsite(&[second]).exits(4);
        said.says("another offsite is at work: offsite daemon, process");
        said.says("next:");
    }
    // Asking is not work, and is never refused.
    let _ = mac.offsite(&["archives"]).succeeds();
    assert_eq!(mac.receipts(), [] as [serde_json::Value; 0], "neither the first yet, nor any other");

    // No lock outlives its process, not even one that was killed.
    first.kill().unwrap();
    let _ = first.wait().unwrap();
    drop((held, silent));
    mac.offsite(&["sync"]).exits(1).says("connection refused");
    assert_eq!(std::io::BufReader::new(first.stderr.take().unwrap()).lines().count(), 0);
}
