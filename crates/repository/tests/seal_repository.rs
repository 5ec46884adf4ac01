//! A sealed repository does what the others do: it takes archives, gives them back, notices damage, and reads no pack but to restore.
#![cfg(feature = "seal")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod common;
#[path = "seal_support/mod.rs"]
mod support;

use std::sync::Arc;

use common::{holding, three};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use offsite_archive::ArchiveName;
use offsite_repository::{
    CopyOptions, Layout, Repository, Scope, apply_prune, copy, export, forget, lacking, plan_prune,
    seal::{RecoveryKey, SealedOptions, Slot, Unlock, create_vault, open_vault},
    verify,
};
use support::{Recording, content, master, vault};

fn recovery() -> RecoveryKey {
    RecoveryKey::from_bytes([0x42; 32])
}

async fn cloud() -> (Arc<Recording>, Repository) {
    let inner = Recording::new();
    let slot = Slot::for_recovery(vault(1), &master(1), &recovery()).unwrap();
    let repository = create_vault(inner.clone(), &master(1), &[slot], &SealedOptions::default()).await.unwrap();
    (inner, repository)
}

async fn push(from: &Repository, to: &Repository, name: &ArchiveName) {
    let mut held = to.index().await.unwrap();
    let options = CopyOptions { pack_target: 300_000, ..CopyOptions::default() };
    copy(from, to, &mut held, name, &options, &|_| ()).await.unwrap();
}

/// A cloud that holds the three archives.
async fn pushed() -> (Arc<Recording>, Repository) {
    let mac = holding(Layout::Packs, &three(), 1 << 20).await;
    let (inner, cloud) = cloud().await;
    for archive in three() {
        push(&mac, &cloud, &archive.name).await;
    }
    (inner, cloud)
}

async fn names(inner: &Recording, folder: &str) -> Vec<Path> {
    let mut names: Vec<Path> = inner.list(Some(&Path::from(folder))).map_ok(|meta| meta.location).try_collect().await.unwrap();
    names.sort();
    names
}

#[tokio::test]
async fn there_and_back_on_a_new_machine() {
    let (inner, cloud) = pushed().await;
    assert!(verify(&cloud, &Scope::All, &|_| ()).await.unwrap().is_whole());
    let key: RecoveryKey = recovery().to_string().parse().unwrap();
    let cloud = open_vault(inner, Unlock::Recovery(&key), &SealedOptions::default()).await.unwrap();
    let mac = holding(Layout::Packs, &[], 1 << 20).await;
    for archive in three() {
        push(&cloud, &mac, &archive.name).await;
        let (mut direct, mut restored) = (Vec::new(), Vec::new());
        export(&cloud, &archive.name, &mut direct, &|_| ()).await.unwrap();
        export(&mac, &archive.name, &mut restored, &|_| ()).await.unwrap();
        assert!(direct == archive.file && restored == archive.file, "{}", archive.name);
    }
    assert!(verify(&mac, &Scope::All, &|_| ()).await.unwrap().is_whole());
}

/// Promise 6: listing, indexing, pushing more, forgetting and pruning cost no read of a pack.
#[tokio::test]
async fn cold_packs_are_never_read_but_to_restore() {
    let (inner, _) = pushed().await;
    let cloud = open_vault(inner.clone(), Unlock::Master(&master(1)), &SealedOptions::default()).await.unwrap();
    inner.forget_requests();
    assert_eq!(cloud.archives().await.unwrap().good.len(), 3);
    assert!(lacking(&cloud).await.unwrap().is_empty());
    let more = common::made("services/2026-11-23T040000Z", 4, &common::chunks(60, 3));
    let mac = holding(Layout::Packs, std::slice::from_ref(&more), 1 << 20).await;
    push(&mac, &cloud, &more.name).await;
    forget(&cloud, std::slice::from_ref(&more.name)).await.unwrap();
    let plan = plan_prune(&cloud).await.unwrap();
    apply_prune(&cloud, &plan).await.unwrap();
    assert_eq!(cloud.archives().await.unwrap().good.len(), 3);
    let read: Vec<_> = inner.requests().into_iter().filter(|(verb, path, _)| *verb != "put" && path.starts_with("packs/")).collect();
    assert!(read.is_empty(), "{read:?}");
    assert!(verify(&cloud, &Scope::All, &|_| ()).await.unwrap().is_whole());
}

