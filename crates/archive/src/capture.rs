//! Capturing: sources become one plain archive, frame by frame, and its manifest.
//!
//! Invariants: memory is bounded whatever the files' sizes; an unchanged tree gives the same bytes again; what is not in the archive
//! is in the warnings. When [`Capture::source`] returns, everything under it has been read, so services may come back up before
//! [`Capture::finish`] is called. Nothing here decides what an incomplete archive is worth: it says so in the manifest, and others
//! judge.

mod content;
mod error;
mod frames;
mod member;
mod roots;
mod stream;

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jiff::Timestamp;

pub use error::CaptureError;

use crate::header::{TAR_END, padding};
use crate::meta::{Attributes, Names};
use crate::notes::Notes;
use crate::walk::{Root, walk};
use crate::{End, Head, Kind, Mtime, Progress, Quiesced, write_tail};
use content::Body;
use member::{Links, Source, Taken};
use roots::Roots;
use stream::Stream;

/// How to capture.
#[derive(Debug, Clone)]
pub struct CaptureOptions {
    /// The zstd level of the frames.
    pub level: i32,
    /// Threads that hash and compress, at least one. The archive is the same for any number.
    pub threads: usize,
}

impl Default for CaptureOptions {
    /// Level 3, and a thread for each processor up to four: reading is what services wait for.
    fn default() -> Self {
        Self { level: 3, threads: std::thread::available_parallelism().map_or(1, usize::from).min(4) }
    }
}

/// What is known of a run only at its end.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// When the run had read everything.
    pub finished: Timestamp,
    /// What was stopped, and for how long.
    pub quiesced: Vec<Quiesced>,
    /// Warnings of the run itself; those of the capture follow them.
    pub warnings: Vec<String>,
}

/// A finished capture.
#[derive(Debug)]
pub struct Captured<W> {
    /// Where the archive was written: complete with its tail, neither flushed nor synced.
    pub out: W,
    /// The manifest object's bytes.
    pub manifest: Vec<u8>,
    /// The manifest's last line.
    pub end: End,
}

/// A capture under way.
pub struct Capture<W: Write> {
    stream: Stream<W>,
    roots: Roots,
    links: Links,
    names: Names,
    notes: Notes,
    complete: bool,
}

impl<W: Write> Capture<W> {
    /// Begins an archive that is written to `out`.
    ///
    /// # Errors
    /// When the head is not of this version and chunker, or zstd cannot be set up.
    pub fn new(out: W, head: Head, options: CaptureOptions) -> Result<Self, CaptureError> {
        let mut notes = Notes::default();
        let names = Names::of_host(&mut notes);
        let stream = Stream::new(out, &head, &options)?;
        Ok(Self { stream, roots: Roots::default(), links: Links::default(), names, notes, complete: true })
    }

    /// Captures everything under `root`, which is absolute, the root itself included. File systems mounted below it are entered,
    /// symbolic links are not. When this returns, all of it has been read.
    ///
    /// # Errors
    /// When the root is missing or overlaps another, or writing fails. A file that vanishes or cannot be read is no error but a
    /// warning.
    pub fn source(&mut self, root: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), CaptureError> {
        let path = self.roots.add(root.as_os_str().as_bytes())?;
        let opened = Root::open(&path).map_err(|cause| CaptureError::Root { path: root.to_path_buf(), cause: cause.into() })?;
        walk(&opened, &mut Source { capture: self, progress })?;
        self.stream.settle()
    }

    /// Captures a file that exists nowhere but in memory, under the absolute path `path`: mode 0600, owned by root.
    ///
    /// # Errors
    /// When the path lies in a source or was taken before, or writing fails.
    pub fn data(&mut self, path: &Path, bytes: &[u8], mtime: Timestamp) -> Result<(), CaptureError> {
        let path = self.roots.add(path.as_os_str().as_bytes())?;
        let nanos = mtime.as_nanosecond();
        // Both parts of a valid timestamp fit their types.
        let mtime = Mtime(nanos.div_euclid(1_000_000_000) as i64, nanos.rem_euclid(1_000_000_000) as u32);
        let attributes = Attributes::default();
        let taken = Taken {
            path: &path,
            key: &path,
            kind: Kind::File,
            mode: 0o600,
            owner: (0, 0),
            size: bytes.len() as u64,
            mtime,
            link: None,
            device: (0, 0),
            attributes: &attributes,
            segments: None,
        };
        let mut body = Body::new(bytes);
        let first = &bytes[..bytes.len().min(16)];
        self.stream.member(&taken, &self.names, first, &mut |buffer| body.fill(buffer), &mut |_| ())
    }

    /// Ends the archive: tar end, manifest, tail. May be called long after the last source.
    ///
    /// # Errors
    /// When writing fails, or the manifest would not be readable again.
    pub fn finish(mut self, facts: RunFacts) -> Result<Captured<W>, CaptureError> {
        self.stream.raw(&TAR_END)?;
        let mut notes = Notes::default();
        facts.warnings.into_iter().chain(self.notes.into_texts()).for_each(|text| notes.add(text));
        let warnings = notes.into_texts();
        let (finished, quiesced) = (facts.finished, facts.quiesced);
        let ended = self.stream.finish(|sums| End {
            entries: sums.entries,
            frames: sums.frames,
            raw: sums.raw,
            bytes: sums.bytes,
            digest: sums.digest,
            finished,
            quiesced,
            warnings,
            complete: self.complete,
        })?;
        let mut out = ended.out;
        write_tail(&mut out, ended.frames.into_iter(), &ended.manifest).map_err(CaptureError::Write)?;
        Ok(Captured { out, manifest: ended.manifest, end: ended.end })
    }
}
