//! Sources that do not hold still, or cannot be read: what the archive says of itself is so.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use offsite_tests::tree::compare_trees;
use offsite_tests::{Call, Lab, Outcome, Then, can_fail, trace};
use serde_json::Value;

use super::sweep::{came_by, said, sweep};
use super::world::World;

const EIO: i32 = 5;

/// The `number`th call that reads something at `path` or below, in words; `act` says what becomes of it.
fn at_read(world: &World<'_>, path: &Path, number: usize, mut act: impl FnMut() -> Then) -> Option<(String, Outcome)> {
    let (mut count, mut point) = (0, None);
    let outcome = trace(world.cmd(&["run", "services"]), |call: &Call| {
        if !call.own || call.changes || !call.path.starts_with(path) || point.is_some() {
            return Then::Go;
        }
        count += 1;
        if count < number {
            return Then::Go;
        }
        point = Some(format!("{} {}", call.name, call.path.strip_prefix(world.source()).unwrap().display()));
        act()
    });
    point.map(|point| (point, outcome))
}

/// Of the file that is being disturbed: where it is, and a copy of what it was.
fn disturbed(world: &World<'_>) -> (PathBuf, PathBuf) {
    (world.source().join("home/data/db"), world.root().join("before"))
}

/// The archive of a run that was disturbed: tar opens it; all that was left in peace is in it as it is; and the rest is as it was or as
/// it is now, or the archive says that something is wrong with it.
fn told(world: &World<'_>, outcome: &Outcome) -> Result<Option<Value>> {
    ensure!(world.engine.running() == world.all_running(), "these run: {:?}", world.engine.running());
    let (file, before) = disturbed(world);
    if outcome.code == Some(1) {
        ensure!(outcome.err.contains("home/data"), "it does not say what cannot be read");
        return Ok(None);
    }
    let list = world.listed()?;
    let newest = list.last().cloned().context("no archive")?;
    let name = newest["archive"].as_str().context("a name")?.rsplit('/').next().context("a name")?.to_owned();
    ensure!(!world.archives_before().contains(&name), "no new archive");
    let is_complete = newest["complete"] == true;
    ensure!(outcome.code == Some(if is_complete { 0 } else { 3 }), "complete: {is_complete}");
    let warns = newest["warnings"].as_array().is_some_and(|warnings| warnings.iter().any(|warning| warning.to_string().contains("data")));
    ensure!(is_complete || warns, "incomplete without a reason: {newest}");
    let copy = world.unpacked(&name)?;
    let same = |other: &Path| std::fs::read(copy.join("home/data/db")).ok() == std::fs::read(other).ok();
    ensure!(warns || same(&file) || same(&before), "neither what it was nor what it is, and not a word of it: {newest}");
    let others = |difference: &String| !difference.starts_with("home/data/db:") && !difference.starts_with("home/data: mtime");
    let others: Vec<String> = compare_trees(&world.source(), &copy).into_iter().filter(others).collect();
    ensure!(warns || others.is_empty(), "others suffered: {others:?}");
    Ok(Some(newest))
}

#[test]
fn what_cannot_be_read_is_missed_by_name() {
    if !can_fail() {
        return;
    }
    let lab = Lab::new();
    let points = sweep(&lab, "plain", put_back, |world, number| {
        let data = world.source().join("home/data");
        let (point, outcome) = at_read(world, &data, number, || Then::Fail(EIO))?;
        let result = told(world, &outcome).and_then(|_| world.resume());
        Some((point, said(result, &outcome)))
    });
    came_by(&points, &[("open", "data/db"), ("read", "data/db"), ("getdents", "data/photos")]);
}

/// What happens to a file while it is read.
type Happens = fn(&Path);

fn put_back(world: &World<'_>) {
    let (file, before) = disturbed(world);
    if !before.exists() {
        std::fs::copy(&file, &before).unwrap();
    }
    std::fs::copy(&before, &file).unwrap();
}

fn sweep_changes(happens: Happens, check: fn(&Value) -> bool) {
    let lab = Lab::new();
    let points = sweep(
        &lab,
        "plain",
        |_| {},
        |world, number| {
            put_back(world);
            let (file, _) = disturbed(world);
            let (point, outcome) = at_read(world, &file, number, || {
                happens(&file);
                Then::Go
            })?;
            let result = told(world, &outcome).and_then(|archive| {
                ensure!(archive.as_ref().is_none_or(check), "of this is said: {archive:?}");
                world.resume()
            });
            Some((point, said(result, &outcome)))
        },
    );
    came_by(&points, &[("open", "data/db"), ("read", "data/db")]);
}

#[test]
fn a_file_that_vanishes_while_it_is_read_is_whole_or_missing_and_no_other_suffers() {
    sweep_changes(|file| std::fs::remove_file(file).unwrap(), |_| true);
}

#[test]
fn a_file_that_grows_while_it_is_read_does_not_break_the_archive() {
    let grows: Happens = |file| {
        use std::io::Write as _;
        std::fs::OpenOptions::new().append(true).open(file).unwrap().write_all(&[7; 300_000]).unwrap();
    };
    // Nothing that was there at the beginning is missing.
    sweep_changes(grows, |archive| archive["complete"] == true);
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_not_passed_off_as_whole() {
    let shrinks: Happens = |file| std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(100).unwrap();
    sweep_changes(shrinks, |_| true);
}

#[test]
fn a_file_that_is_replaced_while_it_is_read_is_the_one_or_the_other() {
    let replaced: Happens = |file| {
        let beside = file.with_file_name("db.new");
        std::fs::write(&beside, vec![9; 200_000]).unwrap();
        std::fs::rename(&beside, file).unwrap();
    };
    sweep_changes(replaced, |archive| archive["complete"] == true);
}
