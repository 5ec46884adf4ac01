//! Golden sealed objects below `tests/vectors/v1/seal`: a small vault that must always open, and damaged objects that must always be refused.
//!
//! The vault holds the small archive of `tests/vectors/v1/archive`. Files never change; the maker (ignored, `OFFSITE_MAKE_VECTORS=1`) writes
//! only into an empty folder, because salts and ids are random.
#![cfg(feature = "seal")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[path = "seal_support/mod.rs"]
mod support;

use std::{
    fs,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use offsite_archive::Manifest;
use offsite_repository::{CopyOptions, Layout, Repository, Scope, archive_path, copy, export, manifest_path, seal::*, verify};
use support::{Recording, run};

const PASSPHRASE: &str = "the passphrase of a vector, pas secret à personne";

fn root() -> PathBuf {
    FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/v1")
}

fn vector(name: &str) -> Vec<u8> {
    fs::read(root().join(name)).unwrap_or_else(|error| panic!("read vector {name}: {error}"))
}

fn master() -> MasterKey {
    MasterKey::from_bytes(std::array::from_fn(|at| at as u8))
}

fn recovery() -> RecoveryKey {
    String::from_utf8(vector("seal/recovery-key.txt")).unwrap().parse().unwrap()
}

fn files(folder: &FilePath) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// The small vault, in memory.
async fn vault() -> Arc<Recording> {
    let (inner, folder) = (Recording::new(), root().join("seal/small"));
    for file in files(&folder) {
        let path = Path::from(file.strip_prefix(&folder).unwrap().to_str().unwrap());
        inner.replace(&path, fs::read(&file).unwrap()).await;
    }
    inner
}

async fn only(inner: &Recording, folder: &str) -> Path {
    let listed = inner.list_with_delimiter(Some(&Path::from(folder))).await.unwrap();
    assert_eq!(listed.objects.len(), 1);
    listed.objects[0].location.clone()
}

#[tokio::test]
async fn the_small_vault_opens_as_ever() {
    let inner = vault().await;
    for unlock in [Unlock::Master(&master()), Unlock::Recovery(&recovery()), Unlock::Passphrase(PASSPHRASE)] {
        let cloud = open_vault(inner.clone(), unlock, &SealedOptions::default()).await.unwrap();
        let archives = cloud.archives().await.unwrap();
        assert_eq!((archives.good.len(), archives.unreadable.len()), (1, 0));
        let mut file = Vec::new();
        export(&cloud, &archives.good[0].name, &mut file, &|_| ()).await.unwrap();
        assert!(file == vector("archive/small.tar.zst"));
        assert!(verify(&cloud, &Scope::All, &|_| ()).await.unwrap().is_whole());
    }
    assert!(open_vault(inner, Unlock::Passphrase("another"), &SealedOptions::default()).await.is_err());
}

/// Each damaged manifest object, by the name of its file, and the error it must give.
fn expected(name: &str, error: &SealError) -> bool {
    match name {
        "bad-magic" => matches!(error, SealError::NotSealed { .. }),
        "bad-version" => matches!(error, SealError::UnknownVersion { version: '2', .. }),
        "bad-kind" => matches!(error, SealError::WrongKind { found: 1, .. }),
        "bad-reserved" => matches!(error, SealError::NotAuthentic { part: Part::Header, .. }),
        "bad-vault" => matches!(error, SealError::WrongVault { .. }),
        "bad-id" => matches!(error, SealError::WrongObject { .. }),
        "bad-salt" | "bad-commitment" | "bad-other-kind" => matches!(error, SealError::NotAuthentic { part: Part::Commitment, .. }),
        "bad-chunk" | "bad-tag" | "bad-cut-by-one" | "bad-one-more" => {
            matches!(error, SealError::NotAuthentic { part: Part::Chunk(0), .. })
        }
        "bad-empty" | "bad-header-only" => matches!(error, SealError::Truncated { .. }),
        _ => panic!("no expectation for {name}"),
    }
}

#[tokio::test]
async fn damaged_objects_are_refused_as_ever() {
    let bad: Vec<PathBuf> = files(&root().join("seal"))
        .into_iter()
        .filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("bad-") && file.extension().is_none())
        .collect();
    assert_eq!(bad.len(), 15);
    for file in bad {
        let inner = vault().await;
        let path = only(&inner, "manifests").await;
        inner.replace(&path, fs::read(&file).unwrap()).await;
        let cloud = open_vault(inner, Unlock::Master(&master()), &SealedOptions::default()).await.unwrap();
        let error = support::seal_error(cloud.store().get(&path).await);
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(expected(name, &error), "{name}: {error}");
    }
}

