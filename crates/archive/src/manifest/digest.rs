//! The digest over an archive's frames: what a manifest of version 2 is bound to its content by.
//!
//! Each frame's id binds its raw bytes, so the ordered list of ids and raw lengths binds the whole stream, and whoever holds the
//! list can compute it without a byte of the content. The lengths are in it because an id alone does not say how far its frame
//! shifts those behind it to a reader who has not yet fetched it.

use crate::FrameId;

/// BLAKE3 over, for each frame in order, the 32 bytes of its id and its raw length as 4 bytes, little-endian.
#[derive(Debug, Clone, Default)]
pub struct FramesDigest(blake3::Hasher);

impl FramesDigest {
    /// That of no frames yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next frame, of `raw` bytes.
    pub fn push(&mut self, id: &FrameId, raw: u32) {
        self.0.update(id.as_bytes());
        self.0.update(&raw.to_le_bytes());
    }

    /// The digest of the frames so far.
    pub fn finish(&self) -> FrameId {
        FrameId::from_bytes(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hash_of_ids_and_lengths() {
        let (a, b) = (FrameId::of(b"a"), FrameId::of(b"b"));
        let mut digest = FramesDigest::new();
        assert_eq!(digest.finish(), FrameId::of(b""));
        digest.push(&a, 1);
        digest.push(&b, 0x0004_0302);
        let bytes = [&a.as_bytes()[..], &[1, 0, 0, 0], b.as_bytes(), &[2, 3, 4, 0]].concat();
        assert_eq!(digest.finish(), FrameId::of(&bytes));
    }

    #[test]
    fn order_and_lengths_count() {
        let of = |frames: &[(&[u8], u32)]| {
            let mut digest = FramesDigest::new();
            frames.iter().for_each(|(content, raw)| digest.push(&FrameId::of(content), *raw));
            digest.finish()
        };
        let good = of(&[(b"a", 1), (b"b", 2)]);
        for other in [&[(&b"b"[..], 2), (&b"a"[..], 1)][..], &[(b"a", 2), (b"b", 1)], &[(b"a", 1)], &[(b"a", 1), (b"b", 2), (b"b", 2)]] {
            assert_ne!(of(other), good);
        }
    }
}
