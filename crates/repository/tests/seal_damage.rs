//! What the untrusted side can do to a sealed object, and that each of it is noticed, named, and never yields a wrong byte.
#![cfg(feature = "seal")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[path = "seal_support/mod.rs"]
mod support;

use std::{ops::Range, sync::Arc};

use object_store::ObjectStore;
use object_store::{ObjectStoreExt, PutMode, chunked::ChunkedStore, path::Path};
use offsite_repository::seal::{Part, SealError, SealKeys, SealedOptions, SealedStore, sealed_length};
use support::*;

const LENGTH: usize = 50_000;

/// A sealed pack of constant content, as raw bytes.
async fn sealed(folder: &str, number: u8, content: &[u8]) -> Vec<u8> {
    let (inner, store) = pair();
    store.put_opts(&path(folder, number), content.to_vec().into(), PutMode::Create.into()).await.unwrap();
    inner.raw(&path(folder, number)).await
}

/// Reads `bytes` as the object at `path`, with a store that has not seen it before.
async fn whole(path: &Path, bytes: &[u8]) -> object_store::Result<Vec<u8>> {
    let (inner, store) = pair();
    inner.replace(path, bytes).await;
    Ok(store.get(path).await?.bytes().await?.into())
}

async fn part(path: &Path, bytes: &[u8], range: Range<u64>) -> object_store::Result<Vec<u8>> {
    let (inner, store) = pair();
    inner.replace(path, bytes).await;
    let one = store.get_range(path, range.clone()).await;
    let many = store.get_ranges(path, std::slice::from_ref(&range)).await;
    match (one, many) {
        (Ok(one), Ok(many)) => {
            assert_eq!(one, many[0]);
            Ok(one.into())
        }
        (Err(error), Err(_)) => Err(error),
        (one, many) => panic!("one range and many disagree: {one:?}, {many:?}"),
    }
}

/// The same error, whole or in part; it names the object.
async fn refused(path: &Path, bytes: &[u8]) -> SealError {
    let error = seal_error(whole(path, bytes).await);
    assert!(error.to_string().contains(path.as_ref()), "{error}");
    let partial = seal_error(part(path, bytes, 0..10).await);
    assert_eq!(error.to_string(), partial.to_string());
    error
}

#[tokio::test]
async fn every_truncation_is_refused_from_any_range() {
    let (path, content) = (path("packs", 1), content(LENGTH));
    let good = sealed("packs", 1, &content).await;
    let edges = (0..=4).flat_map(|chunk| [0usize, 1, 15, 16, 17].map(|more| 96 + 16_400 * chunk + more));
    let before = (1..=4).flat_map(|chunk| [1usize, 16, 17].map(|less| 96 + 16_400 * chunk - less));
    let sampled = (0..100).chain((100..good.len()).step_by(977)).chain(good.len() - 20..good.len());
    for length in edges.chain(before).chain(sampled).filter(|length| *length < good.len()) {
        let cut = &good[..length];
        let error = seal_error(whole(&path, cut).await);
        // Cut inside its first chunk, an object cannot yet say how long it should be.
        let expected = match length {
            0..112 => matches!(error, SealError::Truncated { .. }),
            112..16_512 => matches!(error, SealError::Truncated { .. } | SealError::NotAuthentic { part: Part::Chunk(0), .. }),
            _ => matches!(error, SealError::Truncated { found, .. } if found == length as u64),
        };
        assert!(expected, "{length}: {error}");
        for range in [0..1, 0..LENGTH as u64, 20_000..20_001, LENGTH as u64 - 1..LENGTH as u64] {
            seal_error(part(&path, cut, range).await);
        }
    }
    assert_eq!(whole(&path, &good).await.unwrap(), content, "and the whole one is good");
}

#[tokio::test]
async fn what_is_added_is_refused() {
    let path = path("index", 1);
    for length in [0usize, 5, 16_376, LENGTH] {
        let good = sealed("index", 1, &content(length)).await;
        for added in [1usize, 15, 16, 17, 16_399, 16_400, 16_401, 40_000] {
            let mut longer = good.clone();
            longer.resize(good.len() + added, 0);
            let error = refused(&path, &longer).await;
            let known = matches!(
                error,
                SealError::Extended { .. } | SealError::Truncated { .. } | SealError::NotAuthentic { part: Part::Chunk(0), .. }
            );
            assert!(known, "{length} and {added}: {error}");
        }
    }
}

