//! What can be wrong with a configuration.

use std::{io, path::PathBuf};

use crate::home::NoHome;

/// A configuration that cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nothing says where the owner's files are.
    #[error(transparent)]
    NoHome(#[from] NoHome),
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not YAML, an unknown key, a wrong value, or values that do not go together: with file, line, key and the nearest valid word.
    #[error(transparent)]
    Invalid(offsite_agent::config::ConfigError),
}
