use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::snapshot::{
    Held, leftovers,
    testing::{on_disk, run, subvolume},
};

const HERE: &str = "snapshot::btrfs::tests::";

fn refused(source: &Path) -> String {
    Btrfs::new(None).offered(source).unwrap_err().to_string()
}

fn offered(source: &Path) -> Volume {
    Btrfs::new(None).offered(source).unwrap().unwrap()
}

#[test]
fn a_listing_is_understood_or_refused() {
    let text = b"ID 257 gen 7 top level 256 path data/x/nest\nID 259 gen 7 top level 256 path data/y y\n";
    assert_eq!(listed(Path::new("/d"), text).unwrap(), [Path::new("/data/x/nest"), Path::new("/data/y y")]);
    assert!(listed(Path::new("/d"), b"").unwrap().is_empty());
    let error = listed(Path::new("/d"), b"ID 257 gen 7 top level 256 path a\nb\n").unwrap_err().to_string();
    assert_eq!(error, "cannot understand what btrfs says of the subvolumes below /d: b");
}

#[test]
fn a_path_is_told_from_the_top_of_the_file_system() {
    let mount = |root: &str| Mount { root: root.into(), at: "/srv".into(), ..Mount::default() };
    assert_eq!(inside(&mount("/"), Path::new("/srv/a/b")), Path::new("/a/b"));
    assert_eq!(inside(&mount("/@srv"), Path::new("/srv/a")), Path::new("/@srv/a"));
    assert_eq!(inside(&mount("/@srv"), Path::new("/srv")).as_os_str(), "/@srv");
}

#[test]
fn what_is_mounted_over_a_source_is_seen() {
    let mounts = ["/", "/srv/data", "/srv/data/a"].map(|at| Mount { at: at.into(), ..Mount::default() });
    let below = |path: &str| below(&mounts, Path::new(path)).map(|mount| mount.at.to_str().unwrap());
    assert_eq!(["/", "/srv/data", "/srv/dat", "/srv/data/a"].map(below), [Some("/srv/data"), Some("/srv/data/a"), None, None]);
}

#[test]
fn a_command_that_is_missing_or_fails_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let volume = Volume { root: dir.path().join("data"), home: dir.path().join(HOME), disk: disk(dir.path()).unwrap() };
    let missing = Btrfs { program: "/nowhere/btrfs".into(), lock: None };
    let error = missing.take(&volume, "x").unwrap_err().to_string();
    assert!(error.ends_with("/data: cannot start /nowhere/btrfs: No such file or directory (os error 2)"), "{error}");
    let full = dir.path().join("btrfs");
    let script = "#!/bin/sh\necho \"ERROR: cannot snapshot: No space left on device\" >&2\nexit 1\n";
    // Written by another process: what we write ourselves may be held open by a child that another test forks just now.
    run("sh", &[&"-c", &"printf %s \"$1\" >\"$0\" && chmod +x \"$0\"", &full, &script]);
    let error = Btrfs { program: full, lock: None }.take(&volume, "x").unwrap_err().to_string();
    assert!(error.contains("cannot take a snapshot of ") && error.ends_with("No space left on device"), "{error}");
}

#[test]
fn a_folder_for_snapshots_that_others_could_have_made_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let none = Btrfs { program: "/nowhere/btrfs".into(), lock: None };
    let volume = Volume { root: dir.path().join("data"), home: dir.path().join(HOME), disk: disk(dir.path()).unwrap() };
    let strange = |result| matches!(result, Err(SnapshotError::Strange { .. }));
    fs::create_dir(&volume.home).unwrap();
    fs::set_permissions(&volume.home, fs::Permissions::from_mode(0o711)).unwrap();
    assert!(strange(none.take(&volume, "x").map(drop)));
    fs::create_dir(volume.home.join("x")).unwrap();
    assert!(strange(none.remove(&volume, "x")));
    fs::set_permissions(&volume.home, fs::Permissions::from_mode(0o700)).unwrap();
    // Ours now, but what lies in it is no snapshot, and is neither removed nor used.
    assert!(strange(none.take(&volume, "x").map(drop)) && strange(none.remove(&volume, "x")));
    assert!(volume.home.join("x").exists());
    fs::remove_dir_all(&volume.home).unwrap();
    let other = tempfile::tempdir().unwrap();
    symlink(other.path(), &volume.home).unwrap();
    assert!(strange(none.take(&volume, "x").map(drop)));
}

