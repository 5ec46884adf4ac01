//! One cloud: what opens it, whether it answers, and what lies there. Probes first, then a pure judgement.

use std::sync::Arc;

use jiff::Timestamp;
use object_store::ObjectStore;
use offsite_archive::ArchiveName;
use offsite_repository::{
    Repository,
    seal::{SealedOptions, SlotKind, SlotState, Unlock, VaultError, open_vault, slot_states},
};

use super::{
    line::{Line, Lines, Trouble},
    noted, within,
};
use crate::{
    cloud,
    config::{Cloud, CloudUrl, Config, Credentials, PlaceName},
    hint,
    human::{ago, count},
    journal::Standing,
    key::{Key, KeyError},
    newest::newest,
};

/// What the probes of a cloud found; what comes after a failure is none.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Whether what opens its door is there.
    pub door: Option<Result<(), Trouble>>,
    pub key: bool,
    /// Whether the vault is there and opens; `false` is a place in which there is none.
    pub vault: Option<Result<bool, Trouble>>,
    /// How the slots of the key stand in it.
    pub slots: Option<Result<Vec<(SlotKind, SlotState)>, Trouble>>,
    pub archives: Option<Result<Held, Trouble>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub many: usize,
    pub newest: Option<ArchiveName>,
    pub unreadable: usize,
}

/// Probes `cloud`; without the network only what opens its door.
pub(crate) async fn probe(cloud: &Cloud, key: &Result<Key, KeyError>, offline: bool) -> Facts {
    let mut facts = Facts { key: key.is_ok(), ..Facts::default() };
    let Some(store) = noted(door(cloud).await, &mut facts.door, |_| ()) else { return facts };
    let (Ok(key), false) = (key, offline && matches!(cloud.url, CloudUrl::S3 { .. })) else { return facts };
    let open = async {
        match open_vault(store.clone(), Unlock::Master(&key.master), &SealedOptions::default()).await {
            Err(VaultError::NoVault { .. }) => Ok(None),
            opened => opened.map(Some),
        }
    };
    let Some(Some(repository)) = noted(within("open the vault", open).await, &mut facts.vault, Option::is_some) else { return facts };
    let states = within("look at the key slots", slot_states(&*store, &key.slots, &key.revoked)).await;
    facts.slots = Some(states.map(|states| states.into_iter().map(|(slot, state)| (slot.kind(), state)).collect()));
    facts.archives = Some(list(&repository).await);
    facts
}

async fn door(cloud: &Cloud) -> Result<Arc<dyn ObjectStore>, Trouble> {
    let asked = cloud.clone();
    within("look at the disk", async { anyhow::Ok(tokio::task::spawn_blocking(move || cloud::open(&asked)).await??) }).await
}

async fn list(repository: &Repository) -> Result<Held, Trouble> {
    let archives = within("list the archives", repository.archives()).await?;
    let newest = newest(archives.good.iter().map(|info| &info.name), Timestamp::now()).cloned();
    Ok(Held { many: archives.good.len(), newest, unreadable: archives.unreadable.len() })
}

pub(crate) fn judge(config: &Config, cloud: &Cloud, facts: &Facts, standing: &Standing, now: Timestamp) -> Vec<Line> {
    let mut lines = Lines::of(&cloud.name);
    match &facts.door {
        Some(Err(trouble)) => {
            lines.trouble(door_name(cloud), trouble);
            ["vault", "archives"].into_iter().for_each(|check| lines.skipped(check, door_name(cloud)));
            return lines.all;
        }
        _ => lines.ok(door_name(cloud), door_text(cloud)),
    }
    if !facts.key {
        ["vault", "archives"].into_iter().for_each(|check| lines.skipped(check, "key"));
        return lines.all;
    }
    match &facts.vault {
        None => ["vault", "archives"].into_iter().for_each(|check| lines.off(check)),
        Some(Err(trouble)) => {
            lines.trouble("vault", trouble);
            lines.skipped("archives", "vault");
        }
        Some(Ok(false)) => {
            if held(standing, &cloud.name) {
                lines.bad("vault", format!("{} held copies, and now there is none", cloud.url), hint::VAULT_LOST);
            } else {
                lines.note("vault", "nothing was pushed there yet", "the next sync makes it: offsite sync");
            }
            lines.skipped("archives", "vault");
        }
        Some(Ok(true)) => {
            slots(&cloud.name, facts, &mut lines);
            archives(config, cloud, facts, now, &mut lines);
        }
    }
    lines.all
}

