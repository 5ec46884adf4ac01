//! Hostile bytes for everything that reads what another machine or a damaged disk may have written.
//!
//! Each target takes good bytes, hurts them by the numbers of one case, and reads them. Whatever they are, the reader must neither panic
//! nor take memory without bound nor write where it may not, and what it accepts must obey the target's law. `make fuzz` runs many more
//! cases than `make test`; a case has a number, so that one that fails can be run alone: `FUZZ_CASE=1234 cargo test -p offsite-tests --test fuzz manifest`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod dice;
mod manifest;
mod repository;
mod table;
mod tail;
mod tar;

use std::{
    path::{Path, PathBuf},
    sync::Once,
};

use dice::Dice;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Address space of all targets together, in bytes: whoever believes an absurd length dies of it.
const MEMORY: u64 = 6 << 30;

/// Runs the cases of a target, `share` of a hundred that are asked for.
fn cases(target: &str, share: u64, mut case: impl FnMut(&mut Dice)) {
    static LIMIT: Once = Once::new();
    LIMIT.call_once(|| {
        let hard = getrlimit(Resource::As).maximum;
        setrlimit(Resource::As, Rlimit { current: Some(MEMORY), maximum: hard }).unwrap();
    });
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let many = number("FUZZ_CASES").unwrap_or(2000) * share / 100;
    let all = number("FUZZ_CASE").map_or(0..many, |one| one..one + 1);
    for number in all {
        let told = Told { target, number };
        case(&mut Dice::new(target, number));
        drop(told);
    }
}

/// Says which case was at work when a target panics.
struct Told<'a> {
    target: &'a str,
    number: u64,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was FUZZ_CASE={} of {}", self.number, self.target);
        }
    }
}

/// A golden vector.
fn vector(name: &str) -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}
