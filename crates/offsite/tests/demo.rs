//! The demo, from outside: it ends well and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{fs, process::Command};

#[test]
fn everything_comes_back_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (home, temporary) = (dir.path().join("home"), dir.path().join("tmp"));
    fs::create_dir(&home).unwrap();
    fs::create_dir(&temporary).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_offsite")).arg("demo").env_clear().env("HOME", &home).env("TMPDIR", &temporary).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(out.matches("every byte, mode, time and link is as it was").count(), 2, "{out}{err}");
    assert!(out.ends_with("Everything came back, twice.\n"), "{out}{err}");
    assert!(out.contains("1 frame was lost; healed"), "{out}{err}");
    for folder in [&home, &temporary] {
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "{}", folder.display());
    }
}

#[test]
fn a_folder_in_use_is_not_played_in() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("precious"), "").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_offsite")).args(["demo", "--keep"]).arg(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not empty"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
