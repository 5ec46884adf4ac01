//! The frames of a pack that nothing describes, found by reading it from its beginning.
//!
//! Frames lie one behind the other, say how long they are, and prove what they are. Behind a bad spot the reading goes on at what looks like
//! the next frame; what only looks like one is none, since nothing is taken that was not decoded.

use object_store::{ObjectStoreExt, path::Path};
use offsite_archive::{LeadingFrame, TornReader};

use crate::{MAX_FRAME_LEN, PackFacts, Repository, RepositoryError, pack::store};

/// Bytes that are read at a time: what one bad spot costs.
const STEP: u64 = 1 << 20;
/// What a zstd frame begins with.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A pack being read.
pub(crate) struct Salvage<'a> {
    repository: &'a Repository,
    path: Path,
    bytes: u64,
    reader: TornReader,
    window: Vec<u8>,
    /// Where in the window the next frame may begin.
    begin: usize,
    /// How far the pack was read.
    at: u64,
}

impl<'a> Salvage<'a> {
    /// Of the pack `facts`.
    pub(crate) fn new(repository: &'a Repository, facts: &PackFacts) -> Result<Self, RepositoryError> {
        let path = facts.name.path();
        let failed = |error| store("read", &path, object_store::Error::Generic { store: "zstd", source: Box::new(error) });
        let reader = TornReader::new().map_err(failed)?;
        Ok(Self { repository, path, bytes: facts.bytes, reader, window: Vec::new(), begin: 0, at: 0 })
    }

    /// The next good frame: where it begins in the pack, what it is, and its bytes; `None` if there is no other.
    pub(crate) async fn next(&mut self) -> Result<Option<(u64, LeadingFrame, &[u8])>, RepositoryError> {
        let (place, frame) = loop {
            if !self.fill().await? {
                return Ok(None);
            }
            let rest = &self.window[self.begin..];
            if let Some(frame) = self.reader.first(rest) {
                let place = self.at - rest.len() as u64;
                self.begin += frame.len as usize;
                break (place, frame);
            }
            if let Some(next) = rest.windows(4).skip(1).position(|bytes| *bytes == ZSTD) {
                self.begin += 1 + next;
            } else if self.at < self.bytes {
                // The last three bytes may be the beginning of one.
                self.begin = self.window.len() - 3;
            } else {
                return Ok(None);
            }
        };
        Ok(Some((place, frame, &self.window[self.begin - frame.len as usize..self.begin])))
    }

    /// Reads on until a whole frame is in the window, or all there is. `false` if somebody took the pack away.
    async fn fill(&mut self) -> Result<bool, RepositoryError> {
        while self.window.len() - self.begin < MAX_FRAME_LEN as usize && self.at < self.bytes {
            self.window.drain(..std::mem::take(&mut self.begin));
            let end = self.bytes.min(self.at + STEP);
            match self.repository.store().get_range(&self.path, self.at..end).await {
                Ok(bytes) => self.window.extend_from_slice(&bytes),
                Err(object_store::Error::NotFound { .. }) => return Ok(false),
                Err(source) => match store("read", &self.path, source) {
                    // No frame looks like this.
                    error if error.is_damage() => self.window.resize(self.window.len() + (end - self.at) as usize, 0),
                    error => return Err(error),
                },
            }
            self.at = end;
        }
        Ok(true)
    }
}
