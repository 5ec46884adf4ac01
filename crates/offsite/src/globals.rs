//! What every verb takes.
//!
//! `--config` is global, because every verb but `install --print` and `demo` reads the configuration, and a test or a second household
//! on one Mac needs another one. It stands apart from the list of verbs, so that no verb knows the others.

use std::path::PathBuf;

use crate::config::{Config, ConfigError, Home};

/// Options of every verb.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Globals {
    /// Configuration file [default: ~/.config/offsite/offsite.yaml]
    #[arg(long, short = 'c', global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Globals {
    pub fn config_path(&self) -> Result<PathBuf, ConfigError> {
        match &self.config {
            Some(path) => Ok(path.clone()),
            None => Ok(Home::of_process()?.default_config()),
        }
    }

    /// Reads and checks the configuration. Without `HOME` one that names every folder in full is as good as any.
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.config_path()?, &Home::of_process_if_any())
    }
}
