//! The manifest: the description of one archive, written last, so that an archive exists exactly when its manifest does.
//!
//! Lines of JSON inside zstd: one head, then entries and frames in stream order, then one end. What is known before the first byte
//! is in the head, what is known after the last one in the end, so a writer never goes back and a reader can stop early.
//! Bytes are specified in `docs/format.md`, section Manifest. A manifest comes from another machine: every number in it is hostile
//! until [`ManifestReader`] has checked it against the limits and against the others.

mod check;
mod digest;
mod limit;
mod line;
mod plain;
mod read;
mod text;
mod write;

pub use digest::FramesDigest;
pub use line::{Chunker, Class, End, Entry, FrameRef, Head, Kind, Line, Mtime, PathText, Quiesced};
pub use read::{Manifest, ManifestError, ManifestReader};
pub use write::ManifestWriter;
pub(crate) use write::{Packer, TextWriter, packer};

/// The version that is written; those before it are read as well.
pub const MANIFEST_VERSION: u32 = 2;

#[cfg(test)]
mod laws;
#[cfg(test)]
pub(crate) mod tests;
