//! A disk that is not mounted is no empty source: the night is refused before anything is stopped, and earlier archives stay.

use anyhow::Result;
use offsite_tests::{Cmd, Lab, is_root, lacking};

use super::world::{World, names};

/// The command with a disk of its own mounted at the source's folder `empty`, which nobody else sees.
fn with_disk(world: &World<'_>, cmd: Cmd) -> Cmd {
    let image = world.root().join("photos.img");
    if !image.exists() {
        let script = "truncate -s 8M \"$0\" && mkfs.ext4 -q \"$0\" && mount -o loop \"$0\" \"$1\" && echo 1 >\"$1/1.jpg\"";
        let at = world.source().join("home/data/empty");
        let made = cmd_in(world, script).arg(&image).arg(at).under("unshare", &["--mount"]).run();
        assert_eq!(made.code, Some(0), "{made:?}");
    }
    let (image, at) = (image.display().to_string(), world.source().join("home/data/empty").display().to_string());
    cmd.under("unshare", &["--mount", "sh", "-c", "mount -o loop \"$0\" \"$1\" && shift && exec \"$@\"", &image, &at])
}

/// The command with `text` as its /etc/fstab.
fn with_fstab(world: &World<'_>, text: &str, cmd: Cmd) -> Cmd {
    let file = world.root().join("fstab");
    std::fs::write(&file, text).unwrap();
    let script = "[ -e /etc/fstab ] || : >/etc/fstab; mount --bind \"$0\" /etc/fstab && exec \"$@\"";
    cmd.under("unshare", &["--mount", "sh", "-c", script, &file.display().to_string()])
}

fn cmd_in(world: &World<'_>, script: &str) -> Cmd {
    Cmd::new("sh", world.root()).args(["-c", script])
}

/// Nothing was stopped, not even for a moment: the engine was not written to; and there is no new archive.
fn untouched(world: &World<'_>, before: &[String]) -> Result<()> {
    world.services_are_back()?;
    assert_eq!(names(&world.archives()?), before);
    Ok(())
}

fn refused(world: &World<'_>, cmd: impl Fn(&[&str]) -> Cmd, words: &str) -> Result<()> {
    let before = names(&world.archives()?);
    let stopped = modified(world);
    let said = cmd(&["run", "services"]).run().exits(1);
    said.says(words);
    said.says("--accept-empty");
    assert_eq!(modified(world), stopped, "the engine was touched");
    cmd(&["check"]).run().exits(1).says(words);
    assert_eq!(world.outcomes().last().map(String::as_str), Some("failed"));
    untouched(world, &before)
}

/// When the containers changed last.
fn modified(world: &World<'_>) -> Vec<std::time::SystemTime> {
    let files = std::fs::read_dir(world.engine.containers()).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().modified().unwrap()).collect()
}

#[test]
fn a_source_that_lost_all_it_had_is_refused_until_its_owner_says_that_it_shall_be_so() -> Result<()> {
    let lab = Lab::new();
    let world = World::new(&lab, "pi", "plain");
    let (home, away) = (world.source().join("home"), world.root().join("home"));
    std::fs::rename(&home, &away)?;
    refused(&world, |args| world.cmd(args), "is empty, and it was not at the last run")?;
    std::fs::rename(&away, &home)?;
    world.next_night(&world.archives()?)?;
    world.keep_base();
    std::fs::rename(&home, &away)?;
    refused(&world, |args| world.cmd(args), "is empty")?;
    // The engine's own project lies there too, and its compose file is gone: that is refused on its own account.
    world.configure("", "    quiesce: none\n");
    let said = world.agent(&["run", "services", "--accept-empty"]).succeeds();
    said.says("accepted: source ");
    // And so it stays, without being asked each night.
    let _ = world.agent(&["run", "services"]).succeeds();
    // Until there was something again.
    std::fs::rename(&away, &home)?;
    let _ = world.agent(&["run", "services"]).succeeds();
    std::fs::rename(&home, &away)?;
    world.agent(&["run", "services"]).exits(1).says("is empty");
    Ok(())
}

#[test]
fn a_disk_that_was_there_last_time_is_missed() -> Result<()> {
    if !is_root() && lacking("a disk that is not mounted", "only root can mount one") {
        return Ok(());
    }
    let lab = Lab::new();
    let world = World::new(&lab, "pi", "plain");
    let _ = with_disk(&world, world.cmd(&["run", "services"])).run().succeeds();
    world.keep_base();
    refused(&world, |args| world.cmd(args), "where a disk was at the last run")?;
    let _ = with_disk(&world, world.cmd(&["run", "services"])).run().succeeds();
    let _ = world.agent(&["run", "services", "--accept-empty"]).succeeds();
    let _ = world.agent(&["run", "services"]).succeeds();
    Ok(())
}

#[test]
fn a_disk_that_the_file_system_table_names_is_missed_on_the_first_night_already() -> Result<()> {
    if !is_root() && lacking("a disk that is not mounted", "only root can mount one") {
        return Ok(());
    }
    let lab = Lab::new();
    let world = World::new(&lab, "pi", "plain");
    let at = world.source().join("home/data/empty");
    let fstab = |text: String| {
        let world = &world;
        move |args: &[&str]| with_fstab(world, &text, world.cmd(args))
    };
    let table = format!("UUID=1 / ext4 defaults 0 1\n/dev/sda1 {} ext4 nofail 0 2\n", at.display());
    refused(&world, fstab(table.clone()), "/etc/fstab says that a disk belongs there")?;
    let _ = fstab(table.replace("nofail", "noauto"))(&["run", "services"]).run().succeeds();
    let _ = with_disk(&world, fstab(table.clone())(&["run", "services"])).run().succeeds();
    let _ = fstab(table.clone())(&["run", "services", "--accept-empty"]).run().succeeds();
    let _ = fstab(table)(&["run", "services"]).run().succeeds();
    Ok(())
}
