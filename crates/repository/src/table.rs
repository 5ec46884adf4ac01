//! A pack's table: which frame lies where in it.
//!
//! The same bytes stand at the end of the pack and in `index/<id>`, so an index can be rebuilt from packs at any time, and a pack
//! can be found in without being read. Frames lie back to back from the pack's first byte on; the reader checks exactly that, so
//! no entry can overlap another or hide bytes, and whoever knows the pack's size drops what would lie outside.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `offsiteT` |
//! | 4 | version, u32 little-endian: 1 |
//! | 4 | number of entries, u32 little-endian |
//! | 48 each | the entries, in the order in which the frames lie in the pack: |
//! | · 32 | frame id: BLAKE3 of the raw bytes |
//! | · 8 | offset of the zstd frame in the pack, in bytes, u64 little-endian |
//! | · 4 | length of the zstd frame, in bytes, u32 little-endian |
//! | · 4 | raw length, in bytes, u32 little-endian |
//! | 32 | BLAKE3 of everything before |
//!
//! A pack is its frames, then the table, then the table's length in bytes (u32 little-endian), then `offsiteP` (8 bytes).

use std::collections::HashSet;

use offsite_archive::{FrameId, MAX_FRAME_RAW, max_frame_len};

/// Longest zstd frame, in bytes: the longest raw frame and what zstd adds to bytes that do not compress.
pub const MAX_FRAME_LEN: u32 = max_frame_len(MAX_FRAME_RAW);
/// The last 8 bytes of a pack.
pub const PACK_MAGIC: &[u8; 8] = b"offsiteP";
/// Length of what follows the table in a pack, in bytes.
pub(crate) const TRAILER: u64 = 12;
/// Longest table that is read, in bytes: more than a million frames.
pub(crate) const MAX_TABLE: u64 = 64 << 20;

const MAGIC: &[u8; 8] = b"offsiteT";
const VERSION: u32 = 1;
const HEADER: usize = 16;
const ENTRY: usize = 48;
const DIGEST: usize = 32;

/// What a table names in place of a frame that is known to be bad where it lies: the hash of nothing that anybody could find. Its place is
/// needed all the same, for those behind it.
pub(crate) const DISOWNED: FrameId = FrameId::from_bytes([0; 32]);

/// One frame of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableEntry {
    /// BLAKE3 of the raw bytes.
    pub id: FrameId,
    /// Where the zstd frame begins in the pack, in bytes.
    pub offset: u64,
    /// Length of the zstd frame, in bytes, 1 to [`MAX_FRAME_LEN`].
    pub len: u32,
    /// Raw length, in bytes, 1 to [`MAX_FRAME_RAW`].
    pub raw: u32,
}

/// All frames of a pack, in the order in which they lie there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    entries: Vec<TableEntry>,
}

/// Bytes that are no table, or no table of that pack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// It does not begin as a table does.
    #[error("it does not begin with {:?}", "offsiteT")]
    Magic,
    /// It was written by a newer offsite.
    #[error("it has version {0}, this offsite knows version 1")]
    Version(u32),
    /// Its length is not what its number of entries implies.
    #[error("{count} entries do not fit its length of {bytes} bytes")]
    Length {
        /// What it says.
        count: u32,
        /// What there is, in bytes.
        bytes: usize,
    },
    /// Its digest is another.
    #[error("its digest does not match")]
    Digest,
    /// An entry says what no frame can be.
    #[error("frame {id} has an impossible place or length")]
    Entry {
        /// The frame.
        id: FrameId,
    },
    /// Frames, table and trailer together are not as long as the pack.
    #[error("its frames, the table and the trailer end at byte {end}, the pack at byte {pack}")]
    Size {
        /// Where they end, in bytes.
        end: u64,
        /// The size of the pack, in bytes.
        pack: u64,
    },
    /// The pack does not end as a pack does.
    #[error("the pack does not end with a table's length and {:?}", "offsiteP")]
    Trailer,
}

impl Table {
    /// The frames, in the order in which they lie in the pack.
    pub fn entries(&self) -> &[TableEntry] {
        &self.entries
    }

