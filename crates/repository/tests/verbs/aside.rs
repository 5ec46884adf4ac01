//! Power goes at every operation of a repair: saving what is good in a damaged pack, setting it aside, healing from elsewhere. At no point is
//! anything lost that was good, and a second repair ends where an undisturbed one does.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt};
use offsite_repository::{Layout, Repository, Scope, mend_index, rescue, set_damaged_aside, verify};

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
    let mut bytes = start.store().get(&pack.name.path()).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[20] ^= 1;
    start.store().put(&pack.name.path(), bytes.into()).await.unwrap();
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
