//! `offsite init` as a person meets it: at a terminal, with a Pi that lets nobody in yet.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use offsite_tests::{Dialogue, Home, Lab, NewPi};

/// An `ssh` in front of the real one that knows hosts where the lab's home is: the real one asks for the home of the account.
fn ssh(lab: &Lab) -> PathBuf {
    let home = lab.home();
    let text = format!("UserKnownHostsFile {}/.ssh/known_hosts\nGlobalKnownHostsFile /dev/null\n", home.display());
    let config = lab.file("ssh_config", &text);
    let shim = lab.file("bin/ssh", &format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", config.display()));
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).unwrap();
    shim.parent().unwrap().to_owned()
}

/// The lines of a screen, each with what is the same at every desk: no answers, names, sizes, ages, paths or keys, which differ.
fn essence(screen: &str) -> Vec<String> {
    let same = |word: &&str| {
        let letters = word.chars().all(|letter| letter.is_ascii_alphabetic() || ",.;:()'`-…".contains(letter));
        letters && word.chars().any(|letter| letter.is_ascii_lowercase() || letter == '…') && !["kB", "pi.local"].contains(word)
    };
    let lines = screen.lines().map(|line| {
        let end = ["]: ", "the newest is", "sh -ec"].iter().filter_map(|end| line.find(end)).min().unwrap_or(line.len());
        line[..end].split_whitespace().filter(same).collect::<Vec<_>>().join(" ")
    });
    lines.filter(|line| !line.is_empty()).collect()
}

/// Holds the README's screen of `init` against what a person met: each line is there, and no line is left out without an "…".
#[track_caller]
fn is_the_readmes(screen: &str) {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("\n`init` makes a key for the Pi").unwrap();
    let block = after.lines().skip(2).take_while(|line| line.is_empty() || line.starts_with("    "));
    let shown = essence(&block.collect::<Vec<_>>().join("\n"));
    let met = essence(screen);
    let mut left = met.iter();
    let mut may_skip = false;
    for line in shown {
        if line == "…" {
            may_skip = true;
            continue;
        }
        let next = if may_skip { left.find(|met| **met == line) } else { left.next() };
        assert_eq!(next, Some(&line), "the README has another screen than\n{screen}");
        may_skip = false;
    }
    assert_eq!(left.next(), None, "the README leaves this out of\n{screen}");
}

