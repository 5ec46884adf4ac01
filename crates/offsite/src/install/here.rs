//! Who calls, for whom, and with what: asked once, so that with sudo nothing of root's is taken for the owner's.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{
    InstallError, Job, Kind, Owner,
    owner::{Caller, look_up, whose},
    program,
};
use crate::{
    config::{Config, Home},
    globals::Globals,
    human::quoted,
    platform,
};

/// Who calls, for whom, with what.
pub(crate) struct Here {
    pub(super) root: bool,
    /// Whether the owner is who calls.
    pub(super) same: bool,
    pub(super) owner: Owner,
    pub(super) home: Home,
    pub(super) config: PathBuf,
    pub(super) program: PathBuf,
}

impl Here {
    /// Asks the system. With sudo the home folder is the owner's, not root's.
    pub(crate) fn find(globals: &Globals, user: Option<&str>) -> anyhow::Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let sudo = std::env::var("SUDO_USER").ok();
        let mut owner = look_up(&whose(user, Caller { uid, sudo: sudo.as_deref() })?)?;
        let home = if owner.uid == uid { Home::of_process()? } else { Home::at(&owner.home) };
        owner.home.clone_from(&home.home);
        let config = globals.config.clone().unwrap_or_else(|| home.default_config());
        let config = std::path::absolute(config).context("cannot tell the working folder")?;
        let program = std::env::current_exe().context("cannot tell where the offsite program is")?;
        Ok(Self { root: uid == 0, same: owner.uid == uid, owner, home, config, program: program::lasting(&program) })
    }

    /// Where a systemd of each account's own starts the daemon: why this process cannot ask the owner's.
    pub(super) fn not_ours(&self, what: &'static str) -> Option<InstallError> {
        if self.root {
            return Some(InstallError::NotAsRoot { what });
        }
        (!self.same).then(|| InstallError::NotAsAnother { what, name: self.owner.name.clone() })
    }

    pub(crate) fn sudo(&self, globals: &Globals, words: &[&str]) -> String {
        let mut line = vec!["sudo".to_owned(), quoted(&self.program.to_string_lossy())];
        // Under sudo nothing of this process's environment is left that could lead to the configuration.
        if globals.config.is_some() || self.config != Home::at(&self.owner.home).default_config() {
            line.extend(["--config".to_owned(), quoted(&self.config.to_string_lossy())]);
        }
        line.extend(words.iter().map(|word| quoted(word)));
        line.join(" ")
    }

    pub(super) fn job(&self, config: &Config, kind: Kind) -> Job {
        Job {
            program: self.program.clone(),
            config: self.config.clone(),
            at: config.at,
            home: self.home.home.clone(),
            xdg: self.home.xdg(),
            logs: platform::current().log_folder(&self.home),
            notices: config.state.join("notices"),
            kind,
        }
    }

    /// The configuration, if it can be read; removing must work without one.
    pub(crate) fn config(&self) -> Option<Config> {
        Config::load(&self.config, &self.home).ok()
    }

    /// Where the state is if no configuration says otherwise, and where the configuration is.
    pub(crate) fn leftovers(&self) -> (PathBuf, &Path) {
        (platform::current().state_folder(&self.home), &self.config)
    }
}
