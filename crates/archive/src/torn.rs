//! The frames at the beginning of bytes whose end was lost: what a transfer left behind that was killed.
//!
//! A frame says how long it is and proves its content by its checksum, so nothing else need have been written down to find what arrived.

use zstd::{bulk, zstd_safe};

use crate::{FrameError, FrameId, MAX_FRAME_RAW, max_frame_len};

/// A whole frame that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeadingFrame {
    /// What it is.
    pub id: FrameId,
    /// Length of the zstd frame, in bytes.
    pub len: u32,
    /// Raw length, in bytes.
    pub raw: u32,
}

/// Finds frames one by one, reusing memory.
pub struct TornReader {
    zstd: bulk::Decompressor<'static>,
    raw: Vec<u8>,
}

impl TornReader {
    /// A reader.
    ///
    /// # Errors
    /// When zstd cannot be set up.
    pub fn new() -> Result<Self, FrameError> {
        Ok(Self { zstd: bulk::Decompressor::new().map_err(FrameError::SetUp)?, raw: Vec::new() })
    }

    /// The frame that `bytes` begin with; `None` if that is no frame of ours, is not all there, or is damaged.
    pub fn first(&mut self, bytes: &[u8]) -> Option<LeadingFrame> {
        let raw = zstd_safe::get_frame_content_size(bytes).ok().flatten()?;
        let raw = u32::try_from(raw).ok().filter(|raw| (1..=MAX_FRAME_RAW).contains(raw))?;
        let len = zstd_safe::find_frame_compressed_size(bytes).ok()?;
        let frame = bytes.get(..len)?;
        let len = u32::try_from(len).ok().filter(|len| *len <= max_frame_len(raw))?;
        self.raw.clear();
        self.raw.reserve(raw as usize);
        self.zstd.decompress_to_buffer(frame, &mut self.raw).ok()?;
        (self.raw.len() == raw as usize).then(|| LeadingFrame { id: FrameId::of(&self.raw), len, raw })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress;

    #[test]
    fn whole_frames_are_found_and_torn_ones_are_not() {
        let frames = [vec![7; 5000], b"a second one".to_vec()].map(|raw| (FrameId::of(&raw), raw.len(), compress(&raw, 3).unwrap()));
        let bytes = [&frames[0].2[..], &frames[1].2].concat();
        let mut reader = TornReader::new().unwrap();
        let first = reader.first(&bytes).unwrap();
        assert_eq!((first.id, first.raw as usize, first.len as usize), (frames[0].0, frames[0].1, frames[0].2.len()));
        assert_eq!(reader.first(&bytes[first.len as usize..]).unwrap().id, frames[1].0);
        for cut in 0..first.len as usize {
            assert_eq!(reader.first(&bytes[..cut]), None, "{cut}");
        }
        let mut spoilt = bytes.clone();
        *spoilt.last_mut().unwrap() ^= 1;
        assert_eq!(reader.first(&spoilt[first.len as usize..]), None);
        // Zeros, as a file system leaves them after a power cut; a table, as a pack ends; a skippable frame, as an archive does.
        for other in [&[0; 64][..], b"offsiteT\x01\0\0\0", &[0x5d, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], b""] {
            assert_eq!(reader.first(other), None, "{other:?}");
        }
    }
}