#[test]
fn damaged_slots_are_refused_as_ever() {
    let slot = |name: &str| Slot::from_json(&vector(&format!("seal/{name}.json")));
    let open = |name: &str| slot(name).unwrap().open(SlotKey::Recovery(&recovery())).unwrap_err();
    for name in ["bad-slot-version", "bad-slot-unknown-field", "bad-slot-short-salt"] {
        assert!(matches!(slot(name), Err(SlotError::Unreadable { .. })), "{name}");
    }
    assert_eq!(open("bad-slot-check"), SlotError::WrongKey { kind: SlotKind::Recovery });
    assert_eq!(open("bad-slot-vault"), SlotError::WrongKey { kind: SlotKind::Recovery });
    assert_eq!(open("bad-slot-wrapped"), SlotError::NotAuthentic);
    for name in ["bad-slot-weak", "bad-slot-huge"] {
        assert!(matches!(slot(name).unwrap().open(SlotKey::Passphrase(PASSPHRASE)), Err(SlotError::Cost { .. })), "{name}");
    }
}

#[test]
#[ignore = "makes vectors"]
fn make() {
    if std::env::var_os("OFFSITE_MAKE_VECTORS").is_none_or(|value| value != "1") {
        eprintln!("skipped: vectors are made only with OFFSITE_MAKE_VECTORS=1");
        return;
    }
    let folder = root().join("seal");
    // Ids and salts are random, so nothing that was made can be made again: a second run must not mix two vaults.
    fs::create_dir(&folder).expect("vectors are never overwritten");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut fs::File::create_new(path).unwrap(), bytes).unwrap();
    };
    let recovery = RecoveryKey::from_bytes(std::array::from_fn(|at| (at * 7 + 3) as u8));
    write("recovery-key.txt", format!("{recovery}\n").as_bytes());
    write("passphrase.txt", PASSPHRASE.as_bytes());
    run(async {
        let inner = Recording::new();
        let id = VaultId::random().unwrap();
        let slots = [
            Slot::for_recovery(id, &master(), &recovery).unwrap(),
            Slot::for_passphrase(id, &master(), PASSPHRASE, PassphraseCost::FLOOR).unwrap(),
        ];
        let cloud = create_vault(inner.clone(), &master(), &slots, &SealedOptions::default()).await.unwrap();
        let (file, object) = (vector("archive/small.tar.zst"), vector("archive/small.manifest.zst"));
        let name = Manifest::read(&object).unwrap().head.archive;
        let pi = Repository::create(Arc::new(InMemory::new()), Layout::Plain).await.unwrap();
        pi.store().put(&archive_path(&name), file.into()).await.unwrap();
        pi.store().put(&manifest_path(&name), object.into()).await.unwrap();
        let mut held = cloud.index().await.unwrap();
        copy(&pi, &cloud, &mut held, &name, &CopyOptions::default(), &|_| ()).await.unwrap();
        let listed: Vec<_> = futures::TryStreamExt::try_collect(inner.list(None)).await.unwrap();
        for meta in &listed {
            let meta: &object_store::ObjectMeta = meta;
            write(&format!("small/{}", meta.location), &inner.raw(&meta.location).await);
        }
        let good = inner.raw(&only(&inner, "manifests").await).await;
        let flipped = |at: usize, flip: u8| {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            bytes
        };
        for (name, bytes) in [
            ("bad-magic", flipped(1, 1)),
            ("bad-version", flipped(3, b'1' ^ b'2')),
            ("bad-kind", flipped(4, 2 ^ 1)),
            ("bad-reserved", flipped(6, 1)),
            ("bad-vault", flipped(8, 1)),
            ("bad-id", flipped(39, 1)),
            ("bad-salt", flipped(40, 1)),
            ("bad-commitment", flipped(95, 0x80)),
            ("bad-chunk", flipped(96, 1)),
            ("bad-tag", flipped(good.len() - 1, 1)),
            ("bad-cut-by-one", good[..good.len() - 1].to_vec()),
            ("bad-one-more", [good.as_slice(), &[0]].concat()),
            ("bad-empty", Vec::new()),
            ("bad-header-only", good[..40].to_vec()),
        ] {
            write(name, &bytes);
        }
        // The index object with a header that says it is this manifest.
        let mut other = inner.raw(&only(&inner, "index").await).await;
        other[..40].copy_from_slice(&good[..40]);
        write("bad-other-kind", &other);

        let edit = |slot: &Slot, edit: &dyn Fn(&mut serde_json::Value)| {
            let mut json = serde_json::from_slice(&slot.to_json().unwrap()).unwrap();
            edit(&mut json);
            serde_json::to_vec(&json).unwrap()
        };
        write("bad-slot-version.json", &edit(&slots[0], &|json| json["version"] = 2.into()));
        write("bad-slot-unknown-field.json", &edit(&slots[0], &|json| json["hint"] = "none".into()));
        write("bad-slot-short-salt.json", &edit(&slots[0], &|json| json["salt"] = "00".into()));
        write("bad-slot-check.json", &edit(&slots[0], &|json| json["check"] = "00".repeat(32).into()));
        write("bad-slot-vault.json", &edit(&slots[0], &|json| json["vault"] = "00".repeat(16).into()));
        write("bad-slot-wrapped.json", &edit(&slots[0], &|json| json["wrapped"] = "00".repeat(80).into()));
        write("bad-slot-weak.json", &edit(&slots[1], &|json| json["kdf"]["memory_kib"] = 1024.into()));
        write("bad-slot-huge.json", &edit(&slots[1], &|json| json["kdf"]["memory_kib"] = u32::MAX.into()));
    });
}
