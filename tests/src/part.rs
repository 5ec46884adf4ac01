//! Whether a part of the lab is there, and what happens when it is not.
//!
//! A skip is printed past the test runner's capture, so that it is seen in a run that passes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Says that a test is skipped because this machine lacks a part, and gives `true`.
///
/// # Panics
/// With `OFFSITE_LAB=require`: then nothing may be skipped.
#[must_use]
pub fn lacking(part: &str, why: &str) -> bool {
    assert!(
        std::env::var_os("OFFSITE_LAB").is_none_or(|v| v != "require"),
        "OFFSITE_LAB=require, and {part} cannot be had: {why} (tests/lab/setup.sh installs what can be installed)"
    );
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not eprintln!: the test runner would swallow it when the test passes.
    std::io::stderr().write_all(format!("skipped: {test}: {part}: {why}\n").as_bytes()).unwrap();
    true
}

/// Is this process root? Owners, mounts and a chroot need it.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A file of `tests/lab`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lab").join(name)
}

/// Where `setup.sh` put what it made.
pub(crate) fn installed() -> PathBuf {
    std::env::var_os("OFFSITE_LAB_DIR").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/lab"), PathBuf::from)
}
