//! One sealed object: a clear header of 40 bytes, then the payload's length, the payload and zeros, as one Cobblestone-256 message.
//!
//! Invariant: what opens is what was sealed under that very name, kind and vault, whole. The three go into the key derivation, and the payload's
//! length, which fixes the object's length, stands in the first chunk; so whoever reads one range and the first chunk knows as much
//! as whoever reads all. Byte by byte in `docs/format-sealing.md`.

use std::{fmt, ops::Range};

use object_store::path::Path;

use super::{
    cobblestone::{self, CHUNK, Cipher, CobblestoneError, PREFIX, SALT, TAG},
    error::{Part, SealError},
    keys::{self, SealKeys, VaultId},
};
use crate::{ObjectId, layout};

/// Length of the clear header.
pub(super) const HEADER: usize = 40;
/// As much of an object as must be read before any part of it can be opened: header, salt, commitment and first chunk.
pub(super) const PROLOGUE: u64 = HEADER as u64 + PREFIX + CHUNK + TAG;
/// Length of the payload's length, which stands before the payload.
const LENGTH: u64 = 8;

/// What a sealed object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Frames and their table.
    Pack,
    /// A manifest.
    Manifest,
    /// A pack's table.
    Index,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Pack => 1,
            Self::Manifest => 2,
            Self::Index => 3,
        }
    }

    /// Its word in keys and contexts.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Pack => "pack",
            Self::Manifest => "manifest",
            Self::Index => "index",
        }
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Pack => layout::PACKS,
            Self::Manifest => layout::MANIFESTS,
            Self::Index => layout::INDEX,
        }
    }
}

/// The name of a sealed object: `packs/<id>`, `manifests/<id>` or `index/<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SealedName {
    /// What it holds.
    pub(super) kind: Kind,
    /// Its random id.
    pub(super) id: ObjectId,
}

impl SealedName {
    /// The object at `path`, if a sealed repository can have one there.
    pub(super) fn at(path: &Path) -> Option<Self> {
        [Kind::Pack, Kind::Manifest, Kind::Index]
            .into_iter()
            .find_map(|kind| layout::object_id(path, kind.folder()).map(|id| Self { kind, id }))
    }

    fn header(&self, vault: &VaultId) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(b"OFS1");
        header[4] = self.kind.code();
        header[8..24].copy_from_slice(vault.as_bytes());
        header[24..].copy_from_slice(self.id.as_bytes());
        header
    }

    fn context(&self, vault: &VaultId) -> Vec<u8> {
        [b"offsite/v1/", self.kind.label().as_bytes(), &[0], vault.as_bytes(), self.id.as_bytes()].concat()
    }
}

impl fmt::Display for SealedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.folder(), self.id)
    }
}

/// Padmé: `length` rounded up so that it keeps only as many significant bits as its exponent has. Hides all but log log of the length, for at most 12 %.
const fn padded(length: u64) -> u64 {
    let exponent = length.ilog2();
    let keep = exponent.ilog2() + 1;
    (length as u128).next_multiple_of(1 << (exponent - keep)) as u64
}

/// Length of the plaintext that carries `payload` bytes, or nothing beyond what a message can hold.
fn plain_length(payload: u64) -> Option<u64> {
    (payload < 1 << 52).then(|| padded(LENGTH + payload))
}

/// Length of the object that carries `payload` bytes; what a listing shows.
pub fn sealed_length(payload: u64) -> Option<u64> {
    plain_length(payload).map(|plain| HEADER as u64 + cobblestone::sealed_length(plain))
}

/// Seals a payload that comes in pieces, with a fresh salt.
///
/// # Errors
/// [`SealError::Random`] and [`SealError::TooLong`].
pub(super) fn seal<'a>(keys: &SealKeys, name: &SealedName, payload: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, SealError> {
    let salt = keys::random("a salt").map_err(|source| SealError::Random { object: name.to_string(), source })?;
    seal_with(keys, name, payload, &salt)
}

