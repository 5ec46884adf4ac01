//! Vaults and their key slots: made once, opened by each of their keys, by no other, and in spite of damage.
#![cfg(feature = "seal")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[path = "seal_support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, path::Path};
use offsite_repository::seal::*;
use support::*;

const WORDS: &str = "correct horse battery staple";

fn recovery() -> RecoveryKey {
    RecoveryKey::from_bytes([0x5a; 32])
}

/// A slot for a passphrase is slow to make by design, so all tests share one, at the lowest cost that is allowed.
fn passphrase_slot() -> Slot {
    static SLOT: OnceLock<Slot> = OnceLock::new();
    SLOT.get_or_init(|| Slot::for_passphrase(vault(1), &master(1), WORDS, PassphraseCost::FLOOR).unwrap()).clone()
}

fn recovery_slot() -> Slot {
    Slot::for_recovery(vault(1), &master(1), &recovery()).unwrap()
}

async fn made(slots: &[Slot]) -> Arc<Recording> {
    let inner = Recording::new();
    create_vault(inner.clone(), &master(1), slots, &SealedOptions::default()).await.unwrap();
    inner
}

async fn open(inner: &Arc<Recording>, unlock: Unlock<'_>) -> Result<offsite_repository::Repository, VaultError> {
    open_vault(inner.clone(), unlock, &SealedOptions::default()).await
}

async fn names(inner: &dyn ObjectStore) -> Vec<String> {
    let mut names: Vec<_> = inner.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    names.sort();
    names
}

fn slot_path(slot: &Slot) -> Path {
    Path::from(format!("slots/{}.json", slot.id()))
}

#[tokio::test]
async fn each_of_its_keys_opens_a_vault() {
    let inner = made(&[recovery_slot(), passphrase_slot()]).await;
    let first = open(&inner, Unlock::Master(&master(1))).await.unwrap();
    first.store().put_opts(&path("packs", 9), "content".into(), PutMode::Create.into()).await.unwrap();
    let key: RecoveryKey = recovery().to_string().parse().unwrap();
    for unlock in [Unlock::Master(&master(1)), Unlock::Recovery(&key), Unlock::Passphrase(WORDS)] {
        let repository = open(&inner, unlock).await.unwrap();
        assert_eq!(repository.id().as_bytes(), vault(1).as_bytes());
        assert_eq!(repository.store().get(&path("packs", 9)).await.unwrap().bytes().await.unwrap(), "content");
    }
    let (id, found) = unlock_vault(&*inner, Unlock::Recovery(&key)).await.unwrap();
    assert_eq!((id, found.expose()), (vault(1), master(1).expose()));
}

#[tokio::test]
async fn a_vault_of_an_older_offsite_gets_what_opens_newer_archives() {
    let slot = recovery_slot();
    let inner = made(std::slice::from_ref(&slot)).await;
    // As the first edition left it: no mark, and another script.
    let (mark, script) = (Path::from("recover/edition-3"), Path::from("recover/offsite_recover.py"));
    let current = inner.raw(&script).await;
    inner.delete(&mark).await.unwrap();
    inner.put(&script, "of the first edition".into()).await.unwrap();
    let before = names(&*inner).await;
    let repository = open(&inner, Unlock::Master(&master(1))).await.unwrap();
    assert_eq!(names(&*inner).await, before, "opening to read writes nothing");
    assert!(repository.renew_recover().await.unwrap());
    assert!(inner.raw(&script).await == current, "in the clear");
    assert!(names(&*inner).await.contains(&mark.to_string()));
    assert!(!repository.renew_recover().await.unwrap());
}

#[tokio::test]
async fn what_is_clear_is_known() {
    let (one, two) = (recovery_slot(), passphrase_slot());
    let inner = made(&[one.clone(), two.clone()]).await;
    let mut expected = vec![slot_path(&one).to_string(), slot_path(&two).to_string(), "vault.json".to_owned()];
    // How to open it without this program; the same in every vault.
    expected
        .extend(["README.txt", "edition-3", "format-sealing.md", "format.md", "offsite_recover.py"].map(|name| format!("recover/{name}")));
    expected.sort();
    assert_eq!(names(&*inner).await, expected);
    let header = String::from_utf8(inner.raw(&Path::from("vault.json")).await).unwrap();
    let check = header.split('"').rev().nth(1).unwrap();
    assert_eq!(header, format!("{{\"offsite\":\"vault\",\"version\":1,\"id\":\"{}\",\"check\":\"{check}\"}}", vault(1)));
    assert_eq!(check.len(), 64);
    let all = [header.into_bytes(), inner.raw(&slot_path(&one)).await, inner.raw(&slot_path(&two)).await].concat();
    let all = String::from_utf8(all).unwrap();
    for secret in [master(1).expose_hex().to_string(), "5a".repeat(32), WORDS.to_owned()] {
        assert!(!all.contains(&secret) && !all.contains(&secret[..16]));
    }
}

