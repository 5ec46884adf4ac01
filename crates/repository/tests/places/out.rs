//! What comes out of a repository, and the agent's way in.

use std::{io, io::Write, path::Path as FilePath, sync::Arc};

use bytes::Bytes;
use futures::StreamExt;
use object_store::ObjectStoreExt;
use offsite_archive::{ArchiveName, FrameRef, Manifest};
use offsite_repository::{
    Damage, FetchError, Layout, LocalStore, ObjectId, PlainState, PublishError, Repository, RepositoryError, Scope, Staged, StreamError,
    archive_path, export, fetch, holds, manifest_path, plain_path, publish, read_ranges, verify, verify_plain,
};
use proptest::prelude::*;

use crate::common::{Made, chunks, edit, empty, holding, made, made_at, manifest_of, manifest_of_version, noise, object, put, three};

async fn sealed(archives: &[Made]) -> Repository {
    // Sealing is another matter: here the store passes everything through.
    let repository = Repository::sealed(Arc::new(object_store::memory::InMemory::new()), ObjectId::from_bytes([7; 16]));
    for archive in archives {
        put(&repository, archive, 3000).await;
    }
    repository
}

#[tokio::test]
async fn export_gives_the_agents_file_from_every_layout() {
    let archives = three();
    for repository in [holding(Layout::Plain, &archives, 0).await, holding(Layout::Packs, &archives, 3000).await, sealed(&archives).await] {
        for archive in &archives {
            let mut file = Vec::new();
            let progress = std::sync::Mutex::new(Vec::new());
            let exported = export(&repository, &archive.name, &mut file, &|seen| progress.lock().unwrap().push(seen)).await.unwrap();
            assert_eq!(file, archive.file);
            assert!(exported.verbatim);
            assert_eq!((exported.bytes, exported.raw), (file.len() as u64, archive.raw.len() as u64));
            assert_eq!(exported.frames, archive.frames.len() as u64);
            let last = *progress.lock().unwrap().last().unwrap();
            assert_eq!((last.done, last.total), (exported.raw, exported.raw));
        }
    }
}

#[tokio::test]
async fn export_of_other_encodings_is_another_file_of_the_same_content() {
    let text: Vec<Vec<u8>> = (0..4_u8).map(|chunk| (0..4000_u32).map(|at| (at / 7) as u8 ^ chunk).collect()).collect();
    let first = made_at("services/2026-11-21T040000Z", 1, &text, 3);
    let second = made_at("services/2026-11-22T040000Z", 2, &text, 19);
    assert_ne!(first.frames[0].2.len(), second.frames[0].2.len(), "the levels must differ for this test to mean something");
    let repository = holding(Layout::Packs, &[first, second.clone()], 3000).await;
    let mut file = Vec::new();
    let exported = export(&repository, &second.name, &mut file, &|_| ()).await.unwrap();
    assert!(!exported.verbatim && file != second.file);
    let tail = offsite_archive::read_tail(&mut io::Cursor::new(&file)).unwrap();
    assert_eq!(tail.frames.len(), 4);
    let manifest = &file[tail.manifest.start as usize..tail.manifest.end as usize];
    assert_eq!(manifest, second.manifest);
    // As a plain archive it is found good where it stands, but for the tail, whose lengths are its own.
    let mut rest = &file[..];
    for ((len, _), (id, raw, _)) in tail.frames.iter().zip(&second.frames) {
        offsite_archive::decode(rest.split_off(..*len as usize).unwrap(), id, *raw).unwrap();
    }
}

