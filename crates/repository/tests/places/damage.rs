//! Damage of every kind to every kind of object: verify finds it, names whom it harms, and everybody else still comes out.

use std::collections::BTreeSet;

use bytes::Bytes;
use object_store::{ObjectStoreExt, path::Path};
use offsite_archive::ArchiveName;
use offsite_repository::{
    Damage, Layout, ObjectId, PackName, Repository, RepositoryError, Scope, Verified, archive_path, export, lacking, manifest_path,
    mend_index, set_damaged_aside, verify,
};

use crate::common::{
    BadSpot, Halting, Handle, Last, Made, Reading, chunks, clone_of, edit, empty, everything, holding, made, object, put, three,
};

const TARGET: u64 = 3000;

#[derive(Debug, Clone, Copy)]
enum Harm {
    Delete,
    Truncate,
    /// One bit, in the n-th eighth of the object.
    Flip(usize),
}

const HARMS: [Harm; 6] = [Harm::Delete, Harm::Truncate, Harm::Flip(0), Harm::Flip(2), Harm::Flip(5), Harm::Flip(7)];

async fn harm(repository: &Repository, path: &Path, harm: Harm) {
    match harm {
        Harm::Delete => repository.store().delete(path).await.unwrap(),
        Harm::Truncate => edit(&**repository.store(), path, |bytes| bytes.truncate(bytes.len() - 1)).await,
        Harm::Flip(eighth) => {
            let flip = |bytes: &mut Vec<u8>| {
                let at = (bytes.len() - 1) * eighth / 7;
                bytes[at] ^= 0x10;
            };
            edit(&**repository.store(), path, flip).await;
        }
    }
}

/// The same objects, once more.
async fn copy_of(repository: &Repository) -> Repository {
    Repository::open(clone_of(&**repository.store()).await).await.unwrap()
}

async fn all(repository: &Repository) -> Verified {
    verify(repository, &Scope::All, &|_| ()).await.unwrap()
}

fn harmed(verified: &Verified) -> BTreeSet<ArchiveName> {
    verified.archives.iter().filter(|(_, damages)| !damages.is_empty()).map(|(name, _)| name.clone()).collect()
}

async fn comes_out(repository: &Repository, archive: &Made) -> bool {
    let mut file = Vec::new();
    let exported = export(repository, &archive.name, &mut file, &|_| ()).await;
    exported.is_ok() && file == archive.file
}

/// Every archive that verify did not name comes out whole, every one that it named does not; and the same when asked one by one.
async fn agrees(repository: &Repository, archives: &[Made], verified: &Verified) {
    let harmed = harmed(verified);
    for archive in archives.iter().filter(|archive| verified.archives.iter().any(|(name, _)| *name == archive.name)) {
        let tail_only =
            verified.archives.iter().any(|(name, damages)| *name == archive.name && matches!(damages[..], [Damage::Tail { .. }]));
        assert_eq!(comes_out(repository, archive).await, tail_only || !harmed.contains(&archive.name), "{}", archive.name);
        let single = verify(repository, &Scope::Archive(archive.name.clone()), &|_| ()).await.unwrap();
        assert_eq!(single.archives[0].1.is_empty(), !harmed.contains(&archive.name), "{}", archive.name);
    }
}

#[tokio::test]
async fn what_is_whole_is_found_whole() {
    for layout in [Layout::Plain, Layout::Packs] {
        let archives = three();
        let repository = holding(layout, &archives, TARGET).await;
        let seen = std::sync::Mutex::new(Vec::new());
        let verified = verify(&repository, &Scope::All, &|progress| seen.lock().unwrap().push(progress)).await.unwrap();
        assert!(verified.is_whole(), "{verified:?}");
        assert_eq!(verified.archives.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), archives.clone().map(|made| made.name));
        let occurrences: usize = archives.iter().map(|made| made.frames.len()).sum();
        let distinct: BTreeSet<_> = archives.iter().flat_map(|made| made.frames.iter().map(|frame| frame.0)).collect();
        assert_eq!(verified.frames, if layout == Layout::Plain { occurrences } else { distinct.len() } as u64);
        let seen = seen.into_inner().unwrap();
        assert!(seen.windows(2).all(|pair| pair[0].done < pair[1].done));
        let (packs, _) = repository.packs().await.unwrap();
        let total: u64 = packs.iter().map(|facts| facts.bytes).sum();
        assert_eq!((verified.bytes, seen.last().unwrap().total), (total, total));
        if layout == Layout::Plain {
            assert_eq!(seen.last().unwrap().done, total);
        }
        agrees(&repository, &archives, &verified).await;
    }
}

