//! An engine that is dead or broken, and two agents at once: nothing is stopped, or all of it is brought back.

use std::process::Stdio;

use anyhow::Result;
use offsite_tests::Lab;

use super::world::World;

/// A night that was refused, and the one after the repair.
fn refused(world: &World<'_>, words: &str, repair: impl FnOnce()) -> Result<()> {
    let before = world.archives()?;
    let said = world.agent(&["run", "services"]).exits(1);
    said.says(words);
    said.says("next:");
    assert_eq!(world.outcomes().last().map(String::as_str), Some("failed"));
    world.agent(&["check"]).exits(1).says(words);
    world.services_are_back()?;
    assert_eq!(world.archives()?, before);
    repair();
    world.next_night(&before)
}

#[test]
fn a_dead_engine_stops_no_service_and_makes_no_archive() -> Result<()> {
    let lab = Lab::new();
    let world = World::new(&lab, "pi", "plain");
    world.engine.break_it("dead");
    refused(&world, "Cannot connect to the Docker daemon", || world.engine.repair("dead"))
}

#[test]
fn a_project_whose_compose_file_is_gone_is_not_stopped() -> Result<()> {
    let lab = Lab::new();
    let world = World::new(&lab, "pi", "plain");
    let (file, aside) = (world.source().join("home/compose.yaml"), world.root().join("compose.yaml"));
    std::fs::rename(&file, &aside)?;
    let before = world.archives()?;
    world.agent(&["run", "services"]).exits(1).says("nothing could start it again");
    world.agent(&["check"]).exits(1).says("nothing could start it again");
    world.services_are_back()?;
    std::fs::rename(&aside, &file)?;
    world.next_night(&before)
}

#[test]
fn of_two_agents_at_once_one_works_and_the_other_says_so_or_waits() -> Result<()> {
    let lab = Lab::new();
    let world = World::new(&lab, "pi", "plain");
    let before = world.archives()?;
    // The first one holds the lock for as long as its engine hangs in the first question.
    world.engine.break_it("version");
    let mut first = world.cmd(&["run", "services"]).command();
    let mut first = first.stderr(Stdio::null()).stdout(Stdio::null()).spawn()?;
    assert_eq!(world.engine.hangs(), "version");
    world.agent(&["run", "services"]).exits(4).says("another offsite-agent is at work: run of services");
    world.agent(&["resume"]).exits(4).says("another offsite-agent is at work");
    world.services_are_back()?;
    world.engine.repair("version");
    let mut waiting = world.cmd(&["run", "services", "--wait"]).command();
    let mut waiting = waiting.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null()).spawn()?;
    world.engine.go_on();
    assert!(first.wait()?.success());
    assert!(waiting.wait()?.success());
    assert_eq!(world.outcomes()[before.len()..], ["made", "made"]);
    world.next_night(&world.archives()?)
}

#[test]
fn an_engine_that_hangs_before_anything_is_stopped_is_given_up() -> Result<()> {
    let lab = Lab::new();
    let world = World::new(&lab, "pi", "plain");
    // The first question hangs, so nothing that answers has to be quick.
    world.configure("docker_patience: 1s\n", "    quiesce: down\n");
    world.engine.break_it("version");
    refused(&world, "and was killed", || {
        world.engine.repair("version");
        world.configure("", "    quiesce: down\n");
    })
}
