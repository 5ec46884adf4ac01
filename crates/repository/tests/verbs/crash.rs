//! Power goes after operation k, for every k: what was committed is whole, and a second run ends where an undisturbed one does.

use std::sync::Arc;

use object_store::ObjectStore;
use offsite_repository::{Layout, PrunePlan, Repository, apply_prune, forget, plan_prune};

use super::{TARGET, assert_whole, common::*, copy_one, frames};

/// A night: what came is copied, what is old forgotten, what nobody needs pruned. Stops at the first error.
async fn night(pi: &Repository, mac: &Repository, made: &[Made; 3]) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    for archive in made.iter().rev() {
        copy_one(pi, mac, &archive.name).await.map_err(|error| text(&error))?;
    }
    forget(mac, &[made[1].name.clone()]).await.map_err(|error| text(&error))?;
    let plan: PrunePlan = plan_prune(mac).await.map_err(|error| text(&error))?;
    apply_prune(mac, &plan).await.map_err(|error| text(&error))?;
    Ok(())
}

async fn reopen(store: &Arc<dyn ObjectStore>) -> Repository {
    Repository::open(store.clone()).await.unwrap()
}

#[tokio::test]
async fn a_night_stopped_anywhere_is_finished_by_the_next() {
    let made = three();
    let pi = holding(Layout::Plain, &made, 0).await;
    // The Mac has last night's archive in packs of which the forgotten archive leaves parts.
    let start = holding(Layout::Packs, &made[1..2], TARGET).await;
    let undisturbed = Repository::open(clone_of(&**start.store()).await).await.unwrap();
    let counting = Halting::never(undisturbed.store().clone());
    night(&pi, &Repository::open(Arc::new(Handle(counting.clone()))).await.unwrap(), &made).await.unwrap();
    let (names, expected) = (assert_whole(&undisturbed).await, frames(&undisturbed).await);
    assert_eq!(names.len(), 2);
    let operations = counting.operations();
    assert!(operations > 30, "{operations}");

    for last in [Last::Undone, Last::DoneUnheard] {
        for stop in 1..operations {
            let disk: Arc<dyn ObjectStore> = clone_of(&**start.store()).await;
            let halting = Halting::after(disk.clone(), stop, last);
            if let Ok(mac) = Repository::open(Arc::new(Handle(halting.clone()))).await {
                let stopped = night(&pi, &mac, &made).await;
                assert!(stopped.is_err() || !halting.halted(), "the night did not notice that the power was gone at {stop}");
            }
            let mac = reopen(&disk).await;
            assert_whole(&mac).await;
            // The job of which the good archives are: one of the two is there at every moment.
            let there = mac.archives().await.unwrap().good.len();
            assert!(there >= 1, "all archives were gone at {stop}");
            night(&pi, &mac, &made).await.unwrap_or_else(|error| panic!("{stop} {last:?}: {error}"));
            assert_eq!(assert_whole(&mac).await, names, "{stop} {last:?}");
            let (live, held) = frames(&mac).await;
            assert_eq!(live, expected.0, "{stop} {last:?}");
            assert!(live.is_subset(&held), "{stop} {last:?}");
            assert!(plan_prune(&mac).await.unwrap().remove.is_empty(), "{stop} {last:?}");
        }
    }
}

#[tokio::test]
async fn a_rewrite_stopped_anywhere_loses_no_frame() {
    // One pack, of which the forgotten archive leaves two frames of ten.
    let all = chunks(0, 10);
    let both = [made("services/2026-11-21T040000Z", 1, &all), made("services/2026-11-22T040000Z", 2, &all[..2])];
    let start = holding(Layout::Packs, &both, 1 << 20).await;
    forget(&start, &[both[0].name.clone()]).await.unwrap();
    let plan = plan_prune(&start).await.unwrap();
    assert_eq!((plan.remove.len(), plan.rewrite.len()), (0, 1), "{plan}");
    for stop in 0.. {
        let disk: Arc<dyn ObjectStore> = clone_of(&**start.store()).await;
        let halting = Halting::after(disk.clone(), stop, Last::Undone);
        let ended = match Repository::open(Arc::new(Handle(halting))).await {
            Ok(mac) => apply_prune(&mac, &plan).await.is_ok(),
            Err(_) => false,
        };
        assert_eq!(assert_whole(&reopen(&disk).await).await, [both[1].name.clone()], "{stop}");
        if ended {
            assert!(stop > 4, "{stop}");
            break;
        }
    }
}
