//! Killed at every point, and what is left is brought back by `resume` or by the next night.

use anyhow::{Result, ensure};
use offsite_tests::{Call, Lab, Outcome, Then, trace};

use super::sweep::{Hit, came_by, changes, said, sweep, sweep_in, words};
use super::world::{KEEP, World};

/// Runs the agent with `args` and kills it at its `number`th point.
fn kill(world: &World<'_>, args: &[&str], number: usize, how: Then) -> Option<(String, Outcome)> {
    kill_among(world, args, number, how, |_| true)
}

/// As [`kill`], at one of these points.
fn kill_among(world: &World<'_>, args: &[&str], number: usize, how: Then, among: impl Fn(&Call) -> bool) -> Option<(String, Outcome)> {
    let (mut count, mut point) = (0, None);
    let outcome = trace(world.cmd(args), |call| {
        if !changes(call, world.root()) || !among(call) {
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
    let (point, outcome) = kill(world, &["run", "services"], number, Then::Kill)?;
    let result = was_killed(&outcome).and_then(|()| {
        let archives = world.archives()?;
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
    ("fsync", "disk/state"),
    ("engine: open", "engine/containers/home.db.1"),
    ("engine: execve", "engine/docker"),
    ("write", "disk/repository/.tmp-"),
    ("unlink", "disk/state/ledger.json"),
    ("fsync", "disk/repository/.tmp-"),
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

#[test]
fn an_agent_killed_at_any_point_of_a_night_leaves_what_resume_and_the_next_night_need() {
    let lab = Lab::new();
    let points = sweep(&lab, |_| {}, |world, number| killed_night(world, number));
    came_by(&points, NIGHT);
}

#[test]
fn the_next_night_itself_brings_back_what_a_machine_that_died_left_stopped() {
    let lab = Lab::new();
    let owing = std::sync::atomic::AtomicUsize::new(0);
    sweep(
        &lab,
        |_| {},
        |world, number| {
            // The engine dies too, in the middle of what it was doing.
            let (point, outcome) = kill(world, &["run", "services"], number, Then::KillAll)?;
            if !world.state().join("ledger.json").exists() {
                // As in the test above: nothing is stopped here.
                return Some((point, was_killed(&outcome).and_then(|()| world.services_are_back())));
            }
            owing.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let result = was_killed(&outcome).and_then(|()| world.next_night(&world.archives()?));
            Some((point, said(result, &outcome)))
        },
    );
    assert!(owing.into_inner() >= 20);
}

/// What a night in packs does otherwise than one of plain archives.
pub(crate) const PACKS: &[(&str, &str)] = &[
    ("rename", "disk/state/unpruned"),
    ("rename", "disk/repository/packs/"),
    ("fsync", "disk/repository/packs"),
    ("rename", "disk/repository/index/"),
    ("rename", "disk/repository/manifests/services/"),
    ("unlink", "disk/repository/manifests/services/"),
    ("unlink", "disk/repository/index/"),
    ("unlink", "disk/repository/packs/"),
    ("unlink", "disk/state/unpruned"),
];

#[test]
fn an_agent_killed_while_it_writes_packs_or_prunes_leaves_what_the_next_night_needs() {
    let lab = Lab::new();
    let make = |worker: usize| World::in_packs(&lab, &format!("pi-{worker}"));
    // What else a night does, it does in the sweep above.
    let points = sweep_in(
        make,
        |world| {
            // One night more: the next one lets a night go whose frames lie in a pack of their own.
            let _ = world.agent(&["run", "services"]).succeeds();
            world.change(KEEP + 1);
            world.keep_base();
        },
        |world, number| {
            let of_packs = |call: &Call| {
                let place = call.path.starts_with(world.repository()) || call.path.starts_with(world.state().join("unpruned"));
                // Between two of these no name changes, and nothing becomes durable.
                place && ["rename", "unlink", "mkdir", "fsync", "fdatasync"].iter().any(|order| call.name.starts_with(order))
            };
            let (point, outcome) = kill_among(world, &["run", "services"], number, Then::Kill, of_packs)?;
            let result = was_killed(&outcome).and_then(|()| {
                let archives = world.archives()?;
                world.resume()?;
                world.next_night(&archives)
            });
            Some((point, said(result, &outcome)))
        },
    );
    came_by(&points, PACKS);
}

/// A night that ends while services are away.
fn cut_short(world: &World<'_>) {
    let outcome = trace(world.cmd(&["run", "services"]), |call| {
        let reading = call.own && call.path.starts_with(world.source()) && world.engine.running().is_empty();
        if reading { Then::KillAll } else { Then::Go }
    });
    assert_eq!(outcome.code, None, "{outcome:?}");
    assert!(world.state().join("ledger.json").exists());
    world.keep_base();
}

#[test]
fn a_resume_killed_at_any_point_leaves_what_another_one_needs() {
    let lab = Lab::new();
    let points = sweep(&lab, cut_short, |world, number| {
        let how = if number % 2 == 0 { Then::Kill } else { Then::KillAll };
        let (point, outcome) = kill(world, &["resume", "--wait"], number, how)?;
        let result = was_killed(&outcome).and_then(|()| world.resume());
        Some((point, said(result, &outcome)))
    });
    came_by(&points, &[("engine: write", "engine/containers/home.web.2"), ("unlink", "disk/state/ledger.json"), ("exit", "")]);
}
