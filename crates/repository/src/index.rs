//! Where each frame lies: the tables of all packs that exist, as one map in memory.
//!
//! Only packs that the store lists count, whatever an index object says, so a frame that the index holds can be fetched. A frame
//! that lies in several packs is attributed to the first that was added: in an index that is read, the first in name order. An entry takes
//! about 65 bytes of memory, which do not move while the map grows: with the manifests at hand it is what grows with the number of frames.

use offsite_archive::{FrameId, Keyed, Known, Manifest};

use crate::{MAX_FRAME_LEN, PackName, Table, TableEntry, Unreadable};

/// A pack as the store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFacts {
    /// Its name.
    pub name: PackName,
    /// The size of its object, in bytes; of the sealed object in a sealed repository.
    pub bytes: u64,
}

/// Where a frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// Which pack: its place in [`Index::packs`].
    pub pack: u32,
    /// Where the zstd frame begins in the pack, in bytes.
    pub offset: u64,
    /// Length of the zstd frame, in bytes.
    pub len: u32,
    /// Raw length, in bytes.
    pub raw: u32,
}

/// A frame, and where it lies.
#[derive(Debug)]
struct Placed(FrameId, Location);

impl Keyed for Placed {
    type Key = FrameId;

    fn key(&self) -> &FrameId {
        &self.0
    }
}

/// Where each frame of a repository lies.
#[derive(Debug, Default)]
pub struct Index {
    packs: Vec<PackFacts>,
    frames: Known<Placed>,
    unreadable: Vec<Unreadable>,
}

impl Index {
    /// Adds a pack, as one that was written just now.
    pub fn add(&mut self, facts: PackFacts, table: &Table) {
        let pack = self.next(facts);
        for entry in table.entries() {
            self.place(entry.id, Location { pack, offset: entry.offset, len: entry.len, raw: entry.raw });
        }
    }

    /// Adds part of a pack: these frames of it and no others.
    pub(crate) fn add_located(&mut self, facts: PackFacts, frames: &[TableEntry]) {
        let pack = self.next(facts);
        for entry in frames {
            self.place(entry.id, Location { pack, offset: entry.offset, len: entry.len, raw: entry.raw });
        }
    }

    /// Adds an archive's file, whose table is its manifest. Frames beyond the file's end are not held.
    pub(crate) fn add_archive(&mut self, facts: PackFacts, manifest: &Manifest) {
        let size = facts.bytes;
        let pack = self.next(facts);
        let mut offset = 0_u64;
        for frame in &manifest.frames {
            let end = offset.saturating_add(u64::from(frame.len));
            if end > size {
                break;
            }
            if frame.len <= MAX_FRAME_LEN {
                self.place(frame.id, Location { pack, offset, len: frame.len, raw: frame.raw });
            }
            offset = end;
        }
    }

    /// Adds what could not be read.
    pub(crate) fn report(&mut self, unreadable: Vec<Unreadable>) {
        self.unreadable.extend(unreadable);
    }

    fn next(&mut self, facts: PackFacts) -> u32 {
        self.packs.push(facts);
        // 2^32 packs would need more memory than there is.
        u32::try_from(self.packs.len() - 1).unwrap_or(u32::MAX)
    }

    fn place(&mut self, id: FrameId, location: Location) {
        // The first one stays.
        self.frames.add(Placed(id, location));
    }

    /// Whether the repository holds the frame.
    pub fn held(&self, frame: &FrameId) -> bool {
        self.frames.find(frame).is_some()
    }

    /// Where the frame lies.
    pub fn locate(&self, frame: &FrameId) -> Option<Location> {
        self.frames.find(frame).map(|number| self.frames[number].1)
    }

    /// The packs; [`Location::pack`] counts in them.
    pub fn packs(&self) -> &[PackFacts] {
        &self.packs
    }

    /// The pack in which `location` lies.
    pub fn pack_of(&self, location: &Location) -> Option<&PackFacts> {
        self.packs.get(location.pack as usize)
    }

    /// Number of frames held, each counted once.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether no frame is held.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// What could not be read while the index was made: frames that lie there are not held.
    pub fn unreadable(&self) -> &[Unreadable] {
        &self.unreadable
    }
}