#[tokio::test]
async fn a_stream_that_is_not_what_the_agent_read_is_refused() {
    let archive = made("services/2026-11-21T040000Z", 1, &chunks(0, 3));
    let repository = holding(Layout::Packs, std::slice::from_ref(&archive), 3000).await;
    // All frames good and all sums right, but two frames changed places. From version 2 on the manifest itself would not be read.
    let mut frames: Vec<FrameRef> =
        archive.frames.iter().map(|(id, raw, encoded)| FrameRef { id: *id, raw: *raw, len: encoded.len() as u32 }).collect();
    let name = "services/2026-11-22T040000Z".parse().unwrap();
    let good = manifest_of_version(1, &name, 2, &archive.raw, &frames);
    frames.swap(1, 2);
    let object = manifest_of_version(1, &name, 2, &archive.raw, &frames);
    let manifest = Manifest::read(&object).unwrap();
    repository.put_manifest(&name, object.into()).await.unwrap();
    let mut file = Vec::new();
    assert!(matches!(export(&repository, &name, &mut file, &|_| ()).await, Err(StreamError::Digest { .. })));
    let all = 0..manifest.end.raw;
    let read = read_ranges(&repository, &manifest, std::slice::from_ref(&all), &mut |_| Ok(())).await;
    assert!(matches!(read, Err(StreamError::Digest { .. })));
    // In their right order they are the archive, also of version 1.
    let repository = holding(Layout::Packs, std::slice::from_ref(&archive), 3000).await;
    let manifest = Manifest::read(&good).unwrap();
    repository.put_manifest(&name, good.into()).await.unwrap();
    export(&repository, &name, &mut Vec::new(), &|_| ()).await.unwrap();
    read_ranges(&repository, &manifest, std::slice::from_ref(&all), &mut |_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_list_of_frames_that_is_not_the_one_bound_is_refused() {
    // No reader lets such a manifest through; one that was changed in memory is caught by what really came.
    let archive = made("services/2026-11-21T040000Z", 1, &chunks(0, 3));
    let repository = holding(Layout::Packs, std::slice::from_ref(&archive), 3000).await;
    let mut manifest = repository.manifest(&archive.name).await.unwrap().manifest;
    let all = 0..manifest.end.raw;
    read_ranges(&repository, &manifest, std::slice::from_ref(&all), &mut |_| Ok(())).await.unwrap();
    manifest.frames.swap(1, 2);
    let read = read_ranges(&repository, &manifest, std::slice::from_ref(&all), &mut |_| Ok(())).await;
    assert!(matches!(read, Err(StreamError::Digest { .. })));
}

#[tokio::test]
async fn a_lie_about_a_raw_length_is_refused_where_it_is_read() {
    let archive = made("services/2026-11-21T040000Z", 1, &chunks(0, 3));
    let repository = holding(Layout::Packs, std::slice::from_ref(&archive), 3000).await;
    let frames: Vec<FrameRef> = archive
        .frames
        .iter()
        .zip([5_i64, -5, 0])
        .map(|((id, raw, encoded), lie)| FrameRef { id: *id, raw: (i64::from(*raw) + lie) as u32, len: encoded.len() as u32 })
        .collect();
    let name: ArchiveName = "services/2026-11-22T040000Z".parse().unwrap();
    let object = manifest_of(&name, 2, &archive.raw, &frames);
    let manifest = Manifest::read(&object).unwrap();
    let read = read_ranges(&repository, &manifest, &[0..2000], &mut |_| Ok(())).await;
    assert!(matches!(read, Err(StreamError::Length { .. })));
    repository.put_manifest(&name, object.into()).await.unwrap();
    assert!(matches!(export(&repository, &name, &mut Vec::new(), &|_| ()).await, Err(StreamError::Length { .. })));
    // Known without reading any pack, too.
    assert!(matches!(holds(&repository, &name).await, Err(StreamError::Length { .. })));
    assert!(holds(&repository, &archive.name).await.is_ok());
    let found = verify(&repository, &Scope::All, &|_| ()).await.unwrap().archives;
    assert!(found[0].1.is_empty() && found[1].0 == name, "{found:?}");
    assert!(matches!(found[1].1[..], [Damage::Length { .. }, Damage::Length { .. }]), "{found:?}");
}

#[tokio::test]
async fn one_frame_with_two_lengths_is_refused_without_reading_it() {
    let [a, b] = [noise(1, 1000), noise(2, 700)];
    let archive = made("services/2026-11-21T040000Z", 1, &[a, b]);
    let repository = holding(Layout::Packs, std::slice::from_ref(&archive), 3000).await;
    // True where it is listed first: a copy moves it once, and learns nothing of the second.
    let of = |at: usize, raw: usize| FrameRef { id: archive.frames[at].0, raw: raw as u32, len: archive.frames[at].2.len() as u32 };
    let frames = [of(0, archive.frames[0].1 as usize), of(1, archive.frames[1].1 as usize), of(0, 512)];
    let name: ArchiveName = "services/2026-11-22T040000Z".parse().unwrap();
    let raw = vec![0; frames.iter().map(|frame| frame.raw as usize).sum()];
    repository.put_manifest(&name, manifest_of(&name, 2, &raw, &frames).into()).await.unwrap();
    assert!(matches!(holds(&repository, &name).await, Err(StreamError::Length { expected: 512, .. })));
}

#[tokio::test]
async fn an_archive_is_not_held_without_each_of_its_frames() {
    let archive = made("services/2026-11-21T040000Z", 1, &chunks(0, 3));
    let repository = holding(Layout::Packs, std::slice::from_ref(&archive), 3000).await;
    assert!(holds(&repository, &archive.name).await.is_ok());
    let (packs, _) = repository.packs().await.unwrap();
    repository.store().delete(&packs[0].name.path()).await.unwrap();
    let lacking = holds(&repository, &archive.name).await;
    assert!(matches!(lacking, Err(StreamError::Fetch { source: FetchError::Lacking { .. }, .. })), "{lacking:?}");
    let absent = "services/2030-01-01T000000Z".parse().unwrap();
    assert!(matches!(holds(&repository, &absent).await, Err(StreamError::Repository { .. })));
}

#[tokio::test]
async fn a_refusing_sink_and_impossible_ranges_are_errors() {
    let archive = made("services/2026-11-21T040000Z", 1, &chunks(0, 3));
    let repository = holding(Layout::Packs, std::slice::from_ref(&archive), 3000).await;
    let manifest = repository.manifest(&archive.name).await.unwrap().manifest;
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    let error = read_ranges(&repository, &manifest, &[0..10], &mut |_| Err(full())).await.unwrap_err();
    assert!(matches!(error, StreamError::Sink { .. }) && offsite_repository::is_disk_full(&error));
    let raw = manifest.end.raw;
    for ranges in [vec![0..raw + 1], vec![5..10, 9..12], vec![raw + 1..raw + 1]] {
        let read = read_ranges(&repository, &manifest, &ranges, &mut |_| panic!("nothing is to be read")).await;
        assert!(matches!(read, Err(StreamError::Range { .. })), "{ranges:?}");
    }
}

#[tokio::test]
async fn fetch_goes_on_after_damage_and_says_what_is_wrong() {
    let archive = made("services/2026-11-21T040000Z", 1, &chunks(0, 4));
    let repository = holding(Layout::Packs, std::slice::from_ref(&archive), 1 << 20).await;
    let index = repository.index().await.unwrap();
    let (packs, _) = repository.packs().await.unwrap();
    edit(&**repository.store(), &packs[0].name.path(), |bytes| bytes[archive.frames[0].2.len() + 30] ^= 4).await;
    let absent = offsite_archive::FrameId::of(b"nowhere");
    let ids = archive.frames.iter().map(|frame| frame.0);
    let wanted: Vec<_> = ids.clone().chain([absent]).chain(ids.rev()).collect();
    let fetched: Vec<_> = fetch(&repository, &index, wanted.clone(), 3).collect().await;
    assert_eq!(fetched.len(), wanted.len());
    for (id, fetched) in wanted.iter().zip(fetched) {
        match fetched {
            Ok(frame) => assert!(frame.id == *id && offsite_archive::FrameId::of(&frame.raw) == *id && *id != archive.frames[1].0),
            Err(FetchError::Lacking { frame }) => assert_eq!((frame, *id), (absent, absent)),
            Err(error @ FetchError::Damaged { .. }) => assert!(error.is_damage() && *id == archive.frames[1].0),
            Err(other) => panic!("{other}"),
        }
    }
    repository.store().delete(&packs[0].name.path()).await.unwrap();
    let gone: Vec<_> = fetch(&repository, &index, wanted[..1].to_vec(), 3).collect().await;
    assert!(matches!(gone[..], [Err(FetchError::Gone { .. })]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any ascending ranges give exactly those bytes, from every layout.
    #[test]
    fn ranges_give_their_bytes(cuts in prop::collection::vec(0_u64..9000, 0..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let [_, _, archive] = three();
            let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut.min(archive.raw.len() as u64)).collect();
            cuts.sort_unstable();
            let ranges: Vec<_> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
            let expected: Vec<u8> =
                ranges.iter().flat_map(|range| archive.raw[range.start as usize..range.end as usize].to_vec()).collect();
            for layout in [Layout::Plain, Layout::Packs] {
                let repository = holding(layout, std::slice::from_ref(&archive), 2500).await;
                let manifest = repository.manifest(&archive.name).await.unwrap().manifest;
                let mut read = Vec::new();
                read_ranges(&repository, &manifest, &ranges, &mut |bytes| {
                    read.extend_from_slice(bytes);
                    Ok(())
                })
                .await
                .unwrap();
                assert_eq!(read, expected);
            }
        });
    }

    /// The index made of the packs alone equals the one that was kept beside them.
    #[test]
    fn an_index_rebuilt_equals_the_one_kept(numbers in prop::collection::vec((0_u64..60, 1_u64..12), 1..6), target in 500_u64..9000) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let archives: Vec<Made> = numbers
                .iter()
                .enumerate()
                .map(|(day, (first, count))| made(&format!("services/2026-11-{:02}T040000Z", day + 1), day as u64, &chunks(*first, *count)))
                .collect();
            let repository = holding(Layout::Packs, &archives, target).await;
            let kept = repository.tables().await.unwrap();
            for (facts, _) in &kept.good {
                repository.store().delete(&offsite_repository::index_path(&object(&facts.name))).await.unwrap();
            }
            let rebuilt = repository.tables().await.unwrap();
            assert_eq!(rebuilt.good, kept.good);
            assert_eq!(rebuilt.unreadable.len(), kept.good.len());
        });
    }
}

