//! Killed at every point, and what is left is brought back by `resume` or by the next night.

use anyhow::{Result, ensure};
use offsite_tests::{Lab, Outcome, Then, trace};

use super::sweep::{Hit, came_by, changes, said, sweep, words};
use super::world::{LAYOUTS, World};

/// Runs the agent with `args` and kills it at its `number`th point; with `owed`, of those while there is a ledger that change the
/// state folder or the engine.
fn kill(world: &World<'_>, args: &[&str], number: usize, owed: bool, how: Then) -> Option<(String, Outcome)> {
    let (mut count, mut point) = (0, None);
    let outcome = trace(world.cmd(args), |call| {
        // What was not synced is lost with power only: there is nothing between a sync and the next call.
        if !changes(call, world.root()) || !world.differs(call) || call.name.contains("sync") {
            return Then::Go;
        }
        if owed && !(world.owes() && (!call.own || call.path.starts_with(world.state()))) {
            return Then::Go;
        }
        count += 1;
        if count < number {
            return Then::Go;
        }
        point = Some(words(call, world.root()));
        how
    });
    point.map(|point| (point, outcome))
}

fn killed_night(world: &World<'_>, number: usize) -> Hit {
    let (point, outcome) = kill(world, &["run", "services"], number, false, Then::Kill)?;
    let result = was_killed(&outcome).and_then(|()| {
        let archives = world.archives()?;
        // Between its beginning and its end, from right after the hot pass on.
        let unended = || world.agent(&["check"]).out.contains("warning  job services: the run that began at ");
        ensure!(!point.contains("disk/state/ledger") || unended(), "check does not say that it did not end");
        world.resume()?;
        world.next_night(&archives)
    });
    Some((point, said(result, &outcome)))
}

fn was_killed(outcome: &Outcome) -> Result<()> {
    ensure!(outcome.code.is_none(), "it was not killed: {outcome:?}");
    Ok(())
}

/// What a night must pass by, whatever else it does.
const NIGHT: &[(&str, &str)] = &[
    ("rename", "disk/state/ledger.json"),
    ("engine: open", "engine/containers/home.db.1"),
    ("engine: execve", "engine/docker"),
    ("write", "disk/repository/.tmp-"),
    ("unlink", "disk/state/ledger.json"),
    ("rename", "disk/repository/archives/services/"),
    ("rename", "disk/repository/manifests/services/"),
    ("unlink", "disk/repository/"),
    ("write", "disk/state/journal.jsonl"),
    ("exit", ""),
];

/// Of that, what a disk notices.
pub(crate) const NIGHT_ON_DISK: &[(&str, &str)] = &[
    ("rename", "disk/state/ledger.json"),
    ("engine: open", "engine/containers/home.db.1"),
    ("unlink", "disk/state/ledger.json"),
    ("rename", "disk/repository/archives/services/"),
    ("rename", "disk/repository/manifests/services/"),
    ("fsync", "disk/state/journal.jsonl"),
    ("after the end", ""),
];

/// What a night in packs does otherwise than one of plain archives.
pub(crate) const PACKS: &[(&str, &str)] = &[
    ("rename", "disk/state/unpruned"),
    ("rename", "disk/repository/packs/"),
    ("rename", "disk/repository/index/"),
    ("rename", "disk/repository/manifests/services/"),
    ("unlink", "disk/repository/manifests/services/"),
    ("unlink", "disk/repository/index/"),
    ("unlink", "disk/repository/packs/"),
    ("unlink", "disk/state/unpruned"),
];

#[test]
fn an_agent_killed_at_any_point_of_a_night_leaves_what_resume_and_the_next_night_need() {
    let lab = Lab::new();
    for (layout, night) in LAYOUTS.into_iter().zip([NIGHT, PACKS]) {
        let points = sweep(&lab, layout, |_| {}, killed_night);
        came_by(&points, night);
    }
}

/// Services are away for reading only.
#[test]
fn the_archive_is_written_when_the_last_service_is_back() {
    let lab = Lab::new();
    for layout in LAYOUTS {
        let (world, mut points) = (World::new(&lab, layout, layout), Vec::new());
        let outcome = trace(world.cmd(&["run", "services"]), |call| {
            if changes(call, world.root()) {
                points.push(words(call, world.root()));
            }
            Then::Go
        });
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let back = points.iter().rposition(|point| point.starts_with("engine: ") && point.contains("engine/containers/"));
        let written = points.iter().position(|point| point.starts_with("write disk/repository/.tmp-"));
        assert!(back.is_some() && written.is_some() && back < written, "{layout}: back at {back:?}, written at {written:?}");
    }
}

#[test]
fn the_next_night_itself_brings_back_what_a_machine_that_died_left_stopped() {
    let lab = Lab::new();
    let points = sweep(
        &lab,
        "plain",
        |_| {},
        |world, number| {
            // The engine dies too, in the middle of what it was doing. What else there is, is as in the test above.
            let (point, outcome) = kill(world, &["run", "services"], number, true, Then::KillAll)?;
            let result = was_killed(&outcome).and_then(|()| world.next_night(&world.archives()?));
            Some((point, said(result, &outcome)))
        },
    );
    came_by(&points, &[("engine: write", "engine/containers/home.db.1"), ("unlink", "disk/state/ledger.json")]);
}

/// A night that ends while services are away.
fn cut_short(world: &World<'_>) {
    let outcome = trace(world.cmd(&["run", "services"]), |call| {
        let reading = call.own && call.path.starts_with(world.source()) && world.engine.running().is_empty();
        if reading { Then::KillAll } else { Then::Go }
    });
    assert_eq!(outcome.code, None, "{outcome:?}");
    assert!(world.owes());
    world.keep_base();
}

#[test]
fn a_resume_killed_at_any_point_leaves_what_another_one_needs() {
    let lab = Lab::new();
    let points = sweep(&lab, "plain", cut_short, |world, number| {
        let how = if number % 2 == 0 { Then::Kill } else { Then::KillAll };
        let (point, outcome) = kill(world, &["resume", "--wait"], number, false, how)?;
        let result = was_killed(&outcome).and_then(|()| world.resume());
        Some((point, said(result, &outcome)))
    });
    came_by(&points, &[("engine: write", "engine/containers/home.web.2"), ("unlink", "disk/state/ledger.json"), ("exit", "")]);
}
