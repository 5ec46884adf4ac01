//! Stories with a real btrfs: the archive is of the moment of the snapshot, and a kill leaves nothing for long.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared by several test programs")]
mod lab;
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the modules")]
#[path = "../src/snapshot/testing.rs"]
mod testing;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
};

use lab::{Lab, Said};
use testing::{on_disk, run};

const HOME: &str = "services/.offsite-snapshots";

/// A lab whose one source is the btrfs at `disk`, and whose `btrfs` does `then` after the second snapshot, the first being the trial. `$web` is a
/// folder of the source.
fn lab(disk: &Path, then: &str) -> Lab {
    let lab = Lab::new();
    lab.configure("none", "docker: /nowhere/docker\n");
    let config = fs::read_to_string(lab.path("agent.yaml")).unwrap();
    lab.write("agent.yaml", &format!("{config}    snapshot: auto\n"));
    run("mount", &[&"--bind", &disk, &lab.path("services")]);
    lab.write("services/web/index.html", "then");
    lab.write("services/web/late.html", "then");
    let script = format!(
        "#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nweb='{}'\nbtrfs \"$@\" || exit\n[ \"$2\" = snapshot ] || exit 0\n\
         if [ -e \"$0.tried\" ]; then {then}; else : >\"$0.tried\"; fi\n",
        lab.path("services/web").display()
    );
    fs::set_permissions(lab.write("bin/btrfs", &script), fs::Permissions::from_mode(0o755)).unwrap();
    lab.agent(&["init"]).ended(0);
    lab
}

fn night(lab: &Lab) -> std::process::Output {
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", lab.path("bin").display());
    lab.command().args(["run", "services"]).env("PATH", path).output().unwrap()
}

/// What the archive holds, and that it came from a snapshot that is gone.
fn is_of_then(lab: &Lab, archive: &str) {
    let unpacked = lab.unpack(archive);
    let read = |name: &str| fs::read_to_string(unpacked.join(name)).unwrap();
    assert_eq!((read("web/index.html").as_str(), read("web/late.html").as_str()), ("then", "then"));
    let mut names: Vec<_> = fs::read_dir(&unpacked).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["web"]);
    fs::remove_dir_all(lab.path("unpacked")).unwrap();
    assert!(!lab.path(HOME).exists() && !lab.path("state/snapshots.json").exists());
}

#[test]
fn the_archive_is_of_the_moment_of_the_snapshot() {
    on_disk("the_archive_is_of_the_moment_of_the_snapshot", |disk| {
        let lab = lab(disk, "echo now >\"$web/index.html\"; rm \"$web/late.html\"");
        Said::from(night(&lab)).ended(0);
        assert!(!lab.path("services/web/late.html").exists(), "the change did not come after the snapshot");
        is_of_then(&lab, &lab.archives()[0]);
        run("umount", &[&lab.path("services")]);
    });
}

#[test]
fn a_snapshot_that_a_kill_left_goes_with_the_next_night() {
    on_disk("a_snapshot_that_a_kill_left_goes_with_the_next_night", |disk| {
        let lab = lab(disk, "kill -KILL $PPID");
        assert_eq!(night(&lab).status.signal(), Some(9));
        assert_eq!(fs::read_dir(lab.path(HOME)).unwrap().count(), 1);
        assert!(lab.path("state/snapshots.json").exists() && lab.archives().is_empty());
        // As after a boot: whoever brings services back leaves it alone, and the next run removes it.
        lab.agent(&["resume"]).ended(0);
        assert!(lab.path(HOME).exists());
        lab.agent(&["run", "--wait", "services"]).ended(0);
        is_of_then(&lab, &lab.archives()[0]);
        run("umount", &[&lab.path("services")]);
    });
}
