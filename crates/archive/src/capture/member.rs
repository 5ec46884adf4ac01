//! From what the walk finds to a member of the archive: opened, looked at again, its names joined.
//!
//! A file is what it is when it is open, not what it was when it was listed. The first name of a file in walk order carries its
//! data, further names are hard links to it; only names that really were archived count, so a link never points at nothing.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

use super::sink::Sink;
use super::stream::Content;
use super::{CaptureError, Pass};
use crate::meta::sparse::segments;
use crate::meta::{Attributes, Stat, of_file, of_name, sys};
use crate::notes::shown;
use crate::walk::{Found, Trouble, Visit};
use crate::{Kind, Mtime, Progress};

/// All that is to be archived of one entry.
pub(super) struct Taken<'a> {
    pub(super) path: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) size: u64,
    pub(super) mtime: Mtime,
    pub(super) link: Option<&'a [u8]>,
    pub(super) device: (u32, u32),
    pub(super) attributes: &'a Attributes,
}

/// The archived names of files that have several, by device and inode.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Of this moment.
    now: HashMap<(u64, u64), Vec<u8>>,
    /// Of earlier ones: what was archived under these names may be older.
    before: HashMap<(u64, u64), Vec<u8>>,
}

impl Links {
    /// What comes is read at another moment.
    pub(super) fn next_moment(&mut self) {
        self.before.extend(self.now.drain());
    }
}

/// A part of a source while it is walked.
pub(super) struct Walked<'a, 'c, 'p, S> {
    pub(super) pass: &'a mut Pass<'c, S>,
    /// Paths that are left out, without leading slash.
    pub(super) exclude: &'a [Vec<u8>],
    /// The device that is read, and the one that it is a snapshot of.
    pub(super) device: (u64, u64),
    pub(super) progress: &'p mut dyn FnMut(Progress<'_>),
}

impl<S: Sink> Visit for Walked<'_, '_, '_, S> {
    type Error = CaptureError;

    fn entry(&mut self, found: &Found<'_>, file: Option<File>) -> Result<(), CaptureError> {
        let found = &Found { stat: self.live(found.stat), ..*found };
        let Some(kind) = found.stat.kind else {
            self.warn(found.path, "a socket, which no archive can hold, was left out");
            return Ok(());
        };
        if kind == Kind::Symlink && found.key.is_empty() {
            self.lack(found.path, "the source is a symbolic link; only the link is archived, name its target instead");
        }
        let first = (kind != Kind::Dir && found.stat.links > 1).then(|| self.pass.links.now.get(&found.stat.id).cloned()).flatten();
        if let Some(first) = first {
            return self.add(found, &found.stat, Kind::Hardlink, Some(&first), &Attributes::default());
        }
        if let Some(first) = self.pass.links.before.get(&found.stat.id).filter(|_| kind == Kind::File && found.stat.links > 1) {
            // Only a link to it would bring back what the file was then.
            let text = format!("it is also /{}, which was read at another time: it is archived as a file of its own", shown(first));
            self.warn(found.path, &text);
        }
        match kind {
            Kind::File => return self.file(found, file),
            Kind::Symlink => match rustix::fs::readlinkat(found.dir, found.name, Vec::new()) {
                Ok(target) => {
                    let attributes = self.attributes(found, None);
                    self.add(found, &found.stat, kind, Some(target.as_bytes()), &attributes)?;
                }
                Err(cause) => {
                    self.unreadable(found.path, cause);
                    return Ok(());
                }
            },
            _ => {
                let attributes = self.attributes(found, found.opened);
                self.add(found, &found.stat, kind, None, &attributes)?;
            }
        }
        self.remember(&found.stat, found.path);
        Ok(())
    }

    fn leave_out(&self, path: &[u8]) -> bool {
        self.exclude.iter().any(|excluded| excluded == path)
    }

    fn trouble(&mut self, path: &[u8], trouble: Trouble) {
        match trouble {
            Trouble::Vanished => self.unreadable(path, Errno::NOENT),
            Trouble::Unreadable(cause) => self.unreadable(path, cause),
            Trouble::Moved => self.lack(path, "it was moved while it was read; the rest of it is not archived"),
            Trouble::TooLong => self.lack(path, "its path is too long to be archived"),
        }
    }
}