#[tokio::test]
async fn a_harmed_pack_is_found_and_harms_those_who_need_it() {
    let archives = three();
    let whole = holding(Layout::Packs, &archives, TARGET).await;
    let (packs, _) = whole.packs().await.unwrap();
    for pack in &packs {
        for kind in HARMS {
            let repository = copy_of(&whole).await;
            harm(&repository, &pack.name.path(), kind).await;
            let verified = all(&repository).await;
            let id = object(&pack.name);
            assert!(verified.unreadable.is_empty(), "{kind:?} {verified:?}");
            match kind {
                Harm::Delete => assert_eq!(verified.damaged_packs, []),
                _ => assert_eq!(verified.damaged_packs, [id], "{kind:?}"),
            }
            agrees(&repository, &archives, &verified).await;
            // Setting it aside makes those who lack frames known without reading, and the rest is whole.
            set_damaged_aside(&repository, &verified.damaged_packs).await.unwrap();
            let lost: BTreeSet<_> = lacking(&repository).await.unwrap().into_iter().map(|(name, _)| name).collect();
            assert!(lost.is_superset(&harmed(&verified)) && !lost.is_empty());
            let after = all(&repository).await;
            assert_eq!(harmed(&after), lost);
            assert_eq!(after.damaged_packs, []);
            // Whoever lacks frames is healed by putting it again.
            for archive in &archives {
                put(&repository, archive, TARGET).await;
            }
            mend_index(&repository).await.unwrap();
            assert!(all(&repository).await.is_whole());
        }
    }
}

#[tokio::test]
async fn a_frame_that_is_good_elsewhere_harms_nobody() {
    let archives = three();
    let repository = holding(Layout::Packs, &archives, TARGET).await;
    let (packs, _) = repository.packs().await.unwrap();
    let pack = &packs[0];
    // A second pack with the same bytes; then the first one rots.
    let (table, bytes) = offsite_repository::read_table(&**repository.store(), &pack.name.path(), pack.bytes).await.unwrap();
    let twin = offsite_repository::ObjectId::from_bytes([0xff; 16]);
    let body = repository.store().get(&pack.name.path()).await.unwrap().bytes().await.unwrap();
    repository.store().put(&PackName::Object(twin).path(), body.into()).await.unwrap();
    repository.store().put(&offsite_repository::index_path(&twin), bytes.into()).await.unwrap();
    harm(&repository, &pack.name.path(), Harm::Flip(2)).await;
    let verified = all(&repository).await;
    let id = object(&pack.name);
    assert_eq!(verified.damaged_packs, [id]);
    assert_eq!(harmed(&verified), BTreeSet::new());
    set_damaged_aside(&repository, &[id]).await.unwrap();
    let index = repository.index().await.unwrap();
    assert!(table.entries().iter().all(|entry| index.held(&entry.id)));
    assert!(all(&repository).await.is_whole());
}

#[tokio::test]
async fn a_harmed_index_object_is_found_and_harms_nobody() {
    let archives = three();
    let whole = holding(Layout::Packs, &archives, TARGET).await;
    let kept = everything(&**whole.store()).await;
    for (path, _) in kept.iter().filter(|(path, _)| path.as_ref().starts_with("index/")) {
        for kind in HARMS {
            let repository = copy_of(&whole).await;
            harm(&repository, path, kind).await;
            let verified = all(&repository).await;
            assert_eq!(verified.unreadable.iter().map(|bad| bad.object.as_str()).collect::<Vec<_>>(), [path.as_ref()], "{kind:?}");
            assert_eq!((harmed(&verified), verified.damaged_packs.len()), (BTreeSet::new(), 0));
            agrees(&repository, &archives, &verified).await;
            assert_eq!(mend_index(&repository).await.unwrap(), 1);
            assert!(all(&repository).await.is_whole());
            assert_eq!(everything(&**repository.store()).await, kept);
        }
    }
}

#[tokio::test]
async fn a_pack_that_lost_both_tables_is_to_be_set_aside() {
    let archives = three();
    let repository = holding(Layout::Packs, &archives, TARGET).await;
    let (packs, _) = repository.packs().await.unwrap();
    let id = object(&packs[0].name);
    harm(&repository, &packs[0].name.path(), Harm::Truncate).await;
    harm(&repository, &offsite_repository::index_path(&id), Harm::Flip(7)).await;
    let verified = all(&repository).await;
    assert_eq!(verified.damaged_packs, [id]);
    assert_eq!(verified.unreadable.len(), 2);
    assert!(!harmed(&verified).is_empty());
}

