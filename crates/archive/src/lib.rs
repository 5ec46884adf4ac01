//! Bytes to values and back: what an offsite archive is made of.
//!
//! A walk of the sources becomes one tar stream, the stream is cut into frames that follow the files, each frame is compressed on
//! its own, and a manifest says what lies where. Everything here is synchronous and knows neither clock nor network; `docs/format.md`
//! specifies each byte.

mod id;
mod manifest;
mod name;

pub use id::{FrameId, InvalidFrameId};
pub use manifest::{Chunker, Class, End, Entry, FrameRef, Head, Kind, Line, Manifest, ManifestError, ManifestReader, ManifestWriter, Mtime, PathText, Quiesced};
pub use name::{ArchiveName, InvalidName, JobName};

/// Longest raw frame, in bytes: the maximum of the chunker. Whoever decodes a frame refuses more.
pub const MAX_FRAME_RAW: u32 = 4 << 20;
