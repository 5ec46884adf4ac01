//! The one module that knows macOS from Linux, behind a trait.
//!
//! The Mac is where offsite lives; Linux is where it is developed, tested and sometimes used. Everything else in the crate asks
//! [`current`] and compiles alike on both.

mod linux;
mod macos;
mod space;
mod volume;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

pub use linux::Linux;
pub use macos::MacOs;
pub use space::free;
pub use volume::network;

use crate::home::Home;

pub trait Platform: Send + Sync {
    fn state_folder(&self, home: &Home) -> PathBuf;
    fn log_folder(&self, home: &Home) -> PathBuf;
    fn has_launchd(&self) -> bool {
        self.launchctl().is_some()
    }
    fn launchctl(&self) -> Option<Command>;
    fn systemctl(&self) -> Option<Command>;
    /// The command that shows and sets when the machine wakes by itself, where there is one.
    fn pmset(&self) -> Option<Command>;
    /// The command that keeps the system from idle sleep until the process `pid` ends, if there is one.
    fn stay_awake(&self, pid: u32) -> Option<Command>;
    /// The command that shows `message` to the person at the screen, if there is one.
    fn notice(&self, title: &str, message: &str) -> Option<Command>;
    /// The command that keeps `folder` out of the system's own backup, if there is one.
    fn leave_out_of_own_backup(&self, folder: &Path) -> Option<Command>;
    /// How this computer is powered; `None` if it has no battery, or the system does not tell. Waits for a program of the system, so it belongs on a
    /// thread that may wait.
    fn power(&self) -> Option<Power>;
    /// Whether `folder` is known to be left out already; where nothing backs up by itself, it is.
    fn is_left_out(&self, folder: &Path) -> bool;
    /// What guards `folder` from programs that run in the background, if anything does: a name that a person knows.
    fn guards(&self, folder: &Path, home: &Home) -> Option<&'static str>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Power {
    pub mains: bool,
    pub percent: u8,
}

pub fn current() -> &'static dyn Platform {
    if cfg!(target_os = "macos") { &MacOs } else { &Linux }
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
    (!done).then(|| format!("could not leave it out of Time Machine; see why: tmutil addexclusion {}", folder.display()))
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
    fn macos_guards_what_people_see_first() {
        let home = Home::at(Path::new("/Users/owner"));
        for (folder, guard) in [
            ("/Users/owner/Desktop", Some("Desktop")),
            ("/Users/owner/Documents/Backups/offsite", Some("Documents")),
            ("/Users/owner/Downloads/x", Some("Downloads")),
            ("/Users/owner/Library/Mobile Documents/com~apple~CloudDocs/offsite", Some("iCloud Drive")),
            ("/Users/owner/Library/CloudStorage/Dropbox/offsite", Some("a cloud drive")),
            ("/Users/owner/Documents2", None),
            ("/Users/owner/Backups/Desktop", None),
            ("/Volumes/disk/Documents", None),
        ] {
            assert_eq!(MacOs.guards(Path::new(folder), &home), guard, "{folder}");
            assert_eq!(Linux.guards(Path::new(folder), &home), None);
        }
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
        assert_eq!(free(&dir.path().join("gone")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_left_out_already_is_left_alone_and_a_failure_is_a_word_of_advice() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(leave_out_on(&Linux, dir.path()), None);
        if cfg!(target_os = "linux") {
            // No such attribute, and no such command either.
            let advice = leave_out_on(&MacOs, dir.path()).unwrap();
            assert!(advice.ends_with(&format!("tmutil addexclusion {}", dir.path().display())), "{advice}");
        }
    }
}