fn seal_with<'a>(
    keys: &SealKeys,
    name: &SealedName,
    payload: impl IntoIterator<Item = &'a [u8]>,
    salt: &[u8; SALT],
) -> Result<Vec<u8>, SealError> {
    let too_long = || SealError::TooLong { object: name.to_string() };
    let mut plaintext = vec![0; LENGTH as usize];
    payload.into_iter().for_each(|piece| plaintext.extend_from_slice(piece));
    let length = plaintext.len() as u64 - LENGTH;
    plaintext[..LENGTH as usize].copy_from_slice(&length.to_le_bytes());
    let plain = plain_length(length).ok_or_else(too_long)?;
    plaintext.resize(usize::try_from(plain).map_err(|_| too_long())?, 0);
    let mut out = Vec::with_capacity(plaintext.len() + plaintext.len() / 512 + 256);
    out.extend_from_slice(&name.header(keys.vault()));
    cobblestone::seal(keys.input(name.kind), salt, &name.context(keys.vault()), &plaintext, &mut out).map_err(|_| too_long())?;
    Ok(out)
}

/// Compares a header with the only one the object at `name` can have; says what differs, most telling first.
fn check_header(name: &SealedName, vault: &VaultId, found: &[u8; HEADER]) -> Result<(), SealError> {
    let object = || name.to_string();
    if found[..3] != *b"OFS" {
        return Err(SealError::NotSealed { object: object() });
    }
    if found[3] != b'1' {
        return Err(SealError::UnknownVersion { object: object(), version: char::from(found[3]) });
    }
    if found[5..8] != [0; 3] {
        return Err(SealError::NotAuthentic { object: object(), part: Part::Header });
    }
    if found[4] != name.kind.code() {
        return Err(SealError::WrongKind { object: object(), found: found[4] });
    }
    let (mut other, mut id) = ([0; 16], [0; 16]);
    other.copy_from_slice(&found[8..24]);
    id.copy_from_slice(&found[24..]);
    if other != *vault.as_bytes() {
        return Err(SealError::WrongVault { object: object(), expected: *vault, found: VaultId::from_bytes(other) });
    }
    if id != *name.id.as_bytes() {
        return Err(SealError::WrongObject { object: object(), found: ObjectId::from_bytes(id).to_string() });
    }
    Ok(())
}

/// An object whose prologue is authentic: its lengths are known and any range of it can be opened.
pub(super) struct Opened {
    name: SealedName,
    cipher: Cipher,
    payload: u64,
    plain: u64,
}

impl Opened {
    /// Checks the prologue: `front` is at least the first [`PROLOGUE`] bytes of the object, or all of it; `size` is its whole length as the store says.
    ///
    /// # Errors
    /// Any of [`SealError`]'s that speak of opening.
    pub(super) fn new(keys: &SealKeys, name: SealedName, front: &[u8], size: u64) -> Result<Self, SealError> {
        let object = || name.to_string();
        let truncated = |expected| SealError::Truncated { object: object(), expected, found: size };
        let Some((header, body)) = front.split_first_chunk::<HEADER>() else {
            let looks_sealed = front.starts_with(&b"OFS1"[..front.len().min(4)]);
            return Err(if looks_sealed { truncated(None) } else { SealError::NotSealed { object: object() } });
        };
        check_header(&name, keys.vault(), header)?;
        let plain = cobblestone::plain_length(size.saturating_sub(HEADER as u64)).ok_or_else(|| truncated(None))?;
        let cipher = Cipher::open(keys.input(name.kind), &name.context(keys.vault()), body).map_err(|error| wrong(&name, &error))?;
        let first = (plain.min(CHUNK) + TAG) as usize;
        let mut chunk = body.get(PREFIX as usize..PREFIX as usize + first).ok_or_else(|| truncated(None))?.to_vec();
        let text = cipher.open_chunk(0, &mut chunk).map_err(|error| wrong(&name, &error))?;
        let Some(length) = chunk[..text].first_chunk() else {
            return Err(SealError::Malformed { object: object(), defect: "no room for a length" });
        };
        let payload = u64::from_le_bytes(*length);
        let expected = sealed_length(payload).ok_or(SealError::Malformed { object: object(), defect: "an impossible length" })?;
        match size {
            size if size < expected => Err(truncated(Some(expected))),
            size if size > expected => Err(SealError::Extended { object: object(), expected, found: size }),
            _ => Ok(Self { name, cipher, payload, plain }),
        }
    }

