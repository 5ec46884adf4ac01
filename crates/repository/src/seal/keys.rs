//! The vault's id, its master key, and the sub-keys that come of them.
//!
//! One random master key per vault; each use has its own sub-key, so that no key ever serves two purposes, and the vault's id goes into each, so
//! that one master key used for two vaults by mistake still shares nothing. Key bytes are wiped on drop and never printed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{hex, hkdf, object::Kind};

/// The operating system gave no random bytes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("draw random bytes for {what}: {source}")]
pub struct NoRandom {
    /// What they were for.
    pub what: &'static str,
    /// Why not.
    #[source]
    pub source: getrandom::Error,
}

pub(super) fn random<const N: usize>(what: &'static str) -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|source| NoRandom { what, source })?;
    Ok(bytes)
}

/// A text that should spell bytes in hexadecimal. The text itself is not repeated: it may be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {digits} lower-case hexadecimal digits")]
pub struct InvalidHex {
    /// What was expected.
    pub what: &'static str,
    /// How many digits it has.
    pub digits: usize,
}

/// A vault's id: 16 random bytes, written as 32 hexadecimal digits. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VaultId(#[serde(with = "hex")] [u8; 16]);

impl VaultId {
    /// A new id.
    ///
    /// # Errors
    /// [`NoRandom`] if the system gives no random bytes.
    pub fn random() -> Result<Self, NoRandom> {
        random("a vault id").map(Self)
    }

    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for VaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(&self.0))
    }
}

impl fmt::Debug for VaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultId({self})")
    }
}

impl FromStr for VaultId {
    type Err = InvalidHex;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode(text).map(Self).ok_or(InvalidHex { what: "a vault id", digits: 32 })
    }
}

/// A vault's master key: 64 random bytes, wiped on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 64]);

impl MasterKey {
    /// A new key.
    ///
    /// # Errors
    /// [`NoRandom`] if the system gives no random bytes.
    pub fn random() -> Result<Self, NoRandom> {
        random("a master key").map(Self)
    }

    /// The key with these bytes, as kept in a key file or keychain.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The secret bytes, to be kept where only the owner can read them.
    pub const fn expose(&self) -> &[u8; 64] {
        &self.0
    }

    /// The secret as 128 hexadecimal digits; [`FromStr`] reads it back.
    pub fn expose_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(&self.0))
    }

    fn sub_key(&self, label: &str, vault: &VaultId) -> Zeroizing<[u8; 32]> {
        hkdf::expand(&self.0, &[b"offsite/v1/", label.as_bytes(), &[0], vault.as_bytes()])
    }

    /// What the vault's header says of its key: derived, so it tells nothing of the key, but differs for another key or vault.
    pub(super) fn check(&self, vault: &VaultId) -> [u8; 32] {
        *self.sub_key("check", vault)
    }

    /// Whether this key has the given check in `vault`, in constant time.
    pub(super) fn fits(&self, vault: &VaultId, check: &[u8; 32]) -> bool {
        self.check(vault).ct_eq(check).into()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(hidden)")
    }
}

impl FromStr for MasterKey {
    type Err = InvalidHex;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode(text).map(Self).ok_or(InvalidHex { what: "a master key", digits: 128 })
    }
}

/// The sub-keys that seal objects of one vault.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SealKeys {
    #[zeroize(skip)]
    vault: VaultId,
    pack: Zeroizing<[u8; 32]>,
    manifest: Zeroizing<[u8; 32]>,
    index: Zeroizing<[u8; 32]>,
}

impl SealKeys {
    /// Derives the sub-keys of `vault`.
    pub fn new(master: &MasterKey, vault: VaultId) -> Self {
        let key = |kind: Kind| master.sub_key(kind.label(), &vault);
        Self { vault, pack: key(Kind::Pack), manifest: key(Kind::Manifest), index: key(Kind::Index) }
    }

    /// The vault they belong to.
    pub const fn vault(&self) -> &VaultId {
        &self.vault
    }

    pub(super) fn input(&self, kind: Kind) -> &[u8; 32] {
        match kind {
            Kind::Pack => &self.pack,
            Kind::Manifest => &self.manifest,
            Kind::Index => &self.index,
        }
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKeys").field("vault", &self.vault).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_keys_differ_by_use_and_by_vault() {
        let master = MasterKey::from_bytes(std::array::from_fn(|at| at as u8));
        let (one, two) = (VaultId::from_bytes([1; 16]), VaultId::from_bytes([2; 16]));
        let mut keys: Vec<[u8; 32]> = [one, two]
            .iter()
            .flat_map(|vault| {
                let keys = SealKeys::new(&master, *vault);
                [*keys.input(Kind::Pack), *keys.input(Kind::Manifest), *keys.input(Kind::Index), master.check(vault)]
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 8);
        assert!(master.fits(&one, &master.check(&one)) && !master.fits(&two, &master.check(&one)));
    }

    /// Made with Python's cryptography: HKDFExpand(SHA512, 32, b"offsite/v1/pack\0" + 16 × 01) over 00 … 3f.
    #[test]
    fn sub_key_vector() {
        let master = MasterKey::from_bytes(std::array::from_fn(|at| at as u8));
        let keys = SealKeys::new(&master, VaultId::from_bytes([1; 16]));
        assert_eq!(hex::encode(keys.input(Kind::Pack)), "1b6b75d3a65cd61c0fec9b48782ef8a18a4ffc4dcdf707ce267d903bfd7a6831");
    }

    #[test]
    fn printing_a_key_hides_it() {
        let master = MasterKey::from_bytes([0xab; 64]);
        let keys = SealKeys::new(&master, VaultId::from_bytes([1; 16]));
        let text = format!("{master:?} {keys:?}");
        assert!(!text.contains("171") && !text.to_lowercase().contains("abab"), "{text}");
        assert!(!text.contains(&hex::encode(keys.input(Kind::Pack))));
        assert_eq!(master.expose_hex().parse::<MasterKey>().unwrap().expose(), master.expose());
        assert!("ab".parse::<MasterKey>().is_err());
    }
}
