//! Sealing: how a repository lies in a place that is not trusted.
//!
//! Each object is one message of a public construction (AES-256-GCM in chunks, with a commitment to its key), bound to its kind, its name and its
//! vault. Keys come from one random master key, which people open with a printed recovery key or a passphrase. Nothing clear is derived
//! from content. Byte by byte in `docs/format-sealing.md`; only this module knows a cipher.

mod cobblestone;
mod error;
mod hex;
mod hkdf;
mod keep;
mod keys;
mod object;
mod opening;
mod recovery;
mod slot;
mod store;
mod vault;

pub use error::{Part, SealError};
pub use keep::{SlotState, keep_slots, slot_states, strangers};
pub use keys::{InvalidHex, MasterKey, NoRandom, SealKeys, VaultId};
pub use object::{Kind as SealedKind, sealed_length};
pub use recovery::{InvalidRecoveryKey, RecoveryKey};
pub use slot::{PassphraseCost, Slot, SlotError, SlotId, SlotKey, SlotKind};
pub use store::{SealedOptions, SealedStore};
pub use vault::{BadSlot, Unlock, VaultError, add_slot, create_vault, open_vault, remove_slot, slots, unlock_vault};