#[tokio::test]
async fn a_harmed_manifest_is_found_and_hides_no_other_archive() {
    for layout in [Layout::Plain, Layout::Packs] {
        let archives = three();
        let whole = holding(layout, &archives, TARGET).await;
        for archive in &archives {
            let path = manifest_path(&archive.name);
            for kind in HARMS {
                let repository = copy_of(&whole).await;
                harm(&repository, &path, kind).await;
                let verified = all(&repository).await;
                let unreadable: Vec<_> = verified.unreadable.iter().map(|bad| bad.object.as_str()).collect();
                match kind {
                    // An archive exists exactly when its manifest does.
                    Harm::Delete => assert_eq!(unreadable, [""; 0]),
                    _ => assert_eq!(unreadable, [path.as_ref()], "{kind:?}"),
                }
                assert_eq!(verified.archives.len(), 2);
                assert_eq!((harmed(&verified), verified.damaged_packs.len()), (BTreeSet::new(), 0));
                assert!(!comes_out(&repository, archive).await);
                agrees(&repository, &archives, &verified).await;
                assert_eq!(repository.archives().await.unwrap().good.len(), 2);
            }
        }
    }
}

#[tokio::test]
async fn a_harmed_archive_file_is_found_and_harms_no_other_archive() {
    let archives = three();
    let whole = holding(Layout::Plain, &archives, 0).await;
    for archive in &archives {
        for kind in HARMS {
            let repository = copy_of(&whole).await;
            harm(&repository, &archive_path(&archive.name), kind).await;
            let verified = all(&repository).await;
            assert_eq!(harmed(&verified), BTreeSet::from([archive.name.clone()]), "{kind:?}");
            assert_eq!(verified.damaged_packs, []);
            agrees(&repository, &archives, &verified).await;
        }
    }
}

/// Flips in each byte of a small file, frames and tail alike.
#[tokio::test]
async fn no_byte_of_an_archive_file_or_pack_can_change_unseen() {
    let archive = made("services/2026-11-22T040000Z", 1, &[crate::common::noise(1, 700), vec![0; 900]]);
    for layout in [Layout::Plain, Layout::Packs] {
        let repository = holding(layout, std::slice::from_ref(&archive), 1 << 20).await;
        let (packs, _) = repository.packs().await.unwrap();
        let path = packs[0].name.path();
        let good = repository.store().get(&path).await.unwrap().bytes().await.unwrap();
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 1;
            repository.store().put(&path, bad.into()).await.unwrap();
            assert!(!all(&repository).await.is_whole(), "{layout} {at}");
        }
        repository.store().put(&path, [&good[..], b"x"].concat().into()).await.unwrap();
        assert!(!all(&repository).await.is_whole(), "{layout} longer");
        repository.store().put(&path, good.into()).await.unwrap();
        assert!(all(&repository).await.is_whole());
    }
}

