//! The cache of an archive: which pieces gave which of its frames, as bytes that a later run reads.
//!
//! Only a cache: without it, or with a damaged one, everything is read again. It names the archive by number and digest, so that it can never speak of another one, and ends with a hash of itself. Layout in `docs/format.md`, section 8.

use super::{Key, Known, Piece, Remembered, Rows, Span, Sum};
use crate::{Class, FrameId, Manifest};

const MAGIC: &[u8; 8] = b"offsiteC";
const VERSION: u32 = 1;
const PIECE: usize = 32 + 4 + 4 + 1;

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

/// The cache of the archive with this number and digest, whose frames have these sums; its pieces are among the `known` ones.
pub(crate) fn write(sequence: u64, digest: &FrameId, sums: &Rows<Sum>, pieces: &Rows<Remembered>, known: &Known<Piece>) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + 4 + 8 + 32 + 8 + sums.len() * 16 + pieces.len() * PIECE + 32);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(digest.as_bytes());
    out.extend_from_slice(&(sums.len() as u32).to_le_bytes());
    out.extend_from_slice(&(pieces.len() as u32).to_le_bytes());
    sums.iter().for_each(|sum| out.extend_from_slice(sum));
    for Remembered { piece, first } in pieces.iter() {
        let Piece { key, span } = &known[*piece];
        out.extend_from_slice(&key.0);
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&span.count.to_le_bytes());
        out.push(match span.class {
            None => 0,
            Some(Class::Page) => 1,
            Some(Class::Text) => 2,
            Some(Class::Data) => 3,
        });
    }
    let hash = blake3::hash(&out);
    out.extend_from_slice(hash.as_bytes());
    out
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
