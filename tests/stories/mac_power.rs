//! Power goes at the Mac, at each point of its life that its own files have: what the disk holds then is what the next command finds.
//!
//! One life (a key, two nights of which the second forgets and prunes, a new paper, a `forget`) gives all the cuts; what became of each is
//! looked at afterwards. Two disks: one loses all names that nobody synced, one has all names and loses only bytes.

mod house;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use offsite_repository::LocalStore;
use offsite_repository::seal::{RecoveryKey, SealedOptions, Unlock, open_vault};
use offsite_tests::{Call, Held, Lab, Mac, Then, can_fail, trace};
use serde_json::Value;

use house::{House, Names};

/// Of what neither is a file of the state folder nor removes anything: each how-manieth point of its kind is a cut. A receipt is one on one
/// of the disks, in turns.
const OTHERS: usize = 5;

struct Cut {
    number: usize,
    point: String,
    /// How many of the commands had ended.
    ended: usize,
    /// The journal's receipts whose appending had returned.
    promised: Vec<u8>,
    /// All that was in the journal's file.
    live: Vec<u8>,
}

/// What the undisturbed life showed.
struct Life {
    archives: Vec<String>,
    /// What `key show` says after `key new` and after `key paper`.
    keys: Vec<String>,
}

/// An input/output error, to the kernel.
const EIO: i32 = 5;

/// The commands that are asked for by their number, from 1.
const NEW: usize = 2;
const PAPER: usize = 5;
const FORGET: usize = 6;

/// What the cuts must come by.
const PASSED: &[&str] = &[
    "key new: rename disk/state/key.json",
    "key new: fsync disk/state",
    "sync: fdatasync disk/state/journal.jsonl",
    "sync: rename disk/state/told.json",
    "sync: rename disk/state/rounds.json",
    "sync: fsync disk/repository/",
    "sync: rename disk/repository/",
    "sync: unlink disk/repository/",
    "paper --revoke-old: rename disk/state/key.json",
    "forget services/",
    "after forget services/",
];

/// What changes what a disk keeps, or is about to have kept. Beside a file of the state folder that is only a cache, or news of the moment.
fn orders(call: &Call, root: &Path) -> bool {
    let name = call.path.file_name().unwrap_or_default();
    let passing = ["standing.json", "live.json", "live.new"].iter().any(|file| name == *file);
    call.changes && call.path.starts_with(root) && !passing && (call.name.contains("sync") || ["rename", "unlink"].contains(&call.name))
}

/// Names that came or went and that no sync of their folder followed. ext4 keeps their order, and with one it keeps all before it; not every
/// disk does.
#[derive(Default)]
struct Pending(BTreeSet<PathBuf>);

impl Pending {
    fn see(&mut self, call: &Call, house: &House<'_>) {
        let Ok(below) = call.path.strip_prefix(house.root().join("disk")) else { return };
        if call.name.contains("sync") {
            self.0.retain(|path| path.parent() != Some(below));
        }
        let there = || house.on_disk("").join(below).exists();
        let changes = match call.name {
            "rename" | "unlink" => true,
            "mkdir" => !there(),
            "open" => call.changes && below == Path::new("state/journal.jsonl") && !there(),
            _ => false,
        };
        // What is replaced in the state folder is a memory, but for the key; and what is half written nobody needs.
        let memory = below.starts_with("state")
            && !below.ends_with("state")
            && !["journal.jsonl", "key.json"].iter().any(|name| below.ends_with(name));
        let half = below.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if changes && !memory && !half {
            self.0.insert(below.to_owned());
        }
    }

    #[track_caller]
    fn are_synced(&self, before: &str) {
        assert!(self.0.is_empty(), "not synced before {before}: {:?}", self.0);
    }
}

