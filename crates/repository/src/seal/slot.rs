//! Key slots: the master key, wrapped under a key that a person holds.
//!
//! Invariant: nothing is unwrapped before the slot's check was compared in constant time. AES-GCM does not commit to its key, so one
//! crafted slot could otherwise open under many passphrases and tell the store which of them was tried. All clear fields are
//! associated data of the wrap: a slot is whole or it does not open. A slot's numbers are refused before they cost memory.

use std::{fmt, str::FromStr};

use aes_gcm::{AeadInOut, Aes256Gcm, Key, KeyInit, Nonce, Tag};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    hex, hkdf,
    keys::{self, InvalidHex, MasterKey, NoRandom, VaultId},
    recovery::RecoveryKey,
};

/// Longest slot file, in bytes.
pub(super) const MAX_SLOT: u64 = 16 << 10;

/// A slot's id: 16 random bytes, written as 32 hexadecimal digits. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotId(#[serde(with = "hex")] [u8; 16]);

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(&self.0))
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotId({self})")
    }
}

impl FromStr for SlotId {
    type Err = InvalidHex;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode(text).map(Self).ok_or(InvalidHex { what: "a slot id", digits: 32 })
    }
}

/// What argon2id spends on one guess of a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassphraseCost {
    /// Passes over the memory, 3 to 16.
    pub passes: u32,
    /// Memory in KiB, 64 MiB to 4 GiB.
    pub memory_kib: u32,
    /// Lanes, 4 to 16.
    pub lanes: u32,
}

impl PassphraseCost {
    /// The least that is accepted: RFC 9106's second recommendation, 3 passes over 64 MiB in 4 lanes.
    pub const FLOOR: Self = Self { passes: 3, memory_kib: 64 << 10, lanes: 4 };

    /// Whether it is neither too weak nor so high that a hostile slot could exhaust the machine.
    fn is_sane(self) -> bool {
        let floor = Self::FLOOR;
        (floor.passes..=16).contains(&self.passes)
            && (floor.memory_kib..=4 << 20).contains(&self.memory_kib)
            && (floor.lanes..=16).contains(&self.lanes)
    }
}

impl Default for PassphraseCost {
    /// 3 passes over 256 MiB in 4 lanes.
    fn default() -> Self {
        Self { memory_kib: 256 << 10, ..Self::FLOOR }
    }
}

/// What opens a slot.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum SlotKey<'a> {
    /// The printed key.
    Recovery(&'a RecoveryKey),
    /// Words in someone's head: used as the UTF-8 bytes they are.
    Passphrase(&'a str),
}

/// Which kind of key a slot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotKind {
    /// A recovery key.
    Recovery,
    /// A passphrase.
    Passphrase,
}

impl fmt::Display for SlotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Recovery => "recovery key",
            Self::Passphrase => "passphrase",
        })
    }
}

impl SlotKey<'_> {
    /// Which kind it is.
    pub const fn kind(&self) -> SlotKind {
        match self {
            Self::Recovery(_) => SlotKind::Recovery,
            Self::Passphrase(_) => SlotKind::Passphrase,
        }
    }
}

/// Why a slot cannot be made, read or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlotError {
    /// It is for the other kind of key.
    #[error("it is for a {kind}")]
    OtherKind {
        /// What it is for.
        kind: SlotKind,
    },
    /// The key or passphrase is not the one it was made with.
    #[error("another {kind} opens it")]
    WrongKey {
        /// What it is for.
        kind: SlotKind,
    },
    /// The key is right, but the slot was edited or has rotted.
    #[error("it is damaged or was edited")]
    NotAuthentic,
    /// Its numbers are too weak, or would exhaust the machine.
    #[error("its passphrase cost is out of bounds: {passes} passes over {memory_kib} KiB in {lanes} lanes")]
    Cost {
        /// Passes over the memory.
        passes: u32,
        /// Memory in KiB.
        memory_kib: u32,
        /// Lanes.
        lanes: u32,
    },
    /// There is no memory for the passphrase's derivation.
    #[error("derive a key from the passphrase: {reason}")]
    Derive {
        /// What argon2id says.
        reason: String,
    },
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// It is not a slot's JSON of version 1.
    #[error("it is not a key slot of version 1: {reason}")]
    Unreadable {
        /// Where and why.
        reason: String,
    },
    /// No random bytes for salt and id.
    #[error("draw random bytes: {0}")]
    Random(String),
}

impl From<NoRandom> for SlotError {
    fn from(error: NoRandom) -> Self {
        Self::Random(error.to_string())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all_fields = "snake_case", deny_unknown_fields)]
