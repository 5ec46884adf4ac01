//! The sealed store as its users see it: what goes in comes out, whole and by ranges, and what lies below says nothing.
#![cfg(feature = "seal")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[path = "seal_support/mod.rs"]
mod support;

use std::ops::Range;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{Attribute, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use offsite_repository::seal::{SealError, SealedOptions, SealedStore, sealed_length};
use proptest::prelude::*;
use support::*;

/// Around every edge there is: the length field, a chunk, two chunks, and steps of the padding.
const LENGTHS: [usize; 16] = [0, 1, 7, 8, 100, 16_367, 16_368, 16_375, 16_376, 16_377, 16_384, 32_760, 32_761, 40_000, 65_528, 100_000];

#[tokio::test]
async fn what_is_put_is_read() {
    for length in LENGTHS {
        let (inner, store, content, path) = stored("packs", length).await;
        let got = store.get(&path).await.unwrap();
        assert_eq!(got.meta.size, length as u64);
        assert_eq!(got.range, 0..length as u64);
        assert_eq!(got.bytes().await.unwrap(), content, "{length}");
        assert_eq!(inner.head(&path).await.unwrap().size, sealed_length(length as u64).unwrap());
        assert_eq!(store.head(&path).await.unwrap().size, sealed_length(length as u64).unwrap(), "a head shows the sealed size");
    }
}

#[tokio::test]
async fn a_piecewise_payload_is_one_payload() {
    let (_, store) = pair();
    let whole = content(50_000);
    let pieces = [0..1, 1..1, 1..20_000, 20_000..50_000].map(|range: Range<usize>| Bytes::copy_from_slice(&whole[range]));
    store.put_opts(&path("index", 1), pieces.into_iter().collect(), PutMode::Create.into()).await.unwrap();
    assert_eq!(store.get(&path("index", 1)).await.unwrap().bytes().await.unwrap(), whole);
}

#[tokio::test]
async fn ranges_read_only_their_chunks_and_the_prologue_once() {
    let (inner, store, content, path) = stored("packs", 400_000).await;
    inner.forget_requests();
    assert_eq!(store.get_range(&path, 200_000..200_010).await.unwrap(), content[200_000..200_010]);
    assert_eq!(store.get_range(&path, 0..8).await.unwrap(), content[..8]);
    let chunk = |number: u64| 96 + 16_400 * number;
    let expected = [0..chunk(1), chunk(12)..chunk(13), chunk(0)..chunk(1)];
    assert_eq!(inner.requests(), expected.map(|range| ("get", path.to_string(), Some(range))));
    inner.forget_requests();
    let ranges = [0..1, 16_370..16_380, 399_999..400_000];
    let got = store.get_ranges(&path, &ranges).await.unwrap();
    for (range, got) in ranges.iter().zip(got) {
        assert_eq!(got, content[range.start as usize..range.end as usize]);
    }
    assert!(
        inner.requests().iter().all(|(_, _, range)| range.as_ref().is_some_and(|range| range.start >= 96)),
        "the prologue is not read again"
    );
}

#[tokio::test]
async fn readers_who_come_together_read_the_prologue_once() {
    let (inner, store, content, path) = stored("packs", 400_000).await;
    inner.forget_requests();
    let reads = (0..8u64).map(|at| {
        let (store, path) = (store.clone(), path.clone());
        async move { store.get_range(&path, at * 40_000..at * 40_000 + 1000).await.unwrap() }
    });
    let got = futures::future::join_all(reads).await;
    for (at, got) in got.into_iter().enumerate() {
        assert_eq!(got, content[at * 40_000..at * 40_000 + 1000]);
    }
    let prologues = inner.requests().into_iter().filter(|(_, _, range)| range.as_ref().is_some_and(|range| range.start == 0)).count();
    assert_eq!(prologues, 1);
}

#[tokio::test]
async fn every_form_of_range() {
    let (_, store, content, path) = stored("manifests", 40_000).await;
    let get = async |range| {
        let options = GetOptions { range: Some(range), ..GetOptions::default() };
        let got = store.get_opts(&path, options).await?;
        assert_eq!(got.meta.size, 40_000);
        let range = got.range.clone();
        Ok::<_, object_store::Error>((range, got.bytes().await?))
    };
    for (asked, expected) in [
        (GetRange::Bounded(5..10), 5..10),
        (GetRange::Bounded(39_000..99_000), 39_000..40_000),
        (GetRange::Offset(39_999), 39_999..40_000),
        (GetRange::Offset(0), 0..40_000),
        (GetRange::Suffix(12), 39_988..40_000),
        (GetRange::Suffix(0), 40_000..40_000),
        (GetRange::Suffix(99_000), 0..40_000),
    ] {
        let (range, bytes) = get(asked.clone()).await.unwrap();
        assert_eq!(range, expected, "{asked}");
        assert_eq!(bytes, content[expected.start as usize..expected.end as usize], "{asked}");
    }
    let backwards = Range { start: 9, end: 4 };
    for asked in [GetRange::Bounded(5..5), GetRange::Bounded(backwards), GetRange::Bounded(40_000..40_001), GetRange::Offset(40_000)] {
        assert!(get(asked.clone()).await.is_err(), "{asked:?}");
    }
    let beyond = std::slice::from_ref(&(0..40_001));
    assert!(store.get_ranges(&path, beyond).await.is_err());
    assert!(store.get_ranges(&path, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_but_sealed_objects_passes() {
    let (inner, store) = pair();
    let id = "0".repeat(32);
    for refused in [
        "vault.json",
        "repository.json",
        "slots/a.json",
        "packs",
        &id,
        "packs/x",
        "packs/services/2026-11-22T040000Z",
        &format!("packs/{}", "A".repeat(32)),
        &format!("packs/{id}0"),
        &format!("packs/{id}/0"),
        &format!("other/{id}"),
        &format!("manifests/{id}.zst"),
    ] {
        let path = Path::from(refused);
        assert!(store.put_opts(&path, "clear".into(), PutMode::Create.into()).await.is_err(), "{refused}");
        assert!(matches!(seal_error(store.get(&path).await), SealError::Path { .. }), "{refused}");
        assert!(matches!(seal_error(store.delete(&path).await), SealError::Path { .. }), "{refused}");
    }
    let path = path("packs", 1);
    assert!(matches!(seal_error(store.put(&path, "x".into()).await), SealError::Unsupported { .. }), "put without create");
    let mut named = PutOptions::from(PutMode::Create);
    named.attributes.insert(Attribute::Metadata("archive".into()), "services".into());
    assert!(matches!(seal_error(store.put_opts(&path, "x".into(), named).await), SealError::Unsupported { .. }), "clear metadata");
    assert!(matches!(seal_error(store.put_multipart(&path).await), SealError::Unsupported { .. }));
    assert!(matches!(seal_error(store.copy(&path, &path).await), SealError::Unsupported { .. }));
    assert!(inner.requests().is_empty(), "nothing reached the store below: {:?}", inner.requests());
}

#[tokio::test]
async fn an_object_is_created_once_and_deleted() {
    let (inner, store) = pair();
    let path = path("packs", 1);
    store.put_opts(&path, "one".into(), PutMode::Create.into()).await.unwrap();
    let again = store.put_opts(&path, "two".into(), PutMode::Create.into()).await;
    assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })));
    assert_eq!(store.get_range(&path, 0..3).await.unwrap(), "one");
    store.delete(&path).await.unwrap();
    assert!(matches!(store.get(&path).await, Err(object_store::Error::NotFound { .. })));
    assert!(matches!(store.get_range(&path, 0..3).await, Err(object_store::Error::NotFound { .. })), "not from memory");
    store.put_opts(&path, "three".into(), PutMode::Create.into()).await.unwrap();
    assert_eq!(store.get_range(&path, 0..5).await.unwrap(), "three");
    assert_eq!(inner.raw(&path).await[..5], *b"OFS1\x01");
}

