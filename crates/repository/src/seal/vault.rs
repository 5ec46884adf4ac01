//! A vault: the place where a sealed repository lies, with its clear header and its key slots.
//!
//! A vault exists exactly when its header does, so the header is written last, create-only. Everything clear in it is hostile until a key says
//! otherwise: sizes, numbers and counts are bounded before they are believed, and one damaged slot stops no other.

use std::sync::Arc;

use bytes::BytesMut;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use serde::{Deserialize, Serialize};

use super::{
    hex,
    keys::{MasterKey, SealKeys, VaultId},
    recovery::RecoveryKey,
    slot::{MAX_SLOT, Slot, SlotError, SlotId, SlotKey, SlotKind},
    store::{SealedOptions, SealedStore},
};
use crate::{ObjectId, Repository, layout};

const HEADER: &str = "vault.json";
pub(super) const SLOTS: &str = "slots";
/// Slots that are looked at; more is not a vault but an attempt to keep the machine busy.
pub(super) const MAX_SLOTS: usize = 64;

/// What opens a vault.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Unlock<'a> {
    /// The master key itself, as the daemon has it.
    Master(&'a MasterKey),
    /// The printed recovery key.
    Recovery(&'a RecoveryKey),
    /// A passphrase.
    Passphrase(&'a str),
}

/// A slot that could not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSlot {
    /// Its path.
    pub object: String,
    /// What is wrong with it.
    pub error: String,
}

/// Why a vault cannot be made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// There is one already; it is left as it is.
    #[error("create a vault in {place}: one is there already")]
    Exists {
        /// The store.
        place: String,
    },
    /// Objects of a sealed repository are there without a header: a vault that lost it.
    #[error("create a vault in {place}: {object} is there already, but no {HEADER}")]
    NotEmpty {
        /// The store.
        place: String,
        /// The first object found.
        object: String,
    },
    /// A vault that nobody could open.
    #[error("create a vault: it needs at least one key slot")]
    NoSlots,
    /// The slots to begin with do not fit together.
    #[error("create a vault: its key slots belong to different vaults")]
    MixedSlots,
    /// No header, so no vault.
    #[error("open the vault in {place}: there is none")]
    NoVault {
        /// The store.
        place: String,
    },
    /// The header is not what a header is.
    #[error("open the vault in {place}: {HEADER} is damaged: {reason}")]
    DamagedHeader {
        /// The store.
        place: String,
        /// Where and why.
        reason: String,
    },
    /// A later offsite made it.
    #[error("open the vault in {place}: version {version} of the format is not known to this program")]
    UnknownVersion {
        /// The store.
        place: String,
        /// The version it has.
        version: u64,
    },
    /// The key is whole, but another vault's.
    #[error("open vault {vault} in {place}: the master key is another vault's")]
    WrongVault {
        /// The store.
        place: String,
        /// The vault that is there.
        vault: VaultId,
    },
    /// No slot of the vault opens with what was given.
    #[error("open vault {vault} in {place}: wrong {kind}{}", damage(.damaged))]
    WrongKey {
        /// The store.
        place: String,
        /// The vault that is there.
        vault: VaultId,
        /// What was given.
        kind: SlotKind,
        /// Slots that could not be tried.
        damaged: Vec<BadSlot>,
    },
    /// The vault has no slot that could open with what was given.
    #[error("open vault {vault} in {place}: it has no key slot for a {kind}{}", damage(.damaged))]
    NoSlot {
        /// The store.
        place: String,
        /// The vault that is there.
        vault: VaultId,
        /// What was given.
        kind: SlotKind,
        /// Slots that could not be tried.
        damaged: Vec<BadSlot>,
    },
    /// A slot for a recovery key stays, whatever else goes.
    #[error("remove key slot {slot}: no other slot for a recovery key would be left")]
    LastRecovery {
        /// The slot.
        slot: SlotId,
    },
    /// More slots than any vault has.
    #[error("open the vault in {place}: it has more than {MAX_SLOTS} key slots")]
    TooManySlots {
        /// The store.
        place: String,
    },
    /// Under a slot's id lies another content than this key has, and which of the two has rotted only their own key can tell.
    #[error("compare {object} in {place}: it is not the slot that this key has: one of the two is damaged, and may open for nobody")]
    SlotDiffers {
        /// The store.
        place: String,
        /// The slot's path.
        object: String,
        /// What the slot is for.
        kind: SlotKind,
    },
    /// A slot that this key has is not there, and another recovery key's is that it does not know.
    #[error(
        "compare {object} in {place}: it is gone, and a newer paper's slot lies there: the key is older than the papers, and this one may be revoked"
    )]
    OlderKey {
        /// The store.
        place: String,
        /// The slot's path.
        object: String,
    },
    /// A clear file that is longer than any of a vault.
    #[error("read {object}: longer than {MAX_SLOT} bytes")]
    TooLong {
        /// Its path.
        object: String,
    },
    /// A slot could not be written.
    #[error("write key slot {slot}: {source}")]
    Slot {
        /// The slot.
        slot: SlotId,
        /// Why.
        #[source]
        source: SlotError,
    },
    /// The store failed.
    #[error("{operation} {object}: {source}")]
    Store {
        /// What was done.
        operation: &'static str,
        /// On what.
        object: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
}

