//! Where the frames of an archive under way go: into its file, or into packs.
//!
//! A pack is durable when the next one begins, and nothing refers to it before the manifest does. So a run that dies leaves packs that no
//! archive needs; their frames are good, the next run finds them in place, and prune removes what it does not use. That this may be so is
//! noted before the first of them.

use std::{io, path::PathBuf, sync::Arc};

use offsite_archive::{FrameRef, Output};
use offsite_repository::{PackWriter, Repository, Staged};
use tokio::runtime::Runtime;

use super::packs;

/// Bytes of frames at which a pack is full. It lies in memory until it is put.
pub(super) const PACK_TARGET: u64 = 8 << 20;

/// The way of an archive's frames.
pub(crate) enum Out {
    /// Into one file.
    Plain(Staged),
    /// Into packs, as far as they are new.
    Packs(PacksOut),
}

impl Output for Out {
    fn in_place(&mut self, frame: &FrameRef) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.in_place(frame),
            Self::Packs(packs) => packs.in_place(frame),
        }
    }

    fn keeps_once(&self) -> bool {
        matches!(self, Self::Packs(_))
    }

    fn frame(&mut self, frame: &FrameRef, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.frame(frame, bytes),
            Self::Packs(packs) => packs.frame(frame, bytes),
        }
    }

    fn end(&mut self, frames: &[(u32, u32)], manifest: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.end(frames, manifest),
            Self::Packs(packs) => {
                packs.flush()?;
                // The last pack's memory: what comes now, cache and prune, is the height of a night.
                packs.writer = PackWriter::new(PACK_TARGET);
                Ok(())
            }
        }
    }
}

/// New frames on their way into packs.
pub(crate) struct PacksOut {
    runtime: Arc<Runtime>,
    repository: Repository,
    note: PathBuf,
    writer: PackWriter,
    noted: bool,
    bytes: u64,
}

impl PacksOut {
    pub(super) fn new(runtime: Arc<Runtime>, repository: Repository, note: PathBuf) -> Self {
        let writer = PackWriter::new(PACK_TARGET);
        Self { runtime, repository, note, writer, noted: false, bytes: 0 }
    }

    /// Length of all frames that were given, in bytes, each as often as it came.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a pack was put.
    pub(super) fn wrote(&self) -> bool {
        self.noted
    }

    fn in_place(&mut self, frame: &FrameRef) -> io::Result<()> {
        self.bytes += u64::from(frame.len);
        Ok(())
    }

    fn frame(&mut self, frame: &FrameRef, bytes: &[u8]) -> io::Result<()> {
        self.bytes += u64::from(frame.len);
        self.writer.push(frame.id, frame.raw, bytes);
        if self.writer.is_full() { self.flush() } else { Ok(()) }
    }

    /// Puts what waits as a pack.
    fn flush(&mut self) -> io::Result<()> {
        if self.writer.is_empty() {
            return Ok(());
        }
        if !self.noted {
            packs::note(&self.note).map_err(io::Error::other)?;
            self.noted = true;
        }
        self.runtime.block_on(self.writer.write(&self.repository)).map(drop).map_err(io::Error::other)
    }
}