#[tokio::test]
async fn listings_show_sealed_objects_only() {
    let (inner, store) = pair();
    inner.put(&Path::from("vault.json"), "{}".into()).await.unwrap();
    inner.put(&Path::from("slots/a.json"), "{}".into()).await.unwrap();
    for folder in ["packs", "index", "manifests"] {
        store.put_opts(&path(folder, 7), content(100).into(), PutMode::Create.into()).await.unwrap();
    }
    let listed = async |prefix: Option<&str>| {
        let prefix = prefix.map(Path::from);
        let mut listed: Vec<_> =
            store.list(prefix.as_ref()).map_ok(|meta| (meta.location.to_string(), meta.size)).try_collect().await.unwrap();
        listed.sort();
        listed
    };
    let size = sealed_length(100).unwrap();
    assert_eq!(listed(Some("packs")).await, [(path("packs", 7).to_string(), size)]);
    assert_eq!(listed(None).await, ["index", "manifests", "packs"].map(|folder| (path(folder, 7).to_string(), size)));
    assert_eq!(listed(Some("slots")).await, []);
    let top = store.list_with_delimiter(None).await.unwrap();
    assert!(top.objects.is_empty());
    assert_eq!(top.common_prefixes.len(), 3);
}

#[tokio::test]
async fn packs_alone_get_the_storage_class() {
    let inner = Recording::new();
    let mut options = SealedOptions::default();
    options.pack_class = Some("DEEP_ARCHIVE".to_owned());
    let store = SealedStore::new(inner.clone(), keys(1), options);
    for folder in ["packs", "index", "manifests"] {
        store.put_opts(&path(folder, 1), "x".into(), PutMode::Create.into()).await.unwrap();
        let class =
            inner.get(&path(folder, 1)).await.unwrap().attributes.get(&Attribute::StorageClass).map(|class| class.as_ref().to_owned());
        assert_eq!(class.as_deref(), (folder == "packs").then_some("DEEP_ARCHIVE"), "{folder}");
    }
}