fn live(house: &House<'_>) -> (Life, Vec<Cut>) {
    let (mut cuts, mut count, mut others, mut appended) = (Vec::new(), 0, BTreeMap::new(), 0);
    let (mut promised, mut busy, mut names) = (Vec::new(), None, Pending::default());
    let journal = house.state().join("journal.jsonl");
    let on_disk = || std::fs::read(house.on_disk("state/journal.jsonl")).unwrap_or_default();
    let mut life = Life { archives: vec![house.archive(1), house.archive(2)], keys: Vec::new() };
    let second = life.archives[1].clone();
    let commands: [&[&str]; 6] =
        [&["init"], &["key", "new"], &["sync"], &["sync"], &["key", "paper", "--revoke-old"], &["forget", &second]];
    for (ended, args) in commands.iter().enumerate() {
        if ended == 3 {
            life.archives.push(house.archive(3));
        }
        let outcome = trace(house.cmd(args), |call| {
            let appends = call.path == journal && (call.name.contains("sync") || ["write", "ftruncate"].contains(&call.name));
            if appends {
                busy = Some(call.thread);
            } else if busy == Some(call.thread) {
                (busy, promised) = (None, on_disk());
                names.are_synced("a receipt");
            }
            names.see(call, house);
            if orders(call, house.root()) {
                let kind = (ended, call.name, call.path.starts_with(house.root().join("cloud")));
                let number = if call.path == journal { &mut appended } else { others.entry(kind).or_insert(0) };
                *number += 1;
                let own = call.name == "unlink" || call.path.starts_with(house.state());
                if if call.path == journal { *number % 2 == house.half() } else { own || *number % OTHERS == 1 } {
                    count += 1;
                    house.cut(count);
                    let point = format!("{}: {} {}", args.join(" "), call.name, call.path.strip_prefix(house.root()).unwrap().display());
                    cuts.push(Cut { number: count, point, ended, promised: promised.clone(), live: on_disk() });
                }
            }
            Then::Go
        });
        let outcome = outcome.succeeds();
        names.are_synced("the end");
        if args[0] == "key" {
            house.write_down(&outcome.out);
            life.keys.push(house.offsite(&["key", "show"]).succeeds().out);
        }
        promised = on_disk();
        count += 1;
        house.cut(count);
        let point = format!("after {}", args.join(" "));
        cuts.push(Cut { number: count, point, ended: ended + 1, promised: promised.clone(), live: promised.clone() });
    }
    (life, cuts)
}

fn receipts(text: &[u8]) -> Result<Vec<Value>> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| Ok(serde_json::from_slice(line)?)).collect()
}

/// The archives that the receipts say are at a place.
fn told(receipts: &[Value], place: &str) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for receipt in receipts {
        let archive = || receipt["archive"].as_str().unwrap().to_owned();
        match receipt["kind"].as_str() {
            Some("pulled") if place == "mac" => drop(told.insert(archive())),
            Some("pushed") if receipt["cloud"] == place => drop(told.insert(archive())),
            Some("forgot") if receipt["place"] == place => {
                receipt["archives"].as_array().unwrap().iter().for_each(|archive| {
                    told.remove(archive.as_str().unwrap());
                });
            }
            _ => {}
        }
    }
    told
}

fn opens(vault: &Path, paper: &Path) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(LocalStore::open(vault).unwrap());
        let key: RecoveryKey = std::fs::read_to_string(paper).unwrap().parse().unwrap();
        open_vault(store, Unlock::Recovery(&key), &SealedOptions::default()).await.is_ok()
    })
}

