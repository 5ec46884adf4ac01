//! The cache of an archive: which pieces gave which of its frames, as bytes that a later run reads.
//!
//! Only a cache: without it, or with a damaged one, everything is read again. It names the archive by number and digest, so that it can never speak of another one, and ends with a hash of itself. Layout in `docs/format.md`, section 8.

use std::io::{self, Write};

use super::{Key, Piece, Remembered, Rows, Span, Sum, UNKNOWN};
use crate::{Class, FrameId, Manifest};

const MAGIC: &[u8; 8] = b"offsiteC";
const VERSION: u32 = 1;
const PIECE: usize = 32 + 4 + 4 + 1;
/// Bytes that are written at once.
const PART: usize = 64 << 10;

/// Why a cache says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// It is cut short, changed, or no cache.
    #[error("the cache is damaged or of another version")]
    Damaged,
    /// It belongs to another archive.
    #[error("the cache belongs to another archive")]
    Foreign,
}

/// What a cache says, as it stands in its bytes: the tables of a large tree are megabytes, and are taken over once.
pub(super) struct Read<'a> {
    sums: &'a [u8],
    pieces: &'a [u8],
}

impl Read<'_> {
    /// The sum of the frame with this number.
    pub(super) fn sum(&self, number: usize) -> Sum {
        const LEN: usize = size_of::<Sum>();
        let mut sum = Sum::default();
        sum.copy_from_slice(&self.sums[number * LEN..][..LEN]);
        sum
    }

    /// The pieces, in the order of the archive.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.pieces.chunks_exact(PIECE).map(|bytes| {
            let mut key = [0; 32];
            key.copy_from_slice(&bytes[..32]);
            let class = class(bytes[40]).flatten();
            Piece { key: Key(key), span: Span { first: number(&bytes[32..36]), count: number(&bytes[36..40]), class } }
        })
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// The class that a byte says, if it is one that says any.
fn class(byte: u8) -> Option<Option<Class>> {
    match byte {
        0 => Some(None),
        1 => Some(Some(Class::Page)),
        2 => Some(Some(Class::Text)),
        3 => Some(Some(Class::Data)),
        _ => None,
    }
}

/// What a later run may know of an archive. Its bytes would be as much memory again as the tables they are made of, so they never lie in one piece.
#[derive(Debug)]
pub struct Cache {
    /// The archive's number, digest and frames.
    pub(crate) archive: (u64, FrameId, usize),
    /// Those of its frames, or none.
    pub(crate) sums: Rows<Sum>,
    /// Its pieces, which are among the known ones.
    pub(crate) pieces: Rows<Remembered>,
    pub(crate) known: Rows<Piece>,
}

impl Cache {
    /// Writes its bytes, at most 64 KiB at once, the same ones each time.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write_to(&self, out: impl Write) -> io::Result<()> {
        let (sequence, digest, frames) = &self.archive;
        let mut out = Parts { out, hash: blake3::Hasher::new(), part: Vec::with_capacity(PART) };
        out.put(MAGIC)?;
        out.put(&VERSION.to_le_bytes())?;
        out.put(&sequence.to_le_bytes())?;
        out.put(digest.as_bytes())?;
        out.put(&(*frames as u32).to_le_bytes())?;
        out.put(&(self.pieces.len() as u32).to_le_bytes())?;
        self.sums.iter().chain(std::iter::repeat(&UNKNOWN)).take(*frames).try_for_each(|sum| out.put(sum))?;
        for Remembered { piece, first } in self.pieces.iter() {
            let Piece { key, span } = &self.known[*piece];
            out.put(&key.0)?;
            out.put(&first.to_le_bytes())?;
            out.put(&span.count.to_le_bytes())?;
            out.put(&[match span.class {
                None => 0,
                Some(Class::Page) => 1,
                Some(Class::Text) => 2,
                Some(Class::Data) => 3,
            }])?;
        }
        out.end()
    }
}

/// Bytes on their way out, hashed.
struct Parts<W> {
    out: W,
    hash: blake3::Hasher,
    part: Vec<u8>,
}

