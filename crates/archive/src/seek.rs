//! The tail of a plain archive: the manifest, and zstd's seek table, both in skippable frames.
//!
//! Invariant: the tail read back covers the file from its first byte to its last without gap. It stands at the end because the
//! first bytes of the file must be an ordinary zstd frame for every `tar` and `file`, and because only at the end all is known.
//! The table is the "zstd seekable format" 0.1.0, without checksums: each frame carries its own.

use std::{
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    ops::Range,
};

use crate::{MAX_FRAME_RAW, frame::max_frame_len};

const MANIFEST_MAGIC: u32 = 0x184D_2A5D;
const TABLE_MAGIC: u32 = 0x184D_2A5E;
const FOOTER_MAGIC: u32 = 0x8F92_EAB1;
/// Magic and length of a skippable frame, in bytes.
const SKIPPABLE: u64 = 8;
/// The table's entry of one frame, in bytes.
const ENTRY: u64 = 8;
/// Count, descriptor and magic at the table's end, in bytes.
const FOOTER: u64 = 9;
/// Most entries that the seekable format allows.
const MAX_ENTRIES: u64 = 0x800_0000;

/// What the end of a plain archive says of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Length in the file and raw length of each frame, in bytes, in file order; the manifest's own frame is not among them.
    pub frames: Vec<(u32, u32)>,
    /// Where the manifest object's bytes lie in the file.
    pub manifest: Range<u64>,
}

/// Why the end of a file is not the tail of a plain archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailError {
    /// Reading failed.
    #[error("read the archive's tail: {0}")]
    Read(#[source] io::Error),
    /// There is no seek table: not a plain archive, or cut short.
    #[error("read the archive's tail: the file of {0} bytes does not end with a seek table; it is cut short or no offsite archive")]
    NoTable(u64),
    /// The table contradicts itself or the file.
    #[error("read the archive's tail: {0}")]
    Table(&'static str),
}

/// Writes the tail behind the frames, which are given as (length in the file, raw length), and says how many bytes it has.
///
/// # Errors
/// When writing fails, or there is more than the seekable format can hold.
pub fn write_tail(out: &mut impl Write, frames: impl Iterator<Item = (u32, u32)>, manifest: &[u8]) -> io::Result<u64> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "write the archive's tail: the manifest has 4 GiB or more");
    let manifest_len = u32::try_from(manifest.len()).map_err(|_| too_long())?;
    let manifest_frame = manifest_len.checked_add(SKIPPABLE as u32).ok_or_else(too_long)?;
    out.write_all(&MANIFEST_MAGIC.to_le_bytes())?;
    out.write_all(&manifest_len.to_le_bytes())?;
    out.write_all(manifest)?;

    let mut entries = Vec::new();
    let mut count: u32 = 0;
    for (len, raw) in frames.chain([(manifest_frame, 0)]) {
        if u64::from(count) == MAX_ENTRIES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "write the archive's tail: more than 134217727 frames"));
        }
        entries.extend_from_slice(&len.to_le_bytes());
        entries.extend_from_slice(&raw.to_le_bytes());
        count += 1;
    }
    let table_len = count * ENTRY as u32 + FOOTER as u32;
    out.write_all(&TABLE_MAGIC.to_le_bytes())?;
    out.write_all(&table_len.to_le_bytes())?;
    out.write_all(&entries)?;
    out.write_all(&count.to_le_bytes())?;
    out.write_all(&[0])?;
    out.write_all(&FOOTER_MAGIC.to_le_bytes())?;
    Ok(tail_len(u64::from(count) - 1, manifest.len() as u64))
}

/// Length of the tail behind so many frames, with a manifest of so many bytes. What no tail can hold gives a length that no file has.
pub fn tail_len(frames: u64, manifest: u64) -> u64 {
    let table = frames.saturating_add(1).saturating_mul(ENTRY).saturating_add(FOOTER);
    manifest.saturating_add(table).saturating_add(2 * SKIPPABLE)
}

/// Reads the tail of a plain archive. Its memory is bounded by the file's length: 8 bytes for each entry that is really there.
///
/// # Errors
/// When reading fails, there is no table, or it does not cover exactly this file.
pub fn read_tail<R: Read + Seek>(file: &mut R) -> Result<Tail, TailError> {
    let length = file.seek(SeekFrom::End(0)).map_err(TailError::Read)?;
    let count = read_footer(file, length)?;
    let table = SKIPPABLE + count * ENTRY + FOOTER;
    let start = length.checked_sub(table).ok_or(TailError::Table("the seek table is longer than the file"))?;

    file.seek(SeekFrom::Start(start)).map_err(TailError::Read)?;
    let mut reader = BufReader::new(&mut *file);
    if read_u32(&mut reader)? != TABLE_MAGIC || u64::from(read_u32(&mut reader)?) != table - SKIPPABLE {
        return Err(TailError::Table("the seek table does not begin where its count says"));
    }
    let mut frames = Vec::new();
    let mut covered: u64 = 0;
    for _ in 1..count {
        let (len, raw) = (read_u32(&mut reader)?, read_u32(&mut reader)?);
        if raw == 0 || raw > MAX_FRAME_RAW || len == 0 || len > max_frame_len(raw) {
            return Err(TailError::Table("the seek table has a frame of impossible length"));
        }
        covered += u64::from(len);
        frames.push((len, raw));
    }
    let (len, raw) = (read_u32(&mut reader)?, read_u32(&mut reader)?);
    let manifest = covered + SKIPPABLE..covered + u64::from(len);
    if raw != 0 || manifest.start > manifest.end || manifest.end != start {
        return Err(TailError::Table("the seek table does not cover the file"));
    }
    file.seek(SeekFrom::Start(covered)).map_err(TailError::Read)?;
    if read_u32(file)? != MANIFEST_MAGIC || u64::from(read_u32(file)?) != manifest.end - manifest.start {
        return Err(TailError::Table("the manifest is not where the seek table says"));
    }
    Ok(Tail { frames, manifest })
}

/// How many entries the table at the end of the file states.
fn read_footer<R: Read + Seek>(file: &mut R, length: u64) -> Result<u64, TailError> {
    let start = length.checked_sub(FOOTER).ok_or(TailError::NoTable(length))?;
    file.seek(SeekFrom::Start(start)).map_err(TailError::Read)?;
    let mut footer = [0; FOOTER as usize];
    file.read_exact(&mut footer).map_err(TailError::Read)?;
    let [a, b, c, d, descriptor, magic @ ..] = footer;
    if u32::from_le_bytes(magic) != FOOTER_MAGIC {
        return Err(TailError::NoTable(length));
    }
    // The two lowest bits mean nothing; a checksum flag would change the entries' length, and offsite never sets it.
    if descriptor & !0b11 != 0 {
        return Err(TailError::Table("the seek table has a descriptor that offsite does not write"));
    }
    match u64::from(u32::from_le_bytes([a, b, c, d])) {
        0 => Err(TailError::Table("the seek table is empty")),
        count if count > MAX_ENTRIES => Err(TailError::Table("the seek table has more entries than its format allows")),
        count => Ok(count),
    }
}

fn read_u32(reader: &mut impl Read) -> Result<u32, TailError> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes).map_err(TailError::Read)?;
    Ok(u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests;
