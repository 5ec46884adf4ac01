//! The scratch file: what is needed until the archive is written, and would be too much for memory.
//!
//! Invariant: it only grows, and what was appended stays where it is. Threads append at the same time, each to a place of its own. A disk may
//! give back other bytes than it was given: whoever reads compares.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The file, shared.
#[derive(Debug, Clone)]
pub(crate) struct Scratch {
    pub(super) file: Arc<File>,
    end: Arc<AtomicU64>,
}

impl Scratch {
    /// A scratch file in `file`, which is empty.
    pub(super) fn new(file: File) -> Self {
        Self { file: Arc::new(file), end: Arc::default() }
    }

    /// Appends `bytes`. Returns where they lie.
    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, at)?;
        Ok(at)
    }

    /// Fills `bytes` with what lies at `at`.
    pub(crate) fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, at)
    }

    /// Its length, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }
}