/// No value derived from content may be clear: the same content sealed twice, under the same name even, shares nothing but its header and length.
#[tokio::test]
async fn the_same_content_twice_looks_unrelated() {
    let content = content(50_000);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (inner, store) = pair();
        store.put_opts(&path("packs", 1), content.clone().into(), PutMode::Create.into()).await.unwrap();
        seen.push(inner.raw(&path("packs", 1)).await);
    }
    assert_eq!(seen[0][..40], seen[1][..40]);
    assert_eq!(seen[0].len(), seen[1].len());
    // 16 bytes in common at the same place would happen once in 2^112 tries.
    assert!(seen[0][40..].windows(16).zip(seen[1][40..].windows(16)).all(|(one, two)| one != two));
}

#[test]
fn sizes_say_little() {
    let sizes =
        |payloads: Range<u64>| payloads.map(|length| sealed_length(length).unwrap()).collect::<std::collections::BTreeSet<_>>().len();
    assert!(sizes(0..1_000_000) < 300, "{}", sizes(0..1_000_000));
    for length in (0..100_000).chain([1 << 20, (1 << 20) + 1, 128 << 20, (1 << 30) + 12345, 1 << 40]) {
        let sealed = sealed_length(length).unwrap();
        assert!(sealed > length + 96 && sealed <= 96 + 32 + (length + 8) * 113 / 100 + length / 1000, "{length} becomes {sealed}");
    }
    assert_eq!(sealed_length(u64::MAX), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_range_of_any_payload(length in 1u64..120_000, cuts in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 1..6)) {
        let ranges: Vec<Range<u64>> = cuts.iter().map(|(start, share)| {
            let start = (start * length as f64) as u64;
            start..(start + 1 + (share * (length - start) as f64) as u64).min(length)
        }).collect();
        run(async {
            let (_, store, content, path) = stored("packs", length as usize).await;
            assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), content);
            let many = store.get_ranges(&path, &ranges).await.unwrap();
            for (range, got) in ranges.iter().zip(many) {
                assert_eq!(got, content[range.start as usize..range.end as usize]);
                assert_eq!(store.get_range(&path, range.clone()).await.unwrap(), got);
            }
        });
    }
}
