//! The same night again and again, each time with a fault at the next point, until a night has no such point any more.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use offsite_tests::{Call, Lab};

use super::world::World;

/// The point at which a fault was, in words; and what came of it.
pub(crate) type Hit = Option<(String, Result<()>)>;

/// Calls `at` with 1, 2, 3… until it comes to no such point, each time in a world as it was before the night. Gives all points, in
/// order.
///
/// # Panics
/// With what went wrong at each of the points where something did.
#[track_caller]
pub(crate) fn sweep<'a>(
    lab: &'a Lab,
    layout: &'static str,
    prepare: impl Fn(&World<'a>) + Sync,
    at: impl Fn(&World<'a>, usize) -> Hit + Sync,
) -> Vec<String> {
    let (next, found, wrong) = (AtomicUsize::new(1), Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (next, found, wrong, prepare, at) = (&next, &found, &wrong, &prepare, &at);
            scope.spawn(move || {
                let world = World::new(lab, &format!("{layout}-{worker}"), layout);
                prepare(&world);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    world.again();
                    let Some((point, result)) = at(&world, number) else { return };
                    if let Err(error) = result {
                        wrong.lock().unwrap().push(format!("{number}. {point}: {error:#}"));
                    }
                    found.lock().unwrap().insert(number, point);
                }
            });
        }
    });
    let found: Vec<String> = found.into_inner().unwrap().into_values().collect();
    println!("{} points in {layout}:\n  {}", found.len(), found.join("\n  "));
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} points:\n{}", wrong.len(), found.len(), wrong[..wrong.len().min(12)].join("\n"));
    found
}

/// Whether `call` changes what outlives its process: a file below `root`, another process, or that the process is there at all.
pub(crate) fn changes(call: &Call, root: &Path) -> bool {
    call.changes && (call.path.starts_with(root) || (call.own && ["kill", "exit", "execve"].contains(&call.name)))
}

/// The call in words that are the same for each world and each night.
pub(crate) fn words(call: &Call, root: &Path) -> String {
    let path = call.path.strip_prefix(root).unwrap_or(&call.path).display();
    format!("{}{} {path}", if call.own { "" } else { "engine: " }, call.name)
}

/// Fails unless there is a point for each of these, which all begin or end so.
#[track_caller]
pub(crate) fn came_by(points: &[String], each: &[(&str, &str)]) {
    for (begin, end) in each {
        assert!(points.iter().any(|point| point.starts_with(begin) && point.contains(end)), "no point {begin} … {end}");
    }
}

/// An error for a point, with the agent's last words.
pub(crate) fn said<T>(result: Result<T>, outcome: &offsite_tests::Outcome) -> Result<T> {
    result.with_context(|| format!("code {:?}, said: {} {}", outcome.code, outcome.out.trim(), outcome.err.trim()))
}
