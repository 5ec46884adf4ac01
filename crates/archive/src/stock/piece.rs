//! What a piece is known by: everything that its bytes depend on.
//!
//! A bundle's headers are hashed as they are, so owners, modes, names and attributes count; of content, which is the point not to read,
//! its file's identity, length and both times count. A piece that has the same key has the same bytes.

use crate::{
    Mtime,
    meta::{Stat, sparse::Segment},
};

/// The key of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) [u8; 32]);

/// Gathers what a piece's bytes depend on. A bundle brings some hundred headers: hashed in one go, many lanes at once, they cost a fifth.
#[derive(Debug)]
pub(crate) struct KeyMaker {
    context: &'static str,
    input: Vec<u8>,
}

impl KeyMaker {
    /// The key of a bundle, of which nothing is known yet.
    pub(crate) fn bundle() -> Self {
        Self { context: "offsite 2026 stock: bundle, chunker files-1", input: Vec::new() }
    }

    /// The key of the data of the large file at `path`.
    pub(crate) fn large(path: &[u8]) -> Self {
        let mut maker = Self { context: "offsite 2026 stock: large file, chunker files-1", input: Vec::new() };
        maker.bytes(path);
        maker
    }

    /// Bytes that stand in the piece.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.input.extend_from_slice(bytes);
    }

    /// A file's content, not read: `segments` of it where it has holes.
    pub(crate) fn content(&mut self, stat: &Stat, segments: Option<&[Segment]>) {
        let time = |Mtime(seconds, nanos): Mtime| [seconds as u64, u64::from(nanos)];
        let numbers = [stat.id.0, stat.id.1, stat.size].into_iter().chain(time(stat.mtime)).chain(time(stat.ctime));
        numbers.for_each(|number| self.number(number));
        let segments = segments.unwrap_or_default();
        self.number(segments.len() as u64);
        segments.iter().flat_map(|piece| [piece.at, piece.len]).for_each(|number| self.number(number));
    }

    /// The key; the maker is as new, for the next bundle.
    pub(crate) fn finish(&mut self) -> Key {
        let key = blake3::derive_key(self.context, &self.input);
        self.input.clear();
        Key(key)
    }

    fn number(&mut self, number: u64) {
        self.input.extend_from_slice(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_says_whether_content_changed_makes_another_key() {
        let same = Stat {
            kind: None,
            mode: 0o644,
            uid: 1,
            gid: 2,
            size: 3,
            blocks: 4,
            mtime: Mtime(5, 6),
            ctime: Mtime(7, 8),
            id: (9, 10),
            links: 1,
            device: (0, 0),
        };
        let key = |stat: Stat| {
            let mut maker = KeyMaker::bundle();
            maker.content(&stat, None);
            maker.finish()
        };
        assert_eq!(key(same), key(Stat { links: 2, ..same }), "a further name changes no byte");
        let others = [
            Stat { size: 30, ..same },
            Stat { mtime: Mtime(50, 6), ..same },
            Stat { mtime: Mtime(5, 60), ..same },
            Stat { ctime: Mtime(70, 8), ..same },
            Stat { ctime: Mtime(7, 80), ..same },
            Stat { id: (90, 10), ..same },
            Stat { id: (9, 100), ..same },
        ];
        for other in others {
            assert_ne!(key(other), key(same), "{other:?}");
        }
    }
}
