//! Writes a manifest, line by line.
//!
//! Invariant: whatever it lets out, [`super::ManifestReader`] reads; the same rules are asked before a line is written. The object
//! is one zstd frame with a checksum, so that rot is found even where no frame is read.

use std::io::{self, Write};

use zstd::stream::write::Encoder;

use super::{End, Entry, FrameRef, Head, Line, check::Check, text::MAX_LINE};

/// Level of the manifest's own zstd frame: most of it are hashes, which no level makes smaller.
const LEVEL: i32 = 3;

/// Writes head, then entries and frames, then end. Any other order is refused.
pub struct ManifestWriter<W: Write> {
    out: Encoder<'static, W>,
    check: Option<Check>,
    line: Vec<u8>,
}

impl<W: Write> ManifestWriter<W> {
    /// A manifest that goes to `out`.
    ///
    /// # Errors
    /// When zstd cannot be set up.
    pub fn new(out: W) -> io::Result<Self> {
        let mut out = Encoder::new(out, LEVEL)?;
        out.include_checksum(true)?;
        Ok(Self { out, check: None, line: Vec::new() })
    }

    /// Writes the first line.
    ///
    /// # Errors
    /// When writing fails, a head was written before, or a reader would refuse this one.
    pub fn head(&mut self, head: &Head) -> io::Result<()> {
        if self.check.is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "write the manifest: it has a head already"));
        }
        self.check = Some(Check::head(head).map_err(refused)?);
        self.write(&Line::Head(head.clone()))
    }

    /// Writes a member of the tar stream.
    ///
    /// # Errors
    /// When writing fails or a reader would refuse it.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.check()?.entry(entry).map_err(refused)?;
        self.write(&Line::Entry(entry.clone()))
    }

    /// Writes a frame of the file.
    ///
    /// # Errors
    /// When writing fails or a reader would refuse it.
    pub fn frame(&mut self, frame: &FrameRef) -> io::Result<()> {
        self.check()?.frame(frame).map_err(refused)?;
        self.write(&Line::Frame(*frame))
    }

    /// Writes the last line and gives `out` back, not flushed.
    ///
    /// # Errors
    /// When writing fails, or `end` does not agree with the lines before it.
    pub fn end(mut self, end: &End) -> io::Result<W> {
        self.check()?.end(end).map_err(refused)?;
        self.write(&Line::End(end.clone()))?;
        self.out.finish()
    }

    fn check(&mut self) -> io::Result<&mut Check> {
        self.check.as_mut().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "write the manifest: it has no head yet"))
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
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
