//! Where each frame lies: the tables of all packs that exist, as one map in memory.
//!
//! Only packs that the store lists count, whatever an index object says, so a frame that the index holds can be fetched. A frame
//! that lies in several packs is attributed to the first in name order, whichever order the tables came in. An entry takes about
//! 60 bytes of memory; this map is what grows with the number of frames, nothing else does.

use std::collections::{HashMap, hash_map::Entry};

use offsite_archive::{FrameId, Manifest};

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

/// Where each frame of a repository lies.
#[derive(Debug, Default)]
pub struct Index {
    packs: Vec<PackFacts>,
    frames: HashMap<FrameId, Location>,
    unreadable: Vec<Unreadable>,
}

impl Index {
    /// The index of `tables`.
    pub(crate) fn of_tables(mut tables: Vec<(PackFacts, Table)>, unreadable: Vec<Unreadable>) -> Self {
        tables.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        let mut index = Self { unreadable, ..Self::default() };
        for (facts, table) in tables {
            index.add(facts, &table);
        }
        index
    }

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
        if let Entry::Vacant(vacant) = self.frames.entry(id) {
            vacant.insert(location);
        }
    }

    /// Whether the repository holds the frame.
    pub fn held(&self, frame: &FrameId) -> bool {
        self.frames.contains_key(frame)
    }

    /// Where the frame lies.
    pub fn locate(&self, frame: &FrameId) -> Option<Location> {
        self.frames.get(frame).copied()
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