#[tokio::test]
async fn every_header_byte_is_checked() {
    let path = path("packs", 1);
    let good = sealed("packs", 1, &content(100)).await;
    for at in 0..96 {
        for flip in [1u8, 2, 0x80, 0xff] {
            let mut edited = good.clone();
            edited[at] ^= flip;
            let error = refused(&path, &edited).await;
            let right = match at {
                0..3 => matches!(error, SealError::NotSealed { .. }),
                3 => matches!(error, SealError::UnknownVersion { .. }),
                4 => matches!(error, SealError::WrongKind { found, .. } if found == 1 ^ flip),
                5..8 => matches!(error, SealError::NotAuthentic { part: Part::Header, .. }),
                8..24 => matches!(error, SealError::WrongVault { expected, .. } if expected == vault(1)),
                24..40 => matches!(error, SealError::WrongObject { .. }),
                _ => matches!(error, SealError::NotAuthentic { part: Part::Commitment, .. }),
            };
            assert!(right, "byte {at}: {error}");
        }
    }
}

#[tokio::test]
async fn a_flip_anywhere_is_found_and_no_wrong_byte_gets_out() {
    let (path, content) = (path("manifests", 1), content(LENGTH));
    let good = sealed("manifests", 1, &content).await;
    for at in (96..good.len()).step_by(1231).chain([96, 16_495, 16_496, good.len() - 17, good.len() - 16, good.len() - 1]) {
        let mut edited = good.clone();
        edited[at] ^= 0x10;
        let chunk = (at as u64 - 96) / 16_400;
        let error = seal_error(whole(&path, &edited).await);
        assert!(matches!(error, SealError::NotAuthentic { part: Part::Chunk(found), .. } if found == chunk), "{at}: {error}");
        for range in [0..10, 16_370..16_380, 30_000..40_000, 49_000..50_000] {
            let touched = (range.start + 8) / 16_384..=(range.end + 7) / 16_384;
            match part(&path, &edited, range.clone()).await {
                Ok(bytes) => {
                    assert!(chunk != 0 && !touched.contains(&chunk), "byte {at} let {range:?} out");
                    assert_eq!(bytes, content[range.start as usize..range.end as usize]);
                }
                Err(error) => assert!(chunk == 0 || touched.contains(&chunk), "byte {at}, {range:?}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn swapped_renamed_and_rekinded() {
    let (one, two) = (sealed("packs", 1, b"one").await, sealed("packs", 2, b"two").await);
    let renamed = refused(&path("packs", 2), &one).await;
    assert!(matches!(&renamed, SealError::WrongObject { found, .. } if *found == "01".repeat(16)), "{renamed}");
    let swapped = refused(&path("packs", 1), &two).await;
    assert!(matches!(&swapped, SealError::WrongObject { found, .. } if *found == "02".repeat(16)), "{swapped}");
    let moved = refused(&path("index", 1), &one).await;
    assert!(matches!(moved, SealError::WrongKind { found: 1, .. }), "{moved}");

    // The same with headers edited to fit: the key derivation knows better.
    let mut edited = two.clone();
    edited[24..40].copy_from_slice(&[1; 16]);
    let error = refused(&path("packs", 1), &edited).await;
    assert!(matches!(error, SealError::NotAuthentic { part: Part::Commitment, .. }), "{error}");
    for (folder, kind) in [("index", 3), ("manifests", 2)] {
        let mut edited = one.clone();
        edited[4] = kind;
        let error = refused(&path(folder, 1), &edited).await;
        assert!(matches!(error, SealError::NotAuthentic { part: Part::Commitment, .. }), "{error}");
    }
}

#[tokio::test]
async fn chunks_cannot_move() {
    let path = path("packs", 1);
    let (good, other) = (sealed("packs", 1, &content(LENGTH)).await, sealed("packs", 1, &content(LENGTH)).await);
    let chunk = |number: usize| 96 + 16_400 * number..96 + 16_400 * (number + 1);
    let mut repeated = good.clone();
    repeated.copy_within(chunk(1), chunk(2).start);
    assert!(matches!(refused_whole(&path, &repeated).await, SealError::NotAuthentic { part: Part::Chunk(2), .. }));
    // A chunk of another sealing of the same object under the same name.
    let mut grafted = good.clone();
    grafted[chunk(1)].copy_from_slice(&other[chunk(1)]);
    assert!(matches!(refused_whole(&path, &grafted).await, SealError::NotAuthentic { part: Part::Chunk(1), .. }));
    // Salt and commitment of the one, chunks of the other.
    let mut grafted = good.clone();
    grafted[96..].copy_from_slice(&other[96..]);
    assert!(matches!(refused_whole(&path, &grafted).await, SealError::NotAuthentic { part: Part::Chunk(0), .. }));
    let removed = [&good[..chunk(1).start], &good[chunk(2).start..]].concat();
    assert!(matches!(refused_whole(&path, &removed).await, SealError::Truncated { .. }));
}

async fn refused_whole(path: &Path, bytes: &[u8]) -> SealError {
    seal_error(whole(path, bytes).await)
}

#[tokio::test]
async fn an_object_that_changes_behind_a_remembered_prologue() {
    let (path, content) = (path("packs", 1), content(LENGTH));
    let (inner, store) = pair();
    store.put_opts(&path, content.clone().into(), PutMode::Create.into()).await.unwrap();
    let good = inner.raw(&path).await;
    assert_eq!(store.get_range(&path, 0..4).await.unwrap(), content[..4]);
    let other = sealed("packs", 1, &content).await;
    for bytes in [other, good[..good.len() - 1].to_vec(), [good.as_slice(), &[0]].concat()] {
        inner.replace(&path, bytes).await;
        seal_error(store.get_range(&path, 30_000..30_010).await);
    }
    inner.replace(&path, good[..60_000.min(good.len() - 5000)].to_vec()).await;
    assert!(store.get_ranges(&path, &[0..10, 49_990..50_000]).await.is_err());
    inner.replace(&path, good).await;
    assert_eq!(store.get_range(&path, 30_000..30_010).await.unwrap(), content[30_000..30_010]);
}

#[tokio::test]
async fn other_vaults_and_other_keys() {
    let inner = Recording::new();
    let open = |keys: SealKeys| SealedStore::new(inner.clone(), keys, SealedOptions::default());
    let path = path("packs", 1);
    open(keys(1)).put_opts(&path, "x".into(), PutMode::Create.into()).await.unwrap();
    let error = seal_error(open(keys(2)).get(&path).await);
    assert!(matches!(error, SealError::WrongVault { expected, found, .. } if expected == vault(2) && found == vault(1)), "{error}");
    let error = seal_error(open(SealKeys::new(&master(2), vault(1))).get(&path).await);
    assert!(matches!(error, SealError::NotAuthentic { part: Part::Commitment, .. }), "{error}");
    let error = refused(&path, b"").await;
    assert!(matches!(error, SealError::Truncated { found: 0, .. }), "{error}");
    let error = refused(&path, &[0; 5000]).await;
    assert!(matches!(error, SealError::NotSealed { .. }), "{error}");
    let error = refused(&path, b"short").await;
    assert!(matches!(error, SealError::NotSealed { .. }), "{error}");
}

/// A real network hands an object over in pieces of any size.
#[tokio::test]
async fn pieces_of_any_size() {
    for (length, pieces) in [(0, 1), (100, 7), (LENGTH, 333), (LENGTH, 16_400), (LENGTH, 16_401), (200_000, 70_000)] {
        let (path, content) = (path("packs", 1), content(length));
        let (inner, store) = pair();
        store.put_opts(&path, content.clone().into(), PutMode::Create.into()).await.unwrap();
        assert_eq!(inner.raw(&path).await.len() as u64, sealed_length(length as u64).unwrap());
        let dribble: Arc<dyn ObjectStore> = Arc::new(ChunkedStore::new(inner.clone(), pieces));
        let store = SealedStore::new(dribble, keys(1), SealedOptions::default());
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), content);
        if length > 40_000 {
            assert_eq!(store.get_range(&path, 10_000..40_000).await.unwrap(), content[10_000..40_000]);
        }
        let mut edited = inner.raw(&path).await;
        let last = edited.len() - 1;
        edited[last] ^= 1;
        inner.replace(&path, edited).await;
        let got = store.get(&path).await;
        assert!(match got {
            Ok(got) => got.bytes().await.is_err(),
            Err(_) => true,
        });
    }
}
