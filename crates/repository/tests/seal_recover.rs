//! Promise 7: the Python script gets archives out of every layout without any of our code, and refuses what is damaged.
//!
//! Needs Python with `cryptography` and `zstandard`; `OFFSITE_PYTHON` names the interpreter. Without them the test says so and is skipped,
//! unless `OFFSITE_LAB=require`.
#![cfg(feature = "seal")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod common;
#[path = "seal_support/mod.rs"]
mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use common::{holding, three};
use object_store::ObjectStore;
use offsite_repository::{
    CopyOptions, Layout, LocalStore, Repository, copy,
    seal::{PassphraseCost, RecoveryKey, SealedOptions, Slot, create_vault},
};
use support::{master, vault};

const WORDS: &str = "correct horse battery staple";

fn python() -> String {
    std::env::var("OFFSITE_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

fn can_run() -> bool {
    let needs = "import zstandard; from cryptography.hazmat.primitives.kdf.argon2 import Argon2id";
    let found = Command::new(python()).args(["-c", needs]).output().is_ok_and(|output| output.status.success());
    let required = std::env::var("OFFSITE_LAB").is_ok_and(|value| value == "require");
    assert!(found || !required, "{} lacks cryptography or zstandard", python());
    if !found {
        eprintln!("skipped: {} lacks cryptography or zstandard", python());
    }
    found
}

fn recover(folder: &Path, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/recover/offsite_recover.py");
    Command::new(python()).arg(script).arg(folder).args(arguments).env("OFFSITE_PASSPHRASE", WORDS).output().unwrap()
}

/// A folder that holds the three archives in a layout.
async fn folder(layout: Layout, root: &Path) {
    let store: Arc<dyn ObjectStore> = Arc::new(LocalStore::create(root).unwrap());
    let to = if layout == Layout::Sealed {
        let slots = [
            Slot::for_recovery(vault(1), &master(1), &RecoveryKey::from_bytes([0x42; 32])).unwrap(),
            Slot::for_passphrase(vault(1), &master(1), WORDS, PassphraseCost::FLOOR).unwrap(),
        ];
        create_vault(store, &master(1), &slots, &SealedOptions::default()).await.unwrap()
    } else {
        Repository::create(store, layout).await.unwrap()
    };
    if layout == Layout::Plain {
        for archive in three() {
            common::put(&to, &archive, 1 << 20).await;
        }
        return;
    }
    let from = holding(Layout::Packs, &three(), 1 << 20).await;
    let mut held = to.index().await.unwrap();
    for archive in three() {
        let options = CopyOptions { pack_target: 300_000, ..CopyOptions::default() };
        copy(&from, &to, &mut held, &archive.name, &options, &|_| ()).await.unwrap();
    }
}

#[tokio::test]
async fn every_layout_opens_without_offsite() {
    if !can_run() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("key.txt");
    fs::write(&key, RecoveryKey::from_bytes([0x42; 32]).to_string().to_lowercase().replace('-', "\n")).unwrap();
    let key = key.to_str().unwrap();
    for (layout, unlock) in [
        (Layout::Plain, vec![]),
        (Layout::Packs, vec![]),
        (Layout::Sealed, vec!["--key-file", key]),
        (Layout::Sealed, vec!["--passphrase"]),
    ] {
        let place = tempfile::tempdir_in(scratch.path()).unwrap();
        let root = place.path().join("repository");
        folder(layout, &root).await;
        let listed = recover(&root, &unlock);
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), 3);
        for archive in three() {
            let output = recover(&root, &[unlock.as_slice(), &[&archive.name.to_string(), "-o", "-"]].concat());
            assert!(output.status.success(), "{layout}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout == archive.raw, "{layout}: {} differs", archive.name);
        }
        let newest = recover(&root, &[unlock.as_slice(), &["services/newest", "-o", "-"]].concat());
        assert!(newest.stdout == three()[2].raw);
    }
}

#[tokio::test]
async fn the_script_refuses_what_is_damaged() {
    if !can_run() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (root, key) = (scratch.path().join("vault"), scratch.path().join("key.txt"));
    folder(Layout::Sealed, &root).await;
    let error = |typed: &str| {
        fs::write(&key, typed).unwrap();
        let output = recover(&root, &["--key-file", key.to_str().unwrap(), "services/newest", "-o", "-"]);
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let good = RecoveryKey::from_bytes([0x42; 32]).to_string();
    assert!(error(&good).0);
    let (passed, message) = error(&RecoveryKey::from_bytes([0x43; 32]).to_string());
    assert!(!passed && message.contains("no key slot"), "{message}");
    let group = good.split('-').nth(4).unwrap();
    let slip = group.chars().rev().collect::<String>();
    let (passed, message) = error(&good.replacen(group, &slip, 1));
    assert!(!passed && message.contains("has a slip in it"), "{message}");
    for pack in fs::read_dir(root.join("packs")).unwrap() {
        let pack = pack.unwrap().path();
        let mut bytes = fs::read(&pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, bytes).unwrap();
    }
    let (passed, message) = error(&good);
    assert!(!passed && message.contains("not authentic"), "{message}");
}

/// Members of the tar on standard output, by GNU tar, which reads it without complaint.
fn members(tar: &[u8]) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), tar).unwrap();
    let listed = Command::new("tar").arg("-tf").arg(file.path()).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Each frame of the golden archive in turn: out of what is left comes a tar of just the members that touch it nowhere.
