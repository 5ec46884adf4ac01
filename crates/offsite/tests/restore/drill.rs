//! `offsite drill`: it must come back as it was, be noted, and be gone.

use std::{fs, os::unix::fs::symlink};

use offsite_tests::lacking;

use crate::place::{NEW, Place, is_root, paper};

/// What drills left in the folder for temporary files of this place.
fn left(place: &Place) -> Vec<String> {
    let names = fs::read_dir(place.path("tmp")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn drill(place: &Place, arguments: &[&str]) -> crate::place::Said {
    fs::create_dir_all(place.path("tmp")).unwrap();
    let mut command = place.command(Some("offsite.yaml"));
    crate::place::said(command.env("TMPDIR", place.path("tmp")).env("PATH", "/usr/bin:/bin").arg("drill").args(arguments).output().unwrap())
}

fn receipts(place: &Place) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(place.path("state/journal.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn all_comes_back_is_noted_and_is_gone() {
    let place = Place::new();
    let said = drill(&place, &[]).ended(0).says("drilled services/2026-11-22T040000Z from this Mac: 3 files, 4.0 MB");
    assert!(said.out.contains("thrown away"), "{said:#?}");
    drill(&place, &["services", "--from", "cold"]).ended(0);
    let told: Vec<_> =
        receipts(&place).iter().map(|receipt| (receipt["kind"].clone(), receipt["place"].clone(), receipt["files"].clone())).collect();
    assert_eq!(told, [("drilled".into(), "mac".into(), 3.into()), ("drilled".into(), "cold".into(), 3.into())]);
    assert_eq!(left(&place), [""; 0]);
    assert!(!place.path("state/drill.json").exists());
}

#[test]
fn a_part_is_compared_and_does_not_count_as_the_job() {
    let place = Place::new();
    let house = place.path("house/web");
    let said = drill(&place, &["--json", "--path", house.to_str().unwrap()]).ended(0);
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&told["place"], &told["drills"][0]["files"], &told["drills"][0]["archive"]), (&"this Mac".into(), &2.into(), &NEW.into()));
    assert_eq!(receipts(&place).len(), 0);
    assert_eq!(left(&place), [""; 0]);
}

#[test]
fn with_the_paper_alone_it_is_a_rehearsal_of_the_worst_day() {
    let place = Place::new();
    fs::remove_file(place.path("state/key.json")).unwrap();
    let url = format!("file://{}", place.path("cloud").display());
    drill(&place, &["--from", &url, "--recovery-key", &paper()]).ended(0).says("3 files");
}

#[test]
fn damage_is_a_failure_until_the_same_drill_goes_well() {
    let place = Place::new();
    let pack = place.spoil_pack();
    let photo = place.path("house/photos/a.jpg").display().to_string();
    let said = drill(&place, &["--json"]).ended(1).says("cannot restore all of services/2026-11-22T040000Z from this Mac");
    let said = said.says(&format!("from this Mac: {photo}: ")).says("(and 1 more)").says("--heal-from CLOUD");
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&told["drills"][0]["differing"], told["drills"][0]["differences"].as_array().map(Vec::len)), (&2.into(), Some(2)));
    assert_eq!(left(&place), [""; 0]);
    let failed = receipts(&place).pop().unwrap();
    assert_eq!((&failed["kind"], &failed["step"], &failed["object"]), (&"failed".into(), &"drill".into(), &"services from mac".into()));
    // Another place is whole, and says nothing about this one.
    drill(&place, &["--from", "cold"]).ended(0);
    let standing = || offsite::journal::Standing::of(&offsite::state::State::at(&place.path("state")).journal().read().unwrap().receipts);
    assert_eq!(standing().failures.len(), 1);
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).unwrap();
    drill(&place, &[]).ended(0);
    assert_eq!(standing().failures.len(), 0);
}

