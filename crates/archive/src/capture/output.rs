//! Where the frames of an archive go.
//!
//! A plain archive is one file: each frame is written into it, then the tail. Elsewhere frames lie in packs, once for all archives: those
//! that lie there already are only named, and what is written is what is new. The order of the archive's frames is the same for both, and
//! stands in its manifest; an output that keeps frames once is given each new one once.

use std::io::{self, Write};

use crate::{FrameRef, write_tail};

/// Takes the frames of one archive, in its order.
///
/// All that can be written to is the output of a plain archive: its file holds every frame, and the tail.
pub trait Output {
    /// The next frame lies in place already, as [`crate::Stock::add_in_place`] said.
    ///
    /// # Errors
    /// When it cannot be part of the archive there; the capture ends.
    fn in_place(&mut self, frame: &FrameRef) -> io::Result<()>;

    /// Whether a frame that was given lies in place from then on.
    fn keeps_once(&self) -> bool;

    /// The next frame is new: these are its `len` bytes.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn frame(&mut self, frame: &FrameRef, bytes: &[u8]) -> io::Result<()>;

    /// All frames were given, with these (length in the archive, raw length); this is the manifest object. What is to be found by it must
    /// be whole when this returns, though not yet durable.
    ///
    /// # Errors
    /// When it cannot be written.
    fn end(&mut self, frames: &[(u32, u32)], manifest: &[u8]) -> io::Result<()>;
}

impl<W: Write> Output for W {
    fn in_place(&mut self, frame: &FrameRef) -> io::Result<()> {
        Err(io::Error::other(format!("frame {} lies elsewhere, and a plain archive holds all of its frames", frame.id)))
    }

    fn keeps_once(&self) -> bool {
        false
    }

    fn frame(&mut self, _frame: &FrameRef, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn end(&mut self, frames: &[(u32, u32)], manifest: &[u8]) -> io::Result<()> {
        write_tail(self, frames.iter().copied(), manifest).map(drop)
    }
}
