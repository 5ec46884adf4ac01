//! `export`: one archive as a plain `.tar.zst`, to a pipe or a file.
//!
//! A file appears under its name only when it is whole, checked and on the disk. A pipe cannot be taken back, so there the exit code tells:
//! whoever unpacks from it must look at both ends (`set -o pipefail`).

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
};

use offsite_agent::{Config, export, human::size};

use super::{Done, load};
use crate::{cli, exit::Exit};

/// Large enough that a pipe or a disk is asked a few times per frame only.
const BUFFER: usize = 1 << 20;

pub(crate) fn run(cli: &cli::Cli, args: &cli::Export) -> Done {
    let config = load(&cli.config)?;
    let complete = match args.to.as_deref() {
        None => to_pipe(&config, cli.quiet, &args.archive)?,
        Some(path) if path == Path::new("-") => to_pipe(&config, cli.quiet, &args.archive)?,
        Some(path) => to_file(&config, &args.archive, path)?,
    };
    Ok(if complete { Exit::Fine } else { Exit::Incomplete })
}

fn to_pipe(config: &Config, quiet: bool, wanted: &str) -> Result<bool, Box<dyn std::error::Error>> {
    if io::stdout().is_terminal() {
        return Err("cannot export to a terminal: name a file, or a pipe (| tar --zstd --numeric-owner -xp -C / --xattrs --xattrs-include='*' --acls)".into());
    }
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout());
    let (info, _) = export(config, wanted, &mut out, |info| {
        if !quiet {
            // Of several archives one was meant.
            note!("exporting {}{}", info.name, if info.end.complete { "" } else { ", which is incomplete" });
        }
    })?;
    out.flush().map_err(|error| format!("cannot write to the pipe: {error}"))?;
    Ok(info.end.complete)
}

fn to_file(config: &Config, wanted: &str, path: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => format!("{} exists already", path.display()),
        _ => format!("cannot write {}: {error}", path.display()),
    };
    if path.symlink_metadata().is_ok() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()).into());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made 0600, whatever the umask: it holds what the services keep secret.
    let mut file = tempfile::Builder::new().prefix(".offsite-export-").tempfile_in(folder).map_err(failed)?;
    let mut out = BufWriter::with_capacity(BUFFER, file.as_file_mut());
    let (info, exported) = export(config, wanted, &mut out, |_| ())?;
    out.flush().map_err(failed)?;
    drop(out);
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(path).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    let incomplete = if info.end.complete { "" } else { " INCOMPLETE" };
    say!("{}{incomplete} to {}: {} in {}", info.name, path.display(), size(exported.raw), size(exported.bytes));
    Ok(info.end.complete)
}