fn staged(local: &LocalStore, bytes: &[u8]) -> Staged {
    let mut staged = local.stage().unwrap();
    staged.write_all(bytes).unwrap();
    staged
}

async fn folder(at: &FilePath) -> (LocalStore, Repository) {
    let local = LocalStore::create(at).unwrap();
    let repository = Repository::open_or_create(Arc::new(local.clone()), Layout::Plain).await.unwrap();
    (local, repository)
}

#[tokio::test]
async fn a_published_archive_is_there_and_whole() {
    let folder_of_test = tempfile::tempdir().unwrap();
    let (local, repository) = folder(&folder_of_test.path().join("a/b")).await;
    for archive in three() {
        publish(&repository, &local, staged(&local, &archive.file), &archive.name, archive.manifest.clone()).await.unwrap();
        assert_eq!(std::fs::read(local.file(&archive_path(&archive.name)).unwrap()).unwrap(), archive.file);
    }
    let reopened = Repository::open(Arc::new(LocalStore::open(local.root()).unwrap())).await.unwrap();
    let verified = verify(&reopened, &Scope::All, &|_| ()).await.unwrap();
    assert!(verified.is_whole() && verified.archives.len() == 3);
    let mut left: Vec<_> = std::fs::read_dir(local.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["archives", "manifests", "recover", "repository.json"]);
}

