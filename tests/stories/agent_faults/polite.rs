//! Who waits for whom: what is read while services run gives way to them, and while they wait for it, it does not.

use offsite_tests::{Call, Lab, Then, is_root, lacking, trace};
use rustix::process::getpriority_process;

use super::world::World;

/// Whether a thread gets the disk only when nobody else wants it, and how far down it stands for the processors.
fn stands(lab: &Lab, call: &Call) -> (bool, i32) {
    let class = lab.cmd("ionice").args(["-p", &call.thread.to_string()]).run().succeeds();
    let text = std::fs::read_to_string(format!("/proc/{}/stat", call.thread)).unwrap();
    // The name of the program, which may hold anything, ends with the last bracket; nice is the 17th word after it.
    let nice = text.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap();
    (class.out.trim() == "idle", nice.parse().unwrap())
}

#[test]
fn reading_gives_way_to_services_that_run_and_not_to_those_that_wait_for_it() {
    if !is_root() && lacking("a low priority", "only root can take it back, so nobody else begins") {
        return;
    }
    let lab = Lab::new();
    let world = World::new(&lab, "pi", "plain");
    let notes = world.source().join("home/data/notes");
    let (mut read, mut docker, mut changed) = (Vec::new(), Vec::new(), false);
    let outcome = trace(world.cmd(&["run", "services"]), |call| {
        if !call.own && call.name == "execve" && call.path == world.engine.docker() {
            docker.push(stands(&lab, call));
        } else if call.own && call.path.starts_with(world.source()) {
            let away = world.engine.running().is_empty();
            if away && !changed {
                // So that it is read once more.
                world.change(100);
                changed = true;
            }
            if call.name == "read" && call.path == notes {
                read.push((away, stands(&lab, call)));
            }
        }
        Then::Go
    });
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    read.dedup();
    docker.dedup();
    let ours = getpriority_process(None).unwrap();
    assert_eq!(read, [(false, (true, ours.max(10))), (true, (false, ours))]);
    assert_eq!(docker, [(false, ours)]);
}
