//! Nobody hears the agent: what it cannot say ends nothing that it does.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use offsite_tests::{Cmd, Lab};

use super::world::{World, names};

/// Runs the command with a standard output and a standard error that take nothing, in one of three ways; gives its exit code.
fn mute(cmd: Cmd, how: &str) -> Option<i32> {
    let mut command = cmd.command();
    match how {
        "the reader has gone" => {
            let gone = || Stdio::from(std::io::pipe().unwrap().1);
            command.stdout(gone()).stderr(gone());
        }
        "the disk behind it is full" => {
            let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
            command.stdout(full()).stderr(full());
        }
        _ => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec \"$0\" \"$@\" >&- 2>&-"]).arg(command.get_program()).args(command.get_args());
            command = shell;
        }
    }
    command.stdin(Stdio::null()).status().unwrap().code()
}

#[test]
fn a_night_that_nobody_hears_is_a_night_like_any_other() -> Result<()> {
    let lab = Lab::new();
    let world = World::new(&lab, "pi", "plain");
    for (how, listed) in [("the reader has gone", 0), ("the disk behind it is full", 1), ("it was closed", 0)] {
        world.again();
        let before = names(&world.archives()?);
        let code = mute(world.cmd(&["run", "services"]), how);
        ensure!(code == Some(0), "{how}: {code:?}");
        world.services_are_back()?;
        let now = world.archives()?;
        ensure!(!before.contains(names(&now).last().unwrap()), "{how}: no new archive");
        ensure!(world.outcomes().last().is_some_and(|outcome| outcome == "made"), "{how}: {:?}", world.outcomes());
        // Whoever asks for something that cannot be written is told; but one who has read enough is no failure.
        let code = mute(world.cmd(&["archives"]), how);
        ensure!(code == Some(listed), "archives: {how}: {code:?}");
        // An error is told by its code all the same.
        let code = mute(world.cmd(&["run", "nothing"]), how);
        ensure!(code == Some(2), "an unknown job: {how}: {code:?}");
    }
    Ok(())
}
