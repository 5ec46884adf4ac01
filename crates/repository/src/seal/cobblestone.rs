//! Cobblestone-256: the public specification `c2sp.org/chunked-encryption` with SHA-512 and AES-256-GCM.
//!
//! Each message has its own key, base nonce and commitment, derived from an input key, a random salt and a context. It is cut into chunks of
//! 16 KiB of which the last is always shorter, so a message cannot be cut or lengthened at a chunk's edge. Invariant: no chunk is decrypted
//! before the commitment was compared: a [`Cipher`] for opening exists only after that. AES-GCM alone does not commit to its key.

use aes_gcm::{AeadInOut, Aes256Gcm, Key, KeyInit, Nonce, Tag};
use subtle::ConstantTimeEq;

use super::hkdf;

/// Plaintext bytes in each chunk but the last.
pub(super) const CHUNK: u64 = 16 << 10;
/// Bytes that each chunk is longer when sealed.
pub(super) const TAG: u64 = 16;
/// Length of the salt.
pub(super) const SALT: usize = 24;
/// Length of salt and commitment, where the first chunk begins.
pub(super) const PREFIX: u64 = SALT as u64 + 32;

const STEP: u64 = CHUNK + TAG;
const MAX_CHUNKS: u64 = 1 << 38;

/// Why a message cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum CobblestoneError {
    /// No plaintext has this sealed length: something was cut off.
    #[error("{length} bytes are not the length of any sealed message")]
    Length {
        /// Bytes there are.
        length: u64,
    },
    /// The commitment differs: another key, salt or context.
    #[error("the commitment does not fit key and context")]
    Commitment,
    /// A chunk's tag differs.
    #[error("chunk {number} is not authentic")]
    Chunk {
        /// Which chunk, from 0.
        number: u64,
    },
    /// Longer than the specification allows.
    #[error("a message has at most 2^38 chunks")]
    TooLong,
}

/// Length of a sealed message of `plain` bytes: salt, commitment and chunks.
pub(super) const fn sealed_length(plain: u64) -> u64 {
    PREFIX + plain + TAG * (plain / CHUNK + 1)
}

/// Length of the plaintext in a sealed message of `sealed` bytes, if there is such a length.
pub(super) const fn plain_length(sealed: u64) -> Option<u64> {
    if sealed < PREFIX + TAG {
        return None;
    }
    let (whole, rest) = ((sealed - PREFIX) / STEP, (sealed - PREFIX) % STEP);
    if rest < TAG { None } else { Some(whole * CHUNK + rest - TAG) }
}

/// Where chunk `number` begins in a sealed message.
pub(super) const fn chunk_offset(number: u64) -> u64 {
    PREFIX + number * STEP
}

/// Plaintext length of chunk `number` in a message of `plain` bytes; nothing if the message has no such chunk.
pub(super) const fn chunk_length(number: u64, plain: u64) -> Option<u64> {
    let (whole, rest) = (plain / CHUNK, plain % CHUNK);
    if number < whole {
        Some(CHUNK)
    } else if number == whole {
        Some(rest)
    } else {
        None
    }
}

/// One message's key and base nonce.
pub(super) struct Cipher {
    aead: Aes256Gcm,
    base: [u8; 12],
}

