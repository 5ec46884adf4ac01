//! The commands: each reads what it needs, calls the library, and prints.

use std::{error::Error, path::Path};

use offsite_agent::{Config, ConfigError};

use crate::exit::Exit;

pub(crate) mod archives;
pub(crate) mod check;
pub(crate) mod export;
pub(crate) mod init;
pub(crate) mod install;
pub(crate) mod resume;
pub(crate) mod run;

/// How a command ends: an exit code, or an error that [`crate::main`] prints with its causes and the next step.
pub(crate) type Done = Result<Exit, Box<dyn Error>>;

fn load(path: &Path) -> Result<Config, ConfigError> {
    Config::load(path)
}
