//! HKDF (RFC 5869) with SHA-512, over HMAC.
//!
//! By hand, because Cobblestone-256 expands a 32-byte key, and the usual crate refuses a pseudo-random key shorter than the hash's
//! output. Every derivation of the sealed format goes through these two functions.

use hmac::{Hmac, KeyInit, Mac, digest::Key};
use sha2::Sha512;
use zeroize::{Zeroize, Zeroizing};

/// HMAC of the concatenation of `parts`. Keys are at most one block long, checked at compile time, so there is no key to refuse.
fn mac<const K: usize>(key: &[u8; K], parts: &[&[u8]]) -> [u8; 64] {
    const { assert!(K <= 128, "HMAC-SHA-512 hashes keys longer than its block; none of ours is") }
    let mut block = Zeroizing::new([0; 128]);
    block[..K].copy_from_slice(key);
    let mut mac = Hmac::<Sha512>::new(<&Key<Hmac<Sha512>>>::from(&*block));
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Expands `prk` into `N` bytes bound to the concatenation of `info`. `N` is at most 255 · 64.
pub(super) fn expand<const K: usize, const N: usize>(prk: &[u8; K], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    let mut previous = [0; 64];
    for (count, block) in (1u8..=255).zip(out.chunks_mut(64)) {
        let before: &[u8] = if count == 1 { &[] } else { &previous };
        let mut parts = vec![before];
        parts.extend_from_slice(info);
        let counter = [count];
        parts.push(&counter);
        let next = mac(prk, &parts);
        previous = next;
        block.copy_from_slice(&previous[..block.len()]);
    }
    previous.zeroize();
    out
}

/// Extract, then expand: for key material that is not itself a pseudo-random key of full length.
pub(super) fn derive<const S: usize, const N: usize>(salt: &[u8; S], material: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let prk = Zeroizing::new(mac(salt, &[material]));
    expand(&prk, info)
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;

    /// RFC 5869 has vectors for SHA-256 and SHA-1 only; this one is its first case's input under SHA-512, made with Python's cryptography.
    #[test]
    fn agrees_with_another_implementation() {
        let salt: [u8; 13] = std::array::from_fn(|at| at as u8);
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let out = derive::<13, 82>(&salt, &[0x0b; 22], &[&info]);
        let digest = sha2::Sha256::digest(out.as_slice());
        let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, "cb92c873df69a89eb06b93f1d72ed5b5c6a69ddc3c21bfc6f35499ceca04a2e8");
        // The info may come in pieces, and a shorter output is a prefix.
        assert_eq!(derive::<13, 40>(&salt, &[0x0b; 22], &[&info[..3], &info[3..]])[..], out[..40]);
    }
}
