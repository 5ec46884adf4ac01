//! What opens, what does not, and what a repository says it holds.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use offsite_archive::{FrameId, JobName};
use offsite_repository::{
    Archives, Layout, ObjectId, PackName, PackWriter, Repository, RepositoryError, index_path, lacking, manifest_path, mend_index,
    read_table, set_damaged_aside,
};

use crate::common::{Halting, Handle, Last, chunks, clone_of, empty, everything, holding, made, object, put, three};

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

async fn with(path: &str, bytes: &'static [u8]) -> Arc<dyn ObjectStore> {
    let store = memory();
    store.put(&Path::from(path), Bytes::from_static(bytes).into()).await.unwrap();
    store
}

#[tokio::test]
async fn what_was_created_opens_again() {
    for layout in [Layout::Plain, Layout::Packs] {
        let store = memory();
        let created = Repository::create(store.clone(), layout).await.unwrap();
        let opened = Repository::open(store.clone()).await.unwrap();
        assert_eq!((opened.layout(), opened.id()), (layout, created.id()));
        assert!(matches!(Repository::create(store.clone(), layout).await, Err(RepositoryError::Exists { .. })));
        assert_eq!(Repository::open_or_create(store, layout).await.unwrap().id(), created.id());
    }
}

/// Jobs that are known and those that are not, one that is gone, and what is nobody's manifest.
#[tokio::test]
async fn what_is_listed_beside_the_marker_is_what_is_listed_after_it() {
    let archives = ["known/2026-11-20T040000Z", "known/2026-11-21T040000Z", "new/2026-11-20T040000Z"];
    let archives = archives.map(|name| made(name, 1, &chunks(0, 3)));
    let repository = holding(Layout::Plain, &archives, 1 << 20).await;
    for stray in
        ["manifests/stray", "manifests/known/stray", "manifests/other/deep/stray", "manifests/.DS_Store", "manifests/known/.DS_Store"]
    {
        repository.store().put(&Path::from(stray), Bytes::from_static(b"x").into()).await.unwrap();
    }
    let seen = |archives: Archives| {
        let bad: Vec<_> = archives.unreadable.into_iter().map(|bad| bad.object).collect();
        (archives.good.into_iter().map(|info| info.name.to_string()).collect::<Vec<_>>(), bad)
    };
    let expected = seen(repository.archives().await.unwrap());
    assert_eq!((expected.0.len(), expected.1.len()), (3, 3), "{expected:?}");
    for jobs in [&["gone", "known"][..], &["known", "new", "other"], &[]] {
        let jobs: Vec<JobName> = jobs.iter().map(|job| job.parse().unwrap()).collect();
        let counting = Halting::never(repository.store().clone());
        let opened = Repository::open_and_list(Arc::new(Handle(counting.clone())), &jobs).await.unwrap();
        let before = counting.operations();
        assert_eq!(seen(opened.archives().await.unwrap()), expected, "{jobs:?}");
        // What has the name of no manifest is not read.
        assert_eq!(counting.operations() - before, 3, "the manifests are read and not listed again");
    }
}

#[tokio::test]
async fn the_marker_is_the_specified_text() {
    let repository = empty(Layout::Packs).await;
    let marker = repository.store().get(&Path::from("repository.json")).await.unwrap().bytes().await.unwrap();
    let expected = format!("{{\"offsite\":\"repository\",\"version\":1,\"layout\":\"packs\",\"id\":\"{}\"}}\n", repository.id());
    assert_eq!(marker, expected);
}

#[tokio::test]
async fn an_empty_place_is_no_repository_unless_asked_to_become_one() {
    let store = memory();
    assert!(matches!(Repository::open(store.clone()).await, Err(RepositoryError::NotARepository { .. })));
    assert!(matches!(Repository::adopt(store.clone()).await, Err(RepositoryError::NotARepository { .. })));
    assert!(matches!(Repository::create(store.clone(), Layout::Sealed).await, Err(RepositoryError::NotSupported { .. })));
    assert_eq!(everything(&*store).await, []);
    assert_eq!(Repository::open_or_create(store, Layout::Plain).await.unwrap().layout(), Layout::Plain);
}