#[test]
fn shows_what_was_written_and_never_synced() {
    on_disk(&format!("{HERE}shows_what_was_written_and_never_synced"), |disk| {
        let data = subvolume(disk.join("data"));
        let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        fs::write(data.join("new"), &content).unwrap();
        fs::write(data.join("small"), "in the metadata").unwrap();
        // On the disk with its old content first, then changed through memory by a process that ends without a sync.
        let mapped = data.join("mapped");
        fs::write(&mapped, &content).unwrap();
        fs::write(data.join("sparse"), "").unwrap();
        run("btrfs", &[&"filesystem", &"sync", &disk]);
        let script = "import mmap,sys\nwith open(sys.argv[1],'r+b') as f:\n m=mmap.mmap(f.fileno(),0)\n m[5000000:5000007]=b'changed'\n m[11999993:]=b'the end'\n";
        run("python3", &[&"-c", &script, &mapped]);
        run("truncate", &[&"-s", &"5M", &data.join("sparse")]);
        fs::write(data.join("small"), "changed").unwrap();
        fs::write(data.join("late"), &content).unwrap();
        let btrfs = Btrfs::new(None);
        let volume = offered(&data);
        let at = btrfs.take(&volume, "job-1").unwrap();
        // What the services do once they are up again.
        fs::write(data.join("new"), "other").unwrap();
        fs::remove_file(data.join("late")).unwrap();
        run("sh", &[&"-c", &"echo x >>\"$0\"", &mapped]);
        let mut changed = content.clone();
        changed[5_000_000..5_000_007].copy_from_slice(b"changed");
        changed[11_999_993..].copy_from_slice(b"the end");
        // The snapshot's files share no memory with those they were taken of: this is read from the disk.
        assert!(fs::read(at.join("new")).unwrap() == content, "what was synced before");
        assert!(fs::read(at.join("late")).unwrap() == content, "what was written and not synced");
        assert!(fs::read(at.join("mapped")).unwrap() == changed, "what was written through memory");
        assert_eq!(fs::read_to_string(at.join("small")).unwrap(), "changed");
        assert_eq!(fs::metadata(at.join("sparse")).unwrap().len(), 5 << 20);
        // It is read-only, and only root gets there.
        assert_eq!(fs::write(at.join("new"), "").unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
        assert_eq!(fs::metadata(&volume.home).unwrap().mode() & 0o7777, 0o700);
        btrfs.remove(&volume, "job-1").unwrap();
        assert!(!volume.home.exists());
        btrfs.remove(&volume, "job-1").unwrap();
        assert_eq!(fs::read_to_string(data.join("new")).unwrap(), "other");
    });
}

#[test]
fn is_offered_only_where_it_would_show_everything() {
    on_disk(&format!("{HERE}is_offered_only_where_it_would_show_everything"), |disk| {
        let data = subvolume(disk.join("data"));
        for folder in ["x", "y/deep", "x-beside"] {
            fs::create_dir_all(data.join(folder)).unwrap();
        }
        fs::write(data.join("y/file"), "").unwrap();
        let volume = Volume { root: data.clone(), home: disk.join(HOME), disk: super::disk(disk).unwrap() };
        for source in [data.clone(), data.join("x"), data.join("y/deep"), data.join("y/file")] {
            assert_eq!(offered(&source), volume);
        }
        // Through a symbolic link; and the file system's own top is a subvolume too, of which `data` would be missing.
        symlink(&data, disk.join("link")).unwrap();
        assert_eq!(offered(&disk.join("link/y")), volume);
        assert_eq!(
            refused(disk),
            format!("a snapshot of {} would lack {}, which is a subvolume of its own", disk.display(), data.display())
        );

        subvolume(data.join("x-beside/nested"));
        assert_eq!(offered(&data.join("x")), volume);
        subvolume(data.join("x/nested"));
        subvolume(data.join("x/nested/deeper"));
        for (source, lacks) in [(data.join("x-beside"), "x-beside/nested"), (data.join("x"), "x/nested")] {
            let lacks = data.join(lacks);
            let said = format!("a snapshot of {} would lack {}, which is a subvolume of its own", source.display(), lacks.display());
            assert_eq!(refused(&source), said);
        }
        // The nested ones themselves are whole.
        assert_eq!(offered(&data.join("x/nested/deeper")).root, data.join("x/nested/deeper"));

        run("mount", &[&"-t", &"tmpfs", &"none", &data.join("y/deep")]);
        let said = format!("a snapshot of {0}/y would lack {0}/y/deep, which is a mount of its own", data.display());
        assert_eq!(refused(&data.join("y")), said);
        assert_eq!(Btrfs::new(None).offered(&data.join("y/deep")).unwrap(), None);
        run("umount", &[&data.join("y/deep")]);
        assert_eq!(offered(&data.join("y")), volume);

        // A part of a subvolume, mounted where the rest of it cannot be reached.
        let part = disk.parent().unwrap().join("part");
        fs::create_dir(&part).unwrap();
        run("mount", &[&"--bind", &data.join("y"), &part]);
        let said = refused(&part.join("deep"));
        assert_eq!(said, format!("cannot take a snapshot for {0}/deep: only a part of its subvolume is mounted, at {0}", part.display()));
        // A whole one is not a part.
        run("umount", &[&part]);
        run("mount", &[&"--bind", &data, &part]);
        assert_eq!(offered(&part.join("y")).root, part);
        let said = format!("a snapshot of {0} would lack {0}/x-beside/nested, which is a subvolume of its own", part.display());
        assert_eq!(refused(&part), said);

        subvolume(data.join("y/two\nlines"));
        assert!(refused(&data.join("y")).starts_with("cannot understand what btrfs says"));
    });
}

#[test]
fn what_a_kill_left_is_removed_once_its_disk_is_there() {
    on_disk(&format!("{HERE}what_a_kill_left_is_removed_once_its_disk_is_there"), |disk| {
        let state = tempfile::tempdir().unwrap();
        let data = subvolume(disk.join("data"));
        fs::create_dir(data.join("x")).unwrap();
        fs::write(data.join("x/file"), "then").unwrap();
        let btrfs = Btrfs::new(None);
        let archive = "services/2026-11-22T040000Z".parse().unwrap();
        let sources = [data.join("x"), state.path().to_owned()];
        let (mut held, warnings) = Held::prepare(&btrfs, state.path(), &archive, &sources);
        assert_eq!(warnings, [""; 0]);
        assert!(held.offers(&sources[0]) && !held.offers(&sources[1]));
        assert_eq!(held.take(), [""; 0]);
        fs::write(data.join("x/file"), "now").unwrap();
        let at = held.at(&sources[0]).unwrap();
        assert_eq!(at, disk.join(HOME).join("services-2026-11-22T040000Z-1/x"));
        assert_eq!((fs::read_to_string(at.join("file")).unwrap().as_str(), held.at(&sources[1])), ("then", None));
        std::mem::forget(held);

        // The machine starts again, and the disk is late: the snapshot is not taken for gone.
        run("umount", &[&disk]);
        let said = leftovers(&btrfs, state.path());
        let path = disk.join(HOME).join("services-2026-11-22T040000Z-1");
        assert_eq!(
            said,
            [format!(
                "the snapshot {0} is still there and takes room: cannot remove the snapshot {0}: its disk is not mounted there now",
                path.display()
            )]
        );
        run("mount", &[&"-o", &"loop", &disk.with_file_name("image"), &disk]);
        assert!(path.join("x").exists());
        assert_eq!(leftovers(&btrfs, state.path()), [""; 0]);
        assert!(!disk.join(HOME).exists());
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(data.join("x/file")).unwrap(), "now");
    });
}

