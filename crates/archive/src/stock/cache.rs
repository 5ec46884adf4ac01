//! The cache of an archive: which pieces gave which of its frames, as bytes that a later run reads.
//!
//! Only a cache: without it, or with a damaged one, everything is read again. It names the archive by number and digest, so that it can never speak of another one, and ends with a hash of itself. Layout in `docs/format.md`, section 8.

use std::collections::HashMap;

use super::{Key, Span, Sum};
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

/// A piece of the archive that was just made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remembered {
    pub(crate) key: Key,
    pub(crate) span: Span,
}

/// What a cache says.
pub(super) struct Read {
    pub(super) sums: Vec<Sum>,
    pub(super) pieces: HashMap<Key, Span>,
}

/// The cache of the archive with this number and digest, whose frames have these sums.
pub(crate) fn write(sequence: u64, digest: &FrameId, sums: &[Sum], pieces: &[Remembered]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + 4 + 8 + 32 + 8 + sums.len() * 16 + pieces.len() * PIECE + 32);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(digest.as_bytes());
    out.extend_from_slice(&(sums.len() as u32).to_le_bytes());
    out.extend_from_slice(&(pieces.len() as u32).to_le_bytes());
    sums.iter().for_each(|sum| out.extend_from_slice(sum));
    for Remembered { key, span } in pieces {
        out.extend_from_slice(&key.0);
        out.extend_from_slice(&span.first.to_le_bytes());
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
pub(super) fn read(bytes: &[u8], manifest: &Manifest) -> Result<Read, CacheError> {
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
    let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).map_err(|_| CacheError::Damaged);
    if take(8)? != MAGIC || number(take(4)?)? != VERSION {
        return Err(CacheError::Damaged);
    }
    if take(8)? != manifest.head.sequence.to_le_bytes() || take(32)? != manifest.end.digest.as_bytes() {
        return Err(CacheError::Foreign);
    }
    let (frames, pieces) = (number(take(4)?)? as usize, number(take(4)?)? as usize);
    if frames != manifest.frames.len() {
        return Err(CacheError::Foreign);
    }
    let sums = take(frames.checked_mul(16).ok_or(CacheError::Damaged)?)?;
    let sums = sums.chunks_exact(16).map(|sum| sum.try_into().map_err(|_| CacheError::Damaged)).collect::<Result<_, _>>()?;
    let table = take(pieces.checked_mul(PIECE).ok_or(CacheError::Damaged)?)?;
    let piece = |bytes: &[u8]| {
        let key = Key(bytes[..32].try_into().map_err(|_| CacheError::Damaged)?);
        let span = Span {
            first: number(&bytes[32..36])?,
            count: number(&bytes[36..40])?,
            class: match bytes[40] {
                0 => None,
                1 => Some(Class::Page),
                2 => Some(Class::Text),
                3 => Some(Class::Data),
                _ => return Err(CacheError::Damaged),
            },
        };
        let inside = (span.first as usize).checked_add(span.count as usize).is_some_and(|end| end <= frames);
        if inside { Ok((key, span)) } else { Err(CacheError::Damaged) }
    };
    let pieces = table.chunks_exact(PIECE).map(piece).collect::<Result<_, _>>()?;
    if rest.is_empty() { Ok(Read { sums, pieces }) } else { Err(CacheError::Damaged) }
}
