//! Killed at any moment and started again, the daemon ends where an undisturbed one does.
//!
//! The state of a place changes only when a name in it appears, moves or goes, or when a line is written to the journal; so the daemon is
//! killed right before each of these, and between packets. Each time everything begins from the same copy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use offsite_tests::tree::{make_tree, mutate};
use offsite_tests::{Held, Home, Kill, Lab, Mac, Pi, lacking};

/// A night that is owed: three archives on the Pi of which the Mac and the disk have none; or, if it is `rotating`, two new ones, and
/// in both places two that the rule then lets go, with a pack that nobody needs any more and one of which little is needed.
struct Scene<'a> {
    lab: &'a Lab,
    mac: Mac<'a>,
    _pi: Pi,
}

impl<'a> Scene<'a> {
    fn new(lab: &'a Lab, rotating: bool) -> Option<Self> {
        if !lab.cmd("strace").args(["-o", "/dev/null", "true"]).run().succeeded() && lacking("strace", "it cannot be run") {
            return None;
        }
        let home = Home::new(lab);
        let pi = home.pi()?;
        let clouds = Mac::disk(lab, "disk", if rotating { ", keep: 6" } else { "" });
        let mac = Mac::new(lab, &home.entry(&pi), &clouds, if rotating { "keep: 6\n" } else { "" });
        // The rule lets a third of what is kept go in one night.
        let last = if rotating { 8 } else { 3 };
        for night in 1..=last {
            if rotating {
                fresh(&home.source(), night)
            } else {
                usual(&home.source(), night)
            }
            let _ = home.archive();
            if rotating && night <= 6 {
                let _ = mac.offsite(&["sync"]).succeeds();
            }
        }
        let scene = Self { lab, mac, _pi: pi };
        scene.owe();
        for name in ["mac", "disk"] {
            scene.copy(name, &format!("{name}.before"));
        }
        Some(scene)
    }

    /// Whatever was settled was settled long ago.
    fn owe(&self) {
        let journal = self.mac.state().join("journal.jsonl");
        let Ok(text) = std::fs::read_to_string(&journal) else { return };
        let settled = self.mac.receipts_of("ran").iter().find_map(|ran| Some(ran["owed"].as_str()?.to_owned())).unwrap();
        std::fs::write(journal, text.replace(&format!("\"owed\":\"{settled}\""), "\"owed\":\"2020-01-01\"")).unwrap();
    }

    fn copy(&self, from: &str, to: &str) {
        let (from, to) = (self.lab.join(from), self.lab.join(to));
        if to.exists() {
            std::fs::remove_dir_all(&to).unwrap();
        }
        let _ = self.lab.cmd("cp").arg("-a").arg(from).arg(to).run().succeeds();
    }

    fn again(&self) {
        for name in ["mac", "disk"] {
            self.copy(&format!("{name}.before"), name);
        }
    }

    fn disk(&self) -> PathBuf {
        self.lab.join("disk")
    }

    /// The names of what was in both places and is not any more.
    fn gone(&self) -> BTreeSet<String> {
        let places = [("mac.before/repository", self.mac.repository()), ("disk.before", self.disk())];
        let gone = places.into_iter().flat_map(|(before, now)| {
            let before = self.lab.join(before);
            files(&before).into_iter().filter(move |file| !now.join(file.strip_prefix(&before).unwrap()).exists())
        });
        gone.map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    /// Where everything has come to: what both places hold, and of which archives the journal tells that they came and went on.
    fn end(&self) -> End {
        let told = |kind: &str| {
            let mut names: Vec<_> =
                self.mac.receipts_of(kind).iter().map(|receipt| receipt["archive"].as_str().unwrap().to_owned()).collect();
            names.sort();
            names.dedup();
            names
        };
        End {
            mac: Held::read(&self.mac.repository(), None),
            disk: Held::read(&self.disk(), Some(&self.mac.paper())),
            pulled: told("pulled"),
            pushed: told("pushed"),
            plain: files(&self.mac.repository().join("plain")),
            wrong: self
                .mac
                .receipts()
                .into_iter()
                .filter(|r| ["failed", "lost", "suspicious"].contains(&r["kind"].as_str().unwrap()))
                .collect(),
        }
    }

    /// Kills the daemon at each place, and fails if another run does not then bring everything to the same end. Gives how many of
    /// the places it came to.
    fn sweep(&self, kills: &[Kill]) -> usize {
        let mut bad = Vec::new();
        let _ = self.mac.offsite(&["daemon"]).succeeds();
        let undisturbed = self.end();
        assert!(undisturbed.mac.wrong.is_empty() && undisturbed.disk.wrong.is_empty() && undisturbed.wrong.is_empty(), "{undisturbed:?}");
        let mut reached = 0;
        for kill in kills {
            self.again();
            if !kill.run(self.mac.cmd().arg("daemon")) {
                continue;
            }
            reached += 1;
            let _ = self.mac.offsite(&["daemon"]).succeeds();
            let differences = self.end().differences(&undisturbed);
            if !differences.is_empty() {
                bad.push(format!("killed at {kill:?}:\n{}", differences.join("\n")));
                continue;
            }
            let settled = self.mac.receipts();
            assert_eq!(settled.last().unwrap()["outcome"], "fine", "{kill:?}");
            let _ = self.mac.offsite(&["daemon"]).succeeds();
            assert_eq!(self.mac.receipts(), settled, "nothing more is owed after {kill:?}");
        }
        assert!(bad.is_empty(), "{}", bad.join("\n\n"));
        reached
    }
}

#[derive(Debug)]
struct End {
    mac: Held,
    disk: Held,
    pulled: Vec<String>,
    pushed: Vec<String>,
    plain: Vec<PathBuf>,
    wrong: Vec<serde_json::Value>,
}

impl End {
    /// What is not as in `other`, in words.
    fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, a, b) in [("mac", &self.mac, &other.mac), ("disk", &self.disk, &other.disk)] {
            found.extend((a.archives != b.archives).then(|| format!("{name} holds {:?} instead of {:?}", a.archives, b.archives)));
            found.extend((a.frames != b.frames).then(|| format!("{name} holds {} frames instead of {}", a.frames.len(), b.frames.len())));
            found.extend(a.wrong.iter().map(|wrong| format!("{name}: {wrong}")));
        }
        for (name, a, b) in [("pulled", &self.pulled, &other.pulled), ("pushed", &self.pushed, &other.pushed)] {
            found.extend((a != b).then(|| format!("receipts say that {a:?} were {name} instead of {b:?}")));
        }
        found.extend((self.plain != other.plain).then(|| format!("plain copies: {:?} instead of {:?}", self.plain, other.plain)));
        found.extend(self.wrong.iter().map(ToString::to_string));
        found
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect();
    found.sort();
    found
}

