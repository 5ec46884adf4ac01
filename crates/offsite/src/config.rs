//! `offsite.yaml`: read once, checked whole, turned into types; past this module nothing is a loose string.
//!
//! A daemon runs where nobody watches and with `/` as its folder, so what could be read two ways is refused: relative paths, two places
//! of one name, unknown keys. An error names file, line and key, and nothing has been changed when it appears.

mod cloud;
mod credentials;
mod error;
mod file;
mod jobs;
mod keeping;
mod line;
mod log;
pub(crate) mod notify;
mod place;
mod rate;
mod schema;
#[cfg(test)]
mod table_tests;
mod word;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use jiff::SignedDuration;
pub use offsite_agent::config::TimeOfDay;
use offsite_archive::JobName;

pub(crate) use self::cloud::without_user;
pub use self::{
    cloud::{Cloud, CloudUrl, InvalidCloud, StorageClass},
    credentials::{Credentials, CredentialsError, S3Keys},
    error::ConfigError,
    keeping::{InvalidPart, PlainCopies, VerifyPart},
    log::{LogFormat, LogLevel, LogRules},
    notify::{Address, Email, Healthchecks, InvalidAddress, MacNotices, Notify, NotifySecrets, Ntfy, Security, Webhook},
    place::{InvalidPlace, MAC, PlaceName},
    rate::{InvalidRate, Rate},
    schema::SCHEMA,
    word::InvalidWord,
};
pub use crate::home::Home;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub path: PathBuf,
    pub repository: PathBuf,
    /// When the night's run is due, in the Mac's own time zone.
    pub at: TimeOfDay,
    pub keep: NonZeroUsize,
    pub verify: VerifyPart,
    pub plain: PlainCopies,
    /// How old the newest archive, or the last good run, may be before it is an alarm.
    pub overdue: SignedDuration,
    /// Charge of the battery below which, without mains, a run is postponed. Per cent; 0: never.
    pub battery: u8,
    /// How long one start of the daemon waits for a Pi that does not answer. Up to a day.
    pub wait: SignedDuration,
    pub jobs: BTreeMap<JobName, JobRules>,
    pub pis: Vec<Pi>,
    pub clouds: Vec<Cloud>,
    pub notify: Notify,
    pub log: LogRules,
    /// Where the journal, the lock and the key are.
    pub state: PathBuf,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobRules {
    pub keep: Option<NonZeroUsize>,
    /// How old the newest archive may be.
    pub overdue: Option<SignedDuration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pi {
    pub name: PlaceName,
    /// Host name or address, or what ~/.ssh/config calls it.
    pub host: String,
    pub port: Option<u16>,
    /// The pulling account, if not as ssh has it.
    pub user: Option<String>,
    /// The agent's repository, as that account sees it.
    pub path: String,
    pub auth: PiAuth,
    /// Host keys that are trusted, if not as ssh has it.
    pub known_hosts: Option<PathBuf>,
    /// What of ssh's own configuration applies.
    pub ssh_config: SshConfig,
    /// Most that is received in a second.
    pub limit: Option<Rate>,
    pub connections: NonZeroUsize,
}

/// How we prove ourselves to a Pi.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PiAuth {
    /// As ssh would: its identity files, and the agent.
    Ssh,
    /// A private key's file; its passphrase, if it has one, is in `OFFSITE_SSH_PASSPHRASE`.
    Key(PathBuf),
    Agent,
}

/// Which configuration of ssh applies to a Pi.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshConfig {
    /// Those that `ssh` itself reads.
    Usual,
    None,
    File(PathBuf),
}

impl Config {
    pub fn load(path: &Path, home: &Home) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text, home)
    }

    pub fn parse(path: &Path, text: &str, home: &Home) -> Result<Self, ConfigError> {
        file::parse(path, text, home)
    }

    pub fn keep_of(&self, job: &JobName) -> NonZeroUsize {
        self.jobs.get(job).and_then(|rules| rules.keep).unwrap_or(self.keep)
    }

    pub fn overdue_of(&self, job: &JobName) -> SignedDuration {
        self.jobs.get(job).and_then(|rules| rules.overdue).unwrap_or(self.overdue)
    }
}
