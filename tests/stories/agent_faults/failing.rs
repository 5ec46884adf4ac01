//! A disk that fails: at every point of a night once (EIO, ENOSPC), and from every point on for good (full).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use offsite_tests::{CAN_FAIL, Call, Lab, Outcome, Then, lacking, trace};

use super::sweep::{Hit, came_by, changes, said, sweep, words};
use super::world::{World, names};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Calls that need room on the disk. The others fail with an error of the disk itself.
fn needs_room(call: &Call) -> bool {
    ["write", "open", "mkdir", "rename", "link", "copy_file_range", "sendfile", "ioctl", "ftruncate", "fallocate"].contains(&call.name)
}

fn can_fail(call: &Call, root: &Path) -> bool {
    call.own && !["exit", "kill", "execve"].contains(&call.name) && changes(call, root)
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
        if !can_fail(call, world.root()) || (for_good && !needs_room(call)) {
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

#[test]
fn an_error_of_the_disk_at_any_point_of_a_night_is_told_and_harms_nothing() {
    if !CAN_FAIL && lacking("failing system calls", "they can be had only on x86-64") {
        return;
    }
    let lab = Lab::new();
    let points = sweep(&lab, |_| {}, |world, number| failing_night(world, number, false));
    came_by(
        &points,
        &[
            ("fsync", "disk/state/ledger"),
            ("write", "disk/repository/.tmp-"),
            ("rename", "disk/repository/manifests/services/"),
            ("unlink", "disk/state/ledger.json"),
        ],
    );
}

#[test]
fn a_disk_that_is_full_from_any_point_of_a_night_on_is_told_and_harms_nothing() {
    if !CAN_FAIL && lacking("failing system calls", "they can be had only on x86-64") {
        return;
    }
    let lab = Lab::new();
    let points = sweep(&lab, |_| {}, |world, number| failing_night(world, number, true));
    came_by(&points, &[("write", "disk/state/ledger"), ("write", "disk/repository/.tmp-"), ("write", "disk/state/journal.jsonl")]);
}
