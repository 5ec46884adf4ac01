//! The one module that knows macOS from Linux, behind a trait.
//!
//! The Mac is where offsite lives; Linux is where it is developed, tested and sometimes used. Everything else in the crate asks
//! [`current`] and compiles alike on both.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::config::Home;

/// What differs between systems.
pub trait Platform: Send + Sync {
    /// The system's name, for messages.
    fn name(&self) -> &'static str;
    /// Folder of journal, lock and key.
    fn state_folder(&self, home: &Home) -> PathBuf;
    /// Folder of log files.
    fn log_folder(&self, home: &Home) -> PathBuf;
    /// Whether launchd starts jobs here.
    fn has_launchd(&self) -> bool;
    /// The command that keeps the system from idle sleep until the process `pid` ends, if there is one.
    fn stay_awake(&self, pid: u32) -> Option<Command>;
    /// The command that shows `message` to the person at the screen, if there is one.
    fn notice(&self, title: &str, message: &str) -> Option<Command>;
    /// The command that keeps `folder` out of the system's own backup, if there is one.
    fn leave_out_of_own_backup(&self, folder: &Path) -> Option<Command>;
    /// Whether `folder` is known to be left out already; where nothing backs up by itself, it is.
    fn is_left_out(&self, folder: &Path) -> bool;
}

/// Bytes that may still be written below `folder` by who is not the administrator.
///
/// On macOS the figure of the Finder is larger: it counts what the system would throw away for something important. To ask for that one
/// needs Foundation's objects and so `unsafe`; this one errs on the safe side.
///
/// # Errors
/// If the system does not tell.
pub fn free(folder: &Path) -> io::Result<u64> {
    let (blocks, length) = free_blocks(folder)?;
    Ok(blocks.saturating_mul(length))
}

/// Blocks and their length. macOS counts them in 32 bits for `statvfs`, which ends at 16 TB.
#[cfg(target_os = "macos")]
fn free_blocks(folder: &Path) -> io::Result<(u64, u64)> {
    let facts = rustix::fs::statfs(folder)?;
    Ok((facts.f_bavail, facts.f_bsize.into()))
}

#[cfg(not(target_os = "macos"))]
fn free_blocks(folder: &Path) -> io::Result<(u64, u64)> {
    let facts = rustix::fs::statvfs(folder)?;
    Ok((facts.f_bavail, facts.f_frsize))
}

/// The system this was compiled for.
pub fn current() -> &'static dyn Platform {
    if cfg!(target_os = "macos") { &MacOs } else { &Linux }
}

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

/// Linux and whatever else follows the XDG folders.
#[derive(Debug, Clone, Copy)]
pub struct Linux;

impl Platform for Linux {
    fn name(&self) -> &'static str {
        "Linux"
    }

    fn state_folder(&self, home: &Home) -> PathBuf {
        home.state.clone().unwrap_or_else(|| home.home.join(".local/state")).join("offsite")
    }

    fn log_folder(&self, home: &Home) -> PathBuf {
        self.state_folder(home).join("log")
    }

    fn has_launchd(&self) -> bool {
        false
    }

    fn stay_awake(&self, _pid: u32) -> Option<Command> {
        None
    }

    fn notice(&self, _title: &str, _message: &str) -> Option<Command> {
        None
    }

    fn leave_out_of_own_backup(&self, _folder: &Path) -> Option<Command> {
        None
    }

    fn is_left_out(&self, _folder: &Path) -> bool {
        true
    }
}

/// Keeps `folder` out of the system's own backup unless it is already. Time Machine would keep the space of every pruned pack for a day; leaving
/// it out is comfort. Gives what a person may do where it did not work.
pub fn leave_out(folder: &Path) -> Option<String> {
    leave_out_on(current(), folder)
}

fn leave_out_on(platform: &dyn Platform, folder: &Path) -> Option<String> {
    if platform.is_left_out(folder) {
        return None;
    }
    let done = platform.leave_out_of_own_backup(folder)?.output().is_ok_and(|output| output.status.success());
    (!done)
        .then(|| format!("could not leave it out of Time Machine; with administrator rights: tmutil addexclusion -p {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_follow_each_system() {
        let mut home = Home::at(Path::new("/home/owner"));
        assert_eq!(MacOs.state_folder(&home), Path::new("/home/owner/Library/Application Support/offsite"));
        assert_eq!(Linux.state_folder(&home), Path::new("/home/owner/.local/state/offsite"));
        home.state = Some("/state".into());
        assert_eq!(Linux.state_folder(&home), Path::new("/state/offsite"));
        assert_eq!(MacOs.state_folder(&home), Path::new("/home/owner/Library/Application Support/offsite"));
    }

    #[test]
    fn a_notice_never_becomes_script() {
        let command = MacOs.notice("offsite", "\" & do shell script \"x").unwrap();
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args[args.len() - 2..], ["offsite", "\" & do shell script \"x"]);
        assert!(args[..args.len() - 2].iter().all(|arg| !arg.to_string_lossy().contains("do shell script")));
    }

    #[test]
    fn a_disk_says_how_much_is_free() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free(dir.path()).is_ok());
        assert_eq!(free(&dir.path().join("gone")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_left_out_already_is_left_alone_and_a_failure_is_a_word_of_advice() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(leave_out_on(&Linux, dir.path()), None);
        if cfg!(target_os = "linux") {
            // No such attribute, and no such command either.
            let advice = leave_out_on(&MacOs, dir.path()).unwrap();
            assert!(advice.ends_with(&format!("tmutil addexclusion -p {}", dir.path().display())), "{advice}");
        }
    }
}
