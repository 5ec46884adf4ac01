//! The slots that a key brings along, kept in its vault: without them the paper opens nothing.
//!
//! Invariant: what might open for somebody is never replaced. A slot can be judged by its key alone, so of two that differ under one id either
//! may be the rotten one: that is told. Only what is gone, or can open for nobody, is put anew.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt};

use super::{
    slot::Slot,
    vault::{Result, VaultError, add_slot, failed, read, slot_path},
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
}

/// How each slot of `own`, slots of this vault, stands there. One small request each; changes nothing.
///
/// # Errors
/// [`VaultError::Store`].
pub async fn slot_states<'a>(inner: &dyn ObjectStore, own: &'a [Slot]) -> Result<Vec<(&'a Slot, SlotState)>> {
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
    Ok(states)
}

/// As [`slot_states`], and puts those back that are gone or unreadable. The vault was opened with the key whose slots these are.
///
/// # Errors
/// [`VaultError::Slot`] and [`VaultError::Store`]; what was put back before stays.
pub async fn keep_slots<'a>(inner: &Arc<dyn ObjectStore>, own: &'a [Slot]) -> Result<Vec<(&'a Slot, SlotState)>> {
    let states = slot_states(&**inner, own).await?;
    for (slot, state) in &states {
        match state {
            SlotState::Gone => add_slot(inner, slot).await?,
            SlotState::Unreadable => {
                let bytes = slot.to_json().map_err(|source| VaultError::Slot { slot: *slot.id(), source })?;
                let path = slot_path(slot.id());
                inner.put(&path, bytes.into()).await.map_err(failed("replace", &path))?;
            }
            SlotState::Same | SlotState::Differs => {}
        }
    }
    Ok(states)
}
