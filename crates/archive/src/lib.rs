//! Bytes to values and back: what an offsite archive is made of.
//!
//! A walk of the sources becomes one tar stream, the stream is cut into frames that follow the files, each frame is compressed on
//! its own, and a manifest says what lies where. Everything here is synchronous and knows neither clock nor network; `docs/format.md`
//! specifies each byte.

mod capture;
mod class;
mod cut;
mod extract;
mod frame;
mod header;
mod id;
mod manifest;
mod meta;
mod name;
mod notes;
mod pick;
mod progress;
mod seek;
mod stock;
mod torn;
mod untar;
mod walk;

pub use capture::{Capture, CaptureError, CaptureOptions, Captured, Clock, ColdPass, HotPass, Output, Part, Recorded, RunFacts};
pub use class::classify;
pub use cut::{Bundler, Cutter, LARGE_MIN};
pub use extract::{Around, Below, Cannot, ExtractError, ExtractOptions, Extracted, Found, Lost, Unmade, extract};
pub use frame::{Compressor, Decoder, FrameError, Stated, compress, decode, max_frame_len};
pub use header::TAR_END;
pub use id::{FrameId, InvalidFrameId};
pub use manifest::{
    Chunker, Class, End, Entry, FrameRef, FramesDigest, Head, Kind, Line, MANIFEST_VERSION, Manifest, ManifestError, ManifestReader,
    ManifestWriter, Mtime, PathText, Quiesced,
};
pub use meta::sparse::Segment;
pub use name::{ArchiveName, InvalidName, JobName};
pub use pick::{Picked, pick};
pub use progress::Progress;
pub use seek::{Tail, TailError, read_tail, tail_len, write_tail};
pub use stock::{Cache, CacheError, Keyed, Known, Stock};
pub use torn::{LeadingFrame, TornReader};
pub use untar::{Member, TarError, TarReader};

/// Longest raw frame, in bytes: the maximum of the chunker. Whoever decodes a frame refuses more.
pub const MAX_FRAME_RAW: u32 = 4 << 20;
