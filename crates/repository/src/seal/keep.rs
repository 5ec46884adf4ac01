//! The slots that a key brings along, kept in its vault: without them the paper opens nothing.
//!
//! Invariant: what might open for somebody is never replaced, and a paper that was revoked never opens again. A slot can be judged by its key
//! alone, so of two that differ under one id either may be the rotten one: that is told. Only what is gone, or can open for nobody, is put anew;
//! and not even that where a paper lies that the key does not know: then the key is the older of the two, and what it misses may have been revoked.

use std::{collections::BTreeSet, sync::Arc};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use super::{
    slot::{Slot, SlotId, SlotKind},
    vault::{MAX_SLOTS, Result, SLOTS, VaultError, add_slot, failed, read, slot_path},
};

/// How one of the key's slots stands in a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotState {
    /// It is there as the key has it.
    Same,
    /// It is not there.
    Gone,
    /// What is there opens for nobody: it is no slot, or another's under this name.
    Unreadable,
    /// There is a slot with its id and other content.
    Differs,
    /// A recovery key's, gone or unreadable, where there is another recovery key's that nobody here knows: it may have been revoked.
    Older,
}

/// How each slot of `own`, slots of this vault, stands there; `revoked` are known, too. One small request each; changes nothing.
///
/// # Errors
/// [`VaultError::Store`], and [`VaultError::TooManySlots`] where one is gone.
pub async fn slot_states<'a>(inner: &dyn ObjectStore, own: &'a [Slot], revoked: &BTreeSet<SlotId>) -> Result<Vec<(&'a Slot, SlotState)>> {
    let mut states = Vec::with_capacity(own.len());
    for slot in own {
        let state = match read(inner, &slot_path(slot.id())).await {
            Ok(None) => SlotState::Gone,
            Ok(Some(bytes)) => match Slot::from_json(&bytes) {
                Ok(there) if there == *slot => SlotState::Same,
                Ok(there) if (there.id(), there.vault()) == (slot.id(), slot.vault()) => SlotState::Differs,
                _ => SlotState::Unreadable,
            },
            Err(VaultError::TooLong { .. }) => SlotState::Unreadable,
            Err(error) => return Err(error),
        };
        states.push((slot, state));
    }
    let lacks =
        |(slot, state): &(&Slot, SlotState)| slot.kind() == SlotKind::Recovery && matches!(state, SlotState::Gone | SlotState::Unreadable);
    if states.iter().any(lacks) && !strangers(inner, own, revoked).await?.is_empty() {
        states.iter_mut().filter(|state| lacks(state)).for_each(|(_, state)| *state = SlotState::Older);
    }
    Ok(states)
}

/// Slots there for recovery keys of the vault of `own` that are neither among these nor `revoked`. A request for each, and one to list.
///
/// # Errors
/// [`VaultError::TooManySlots`], and [`VaultError::Store`] also for one that cannot be read: it is not known to be none.
pub async fn strangers(inner: &dyn ObjectStore, own: &[Slot], revoked: &BTreeSet<SlotId>) -> Result<BTreeSet<SlotId>> {
    let folder = Path::from(SLOTS);
    let known: BTreeSet<Path> = own.iter().map(Slot::id).chain(revoked).map(slot_path).collect();
    let listed: Vec<_> = inner.list(Some(&folder)).try_collect().await.map_err(failed("list", &folder))?;
    if listed.len() > MAX_SLOTS {
        return Err(VaultError::TooManySlots { place: inner.to_string() });
    }
    let mut strangers = BTreeSet::new();
    for path in listed.into_iter().map(|meta| meta.location).filter(|path| !known.contains(path)) {
        let bytes = match read(inner, &path).await {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(VaultError::TooLong { .. }) => continue,
            Err(error) => return Err(error),
        };
        let slot = Slot::from_json(&bytes).ok().filter(|slot| slot.kind() == SlotKind::Recovery && slot_path(slot.id()) == path);
        strangers.extend(slot.filter(|slot| own.iter().any(|own| own.vault() == slot.vault())).map(|slot| *slot.id()));
    }
    Ok(strangers)
}

/// As [`slot_states`], and puts those back that are gone or unreadable. The vault was opened with the key whose slots these are.
///
/// # Errors
/// As of [`slot_states`], and [`VaultError::Slot`]; what was put back before stays.
pub async fn keep_slots<'a>(
    inner: &Arc<dyn ObjectStore>,
    own: &'a [Slot],
    revoked: &BTreeSet<SlotId>,
) -> Result<Vec<(&'a Slot, SlotState)>> {
    let states = slot_states(&**inner, own, revoked).await?;
    for (slot, state) in &states {
        match state {
            SlotState::Gone => add_slot(inner, slot).await?,
            SlotState::Unreadable => {
                let bytes = slot.to_json().map_err(|source| VaultError::Slot { slot: *slot.id(), source })?;
                let path = slot_path(slot.id());
                inner.put(&path, bytes.into()).await.map_err(failed("replace", &path))?;
            }
            SlotState::Same | SlotState::Differs | SlotState::Older => {}
        }
    }
    Ok(states)
}
