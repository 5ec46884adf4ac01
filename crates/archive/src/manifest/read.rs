//! Reads a manifest that another machine wrote, line by line.
//!
//! Invariant: a line is handed out only after every rule that can be known by then was checked, and [`Line::End`] only after all
//! sums agree and nothing follows. Whoever acts before the end line acts on numbers that may still prove inconsistent.

use std::io::{self, BufRead};

use serde::Deserialize;

use super::{End, FrameRef, Head, Line, MANIFEST_VERSION, PathText, check, check::Check, plain, text::Lines};
use crate::FrameId;

/// Why bytes are not a manifest that can be trusted to be self-consistent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The bytes could not be read or are not one whole zstd frame.
    #[error("read the manifest: {0}")]
    Read(#[source] io::Error),
    /// A line is not JSON of a known shape.
    #[error("read line {line} of the manifest: {source}")]
    Line {
        /// The line's number, from 1.
        line: u64,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A line is longer than 8 MiB.
    #[error("read line {line} of the manifest: it is longer than 8 MiB")]
    LineTooLong {
        /// The line's number, from 1.
        line: u64,
    },
    /// It inflates beyond all reason.
    #[error("inflate the manifest: {read} bytes of it grow more than a thousandfold")]
    Bomb {
        /// Compressed bytes read so far.
        read: u64,
    },
    /// Written by a later version.
    #[error("read the manifest: its format version is {0}, this program knows versions 1 to {MANIFEST_VERSION}")]
    Version(u32),
    /// The first line is no head, or a later one is.
    #[error("read line {line} of the manifest: the head must be the first line and only that")]
    Head {
        /// The line's number, from 1.
        line: u64,
    },
    /// There is no end line.
    #[error("read the manifest: it ends before its end line")]
    Truncated,
    /// Something follows the end line.
    #[error("read the manifest: something follows its end line")]
    Trailing,
    /// An entry, or a source in the head, breaks a rule.
    #[error("read the manifest's entry {path}: {rule}")]
    Entry {
        /// Which entry.
        path: PathText,
        /// What is wrong.
        rule: &'static str,
    },
    /// The first or the last line holds more than any archive has to say.
    #[error("read the manifest: it has more than {limit} {what}")]
    Many {
        /// What.
        what: &'static str,
        /// How many of it there may be.
        limit: u64,
    },
    /// A frame breaks a rule.
    #[error("read the manifest's frame {number}: {rule}")]
    Frame {
        /// The frame's number, from 0.
        number: u64,
        /// What is wrong.
        rule: &'static str,
    },
    /// The end line does not agree with the lines before it.
    #[error("check the manifest's end line: it states {stated} {what}, the lines hold {counted}")]
    Sum {
        /// What was counted.
        what: &'static str,
        /// The sum over the lines.
        counted: u64,
        /// What the end line says.
        stated: u64,
    },
    /// The digest is not that of the manifest's own frames.
    #[error("check the manifest's end line: it states the digest {stated}, that of its frames is {found}")]
    Digest {
        /// What the end line says.
        stated: FrameId,
        /// What the frames make.
        found: FrameId,
    },
    /// An entry's data lies outside the stream.
    #[error("check the manifest's end line: the last entry ends at byte {tail} of a stream of {raw}")]
    Beyond {
        /// Where the last entry ends.
        tail: u64,
        /// The stream's length.
        raw: u64,
    },
    /// A duration is negative or not a number.
    #[error("check the manifest's end line: a quiesced project was away for no possible time")]
    Seconds,
}

/// Streams the lines after the head. Its memory does not grow with the manifest.
pub struct ManifestReader<R: BufRead> {
    lines: Lines<R>,
    head: Head,
    check: Check,
    done: bool,
}

impl<R: BufRead> ManifestReader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// When the bytes cannot be read, or do not begin with a head of a known version.
    pub fn new(reader: R) -> Result<Self, ManifestError> {
        let mut lines = Lines::new(reader)?;
        let Some(line) = lines.next()? else { return Err(ManifestError::Truncated) };
        let head = match serde_json::from_slice(line) {
            Ok(Line::Head(head)) => head,
            Ok(_) => return Err(ManifestError::Head { line: 1 }),
            // A later version may have another shape altogether; say that, not which field is missing.
            Err(source) => match serde_json::from_slice(line) {
                Ok(AnyHead { head: AnyVersion { version } }) if !check::known(version) => return Err(ManifestError::Version(version)),
                _ => return Err(ManifestError::Line { line: 1, source }),
            },
        };
        let check = Check::head(&head)?;
        Ok(Self { lines, head, check, done: false })
    }

    /// The first line.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next line; if it is to be `brief`, the next one that is not merely an entry in its usual spelling.
    fn step(&mut self, brief: bool) -> Result<Line, ManifestError> {
        loop {
            let Some(text) = self.lines.next()? else { return Err(ManifestError::Truncated) };
            if let (true, Some(facts)) = (brief, plain::entry(text)) {
                self.check.facts(&facts)?;
                continue;
            }
            if let Some(frame) = plain::frame(text) {
                self.check.frame(&frame)?;
                return Ok(Line::Frame(frame));
            }
            let parsed = serde_json::from_slice(text);
            let number = self.lines.number();
            let line = parsed.map_err(|source| ManifestError::Line { line: number, source })?;
            match &line {
                Line::Head(_) => return Err(ManifestError::Head { line: number }),
                Line::Entry(entry) => self.check.entry(entry)?,
                Line::Frame(frame) => self.check.frame(frame)?,
                Line::End(end) => {
                    self.check.end(end)?;
                    self.lines.finish()?;
                    self.done = true;
                }
            }
            return Ok(line);
        }
    }

    /// As the iterator, but most entries are checked and not given: for whoever wants the frames and the end.
    pub fn next_brief(&mut self) -> Option<Result<Line, ManifestError>> {
        self.advance(true)
    }

    fn advance(&mut self, brief: bool) -> Option<Result<Line, ManifestError>> {
        if self.done {
            return None;
        }
        let line = self.step(brief);
        self.done |= line.is_err();
        Some(line)
    }
}