impl Cipher {
    fn derive(input: &[u8; 32], salt: &[u8; SALT], context: &[u8]) -> (Self, [u8; 32]) {
        let derived = hkdf::expand::<32, 76>(input, &[b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0", salt, context]);
        let (mut key, mut base, mut commitment) = (zeroize::Zeroizing::new([0; 32]), [0; 12], [0; 32]);
        key.copy_from_slice(&derived[..32]);
        base.copy_from_slice(&derived[32..44]);
        commitment.copy_from_slice(&derived[44..]);
        (Self { aead: Aes256Gcm::new(<&Key<Aes256Gcm>>::from(&*key)), base }, commitment)
    }

    /// The cipher of the sealed message that begins with `prefix` (salt and commitment; more may follow).
    ///
    /// # Errors
    /// [`CobblestoneError::Length`] if `prefix` is shorter than that, [`CobblestoneError::Commitment`] if the key or context is another.
    pub(super) fn open(input: &[u8; 32], context: &[u8], prefix: &[u8]) -> Result<Self, CobblestoneError> {
        let short = || CobblestoneError::Length { length: prefix.len() as u64 };
        let (salt, rest) = prefix.split_first_chunk::<SALT>().ok_or_else(short)?;
        let (found, _) = rest.split_first_chunk::<32>().ok_or_else(short)?;
        let (cipher, commitment) = Self::derive(input, salt, context);
        if bool::from(commitment.ct_eq(found)) { Ok(cipher) } else { Err(CobblestoneError::Commitment) }
    }

    fn nonce(&self, number: u64) -> Result<[u8; 12], CobblestoneError> {
        if number >= MAX_CHUNKS {
            return Err(CobblestoneError::TooLong);
        }
        let mut nonce = self.base;
        for (byte, count) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= count;
        }
        Ok(nonce)
    }

    /// Encrypts chunk `number` in place; returns its tag.
    fn seal_chunk(&self, number: u64, chunk: &mut [u8]) -> Result<[u8; TAG as usize], CobblestoneError> {
        let nonce = Nonce::from(self.nonce(number)?);
        let tag = self.aead.encrypt_inout_detached(&nonce, &[], chunk.into()).map_err(|_| CobblestoneError::TooLong)?;
        Ok(tag.into())
    }

    /// Authenticates and decrypts sealed chunk `number` (ciphertext and tag) in place; returns how many plaintext bytes now stand at its front.
    ///
    /// # Errors
    /// [`CobblestoneError::Chunk`] if it is not authentic or has no length that a chunk can have; then `sealed` is not plaintext.
    pub(super) fn open_chunk(&self, number: u64, sealed: &mut [u8]) -> Result<usize, CobblestoneError> {
        let Some((text, tag)) = sealed.split_last_chunk_mut::<{ TAG as usize }>() else { return Err(CobblestoneError::Chunk { number }) };
        let nonce = Nonce::from(self.nonce(number)?);
        let tag = Tag::from(*tag);
        self.aead.decrypt_inout_detached(&nonce, &[], (&mut *text).into(), &tag).map_err(|_| CobblestoneError::Chunk { number })?;
        Ok(text.len())
    }
}

/// Seals a message that stands at `out[start..]`, in place: `out` grows by salt, commitment and tags.
///
/// # Errors
/// [`CobblestoneError::TooLong`] beyond 4 PiB.
pub(super) fn seal(
    input: &[u8; 32],
    salt: &[u8; SALT],
    context: &[u8],
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CobblestoneError> {
    let (cipher, commitment) = Cipher::derive(input, salt, context);
    out.extend_from_slice(salt);
    out.extend_from_slice(&commitment);
    let (whole, last) = plaintext.as_chunks::<{ CHUNK as usize }>();
    for (number, chunk) in (0..).zip(whole.iter().map(<[u8; _]>::as_slice).chain([last])) {
        let start = out.len();
        out.extend_from_slice(chunk);
        let tag = cipher.seal_chunk(number, &mut out[start..])?;
        out.extend_from_slice(&tag);
    }
    Ok(())
}

/// Opens a whole sealed message, plainly: what the incremental opening of `opening.rs` is measured against.
///
/// # Errors
/// See [`CobblestoneError`]; nothing of the plaintext is returned unless all of it is authentic.
#[cfg(test)]
pub(super) fn open(input: &[u8; 32], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CobblestoneError> {
    let length = sealed.len() as u64;
    let plain = plain_length(length).ok_or(CobblestoneError::Length { length })?;
    let cipher = Cipher::open(input, context, sealed)?;
    let mut out = Vec::with_capacity(usize::try_from(plain).unwrap_or_default());
    for (number, chunk) in (0..).zip(sealed[PREFIX as usize..].chunks(STEP as usize)) {
        let start = out.len();
        out.extend_from_slice(chunk);
        let text = cipher.open_chunk(number, &mut out[start..])?;
        out.truncate(start + text);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    const SALT_11: [u8; SALT] = [0x11; SALT];

    fn key() -> [u8; 32] {
        std::array::from_fn(|at| at as u8)
    }

    fn context() -> Vec<u8> {
        [b"offsite/v1/pack\0".as_slice(), &[0x22; 16], &[0x33; 16]].concat()
    }

    fn sealed(plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        seal(&key(), &SALT_11, &context(), plaintext, &mut out).unwrap();
        out
    }

    /// Made by an independent implementation, opened by a third one (Python's cryptography 50): `docs/format-sealing.md`, Vectors.
    #[test]
    fn agrees_with_other_implementations() {
        for (plaintext, length, digest) in [
            (Vec::new(), 72, "15fae3c343267c72bba0de7a39b2ac6b128a9a22bd5053b281350993f846fe45"),
            (b"hello".to_vec(), 77, "31a6a86e19a26ab32b1d198e540bfab033654ff54cb75378ea15792858b87af2"),
            (vec![0; 16_384], 16_472, "02843a599c75375c9d6aade4cc48d61f95ef7d39eeb38064f432e3ba94cb075c"),
            (vec![b'a'; 40_000], 40_104, "db3776d0e1f9b54f6640b47fe6f965bd810d7fba5415c433063d4baecd687857"),
        ] {
            let sealed = sealed(&plaintext);
            assert_eq!(sealed.len(), length);
            assert_eq!(sealed_length(plaintext.len() as u64), length as u64);
            assert_eq!(plain_length(length as u64), Some(plaintext.len() as u64));
            assert_eq!(super::super::hex::encode(&sealed[24..56]), "2cd5a22929dd4aafa5f2911201ca2fd79058e349a0fa60465fe1643db0466a9e");
            assert_eq!(super::super::hex::encode(&Sha256::digest(&sealed)), digest);
            assert_eq!(open(&key(), &context(), &sealed).unwrap(), plaintext);
        }
    }

    #[test]
    fn every_truncation_and_extension_is_refused() {
        let whole = sealed(&[7; 33_000]);
        for length in (0..200).chain(16_440..16_480).chain([32_855, 32_856, 32_857, 32_872]).chain(whole.len() - 40..whole.len()) {
            assert!(open(&key(), &context(), &whole[..length]).is_err(), "{length}");
        }
        assert!(open(&key(), &context(), &[whole.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn every_region_is_authenticated() {
        let whole = sealed(&[7; 40_000]);
        for at in [0, 23, 24, 55, 56, 16_439, 16_440, 16_455, 16_456, 32_856, whole.len() - 17, whole.len() - 1] {
            let mut edited = whole.clone();
            edited[at] ^= 1;
            let expected = match at {
                0..56 => CobblestoneError::Commitment,
                _ => CobblestoneError::Chunk { number: (at as u64 - PREFIX) / STEP },
            };
            assert_eq!(open(&key(), &context(), &edited), Err(expected), "byte {at}");
        }
        let mut swapped = whole.clone();
        swapped.copy_within(56..56 + 16_400, 56 + 16_400);
        assert_eq!(open(&key(), &context(), &swapped), Err(CobblestoneError::Chunk { number: 1 }));
        assert_eq!(open(&[1; 32], &context(), &whole), Err(CobblestoneError::Commitment));
        assert_eq!(open(&key(), b"another context", &whole), Err(CobblestoneError::Commitment));
    }

    #[test]
    fn a_chunk_opens_alone() {
        let plaintext: Vec<u8> = (0..40_000u32).map(|at| at as u8).collect();
        let whole = sealed(&plaintext);
        let cipher = Cipher::open(&key(), &context(), &whole).unwrap();
        for number in [2, 0, 1] {
            let (start, length) = (chunk_offset(number) as usize, chunk_length(number, 40_000).unwrap() as usize);
            let mut chunk = whole[start..start + length + TAG as usize].to_vec();
            assert_eq!(cipher.open_chunk(number, &mut chunk).unwrap(), length);
            assert_eq!(chunk[..length], plaintext[number as usize * CHUNK as usize..][..length]);
        }
        assert_eq!(chunk_length(3, 40_000), None);
        assert_eq!(cipher.open_chunk(MAX_CHUNKS, &mut [0; 16]), Err(CobblestoneError::TooLong));
    }
}