#[test]
fn the_folder_for_snapshots_is_no_part_of_a_source() {
    on_disk(&format!("{HERE}the_folder_for_snapshots_is_no_part_of_a_source"), |disk| {
        let state = tempfile::tempdir().unwrap();
        fs::write(disk.join("file"), "").unwrap();
        let (btrfs, sources) = (Btrfs::new(None), [disk.to_owned()]);
        let archive = "services/2026-11-22T040000Z".parse().unwrap();
        let (mut held, mut warnings) = Held::prepare(&btrfs, state.path(), &archive, &sources);
        warnings.extend(held.take());
        assert_eq!(warnings, [""; 0]);
        let at = held.at(disk).unwrap();
        assert_eq!(at.as_os_str(), disk.join(HOME).join("services-2026-11-22T040000Z-1").as_os_str());
        assert!(at.join("file").exists());
        assert_eq!(held.exclude(disk), Some(disk.join(HOME)));
        // Left behind, it is kept out of a run without snapshots too.
        std::mem::forget(held);
        let (held, _) = Held::prepare(&btrfs, state.path(), &archive, &[]);
        assert_eq!((held.exclude(disk), held.at(disk)), (Some(disk.join(HOME)), None));
        assert_eq!(leftovers(&btrfs, state.path()), [""; 0]);
    });
}