/// What is there, none of it harmed.
fn held(root: &Path, paper: Option<&Path>) -> Result<Held> {
    let held = Held::read(root, paper);
    let harm: Vec<&String> = held
        .wrong
        .iter()
        .filter(|wrong| !wrong.starts_with("index/") && ["damaged", "cannot be read", "not whole"].iter().any(|w| wrong.contains(w)))
        .collect();
    ensure!(harm.is_empty(), "{}: {harm:?}", root.display());
    Ok(held)
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What must be true right after the power came back.
fn survived(house: &House<'_>, life: &Life, cut: &Cut) -> Result<()> {
    let journal = std::fs::read(house.on_disk("state/journal.jsonl")).unwrap_or_default();
    // ext4 may have made the file longer than what it has of it: what is torn does not count.
    let journal = &journal[..journal.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)];
    ensure!(journal.starts_with(&cut.promised), "the journal has {} bytes of {} that were promised", journal.len(), cut.promised.len());
    ensure!(cut.live.starts_with(journal), "the journal holds what nobody wrote");
    let receipts = receipts(journal)?;
    key(house, life, cut)?;
    for name in ["told.json", "rounds.json", "addresses.json"] {
        let Ok(text) = std::fs::read(house.on_disk("state").join(name)) else { continue };
        ensure!(serde_json::from_slice::<Value>(&text).is_ok(), "{name} is not whole: {} bytes", text.len());
    }
    let far = far(house, cut)?.unwrap_or_default();
    let mac = if house.on_disk("repository/repository.json").exists() {
        let verify = house.offsite(&["verify"]);
        ensure!(verify.succeeded(), "{verify:?}");
        held(&house.on_disk("repository"), None)?.archives
    } else {
        ensure!(cut.ended == 0, "no repository");
        Vec::new()
    };
    plain_copies(house)?;
    ensure!(cut.ended < FORGET || !mac.contains(&life.archives[1]), "what was forgotten is there");
    let status = house.offsite(&["status", "--json"]).json();
    for (place, held) in [("mac", &mac), ("far", &far)] {
        let told = told(&receipts, place);
        ensure!(told.iter().all(|archive| held.contains(archive)), "receipts tell of {told:?} in {place}, which holds {held:?}");
        let places = status["jobs"].as_array().into_iter().flatten().flat_map(|job| job["places"].as_array().unwrap());
        let newest = places.filter(|found| found["place"] == place).find_map(|found| found["newest"].as_str());
        ensure!(
            newest.is_none_or(|newest| held.iter().any(|archive| archive == newest)),
            "status tells of {newest:?} in {place}: {held:?}"
        );
    }
    Ok(())
}

/// It is the one that was shown last, or while another is made one of the two.
fn key(house: &House<'_>, life: &Life, cut: &Cut) -> Result<()> {
    let shown = house.offsite(&["key", "show"]);
    let is = |number: usize| shown.succeeded() && shown.out == life.keys[number];
    let good = match cut.ended + 1 {
        ..=NEW => is(0) || !house.on_disk("state/key.json").exists(),
        PAPER => is(0) || is(1),
        ended => is(usize::from(ended > PAPER)),
    };
    ensure!(good, "{shown:?}");
    Ok(())
}

/// What the cloud holds, for whoever has a paper that is valid.
fn far(house: &House<'_>, cut: &Cut) -> Result<Option<Vec<String>>> {
    if !house.far().join("vault.json").exists() {
        return Ok(None);
    }
    let papers = house.papers();
    let valid = match cut.ended + 1 {
        PAPER => &papers[..],
        ended if ended > PAPER => &papers[1..],
        _ => &papers[..1],
    };
    let paper = valid.iter().find(|paper| opens(&house.far(), paper)).context("no paper opens the vault")?;
    Ok(Some(held(&house.far(), Some(paper))?.archives))
}

/// Those that are there are what the Pi has, byte for byte; gives their names.
fn plain_copies(house: &House<'_>) -> Result<Vec<String>> {
    let folder = house.on_disk("repository/plain/services");
    let names = files(&folder).into_iter().map(|file| format!("services/{}", file.trim_end_matches(".tar.zst")));
    let whole = names.map(|name| {
        let file = folder.join(name.trim_start_matches("services/")).with_extension("tar.zst");
        ensure!(std::fs::read(file)? == std::fs::read(house.pi_file(&name))?, "the plain copy of {name} is not whole");
        Ok(name)
    });
    whole.collect()
}