enum Kdf {
    #[serde(rename = "hkdf-sha-512")]
    Hkdf {},
    #[serde(rename = "argon2id")]
    Argon2id { passes: u32, memory_kib: u32, lanes: u32 },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    offsite: String,
    version: u32,
    vault: VaultId,
    id: SlotId,
    kdf: Kdf,
    #[serde(with = "hex")]
    salt: [u8; 32],
    #[serde(with = "hex")]
    check: [u8; 32],
    #[serde(with = "hex")]
    wrapped: [u8; 80],
}

/// A key slot: clear fields and the wrapped master key of one vault. Serialises to exactly the JSON of `slots/<id>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "File", into = "File")]
pub struct Slot {
    vault: VaultId,
    id: SlotId,
    kdf: Kdf,
    salt: [u8; 32],
    check: [u8; 32],
    wrapped: [u8; 80],
}

impl Slot {
    /// Wraps `master`, the key of `vault`, for a recovery key.
    ///
    /// # Errors
    /// [`SlotError::Random`].
    pub fn for_recovery(vault: VaultId, master: &MasterKey, key: &RecoveryKey) -> Result<Self, SlotError> {
        Self::new(vault, master, Kdf::Hkdf {}, SlotKey::Recovery(key))
    }

    /// Wraps `master`, the key of `vault`, for a passphrase. Takes as much memory and time as `cost` says.
    ///
    /// # Errors
    /// [`SlotError::Cost`], [`SlotError::EmptyPassphrase`], [`SlotError::Derive`], [`SlotError::Random`].
    pub fn for_passphrase(vault: VaultId, master: &MasterKey, passphrase: &str, cost: PassphraseCost) -> Result<Self, SlotError> {
        let PassphraseCost { passes, memory_kib, lanes } = cost;
        Self::new(vault, master, Kdf::Argon2id { passes, memory_kib, lanes }, SlotKey::Passphrase(passphrase))
    }

    fn new(vault: VaultId, master: &MasterKey, kdf: Kdf, key: SlotKey<'_>) -> Result<Self, SlotError> {
        let (id, salt) = (SlotId(keys::random("a slot id")?), keys::random("a slot's salt")?);
        let mut slot = Self { vault, id, kdf, salt, check: [0; 32], wrapped: [0; 80] };
        let derived = slot.derive(key)?;
        slot.check.copy_from_slice(&derived[32..]);
        let associated = slot.associated();
        let (text, tag) = slot.wrapped.split_at_mut(64);
        text.copy_from_slice(master.expose());
        let sealed = cipher(&derived).encrypt_inout_detached(&Nonce::default(), &associated, text.into());
        tag.copy_from_slice(&sealed.map_err(|_| SlotError::NotAuthentic)?);
        Ok(slot)
    }

    /// The master key, if `key` opens this slot.
    ///
    /// # Errors
    /// [`SlotError::WrongKey`] if it does not, [`SlotError::NotAuthentic`] if it does but the slot was edited, and those of making a slot.
    pub fn open(&self, key: SlotKey<'_>) -> Result<MasterKey, SlotError> {
        let derived = self.derive(key)?;
        if !bool::from(derived[32..].ct_eq(&self.check)) {
            return Err(SlotError::WrongKey { kind: self.kind() });
        }
        let mut master = Zeroizing::new([0; 64]);
        master.copy_from_slice(&self.wrapped[..64]);
        let mut tag = Tag::default();
        tag.copy_from_slice(&self.wrapped[64..]);
        cipher(&derived)
            .decrypt_inout_detached(&Nonce::default(), &self.associated(), master.as_mut_slice().into(), &tag)
            .map_err(|_| SlotError::NotAuthentic)?;
        Ok(MasterKey::from_bytes(*master))
    }

    /// The vault whose key it holds.
    pub const fn vault(&self) -> &VaultId {
        &self.vault
    }

    /// Its id.
    pub const fn id(&self) -> &SlotId {
        &self.id
    }

    /// What opens it.
    pub const fn kind(&self) -> SlotKind {
        match self.kdf {
            Kdf::Hkdf {} => SlotKind::Recovery,
            Kdf::Argon2id { .. } => SlotKind::Passphrase,
        }
    }

