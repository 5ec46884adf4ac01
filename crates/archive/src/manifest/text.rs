//! The lines inside a manifest object: one zstd frame, inflated piece by piece.
//!
//! Invariant: memory stays below one line, one zstd window and two buffers, whatever the bytes claim. zstd can make gigabytes of
//! lines out of kilobytes, so the inflated length is held against what was really read, not against anything the object says.

use std::io::{self, BufRead, BufReader, Read};

use zstd::stream::read::Decoder;

use super::ManifestError;

/// Longest line, in bytes, without its newline.
pub(super) const MAX_LINE: usize = 8 << 20;
/// A manifest may inflate to this many times the bytes read so far …
const RATIO: u64 = 1000;
/// … and this many bytes more.
const ALLOWANCE: u64 = 64 << 20;
/// Log2 of the largest zstd window that is accepted.
const WINDOW_LOG_MAX: u32 = 23;

/// Counts what is taken out of a reader.
struct Counting<R> {
    inner: R,
    taken: u64,
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.taken += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount as u64;
        self.inner.consume(amount);
    }
}

/// Bounded lines out of one zstd frame.
pub(super) struct Lines<R: BufRead> {
    text: BufReader<Decoder<'static, Counting<R>>>,
    line: Vec<u8>,
    number: u64,
    inflated: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Result<Self, ManifestError> {
        let mut decoder = Decoder::with_buffer(Counting { inner: reader, taken: 0 }).map_err(ManifestError::Read)?.single_frame();
        decoder.window_log_max(WINDOW_LOG_MAX).map_err(ManifestError::Read)?;
        Ok(Self { text: BufReader::with_capacity(64 << 10, decoder), line: Vec::new(), number: 0, inflated: 0 })
    }

    /// The number of the line that [`Self::next`] gave last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its newline; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, ManifestError> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.text).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut self.line).map_err(ManifestError::Read)?;
        self.inflated += read as u64;
        let taken = self.text.get_ref().get_ref().taken;
        if self.inflated > taken.saturating_mul(RATIO).saturating_add(ALLOWANCE) {
            return Err(ManifestError::Bomb { read: taken });
        }
        match self.line.as_slice() {
            [] => Ok(None),
            [line @ .., b'\n'] => Ok(Some(line)),
            line if line.len() > MAX_LINE => Err(ManifestError::LineTooLong { line: self.number }),
            _ => Err(ManifestError::Truncated),
        }
    }

    /// Refuses any byte after the line that [`Self::next`] gave last, inflated or not. Reading on to the end of the frame also
    /// makes zstd compare its checksum.
    pub(super) fn finish(&mut self) -> Result<(), ManifestError> {
        if !self.text.fill_buf().map_err(ManifestError::Read)?.is_empty() {
            return Err(ManifestError::Trailing);
        }
        let rest = self.text.get_mut().get_mut().fill_buf().map_err(ManifestError::Read)?;
        if rest.is_empty() { Ok(()) } else { Err(ManifestError::Trailing) }
    }
}
