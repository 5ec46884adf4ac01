//! A disk without room.

use super::*;

/// The repository's folder, empty, on a file system of 30 MiB; `None` where none can be mounted. A pack is full at 8 MiB and shorter than 12:
/// beside the 6 of the library two have room, and three never.
fn on_a_small_disk(lab: &Lab) -> Option<Mounted> {
    let repository = lab.path("repository");
    fs::remove_dir_all(&repository).unwrap();
    fs::create_dir(&repository).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=30m", "tmpfs"]).arg(&repository).output();
    if mounted.is_ok_and(|output| output.status.success()) {
        return Some(Mounted(repository));
    }
    lab::skip("no file system can be mounted here");
    None
}

/// Leaves 4.5 MiB of it.
fn ballast(lab: &Lab) -> PathBuf {
    let (free, ballast) = (rustix::fs::statvfs(lab.path("repository")).unwrap(), lab.path("repository/.ballast"));
    fs::write(&ballast, vec![1; (free.f_bavail * free.f_frsize - (9 << 19)) as usize]).unwrap();
    ballast
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).output());
    }
}

#[test]
fn rot_on_a_full_disk_costs_the_bad_frames_and_no_more_until_there_is_room() {
    for deleted in [true, false] {
        let lab = ready();
        let Some(_mounted) = on_a_small_disk(&lab) else { return };
        lab.agent(&["init"]).ended(0);
        // One pack, not full; also without any one frame of "a" it is longer than there will be room for.
        noise(&lab, "library", 1, 3 << 20);
        for (seed, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            noise(&lab, name, 20 + seed as u64, 1 << 20);
        }
        run(&lab);
        if deleted {
            // So that the new pack is the one with fewer live bytes, and the rotten one with more.
            fs::remove_file(lab.path("services/d")).unwrap();
        }
        let pack = largest(&lab);
        let file = lab.path("repository/packs").join(&pack);
        let mut rotten = fs::read(&file).unwrap();
        assert!(rotten.len() > 13 << 19);
        rotten[500_000] ^= 1;
        fs::write(&file, rotten).unwrap();
        let ballast = ballast(&lab);
        for full in [true, false, false] {
            let said = lab.agent(if full { &["run", "services", "--full"] } else { &["run", "services"] }).ended(0);
            assert!(said.err.contains(&format!("packs/{pack} was damaged and cannot be set aside: ")), "{said:?}");
            assert!(made(&lab)["fresh"].as_u64().unwrap() < 5 << 19 && made(&lab)["full"].is_null());
            same(&lab, &unpacked(&lab, "latest"));
            assert!(!lab.path("state/unpruned").exists());
        }
        let said = lab.agent(&["check"]).ended(0);
        assert!(said.out.contains(&format!("packs/{pack} holds 1 bad frame and could not be set aside")), "{said:?}");
        // What a run found is told also if it fails.
        noise(&lab, "big", 30, 6 << 20);
        let said = lab.agent(&["run", "services"]).ended(1);
        assert!(said.err.contains("next: the disk of the repository is full") && !said.err.contains("for good"), "{said:?}");
        assert!(made(&lab)["notes"][0].as_str().unwrap().contains("was damaged and cannot be set aside"));
        let said = lab.agent(&["check"]).ended(0);
        assert!(said.out.contains(&format!("that run found: packs/{pack} was damaged")), "{said:?}");
        fs::remove_file(lab.path("services/big")).unwrap();
        fs::remove_file(&ballast).unwrap();
        run(&lab);
        assert!(lab.path("repository/damaged").join(&pack).exists());
        whole(&lab);
        same(&lab, &unpacked(&lab, "latest"));
    }
}

#[test]
fn a_pack_without_tables_on_a_full_disk_is_used_where_it_lies() {
    let lab = ready();
    let Some(_mounted) = on_a_small_disk(&lab) else { return };
    lab.agent(&["init"]).ended(0);
    noise(&lab, "library", 1, 3 << 20);
    noise(&lab, "more", 20, 4 << 20);
    run(&lab);
    let pack = largest(&lab);
    for (folder, before) in [("packs", 30), ("index", 5)] {
        let path = lab.path("repository").join(folder).join(&pack);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() - before;
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let ballast = ballast(&lab);
    for _ in 0..2 {
        let said = run(&lab);
        assert!(said.err.contains("cannot be set aside: ") && made(&lab)["fresh"] == 0, "{said:?}");
        same(&lab, &unpacked(&lab, "latest"));
    }
    fs::remove_file(&ballast).unwrap();
    let said = run(&lab);
    assert!(said.err.contains(&format!("packs/{pack} was damaged and set aside: ")) && made(&lab)["fresh"] == 0, "{said:?}");
    whole(&lab);
}

#[test]
fn a_disk_that_gets_full_is_not_left_full() {
    let lab = ready();
    let Some(_mounted) = on_a_small_disk(&lab) else { return };
    lab.agent(&["init"]).ended(0);
    run(&lab);
    let before = packs(&lab);
    noise(&lab, "big", 11, 32 << 20);
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("No space left on device") && said.err.contains("next: the disk of the repository is full"), "{said:?}");
    // The run had written two packs by then.
    assert!(said.err.contains("pruned removed=2"), "{said:?}");
    assert_eq!(packs(&lab), before);
    assert!(!lab.path("state/unpruned").exists());
    fs::remove_file(lab.path("services/big")).unwrap();
    run(&lab);
    whole(&lab);
    assert_eq!(lab.archives().len(), 2);
}
