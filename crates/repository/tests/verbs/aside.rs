//! Power goes at every operation of a repair: saving what is good in a damaged pack, setting it aside, healing from elsewhere. At no point is
//! anything lost that was good, and a second repair ends where an undisturbed one does.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt};
use offsite_repository::{
    Layout, ObjectId, PackName, Repository, Scope, TableEntry, apply_prune, describe, disown, forget, index_path, lacking, mend_index,
    plan_prune, rescue, set_damaged_aside, verify,
};

use super::{TARGET, assert_whole, common::*, copy_one, frames};

/// What a check does when it meets damage; then the Pi heals. Stops at the first error.
async fn repair(pi: &Repository, mac: &Repository, made: &[Made; 3]) -> Result<(), String> {
    let found = verify(mac, &Scope::All, &|_| ()).await.map_err(|error| error.to_string())?;
    rescue(mac, &found.damaged_packs, TARGET).await.map_err(|error| error.to_string())?;
    set_damaged_aside(mac, &found.damaged_packs).await.map_err(|error| error.to_string())?;
    mend_index(mac).await.map_err(|error| error.to_string())?;
    for archive in made {
        copy_one(pi, mac, &archive.name).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[tokio::test]
async fn a_repair_stopped_anywhere_loses_nothing_good_and_is_finished_by_the_next() {
    let made = three();
    let pi = holding(Layout::Plain, &made, 0).await;
    let start = holding(Layout::Packs, &made, TARGET).await;
    let expected = frames(&start).await.0;
    let (packs, _) = start.packs().await.unwrap();
    // One bad frame in the first pack that has several; of the others in it nothing may be lost.
    let (pack, table) = {
        let mut found = None;
        for facts in packs {
            let (table, _) = offsite_repository::read_table(&**start.store(), &facts.name.path(), facts.bytes).await.unwrap();
            if table.entries().len() > 1 {
                found.get_or_insert((facts, table));
            }
        }
        found.unwrap()
    };
    edit(&**start.store(), &pack.name.path(), |bytes| bytes[20] ^= 1).await;
    let good: Vec<_> = table.entries()[1..].iter().map(|entry| entry.id).collect();

    let undisturbed: Arc<dyn ObjectStore> = clone_of(&**start.store()).await;
    let counting = Halting::never(undisturbed.clone());
    repair(&pi, &Repository::open(Arc::new(Handle(counting.clone()))).await.unwrap(), &made).await.unwrap();
    assert_eq!(assert_whole(&Repository::open(undisturbed).await.unwrap()).await.len(), 3);
    for last in [Last::Undone, Last::DoneUnheard] {
        for stop in 1..counting.operations() {
            let disk: Arc<dyn ObjectStore> = clone_of(&**start.store()).await;
            if let Ok(mac) = Repository::open(Arc::new(Handle(Halting::after(disk.clone(), stop, last)))).await {
                drop(repair(&pi, &mac, &made).await);
            }
            let mac = Repository::open(disk).await.unwrap();
            let held = mac.index().await.unwrap();
            assert!(good.iter().all(|id| held.held(id)), "{stop} {last:?}: a good frame went with the bad one");
            repair(&pi, &mac, &made).await.unwrap_or_else(|error| panic!("{stop} {last:?}: {error}"));
            assert_whole(&mac).await;
            let (live, held) = frames(&mac).await;
            assert!(live == expected && live.is_subset(&held), "{stop} {last:?}");
            assert!(verify(&mac, &Scope::All, &|_| ()).await.unwrap().is_whole(), "{stop} {last:?}");
        }
    }
}

/// The only pack of a repository of one archive, its bytes, and its frames.
async fn only_pack(mac: &Repository) -> (PackName, ObjectId, Vec<u8>, Vec<TableEntry>) {
    let (facts, table) = mac.tables().await.unwrap().good.remove(0);
    let (id, bytes) = (object(&facts.name), mac.store().get(&facts.name.path()).await.unwrap().bytes().await.unwrap().to_vec());
    (facts.name, id, bytes, table.entries().to_vec())
}

#[tokio::test]
async fn a_pack_whose_tables_are_both_bad_gives_all_its_good_frames() {
    for (rotten, room) in [(None, true), (Some(1), true), (None, false), (Some(1), false)] {
        let mac = holding(Layout::Packs, &[made("services/2026-11-22T040000Z", 1, &chunks(0, 4))], 1 << 20).await;
        let (name, id, mut bytes, frames) = only_pack(&mac).await;
        assert!(frames.len() > 3);
        let last = bytes.len() - 20;
        bytes[last] ^= 1;
        if let Some(at) = rotten {
            let frame: &TableEntry = &frames[at];
            bytes[(frame.offset + u64::from(frame.len)) as usize - 1] ^= 1;
        }
        mac.store().put(&name.path(), bytes.into()).await.unwrap();
        mac.store().delete(&index_path(&id)).await.unwrap();
        assert!(mac.index().await.unwrap().is_empty());
        if !room {
            // Where there is no room to move them they can be used in place, and the pack waits.
            describe(&mac, &[id]).await.unwrap();
            let held = mac.index().await.unwrap();
            for (at, frame) in frames.iter().enumerate() {
                assert_eq!(held.held(&frame.id), rotten != Some(at), "{rotten:?} {at}");
            }
            let found = verify(&mac, &Scope::All, &|_| ()).await.unwrap();
            assert_eq!(found.archives[0].1.len(), usize::from(rotten.is_some()));
            assert_eq!(found.damaged_packs, [id]);
        }
        let saved = rescue(&mac, &[id], TARGET).await.unwrap();
        assert_eq!(saved as usize, frames.len() - usize::from(rotten.is_some()), "{rotten:?}");
        set_damaged_aside(&mac, &[id]).await.unwrap();
        let held = mac.index().await.unwrap();
        for (at, frame) in frames.iter().enumerate() {
            assert_eq!(held.held(&frame.id), rotten != Some(at), "{rotten:?} {at}");
        }
    }
}

#[tokio::test]
async fn a_disowned_frame_is_not_there_and_its_pack_stays_until_it_is_set_aside() {
    let made = made("services/2026-11-22T040000Z", 1, &chunks(0, 4));
    let mac = holding(Layout::Packs, std::slice::from_ref(&made), 1 << 20).await;
    let (name, id, good, frames) = only_pack(&mac).await;
    edit(&**mac.store(), &name.path(), |bytes| bytes[20] ^= 1).await;
    let found = verify(&mac, &Scope::All, &|_| ()).await.unwrap();
    assert_eq!(found.bad, [(id, frames[0].id)]);
    disown(&mac, &found.bad).await.unwrap();
    // Mending leaves it so, and doing it again changes nothing.
    mend_index(&mac).await.unwrap();
    let before = everything(&**mac.store()).await;
    disown(&mac, &found.bad).await.unwrap();
    assert_eq!(everything(&**mac.store()).await, before);
    assert_eq!(lacking(&mac).await.unwrap(), [(made.name.clone(), 1)]);
    // The frame comes again from elsewhere, into another pack, and prune takes the bad pack for no home of it, nor removes that.
    let pi = holding(Layout::Plain, std::slice::from_ref(&made), 0).await;
    copy_one(&pi, &mac, &made.name).await.unwrap();
    apply_prune(&mac, &plan_prune(&mac).await.unwrap()).await.unwrap();
    assert_whole(&mac).await;
    forget(&mac, std::slice::from_ref(&made.name)).await.unwrap();
    apply_prune(&mac, &plan_prune(&mac).await.unwrap()).await.unwrap();
    let left: Vec<_> = mac.packs().await.unwrap().0.into_iter().map(|facts| facts.name).collect();
    assert_eq!(left, std::slice::from_ref(&name));
    // The rot was a bad moment of the disk: nothing of the pack is lost after all.
    mac.store().put(&name.path(), good.into()).await.unwrap();
    assert_eq!(verify(&mac, &Scope::All, &|_| ()).await.unwrap().damaged_packs, [id]);
    assert_eq!(rescue(&mac, &[id], TARGET).await.unwrap() as usize, frames.len());
    set_damaged_aside(&mac, &[id]).await.unwrap();
    assert!(verify(&mac, &Scope::All, &|_| ()).await.unwrap().is_whole());
    let held = mac.index().await.unwrap();
    assert!(frames.iter().all(|frame| held.held(&frame.id)));
}