#[tokio::test]
async fn markers_of_others_and_of_the_future_are_refused() {
    let open = |text: &'static [u8]| async move { Repository::open(with("repository.json", text).await).await.unwrap_err() };
    let id = "00112233445566778899aabbccddeeff";
    assert_eq!(id.parse::<ObjectId>().unwrap().to_string(), id);
    assert!(matches!(open(b"").await, RepositoryError::MarkerDamaged { .. }));
    assert!(matches!(open(b"{}").await, RepositoryError::MarkerDamaged { .. }));
    let newer = br#"{"offsite":"repository","version":2,"layout":"swarm","bees":7}"#;
    assert!(matches!(open(newer).await, RepositoryError::Version { version: 2, .. }));
    let layout = br#"{"offsite":"repository","version":1,"layout":"sealed","id":"00112233445566778899aabbccddeeff"}"#;
    assert!(matches!(open(layout).await, RepositoryError::UnknownLayout { .. }));
    let other = br#"{"offsite":"shop","version":1,"layout":"packs","id":"00112233445566778899aabbccddeeff"}"#;
    assert!(matches!(open(other).await, RepositoryError::NotARepository { .. }));
    let short = br#"{"offsite":"repository","version":1,"layout":"packs","id":"0011"}"#;
    assert!(matches!(open(short).await, RepositoryError::MarkerDamaged { .. }));
    assert!(matches!(open(&[b' '; 5000]).await, RepositoryError::TooLarge { .. }));
}

#[tokio::test]
async fn another_layout_than_asked_for_is_refused() {
    let repository = empty(Layout::Plain).await;
    let asked = Repository::open_or_create(repository.store().clone(), Layout::Packs).await;
    assert!(matches!(asked, Err(RepositoryError::UnknownLayout { .. })));
}

#[tokio::test]
async fn a_lost_marker_is_said_and_can_be_written_anew() {
    for layout in [Layout::Plain, Layout::Packs] {
        let repository = holding(layout, &three(), 4000).await;
        let store = repository.store().clone();
        store.delete(&Path::from("repository.json")).await.unwrap();
        assert!(matches!(Repository::open(store.clone()).await, Err(RepositoryError::MarkerLost { .. })));
        assert!(matches!(Repository::create(store.clone(), layout).await, Err(RepositoryError::MarkerLost { .. })));
        assert!(matches!(Repository::open_or_create(store.clone(), layout).await, Err(RepositoryError::MarkerLost { .. })));
        let adopted = Repository::adopt(store.clone()).await.unwrap();
        assert_eq!(adopted.layout(), layout);
        assert_eq!(adopted.archives().await.unwrap().good.len(), 3);
        assert!(matches!(Repository::adopt(store).await, Err(RepositoryError::Exists { .. })));
    }
}

