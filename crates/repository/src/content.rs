//! Whether what was read of an archive, from its first frame to its last, is the content that its manifest's digest binds.
//!
//! A manifest of version 2 is bound to its list of frames and was held against it when it was read; so what is left to see is that
//! the frames which came are those of the list, each as long as it says. One of version 1 is bound to the stream's own bytes, which
//! only a reader of the whole stream sees: its frames could all be good and yet not be what the agent read.

use offsite_archive::{FrameId, FramesDigest, Manifest};

use crate::StreamError;

/// The frames of one archive as they come.
pub(crate) struct Content<'a> {
    manifest: &'a Manifest,
    so_far: SoFar,
}

enum SoFar {
    Stream(blake3::Hasher),
    Frames(FramesDigest),
}

impl<'a> Content<'a> {
    /// That of the archive described, of which nothing has come yet.
    pub(crate) fn of(manifest: &'a Manifest) -> Self {
        let so_far = match manifest.head.version {
            1 => SoFar::Stream(blake3::Hasher::new()),
            _ => SoFar::Frames(FramesDigest::new()),
        };
        Self { manifest, so_far }
    }

    /// Takes the next frame, whose `raw` bytes were hashed to `id` when they were decoded.
    pub(crate) fn add(&mut self, id: &FrameId, raw: &[u8]) {
        match &mut self.so_far {
            SoFar::Stream(hash) => drop(hash.update(raw)),
            // A frame is decoded to 4 MiB at most; one that were longer would not be what any manifest lists.
            SoFar::Frames(digest) => digest.push(id, u32::try_from(raw.len()).unwrap_or(u32::MAX)),
        }
    }

    /// Whether that was all of it, and nothing else.
    pub(crate) fn finish(self) -> Result<(), StreamError> {
        let found = match self.so_far {
            SoFar::Stream(hash) => FrameId::from_bytes(*hash.finalize().as_bytes()),
            SoFar::Frames(digest) => digest.finish(),
        };
        let expected = self.manifest.end.digest;
        if found == expected { Ok(()) } else { Err(StreamError::Digest { archive: self.manifest.head.archive.clone(), expected, found }) }
    }
}
