//! What can be wrong with a configuration.

use std::{io, path::PathBuf};

use crate::home::NoHome;

/// A configuration that cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    NoHome(#[from] NoHome),
    #[error("cannot read the configuration {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Not YAML, an unknown key, a wrong value, or values that do not go together: with file, line, key and the nearest valid word.
    #[error(transparent)]
    Invalid(offsite_agent::config::ConfigError),
}
