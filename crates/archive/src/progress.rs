//! What long work tells while it runs.
//!
//! Called for each entry and at least once for each MiB, so a caller may draw a bar or notice that it should stop counting; it must
//! return quickly, because the work waits for it.

use std::path::Path;

/// How far capturing or extracting has come. All counts are totals since the beginning.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Entries begun.
    pub entries: u64,
    /// Raw bytes: of the tar stream when capturing, of file content when extracting.
    pub raw: u64,
    /// Bytes written: compressed frames when capturing, file content when extracting.
    pub written: u64,
    /// What is being worked on: absolute when capturing, relative to the target when extracting.
    pub path: &'a Path,
}