    /// Reads a slot's file.
    ///
    /// # Errors
    /// [`SlotError::Unreadable`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, SlotError> {
        if bytes.len() as u64 > MAX_SLOT {
            return Err(SlotError::Unreadable { reason: format!("longer than {MAX_SLOT} bytes") });
        }
        serde_json::from_slice(bytes).map_err(|error| SlotError::Unreadable { reason: error.to_string() })
    }

    /// The slot's file.
    ///
    /// # Errors
    /// [`SlotError::Unreadable`] if it cannot be written as JSON, which does not happen.
    pub fn to_json(&self) -> Result<Vec<u8>, SlotError> {
        serde_json::to_vec(self).map_err(|error| SlotError::Unreadable { reason: error.to_string() })
    }

    /// KEK and check, 32 bytes each.
    fn derive(&self, key: SlotKey<'_>) -> Result<Zeroizing<[u8; 64]>, SlotError> {
        match (&self.kdf, key) {
            (Kdf::Hkdf {}, SlotKey::Recovery(key)) => {
                Ok(hkdf::derive(&self.salt, key.expose(), &[b"offsite/v1/recovery\0", self.vault.as_bytes(), &self.id.0]))
            }
            (&Kdf::Argon2id { passes, memory_kib, lanes }, SlotKey::Passphrase(passphrase)) => {
                if passphrase.is_empty() {
                    return Err(SlotError::EmptyPassphrase);
                }
                if !(PassphraseCost { passes, memory_kib, lanes }).is_sane() {
                    return Err(SlotError::Cost { passes, memory_kib, lanes });
                }
                let failed = |error: argon2::Error| SlotError::Derive { reason: error.to_string() };
                let params = Params::new(memory_kib, passes, lanes, Some(64)).map_err(failed)?;
                let mut derived = Zeroizing::new([0; 64]);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(passphrase.as_bytes(), &self.salt, derived.as_mut_slice())
                    .map_err(failed)?;
                Ok(derived)
            }
            _ => Err(SlotError::OtherKind { kind: self.kind() }),
        }
    }

    /// Every clear field, as the wrap authenticates it.
    fn associated(&self) -> Vec<u8> {
        let (kind, numbers) = match self.kdf {
            Kdf::Hkdf {} => (1, [0; 3]),
            Kdf::Argon2id { passes, memory_kib, lanes } => (2, [passes, memory_kib, lanes]),
        };
        let mut out = [b"offsite/v1/slot", [kind].as_slice(), self.vault.as_bytes(), &self.id.0, &self.salt, &self.check].concat();
        numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        out
    }
}

fn cipher(derived: &[u8; 64]) -> Aes256Gcm {
    let mut kek = Zeroizing::new([0; 32]);
    kek.copy_from_slice(&derived[..32]);
    Aes256Gcm::new(<&Key<Aes256Gcm>>::from(&*kek))
}

impl TryFrom<File> for Slot {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        let File { offsite, version, vault, id, kdf, salt, check, wrapped } = file;
        if offsite != "slot" {
            return Err(format!("\"offsite\" is {offsite:?}, not \"slot\""));
        }
        if version != 1 {
            return Err(format!("version {version} is not known to this program"));
        }
        Ok(Self { vault, id, kdf, salt, check, wrapped })
    }
}

impl From<Slot> for File {
    fn from(slot: Slot) -> Self {
        let Slot { vault, id, kdf, salt, check, wrapped } = slot;
        Self { offsite: "slot".to_owned(), version: 1, vault, id, kdf, salt, check, wrapped }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_slot_gives_back_what_it_wraps(one: [u8; 32], two: [u8; 32], key: [u8; 32], other: [u8; 32], vault: [u8; 16]) {
            let (mut bytes, key, other) = ([0; 64], RecoveryKey::from_bytes(key), RecoveryKey::from_bytes(other));
            bytes[..32].copy_from_slice(&one);
            bytes[32..].copy_from_slice(&two);
            let slot = Slot::for_recovery(VaultId::from_bytes(vault), &MasterKey::from_bytes(bytes), &key).unwrap();
            let read = Slot::from_json(&slot.to_json().unwrap()).unwrap();
            prop_assert_eq!(&read, &slot);
            let master = read.open(SlotKey::Recovery(&key)).unwrap();
            prop_assert_eq!(master.expose(), &bytes);
            if key != other {
                prop_assert_eq!(read.open(SlotKey::Recovery(&other)).unwrap_err(), SlotError::WrongKey { kind: SlotKind::Recovery });
            }
        }

        #[test]
        fn no_slot_file_panics(text: String, bytes: Vec<u8>) {
            prop_assert!(Slot::from_json(text.as_bytes()).is_err() && Slot::from_json(&bytes).is_err());
        }
    }
}
