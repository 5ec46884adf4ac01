//! macOS: where its folders are, and which of its own programs do what needs no code of ours.
//!
//! Compiles and is tested on every system: nothing here is asked of the compiler, only of programs that a Mac has at a fixed path.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::Platform;
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

    fn is_left_out(&self, folder: &Path) -> bool {
        // What `tmutil addexclusion` leaves at the folder. One that was excluded by its path alone (-p) is excluded once more, which harms nothing.
        rustix::fs::getxattr(folder, "com.apple.metadata:com_apple_backup_excludeItem", &mut [0_u8; 0]).is_ok_and(|bytes| bytes > 0)
    }
}
