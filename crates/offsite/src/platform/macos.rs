//! macOS: where its folders are, and which of its own programs do what needs no code of ours.
//!
//! Compiles and is tested on every system: nothing here is asked of the compiler, only of programs that a Mac has at a fixed path.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Platform, Power};
use crate::config::Home;

/// macOS.
#[derive(Debug, Clone, Copy)]
pub struct MacOs;

impl Platform for MacOs {
    fn name(&self) -> &'static str {
        "macOS"
    }

    fn state_folder(&self, home: &Home) -> PathBuf {
        home.home.join("Library/Application Support/offsite")
    }

    fn log_folder(&self, home: &Home) -> PathBuf {
        home.home.join("Library/Logs/offsite")
    }

    fn has_launchd(&self) -> bool {
        true
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
        // The guarded folders of any account: those of another are closed all the more.
        let below = folder.strip_prefix(&home.home).ok().or_else(|| {
            let mut parts = folder.strip_prefix("/Users").ok()?.components();
            parts.next()?;
            Some(parts.as_path())
        })?;
        let guarded = [
            ("Desktop", "Desktop"),
            ("Documents", "Documents"),
            ("Downloads", "Downloads"),
            ("Library/Mobile Documents", "iCloud Drive"),
            ("Library/CloudStorage", "a cloud drive"),
        ];
        guarded.into_iter().find_map(|(folder, name)| below.starts_with(folder).then_some(name))
    }
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