#[test]
fn a_first_night_from_nothing() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let mut photo = vec![0; 4_000_000];
    blake3::Hasher::new().finalize_xof().fill(&mut photo);
    fs::write(home.source().join("photo"), photo).unwrap();
    let archive = home.archive();
    let Some(pi) = lab.new_pi(&home.pi_repository()) else { return };
    let path = format!("{}:{}", ssh(&lab).display(), std::env::var("PATH").unwrap());
    let init = || lab.offsite().arg("init").env("PATH", &path).env("TERM", "xterm").command();
    let config = lab.home().join(".config/offsite/offsite.yaml");

    // The Pi first. The line that is shown is pasted there, twice, as people do.
    let mut owner = Dialogue::start(init());
    owner.answers("The Pi", &format!("127.0.0.1:{}", pi.port()));
    owner.answers("Account on the Pi", "");
    owner.answers("agent's repository on the Pi", "");
    owner.answers("Key", "");
    let shown = owner.hears("Press Enter when it is done");
    let line = shown.lines().find(|line| line.starts_with("sudo ")).unwrap_or_else(|| panic!("no line in:\n{shown}"));
    let said = pi.paste(line);
    assert!(said.contains("SHA256:") && said.ends_with("code 0\n"), "{said}");
    assert_eq!(pi.paste(line), said);
    let keys = pi.paste("cd ~offsite/.ssh; cat authorized_keys; stat -c '%U %G %a' . authorized_keys");
    assert_eq!(keys.matches("restrict,command=\"internal-sftp -R\" ssh-ed25519 ").count(), 1, "{keys}");
    assert!(keys.ends_with("\noffsite offsite 700\noffsite offsite 600\ncode 0\n"), "{keys}");
    owner.types("\n");

    // The host key: a slip of the paste is refused, and nothing is written down.
    owner.answers("Is it the same?", "256 SHA256:somebody-else root@pi (ED25519)");
    let (code, said_at_last) = owner.ends();
    assert_eq!(code, Some(1), "{said_at_last}");
    assert!(!lab.home().join(".ssh/known_hosts").exists() && !config.exists());

    // Again: the key is there, the fingerprint is pasted whole, a disk is the place away from home.
    let mut owner = Dialogue::start(init());
    owner.answers("The Pi", &format!("offsite@127.0.0.1:{}", pi.port()));
    owner.answers("agent's repository on the Pi", "/srv/backup/nothing");
    owner.answers("Key", "new");
    owner.answers("Press Enter when it is done", "");
    owner.answers("Is it the same?", said.lines().find(|line| line.contains("SHA256:")).unwrap());
    owner.answers("agent's repository on the Pi", NewPi::ROOT);
    let found = owner.hears("Folder for this Mac's repository");
    assert!(found.contains(&format!("1 of services, the newest is {archive}")), "{found}");
    owner.types("\n");
    owner.answers("Sealed copies [", &format!("file://{}/disk", lab.path().display()));
    let paper = owner.hears("From your paper, type group ");
    assert!(config.exists(), "what was answered is written before the next question");
    let on_paper =
        |line: &&str| line.starts_with("    ") && line.trim().chars().all(|c| c == '-' || c.is_ascii_uppercase() || c.is_ascii_digit());
    let groups: Vec<&str> = paper.lines().filter(on_paper).flat_map(|line| line.trim().split('-')).collect();
    let asked = owner.hears(": ");
    let numbers: Vec<usize> = asked.split(' ').filter_map(|word| word.parse().ok()).collect();
    owner.types(&format!("{} {}\n", groups[numbers[0] - 1], groups[numbers[1] - 1]));
    owner.answers("Run the first night now", "");
    // A bar, with how much of how much.
    let bar = owner.hears("B/4.0");
    assert!(bar.contains(&format!("pull {archive} [")), "{bar:?}");
    owner.answers("Let it run every night", "no");
    let (code, screen) = owner.ends();
    assert_eq!(code, Some(0), "{screen}");
    for words in ["wrote ", "the Mac's repository is ", "fine: every copy is where it should be", "offsite install"] {
        assert!(screen.contains(words), "{words:?} in\n{screen}");
    }
    assert!(fs::read_dir(lab.join("disk")).unwrap().count() > 0);
    // Both together, without the two slips, are what a person meets who makes none.
    let (begin, _) = said_at_last.split_once("Press Enter when").unwrap();
    let (_, rest) = screen.split_once("Press Enter when").unwrap();
    let (_, after) = rest.split_once(&format!("]: {}\n", NewPi::ROOT)).unwrap();
    let (found, _) = rest.split_once("error: ").unwrap();
    let (after, _) = after.split_once("Run the first night now").unwrap();
    is_the_readmes(&format!("{begin}Press Enter when{found}{after}Run the first night now"));

    // What is there is kept, and nothing is asked twice.
    let before = fs::read(&config).unwrap();
    let mut owner = Dialogue::start(init());
    let _ = owner.hears("kept  ");
    owner.answers("Let it run every night", "no");
    let (code, screen) = owner.ends();
    assert!(code == Some(0) && !screen.contains("paper") && !screen.contains("first night"), "{screen}");
    assert_eq!(fs::read(&config).unwrap(), before);
    let known = fs::read_to_string(lab.home().join(".ssh/known_hosts")).unwrap();
    assert_eq!(known.lines().count(), 1, "{known}");

    // The account can neither run nor write anything.
    let key = lab.home().join(".ssh/offsite_ed25519");
    let port = pi.port().to_string();
    let login = |more: &[&str]| lab.cmd(&format!("{}/bin/ssh", lab.path().display())).args(["-p", &port, "-i"]).arg(&key).args(more).run();
    assert!(!login(&["offsite@127.0.0.1", "id"]).out.contains("uid="), "{}", pi.log());
    let batch = lab.file("batch", "put batch /tmp/offsite-was-here\n");
    let sftp = lab.cmd("sftp").args(["-S"]).arg(lab.join("bin/ssh")).args(["-P", &port, "-i"]).arg(&key).arg("-b").arg(batch);
    assert_ne!(sftp.arg("offsite@127.0.0.1").run().code, Some(0));
}

#[test]
fn a_first_night_by_options_alone() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    fs::write(home.source().join("photo"), "a photo").unwrap();
    let _ = home.archive();
    let Some(pi) = lab.new_pi(&home.pi_repository()) else { return };
    let path = format!("{}:{}", ssh(&lab).display(), std::env::var("PATH").unwrap());
    let init = |args: &[&str]| lab.offsite().arg("init").args(args).env("PATH", &path).run();
    let address = format!("offsite@127.0.0.1:{}", pi.port());

    // The key and the line for the Pi; nothing is reached yet.
    let first = init(&["--pi", &address, "--key", "new"]).succeeds();
    let line = first.out.lines().find(|line| line.starts_with("sudo ")).unwrap_or_else(|| panic!("no line in:\n{}", first.out));
    // Whoever lost it has it again.
    assert!(init(&[]).succeeds().out.lines().any(|again| again == line));
    let said = pi.paste(line);
    let fingerprint = said.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap();

    // A host key is never accepted without its fingerprint.
    let refused = init(&["--yes"]);
    assert!(refused.code != Some(0) && refused.err.contains("--host-key-fingerprint"), "{}", refused.err);
    assert!(init(&["--yes", "--host-key-fingerprint", "SHA256:other"]).exits(1).err.contains("and not SHA256:other"));
    assert!(!lab.home().join(".ssh/known_hosts").exists());
    init(&["--yes", "--host-key-fingerprint", fingerprint, "--no-install"]).succeeds().says("fine: every copy is where it should be");

    // The Pi forgot the key.
    let _ = pi.paste("rm ~offsite/.ssh/authorized_keys");
    let refused = init(&["--yes"]).exits(1);
    assert!(refused.out.lines().any(|again| again == line), "{}", refused.out);
    refused.says("paste on the Pi (127.0.0.1 port ");
}
