//! Owners are numbers: those of the containers. A machine that was set up anew gives their names to others, so every line that our pages and
//! programs tell a person to open an archive with has to keep the numbers; the lines are taken from there, and run.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use offsite_tests::{Lab, is_root, lacking};

/// What a person reads: pages, examples, and the sources, which hold help and errors.
const READ: [&str; 6] = ["README.md", "docs", "packaging", "crates/agent/src", "crates/offsite/src", "crates/repository/src"];

fn files(at: &Path, found: &mut Vec<PathBuf>) {
    if !at.is_dir() {
        return found.push(at.to_owned());
    }
    for entry in fs::read_dir(at).unwrap() {
        files(&entry.unwrap().path(), found);
    }
}

/// The program and its options, if `words` begin with a tar that extracts; without what names the archive and the folder.
fn extracts(words: &[&str]) -> Option<Vec<String>> {
    let program = words.first()?.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    if !["tar", "bsdtar"].contains(&program) {
        return None;
    }
    let (mut command, mut opens, mut skip) = (vec![program.to_owned()], false, false);
    for word in &words[1..] {
        // The end of what was quoted, but for the quoted star.
        let (word, ended) =
            word.split_once(['`', ')']).map_or((*word, word.ends_with('\'') && !word.contains('*')), |(word, _)| (word, true));
        let bare: String = word.chars().filter(|c| !"'\"\\,;".contains(*c)).collect();
        match bare.as_str() {
            _ if std::mem::take(&mut skip) => {}
            "-C" => skip = true,
            option if option.starts_with("--") => command.push(option.to_owned()),
            option if option.starts_with("-x") => {
                opens = true;
                skip = option.ends_with('f') && !ended;
                command.push(option.trim_end_matches('f').to_owned());
            }
            _ => break,
        }
        if ended {
            break;
        }
    }
    opens.then_some(command)
}

#[test]
fn every_documented_tar_keeps_the_numbers_of_owners() {
    let mut read = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    READ.iter().for_each(|name| files(&root.join(name), &mut read));
    let mut commands = BTreeSet::new();
    for (file, text) in read.iter().filter_map(|file| Some((file, fs::read_to_string(file).ok()?))) {
        for line in text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            for command in (0..words.len()).filter_map(|at| extracts(&words[at..])) {
                let has = |option: &str| command.iter().any(|given| given == option);
                // What goes to a folder is a restore, and capabilities and ACLs belong to it.
                let all = !line.contains("-C ") || has("--xattrs") && has("--acls");
                assert!(has("--numeric-owner") && all, "{}: {line}", file.display());
                commands.insert(command);
            }
        }
    }
    let programs: BTreeSet<_> = commands.iter().map(|command| command[0].as_str()).collect();
    assert!(programs == BTreeSet::from(["tar", "bsdtar"]) && commands.len() > 3, "{commands:?}");

    if !is_root() && lacking("owners", "only root can give files away") {
        return;
    }
    // As a Pi would have made it on which `root` is the name of number 998.
    let lab = Lab::new();
    let _ = lab.file("served", "data");
    let owner = ["--owner=root:998", "--group=root:101"];
    for (tar, how) in [("plain.tar", None), ("packed.tar.zst", Some("--zstd"))] {
        let _ = lab.cmd("tar").args(owner).args(how).args(["-cf", tar, "served"]).run().succeeds();
    }
    for (n, command) in commands.iter().enumerate() {
        let into = lab.dir(&format!("by {n}"));
        let from = if command.contains(&"--zstd".to_owned()) || command[0] == "bsdtar" { "packed.tar.zst" } else { "plain.tar" };
        let _ = lab.cmd(&command[0]).args(&command[1..]).args(["-f", from, "-C"]).arg(&into).run().succeeds();
        let meta = fs::metadata(into.join("served")).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (998, 101), "{command:?}");
    }
    // And it is the option that does it.
    let into = lab.dir("without");
    let _ = lab.cmd("tar").args(["-xpf", "plain.tar", "-C"]).arg(&into).run().succeeds();
    assert_eq!(fs::metadata(into.join("served")).unwrap().uid(), 0);
}