#[tokio::test]
async fn archives_come_by_name_and_a_bad_one_hides_no_other() {
    for layout in [Layout::Plain, Layout::Packs] {
        let archives = three();
        let repository = holding(layout, &archives, 4000).await;
        let store = repository.store();
        let copy = |path: &str| Path::from(path);
        store.put(&copy("manifests/services/2026-11-23T040000Z.zst"), Bytes::from_static(b"no manifest").into()).await.unwrap();
        store.put(&copy("manifests/services/2026-11-24T040000Z.zst"), archives[1].manifest.clone().into()).await.unwrap();
        store.put(&copy("manifests/services/copy of it"), archives[1].manifest.clone().into()).await.unwrap();
        store.put(&copy("manifests/.DS_Store"), Bytes::from_static(b"litter").into()).await.unwrap();
        // By name alone, those two cannot be told from good ones.
        let named = repository.listed().await.unwrap();
        let strays: Vec<_> = named.unreadable.iter().map(|stray| stray.object.as_str()).collect();
        assert_eq!((named.names.len(), strays), (5, vec!["manifests/services/copy of it"]));
        let listed = repository.archives().await.unwrap();
        assert_eq!(
            listed.good.iter().map(|info| &info.name).collect::<Vec<_>>(),
            archives.iter().map(|made| &made.name).collect::<Vec<_>>()
        );
        assert_eq!(listed.good.iter().map(|info| info.sequence).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(listed.good[0].manifest_bytes, archives[0].manifest.len() as u64);
        let bad: Vec<_> = listed.unreadable.iter().map(|unreadable| (unreadable.object.as_str(), &unreadable.error)).collect();
        assert!(
            matches!(
                bad[..],
                [
                    ("manifests/services/2026-11-23T040000Z.zst", RepositoryError::Manifest { .. }),
                    ("manifests/services/2026-11-24T040000Z.zst", RepositoryError::Misnamed { .. }),
                    ("manifests/services/copy of it", RepositoryError::Stray { .. }),
                ]
            ),
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn sealed_manifests_are_found_by_what_they_say() {
    let archives = three();
    let repository = Repository::sealed(memory(), ObjectId::from_bytes([7; 16]));
    for archive in &archives {
        put(&repository, archive, 4000).await;
    }
    // Once more, as after a crash between the cloud's answer and us.
    repository.put_manifest(&archives[1].name, archives[1].manifest.clone()).await.unwrap();
    let fresh = Repository::sealed(repository.store().clone(), repository.id());
    for repository in [&repository, &fresh] {
        let listed = repository.archives().await.unwrap();
        assert_eq!((listed.good.len(), listed.unreadable.len()), (3, 0));
        assert_eq!(repository.manifest(&archives[2].name).await.unwrap().bytes, archives[2].manifest);
        assert_eq!(repository.manifest_objects(&archives[1].name).await.unwrap().len(), 2);
        assert_eq!(lacking(repository).await.unwrap(), []);
    }
}

#[tokio::test]
async fn each_sealed_manifest_is_read_once() {
    let repository = Repository::sealed(memory(), ObjectId::from_bytes([7; 16]));
    for archive in three() {
        put(&repository, &archive, 4000).await;
    }
    let counting = Halting::never(repository.store().clone());
    let repository = Repository::sealed(Arc::new(Handle(counting.clone())), repository.id());
    repository.archives().await.unwrap();
    assert_eq!(counting.operations(), 4, "a listing and three manifests");
    repository.archives().await.unwrap();
    assert_eq!(counting.operations(), 5, "a listing");
}

#[tokio::test]
async fn an_archive_is_put_once() {
    let [_, archive, _] = three();
    let repository = holding(Layout::Packs, std::slice::from_ref(&archive), 4000).await;
    repository.put_manifest(&archive.name, archive.manifest.clone()).await.unwrap();
    let other = made(&archive.name.to_string(), 9, &chunks(0, 2));
    let put = repository.put_manifest(&archive.name, other.manifest).await;
    assert!(matches!(put, Err(RepositoryError::Differs { .. })));
    assert_eq!(repository.manifest(&archive.name).await.unwrap().bytes, archive.manifest);
    let absent = "services/2030-01-01T000000Z".parse().unwrap();
    assert!(matches!(repository.manifest(&absent).await, Err(RepositoryError::NoSuchArchive { .. })));
}

#[tokio::test]
async fn a_cut_link_is_not_taken_for_an_empty_or_damaged_repository() {
    for layout in [Layout::Plain, Layout::Packs] {
        let whole = holding(layout, &three(), 1 << 20).await;
        let cut = Halting::after(whole.store().clone(), 2, Last::Undone);
        let repository = Repository::open(Arc::new(Handle(cut))).await.unwrap();
        // The listing still comes through, no manifest and no index object does.
        assert!(matches!(repository.archives().await, Err(RepositoryError::Store { .. })));
        let cut = Halting::after(whole.store().clone(), 2, Last::Undone);
        let repository = Repository::open(Arc::new(Handle(cut))).await.unwrap();
        assert!(matches!(repository.index().await, Err(RepositoryError::Store { .. })));
    }
}

#[tokio::test]
async fn a_plain_index_holds_what_files_hold() {
    let archives = three();
    let repository = holding(Layout::Plain, &archives, 0).await;
    let index = repository.index().await.unwrap();
    let ids: std::collections::BTreeSet<FrameId> = archives.iter().flat_map(|made| made.frames.iter().map(|frame| frame.0)).collect();
    assert_eq!(index.len(), ids.len());
    // The middle archive's file goes, the last one's is cut in its third frame.
    repository.store().delete(&PackName::Archive(archives[1].name.clone()).path()).await.unwrap();
    let cut = archives[2].frames[..3].iter().map(|frame| frame.2.len()).sum::<usize>() - 1;
    let path = PackName::Archive(archives[2].name.clone()).path();
    repository.store().put(&path, archives[2].file.slice(..cut).into()).await.unwrap();
    let index = repository.index().await.unwrap();
    assert_eq!(index.len(), 3 + 2);
    assert!(index.held(&archives[2].frames[1].0) && !index.held(&archives[2].frames[2].0));
    let distinct = |made: &crate::common::Made| made.frames.iter().map(|frame| frame.0).collect::<std::collections::BTreeSet<_>>().len();
    let expected = vec![(archives[1].name.clone(), distinct(&archives[1]) - 2), (archives[2].name.clone(), distinct(&archives[2]) - 2)];
    assert_eq!(lacking(&repository).await.unwrap(), expected);
}

#[tokio::test]
async fn index_objects_can_be_lost_or_spoilt_and_come_back_from_the_packs() {
    let repository = holding(Layout::Packs, &three(), 3000).await;
    let kept = everything(&**repository.store()).await;
    let (packs, _) = repository.packs().await.unwrap();
    assert!(packs.len() > 3, "{}", packs.len());
    let ids: Vec<ObjectId> = packs.iter().map(|facts| object(&facts.name)).collect();
    let before = repository.index().await.unwrap();
    repository.store().delete(&index_path(&ids[0])).await.unwrap();
    repository.store().put(&index_path(&ids[1]), Bytes::from_static(b"offsiteT").into()).await.unwrap();
    let after = repository.index().await.unwrap();
    assert_eq!(before.unreadable().len(), 0);
    assert_eq!(
        after.unreadable().iter().map(|bad| bad.object.clone()).collect::<Vec<_>>(),
        [index_path(&ids[0]).to_string(), index_path(&ids[1]).to_string()]
    );
    assert_eq!(after.len(), before.len());
    for made in three() {
        for (id, ..) in &made.frames {
            assert_eq!(after.locate(id), before.locate(id));
        }
    }
    assert_eq!(mend_index(&repository).await.unwrap(), 2);
    assert_eq!(everything(&**repository.store()).await, kept);
    // An index object whose pack is gone goes, too, and counts for nothing before.
    repository.store().delete(&packs[2].name.path()).await.unwrap();
    assert!(repository.index().await.unwrap().len() < before.len());
    assert_eq!(mend_index(&repository).await.unwrap(), 1);
    assert_eq!(mend_index(&repository).await.unwrap(), 0);
}

#[tokio::test]
async fn a_sealed_pack_is_not_read_for_its_table() {
    let repository = Repository::sealed(memory(), ObjectId::from_bytes([7; 16]));
    for archive in three() {
        put(&repository, &archive, 1 << 20).await;
    }
    let (packs, _) = repository.packs().await.unwrap();
    let id = object(&packs[0].name);
    repository.store().delete(&index_path(&id)).await.unwrap();
    let counting = Halting::never(repository.store().clone());
    let repository = Repository::sealed(Arc::new(Handle(counting.clone())), repository.id());
    let index = repository.index().await.unwrap();
    assert_eq!(counting.operations(), 1 + packs.len() as u64, "a listing and the index objects");
    assert!(matches!(index.unreadable()[0].error, RepositoryError::IndexMissing { .. }));
    assert_eq!(repository.tables().await.unwrap().unknown, packs[..1]);
}

#[tokio::test]
async fn a_pack_set_aside_is_lacking_and_setting_it_aside_can_be_repeated() {
    let archives = three();
    for last in [Last::Undone, Last::DoneUnheard] {
        let whole = holding(Layout::Packs, &archives, 1 << 20).await;
        let (packs, _) = whole.packs().await.unwrap();
        let id = object(&packs[1].name);
        let bytes = whole.store().get(&packs[1].name.path()).await.unwrap().bytes().await.unwrap();
        for operations in 0..2 {
            let store: Arc<dyn ObjectStore> = clone_of(&**whole.store()).await;
            let halting = Halting::after(store.clone(), 1 + operations, last);
            let repository = Repository::open(Arc::new(Handle(halting.clone()))).await.unwrap();
            assert!(set_damaged_aside(&repository, &[id]).await.is_err());
            assert!(halting.halted());
            let repository = Repository::open(store.clone()).await.unwrap();
            set_damaged_aside(&repository, &[id]).await.unwrap();
            set_damaged_aside(&repository, &[id]).await.unwrap();
            assert_eq!(repository.packs().await.unwrap().0.len(), packs.len() - 1);
            assert_eq!(store.get(&Path::from(format!("damaged/{id}"))).await.unwrap().bytes().await.unwrap(), bytes);
            assert!(store.head(&index_path(&id)).await.is_err());
            assert!(!lacking(&repository).await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn a_pack_is_its_frames_its_table_and_the_trailer() {
    let [_, archive, _] = three();
    let repository = empty(Layout::Packs).await;
    let mut writer = PackWriter::new(1 << 20);
    assert!(writer.is_empty() && writer.write(&repository).await.unwrap().is_none());
    for (id, raw, encoded) in &archive.frames {
        writer.push(*id, *raw, encoded);
    }
    let written = writer.write(&repository).await.unwrap().unwrap();
    let path = PackName::Object(written.id).path();
    let pack = repository.store().get(&path).await.unwrap().bytes().await.unwrap();
    let index = repository.store().get(&index_path(&written.id)).await.unwrap().bytes().await.unwrap();
    let frames: Vec<u8> = archive.frames.iter().flat_map(|frame| frame.2.clone()).collect();
    let length = (index.len() as u32).to_le_bytes();
    assert_eq!(pack, [&frames[..], &index[..], &length[..], b"offsiteP"].concat());
    assert_eq!((written.bytes, written.written), (pack.len() as u64, (pack.len() + index.len()) as u64));
    let (table, bytes) = read_table(&**repository.store(), &path, pack.len() as u64).await.unwrap();
    assert_eq!((table, bytes), (written.table, index));
    let plain = empty(Layout::Plain).await;
    writer.push(archive.frames[0].0, archive.frames[0].1, &archive.frames[0].2);
    assert!(matches!(writer.write(&plain).await, Err(RepositoryError::NotSupported { .. })));
    assert_eq!(manifest_path(&archive.name).as_ref(), "manifests/services/2026-11-21T040000Z.zst");
}
