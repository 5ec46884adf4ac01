//! `offsite cat`: the bytes of one file of an archive, out of the frames that hold them and no others.
//!
//! Every frame is checked before its bytes are seen, and the member's own header must say what the manifest says. Memory does not grow with the file;
//! the holes of a sparse file come out as zeros.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use offsite_archive::{ArchiveName, Kind, PathText, TarError};
use offsite_repository::StreamError;

use crate::{
    browse::{
        BrowseError, Night, absolute,
        item::{Data, Item},
        member::{self, MemberError, Part},
        near::Nearest,
        order::compare,
        text::{NoText, Text},
        typed,
    },
    exit::Exit,
    globals::Globals,
    out::{OutError, quiet},
    restore::{
        self,
        bridge::{Load, Queue, Stopped, over},
        from::{self, From},
        select::Wanted,
    },
};

const EXAMPLES: &str = "Examples:
  offsite cat services /srv/services/web/index.html                 as it was in the newest archive of the job
  offsite cat services/2026-11-21 /srv/services/app.db > app.db     as it was that day
  offsite find --all app.db                                         from which night to which was it whole?

One file only; for folders, owners and times use offsite restore.";

/// Arguments of `offsite cat`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// An archive, as `offsite archives` names it; the beginning of its time (services/2026-11-21); a job, for its newest; or `latest`
    #[arg(value_name = "ARCHIVE|JOB")]
    pub what: Wanted,
    /// The file, as on the Pi
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Write to a terminal what is no text
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CatError {
    #[error("cannot show {path} of {archive}: it is {what}")]
    NoFile { archive: ArchiveName, path: PathText, what: String },
    #[error("cannot show {path} of {archive} on a terminal: it is not text")]
    Terminal { archive: ArchiveName, path: PathText },
    #[error(transparent)]
    Member(#[from] MemberError),
    #[error(transparent)]
    Out(#[from] OutError),
    #[error("the output did not end as it should")]
    Thread(#[source] tokio::task::JoinError),
}

/// Frames of a file that cannot be read; what came out before is good, but not all of it.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path} of {archive} from {place}")]
pub(crate) struct Unread {
    archive: ArchiveName,
    path: PathText,
    place: String,
    source: StreamError,
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    quiet(write(globals, args).await)
}

async fn write(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let opened = from::open(globals, &args.from).await?;
    let _stays = opened.reading();
    let chosen = restore::choose(&opened, &args.what).await?;
    let night = Night::chosen(&opened, &chosen).await?;
    let data = find(&night, &typed(&args.path))?;
    let (archive, path) = (night.name.clone(), data.path.clone());
    let text = (io::stdout().is_terminal() && !args.force).then(Text::default);
    let file = File { archive: archive.clone(), data: data.clone(), text };
    let load = Load { repository: &opened.repository, manifest: &night.manifest, ranges: &[data.extent()], around: None };
    match over(load, &|_| {}, move |queue| file.pour(queue, &mut io::stdout())).await {
        Ok(()) => Ok(Exit::Fine),
        // By itself, so that one who has read enough is known for that.
        Err(Stopped::Taken(CatError::Out(error))) => Err(error.into()),
        Err(Stopped::Taken(error)) => Err(error.into()),
        Err(Stopped::Read(source)) => Err(Unread { archive, path, place: opened.label.clone(), source }.into()),
        Err(Stopped::Thread(error)) => Err(CatError::Thread(error).into()),
    }
}

fn find(night: &Night, wanted: &[u8]) -> anyhow::Result<Data> {
    let mut near = Nearest::to(wanted);
    // Nothing can be above what was archived but folders.
    let mut folder = wanted.is_empty();
    for item in night.items()? {
        let item = item?;
        if item.key() == wanted {
            return match &item.data {
                Some(data) => Ok(data.clone()),
                None => Err(no_file(night, &item).into()),
            };
        }
        folder |= crate::browse::below(item.key(), wanted).is_some();
        // So that a folder in which something is there is not called missing.
        if folder && compare(item.key(), wanted).is_gt() {
            break;
        }
        near.see(item.key());
    }
    let (archive, path) = (night.name.clone(), absolute(wanted));
    Err(if folder {
        CatError::NoFile { archive, path, what: "a folder".to_owned() }.into()
    } else {
        BrowseError::Missing { archive: archive.to_string(), path, near }.into()
    })
}

fn no_file(night: &Night, item: &Item) -> CatError {
    let link = || item.entry.link.as_ref().map(ToString::to_string).unwrap_or_default();
    let what = match item.entry.kind {
        Kind::Dir => "a folder".to_owned(),
        Kind::Symlink => format!("a symbolic link to {}", link()),
        Kind::Fifo => "a named pipe".to_owned(),
        Kind::Char | Kind::Block => "a device".to_owned(),
        Kind::Hardlink => format!("a further name of {}, which is no file in it", link()),
        // A file has data.
        Kind::File => "no file".to_owned(),
    };
    CatError::NoFile { archive: night.name.clone(), path: item.entry.path.clone(), what }
}

struct File {
    archive: ArchiveName,
    data: Data,
    text: Option<Text>,
}

impl File {
    /// Writes the one file of the tar that comes from `queue`.
    fn pour(mut self, queue: &mut Queue, out: &mut impl Write) -> Result<(), CatError> {
        let (archive, data) = (self.archive.clone(), self.data.clone());
        let file = member::File { archive: &archive, data: &data };
        file.pour(&mut *queue, |part| match part {
            Part::Bytes(bytes) => self.show(bytes, out),
            Part::Hole(len) => self.zeros(len, out),
        })?;
        if let Some(text) = &mut self.text {
            let rest = text.end().map_err(|NoText| self.terminal())?;
            out.write_all(&rest).map_err(OutError::from)?;
        }
        out.flush().map_err(OutError::from)?;
        // To its end, so that the other side is not told that nobody wants it.
        let failed = |cause| file.tar(TarError::Read { at: data.range.end, cause });
        io::copy(queue, &mut io::sink()).map_err(failed)?;
        Ok(())
    }

    fn zeros(&mut self, mut len: u64, out: &mut impl Write) -> Result<(), CatError> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while len > 0 {
            let part = &ZEROS[..ZEROS.len().min(usize::try_from(len).unwrap_or(usize::MAX))];
            self.show(part, out)?;
            len -= part.len() as u64;
        }
        Ok(())
    }

    fn show(&mut self, bytes: &[u8], out: &mut impl Write) -> Result<(), CatError> {
        let written = match &mut self.text {
            Some(text) => out.write_all(&text.next(bytes).map_err(|NoText| self.terminal())?),
            None => out.write_all(bytes),
        };
        Ok(written.map_err(OutError::from)?)
    }

    fn terminal(&self) -> CatError {
        CatError::Terminal { archive: self.archive.clone(), path: self.data.path.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_sequence_across_two_buffers_does_not_reach_the_terminal() {
        let data = Data { path: PathText(b"srv/a".to_vec()), at: 0, range: 512..1024, size: 512, class: None };
        let file = |text| File { archive: "a/2026-11-22T040000Z".parse().unwrap(), data: data.clone(), text };
        let first = [b"A".repeat((256 << 10) - 1), b"\xc2".to_vec()].concat();
        let (mut shown, mut terminal) = (Vec::new(), file(Some(Text::default())));
        terminal.show(&first, &mut shown).unwrap();
        assert!(matches!(terminal.show(b"\x9b31mRED", &mut shown), Err(CatError::Terminal { .. })));
        assert!(shown.iter().all(|byte| *byte == b'A'));
        assert!(matches!(file(Some(Text::default())).zeros(1, &mut shown), Err(CatError::Terminal { .. })));
        // Nobody's terminal: as it is.
        let (mut whole, mut free) = (Vec::new(), file(None));
        free.show(&first, &mut whole).unwrap();
        free.show(b"\x9b31mRED", &mut whole).unwrap();
        assert_eq!(whole.len(), (256 << 10) + 7);
    }
}
