//! Linux, and every other system that follows the XDG folders.
//!
//! Nothing here needs a desktop: what a server cannot do is `None`, and the caller goes on without.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::Platform;
use crate::config::Home;

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
