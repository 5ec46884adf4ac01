use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use super::*;
use crate::snapshot::leftovers;

/// Volumes `/a` and `/b`, of which the call that `fails` names fails; checks with each call that the note is as it must be.
struct Fake {
    state: tempfile::TempDir,
    disk: Cell<u64>,
    fails: BTreeSet<String>,
    calls: RefCell<Vec<String>>,
    times: RefCell<BTreeMap<String, usize>>,
    there: RefCell<BTreeSet<String>>,
}

impl Fake {
    fn new(fails: &[&str]) -> Self {
        let fails = fails.iter().map(ToString::to_string).collect();
        Self {
            state: tempfile::tempdir().unwrap(),
            disk: Cell::new(1),
            fails,
            calls: RefCell::default(),
            times: RefCell::default(),
            there: RefCell::default(),
        }
    }

    fn call(&self, call: String, path: &Path) -> Result<(), SnapshotError> {
        let mut all = self.times.borrow_mut();
        let times = all.entry(call.clone()).and_modify(|times| *times += 1).or_insert(1);
        let fails = self.fails.contains(&format!("{call} {times}")) || self.fails.contains(&call);
        self.calls.borrow_mut().push(call);
        if fails { Err(SnapshotError::Mount { path: path.into() }) } else { Ok(()) }
    }

    fn noted(&self) -> Vec<String> {
        note::read(self.state.path()).unwrap().into_iter().map(|noted| noted.name).collect()
    }

    fn prepare(&self) -> (Held<'_>, Vec<String>) {
        let sources = ["/a/1", "/other", "/b", "/a/2"].map(PathBuf::from);
        Held::prepare(self, self.state.path(), &"job/2026-11-22T040000Z".parse().unwrap(), &sources)
    }

    fn calls(&self) -> Vec<String> {
        self.calls.take()
    }
}

impl Snapshots for Fake {
    fn offered(&self, source: &Path) -> Result<Option<Volume>, SnapshotError> {
        self.call(format!("offered {}", source.display()), source)?;
        let root: PathBuf = source.components().take(2).collect();
        if root == Path::new("/other") {
            return Ok(None);
        }
        Ok(Some(Volume { home: root.join("home"), root, disk: self.disk.get() }))
    }

    fn take(&self, volume: &Volume, name: &str) -> Result<PathBuf, SnapshotError> {
        assert!(self.noted().iter().any(|noted| noted == name), "{name} is taken and not noted");
        self.there.borrow_mut().insert(name.to_owned());
        self.call(format!("take {}", volume.root.display()), &volume.root)?;
        Ok(volume.home.join(name))
    }

    fn remove(&self, volume: &Volume, name: &str) -> Result<(), SnapshotError> {
        assert!(self.noted().iter().any(|noted| noted == name), "{name} is struck off the note and may be there");
        self.call(format!("remove {}", volume.root.display()), &volume.root)?;
        self.there.borrow_mut().remove(name);
        Ok(())
    }
}

#[test]
fn tries_out_takes_and_removes() {
    let fake = Fake::new(&[]);
    let (mut held, warnings) = fake.prepare();
    assert_eq!(warnings, [""; 0]);
    let tried = "offered /a/1,offered /other,offered /b,offered /a/2,take /a,remove /a,take /b,remove /b";
    assert_eq!(fake.calls().join(","), tried);
    assert_eq!(["/a/1", "/other", "/b", "/a/2"].map(|source| held.offers(Path::new(source))), [true, false, true, true]);
    assert_eq!(held.at(Path::new("/b")), None);
    assert_eq!(held.take(), [""; 0]);
    assert_eq!(fake.calls().join(","), "offered /a/1,offered /a/2,take /a,offered /b,take /b");
    let at = |source: &str| held.at(Path::new(source)).map(|at| at.display().to_string());
    assert_eq!(at("/a/2").as_deref(), Some("/a/home/job-2026-11-22T040000Z-1/2"));
    assert_eq!(at("/b").as_deref(), Some("/b/home/job-2026-11-22T040000Z-2"));
    assert_eq!(at("/other"), None);
    // Another of the same archive beside it: each has names of its own.
    let (mut beside, _) = fake.prepare();
    beside.take();
    assert_eq!(beside.at(Path::new("/b")), Some("/b/home/job-2026-11-22T040000Z-4".into()));
    assert_eq!(beside.release(), [""; 0]);
    assert_eq!(fake.noted(), ["job-2026-11-22T040000Z-1", "job-2026-11-22T040000Z-2"]);
    fake.calls();
    // A part of a source; and what has left the volume is not read from where it is now.
    assert_eq!(at("/a/2/x").as_deref(), Some("/a/home/job-2026-11-22T040000Z-1/2/x"));
    held.shares[0].sources.push("/elsewhere".into());
    assert_eq!(held.at(Path::new("/elsewhere")), Some("/a/home/job-2026-11-22T040000Z-1/elsewhere".into()));
    assert_eq!(held.at(Path::new("/a/22")), None);
    assert_eq!(held.exclude(Path::new("/b")), Some("/b/home".into()));
    assert_eq!(held.exclude(Path::new("/a/1")), None);
    assert_eq!(held.release(), [""; 0]);
    assert_eq!(fake.calls().join(","), "remove /a,remove /b");
    assert!(fake.there.borrow().is_empty() && fake.noted().is_empty());
}

