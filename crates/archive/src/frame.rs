//! One chunk as one zstd frame, and back.
//!
//! Invariant: what [`Decoder::decode`] returns hashes to the id that was asked for and is exactly as long as stated; before that is
//! known, no more than the stated length is ever allocated. Two frames may differ in bytes and still be the same chunk: zstd's
//! output changes between its versions, so nothing here compares compressed bytes.

use std::{fmt, io};

use zstd::{
    bulk,
    zstd_safe::{self, CParameter},
};

use crate::{FrameId, MAX_FRAME_RAW};

/// Why bytes could not become a frame, or a frame its bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// There is nothing, or too much, to compress.
    #[error("compress a chunk of {0} bytes: a frame holds 1 to {MAX_FRAME_RAW}")]
    Length(usize),
    /// zstd failed.
    #[error("compress a chunk of {raw} bytes: {source}")]
    Compress {
        /// The chunk's length in bytes.
        raw: usize,
        /// What zstd says.
        source: io::Error,
    },
    /// zstd cannot be set up.
    #[error("set up zstd: {0}")]
    SetUp(#[source] io::Error),
    /// The length expected is none that a frame may have.
    #[error("decode frame {id}: {raw} bytes are expected, a frame holds 1 to {MAX_FRAME_RAW}")]
    Expected {
        /// The frame wanted.
        id: FrameId,
        /// The raw length asked for, in bytes.
        raw: u32,
    },
    /// The frame's header states another length, or none.
    #[error("decode frame {id}: its header states {stated}, {raw} bytes were expected")]
    Stated {
        /// The frame wanted.
        id: FrameId,
        /// What the header says.
        stated: Stated,
        /// The raw length expected, in bytes.
        raw: u32,
    },
    /// The bytes are not exactly one zstd frame.
    #[error("decode frame {id}: the {len} bytes are not exactly one zstd frame")]
    Shape {
        /// The frame wanted.
        id: FrameId,
        /// How many bytes were given.
        len: usize,
    },
    /// zstd refused the content.
    #[error("decode frame {id}: {source}")]
    Decode {
        /// The frame wanted.
        id: FrameId,
        /// What zstd says.
        source: io::Error,
    },
    /// The content is another chunk.
    #[error("decode frame {id}: its content is chunk {found}")]
    Hash {
        /// The frame wanted.
        id: FrameId,
        /// What the content hashes to.
        found: FrameId,
    },
}

/// What a frame's header says of its raw length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stated {
    /// So many bytes.
    Bytes(u64),
    /// Nothing.
    Nothing,
    /// It is no zstd header at all.
    NoHeader,
}

impl fmt::Display for Stated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Nothing => f.write_str("no length"),
            Self::NoHeader => f.write_str("nothing readable"),
        }
    }
}

/// The longest frame that is accepted for `raw` bytes: a little above the worst that zstd can make of them.
pub const fn max_frame_len(raw: u32) -> u32 {
    raw.saturating_add(raw / 128).saturating_add(512)
}

/// Compresses chunks, reusing zstd's memory.
pub struct Compressor {
    zstd: bulk::Compressor<'static>,
}

impl Compressor {
    /// A compressor of zstd `level` (3 is the house's).
    ///
    /// # Errors
    /// When zstd cannot be set up.
    pub fn new(level: i32) -> Result<Self, FrameError> {
        let mut zstd = bulk::Compressor::new(level).map_err(FrameError::SetUp)?;
        zstd.set_parameter(CParameter::ContentSizeFlag(true)).map_err(FrameError::SetUp)?;
        zstd.set_parameter(CParameter::ChecksumFlag(true)).map_err(FrameError::SetUp)?;
        Ok(Self { zstd })
    }

    /// One zstd frame with content size and checksum.
    ///
    /// # Errors
    /// When `raw` is empty or longer than [`MAX_FRAME_RAW`], or zstd fails.
    pub fn compress(&mut self, raw: &[u8]) -> Result<Vec<u8>, FrameError> {
        if raw.is_empty() || raw.len() > MAX_FRAME_RAW as usize {
            return Err(FrameError::Length(raw.len()));
        }
        let mut frame = self.zstd.compress(raw).map_err(|source| FrameError::Compress { raw: raw.len(), source })?;
        // It is as long as the worst that could have come of it, and waits for its turn beside others.
        frame.shrink_to_fit();
        Ok(frame)
    }
}

/// Decodes frames, reusing zstd's memory.
pub struct Decoder {
    zstd: bulk::Decompressor<'static>,
}

impl Decoder {
    /// A decoder.
    ///
    /// # Errors
    /// When zstd cannot be set up.
    pub fn new() -> Result<Self, FrameError> {
        Ok(Self { zstd: bulk::Decompressor::new().map_err(FrameError::SetUp)? })
    }

    /// The raw bytes of `frame`, which are `raw_len` long and hash to `expect`.
    ///
    /// # Errors
    /// When they are not, or `frame` is anything but one whole zstd frame of that content.
    pub fn decode(&mut self, frame: &[u8], expect: &FrameId, raw_len: u32) -> Result<Vec<u8>, FrameError> {
        let id = *expect;
        if raw_len == 0 || raw_len > MAX_FRAME_RAW {
            return Err(FrameError::Expected { id, raw: raw_len });
        }
        let stated = match zstd_safe::get_frame_content_size(frame) {
            Ok(Some(bytes)) if bytes == u64::from(raw_len) => None,
            Ok(Some(bytes)) => Some(Stated::Bytes(bytes)),
            Ok(None) => Some(Stated::Nothing),
            Err(_) => Some(Stated::NoHeader),
        };
        if let Some(stated) = stated {
            return Err(FrameError::Stated { id, stated, raw: raw_len });
        }
        if zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len()) {
            return Err(FrameError::Shape { id, len: frame.len() });
        }
        let mut raw = Vec::with_capacity(raw_len as usize);
        self.zstd.decompress_to_buffer(frame, &mut raw).map_err(|source| FrameError::Decode { id, source })?;
        let found = FrameId::of(&raw);
        if raw.len() != raw_len as usize || found != id {
            return Err(FrameError::Hash { id, found });
        }
        Ok(raw)
    }
}

/// Compresses one chunk; see [`Compressor::compress`].
///
/// # Errors
/// As there.
pub fn compress(raw: &[u8], level: i32) -> Result<Vec<u8>, FrameError> {
    Compressor::new(level)?.compress(raw)
}

/// Decodes one frame; see [`Decoder::decode`].
///
/// # Errors
/// As there.
pub fn decode(frame: &[u8], expect: &FrameId, raw_len: u32) -> Result<Vec<u8>, FrameError> {
    Decoder::new()?.decode(frame, expect, raw_len)
}

#[cfg(test)]
mod tests;
