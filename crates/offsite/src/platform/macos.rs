//! macOS: where its folders are, and which of its own programs do what needs no code of ours.
//!
//! Compiles and is tested on every system: nothing here is asked of the compiler, only of programs that a Mac has at a fixed path.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Platform, Power};
use crate::home::{Home, straight};

#[derive(Debug, Clone, Copy)]
pub struct MacOs;

impl Platform for MacOs {
    fn state_folder(&self, home: &Home) -> PathBuf {
        home.home.join("Library/Application Support/offsite")
    }

    fn log_folder(&self, home: &Home) -> PathBuf {
        home.home.join("Library/Logs/offsite")
    }

    fn launchctl(&self) -> Option<Command> {
        Some(Command::new("/bin/launchctl"))
    }

    fn systemctl(&self) -> Option<Command> {
        None
    }

    fn pmset(&self) -> Option<Command> {
        Some(Command::new("/usr/bin/pmset"))
    }

    fn stay_awake(&self, pid: u32) -> Option<Command> {
        // -i holds on battery too, -s on mains only; neither survives a closed lid, and -w releases both however we end.
        let mut command = Command::new("/usr/bin/caffeinate");
        command.args(["-i", "-s", "-w", &pid.to_string()]);
        Some(command)
    }

    fn notice(&self, title: &str, message: &str) -> Option<Command> {
        // The texts are arguments of the script, never part of it: an archive's name must not become AppleScript.
        let mut command = Command::new("/usr/bin/osascript");
        command.args(["-e", "on run argv", "-e", "display notification (item 2 of argv) with title (item 1 of argv)", "-e", "end run"]);
        command.args(["--", title, message]);
        Some(command)
    }

    fn leave_out_of_own_backup(&self, folder: &Path) -> Option<Command> {
        let mut command = Command::new("/usr/bin/tmutil");
        command.arg("addexclusion").arg(folder);
        Some(command)
    }

    fn power(&self) -> Option<Power> {
        let said = Command::new("/usr/bin/pmset").args(["-g", "batt"]).env("LC_ALL", "C").output().ok()?;
        battery(&String::from_utf8_lossy(&said.stdout))
    }

    fn is_left_out(&self, folder: &Path) -> bool {
        // What `tmutil addexclusion` leaves at the folder. One that was excluded by its path alone (-p) is excluded once more, which harms nothing.
        rustix::fs::getxattr(folder, "com.apple.metadata:com_apple_backup_excludeItem", &mut [0_u8; 0]).is_ok_and(|bytes| bytes > 0)
    }

    fn guards(&self, folder: &Path, home: &Home) -> Option<&'static str> {
        // As it is called, and where that leads: what is reached through a guarded folder is guarded, and so is what a link leads into.
        let homes = [straight(&home.home), whereabouts(&home.home)];
        [straight(folder), whereabouts(folder)].iter().find_map(|folder| guard(folder, &homes))
    }
}

/// What guards a folder that is called like this. Its disk tells no large letters from small ones.
fn guard(folder: &Path, homes: &[PathBuf]) -> Option<&'static str> {
    let small = |path: &Path| PathBuf::from(path.to_string_lossy().to_lowercase());
    let folder = small(folder);
    // Where all of /Users lies by its other name.
    let folder = folder.strip_prefix("/system/volumes/data").map_or(folder.clone(), |below| Path::new("/").join(below));
    let own = homes.iter().filter(|home| home.is_absolute()).find_map(|home| folder.strip_prefix(small(home)).ok());
    // The guarded folders of any account: those of another are closed all the more.
    let below = own.or_else(|| {
        let mut parts = folder.strip_prefix("/users").ok()?.components();
        parts.next()?;
        Some(parts.as_path())
    })?;
    let guarded = [
        ("desktop", "Desktop"),
        ("documents", "Documents"),
        ("downloads", "Downloads"),
        ("library/mobile documents", "iCloud Drive"),
        ("library/cloudstorage", "a cloud drive"),
    ];
    guarded.into_iter().find_map(|(folder, name)| below.starts_with(folder).then_some(name))
}

/// Where a path leads: without links as far as it is there, and by its text behind that.
fn whereabouts(path: &Path) -> PathBuf {
    let real = path.ancestors().find_map(|there| Some(there.canonicalize().ok()?.join(path.strip_prefix(there).ok()?)));
    straight(&real.unwrap_or_else(|| path.to_owned()))
}

/// What `pmset -g batt` prints. A battery of a keyboard or of an external supply is not what this computer runs on.
fn battery(said: &str) -> Option<Power> {
    let mains = !said.lines().next()?.contains("'Battery Power'");
    let line = said.lines().find(|line| line.trim_start().starts_with("-InternalBattery"))?;
    let percent = line.split_whitespace().find_map(|word| word.trim_end_matches(';').strip_suffix('%')?.parse().ok())?;
    Some(Power { mains, percent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_kept_awake_on_battery_and_mains_until_we_are_gone() {
        let command = MacOs.stay_awake(7).unwrap();
        let said: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        assert_eq!(said, ["/usr/bin/caffeinate", "-i", "-s", "-w", "7"]);
    }

    #[test]
    fn a_guarded_folder_is_known_by_any_of_its_names() {
        let owner = Home::at(Path::new("/Users/owner"));
        for folder in [
            "/Users/owner/documents/x",
            "/users/Owner/Backups/../Documents/x",
            "/USERS/owner/DOCUMENTS",
            "/System/Volumes/Data/Users/owner/Documents/x",
        ] {
            assert_eq!(MacOs.guards(Path::new(folder), &owner), Some("Documents"), "{folder}");
        }
        assert_eq!(MacOs.guards(Path::new("/Users/owner/Documents/../Backups"), &owner), None);
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(&dir.path().join("home"));
        std::fs::create_dir_all(home.home.join("Desktop/offsite")).unwrap();
        std::fs::create_dir_all(dir.path().join("disk")).unwrap();
        std::os::unix::fs::symlink("Desktop/offsite", home.home.join("Backups")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("disk"), home.home.join("Desktop/disk")).unwrap();
        for folder in ["Backups", "Backups/new/folder", "Backups/../new", "Desktop/disk/new"] {
            assert_eq!(MacOs.guards(&home.home.join(folder), &home), Some("Desktop"), "{folder}");
        }
        assert_eq!(MacOs.guards(&dir.path().join("disk/new"), &home), None);
    }

    #[test]
    fn the_battery_is_read_from_what_pmset_prints() {
        let on = "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=4653155)\t23%; discharging; 1:32 remaining present: true\n";
        assert_eq!(battery(on), Some(Power { mains: false, percent: 23 }));
        let mains = "Now drawing from 'AC Power'\n -InternalBattery-0 (id=4653155)\t100%; charged; 0:00 remaining present: true\n";
        assert_eq!(battery(mains), Some(Power { mains: true, percent: 100 }));
        let fresh = "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=1)\t7%; (no estimate) present: true\n";
        assert_eq!(battery(fresh), Some(Power { mains: false, percent: 7 }));
        // A Mac mini, one with a supply of its own, and nothing at all.
        assert_eq!(battery("Now drawing from 'AC Power'\n"), None);
        assert_eq!(battery("Now drawing from 'UPS Power'\n -Back-UPS 700 (id=2)\t99%; charging present: true\n"), None);
        assert_eq!(battery(""), None);
    }
}