impl<W: Write> Parts<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.part.len() + bytes.len() > PART {
            self.hand_over()?;
        }
        self.part.extend_from_slice(bytes);
        Ok(())
    }

    fn hand_over(&mut self) -> io::Result<()> {
        self.hash.update(&self.part);
        self.out.write_all(&self.part)?;
        self.part.clear();
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        self.hand_over()?;
        self.out.write_all(self.hash.finalize().as_bytes())
    }
}

/// Reads the cache of the archive of `manifest`.
pub(super) fn read<'a>(bytes: &'a [u8], manifest: &Manifest) -> Result<Read<'a>, CacheError> {
    let (body, hash) = bytes.split_last_chunk::<32>().ok_or(CacheError::Damaged)?;
    if blake3::hash(body).as_bytes() != hash {
        return Err(CacheError::Damaged);
    }
    let mut rest = body;
    let mut take = |len: usize| {
        let (now, later) = rest.split_at_checked(len).ok_or(CacheError::Damaged)?;
        rest = later;
        Ok::<&[u8], CacheError>(now)
    };
    if take(8)? != MAGIC || number(take(4)?) != VERSION {
        return Err(CacheError::Damaged);
    }
    if take(8)? != manifest.head.sequence.to_le_bytes() || take(32)? != manifest.end.digest.as_bytes() {
        return Err(CacheError::Foreign);
    }
    let (frames, pieces) = (number(take(4)?) as usize, number(take(4)?) as usize);
    if frames != manifest.frames.len() {
        return Err(CacheError::Foreign);
    }
    let sums = take(frames.checked_mul(size_of::<Sum>()).ok_or(CacheError::Damaged)?)?;
    let table = take(pieces.checked_mul(PIECE).ok_or(CacheError::Damaged)?)?;
    let sound = |bytes: &[u8]| {
        let (first, count) = (number(&bytes[32..36]) as usize, number(&bytes[36..40]) as usize);
        first.checked_add(count).is_some_and(|end| end <= frames) && class(bytes[40]).is_some()
    };
    if rest.is_empty() && table.chunks_exact(PIECE).all(sound) { Ok(Read { sums, pieces: table }) } else { Err(CacheError::Damaged) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes what is written at once.
    struct Writes(Vec<Vec<u8>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn rows<T>(rows: impl IntoIterator<Item = T>) -> Rows<T> {
        let mut all = Rows::default();
        for row in rows {
            all.push(row);
        }
        all
    }

    #[test]
    fn small_parts_are_together_what_the_format_says() {
        const COUNT: u32 = 5_000;
        let classes = [None, Some(Class::Page), Some(Class::Text), Some(Class::Data)];
        let piece = |number: u32| {
            let span = Span { first: u32::MAX, count: number * 3, class: classes[number as usize % 4] };
            Piece { key: Key(*blake3::hash(&number.to_le_bytes()).as_bytes()), span }
        };
        let sum = |number: u32| [number as u8 | 1; 16];
        // Neither in the order in which they are known, nor all of them, and as many sums as a plain archive has, or none.
        let used = || (0..COUNT).rev().step_by(2);
        for sums in [COUNT, 0] {
            let cache = Cache {
                archive: (1 << 33 | 7, FrameId::of(b"an archive"), COUNT as usize),
                sums: rows((0..sums).map(sum)),
                pieces: rows(used().map(|piece| Remembered { piece, first: piece + 1 })),
                known: rows((0..COUNT).map(piece)),
            };
            let mut whole = [&b"offsiteC\x01\0\0\0\x07\0\0\0\x02\0\0\0"[..], FrameId::of(b"an archive").as_bytes()].concat();
            whole.extend([COUNT, COUNT / 2].iter().flat_map(|count| count.to_le_bytes()));
            whole.extend((0..COUNT).flat_map(|number| if number < sums { sum(number) } else { [0; 16] }));
            for number in used() {
                whole.extend(piece(number).key.0);
                whole.extend([number + 1, number * 3].iter().flat_map(|number| number.to_le_bytes()));
                whole.push((number % 4) as u8);
            }
            whole.extend_from_slice(blake3::hash(&whole.clone()).as_bytes());
            let mut writes = Writes(Vec::new());
            cache.write_to(&mut writes).unwrap();
            assert!(writes.0.concat() == whole);
            assert!(writes.0.len() > 2 && writes.0.iter().all(|part| part.len() <= PART));
        }
    }
}