#[tokio::test]
async fn a_vault_is_made_once() {
    let inner = made(&[recovery_slot()]).await;
    let before = names(&*inner).await;
    let others = [Slot::for_recovery(vault(2), &master(2), &recovery()).unwrap()];
    let again = create_vault(inner.clone(), &master(2), &others, &SealedOptions::default()).await;
    assert!(matches!(again, Err(VaultError::Exists { .. })));
    assert_eq!(names(&*inner).await, before, "nothing was written");
    open(&inner, Unlock::Master(&master(1))).await.unwrap();

    let lost = made(&[recovery_slot()]).await;
    let repository = open(&lost, Unlock::Master(&master(1))).await.unwrap();
    repository.store().put_opts(&path("manifests", 3), "x".into(), PutMode::Create.into()).await.unwrap();
    lost.delete(&Path::from("vault.json")).await.unwrap();
    assert!(matches!(open(&lost, Unlock::Master(&master(1))).await, Err(VaultError::NoVault { .. })));
    let anew = create_vault(lost.clone(), &master(1), &[recovery_slot()], &SealedOptions::default()).await;
    assert!(matches!(anew, Err(VaultError::NotEmpty { object, .. }) if object == path("manifests", 3).to_string()));

    let options = SealedOptions::default();
    assert!(matches!(create_vault(Recording::new(), &master(1), &[], &options).await, Err(VaultError::NoSlots)));
    let mixed = [recovery_slot(), Slot::for_recovery(vault(2), &master(1), &recovery()).unwrap()];
    assert!(matches!(create_vault(Recording::new(), &master(1), &mixed, &options).await, Err(VaultError::MixedSlots)));
}

/// The header is written last, so a run that was cut off leaves no vault, and the next run, with the same slots or new ones, makes one.
#[tokio::test]
async fn a_creation_that_was_cut_off_is_made_again() {
    for slot in [recovery_slot(), Slot::for_recovery(vault(7), &master(7), &recovery()).unwrap()] {
        let inner = made(&[recovery_slot()]).await;
        inner.delete(&Path::from("vault.json")).await.unwrap();
        inner.replace(&slot_path(&slot), slot.to_json().unwrap()).await;
        let owner = if *slot.vault() == vault(7) { master(7) } else { master(1) };
        create_vault(inner.clone(), &owner, std::slice::from_ref(&slot), &SealedOptions::default()).await.unwrap();
        open(&inner, Unlock::Recovery(&recovery())).await.unwrap();
    }
}