    /// Length of the payload, in bytes.
    pub(super) const fn payload(&self) -> u64 {
        self.payload
    }

    /// Length of the sealed object, in bytes.
    pub(super) const fn sealed(&self) -> u64 {
        HEADER as u64 + cobblestone::sealed_length(self.plain)
    }

    /// The chunks that hold `range` of the payload, which is not empty and lies inside it.
    pub(super) const fn chunks(&self, range: &Range<u64>) -> Range<u64> {
        (range.start + LENGTH) / CHUNK..(range.end + LENGTH - 1) / CHUNK + 1
    }

    /// All chunks there are, padding and an empty last one included.
    pub(super) const fn all_chunks(&self) -> Range<u64> {
        0..self.plain / CHUNK + 1
    }

    /// Where `chunks` lie in the sealed object.
    pub(super) fn sealed_range(&self, chunks: &Range<u64>) -> Range<u64> {
        let begin = |number| HEADER as u64 + cobblestone::chunk_offset(number);
        begin(chunks.start)..begin(chunks.end).min(self.sealed())
    }

    /// Sealed length of chunk `number`, which exists.
    pub(super) fn chunk(&self, number: u64) -> usize {
        (cobblestone::chunk_length(number, self.plain).unwrap_or_default() + TAG) as usize
    }

    /// Opens chunk `number` in place and says which of its bytes belong to `wanted` of the payload. Padding must be zero.
    ///
    /// # Errors
    /// [`SealError::NotAuthentic`], [`SealError::Malformed`].
    pub(super) fn open_chunk(&self, number: u64, sealed: &mut [u8], wanted: &Range<u64>) -> Result<Range<usize>, SealError> {
        let text = self.cipher.open_chunk(number, sealed).map_err(|error| wrong(&self.name, &error))?;
        let begin = number * CHUNK;
        let inside = |at: u64| (at.max(begin) - begin).min(text as u64) as usize;
        if sealed[inside(LENGTH + self.payload)..text].iter().any(|byte| *byte != 0) {
            return Err(SealError::Malformed { object: self.name.to_string(), defect: "padding that is not zero" });
        }
        Ok(inside(wanted.start + LENGTH)..inside(wanted.end + LENGTH))
    }

    /// Opens `range` of the payload out of the sealed bytes of its chunks.
    ///
    /// # Errors
    /// As [`Self::open_chunk`]; [`SealError::Truncated`] if `sealed` has another length than those chunks.
    pub(super) fn open_range(&self, range: &Range<u64>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let chunks = self.chunks(range);
        let place = self.sealed_range(&chunks);
        if sealed.len() as u64 != place.end - place.start {
            return Err(self.short(place.start + sealed.len() as u64));
        }
        let mut out = Vec::with_capacity((range.end - range.start) as usize);
        let mut rest = sealed;
        let mut buffer = Vec::with_capacity((CHUNK + TAG) as usize);
        for number in chunks {
            let (chunk, after) = rest.split_at(self.chunk(number).min(rest.len()));
            rest = after;
            buffer.clear();
            buffer.extend_from_slice(chunk);
            let inside = self.open_chunk(number, &mut buffer, range)?;
            out.extend_from_slice(&buffer[inside]);
        }
        Ok(out)
    }

    /// The store gave only the object's first `found` bytes.
    pub(super) fn short(&self, found: u64) -> SealError {
        SealError::Truncated { object: self.name.to_string(), expected: Some(self.sealed()), found }
    }