#[test]
fn the_owners_own_check_has_a_say() {
    let place = Place::new();
    let page = format!("grep -q second .{}/web/index.html && test $OFFSITE_JOB = services", place.path("house").display());
    drill(&place, &["--check", &page]).ended(0).says("the check passed");
    drill(&place, &["--check", "exit 7"]).ended(1).says("exit status: 7").says("look at the files yourself");
    assert_eq!(left(&place), [""; 0]);
    assert_eq!(receipts(&place).last().unwrap()["kind"], "failed");
}

#[test]
fn what_a_killed_drill_left_is_removed_by_the_next() {
    let place = Place::new();
    // In the middle, and by its own child: nothing is left to chance.
    let killed = drill(&place, &["--check", "kill -KILL $PPID"]);
    assert_eq!(killed.code, None);
    assert_eq!(left(&place).len(), 1);
    let said = drill(&place, &[]).ended(0);
    assert!(said.err.contains("which a drill that was killed had left"), "{said:#?}");
    assert_eq!(left(&place), [""; 0]);
}

#[test]
fn a_drill_that_is_stopped_leaves_nothing_and_blames_nobody() {
    let place = Place::new();
    for signal in ["INT", "TERM", "HUP"] {
        // It does not end by itself: the drill ends it.
        let stopped = drill(&place, &["--check", &format!("kill -{signal} $PPID; exec sleep 600")]).ended(1);
        assert!(stopped.err.contains("stopped by a signal; removed"), "{stopped:#?}");
        assert_eq!((left(&place), receipts(&place).len()), (vec![], 0));
        assert!(!place.path("state/drill.json").exists());
    }
}

#[test]
fn a_folder_that_cannot_be_removed_makes_no_archive_bad_and_stops_no_other_drill() {
    let place = Place::new();
    // A file in its place is no folder, so removing it as one fails, for root too.
    let swap = "d=$PWD; cd .. && mv \"$d\" moved && : >\"$d\"";
    drill(&place, &["--check", swap]).ended(3).says("could not be thrown away").says("cannot remove the drill's folder");
    assert_eq!(receipts(&place).last().unwrap()["kind"], "drilled");
    assert!(place.path("state/drill.json").exists());
    drill(&place, &[]).ended(0);
}

#[test]
fn a_night_removes_what_a_killed_drill_left() {
    let place = Place::new();
    drill(&place, &["--check", "kill -KILL $PPID"]);
    assert_eq!(left(&place).len(), 1);
    place.offsite(&["doctor", "--offline"]).says("left what it had restored, in the clear");
    place.offsite(&["sync"]);
    assert_eq!(left(&place), [""; 0]);
}

#[test]
fn a_part_needs_room_for_itself_alone() {
    let place = Place::new();
    let web = place.path("house/web");
    // There nobody has room, and how much would be needed is said.
    let full = if cfg!(target_os = "linux") { "/proc" } else { "/dev" };
    let need = |arguments: &[&str]| {
        let said = drill(&place, &[&["--into", full], arguments].concat()).ended(1).says("there is no room");
        said.err.lines().find_map(|line| Some(line.split_once("it needs ")?.1.split_once(" and")?.0.to_owned())).unwrap()
    };
    assert_eq!(need(&[]), "4.5 MB");
    assert!(need(&["--path", web.to_str().unwrap()]).ends_with(" kB"));
    // What is not in the archive is no fault of the archive.
    drill(&place, &["--path", "/nowhere"]).ended(1).says("holds nothing called /nowhere");
    assert_eq!(receipts(&place).len(), 0);
}