#[tokio::test]
async fn nothing_is_published_that_does_not_fit_together() {
    let folder_of_test = tempfile::tempdir().unwrap();
    let (local, repository) = folder(folder_of_test.path()).await;
    let [other, archive, _] = three();
    let publish = async |file: &[u8], name, manifest: &Bytes| {
        publish(&repository, &local, staged(&local, file), name, manifest.clone()).await.unwrap_err()
    };
    let error = publish(&archive.file, &other.name, &archive.manifest).await;
    assert!(matches!(error, PublishError::Manifest { source: RepositoryError::Misnamed { .. }, .. }));
    let error = publish(&archive.file, &archive.name, &Bytes::from_static(b"nothing")).await;
    assert!(matches!(error, PublishError::Manifest { source: RepositoryError::Manifest { .. }, .. }));
    let error = publish(&archive.file[1..], &archive.name, &archive.manifest).await;
    assert!(matches!(error, PublishError::Length { .. }));
    let mut left: Vec<_> = std::fs::read_dir(local.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["recover", "repository.json"]);
    let packs = empty(Layout::Packs).await;
    let error = offsite_repository::publish(&packs, &local, staged(&local, b""), &archive.name, archive.manifest.clone()).await;
    assert!(matches!(error, Err(PublishError::Layout { .. })));
}