/// What the cloud sees: random ids and sealed bytes. No name, no frame id, no sequence of clear bytes of any archive.
#[tokio::test]
async fn nothing_clear_comes_from_content() {
    let (first, second) = (pushed().await.0, pushed().await.0);
    let mut seen = Vec::new();
    for inner in [first, second] {
        let mut listed: Vec<Path> = inner.list(None).map_ok(|meta| meta.location).try_collect().await.unwrap();
        // The recovery script and its pages are this program's, the same in every vault.
        listed.retain(|path| !path.as_ref().starts_with("recover/"));
        for path in &listed {
            let (folder, name) = path.as_ref().split_once('/').unwrap_or(("", path.as_ref()));
            let id = name.strip_suffix(".json").unwrap_or(name);
            let random = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(
                matches!((folder, random), ("packs" | "index" | "manifests" | "slots", true)) || path.as_ref() == "vault.json",
                "{path}"
            );
            let bytes = inner.raw(path).await;
            for archive in three() {
                for (id, _, encoded) in &archive.frames {
                    for clear in [id.as_bytes().as_slice(), &encoded[encoded.len() / 2..][..16]] {
                        assert!(!bytes.windows(clear.len()).any(|window| window == clear), "{path} shows a frame");
                    }
                }
                let name = archive.name.job.as_str().as_bytes();
                assert!(!bytes.windows(name.len()).any(|window| window == name), "{path} shows a job");
            }
        }
        seen.push(listed.into_iter().filter(|path| path.as_ref() != "vault.json").collect::<Vec<_>>());
    }
    assert!(seen[0].iter().all(|path| !seen[1].contains(path)), "the same archives pushed twice share a name");
}

#[tokio::test]
async fn damage_is_found_and_the_rest_restores() {
    for folder in ["packs", "index", "manifests"] {
        for damage in ["flip", "cut", "swap"] {
            let (inner, _) = pushed().await;
            let objects = names(&inner, folder).await;
            assert!(objects.len() >= 2, "{folder} has {}", objects.len());
            let (one, two) = (inner.raw(&objects[0]).await, inner.raw(&objects[1]).await);
            let mut edited = one.clone();
            match damage {
                "flip" => edited[one.len() / 2] ^= 1,
                "cut" => edited.truncate(one.len() - 1),
                _ => edited = two,
            }
            inner.replace(&objects[0], edited).await;
            let cloud = open_vault(inner.clone(), Unlock::Master(&master(1)), &SealedOptions::default()).await.unwrap();
            let found = verify(&cloud, &Scope::All, &|_| ()).await.unwrap();
            assert!(!found.is_whole(), "{damage} of {folder} went unnoticed");
            let archives = cloud.archives().await.unwrap();
            assert_eq!(archives.good.len() + archives.unreadable.len(), 3);
            // Whatever is reported whole does restore, byte for byte.
            for (name, damages) in &found.archives {
                let mut out = Vec::new();
                let exported = export(&cloud, name, &mut out, &|_| ()).await;
                if damages.is_empty() {
                    exported.unwrap();
                    assert!(out == three().iter().find(|archive| archive.name == *name).unwrap().file);
                } else {
                    assert!(exported.is_err(), "{damage} of {folder}: {name} has {damages:?} and exports");
                }
            }
        }
    }
}

/// The cloud may give back an older object under its old name, but not under another's; and it cannot bring its own.
#[tokio::test]
async fn another_vaults_objects_are_refused() {
    let (inner, _) = pushed().await;
    let foreign = Recording::new();
    let slot = Slot::for_recovery(vault(2), &master(2), &recovery()).unwrap();
    let other = create_vault(foreign.clone(), &master(2), &[slot], &SealedOptions::default()).await.unwrap();
    let mac = holding(Layout::Packs, &three(), 1 << 20).await;
    push(&mac, &other, &three()[0].name).await;
    for folder in ["packs", "index", "manifests"] {
        for path in names(&foreign, folder).await {
            inner.replace(&path, foreign.raw(&path).await).await;
        }
    }
    inner.put(&Path::from(format!("manifests/{}", "0".repeat(32))), content(1000).into()).await.unwrap();
    let cloud = open_vault(inner, Unlock::Master(&master(1)), &SealedOptions::default()).await.unwrap();
    let archives = cloud.archives().await.unwrap();
    assert_eq!((archives.good.len(), archives.unreadable.len()), (3, 2));
}
