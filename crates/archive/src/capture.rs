//! Capturing: sources become one archive, frame by frame, and its manifest.
//!
//! Three ways, one walk. [`Capture`] reads and writes in a single pass. [`HotPass`] and [`ColdPass`] share the work so that services are
//! away only for the second: the hot pass brings everything into the [`Stock`], the cold one re-reads what changed since and lists the
//! archive's frames, and [`Recorded::assemble`] writes it when the services are back. Invariants: memory is bounded whatever the files'
//! sizes; the archive's stream is the same by every way; when a part has been captured, nothing of it is read any more; what is not in
//! the archive is in the warnings. Nothing here decides what an incomplete archive is worth: others judge.

mod assemble;
mod audit;
mod cold;
mod content;
mod direct;
mod error;
mod hot;
mod member;
mod output;
mod pass;
mod pool;
mod roots;
mod scribe;
mod sink;
mod stream;
mod told;
mod watch;

use std::path::Path;
use std::sync::{Arc, atomic::AtomicBool};

use jiff::Timestamp;

pub use error::CaptureError;
pub use output::Output;
pub use pass::Part;

use crate::header::padding;
use crate::{Cache, End, Head, Progress, Quiesced, Stock};
use assemble::{Assembler, Totals, check};
use cold::Cold;
use direct::Direct;
use hot::Hot;
use pass::Pass;
use scribe::Scribe;
use watch::Watch;

/// How to capture.
#[derive(Debug, Clone)]
pub struct CaptureOptions {
    /// The zstd level of the frames.
    pub level: i32,
    /// Threads that hash and compress, at least one. The archive is the same for any number.
    pub threads: usize,
    /// Whoever sets this wants the capture to end soon, with [`CaptureError::Stopped`].
    pub stop: Arc<AtomicBool>,
    /// Reads all that need not be read as well, to see that it need not.
    pub audit: bool,
}

impl Default for CaptureOptions {
    /// Level 3, a thread for each processor up to four, no audit, nobody who stops it.
    fn default() -> Self {
        Self { level: 3, threads: std::thread::available_parallelism().map_or(1, usize::from).min(4), audit: false, stop: Arc::default() }
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
    /// False when the run knows why this archive must not be relied on; the capture's own lacks count as well.
    pub complete: bool,
}

/// A finished capture.
#[derive(Debug)]
pub struct Captured<O> {
    /// Where the archive went, ended: a file is complete with its tail, neither flushed nor synced.
    pub out: O,
    /// The manifest object's bytes.
    pub manifest: Vec<u8>,
    /// The manifest's last line.
    pub end: End,
    /// What a later run may know of this archive, for [`Stock::add`].
    pub cache: Cache,
    /// Bytes of the frames that were made for this archive; the others were there before.
    pub fresh: u64,
    /// Bytes read from the sources' files by the last pass; the rest was known.
    pub read: u64,
}

/// A clock.
pub type Clock<'a> = &'a dyn Fn() -> Timestamp;

/// A capture in a single pass.
pub struct Capture<'c, O: Output> {
    pass: Pass<'c, Direct<O>>,
}

impl<'c, O: Output> Capture<'c, O> {
    /// Begins an archive that goes to `out`.
    ///
    /// # Errors
    /// When the head is not of this version and chunker, or zstd cannot be set up.
    pub fn new(out: O, head: Head, options: &CaptureOptions, stock: Stock, clock: Option<Clock<'c>>) -> Result<Self, CaptureError> {
        check(&head)?;
        let assembler = Assembler::new(out, head.sequence, Scribe::new(&head, stock.scratch())?, &stock.ids(), options)?;
        Ok(Self { pass: Pass::new(Direct::new(stock, assembler), Watch::new(clock), options) })
    }

    /// Captures a part of a source, its root included. File systems mounted below it are entered, symbolic links are not.
    ///
    /// # Errors
    /// When the root is missing or overlaps another part, or writing fails. A file that vanishes or cannot be read is no error but a
    /// warning.
    pub fn part(&mut self, part: &Part, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), CaptureError> {
        self.pass.part(part, progress)
    }

    /// Captures a file that exists nowhere but in memory, under the absolute path `path`: mode 0600, owned by root.
    ///
    /// # Errors
    /// When the path lies in a source or was taken before, or writing fails.
    pub fn data(&mut self, path: &Path, bytes: &[u8], mtime: Timestamp) -> Result<(), CaptureError> {
        self.pass.data(path, bytes, mtime)
    }

