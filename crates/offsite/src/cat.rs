//! `offsite cat`: the bytes of one file of an archive, out of the frames that hold them and no others.
//!
//! Every frame is checked before its bytes are seen, and the member's own header must say what the manifest says. Memory does not grow with the file;
//! the holes of a sparse file come out as zeros.

use std::{
    io::{self, IsTerminal, Read, Write},
    path::PathBuf,
};

use offsite_archive::{ArchiveName, Kind, Member, PathText, TarError, TarReader};
use offsite_repository::StreamError;

use crate::{
    browse::{
        BrowseError, Night, absolute,
        item::{Data, Item},
        near::Nearest,
        order::compare,
        out::{OutError, quiet},
        trim, typed,
    },
    cli::Globals,
    exit::Exit,
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
pub struct Args {
    /// An archive, as `offsite archives` names it; the beginning of its time (services/2026-11-21); a job, for its newest; or `latest`
    #[arg(value_name = "ARCHIVE|JOB")]
    pub what: Wanted,
    /// The file, as on the Pi
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Write to a terminal what is no text
    #[arg(long)]
    pub force: bool,
    /// Where from.
    #[command(flatten)]
    pub from: From,
}

/// A file whose bytes cannot be given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatError {
    /// It has none.
    #[error("cannot show {path} of {archive}: it is {what}")]
    NoFile {
        /// The archive.
        archive: ArchiveName,
        /// The path.
        path: PathText,
        /// What it is.
        what: String,
    },
    /// Its bytes would drive the terminal.
    #[error("cannot show {path} of {archive} on a terminal: it is not text")]
    Terminal {
        /// The archive.
        archive: ArchiveName,
        /// The path.
        path: PathText,
    },
    /// What lies there in the tar is something else than the manifest says.
    #[error("cannot trust {archive}: where its manifest has the file {path}, its data has {found}")]
    Lies {
        /// The archive.
        archive: ArchiveName,
        /// The path.
        path: PathText,
        /// What the data says.
        found: String,
    },
    /// What lies there is no member of a tar.
    #[error("cannot read {path} of {archive}")]
    Tar {
        /// The archive.
        archive: ArchiveName,
        /// The path.
        path: PathText,
        /// Why not.
        source: TarError,
    },
    /// The bytes cannot be written.
    #[error(transparent)]
    Out(#[from] OutError),
    /// The thread that writes died.
    #[error("the output did not end as it should")]
    Thread(#[source] tokio::task::JoinError),
}

/// Frames of a file that cannot be read; what came out before is good, but not all of it.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path} of {archive} from {place}")]
pub struct Unread {
    archive: ArchiveName,
    path: PathText,
    place: String,
    source: StreamError,
}

/// Runs the verb.
pub async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    quiet(write(globals, args).await)
}

async fn write(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let opened = from::open(globals, &args.from).await?;
    let chosen = restore::choose(&opened, &args.what).await?;
    let night = Night::chosen(&opened, &chosen).await?;
    let data = find(&night, &typed(&args.path))?;
    let (archive, path) = (night.name.clone(), data.path.clone());
    let file = File { archive: archive.clone(), data: data.clone(), text_only: io::stdout().is_terminal() && !args.force };
    let load = Load { repository: &opened.repository, manifest: &night.manifest, ranges: &[data.extent()] };
    match over(load, &|_| {}, move |queue| file.pour(queue, &mut io::stdout())).await {
        Ok(()) => Ok(Exit::Fine),
        // By itself, so that one who has read enough is known for that.
        Err(Stopped::Taken(CatError::Out(error))) => Err(error.into()),
        Err(Stopped::Taken(error)) => Err(error.into()),
        Err(Stopped::Read(source)) => Err(Unread { archive, path, place: opened.label.clone(), source }.into()),
        Err(Stopped::Thread(error)) => Err(CatError::Thread(error).into()),
    }
}

/// The data of the file called `wanted`.
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

/// The file, on the writing side.
struct File {
    archive: ArchiveName,
    data: Data,
    text_only: bool,
}

impl File {
    /// Writes the one file of the tar that comes from `queue`.
    fn pour(&self, queue: &mut Queue, out: &mut impl Write) -> Result<(), CatError> {
        let mut tar = TarReader::new(&mut *queue);
        let member = tar.next_member().map_err(|source| self.tar(source))?;
        let member = self.expected(member)?;
        let mut buffer = vec![0; 256 << 10];
        let mut done = 0;
        let whole = [offsite_archive::Segment { at: 0, len: member.size }];
        for segment in member.segments.as_deref().unwrap_or(&whole) {
            self.zeros(segment.at - done, out)?;
            let mut left = segment.len;
            while left > 0 {
                let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let read = tar.read(&mut buffer[..most]).map_err(|source| self.tar(source))?;
                if read == 0 {
                    let missing = left;
                    return Err(self.tar(TarError::Truncated { at: tar.position(), missing }));
                }
                self.show(&buffer[..read], out)?;
                left -= read as u64;
            }
            done = segment.at + segment.len;
        }
        self.zeros(member.size - done, out)?;
        out.flush().map_err(OutError::from)?;
        // To its end, so that the other side is not told that nobody wants it.
        let failed = |cause| self.tar(TarError::Read { at: self.data.range.end, cause });
        while queue.read(&mut buffer).map_err(failed)? > 0 {}
        Ok(())
    }

    fn expected(&self, member: Option<Member>) -> Result<Member, CatError> {
        let lies = |found: String| CatError::Lies { archive: self.archive.clone(), path: self.data.path.clone(), found };
        let member = member.ok_or_else(|| lies("nothing".to_owned()))?;
        if member.kind != Kind::File || trim(&member.path) != trim(&self.data.path.0) {
            return Err(lies(absolute(trim(&member.path)).to_string()));
        }
        if member.size != self.data.size {
            return Err(lies(format!("one of {} bytes, not {}", member.size, self.data.size)));
        }
        Ok(member)
    }

    fn zeros(&self, mut len: u64, out: &mut impl Write) -> Result<(), CatError> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while len > 0 {
            let part = &ZEROS[..ZEROS.len().min(usize::try_from(len).unwrap_or(usize::MAX))];
            self.show(part, out)?;
            len -= part.len() as u64;
        }
        Ok(())
    }

    fn show(&self, bytes: &[u8], out: &mut impl Write) -> Result<(), CatError> {
        if self.text_only && !is_text(bytes) {
            return Err(CatError::Terminal { archive: self.archive.clone(), path: self.data.path.clone() });
        }
        Ok(out.write_all(bytes).map_err(OutError::from)?)
    }

    fn tar(&self, source: TarError) -> CatError {
        CatError::Tar { archive: self.archive.clone(), path: self.data.path.clone(), source }
    }
}

/// Whether a terminal shows `bytes` and does nothing else. Bytes above 127 are letters, of one language or another, but for the second
/// set of control characters.
fn is_text(bytes: &[u8]) -> bool {
    let plain = |byte: u8| matches!(byte, b'\t'..=b'\r') || (byte >= b' ' && byte != 0x7f);
    bytes.iter().all(|&byte| plain(byte)) && !bytes.windows(2).any(|pair| matches!(pair, [0xc2, 0x80..=0x9f]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_no_text() {
        assert!(is_text("Größe\t1\r\n\u{1F600}".as_bytes()) && is_text(b""));
        assert!(!is_text(b"\x1b[2J") && !is_text(b"a\0b") && !is_text("\u{9b}2J".as_bytes()) && !is_text(b"\x7f"));
    }
}