fn damage(slots: &[BadSlot]) -> String {
    slots.iter().map(|slot| format!("; {}: {}", slot.object, slot.error)).collect()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    offsite: String,
    version: u64,
    id: VaultId,
    #[serde(with = "hex")]
    check: [u8; 32],
}

/// What any version of a header has.
#[derive(Deserialize)]
struct AnyHeader {
    offsite: String,
    version: u64,
}

pub(super) type Result<T> = std::result::Result<T, VaultError>;

pub(super) fn failed(operation: &'static str, object: &Path) -> impl FnOnce(object_store::Error) -> VaultError {
    let object = object.to_string();
    move |source| VaultError::Store { operation, object, source }
}

pub(super) fn slot_path(id: &SlotId) -> Path {
    Path::from(format!("{SLOTS}/{id}.json"))
}

/// Makes the vault whose id the slots name, and returns its empty repository. Slots first, header last: after a crash in between
/// there is no vault, and the slots left behind are another vault's to any later one.
///
/// # Errors
/// [`VaultError::Exists`] or [`VaultError::NotEmpty`] if something is there: then nothing was changed.
pub async fn create_vault(inner: Arc<dyn ObjectStore>, master: &MasterKey, slots: &[Slot], options: &SealedOptions) -> Result<Repository> {
    let vault = *slots.first().ok_or(VaultError::NoSlots)?.vault();
    if slots.iter().any(|slot| *slot.vault() != vault) {
        return Err(VaultError::MixedSlots);
    }
    let place = inner.to_string();
    let path = Path::from(HEADER);
    if read(&*inner, &path).await?.is_some() {
        return Err(VaultError::Exists { place });
    }
    for folder in [layout::MANIFESTS, layout::INDEX, layout::PACKS] {
        let folder = Path::from(folder);
        let first = inner.list(Some(&folder)).try_next().await.map_err(failed("list", &folder))?;
        if let Some(meta) = first {
            return Err(VaultError::NotEmpty { place, object: meta.location.to_string() });
        }
    }
    crate::recover::place(&*inner).await.map_err(|(path, error)| failed("create", &path)(error))?;
    for slot in slots {
        add_slot(&inner, slot).await?;
    }
    let header = Header { offsite: "vault".to_owned(), version: 1, id: vault, check: master.check(&vault) };
    let damaged = |error: serde_json::Error| VaultError::DamagedHeader { place: inner.to_string(), reason: error.to_string() };
    let bytes = serde_json::to_vec(&header).map_err(damaged)?;
    match create(&*inner, &path, bytes).await {
        Ok(()) => Ok(repository(inner, master, vault, options)),
        Err(object_store::Error::AlreadyExists { .. }) => Err(VaultError::Exists { place }),
        Err(error) => Err(failed("create", &path)(error)),
    }
}

/// Opens the vault's repository.
///
/// # Errors
/// [`VaultError::NoVault`], [`VaultError::WrongKey`], [`VaultError::WrongVault`], and others if what is there is damaged.
pub async fn open_vault(inner: Arc<dyn ObjectStore>, unlock: Unlock<'_>, options: &SealedOptions) -> Result<Repository> {
    let (vault, master) = unlock_vault(&*inner, unlock).await?;
    Ok(repository(inner, &master, vault, options))
}

/// The vault's id and master key, for a new machine to keep.
///
/// # Errors
/// As [`open_vault`].
pub async fn unlock_vault(inner: &dyn ObjectStore, unlock: Unlock<'_>) -> Result<(VaultId, MasterKey)> {
    let header = header(inner).await?;
    let key = match unlock {
        Unlock::Master(master) => return checked(inner, &header, master.clone()),
        Unlock::Recovery(key) => SlotKey::Recovery(key),
        Unlock::Passphrase(words) => SlotKey::Passphrase(words),
    };
    let (slots, mut damaged) = slots_of(inner, header.id).await?;
    let (place, vault, kind) = (inner.to_string(), header.id, key.kind());
    let mut tried = false;
    for slot in slots.iter().filter(|slot| slot.kind() == kind) {
        match slot.open(key) {
            Ok(master) => return checked(inner, &header, master),
            Err(SlotError::WrongKey { .. }) => tried = true,
            Err(error) => damaged.push(BadSlot { object: slot_path(slot.id()).to_string(), error: error.to_string() }),
        }
    }
    Err(if tried { VaultError::WrongKey { place, vault, kind, damaged } } else { VaultError::NoSlot { place, vault, kind, damaged } })
}

/// The vault's slots, and those files among them that are none.
///
/// # Errors
/// [`VaultError::NoVault`] and the store's.
pub async fn slots(inner: &dyn ObjectStore) -> Result<(Vec<Slot>, Vec<BadSlot>)> {
    let header = header(inner).await?;
    slots_of(inner, header.id).await
}