#[tokio::test]
async fn wrong_keys_have_their_own_errors() {
    let inner = made(&[recovery_slot(), passphrase_slot()]).await;
    let other = RecoveryKey::from_bytes([1; 32]);
    let error = open(&inner, Unlock::Recovery(&other)).await.unwrap_err();
    assert!(matches!(error, VaultError::WrongKey { kind: SlotKind::Recovery, vault, .. } if vault == support::vault(1)), "{error}");
    let error = open(&inner, Unlock::Passphrase("incorrect horse")).await.unwrap_err();
    assert!(matches!(error, VaultError::WrongKey { kind: SlotKind::Passphrase, .. }), "{error}");
    assert!(!error.to_string().contains("incorrect horse"));
    let error = open(&inner, Unlock::Master(&master(2))).await.unwrap_err();
    assert!(matches!(error, VaultError::WrongVault { vault, .. } if vault == support::vault(1)), "{error}");
    let error = open(&Recording::new(), Unlock::Master(&master(1))).await.unwrap_err();
    assert!(matches!(error, VaultError::NoVault { .. }), "{error}");
    let bare = made(&[recovery_slot()]).await;
    let error = open(&bare, Unlock::Passphrase(WORDS)).await.unwrap_err();
    assert!(matches!(error, VaultError::NoSlot { kind: SlotKind::Passphrase, .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_slot_stops_no_other() {
    let (one, two) = (recovery_slot(), Slot::for_recovery(vault(1), &master(1), &recovery()).unwrap());
    for damage in [b"".to_vec(), b"{".to_vec(), vec![b' '; 1 << 20], one.to_json().unwrap()[1..].to_vec()] {
        let inner = made(&[one.clone(), two.clone(), passphrase_slot()]).await;
        inner.replace(&slot_path(&one), damage.clone()).await;
        open(&inner, Unlock::Recovery(&recovery())).await.unwrap();
        let (good, bad) = slots(&*inner).await.unwrap();
        assert_eq!((good.len(), bad.len()), (2, 1));
        assert_eq!(bad[0].object, slot_path(&one).to_string());
        // With the last good one gone, the damage is part of the answer.
        inner.delete(&slot_path(&two)).await.unwrap();
        let error = open(&inner, Unlock::Recovery(&recovery())).await.unwrap_err();
        assert!(error.to_string().contains(slot_path(&one).as_ref()), "{error}");
    }
    // A slot under another's name, and another vault's slot.
    let inner = made(std::slice::from_ref(&one)).await;
    inner.replace(&slot_path(&one), two.to_json().unwrap()).await;
    assert!(matches!(open(&inner, Unlock::Recovery(&recovery())).await, Err(VaultError::NoSlot { damaged, .. }) if damaged.len() == 1));
    let foreign = Slot::for_recovery(vault(2), &master(2), &recovery()).unwrap();
    inner.replace(&slot_path(&foreign), foreign.to_json().unwrap()).await;
    assert!(matches!(open(&inner, Unlock::Recovery(&recovery())).await, Err(VaultError::NoSlot { damaged, .. }) if damaged.len() == 2));
}

/// Whatever field of a slot is edited, it does not open; and never to another key.
#[test]
fn every_field_of_a_slot_is_bound() {
    let text = String::from_utf8(recovery_slot().to_json().unwrap()).unwrap();
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let hexadecimal = ["vault", "id", "salt", "check", "wrapped"];
    for field in hexadecimal {
        let value = fields[field].as_str().unwrap();
        for at in [0, value.len() / 2, value.len() - 1] {
            let mut edited = value.to_owned().into_bytes();
            edited[at] = if edited[at] == b'0' { b'1' } else { b'0' };
            let mut fields = fields.clone();
            fields.insert(field.to_owned(), String::from_utf8(edited).unwrap().into());
            let slot = Slot::from_json(&serde_json::to_vec(&fields).unwrap()).unwrap();
            let error = slot.open(SlotKey::Recovery(&recovery())).unwrap_err();
            let expected = if field == "wrapped" { SlotError::NotAuthentic } else { SlotError::WrongKey { kind: SlotKind::Recovery } };
            assert_eq!(error, expected, "{field} {at}");
        }
    }
    for (field, value) in [
        ("offsite", "vault".into()),
        ("version", 2.into()),
        ("more", 1.into()),
        ("salt", "00".into()),
        ("kdf", serde_json::json!({"name": "md5"})),
    ] {
        let mut fields = fields.clone();
        fields.insert(field.to_owned(), value);
        assert!(matches!(Slot::from_json(&serde_json::to_vec(&fields).unwrap()), Err(SlotError::Unreadable { .. })), "{field}");
    }
    let slot = Slot::from_json(text.as_bytes()).unwrap();
    assert_eq!(slot.open(SlotKey::Recovery(&recovery())).unwrap().expose(), master(1).expose());
    assert_eq!(slot.open(SlotKey::Passphrase(WORDS)).unwrap_err(), SlotError::OtherKind { kind: SlotKind::Recovery });
}

#[test]
fn costs_out_of_bounds_are_refused_before_they_cost() {
    let slot: serde_json::Value = serde_json::from_slice(&passphrase_slot().to_json().unwrap()).unwrap();
    for (field, values) in [("passes", [0, 2, 17]), ("memory_kib", [0, 65_535, 4_194_305]), ("lanes", [0, 3, 17])] {
        for value in values.into_iter().chain([u32::MAX]) {
            let mut edited = slot.clone();
            edited["kdf"][field] = value.into();
            let edited = Slot::from_json(&serde_json::to_vec(&edited).unwrap()).unwrap();
            assert!(matches!(edited.open(SlotKey::Passphrase(WORDS)), Err(SlotError::Cost { .. })), "{field} {value}");
        }
    }
    // Within bounds but edited: another key comes out, so the check refuses it.
    let mut edited = slot;
    edited["kdf"]["passes"] = 4.into();
    let edited = Slot::from_json(&serde_json::to_vec(&edited).unwrap()).unwrap();
    assert_eq!(edited.open(SlotKey::Passphrase(WORDS)).unwrap_err(), SlotError::WrongKey { kind: SlotKind::Passphrase });
    let weak = PassphraseCost { memory_kib: 1024, ..PassphraseCost::FLOOR };
    assert!(matches!(Slot::for_passphrase(vault(1), &master(1), WORDS, weak), Err(SlotError::Cost { .. })));
    assert_eq!(Slot::for_passphrase(vault(1), &master(1), "", PassphraseCost::FLOOR), Err(SlotError::EmptyPassphrase));
    assert_eq!(PassphraseCost::default(), PassphraseCost { passes: 3, memory_kib: 262_144, lanes: 4 });
}

#[tokio::test]
async fn a_damaged_header_says_so() {
    let good = made(&[recovery_slot()]).await.raw(&Path::from("vault.json")).await;
    let text = String::from_utf8(good).unwrap();
    let edited = text.replace(&vault(1).to_string(), &vault(2).to_string());
    for (header, expected) in [
        (String::new(), "damaged"),
        (text[..40].to_owned(), "damaged"),
        (text.replace("\"vault\"", "\"slot\""), "damaged"),
        (text.replace("}", ",\"more\":1}"), "damaged"),
        (text.replace("\"version\":1", "\"version\":2"), "version 2"),
        (" ".repeat(1 << 20), "longer than"),
        (edited, "another vault's"),
    ] {
        let inner = made(&[recovery_slot()]).await;
        inner.replace(&Path::from("vault.json"), header).await;
        let error = open(&inner, Unlock::Master(&master(1))).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
}

#[tokio::test]
async fn slots_come_and_go_but_a_recovery_key_stays() {
    let one = recovery_slot();
    let inner = made(std::slice::from_ref(&one)).await;
    let store: Arc<dyn ObjectStore> = inner.clone();
    add_slot(&store, &passphrase_slot()).await.unwrap();
    add_slot(&store, &passphrase_slot()).await.unwrap();
    open(&inner, Unlock::Passphrase(WORDS)).await.unwrap();
    assert!(matches!(remove_slot(&*inner, one.id()).await, Err(VaultError::LastRecovery { .. })));
    remove_slot(&*inner, passphrase_slot().id()).await.unwrap();
    remove_slot(&*inner, passphrase_slot().id()).await.unwrap();
    assert!(matches!(open(&inner, Unlock::Passphrase(WORDS)).await, Err(VaultError::NoSlot { .. })));
    let second = Slot::for_recovery(vault(1), &master(1), &RecoveryKey::from_bytes([3; 32])).unwrap();
    add_slot(&store, &second).await.unwrap();
    remove_slot(&*inner, one.id()).await.unwrap();
    assert!(matches!(open(&inner, Unlock::Recovery(&recovery())).await, Err(VaultError::WrongKey { .. })));
    open(&inner, Unlock::Recovery(&RecoveryKey::from_bytes([3; 32]))).await.unwrap();
}

/// What is gone or opens for nobody comes back, so that the paper opens; what may be somebody's good slot is told and left.
#[tokio::test]
async fn the_slots_of_a_key_are_kept_in_its_vault() {
    let own = [recovery_slot(), passphrase_slot()];
    let path = slot_path(&own[0]);
    let text = String::from_utf8(own[0].to_json().unwrap()).unwrap();
    let states = |found: Vec<(&Slot, SlotState)>| found.into_iter().map(|(_, state)| state).collect::<Vec<_>>();
    let other = Slot::for_recovery(vault(1), &master(1), &RecoveryKey::from_bytes([3; 32])).unwrap();
    let known = BTreeSet::from([*other.id()]);
    let damages = [
        None,
        Some(Vec::new()),
        Some(vec![b' '; 1 << 20]),
        Some(text.as_bytes()[..60].to_vec()),
        Some(other.to_json().unwrap()),
        Some(text.replace(&vault(1).to_string(), &vault(2).to_string()).into_bytes()),
    ];
    for damage in damages {
        let inner = made(&own).await;
        let store: Arc<dyn ObjectStore> = inner.clone();
        add_slot(&store, &other).await.unwrap();
        assert_eq!(states(keep_slots(&store, &own, &known).await.unwrap()), [SlotState::Same; 2]);
        let state = match damage {
            Some(bytes) => {
                inner.replace(&path, bytes).await;
                SlotState::Unreadable
            }
            None => {
                inner.delete(&path).await.unwrap();
                SlotState::Gone
            }
        };
        assert!(open(&inner, Unlock::Recovery(&recovery())).await.is_err());
        assert_eq!(states(slot_states(&*inner, &own, &known).await.unwrap()), [state, SlotState::Same]);
        assert!(open(&inner, Unlock::Recovery(&recovery())).await.is_err(), "looking puts nothing");
        assert_eq!(states(keep_slots(&store, &own, &known).await.unwrap()), [state, SlotState::Same]);
        assert_eq!(states(slot_states(&*inner, &own, &known).await.unwrap()), [SlotState::Same; 2]);
        open(&inner, Unlock::Recovery(&recovery())).await.unwrap();
        open(&inner, Unlock::Recovery(&RecoveryKey::from_bytes([3; 32]))).await.unwrap();
    }
    // The slot that is there is good, and the key's own has rotted: which of them it is nobody but the paper knows.
    let inner = made(&own).await;
    let store: Arc<dyn ObjectStore> = inner.clone();
    let fields: serde_json::Value = serde_json::from_str(&text).unwrap();
    for field in ["salt", "check", "wrapped"] {
        let mut rotten = fields.clone();
        let value = fields[field].as_str().unwrap();
        rotten[field] = format!("{}{}", if value.starts_with('0') { '1' } else { '0' }, &value[1..]).into();
        let rotten = [Slot::from_json(&serde_json::to_vec(&rotten).unwrap()).unwrap()];
        assert_eq!(states(keep_slots(&store, &rotten, &known).await.unwrap()), [SlotState::Differs], "{field}");
        open(&inner, Unlock::Recovery(&recovery())).await.unwrap();
    }
}

/// A paper lies there that the key does not know: so the key is the older one, and which of its own papers were revoked since it cannot tell.
#[tokio::test]
async fn an_older_key_puts_no_paper_back() {
    let (old, words) = (recovery_slot(), passphrase_slot());
    let new = Slot::for_recovery(vault(1), &master(1), &RecoveryKey::from_bytes([3; 32])).unwrap();
    let own = [old.clone(), words.clone()];
    let (none, mut revoked) = (BTreeSet::new(), BTreeSet::new());
    let states = |found: Vec<(&Slot, SlotState)>| found.into_iter().map(|(_, state)| state).collect::<Vec<_>>();
    for gone in [true, false] {
        let inner = made(std::slice::from_ref(&new)).await;
        let store: Arc<dyn ObjectStore> = inner.clone();
        if !gone {
            inner.replace(&slot_path(&old), "{}").await;
        }
        assert_eq!(states(keep_slots(&store, &own, &none).await.unwrap()), [SlotState::Older, SlotState::Gone], "the words are no paper");
        assert_eq!(states(keep_slots(&store, &own, &none).await.unwrap()), [SlotState::Older, SlotState::Same]);
        assert!(open(&inner, Unlock::Recovery(&recovery())).await.is_err(), "the revoked paper opens nothing");
        open(&inner, Unlock::Recovery(&RecoveryKey::from_bytes([3; 32]))).await.unwrap();
        // Once a person revokes it, it is known, and proves nothing any more.
        revoked = strangers(&*inner, &own, &none).await.unwrap();
        assert_eq!(revoked, [*new.id()].into());
        assert_eq!(states(keep_slots(&store, &own, &revoked).await.unwrap())[1], SlotState::Same);
        assert_eq!(states(slot_states(&*inner, &own, &none).await.unwrap()), [SlotState::Same; 2]);
    }
    assert!(!revoked.is_empty());
    // What is no paper of this vault proves nothing: another vault's, another's name, no slot at all, the words.
    let inner = made(std::slice::from_ref(&words)).await;
    let other = Slot::for_recovery(vault(2), &master(2), &RecoveryKey::from_bytes([3; 32])).unwrap();
    inner.replace(&slot_path(&other), other.to_json().unwrap()).await;
    inner.replace(&Path::from("slots/0.json"), new.to_json().unwrap()).await;
    inner.replace(&Path::from("slots/1.json"), vec![b' '; 1 << 20]).await;
    assert_eq!(states(slot_states(&*inner, std::slice::from_ref(&old), &none).await.unwrap()), [SlotState::Gone]);
}

#[tokio::test]
async fn too_many_slots_keep_no_machine_busy() {
    let inner = made(&[recovery_slot()]).await;
    for number in 0..64 {
        inner.replace(&Path::from(format!("slots/{number}.json")), "{}").await;
    }
    assert!(matches!(open(&inner, Unlock::Recovery(&recovery())).await, Err(VaultError::TooManySlots { .. })));
    open(&inner, Unlock::Master(&master(1))).await.unwrap();
}