#[test]
fn without_anything_to_take_nothing_is_noted() {
    let fake = Fake::new(&["offered /a/1", "offered /a/2", "offered /b"]);
    let (mut held, warnings) = fake.prepare();
    let why = |source| format!("{source} is read without a snapshot: cannot find the mount that holds {source}");
    assert_eq!(warnings, [why("/a/1"), why("/b"), why("/a/2")]);
    assert!(!fake.state.path().join("snapshots.json").exists());
    assert_eq!((held.take(), held.release()), (Vec::new(), Vec::new()));
}

#[test]
fn what_fails_beforehand_is_read_without() {
    for fails in ["take /a", "remove /a 1"] {
        let fake = Fake::new(&[fails]);
        let (mut held, warnings) = fake.prepare();
        let why = |source| format!("{source} is read without a snapshot: cannot find the mount that holds /a");
        assert_eq!(warnings, [why("/a/1"), why("/a/2")], "{fails}");
        fake.calls();
        assert_eq!(held.take(), [""; 0]);
        assert_eq!(fake.calls().join(","), "offered /b,take /b");
        assert!(!held.offers(Path::new("/a/1")) && held.at(Path::new("/a/1")).is_none() && held.at(Path::new("/b")).is_some());
        // A call that failed may have left something all the same.
        assert_eq!(held.release(), [""; 0]);
        assert!(fake.there.borrow().is_empty() && fake.noted().is_empty(), "{fails}");
    }
}

#[test]
fn what_fails_or_changes_with_services_away_is_read_without() {
    for (fails, why) in [("take /a 2", "/a"), ("offered /a/2 2", "/a/2")] {
        let fake = Fake::new(&[fails]);
        let (mut held, warnings) = fake.prepare();
        assert_eq!(warnings, [""; 0]);
        let why = |source| format!("{source} is read without a snapshot: cannot find the mount that holds {why}");
        assert_eq!(held.take(), [why("/a/1"), why("/a/2")]);
        assert!(held.at(Path::new("/a/1")).is_none() && held.at(Path::new("/b")).is_some());
        // Dropped, as by a run that fails.
        drop(held);
        assert!(fake.there.borrow().is_empty() && fake.noted().is_empty());
    }
}

#[test]
fn another_volume_in_its_place_is_not_taken() {
    let fake = Fake::new(&[]);
    let (mut held, _) = fake.prepare();
    fake.disk.set(2);
    let said = held.take();
    assert_eq!(said.len(), 3);
    assert_eq!(said[2], "/b is read without a snapshot: /b is on another volume than when the run began");
    assert!(held.at(Path::new("/b")).is_none());
}

#[test]
fn what_cannot_be_removed_stays_noted() {
    let fake = Fake::new(&["remove /a 2", "remove /a 3"]);
    let (mut held, _) = fake.prepare();
    held.take();
    let said = "the snapshot /a/home/job-2026-11-22T040000Z-1 is still there and takes room: cannot find the mount that holds /a";
    assert_eq!(held.release(), [said]);
    assert_eq!(fake.noted(), ["job-2026-11-22T040000Z-1"]);
    assert_eq!(leftovers(&fake, fake.state.path()), [said]);
    // Kept out of archives as long as it is there.
    let (held, _) = Held::prepare(&fake, fake.state.path(), &"job/2026-11-23T040000Z".parse().unwrap(), &[]);
    assert_eq!(held.exclude(Path::new("/a")), Some("/a/home".into()));
    drop(held);
    assert_eq!(leftovers(&fake, fake.state.path()), [""; 0]);
    assert!(fake.there.borrow().is_empty() && !fake.state.path().join("snapshots.json").exists());
}

#[test]
fn a_note_that_nobody_understands_is_left_and_told() {
    let fake = Fake::new(&[]);
    let path = fake.state.path().join("snapshots.json");
    std::fs::write(&path, "[{").unwrap();
    let (held, warnings) = fake.prepare();
    assert!(warnings.len() == 3 && warnings[0].contains("/snapshots.json: EOF while parsing"), "{warnings:?}");
    assert!(!held.offers(Path::new("/b")));
    drop(held);
    let said = leftovers(&fake, fake.state.path());
    assert!(said.len() == 1 && said[0].starts_with("snapshots may be left behind: cannot understand the note of snapshots"), "{said:?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "[{");
}
