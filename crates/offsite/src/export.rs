//! `offsite export`: an archive as the plain `.tar.zst` that `tar` opens, to a file or a pipe.
//!
//! A file appears under its name only when it is whole, checked and on the disk. A pipe cannot be taken back, so there the exit code tells:
//! whoever unpacks from it must look at both ends (`set -o pipefail`).

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use offsite_archive::ArchiveName;
use offsite_repository::{Exported, export};

use crate::{
    exit::Exit,
    globals::Globals,
    human::size,
    progress::Bar,
    restore::{
        self,
        from::{self, From, Opened},
        select::Wanted,
        target,
    },
};

/// Arguments of `offsite export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  offsite export services                                    services-TIME.tar.zst, here
  offsite export services/2026-11-21 /Volumes/usb/services.tar.zst
  offsite export services - | ssh root@pi \\
    'tar --zstd --numeric-owner -xpf - -C / --xattrs --xattrs-include=\"*\" --acls'
What comes out is opened by any tar with zstd. Owners are the containers' numbers, and a Pi that was
set up anew gives their names to others: hence --numeric-owner.")]
pub(crate) struct Args {
    /// An archive, as `offsite archives` names it; the beginning of its time (services/2026-11-21); a job, for its newest; or `latest`
    #[arg(value_name = "ARCHIVE|JOB")]
    pub what: Wanted,
    /// Where to: a file that does not exist yet, or `-` for a pipe [default: JOB-TIME.tar.zst here]
    #[arg(value_name = "FILE|-")]
    pub to: Option<PathBuf>,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error("{} exists already", path.display())]
    Exists { path: PathBuf },
    /// It cannot be written; nothing is there.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot export to a terminal")]
    Terminal,
}

/// Large enough that a pipe or a disk is asked a few times per frame only.
const BUFFER: usize = 1 << 20;

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let pipe = args.to.as_deref() == Some(Path::new("-"));
    if pipe && io::stdout().is_terminal() {
        return Err(ExportError::Terminal.into());
    }
    let opened = from::open(globals, &args.from).await?;
    let _stays = opened.reading();
    let chosen = restore::choose(&opened, &args.what).await?;
    let name = &chosen.info.name;
    let _live = opened.tell("export");
    if pipe {
        to_pipe(&opened, name).await?;
    } else {
        let path = args.to.clone().unwrap_or_else(|| PathBuf::from(format!("{}-{}.tar.zst", name.job, name.time_text())));
        target::outside(&path, &restore::own_folders(&opened))?;
        let exported = to_file(&opened, name, &path).await?;
        let same = if exported.verbatim { "the same bytes as on the Pi" } else { "the same content as on the Pi" };
        say!("exported {name} from {} to {}: {} in {}; {same}", opened.label, path.display(), size(exported.raw), size(exported.bytes));
    }
    Ok(if chosen.info.end.complete { Exit::Fine } else { Exit::Incomplete })
}

async fn to_pipe(opened: &Opened, name: &ArchiveName) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout());
    write(opened, name, &mut out).await?;
    out.flush().map_err(|source| ExportError::Write { path: "the pipe".into(), source })?;
    Ok(())
}

async fn to_file(opened: &Opened, name: &ArchiveName, path: &Path) -> anyhow::Result<Exported> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => ExportError::Exists { path: path.to_owned() },
        _ => ExportError::Write { path: path.to_owned(), source },
    };
    if path.symlink_metadata().is_ok() {
        return Err(ExportError::Exists { path: path.to_owned() }.into());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made 0600, whatever the umask: it holds what the services keep secret.
    let mut file = tempfile::Builder::new().prefix(".offsite-export-").tempfile_in(folder).map_err(failed)?;
    let mut out = BufWriter::with_capacity(BUFFER, file.as_file_mut());
    let exported = write(opened, name, &mut out).await?;
    out.flush().map_err(failed)?;
    drop(out);
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(path).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(exported)
}

async fn write(opened: &Opened, name: &ArchiveName, out: &mut (impl Write + Send)) -> anyhow::Result<Exported> {
    let bar = Bar::new(&format!("export {name}"));
    Ok(export(&opened.repository, name, out, &|progress| bar.set(progress)).await?)
}