    /// Ends the archive: tar end, manifest, tail. May be called long after the last part.
    ///
    /// # Errors
    /// When writing fails, or the manifest would not be readable again.
    pub fn finish(mut self, facts: RunFacts) -> Result<Captured<O>, CaptureError> {
        let stream = &mut self.pass.stream;
        stream.end()?;
        for wrong in stream.sink.settle()? {
            // What was taken from the stock unread may be wrong in the same way.
            stream.told.incomplete(wrong);
        }
        let (entries, raw, read) = (stream.entries, stream.at, stream.read);
        let (complete, warnings) = std::mem::take(&mut stream.told).into_parts();
        let Direct { stock, assembler, pieces, .. } = self.pass.stream.sink;
        assembler.finish(Totals { entries, raw, read, complete, warnings, pieces }, facts, stock)
    }
}

/// The first of two passes, while services run.
pub struct HotPass<'c> {
    pass: Pass<'c, Hot>,
}

impl<'c> HotPass<'c> {
    /// Begins to fill `stock`. `clock` says when a file system was met.
    ///
    /// # Errors
    /// When zstd cannot be set up.
    pub fn new(stock: Stock, options: &CaptureOptions, clock: Clock<'c>) -> Result<Self, CaptureError> {
        Ok(Self { pass: Pass::new(Hot::new(stock, options)?, Watch::new(Some(clock)), options) })
    }

    /// Reads a part; see [`Capture::part`].
    ///
    /// # Errors
    /// As there.
    pub fn part(&mut self, part: &Part, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), CaptureError> {
        self.pass.part(part, progress)
    }

    /// What comes is read at another moment than what was read so far: a further name of a file from before is then no link to it.
    pub fn next_moment(&mut self) {
        self.pass.links.next_moment();
    }

    /// The stock for the cold pass, and what the audit found. What else there was to tell is told by the cold pass, which comes by again.
    ///
    /// # Errors
    /// When the scratch file cannot be written.
    pub fn finish(mut self) -> Result<(Stock, Vec<String>), CaptureError> {
        self.pass.stream.end()?;
        self.pass.stream.sink.finish()
    }
}

/// The second of two passes, while services are away.
pub struct ColdPass {
    pass: Pass<'static, Cold>,
    sequence: u64,
    options: CaptureOptions,
}

impl ColdPass {
    /// Begins the archive of `head`.
    ///
    /// # Errors
    /// When the head is not of this version and chunker, or zstd cannot be set up.
    pub fn new(stock: Stock, head: &Head, options: &CaptureOptions) -> Result<Self, CaptureError> {
        check(head)?;
        let scribe = Scribe::new(head, stock.scratch())?;
        let sink = Cold::new(stock, scribe, options)?;
        Ok(Self { pass: Pass::new(sink, Watch::new(None), options), sequence: head.sequence, options: options.clone() })
    }

    /// Captures a part; see [`Capture::part`].
    ///
    /// # Errors
    /// As there.
    pub fn part(&mut self, part: &Part, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), CaptureError> {
        self.pass.part(part, progress)?;
        self.pass.stream.sink.settle()
    }

    /// What comes is read at another moment than what was read so far: a further name of a file from before is then no link to it.
    pub fn next_moment(&mut self) {
        self.pass.links.next_moment();
    }

    /// Captures a file from memory; see [`Capture::data`].
    ///
    /// # Errors
    /// As there.
    pub fn data(&mut self, path: &Path, bytes: &[u8], mtime: Timestamp) -> Result<(), CaptureError> {
        self.pass.data(path, bytes, mtime)
    }

    /// Ends the pass: the list of frames is complete, and nothing of the archive is written yet.
    ///
    /// # Errors
    /// When the scratch file cannot be written.
    pub fn finish(mut self) -> Result<Recorded, CaptureError> {
        self.pass.stream.end()?;
        let stream = self.pass.stream;
        let (entries, raw, read) = (stream.entries, stream.at, stream.read);
        let (complete, warnings) = stream.told.into_parts();
        let recorded = stream.sink.finish()?;
        Ok(Recorded { recorded, sequence: self.sequence, options: self.options, entries, raw, read, complete, warnings })
    }
}

/// An archive that is decided but not written.
pub struct Recorded {
    recorded: cold::Recorded,
    sequence: u64,
    options: CaptureOptions,
    entries: u64,
    raw: u64,
    read: u64,
    complete: bool,
    warnings: Vec<String>,
}

impl Recorded {
    /// Gives the archive to `out`.
    ///
    /// # Errors
    /// When writing fails; [`CaptureError::Damaged`] when a frame of an earlier archive is not what it was.
    pub fn assemble<O: Output>(self, out: O, facts: RunFacts) -> Result<Captured<O>, CaptureError> {
        let Self { recorded, sequence, options, entries, raw, read, complete, warnings } = self;
        let (assembler, stock, pieces) = recorded.assemble(out, sequence, &options)?;
        assembler.finish(Totals { entries, raw, read, complete, warnings, pieces }, facts, stock)
    }
}