/// Adds a key slot: a new passphrase, or a new recovery key. It opens the same master key.
///
/// # Errors
/// [`VaultError::Slot`] and the store's.
pub async fn add_slot(inner: &Arc<dyn ObjectStore>, slot: &Slot) -> Result<()> {
    let bytes = slot.to_json().map_err(|source| VaultError::Slot { slot: *slot.id(), source })?;
    let path = slot_path(slot.id());
    match create(&**inner, &path, bytes).await {
        // A run that was cut off wrote the same slot before. Another's bytes under this random name do not happen by chance.
        Err(object_store::Error::AlreadyExists { .. })
            if read(&**inner, &path).await?.is_some_and(|there| Slot::from_json(&there).as_ref() == Ok(slot)) =>
        {
            Ok(())
        }
        other => other.map_err(failed("create", &path)),
    }
}

/// Removes a key slot; one that is gone already is no error. Whoever has its key and a copy of the slot still has the master key.
///
/// # Errors
/// [`VaultError::LastRecovery`], and the store's.
pub async fn remove_slot(inner: &dyn ObjectStore, id: &SlotId) -> Result<()> {
    // Whoever may not delete is not asked to again, once somebody else did.
    if read(inner, &slot_path(id)).await.is_ok_and(|there| there.is_none()) {
        return Ok(());
    }
    let (slots, _) = slots(inner).await?;
    let recovery = |slot: &&Slot| slot.kind() == SlotKind::Recovery;
    if slots.iter().filter(recovery).all(|slot| slot.id() == id) {
        return Err(VaultError::LastRecovery { slot: *id });
    }
    let path = slot_path(id);
    inner.delete(&path).await.map_err(failed("delete", &path))
}

fn repository(inner: Arc<dyn ObjectStore>, master: &MasterKey, vault: VaultId, options: &SealedOptions) -> Repository {
    let store = SealedStore::new(inner.clone(), SealKeys::new(master, vault), options.clone());
    Repository::sealed(Arc::new(store), ObjectId::from_bytes(*vault.as_bytes())).over(inner)
}

fn checked(inner: &dyn ObjectStore, header: &Header, master: MasterKey) -> Result<(VaultId, MasterKey)> {
    if master.fits(&header.id, &header.check) {
        Ok((header.id, master))
    } else {
        Err(VaultError::WrongVault { place: inner.to_string(), vault: header.id })
    }
}

async fn header(inner: &dyn ObjectStore) -> Result<Header> {
    let place = || inner.to_string();
    let damaged = |reason: String| VaultError::DamagedHeader { place: place(), reason };
    let bytes = read(inner, &Path::from(HEADER)).await?.ok_or_else(|| VaultError::NoVault { place: place() })?;
    let any: AnyHeader = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if any.offsite != "vault" {
        return Err(damaged(format!("\"offsite\" is {:?}, not \"vault\"", any.offsite)));
    }
    if any.version != 1 {
        return Err(VaultError::UnknownVersion { place: place(), version: any.version });
    }
    serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))
}

async fn slots_of(inner: &dyn ObjectStore, vault: VaultId) -> Result<(Vec<Slot>, Vec<BadSlot>)> {
    let folder = Path::from(SLOTS);
    let mut listed = Vec::new();
    let mut list = inner.list(Some(&folder));
    while let Some(meta) = list.try_next().await.map_err(failed("list", &folder))? {
        if listed.len() == MAX_SLOTS {
            return Err(VaultError::TooManySlots { place: inner.to_string() });
        }
        listed.push(meta.location);
    }
    listed.sort();
    let (mut slots, mut bad) = (Vec::new(), Vec::new());
    for path in listed {
        let slot = match read(inner, &path).await {
            Ok(Some(bytes)) => Slot::from_json(&bytes).map_err(|error| error.to_string()),
            Ok(None) => continue,
            Err(error) => Err(error.to_string()),
        };
        let fits = slot.and_then(|slot| match slot {
            slot if *slot.vault() != vault => Err(format!("it belongs to vault {}", slot.vault())),
            slot if slot_path(slot.id()) != path => Err(format!("it is slot {} under another name", slot.id())),
            slot => Ok(slot),
        });
        match fits {
            Ok(slot) => slots.push(slot),
            Err(error) => bad.push(BadSlot { object: path.to_string(), error }),
        }
    }
    Ok((slots, bad))
}

/// A small clear file, or nothing if it is not there. Never reads more than a slot may have, whatever size the store claims.
pub(super) async fn read(inner: &dyn ObjectStore, path: &Path) -> Result<Option<BytesMut>> {
    let found = match inner.get(path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let mut stream = found.into_stream();
    let mut bytes = BytesMut::new();
    while let Some(piece) = stream.try_next().await.map_err(failed("read", path))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > MAX_SLOT {
            return Err(VaultError::TooLong { object: path.to_string() });
        }
    }
    Ok(Some(bytes))
}

async fn create(inner: &dyn ObjectStore, path: &Path, bytes: Vec<u8>) -> std::result::Result<(), object_store::Error> {
    inner.put_opts(path, bytes.into(), PutOptions::from(PutMode::Create)).await.map(drop)
}
