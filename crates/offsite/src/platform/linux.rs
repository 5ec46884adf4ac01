//! Linux, and every other system that follows the XDG folders.
//!
//! Nothing here needs a desktop: what a server cannot do is `None`, and the caller goes on without.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Platform, Power};
use crate::home::Home;

/// Linux and whatever else follows the XDG folders.
#[derive(Debug, Clone, Copy)]
pub struct Linux;

impl Platform for Linux {
    fn state_folder(&self, home: &Home) -> PathBuf {
        home.state.clone().unwrap_or_else(|| home.home.join(".local/state")).join("offsite")
    }

    fn log_folder(&self, home: &Home) -> PathBuf {
        self.state_folder(home).join("log")
    }

    fn launchctl(&self) -> Option<Command> {
        None
    }

    fn systemctl(&self) -> Option<Command> {
        let mut command = Command::new("systemctl");
        command.arg("--user");
        Some(command)
    }

    fn pmset(&self) -> Option<Command> {
        None
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

    fn power(&self) -> Option<Power> {
        supplies(Path::new("/sys/class/power_supply"))
    }

    fn is_left_out(&self, _folder: &Path) -> bool {
        true
    }

    fn guards(&self, _folder: &Path, _home: &Home) -> Option<&'static str> {
        None
    }
}

/// What the kernel's folder of power supplies says. Of several batteries the fullest counts; those of mice and keyboards do not.
fn supplies(root: &Path) -> Option<Power> {
    let (mut mains, mut percent) = (false, None);
    for entry in std::fs::read_dir(root).ok()?.flatten() {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).map(|text| text.trim().to_owned()).ok();
        match read("type").as_deref() {
            Some("Battery") if read("scope").as_deref() != Some("Device") => {
                percent = percent.max(read("capacity").and_then(|capacity| capacity.parse::<u8>().ok()));
            }
            Some("Mains" | "USB") => mains |= read("online").as_deref() == Some("1"),
            _ => {}
        }
    }
    Some(Power { mains, percent: percent? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_battery_is_read_from_the_kernels_folder() {
        let dir = tempfile::tempdir().unwrap();
        let supply = |name: &str, files: &[(&str, &str)]| {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
            files.iter().for_each(|(file, text)| std::fs::write(dir.path().join(name).join(file), format!("{text}\n")).unwrap());
        };
        assert_eq!(supplies(&dir.path().join("none")), None);
        supply("hid", &[("type", "Battery"), ("scope", "Device"), ("capacity", "90")]);
        supply("AC", &[("type", "Mains"), ("online", "0")]);
        assert_eq!(supplies(dir.path()), None, "a computer without a battery of its own");
        supply("BAT0", &[("type", "Battery"), ("capacity", "12")]);
        assert_eq!(supplies(dir.path()), Some(Power { mains: false, percent: 12 }));
        supply("ucsi", &[("type", "USB"), ("online", "1")]);
        assert_eq!(supplies(dir.path()), Some(Power { mains: true, percent: 12 }));
    }
}