#[tokio::test]
async fn an_archive_is_published_once() {
    let folder_of_test = tempfile::tempdir().unwrap();
    let (local, repository) = folder(folder_of_test.path()).await;
    let [_, archive, _] = three();
    publish(&repository, &local, staged(&local, &archive.file), &archive.name, archive.manifest.clone()).await.unwrap();
    let again = publish(&repository, &local, staged(&local, &archive.file), &archive.name, archive.manifest.clone()).await;
    assert!(matches!(again, Err(PublishError::File { source: offsite_repository::LocalError::Exists { .. }, .. })));
    assert_eq!(repository.archives().await.unwrap().good.len(), 1);
}

#[tokio::test]
async fn a_file_without_its_manifest_is_no_archive() {
    let folder_of_test = tempfile::tempdir().unwrap();
    let (local, repository) = folder(folder_of_test.path()).await;
    let [_, archive, _] = three();
    // In the manifest's place is a folder: it cannot be put.
    let place = local.root().join(manifest_path(&archive.name).as_ref());
    std::fs::create_dir_all(&place).unwrap();
    let published = publish(&repository, &local, staged(&local, &archive.file), &archive.name, archive.manifest.clone()).await;
    assert!(matches!(published, Err(PublishError::Commit { .. })), "{published:?}");
    assert_eq!(repository.archives().await.unwrap().good, []);
    assert!(local.head(&archive_path(&archive.name)).await.is_ok());
}

#[tokio::test]
async fn no_byte_of_a_plain_copy_can_change_unseen() {
    let archive = made("services/2026-11-22T040000Z", 1, &[noise(1, 700), vec![0; 900]]);
    let dir = tempfile::tempdir().unwrap();
    let local = LocalStore::open(dir.path()).unwrap();
    let repository = Repository::create(Arc::new(local.clone()), Layout::Packs).await.unwrap();
    put(&repository, &archive, 1 << 20).await;
    let path = dir.path().join(plain_path(&archive.name).as_ref());
    let state = async || verify_plain(&repository, &local, &archive.name).await.unwrap();
    assert_eq!(state().await, PlainState::Gone);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let good = archive.file.to_vec();
    std::fs::write(&path, &good).unwrap();
    assert_eq!(state().await, PlainState::Good);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, bad).unwrap();
        assert!(matches!(state().await, PlainState::Damaged(_)), "flipped at {at}");
        std::fs::write(&path, &good[..at]).unwrap();
        assert!(matches!(state().await, PlainState::Damaged(_)), "cut at {at}");
    }
    std::fs::write(&path, [&good[..], b"x"].concat()).unwrap();
    assert!(matches!(state().await, PlainState::Damaged(_)));
    // The frames of another archive are good frames, and not of this one.
    let other = made("services/2026-11-22T040000Z", 1, &chunks(5, 2));
    std::fs::write(&path, &other.file).unwrap();
    assert!(matches!(state().await, PlainState::Damaged(_)));
    // In another encoding it is as good.
    let again = made_at("services/2026-11-22T040000Z", 1, &[noise(1, 700), vec![0; 900]], 19);
    let mut file: Vec<u8> = again.frames.iter().flat_map(|(_, _, encoded)| encoded.clone()).collect();
    let lens = again.frames.iter().map(|(_, raw, encoded)| (encoded.len() as u32, *raw));
    offsite_archive::write_tail(&mut file, lens, &archive.manifest).unwrap();
    std::fs::write(&path, file).unwrap();
    assert_eq!(state().await, PlainState::Good);
    let absent = "services/2030-01-01T000000Z".parse().unwrap();
    assert!(matches!(verify_plain(&repository, &local, &absent).await, Err(RepositoryError::NoSuchArchive { .. })));
}