impl<S: Sink> Walked<'_, '_, '_, S> {
    fn file(&mut self, found: &Found<'_>, opened: Option<File>) -> Result<(), CaptureError> {
        let opened = match opened {
            Some(file) => Ok((found.stat, file)),
            None => sys::open_file(found.dir, found.name).and_then(|file| Ok((self.live(sys::stat(&file)?), file))),
        };
        let (stat, mut file) = match opened {
            Ok(opened) => opened,
            Err(cause) => {
                self.unreadable(found.path, cause);
                return Ok(());
            }
        };
        if stat.kind != Some(Kind::File) {
            self.lack(found.path, "it was replaced by something else while it was read");
            return Ok(());
        }
        // Asking for holes may fail where reading does not; then all of it counts as data.
        let sparse = segments(&mut file, &stat).unwrap_or_default();
        let attributes = self.attributes(found, Some(file.as_fd()));
        let taken = taken(found, &stat, Kind::File, None, &attributes);
        self.remember(&stat, found.path);
        self.member(found, &taken, Content::File { file, stat, segments: sparse })
    }

    fn add(
        &mut self,
        found: &Found<'_>,
        stat: &Stat,
        kind: Kind,
        link: Option<&[u8]>,
        attributes: &Attributes,
    ) -> Result<(), CaptureError> {
        let taken = Taken { size: 0, ..taken(found, stat, kind, link, attributes) };
        self.member(found, &taken, Content::None)
    }

    fn member(&mut self, found: &Found<'_>, taken: &Taken<'_>, content: Content<'_>) -> Result<(), CaptureError> {
        let Pass { stream, names, .. } = &mut *self.pass;
        let progress = &mut *self.progress;
        let path = Path::new(OsStr::from_bytes(found.absolute));
        let mut tick = |(entries, raw, written)| progress(Progress { entries, raw, written, path });
        stream.member(taken, names, content, &mut tick)
    }

    /// A file in a snapshot is the file that it is a snapshot of, so that it is known again tomorrow.
    fn live(&self, stat: Stat) -> Stat {
        let (read, live) = self.device;
        if stat.id.0 == read { Stat { id: (live, stat.id.1), ..stat } } else { stat }
    }

    fn attributes(&mut self, found: &Found<'_>, opened: Option<std::os::fd::BorrowedFd<'_>>) -> Attributes {
        let mut heard = Vec::new();
        let attributes = match opened {
            Some(file) => of_file(file, &mut |text| heard.push(text)),
            None => of_name(found.dir, found.name, &mut |text| heard.push(text)),
        };
        heard.iter().for_each(|text| self.lack(found.path, text));
        attributes
    }

    fn remember(&mut self, stat: &Stat, path: &[u8]) {
        if stat.links > 1 && stat.kind != Some(Kind::Dir) {
            self.pass.links.now.entry(stat.id).or_insert_with(|| path.to_vec());
        }
    }

    fn unreadable(&mut self, path: &[u8], cause: Errno) {
        match cause {
            Errno::NOENT => self.warn(path, "it vanished before it could be read"),
            // It was a file when it was looked at and is a symbolic link now.
            Errno::LOOP => self.lack(path, "it was replaced by something else while it was read"),
            cause => self.lack(path, &format!("it cannot be read: {cause}")),
        }
    }

    fn warn(&mut self, path: &[u8], text: &str) {
        self.pass.stream.told.warn(path, text);
    }

    fn lack(&mut self, path: &[u8], text: &str) {
        self.pass.stream.told.lack(path, text);
    }
}

fn taken<'a>(found: &'a Found<'_>, stat: &Stat, kind: Kind, link: Option<&'a [u8]>, attributes: &'a Attributes) -> Taken<'a> {
    Taken {
        path: found.path,
        key: found.key,
        kind,
        mode: stat.mode,
        owner: (stat.uid, stat.gid),
        size: stat.size,
        mtime: stat.mtime,
        link,
        device: stat.device,
        attributes,
    }
}
