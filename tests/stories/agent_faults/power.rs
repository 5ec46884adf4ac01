//! Power goes at each point of a night: what the disk holds then is what the next start finds.
//!
//! One night gives all the cuts, because a disk is copied while the agent stands still; what became of each is looked at afterwards.
//! The engine's containers are taken at the same moments. A cut is made before a call that gives the disk an order (a sync, a new
//! name, a removal) and once after the end, when everything that was told must be true.

use std::path::Path;

use anyhow::{Result, ensure};
use offsite_tests::{Call, Lab, Then, can_fail, trace};

use super::killed::{NIGHT_ON_DISK, PACKS};
use super::sweep::{came_by, changes, words};
use super::world::{LAYOUTS, World, names};

/// Between two of these the disk is only given bytes that nothing refers to yet, or bytes of the engine.
fn orders(call: &Call) -> bool {
    call.name.contains("sync") || ["rename", "link", "unlink", "mkdir", "open", "ioctl", "truncate", "ftruncate"].contains(&call.name)
}

/// Cuts the power at each `of`th point beginning with the `first`th, and gives each point with what was wrong then. With `lies` the
/// disk says that it synced, and did not.
fn night(world: &World<'_>, first: usize, of: usize, lies: bool) -> Vec<(String, Result<()>)> {
    let mut cuts: Vec<(usize, String)> = Vec::new();
    let mut count = 0;
    let mut cut = |number: usize, point: String| {
        world.power().cut(number);
        world.keep_engine(number);
        cuts.push((number, point));
    };
    let outcome = trace(world.cmd(&["run", "services"]), |call| {
        if changes(call, world.root()) && (orders(call) || !call.own) && world.differs(call) {
            count += 1;
            if count % of == first {
                cut(count, words(call, world.root()));
            }
        }
        if lies && call.own && call.name.contains("sync") { Then::Fail(0) } else { Then::Go }
    });
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let told = world.archives().unwrap();
    cut(usize::MAX, "after the end".to_owned());
    let look = |(number, point): (usize, String)| {
        world.power().look(number);
        world.engine_as(number);
        let result = after(world, if number == usize::MAX { Some(&told) } else { None });
        (point, result)
    };
    cuts.into_iter().map(look).collect()
}

fn after(world: &World<'_>, told: Option<&[serde_json::Value]>) -> Result<()> {
    let archives = world.archives()?;
    if let Some(told) = told {
        ensure!(names(told) == names(&archives), "{:?} was told, and there is {:?}", names(told), names(&archives));
    }
    world.resume()?;
    world.next_night(&archives)
}

#[test]
fn a_power_cut_at_any_point_of_a_night_loses_nothing_that_was_there_and_no_service() {
    let lab = Lab::new();
    for (layout, must) in LAYOUTS.into_iter().zip([NIGHT_ON_DISK, PACKS]) {
        let (workers, mut found) = (2, Vec::new());
        let lab = &lab;
        let night =
            |worker| World::with_power(lab, &format!("{layout}-{worker}"), layout).map(|world| night(&world, worker, workers, false));
        let done = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(move || night(worker))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        for points in done {
            let Some(points) = points else { return };
            found.extend(points);
        }
        let wrong: Vec<String> =
            found.iter().filter_map(|(point, result)| Some(format!("{point}: {:#}", result.as_ref().err()?))).collect();
        assert!(wrong.is_empty(), "{layout}: {} of {}:\n{}", wrong.len(), found.len(), wrong.join("\n"));
        let points: Vec<String> = found.into_iter().map(|(point, _)| point).collect();
        println!("{} points in {layout}", points.len());
        came_by(&points, must);
    }
}

#[test]
fn a_power_cut_is_seen_to_lose_what_was_not_synced() {
    if !can_fail() {
        return;
    }
    let lab = Lab::new();
    // One cut, at the end: the test above would see it.
    let Some(world) = World::with_power(&lab, "pi", "plain") else { return };
    let wrong = night(&world, 1, usize::MAX, true);
    assert!(wrong.last().is_some_and(|(point, result)| point == "after the end" && result.is_err()), "{wrong:?}");
}

#[test]
fn a_disk_whose_power_was_cut_holds_what_was_synced_and_nothing_else() {
    let lab = Lab::new();
    let Some(power) = offsite_tests::Power::new(&lab, &lab.join("disk")) else { return };
    let at = |name: &str| power.path(&lab.join("disk")).join(name);
    std::fs::write(at("unsynced"), "x").unwrap();
    power.cut(1);
    std::fs::write(at("new"), "x").unwrap();
    let sync = |path: &Path| std::fs::File::open(path).unwrap().sync_all().unwrap();
    sync(&at("new"));
    std::fs::rename(at("new"), at("named")).unwrap();
    power.cut(2);
    sync(&at(""));
    power.cut(3);
    let seen = |number| {
        power.look(number);
        ["unsynced", "new", "named"].map(|name| std::fs::read_to_string(at(name)).unwrap_or_default() == "x")
    };
    assert_eq!(seen(1), [false; 3]);
    assert!(!seen(2)[2]);
    assert!(seen(3)[2]);
}

#[test]
fn what_was_given_up_or_cleared_stays_so_when_power_goes() {
    let lab = Lab::new();
    let disk = lab.join("disk");
    let Some(power) = offsite_tests::Power::new(&lab, &disk) else { return };
    let (state, at) = (disk.join("state"), |name: &str| power.path(&disk).join("state").join(name));
    std::fs::create_dir(at("")).unwrap();
    let owe = |text: &str| {
        std::fs::write(at("ledger.json"), text).unwrap();
        for path in [at("ledger.json"), at(""), power.path(&disk)] {
            std::fs::File::open(path).unwrap().sync_all().unwrap();
        }
    };
    let resume = |more: &[&str]| power.sees(lab.agent().args(["resume", "--state"]).arg(&state).args(more));
    // Nobody understands it; then one that names nothing, and power goes before anything else is written.
    owe("{");
    let _ = resume(&["--forget"]).run().succeeds();
    power.cut(1);
    owe(r#"{"version":1,"job":"s","started":"2026-01-01T00:00:00Z","stage":"reading","docker":"true","projects":[]}"#);
    let (mut cleared, mut cut) = (false, false);
    let outcome = trace(resume(&[]), |call| {
        if cleared && !cut && changes(call, &disk) && !call.name.contains("sync") {
            power.cut(2);
            cut = true;
        }
        cleared |= call.name == "unlink" && call.path.ends_with("ledger.json");
        Then::Go
    });
    assert!(outcome.code == Some(0) && cut, "{outcome:?}");
    let kept = |number| {
        power.look(number);
        ["ledger.json", "ledger.json.bad"].map(|name| std::fs::read_to_string(at(name)).ok())
    };
    assert_eq!(kept(1), [None, Some("{".to_owned())]);
    assert_eq!(kept(2), [None, Some("{".to_owned())]);
}