/// A tree and small changes.
fn usual(root: &Path, night: u64) {
    if night == 1 { make_tree(root, 7, 200_000) } else { mutate(root, night) }
}

/// All but one file is new every night.
fn fresh(root: &Path, night: u64) {
    for n in 0..4 {
        let mut bytes = vec![0; 300_000];
        blake3::Hasher::new().update(&[n, if n == 0 { 0 } else { night.to_le_bytes()[0] }]).finalize_xof().fill(&mut bytes);
        std::fs::write(root.join(format!("file {n}")), bytes).unwrap();
    }
}

/// The n-th change in each folder of both repositories.
fn folders(scene: &Scene<'_>, call: &'static str, below: &[&str], nth: std::ops::RangeInclusive<u32>) -> Vec<Kill> {
    let roots = [scene.mac.repository(), scene.disk()];
    let places = roots.iter().flat_map(|root| below.iter().map(|folder| root.join(folder)));
    places.flat_map(|on| nth.clone().map(move |nth| Kill { call, on: vec![on.clone()], nth })).collect()
}

#[test]
fn a_daemon_killed_at_a_first_pull_and_push_ends_as_an_undisturbed_one() {
    let lab = Lab::new();
    let Some(scene) = Scene::new(&lab, false) else { return };
    let below = ["packs", "index", "manifests", "manifests/services", "plain/services", "slots", ""];
    // One of each archive. Some folders are of one layout only, and a later change may be another thread's.
    let reached = scene.sweep(&folders(&scene, "renameat2", &below, 1..=3));
    assert!(reached >= 14, "only {reached}");
}

#[test]
fn a_daemon_killed_while_it_forgets_and_prunes_ends_as_an_undisturbed_one() {
    let lab = Lab::new();
    let Some(scene) = Scene::new(&lab, true) else { return };
    let said = scene.mac.offsite(&["sync"]).succeeds();
    for happened in ["forgot services/", "pruned mac: ", "pruned disk: "] {
        said.says(happened);
    }
    // Each name that goes, whichever thread removes it; a pack goes by the name of its index object, and after it.
    let gone = scene.gone();
    assert!(gone.len() >= 8, "{gone:?}");
    scene.again();
    let kills = gone.iter().flat_map(|name| [1, 2].map(|nth| Kill { call: "unlinkat", on: vec![name.into()], nth }));
    let mut kills: Vec<Kill> = kills.collect();
    kills.extend(folders(&scene, "unlinkat,renameat2", &["packs", "index"], 1..=2));
    let reached = scene.sweep(&kills);
    assert!(reached >= gone.len(), "only {reached} of {}", kills.len());
}

#[test]
fn a_daemon_killed_between_packets_and_receipts_ends_as_an_undisturbed_one() {
    let lab = Lab::new();
    let Some(scene) = Scene::new(&lab, false) else { return };
    let journal = scene.mac.state().join("journal.jsonl");
    let mut kills: Vec<Kill> = (1..=10).map(|nth| Kill { call: "write", on: vec![journal.clone()], nth }).collect();
    kills.extend([1, 4, 9, 16, 25].map(|nth| Kill { call: "recvfrom", on: Vec::new(), nth }));
    let reached = scene.sweep(&kills);
    assert!(reached >= 10, "only {reached}");
}
