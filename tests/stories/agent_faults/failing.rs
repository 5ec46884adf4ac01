//! A disk that fails: at every point of a night once (EIO, ENOSPC), and from every point on for good (full).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use offsite_tests::{Call, Lab, Outcome, Then, can_fail, trace};

use super::killed::PACKS;
use super::sweep::{Hit, came_by, changes, said, sweep, words};
use super::world::{LAYOUTS, World, names};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Calls that need room on the disk. The others fail with an error of the disk itself.
fn needs_room(call: &Call) -> bool {
    ["write", "open", "mkdir", "rename", "link", "copy_file_range", "sendfile", "ioctl", "ftruncate", "fallocate"].contains(&call.name)
}

fn may_fail(call: &Call, world: &World<'_>) -> bool {
    call.own && !["exit", "kill", "execve"].contains(&call.name) && changes(call, world.root()) && world.differs(call)
}

/// The folder whose disk a call is on.
fn disk(world: &World<'_>, path: &Path) -> PathBuf {
    [world.repository(), world.state()].into_iter().find(|disk| path.starts_with(disk)).unwrap_or_else(|| path.to_owned())
}

/// What a run said of itself must be so; and the services must be back already, without anybody's help.
fn truth(world: &World<'_>, outcome: &Outcome, journal_is_broken: bool) -> Result<Vec<serde_json::Value>> {
    let archives = world.archives()?;
    let before = world.archives_before();
    let new: Vec<&serde_json::Value> =
        archives.iter().zip(names(&archives)).filter_map(|(archive, name)| (!before.contains(&name)).then_some(archive)).collect();
    let told = world.outcomes().last().cloned().context("no journal")?;
    match outcome.code {
        Some(0) => {
            ensure!(new.len() == 1 && new[0]["complete"] == true, "success was told, and there is {new:?}");
            ensure!(told == "made", "success was told, and the journal says {told}");
        }
        Some(3) => ensure!(new.len() == 1 && new[0]["complete"] == false, "incomplete was told, and there is {new:?}"),
        Some(1) => {
            ensure!(outcome.err.contains("offsite-agent: "), "it does not say why");
            ensure!(journal_is_broken || told == "failed", "failure was told, and the journal says {told}");
        }
        _ => anyhow::bail!("it ended otherwise"),
    }
    let running = world.engine.running();
    ensure!(running == world.all_running(), "these run: {running:?}");
    Ok(archives)
}

fn failing_night(world: &World<'_>, number: usize, for_good: bool) -> Hit {
    let (mut count, mut point, mut broken) = (0, None, None);
    let outcome = trace(world.cmd(&["run", "services"]), |call| {
        if !may_fail(call, world) || (for_good && !needs_room(call)) {
            return Then::Go;
        }
        if let Some(broken) = &broken {
            return if for_good && call.path.starts_with(broken) { Then::Fail(ENOSPC) } else { Then::Go };
        }
        count += 1;
        if count < number {
            return Then::Go;
        }
        point = Some(words(call, world.root()));
        broken = Some(disk(world, &call.path));
        Then::Fail(if needs_room(call) { ENOSPC } else { EIO })
    });
    let point = point?;
    let in_state = broken.is_some_and(|disk| disk == world.state());
    let journal_is_broken = in_state && (for_good || point.contains("journal") || point.contains("lock") || point.ends_with("state"));
    let result = truth(world, &outcome, journal_is_broken).and_then(|archives| {
        world.resume()?;
        world.next_night(&archives)
    });
    Some((point, said(result, &outcome)))
}

/// Goes through the nights of both layouts; each must come by these points.
fn sweep_failing(for_good: bool, plain: &[(&str, &str)], packs: &[(&str, &str)]) {
    if !can_fail() {
        return;
    }
    let lab = Lab::new();
    for (layout, points) in LAYOUTS.into_iter().zip([plain, packs]) {
        came_by(&sweep(&lab, layout, |_| {}, |world, number| failing_night(world, number, for_good)), points);
    }
}

#[test]
fn an_error_of_the_disk_at_any_point_of_a_night_is_told_and_harms_nothing() {
    let plain = [
        ("fsync", "disk/state/ledger"),
        ("write", "disk/repository/.tmp-"),
        ("rename", "disk/repository/manifests/services/"),
        ("unlink", "disk/state/ledger.json"),
    ];
    sweep_failing(false, &plain, PACKS);
}

#[test]
fn a_disk_that_is_full_from_any_point_of_a_night_on_is_told_and_harms_nothing() {
    let plain = [("write", "disk/state/ledger"), ("write", "disk/repository/.tmp-"), ("write", "disk/state/journal.jsonl")];
    let packs = [("write", "disk/repository/.tmp-"), ("rename", "disk/repository/packs/"), ("write", "disk/state/unpruned")];
    sweep_failing(true, &plain, &packs);
}
