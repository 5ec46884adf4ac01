//! A small btrfs on a loop device, for tests.
//!
//! It is mounted in a mount namespace of its own, where the test runs once more: whatever becomes of the test, the kernel takes disk
//! and device down with it, and no other test sees either.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output},
};

const INSIDE: &str = "OFFSITE_TEST_DISK";

/// Runs `test`, which is the test `name`, with the folder of an empty btrfs.
pub(super) fn on_disk(name: &str, test: fn(&Path)) {
    if let Some(folder) = std::env::var_os(INSIDE) {
        return test(Path::new(&folder));
    }
    let dir = tempfile::tempdir().unwrap();
    if let Err(why) = make(dir.path()) {
        return lacking(name, &why);
    }
    let script = "mount -o loop \"$1/image\" \"$1/disk\" || exit 77; shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(dir.path()).arg(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(INSIDE, dir.path().join("disk"));
    let ended = command.output().unwrap();
    let said = said(&ended);
    if ended.status.code() == Some(77) {
        return lacking(name, &said);
    }
    // Of no test at all the runner would say that all passed.
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

fn lacking(name: &str, why: &str) {
    assert!(std::env::var_os("OFFSITE_LAB").is_none_or(|value| value != "require"), "OFFSITE_LAB=require, and no btrfs: {why}");
    // Not eprintln!: the test runner would swallow it when the test passes.
    std::io::stderr().write_all(format!("skipped: {name}: btrfs: {why}\n").as_bytes()).unwrap();
}

/// Makes the folder `disk` and the image for it, where this machine can.
fn make(dir: &Path) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("mounting it needs root".into());
    }
    std::fs::create_dir(dir.join("disk")).unwrap();
    let image = dir.join("image");
    std::fs::File::create(&image).and_then(|file| file.set_len(128 << 20)).unwrap();
    for program in ["btrfs", "python3", "unshare"] {
        Command::new(program).arg("--version").output().map_err(|error| format!("{program}: {error}"))?;
    }
    let made = Command::new("mkfs.btrfs").arg("-q").arg(&image).output().map_err(|error| format!("mkfs.btrfs: {error}"))?;
    if made.status.success() { Ok(()) } else { Err(said(&made)) }
}

/// Runs `program`, which must succeed.
#[track_caller]
pub(super) fn run(program: &str, arguments: &[&dyn AsRef<std::ffi::OsStr>]) {
    let ended = Command::new(program).args(arguments.iter().map(|argument| argument.as_ref())).output().unwrap();
    assert!(ended.status.success(), "{program}: {}", said(&ended));
}

/// Makes the subvolume `path`, and returns it.
#[track_caller]
pub(super) fn subvolume(path: std::path::PathBuf) -> std::path::PathBuf {
    run("btrfs", &[&"subvolume", &"create", &path]);
    path
}

fn said(ended: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr))
}
