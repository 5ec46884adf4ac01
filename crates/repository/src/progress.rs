//! How far long work has come. Told at least once for each request that is read, in bytes, so that a caller can show a rate and
//! the time that is left.

/// Bytes done, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes done so far.
    pub done: u64,
    /// Bytes in all, as far as is known.
    pub total: u64,
}
