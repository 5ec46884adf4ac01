//! Nobody hears the agent: what it cannot say ends nothing that it does.

use std::io::Read;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use offsite_tests::{Cmd, Dialogue, Lab, terminal};

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

#[test]
fn a_terminal_shows_how_far_a_night_is_and_ends_nothing_when_it_is_closed() -> Result<()> {
    const PROGRESS: &str = "\u{1b}[Kread ";
    let lab = Lab::new();
    let world = World::new(&lab, "pi", "plain");
    let (code, said) = Dialogue::start(world.cmd(&["run", "services"]).command()).ends();
    // It is wiped away before anything else is said.
    let rest = said.split_once(PROGRESS).map_or("", |(_, rest)| rest);
    ensure!(code == Some(0) && rest.contains("\u{1b}[Kservices/"), "{code:?}: {said:?}");
    let (code, said) = Dialogue::start(world.cmd(&["--quiet", "run", "services"]).command()).ends();
    ensure!(code == Some(0) && !said.contains(PROGRESS), "{code:?}: {said:?}");

    // It is closed while services stop: the files are read, and all is told, when there is nobody any more.
    world.engine.break_it("down");
    let (mut ours, theirs) = terminal();
    let mut command = world.cmd(&["run", "services"]).command();
    let end = || Stdio::from(theirs.try_clone().unwrap());
    command.stdin(end()).stdout(end()).stderr(end());
    let mut run = command.spawn()?;
    drop((command, theirs));
    let mut seen = String::new();
    while !seen.contains(PROGRESS) {
        let mut bytes = [0; 512];
        let length = ours.read(&mut bytes)?;
        seen += &String::from_utf8_lossy(&bytes[..length]);
    }
    ensure!(world.engine.hangs() == "down");
    world.engine.repair("down");
    drop(ours);
    world.engine.go_on();
    ensure!(run.wait()?.success());
    world.services_are_back()?;
    ensure!(world.outcomes().ends_with(&["made".to_owned(), "made".to_owned(), "made".to_owned()]), "{:?}", world.outcomes());
    Ok(())
}
