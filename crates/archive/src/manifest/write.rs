//! Writes a manifest, line by line.
//!
//! Invariant: whatever it lets out, [`super::ManifestReader`] reads; the same rules are asked before a line is written. The object
//! is one zstd frame with a checksum, so that rot is found even where no frame is read. Text and zstd are apart, because a capture
//! compresses in a thread of its own.

use std::io::{self, Write};

use serde::Serialize;
use zstd::stream::write::Encoder;

use super::{End, Entry, FrameRef, Head, check::Check, text::MAX_LINE};

/// Level of the manifest's own zstd frame. Half of it are hashes, which no level makes smaller; higher ones cost more and give nothing.
const LEVEL: i32 = 1;

/// What makes the manifest object of its text.
pub(crate) type Packer<W> = Encoder<'static, W>;

/// The manifest object of the text that is written to it goes to `out`.
///
/// Errors: zstd cannot be set up.
pub(crate) fn packer<W: Write>(out: W) -> io::Result<Packer<W>> {
    let mut out = Encoder::new(out, LEVEL)?;
    out.include_checksum(true)?;
    Ok(out)
}

/// [`super::Line`], borrowed.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Line<'a> {
    Head(&'a Head),
    Entry(&'a Entry),
    Frame(&'a FrameRef),
    End(&'a End),
}

/// Writes head, then entries and frames, then end. Any other order is refused.
pub struct ManifestWriter<W: Write> {
    text: TextWriter<Packer<W>>,
}

impl<W: Write> ManifestWriter<W> {
    /// A manifest that goes to `out`.
    ///
    /// # Errors
    /// When zstd cannot be set up.
    pub fn new(out: W) -> io::Result<Self> {
        Ok(Self { text: TextWriter::new(packer(out)?) })
    }

    /// Writes the first line.
    ///
    /// # Errors
    /// When writing fails, a head was written before, or a reader would refuse this one.
    pub fn head(&mut self, head: &Head) -> io::Result<()> {
        self.text.head(head)
    }

    /// Writes a member of the tar stream.
    ///
    /// # Errors
    /// When writing fails or a reader would refuse it.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.text.entry(entry)
    }

    /// Writes a frame of the file.
    ///
    /// # Errors
    /// When writing fails or a reader would refuse it.
    pub fn frame(&mut self, frame: &FrameRef) -> io::Result<()> {
        self.text.frame(frame)
    }

    /// Writes the last line and gives `out` back, not flushed.
    ///
    /// # Errors
    /// When writing fails, or `end` does not agree with the lines before it.
    pub fn end(self, end: &End) -> io::Result<W> {
        self.text.end(end)?.finish()
    }
}

/// As [`ManifestWriter`], the text alone.
pub(crate) struct TextWriter<W: Write> {
    out: W,
    check: Option<Check>,
    line: Vec<u8>,
}

impl<W: Write> TextWriter<W> {
    /// Text that goes to `out`.
    pub(crate) fn new(out: W) -> Self {
        Self { out, check: None, line: Vec::new() }
    }

    pub(crate) fn head(&mut self, head: &Head) -> io::Result<()> {
        if self.check.is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "write the manifest: it has a head already"));
        }
        self.check = Some(Check::head(head).map_err(refused)?);
        self.write(&Line::Head(head))
    }

    pub(crate) fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.check()?.entry(entry).map_err(refused)?;
        self.write(&Line::Entry(entry))
    }

    pub(crate) fn frame(&mut self, frame: &FrameRef) -> io::Result<()> {
        self.check()?.frame(frame).map_err(refused)?;
        self.write(&Line::Frame(frame))
    }

    /// Gives `out` back, not flushed.
    pub(crate) fn end(mut self, end: &End) -> io::Result<W> {
        self.check()?.end(end).map_err(refused)?;
        self.write(&Line::End(end))?;
        Ok(self.out)
    }

    fn check(&mut self) -> io::Result<&mut Check> {
        self.check.as_mut().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "write the manifest: it has no head yet"))
    }

    fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        if self.line.len() > MAX_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "write the manifest: a line would be longer than 8 MiB"));
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }
}

fn refused(error: super::ManifestError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