/// Tells of a hole of a terabyte that is read back by never ending.
#[test]
fn holes_are_not_read_and_no_folder_is_too_deep() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let first = |place: &Place| {
        place.write("house/disk.img", b"begins", 0o600);
        let disk = fs::File::options().write(true).open(place.path("house/disk.img")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&disk, b"middle", 1 << 39).unwrap();
        disk.set_len(1 << 40).unwrap();
        let folder = |above: &std::os::fd::OwnedFd, name: &str| {
            mkdirat(above, name, Mode::RWXU).unwrap();
            openat(above, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
        };
        let mut dir = openat(CWD, place.path("house"), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        (0..50).for_each(|_| dir = folder(&dir, &"d".repeat(100)));
        openat(&dir, "bottom", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    };
    let place = Place::with(first, |_| {});
    drill(&place, &[]).ended(0).says("2 files, 1.1 TB, all as they were");
    assert_eq!(left(&place), [""; 0]);
}

#[test]
fn what_this_disk_cannot_hold_is_told_and_makes_no_archive_bad() {
    let made = || std::process::Command::new("mkfs.xfs").arg("-V").output().is_ok();
    if !(is_root() && made()) && lacking("a disk with shorter links", "needs root and mkfs.xfs") {
        return;
    }
    // Links of more than 1023 bytes are for others.
    let far = "far/".repeat(500);
    let place = Place::with(|place| place.write("house/a", b"one", 0o644), |place| symlink(&far, place.path("house/link")).unwrap());
    let disk = Xfs::new(&place);
    drill(&place, &[]).ended(0).says("1 file, 3 B, all as they were on the Pi, in 0 s; thrown away\n");
    let into = disk.0.join("new");
    fs::create_dir(&into).unwrap();
    drill(&place, &["--into", into.to_str().unwrap()]).ended(0).says("1 member left out, which this disk cannot hold");
    let said = place.offsite(&["restore", "services", "--into", into.to_str().unwrap()]).ended(3);
    let said = said.says("restored 2 entries").says("house/link: it cannot be made here: File name too long");
    said.says(&format!("next:  carry all of it to the Pi, which holds it: offsite export {NEW} - |"));
}

/// An XFS in a file.
struct Xfs(std::path::PathBuf);

impl Xfs {
    fn new(place: &Place) -> Self {
        let (image, disk) = (place.path("image"), place.path("disk"));
        fs::create_dir(&disk).unwrap();
        fs::File::create(&image).unwrap().set_len(320 << 20).unwrap();
        let run = |command: &mut std::process::Command| assert!(command.status().unwrap().success(), "{command:?}");
        run(std::process::Command::new("mkfs.xfs").arg("-q").arg(&image));
        run(std::process::Command::new("mount").args(["-o", "loop"]).args([&image, &disk]));
        Self(disk)
    }
}

impl Drop for Xfs {
    fn drop(&mut self) {
        // Lazily: a child that another test forks just now may be in it.
        let done = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(std::thread::panicking() || done.is_ok_and(|status| status.success()));
    }
}

#[test]
fn what_cannot_be_rehearsed_is_refused_before_anything_is_made() {
    let place = Place::new();
    let config = fs::read_to_string(place.path("offsite.yaml")).unwrap();
    fs::write(place.path("offsite.yaml"), config + "- {name: ice, url: 's3://bucket/x', class: DEEP_ARCHIVE}\n").unwrap();
    drill(&place, &["--from", "ice"]).ended(1).says("must be thawed").says("--dry-run");
    drill(&place, &["photos"]).ended(1).says("photos");
    let inside = place.path("mac");
    drill(&place, &["--into", inside.to_str().unwrap()]).ended(1).says("which offsite itself keeps");
    drill(&place, &["--into", place.path("gone").to_str().unwrap()]).ended(1).says("offsite drill --into DIR");
    assert_eq!((left(&place), receipts(&place).len()), (vec![], 0));
    assert!(!place.path("state/drill.json").exists());
}

#[test]
fn folders_that_are_closed_to_their_owner_are_compared_and_removed() {
    let place = Place::with(
        |place| {
            place.write("house/closed/file", b"x", 0o000);
            fs::set_permissions(place.path("house/closed"), std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
        },
        |_| {},
    );
    if !is_root() {
        // The agent is root; who is not cannot archive such a file.
        eprintln!("skipped: not root");
        return;
    }
    drill(&place, &[]).ended(0).says("1 file");
    assert_eq!(left(&place), [""; 0]);
}
