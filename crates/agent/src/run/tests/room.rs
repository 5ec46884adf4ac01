//! Runs on a small disk of their own.

use super::*;

/// A small disk at a folder; gone with this.
struct Mounted(std::path::PathBuf);

impl Mounted {
    /// One of 7 MiB at the repository of `config`, which is made anew in it; if it cannot be had, says that the test is skipped.
    fn at(config: &Config) -> Option<Self> {
        let disk = Self(config.repository.clone());
        if !disk.size("", 7) {
            assert!(std::env::var_os("OFFSITE_LAB").is_none_or(|value| value != "require"), "no file system can be mounted here");
            println!("skipped: no file system can be mounted here");
            return None;
        }
        crate::make_repository(config).unwrap();
        Some(disk)
    }

    fn size(&self, how: &str, mebibytes: u32) -> bool {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("{how}size={mebibytes}m"), "tmpfs"]).arg(&self.0);
        mount.output().is_ok_and(|output| output.status.success())
    }

    /// Nothing but the last mebibyte is free.
    fn fill(&self) {
        let disk = rustix::fs::statvfs(&self.0).unwrap();
        std::fs::write(self.0.join(".ballast"), vec![1; (disk.f_bavail * disk.f_frsize) as usize - (1 << 20)]).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg(&self.0).output());
    }
}

/// 4 MiB that do not compress.
fn large() -> Vec<u8> {
    let mut state = 7_u64;
    let word = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..1 << 19).flat_map(word).collect()
}

#[test]
fn services_are_not_stopped_for_an_archive_that_has_no_room() {
    for layout in ["plain", "packs"] {
        let (dir, config) = place_of(layout, "");
        let Some(disk) = Mounted::at(&config) else { return };
        let engine = Fake::new(&["a"]);
        std::fs::write(dir.path().join("house/large"), large()).unwrap();
        let night = || run_with(&config, &engine, &WELL, false, &mut |_| ());
        let error = night().unwrap_err();
        let RunError::Room { needed, free, .. } = error else { panic!("{layout}: {error:?}") };
        assert!(needed > 3 << 20 && free < needed, "{layout}: {needed} {free}");
        assert_eq!(engine.calls(), [""; 0]);
        assert!(crate::hint(&error).unwrap().starts_with("nothing was stopped; make room"));
        assert!(disk.size("remount,", 24));
        let first = night().unwrap();
        assert!(first.end.complete && needed <= first.end.bytes, "{layout}: {needed} {first:?}");
        // What is shared in packs needs no room again; a plain archive needs all of it.
        disk.fill();
        let calls = engine.calls();
        let second = night();
        match layout {
            "plain" => {
                assert!(matches!(second, Err(RunError::Room { .. })), "{second:?}");
                assert_eq!(engine.calls(), calls);
            }
            _ => assert!(second.unwrap().end.complete),
        }
    }
}

#[test]
fn nothing_is_written_in_one_pass_of_an_archive_that_has_no_room() {
    for layout in ["plain", "packs"] {
        let (dir, mut config) = place_of(layout, "");
        for job in config.jobs.values_mut() {
            job.quiesce = Quiesce::None;
        }
        let Some(disk) = Mounted::at(&config) else { return };
        let file = dir.path().join("house/large");
        let checked = || crate::check(&config).into_iter().find(|found| found.says.starts_with("there is no room")).map(|found| found.says);
        // It refuses without a look at a byte.
        let refused = || match run_with(&config, &Fake::new(&[]), &WELL, false, &mut |_| panic!("it reads")) {
            Err(error @ RunError::Room { .. }) => assert_eq!(checked(), Some(crate::chain(&error))),
            other => panic!("{layout}: {other:?}"),
        };
        let made = || {
            assert_eq!(checked(), None);
            let made = run_with(&config, &Fake::new(&[]), &WELL, false, &mut |_| ()).unwrap();
            assert!(made.end.complete, "{layout}: {made:?}");
        };
        // The first archive is taken for as large as its files.
        std::fs::write(&file, [large(), large()].concat()).unwrap();
        refused();
        assert!(disk.size("remount,", 24));
        made();
        if layout == "plain" {
            // What there is to archive has doubled.
            std::fs::write(&file, [large(), large(), large(), large()].concat()).unwrap();
            refused();
        }
        disk.fill();
        if layout == "plain" {
            refused();
            // What there is to archive has become less.
            std::fs::write(&file, "small").unwrap();
        }
        made();
    }
}
