//! The papers that open the sealed copies: a new one, and what each cloud needs so that it opens there.
//!
//! Invariant: some paper opens every cloud, wherever the power goes. The key file has the new slot before any cloud has it, so whoever is cut off
//! is followed by a night that carries on; and an old slot is taken away nowhere until the new one was seen everywhere.

use std::collections::BTreeSet;

use anyhow::Context;
use offsite_repository::seal::{self, RecoveryKey, Slot, SlotId, SlotKind, SlotState, VaultError};

use super::{Desk, Key, ask_back, load, pick};
use crate::{
    cloud,
    config::{Cloud, Config, PlaceName},
    exit::Exit,
    hint,
    places::{self, PlaceError},
    state::State,
};

/// What to say when a paper was shown and could not be put to use.
pub(super) const USELESS: &str = "the recovery key just shown opens nothing: destroy it, and keep the paper before it, if there is one";

/// A slot for a recovery key that is shown once at `desk`, and asked back from whoever sits there.
pub(super) fn write_down(desk: &mut dyn Desk, slot: impl FnOnce(&RecoveryKey) -> Result<Slot, seal::SlotError>) -> anyhow::Result<Slot> {
    let recovery = RecoveryKey::random()?;
    let slot = slot(&recovery)?;
    let rows: Vec<String> = recovery
        .groups()
        .chunks(5)
        .map(|groups| format!("    {}\n", groups.iter().map(|group| group.as_str()).collect::<Vec<_>>().join("-")))
        .collect();
    desk.show(&format!(
        "This recovery key opens the sealed copies when this Mac is gone. It is shown once; write it down on paper:\n\n{}",
        rows.concat()
    ))?;
    if desk.person() {
        ask_back(&recovery, pick()?, desk)?;
    }
    Ok(slot)
}

/// Another paper for the same key; with `revoke` those before it are to open nothing any more.
pub(super) async fn renew(config: &Config, revoke: bool, desk: &mut dyn Desk) -> anyhow::Result<Exit> {
    let state = State::open(&config.state)?;
    // A night that read the key file before would put back what is taken away here.
    let _lock = state.lock("key paper", jiff::Timestamp::now())?;
    let mut key = load(config)?;
    let unknown = unknown(config, &key, revoke).await?;
    let slot = write_down(desk, |recovery| Slot::for_recovery(key.vault, &key.master, recovery))?;
    if revoke {
        let old = |slot: &Slot| slot.kind() == SlotKind::Recovery;
        key.revoked.extend(key.slots.iter().filter(|slot| old(slot)).map(Slot::id).chain(&unknown));
        key.slots.retain(|slot| !old(slot));
    }
    key.slots.push(slot);
    key.replace(&state.key()).context(USELESS)?;
    let late = settle(config, &mut key).await?;
    for (cloud, error) in &late {
        note!("{cloud}: {}", hint::render(error));
    }
    for cloud in config.clouds.iter().filter(|cloud| !late.iter().any(|(name, _)| *name == cloud.name)) {
        desk.show(&format!("{}: the new paper opens what lies there.", cloud.name))?;
    }
    desk.show(match (late.is_empty(), revoke) {
        (true, true) => "The papers before it open nothing any more, but for whoever has a copy of the slots too.",
        (true, false) => "The papers before it open the copies as well. If one is in wrong hands: offsite key paper --revoke-old",
        (false, true) => "The papers before it are valid until every cloud has the new one: keep both. The next night tries again.",
        (false, false) => "Until then keep the paper before it, which opens them all. The next night tries again.",
    })?;
    Ok(if late.is_empty() { Exit::Fine } else { Exit::Incomplete })
}

/// The papers in the clouds that the key file does not know: it is an older one, or another Mac's are newer. A cloud that cannot be opened is told
/// by [`settle`].
///
/// # Errors
/// [`VaultError::OlderKey`] where one of the key's own is gone, unless `revoke` settles that: beside it a new paper would be put nowhere.
async fn unknown(config: &Config, key: &Key, revoke: bool) -> anyhow::Result<BTreeSet<SlotId>> {
    let mut unknown = BTreeSet::new();
    for cloud in &config.clouds {
        if places::cloud(config, cloud, false).await.is_err() {
            continue;
        }
        if revoke {
            unknown.extend(seal::strangers(&*cloud::open(cloud)?, &key.slots, &key.revoked).await?);
        } else if let Err(error) = keep(cloud, key).await
            && matches!(error.downcast_ref(), Some(VaultError::OlderKey { .. }))
        {
            return Err(error);
        }
    }
    Ok(unknown)
}

/// Brings the key's slots to every cloud, and once all have them takes away there what is revoked. Returns the clouds where that did not
/// work, and why; then what is left to do stays in the key file.
pub(crate) async fn settle(config: &Config, key: &mut Key) -> anyhow::Result<Vec<(PlaceName, anyhow::Error)>> {
    let mut late = Vec::new();
    let mut have = Vec::new();
    for cloud in &config.clouds {
        let done = match places::cloud(config, cloud, false).await {
            Ok(_) => keep(cloud, key).await.map(|_| have.push(cloud)),
            // It begins with the key's slots when it is made.
            Err(PlaceError::Vault { source: VaultError::NoVault { .. }, .. }) => Ok(()),
            Err(error) => Err(error.into()),
        };
        late.extend(done.err().map(|error| (cloud.name.clone(), error)));
    }
    if !late.is_empty() || key.revoked.is_empty() {
        return Ok(late);
    }
    for cloud in have {
        late.extend(remove(cloud, key).await.err().map(|error| (cloud.name.clone(), error)));
    }
    if late.is_empty() {
        key.revoked.clear();
        key.replace(&State::at(&config.state).key())?;
    }
    Ok(late)
}

async fn remove(cloud: &Cloud, key: &Key) -> anyhow::Result<()> {
    let store = cloud::open(cloud)?;
    for slot in &key.revoked {
        seal::remove_slot(&*store, slot).await?;
    }
    Ok(())
}

/// Sees to it that what opens the key's slots opens `cloud`, whose vault is this key's; says which slots were put there.
///
/// # Errors
/// The cloud's, [`VaultError::SlotDiffers`] where one of two slots is damaged and nobody but the paper knows which, and
/// [`VaultError::OlderKey`] where a paper may have been revoked since the key file was written.
pub(crate) async fn keep(cloud: &Cloud, key: &Key) -> anyhow::Result<Vec<SlotKind>> {
    let store = cloud::open(cloud)?;
    let mut put = Vec::new();
    let mut wrong = None;
    for (slot, state) in seal::keep_slots(&store, &key.slots, &key.revoked).await? {
        let (place, object) = (store.to_string(), format!("slots/{}.json", slot.id()));
        match state {
            SlotState::Same => {}
            SlotState::Differs => wrong = Some(VaultError::SlotDiffers { place, object, kind: slot.kind() }),
            SlotState::Older => wrong = Some(VaultError::OlderKey { place, object }),
            was => {
                tracing::info!(cloud = %cloud.name, slot = %slot.id(), kind = %slot.kind(), ?was, "put a key slot there");
                put.push(slot.kind());
            }
        }
    }
    wrong.map_or(Ok(put), |error| Err(error.into()))
}