#[tokio::test]
async fn damage_is_named_frame_by_frame() {
    let archive = made("services/2026-11-22T040000Z", 1, &chunks(0, 6));
    let repository = holding(Layout::Plain, std::slice::from_ref(&archive), 0).await;
    let pack = PackName::Archive(archive.name.clone());
    let mut file = archive.file.to_vec();
    let third: usize = archive.frames[..2].iter().map(|frame| frame.2.len()).sum();
    file[third + 20] ^= 1;
    let sixth: usize = archive.frames[..5].iter().map(|frame| frame.2.len()).sum();
    file.truncate(sixth + 5);
    repository.store().put(&archive_path(&archive.name), file.into()).await.unwrap();
    let verified = all(&repository).await;
    let named: Vec<_> = verified.archives[0]
        .1
        .iter()
        .map(|damage| match damage {
            Damage::Frame { frame, pack: inside, .. } => (*frame, inside.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(named, [(archive.frames[2].0, pack.clone()), (archive.frames[5].0, pack)]);
    assert_eq!(verified.frames, 4);
}

#[tokio::test]
async fn a_cut_link_is_an_error_and_no_damage() {
    for layout in [Layout::Plain, Layout::Packs] {
        let whole = holding(layout, &three(), TARGET).await;
        let counting = Halting::never(whole.store().clone());
        let repository = Repository::open(std::sync::Arc::new(Handle(counting.clone()))).await.unwrap();
        assert!(all(&repository).await.is_whole());
        for operations in 1..counting.operations() {
            let halting = Halting::after(whole.store().clone(), operations, Last::Undone);
            let repository = Repository::open(std::sync::Arc::new(Handle(halting))).await.unwrap();
            let verified = verify(&repository, &Scope::All, &|_| ()).await;
            assert!(matches!(verified, Err(RepositoryError::Store { .. })), "{layout} {operations}: {verified:?}");
        }
    }
}

#[tokio::test]
async fn an_archive_that_is_not_there_cannot_be_verified() {
    let repository = empty(Layout::Packs).await;
    let absent = Scope::Archive("services/2030-01-01T000000Z".parse().unwrap());
    assert!(matches!(verify(&repository, &absent, &|_| ()).await, Err(RepositoryError::NoSuchArchive { .. })));
    repository.store().put(&Path::from("packs/notes.txt"), Bytes::from_static(b"mine").into()).await.unwrap();
    assert!(matches!(all(&repository).await.unreadable[0].error, RepositoryError::Stray { .. }));
}

#[tokio::test]
async fn a_bad_spot_on_the_disk_costs_the_frames_on_it_and_no_more() {
    let archives = three();
    for layout in [Layout::Plain, Layout::Packs] {
        let whole = holding(layout, &archives, 1 << 20).await;
        let index = whole.index().await.unwrap();
        // A spot at the border of two frames that only the second archive has.
        let frame = |at: usize| index.locate(&archives[1].frames[at].0).unwrap();
        let (left, right) = (frame(5), frame(6));
        assert_eq!((left.pack, left.offset + u64::from(left.len)), (right.pack, right.offset));
        let path = index.pack_of(&left).unwrap().name.path();
        let bad = BadSpot { path, spot: right.offset - 1..right.offset + 1 };
        let store = Reading { inner: whole.store().clone(), reads: bad };
        let repository = Repository::open(std::sync::Arc::new(store)).await.unwrap();
        let verified = all(&repository).await;
        assert_eq!(harmed(&verified), BTreeSet::from([archives[1].name.clone()]));
        let lost: Vec<_> = verified.archives[1].1.iter().map(|damage| matches!(damage, Damage::Frame { .. })).collect();
        assert_eq!(lost, [true, true], "{:?}", verified.archives[1].1);
        assert_eq!(verified.damaged_packs.len(), usize::from(layout == Layout::Packs));
        agrees(&repository, &archives, &verified).await;
    }
}

#[tokio::test]
async fn an_index_object_or_manifest_on_a_bad_spot_hides_no_other() {
    let archives = three();
    let whole = holding(Layout::Packs, &archives, TARGET).await;
    let (packs, _) = whole.packs().await.unwrap();
    let id = object(&packs[0].name);
    for path in [offsite_repository::index_path(&id), manifest_path(&archives[0].name)] {
        let store = Reading { inner: whole.store().clone(), reads: BadSpot { path: path.clone(), spot: 10..11 } };
        let repository = Repository::open(std::sync::Arc::new(store)).await.unwrap();
        let verified = all(&repository).await;
        assert_eq!(verified.unreadable.iter().map(|bad| bad.object.as_str()).collect::<Vec<_>>(), [path.as_ref()]);
        assert_eq!((harmed(&verified), verified.damaged_packs.len()), (BTreeSet::new(), 0));
        agrees(&repository, &archives, &verified).await;
    }
}

/// Verifies packs with these ids alone.
async fn some(repository: &Repository, packs: &[ObjectId]) -> Verified {
    verify(repository, &Scope::Packs(packs.iter().copied().collect()), &|_| ()).await.unwrap()
}

#[tokio::test]
async fn a_part_of_the_packs_is_read_and_tells_of_every_archive_that_it_harms() {
    let archives = three();
    let whole = holding(Layout::Packs, &archives, TARGET).await;
    let (packs, _) = whole.packs().await.unwrap();
    let all_ids: Vec<ObjectId> = packs.iter().map(|facts| object(&facts.name)).collect();
    let verified = some(&whole, &all_ids[..1]).await;
    assert!(verified.is_whole() && verified.bytes == packs[0].bytes && verified.archives.len() == 3, "{verified:?}");
    assert!(some(&whole, &[ObjectId::from_bytes([9; 16])]).await.is_whole(), "one that is gone is passed over");
    for pack in &packs {
        let repository = copy_of(&whole).await;
        harm(&repository, &pack.name.path(), Harm::Flip(2)).await;
        let own = object(&pack.name);
        let full = all(&repository).await;
        let found = some(&repository, &[own]).await;
        assert_eq!((found.damaged_packs.clone(), harmed(&found)), (vec![own], harmed(&full)));
        let others: Vec<ObjectId> = all_ids.iter().copied().filter(|other| *other != own).collect();
        let found = some(&repository, &others).await;
        assert!(found.is_whole() && found.bytes == packs.iter().map(|facts| facts.bytes).sum::<u64>() - pack.bytes);
        // What lacks is seen whichever is read.
        repository.store().delete(&pack.name.path()).await.unwrap();
        assert_eq!(harmed(&some(&repository, &others[..1]).await), harmed(&full));
    }
    let plain = holding(Layout::Plain, &archives, 0).await;
    let refused = verify(&plain, &Scope::Packs(BTreeSet::new()), &|_| ()).await;
    assert!(matches!(refused, Err(RepositoryError::NotSupported { .. })));
}