/// The vault opened with the key of this Mac: whether it would without this Mac.
fn slots(cloud: &PlaceName, facts: &Facts, lines: &mut Lines) {
    let states = match &facts.slots {
        Some(Ok(states)) => states,
        Some(Err(trouble)) => return lines.trouble("vault", trouble),
        None => return lines.skipped("vault", "key"),
    };
    let paper = |kind: SlotKind| if kind == SlotKind::Recovery { "paper" } else { "passphrase" };
    match states.iter().find(|(_, state)| *state != SlotState::Same) {
        Some((kind, SlotState::Differs)) => lines.bad(
            "vault",
            format!(
                "answers, and opens with this key; the slot of the {} there is not the one that this Mac has, and one of them is damaged",
                paper(*kind)
            ),
            hint::differs(*kind),
        ),
        Some((_, SlotState::Older)) => lines.bad(
            "vault",
            format!(
                "answers, and opens with this key; key.json is older than the papers in {cloud}, so that its own are not put back there"
            ),
            hint::OLDER_KEY,
        ),
        Some((kind, _)) => lines.bad(
            "vault",
            format!("answers, and opens with this key, but not with the {}: its slot is gone or damaged", paper(*kind)),
            "the next sync puts it back: offsite sync",
        ),
        None if states.iter().all(|(kind, _)| *kind != SlotKind::Recovery) => {
            lines.note(
                "vault",
                "answers, and opens with this key; this Mac knows of no paper that opens it",
                "make one: offsite key paper",
            );
        }
        None => {
            let more = if states.iter().any(|(kind, _)| *kind == SlotKind::Passphrase) { " and the passphrase" } else { "" };
            lines.ok("vault", format!("answers, and opens with this key, and with the paper{more}"));
        }
    }
}

fn archives(config: &Config, cloud: &Cloud, facts: &Facts, now: Timestamp, lines: &mut Lines) {
    let class = cloud.class.as_ref().map(|class| format!(", class {}", class.as_str())).unwrap_or_default();
    match &facts.archives {
        Some(Ok(Held { unreadable, .. })) if *unreadable > 0 => lines.bad(
            "archives",
            format!("{} cannot be read", count(*unreadable as u64, "manifest", "manifests")),
            "the next sync sends again what the Mac has: offsite sync",
        ),
        Some(Ok(Held { newest: None, .. })) => lines.note("archives", "none there yet", "send them: offsite sync"),
        Some(Ok(Held { many, newest: Some(newest), .. })) => {
            let old = now.duration_since(newest.time());
            let words = format!("{}, the newest from {}{class}", count(*many as u64, "archive", "archives"), ago(old));
            match old > config.overdue_of(&newest.job) {
                true => lines.bad("archives", words, "see what stops it: offsite status; then send: offsite sync"),
                false => lines.ok("archives", words),
            }
        }
        Some(Err(trouble)) => lines.trouble("archives", trouble),
        None => lines.skipped("archives", "vault"),
    }
}

/// Whether a vault was made there: the same question that a push asks.
fn held(standing: &Standing, cloud: &PlaceName) -> bool {
    standing.held.contains_key(cloud)
}

const fn door_name(cloud: &Cloud) -> &'static str {
    match cloud.url {
        CloudUrl::S3 { .. } => "credentials",
        CloudUrl::File(_) => "folder",
    }
}

fn door_text(cloud: &Cloud) -> String {
    match (&cloud.url, &cloud.credentials) {
        (CloudUrl::File(folder), _) => format!("{} is there", folder.display()),
        (CloudUrl::S3 { .. }, Credentials::File(path)) => format!("in {}, for this account alone", path.display()),
        (CloudUrl::S3 { .. }, Credentials::Env) => {
            "in the environment of this terminal; the daemon has another: name a file with `credentials:`".to_owned()
        }
    }
}