    /// The store gave more than the object has.
    pub(super) fn long(&self, found: u64) -> SealError {
        SealError::Extended { object: self.name.to_string(), expected: self.sealed(), found }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("name", &self.name).field("payload", &self.payload).finish_non_exhaustive()
    }
}

fn wrong(name: &SealedName, error: &CobblestoneError) -> SealError {
    let object = name.to_string();
    match *error {
        CobblestoneError::Commitment => SealError::NotAuthentic { object, part: Part::Commitment },
        CobblestoneError::Chunk { number } => SealError::NotAuthentic { object, part: Part::Chunk(number) },
        CobblestoneError::Length { length } => SealError::Truncated { object, expected: None, found: HEADER as u64 + length },
        CobblestoneError::TooLong => SealError::TooLong { object },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::MasterKey;

    fn keys() -> SealKeys {
        SealKeys::new(&MasterKey::from_bytes([1; 64]), VaultId::from_bytes([2; 16]))
    }

    const NAME: SealedName = SealedName { kind: Kind::Index, id: ObjectId::from_bytes([3; 16]) };

    #[test]
    fn padding_follows_padme() {
        for (length, expected) in
            [(8, 8), (9, 10), (15, 16), (16, 16), (17, 18), (31, 32), (100, 104), (1000, 1024), (1025, 1088), (40 << 20, 40 << 20)]
        {
            assert_eq!(padded(length), expected, "{length}");
        }
        assert_eq!(padded((40 << 20) + 1), 41 << 20);
        let mut last = 8;
        for length in 8..200_000 {
            let rounded = padded(length);
            assert!(rounded >= length && rounded >= last && padded(rounded) == rounded && (rounded - length) * 8 <= length, "{length}");
            last = rounded;
        }
    }

    /// A writer's defect, authentic though it is, is refused: one payload has one sealed form.
    #[test]
    fn authentic_but_malformed() {
        let sealed = |plaintext: &[u8]| {
            let mut out = NAME.header(keys().vault()).to_vec();
            cobblestone::seal(keys().input(NAME.kind), &[4; SALT], &NAME.context(keys().vault()), plaintext, &mut out).unwrap();
            out
        };
        let open = |object: &[u8]| -> Result<Vec<u8>, SealError> {
            let opened = Opened::new(&keys(), NAME, object, object.len() as u64)?;
            opened.open_range(&(0..opened.payload()), &object[HEADER + PREFIX as usize..])
        };
        let with = |length: u64, rest: &[u8]| [&length.to_le_bytes(), rest].concat();
        assert_eq!(open(&sealed(&with(3, b"abc\0"))).unwrap(), b"abc");
        for (plaintext, defect) in
            [(b"short".to_vec(), "no room"), (with(u64::MAX, b"abc\0"), "an impossible length"), (with(3, b"abc\x01"), "padding")]
        {
            let error = open(&sealed(&plaintext)).unwrap_err();
            assert!(matches!(&error, SealError::Malformed { defect: found, .. } if found.contains(defect)), "{error}");
        }
        assert!(matches!(open(&sealed(&with(3, b"abc"))), Err(SealError::Truncated { expected: Some(_), .. })));
        assert!(matches!(open(&sealed(&with(3, b"abc\0\0\0"))), Err(SealError::Extended { .. })));
    }

    #[test]
    fn paths_that_are_ours() {
        let id = "0a".repeat(16);
        for (folder, kind) in [("packs", Kind::Pack), ("index", Kind::Index), ("manifests", Kind::Manifest)] {
            let path = Path::from(format!("{folder}/{id}"));
            let name = SealedName::at(&path).unwrap();
            assert_eq!((name.kind, name.to_string()), (kind, path.to_string()));
        }
        assert_eq!(SealedName::at(&Path::from(format!("damaged/{id}"))), None);
    }
}
