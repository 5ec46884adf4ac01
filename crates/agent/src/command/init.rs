//! `init`: in two steps, so that nothing is made where nobody has said yet that it should be.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
};

use offsite_agent::config::EXAMPLE;

use super::{Done, load};
use crate::{cli, exit::Exit};

pub(crate) fn init(cli: &cli::Cli) -> Done {
    let path = &cli.config;
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o644).open(path) {
        Ok(mut file) => {
            file.write_all(EXAMPLE.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
            say!("wrote an example to {}: make it yours, then run init again", path.display());
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let config = load(path)?;
            let made = if offsite_agent::make_repository(&config)? { "made the repository" } else { "the repository is there" };
            say!("{made}: {}", config.repository.display());
        }
        Err(error) => return Err(failed(error).into()),
    }
    Ok(Exit::Fine)
}