#[test]
fn one_damaged_frame_costs_what_lies_in_it() {
    if !can_run() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    golden(root.path(), "v2", "archive/small.manifest.zst");
    let path = root.path().join("archives/demo/2026-11-22T040000Z.tar.zst");
    let good = fs::read(&path).unwrap();
    let get = |more: &[&str]| recover(root.path(), &[&["demo/newest", "-o", "-"], more].concat());
    let whole = get(&[]).stdout;
    assert!(get(&["--skip-damaged"]).stdout == whole && members(&whole).len() == 7, "nothing is damaged yet");

    let dump = ["dump.sql"].as_slice();
    let head = ["", "dump.sql"].as_slice();
    let middle = ["empty", "hello.txt", "library.db", "second"].as_slice();
    let (database, end) = (["library.db"].as_slice(), ["link", "second"].as_slice());
    let lengths = [121, 6204, 3367, 2988, 161, 82, 81, 81, 81, 61, 137];
    let lost = [head, dump, dump, dump, middle, database, database, database, database, database, end];
    let mut at = 0;
    for (length, lost) in lengths.into_iter().zip(lost) {
        let mut bad = good.clone();
        // Of the checksum at the frame's end.
        bad[at + length - 1] ^= 1;
        at += length;
        fs::write(&path, bad).unwrap();
        let refused = get(&[]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(1) && said.contains("--skip-damaged writes what is whole"), "{said}");
        let kept = get(&["--skip-damaged"]);
        let said = String::from_utf8(kept.stderr).unwrap();
        assert_eq!(kept.status.code(), Some(3), "{said}");
        assert!(said.contains(&format!("{} of 7 members", lost.len())) && said.contains("is damaged"), "{said}");
        let mut there = members(&kept.stdout);
        for name in lost {
            let name = if name.is_empty() { "srv/demo/".to_owned() } else { format!("srv/demo/{name}") };
            assert!(said.contains(&format!("left out: '/{}'\n", name.trim_end_matches('/'))), "{said}");
            there.push(name);
        }
        there.sort();
        let mut all = members(&whole);
        all.sort();
        assert_eq!(there, all);
        // What is kept is, piece by piece, the same bytes.
        assert!(kept.stdout.chunks(512).all(|block| whole.chunks(512).any(|other| other == block)));
    }
}

#[tokio::test]
async fn what_a_missing_pack_held_is_left_out() {
    if !can_run() {
        return;
    }
    for layout in [Layout::Packs, Layout::Sealed] {
        let root = tempfile::tempdir().unwrap();
        folder(layout, root.path()).await;
        for pack in fs::read_dir(root.path().join("packs")).unwrap() {
            fs::remove_file(pack.unwrap().path()).unwrap();
        }
        let kept = recover(root.path(), &["--passphrase", "services/newest", "-o", "-", "--skip-damaged"]);
        let said = String::from_utf8(kept.stderr).unwrap();
        assert_eq!(kept.status.code(), Some(3), "{said}");
        assert!(said.contains("is in no pack here") && said.contains("left out: '/srv/data'\n1 of 1 members"), "{said}");
        assert_eq!(members(&kept.stdout), [""; 0]);
    }
}

/// A plain repository of one golden archive, with that manifest.
fn golden(root: &Path, version: &str, manifest: &str) {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(version);
    for folder in ["archives/demo", "manifests/demo"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(
        root.join("repository.json"),
        r#"{"offsite":"repository","version":1,"layout":"plain","id":"00112233445566778899aabbccddeeff"}"#,
    )
    .unwrap();
    fs::copy(vectors.join("archive/small.tar.zst"), root.join("archives/demo/2026-11-22T040000Z.tar.zst")).unwrap();
    fs::copy(vectors.join(manifest), root.join("manifests/demo/2026-11-22T040000Z.zst")).unwrap();
}

#[test]
fn the_script_opens_every_version_and_checks_its_digest() {
    if !can_run() {
        return;
    }
    let streams = ["v1", "v2"].map(|version| {
        let root = tempfile::tempdir().unwrap();
        golden(root.path(), version, "archive/small.manifest.zst");
        let output = recover(root.path(), &["demo/newest", "-o", "-"]);
        assert!(output.status.success(), "{version}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    });
    assert!(!streams[0].is_empty() && streams[0] == streams[1]);

    let hashes = Command::new(python()).args(["-c", "import blake3"]).output().unwrap().status.success();
    let required = std::env::var("OFFSITE_LAB").is_ok_and(|value| value == "require");
    assert!(hashes || !required, "{} lacks blake3", python());
    let mut bad = vec![("manifest/bad-version-3.zst".to_owned(), "a version that this script does not know")];
    if hashes {
        let defects = ["digest", "digest-of-the-stream", "frame-order", "frame-raw"];
        bad.extend(defects.map(|defect| (format!("manifest/bad-{defect}.zst"), "the digest is not that of its frames")));
    } else {
        eprintln!("skipped in part: {} lacks blake3", python());
    }
    for (manifest, reason) in bad {
        let root = tempfile::tempdir().unwrap();
        golden(root.path(), "v2", &manifest);
        let output = recover(root.path(), &["demo/2026-11-22T040000Z", "-o", "-"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty() && said.contains(reason), "{manifest}: {said}");
    }
}
