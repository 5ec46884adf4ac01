//! Next steps for keys and sealed copies.

use offsite_repository::seal::{InvalidRecoveryKey, SealError, SlotError, SlotKind, VaultError};

use super::find;
use crate::{key::KeyError, places::PlaceError};

/// For a cloud that held a vault and has none.
pub(crate) const VAULT_LOST: &str =
    "is it the right address, is the disk mounted? To begin anew there on purpose, give the cloud another name";

/// For a key file that knows less of the papers than a cloud does.
pub(crate) const OLDER: &str = "with the newest paper at hand: move key.json away and keep it, then offsite key recover CLOUD; otherwise make a \
                                paper that counts alone: offsite key paper --revoke-old";

pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    own(error).or_else(|| vault(error).or_else(|| typed(error)).or_else(|| sealed(error)).map(str::to_owned))
}

fn own(error: &anyhow::Error) -> Option<String> {
    Some(match find::<KeyError>(error)? {
        KeyError::None { .. } => "on the first Mac: offsite key new; on a new one: offsite key recover CLOUD".to_owned(),
        KeyError::Gone { cloud, .. } => format!("offsite key recover {cloud}"),
        KeyError::Exists { path } => format!(
            "see what it is for: offsite key show; a new key could not read what is sealed with this one. If it is the wrong one, move {} away \
             and keep it, then: offsite key recover CLOUD",
            path.display()
        ),
        KeyError::Open { path, .. } => format!("chmod 600 {}", path.display()),
        KeyError::Damaged { path, .. } => format!("move {} away and get it back from a cloud: offsite key recover CLOUD", path.display()),
        KeyError::Read { .. } | KeyError::Write { .. } => return None,
    })
}

fn vault(error: &anyhow::Error) -> Option<&'static str> {
    if let Some(PlaceError::VaultLost { .. }) = find(error) {
        return Some(VAULT_LOST);
    }
    Some(match find::<VaultError>(error)? {
        VaultError::NoVault { .. } => "check the address; if nothing was pushed there yet: offsite sync",
        VaultError::WrongKey { .. } => {
            "check it against the paper, group by group; it must be the one shown when this vault's key was made"
        }
        VaultError::NoSlot { kind: SlotKind::Passphrase, .. } => "open it with the recovery key from the paper: --recovery-key -",
        VaultError::NoSlot { .. } => {
            "try another cloud that holds the same vault, or --passphrase if you set one; if the Mac with the key is left, its next sync puts \
             the slot back: offsite sync"
        }
        VaultError::SlotDiffers { kind, .. } => differs(*kind),
        VaultError::OlderKey { .. } => OLDER,
        VaultError::WrongVault { .. } => {
            "that place holds another vault: give this key an empty place; or, if that vault is yours, see where the key is (offsite key show), move \
             that key.json away and keep it, then: offsite key recover CLOUD"
        }
        VaultError::DamagedHeader { .. } | VaultError::NotEmpty { .. } => {
            "another cloud holds the same vault: copy vault.json from there, or push into an empty place"
        }
        VaultError::UnknownVersion { .. } => "update this offsite",
        _ => return None,
    })
}

/// What to do about a slot that the Mac's own is not like.
pub(crate) const fn differs(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::Passphrase => {
            "try it: offsite archives --from CLOUD --passphrase. If that does not open it, delete that object: the next sync puts the Mac's there"
        }
        _ => "make a new paper, and take the doubtful slot away: offsite key paper --revoke-old",
    }
}

fn typed(error: &anyhow::Error) -> Option<&'static str> {
    if find::<InvalidRecoveryKey>(error).is_some() {
        return Some("type it as on the paper; case, spaces and dashes do not matter");
    }
    match find::<SlotError>(error)? {
        SlotError::WrongKey { .. } => Some("check it against the paper, group by group"),
        _ => None,
    }
}

fn sealed(error: &anyhow::Error) -> Option<&'static str> {
    Some(match find::<SealError>(error)? {
        SealError::WrongVault { .. } => "that place holds another vault: use its own key",
        SealError::UnknownVersion { .. } => "update this offsite",
        SealError::NotSealed { .. }
        | SealError::WrongKind { .. }
        | SealError::WrongObject { .. }
        | SealError::Truncated { .. }
        | SealError::Extended { .. }
        | SealError::NotAuthentic { .. }
        | SealError::Malformed { .. } => {
            "the cloud changed what it was given: restore from another place; the next sync sends the archive anew, then remove the named object there by hand"
        }
        _ => return None,
    })
}
