//! Contents that manifests leave open, read and hashed: no frame but those in which they lie, each of them once.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    ops::Range,
};

use offsite_repository::{Repository, StreamError, read_ranges};

use super::{Night, content::short};

/// What was read of an archive: the hash of the piece of its stream that begins there.
pub(crate) type Hashes = HashMap<u64, [u8; 16]>;

/// Reads and hashes pieces of the tar stream: where each begins, and where it ends. They do not overlap, as members do not.
pub(crate) async fn hashes(repository: &Repository, night: &Night, pieces: BTreeMap<u64, u64>) -> Result<Hashes, StreamError> {
    let ranges: Vec<Range<u64>> = pieces.into_iter().map(|(start, end)| start..end).filter(|range| !range.is_empty()).collect();
    let mut hashing = Hashing { ranges: ranges.iter(), now: None, hashes: Hashes::new() };
    read_ranges(repository, &night.manifest, &ranges, &mut |bytes| {
        hashing.take(bytes);
        io::Result::Ok(())
    })
    .await?;
    Ok(hashing.hashes)
}

/// Cuts what comes at the ends of the pieces.
struct Hashing<'a> {
    ranges: std::slice::Iter<'a, Range<u64>>,
    now: Option<(u64, u64, blake3::Hasher)>,
    hashes: Hashes,
}

impl Hashing<'_> {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.now.is_none() {
                self.now = self.ranges.next().map(|range| (range.start, range.end - range.start, blake3::Hasher::new()));
            }
            // More than was asked for never comes.
            let Some((start, left, hash)) = &mut self.now else { return };
            let (own, rest) = bytes.split_at(bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
            hash.update(own);
            *left -= own.len() as u64;
            bytes = rest;
            if *left == 0 {
                self.hashes.insert(*start, short(&hash.finalize()));
                self.now = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_told_apart_however_they_come() {
        let ranges = [3..6, 10..11, 11..15];
        for step in 1..9 {
            let mut hashing = Hashing { ranges: ranges.iter(), now: None, hashes: Hashes::new() };
            b"abcdefgh".chunks(step).for_each(|bytes| hashing.take(bytes));
            let of = |text: &[u8]| short(&blake3::hash(text));
            assert_eq!(hashing.hashes, Hashes::from([(3, of(b"abc")), (10, of(b"d")), (11, of(b"efgh"))]), "{step}");
        }
    }
}
