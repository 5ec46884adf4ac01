//! Contents that manifests leave open, read and hashed: no frame but those in which they lie.
//!
//! What is hashed is what `offsite cat` would give, so that two hashes tell of two contents for certain. Where the holes of a sparse file are
//! is no content: blocks of nothing but zeros are left out of the hash, whether they are stored or not, and so a hole costs nothing however long.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Read},
    ops::Range,
};

use offsite_archive::{ArchiveName, TarError};
use offsite_repository::Repository;

use super::{
    Night,
    content::short,
    item::Data,
    member::{File, MemberError, Part},
};
use crate::restore::bridge::{Load, Queue, Stopped, over};

/// What was read of an archive: the hash of the content of the member that begins there.
pub(crate) type Hashes = HashMap<u64, [u8; 16]>;

/// Bytes that are looked at together for being zeros.
const BLOCK: usize = 64 << 10;

static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The thread that hashes died.
#[derive(Debug, thiserror::Error)]
#[error("the reading of files did not end as it should")]
pub(crate) struct ReadingDied(#[source] tokio::task::JoinError);

/// Files to read, by where their members begin.
pub(crate) type Files = BTreeMap<u64, Data>;

/// Reads and hashes the contents of `files`.
pub(crate) async fn hashes(repository: &Repository, night: &Night, files: Files) -> anyhow::Result<Hashes> {
    if files.is_empty() {
        return Ok(Hashes::new());
    }
    let ranges: Vec<Range<u64>> = files.values().map(Data::extent).collect();
    let load = Load { repository, manifest: &night.manifest, ranges: &ranges, around: None };
    let archive = night.name.clone();
    over(load, &|_| {}, move |queue| take(&archive, &files, queue)).await.map_err(|stopped| match stopped {
        Stopped::Read(error) => error.into(),
        Stopped::Taken(error) => anyhow::Error::from(error),
        Stopped::Thread(error) => ReadingDied(error).into(),
    })
}

/// Hashes the members that come from `queue`, each for itself: one that is not as long as it says shifts no other.
fn take(archive: &ArchiveName, files: &Files, queue: &mut Queue) -> Result<Hashes, MemberError> {
    let (mut hashes, mut content) = (Hashes::new(), Content::new());
    for (at, data) in files {
        let (file, extent) = (File { archive, data }, data.extent());
        let mut piece = (&mut *queue).take(extent.end - extent.start);
        file.pour(&mut piece, |part| {
            match part {
                Part::Bytes(bytes) => content.bytes(bytes),
                Part::Hole(len) => content.hole(len),
            }
            Ok::<_, MemberError>(())
        })?;
        io::copy(&mut piece, &mut io::sink()).map_err(|cause| file.tar(TarError::Read { at: extent.end, cause }))?;
        hashes.insert(*at, content.finish());
        if hashes.len() == files.len() {
            // To its end, so that the other side is not told that nobody wants it.
            io::copy(queue, &mut io::sink()).map_err(|cause| file.tar(TarError::Read { at: extent.end, cause }))?;
        }
    }
    Ok(hashes)
}

/// A hash of a content, of which holes are a part like any zeros.
struct Content {
    hash: blake3::Hasher,
    /// The block that is being filled: zeros from `filled` on.
    block: Vec<u8>,
    filled: usize,
    /// How many came before it.
    before: u64,
}

impl Content {
    fn new() -> Self {
        Self { hash: blake3::Hasher::new(), block: vec![0; BLOCK], filled: 0, before: 0 }
    }

    fn bytes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (own, rest) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            self.block[self.filled..][..own.len()].copy_from_slice(own);
            self.on(own.len());
            bytes = rest;
        }
    }

    fn hole(&mut self, len: u64) {
        let room = (BLOCK - self.filled) as u64;
        if len < room {
            // Less than a block.
            self.filled += len as usize;
            return;
        }
        self.on(room as usize);
        self.before += (len - room) / BLOCK as u64;
        self.filled = ((len - room) % BLOCK as u64) as usize;
    }

    fn on(&mut self, len: usize) {
        self.filled += len;
        if self.filled == BLOCK {
            self.close();
        }
    }

    /// The block is full, or nothing follows.
    fn close(&mut self) {
        let own = &mut self.block[..self.filled];
        if own != &ZEROS[..own.len()] {
            self.hash.update(&self.before.to_le_bytes()).update(own);
            own.fill(0);
        }
        self.before += 1;
        self.filled = 0;
    }

    /// The hash of what came, and begins anew.
    fn finish(&mut self) -> [u8; 16] {
        let len = self.before * BLOCK as u64 + self.filled as u64;
        self.close();
        self.hash.update(&len.to_le_bytes());
        let hash = short(&self.hash.finalize());
        self.hash.reset();
        self.before = 0;
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K64: u64 = BLOCK as u64;

    fn hash(parts: &[Part<'_>]) -> [u8; 16] {
        let mut content = Content::new();
        for part in parts {
            match part {
                Part::Bytes(bytes) => content.bytes(bytes),
                Part::Hole(len) => content.hole(*len),
            }
        }
        content.finish()
    }

    #[test]
    fn a_content_is_the_same_however_it_comes_and_is_stored() {
        let (a, b) = (b"something", [7; BLOCK + 5]);
        for hole in [1, 100, K64 - 10, K64 - 9, K64 - 8, K64, 2 * K64 - 9, 3 * K64 + 1] {
            let whole = [a.as_slice(), &vec![0; hole as usize], &b, &[0; 3]].concat();
            let wanted = hash(&[Part::Bytes(&whole)]);
            for step in [1000, BLOCK - 1, BLOCK, BLOCK + 1] {
                assert_eq!(hash(&whole.chunks(step).map(Part::Bytes).collect::<Vec<_>>()), wanted, "{hole} {step}");
            }
            assert_eq!(hash(&[Part::Bytes(a), Part::Hole(hole), Part::Bytes(&b), Part::Hole(3)]), wanted, "{hole}");
            let halves = [Part::Bytes(a), Part::Hole(hole / 2), Part::Bytes(&whole[9 + hole as usize / 2..]), Part::Bytes(b"")];
            assert_eq!(hash(&halves), wanted, "{hole}");
            for (at, other) in [(0, 1), (9, 1), (whole.len() - 1, 1), (9 + hole as usize, 0)] {
                let mut edited = whole.clone();
                edited[at] = other;
                assert_ne!(hash(&[Part::Bytes(&edited)]), wanted, "{hole} {at}");
            }
            assert_ne!(hash(&[Part::Bytes(a), Part::Hole(hole + 1), Part::Bytes(&b), Part::Hole(2)]), wanted, "{hole}");
        }
        assert_ne!(hash(&[Part::Hole(1 << 50)]), hash(&[Part::Hole((1 << 50) + 1)]));
        assert_ne!(hash(&[]), hash(&[Part::Hole(1)]));
    }
}