impl<R: BufRead> Iterator for ManifestReader<R> {
    type Item = Result<Line, ManifestError>;

    /// Entries and frames in order, the end last; nothing after it, nor after an error.
    fn next(&mut self) -> Option<Self::Item> {
        self.advance(false)
    }
}

#[derive(Deserialize)]
struct AnyHead {
    head: AnyVersion,
}

#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// A whole manifest but for its entries, which stay in the bytes: 40 bytes of memory for each frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// What was known before the first byte.
    pub head: Head,
    /// The frames, in file order.
    pub frames: Vec<FrameRef>,
    /// What was known after the last byte.
    pub end: End,
}

impl Manifest {
    /// Reads and checks a manifest object; entries are checked, then dropped.
    ///
    /// # Errors
    /// When anything about the bytes is not as `docs/format.md` says.
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut reader = ManifestReader::new(bytes)?;
        let mut frames = Vec::new();
        while let Some(line) = reader.next_brief() {
            match line? {
                Line::Frame(frame) => frames.push(frame),
                Line::End(end) => {
                    frames.shrink_to_fit();
                    return Ok(Self { head: reader.head, frames, end });
                }
                Line::Head(_) | Line::Entry(_) => {}
            }
        }
        Err(ManifestError::Truncated)
    }

    /// Streams the lines of a manifest object again, for its entries.
    ///
    /// # Errors
    /// As [`ManifestReader::new`].
    pub fn entries(bytes: &[u8]) -> Result<ManifestReader<&[u8]>, ManifestError> {
        ManifestReader::new(bytes)
    }

    /// Where each frame begins in the plain file, in bytes.
    pub fn frame_offsets(&self) -> impl Iterator<Item = u64> + '_ {
        self.frames.iter().scan(0, |next, frame| {
            let offset = *next;
            *next += u64::from(frame.len);
            Some(offset)
        })
    }
}