    /// Where the last frame ends, in bytes.
    pub fn end(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.offset + u64::from(entry.len))
    }

    /// How many of its frames are known to be bad, and are not offered any more.
    pub fn disowned(&self) -> usize {
        self.entries.iter().filter(|entry| entry.id == DISOWNED).count()
    }

    /// Offers none of `bad` any more. Returns whether that changed something.
    pub(crate) fn disown(&mut self, bad: &HashSet<FrameId>) -> bool {
        let before = self.disowned();
        self.entries.iter_mut().filter(|entry| bad.contains(&entry.id)).for_each(|entry| entry.id = DISOWNED);
        self.disowned() > before
    }

    /// Adds a frame that was put behind the last one.
    pub(crate) fn push(&mut self, id: FrameId, len: u32, raw: u32) {
        self.entries.push(TableEntry { id, offset: self.end(), len, raw });
    }

    /// The table's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.entries.len() * ENTRY + DIGEST);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_le_bytes());
        for entry in &self.entries {
            bytes.extend_from_slice(entry.id.as_bytes());
            bytes.extend_from_slice(&entry.offset.to_le_bytes());
            bytes.extend_from_slice(&entry.len.to_le_bytes());
            bytes.extend_from_slice(&entry.raw.to_le_bytes());
        }
        let digest = FrameId::of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    /// Forgets frames that end beyond `pack` bytes: a pack that was cut short still holds the others.
    pub(crate) fn cut(&mut self, pack: u64) {
        let inside = self.entries.partition_point(|entry| entry.offset + u64::from(entry.len) <= pack);
        self.entries.truncate(inside);
    }

    /// Reads a table and checks every number in it, but for the pack's size, which only the caller knows.
    ///
    /// # Errors
    /// [`TableError`], if the bytes are not exactly one table.
    pub fn decode(bytes: &[u8]) -> Result<Self, TableError> {
        if !bytes.starts_with(MAGIC) {
            return Err(TableError::Magic);
        }
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(TableError::Length { count: 0, bytes: bytes.len() })?;
        let version = u32_at(header, 8);
        if version != VERSION {
            return Err(TableError::Version(version));
        }
        let count = u32_at(header, 12);
        let length = || TableError::Length { count, bytes: bytes.len() };
        let expected = usize::try_from(count).ok().and_then(|count| count.checked_mul(ENTRY)).ok_or_else(length)?;
        let (body, digest) = rest.split_at_checked(expected).ok_or_else(length)?;
        if digest.len() != DIGEST {
            return Err(length());
        }
        if FrameId::of(&bytes[..HEADER + expected]).as_bytes() != digest {
            return Err(TableError::Digest);
        }
        let mut table = Self { entries: Vec::with_capacity(expected / ENTRY) };
        let mut end = 0_u64;
        for entry in body.chunks_exact(ENTRY) {
            let mut id = [0; 32];
            id.copy_from_slice(&entry[..32]);
            let id = FrameId::from_bytes(id);
            let offset = u64::from(u32_at(entry, 32)) | u64::from(u32_at(entry, 36)) << 32;
            let (len, raw) = (u32_at(entry, 40), u32_at(entry, 44));
            if offset != end || !(1..=MAX_FRAME_LEN).contains(&len) || !(1..=MAX_FRAME_RAW).contains(&raw) {
                return Err(TableError::Entry { id });
            }
            // No overflow: 2^32 entries of less than 2^23 bytes.
            end += u64::from(len);
            table.entries.push(TableEntry { id, offset, len, raw });
        }
        Ok(table)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// What stands in a pack behind a table of `table` bytes.
pub(crate) fn trailer(table: usize) -> [u8; TRAILER as usize] {
    let mut bytes = [0; TRAILER as usize];
    bytes[..4].copy_from_slice(&u32::try_from(table).unwrap_or(u32::MAX).to_le_bytes());
    bytes[4..].copy_from_slice(PACK_MAGIC);
    bytes
}

/// The length of the table, in bytes, by the last bytes of a pack of `pack` bytes.
pub(crate) fn table_len(trailer: &[u8], pack: u64) -> Result<u64, TableError> {
    if trailer.len() as u64 != TRAILER || &trailer[4..] != PACK_MAGIC {
        return Err(TableError::Trailer);
    }
    let len = u64::from(u32_at(trailer, 0));
    if len > MAX_TABLE || len + TRAILER > pack { Err(TableError::Trailer) } else { Ok(len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(frames: u8) -> Table {
        let mut table = Table::default();
        for frame in 0..frames {
            table.push(FrameId::of(&[frame]), 10 + u32::from(frame), 100);
        }
        table
    }

    /// As a liar would: the digest made anew over edited bytes.
    fn resign(mut bytes: Vec<u8>) -> Vec<u8> {
        let body = bytes.len() - DIGEST;
        let digest = FrameId::of(&bytes[..body]);
        bytes[body..].copy_from_slice(digest.as_bytes());
        bytes
    }

    #[test]
    fn bytes_and_back() {
        for frames in [0, 1, 2, 200] {
            let table = table(frames);
            assert_eq!(Table::decode(&table.encode()), Ok(table));
        }
    }

    #[test]
    fn the_bytes_are_the_specified_ones() {
        let table = table(1);
        let bytes = table.encode();
        assert_eq!(&bytes[..16], b"offsiteT\x01\0\0\0\x01\0\0\0");
        assert_eq!(&bytes[16..48], FrameId::of(&[0]).as_bytes());
        assert_eq!(&bytes[48..64], b"\0\0\0\0\0\0\0\0\x0a\0\0\0\x64\0\0\0");
        assert_eq!(&bytes[64..], FrameId::of(&bytes[..64]).as_bytes());
        assert_eq!(trailer(96), *b"\x60\0\0\0offsiteP");
    }

    #[test]
    fn a_table_with_any_bit_flipped_or_any_byte_less_or_more_is_refused() {
        let good = table(3);
        let bytes = good.encode();
        for at in 0..bytes.len() {
            assert!(Table::decode(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                assert!(Table::decode(&bytes).is_err(), "byte {at} bit {bit}");
            }
        }
        assert!(Table::decode(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn a_signed_lie_is_refused() {
        let good = table(3);
        let lie = |at: usize, bytes: &[u8]| {
            let mut encoded = good.encode();
            encoded[at..at + bytes.len()].copy_from_slice(bytes);
            Table::decode(&resign(encoded))
        };
        let entry = |at: usize| HEADER + at * ENTRY;
        assert!(matches!(lie(8, &2_u32.to_le_bytes()), Err(TableError::Version(2))));
        assert!(matches!(lie(12, &u32::MAX.to_le_bytes()), Err(TableError::Length { .. })));
        assert!(matches!(lie(12, &2_u32.to_le_bytes()), Err(TableError::Length { .. })));
        for offset in [0_u64, 9, 11, u64::MAX] {
            assert!(matches!(lie(entry(1) + 32, &offset.to_le_bytes()), Err(TableError::Entry { .. })), "{offset}");
        }
        for len in [0, MAX_FRAME_LEN + 1, u32::MAX] {
            assert!(matches!(lie(entry(2) + 40, &len.to_le_bytes()), Err(TableError::Entry { .. })), "{len}");
        }
        for raw in [0, MAX_FRAME_RAW + 1, u32::MAX] {
            assert!(matches!(lie(entry(2) + 44, &raw.to_le_bytes()), Err(TableError::Entry { .. })), "{raw}");
        }
    }

    #[test]
    fn frames_beyond_the_pack_are_forgotten() {
        // They end at 10, 21 and 33.
        for (pack, left) in [(0, 0), (9, 0), (10, 1), (20, 1), (21, 2), (32, 2), (33, 3), (u64::MAX, 3)] {
            let mut table = table(3);
            table.cut(pack);
            assert_eq!(table.entries().len(), left, "{pack}");
        }
    }

    #[test]
    fn a_trailer_gives_the_length_of_the_table() {
        assert_eq!(table_len(&trailer(96), 200), Ok(96));
        assert_eq!(table_len(&trailer(96), 108), Ok(96));
        assert_eq!(table_len(&trailer(96), 107), Err(TableError::Trailer));
        assert_eq!(table_len(b"\x60\0\0\0offsiteX", 200), Err(TableError::Trailer));
        assert_eq!(table_len(b"", 200), Err(TableError::Trailer));
    }
}