/// One more night brings everything to where it belongs.
fn settles(house: &House<'_>, life: &Life, cut: &Cut) -> Result<()> {
    // What a person began and did not see end is begun again.
    if cut.ended == 0 {
        let _ = house.offsite(&["init"]).succeeds();
    }
    let shown = house.offsite(&["key", "show"]).out;
    let paper = match life.keys.iter().position(|known| *known == shown) {
        Some(number) => house.papers()[number].clone(),
        None => house.paper("again", &house.offsite(&["key", "new"]).succeeds().out),
    };
    // The receipt comes first: a cut after it leaves the archive, and nobody was told that it went.
    let stayed = house.on_disk(&format!("repository/manifests/{}.zst", life.archives[1])).exists();
    let sync = house.offsite(&["sync"]);
    ensure!(sync.succeeded(), "the next night: {sync:?}");
    let journal = receipts(&std::fs::read(house.on_disk("state/journal.jsonl"))?)?;
    let wrong = journal.iter().find(|receipt| ["failed", "lost", "suspicious"].iter().any(|kind| receipt["kind"] == *kind));
    ensure!(wrong.is_none(), "{wrong:?}");
    // What was forgotten by hand is not pulled again, so that there is room for an older one.
    let by_hand = !stayed && journal.iter().any(|receipt| receipt["by_hand"] == true);
    let all = &life.archives;
    let wanted = [if by_hand { vec![all[0].clone(), all[2].clone()] } else { all[1..].to_vec() }, all[1..].to_vec()];
    for (wanted, held) in wanted.iter().zip([Held::read(&house.on_disk("repository"), None), Held::read(&house.far(), Some(&paper))]) {
        ensure!(held.archives == *wanted && held.wrong.is_empty(), "{wanted:?} are wanted, there is {:?} {:?}", held.archives, held.wrong);
    }
    ensure!(plain_copies(house)? == wanted[0], "plain copies: {:?}", plain_copies(house)?);
    let left = files(&house.on_disk("repository"));
    ensure!(!left.iter().any(|name| name.starts_with('.')), "left over: {left:?}");
    Ok(())
}

fn after(house: &House<'_>, life: &Life, cut: &Cut) -> Result<()> {
    house.look(cut.number);
    survived(house, life, cut)?;
    settles(house, life, cut)
}

#[test]
fn a_power_cut_at_the_mac_loses_nothing_that_was_promised() {
    let lab = Lab::new();
    let lab = &lab;
    let worker = |name, names| {
        let house = House::new(lab, name, names)?;
        let (life, cuts) = live(&house);
        let look = |cut: Cut| (after(&house, &life, &cut), format!("{name}: {}", cut.point));
        Some(cuts.into_iter().map(look).collect::<Vec<_>>())
    };
    let done = std::thread::scope(|scope| {
        let threads = [("late", Names::Wait), ("early", Names::Hurry)].map(|(name, names)| scope.spawn(move || worker(name, names)));
        threads.map(|thread| thread.join().unwrap())
    });
    let [Some(late), Some(early)] = done else { return };
    let found: Vec<_> = late.into_iter().chain(early).collect();
    let wrong: Vec<String> = found.iter().filter_map(|(result, point)| Some(format!("{point}: {:#}", result.as_ref().err()?))).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), found.len(), wrong.join("\n"));
    println!("{} points", found.len());
    for point in PASSED {
        assert!(found.iter().any(|(_, found)| found.contains(point)), "no point {point}");
    }
}

#[test]
fn a_receipt_that_the_disk_refused_is_not_there() {
    if !can_fail() {
        return;
    }
    let lab = Lab::new();
    let mac = Mac::new(&lab, "- {name: pi, host: 127.0.0.1, user: u, path: /p}\n", "", "");
    let journal = mac.state().join("journal.jsonl");
    let asks = || mac.cmd().args(["sync", "--by-daemon"]);
    let mut seen = Vec::new();
    let outcome = trace(asks(), |call| {
        if call.path == journal && call.name == "fdatasync" {
            seen = std::fs::read(&journal).unwrap();
            return Then::Fail(EIO);
        }
        Then::Go
    });
    let _ = outcome.exits(1);
    assert!(!seen.is_empty());
    assert_eq!(mac.receipts(), [Value::Null; 0]);
    let _ = asks().run().succeeds();
    assert_eq!(mac.receipts_of("asked").len(), 1);
}
