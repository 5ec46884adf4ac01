//! What prune removes, what it rewrites, and when it refuses.

use object_store::ObjectStoreExt;
use offsite_repository::{
    Layout, PackWriter, PruneError, Scope, apply_prune, forget, index_path, manifest_path, plan_prune, rescue, set_damaged_aside, verify,
};

use super::{TARGET, assert_whole, common::*, frames};

#[tokio::test]
async fn what_archives_need_stays_and_nothing_else_after_a_second_prune() {
    let three = three();
    let mac = holding(Layout::Packs, &three, TARGET).await;
    forget(&mac, &[three[1].name.clone()]).await.unwrap();
    let plan = plan_prune(&mac).await.unwrap();
    assert!(!plan.is_empty(), "{plan}");
    let printed = plan.to_string();
    assert!(printed.contains("keep"), "{printed}");
    apply_prune(&mac, &plan).await.unwrap();
    assert_eq!(assert_whole(&mac).await.len(), 2);
    assert!(plan_prune(&mac).await.unwrap().is_empty());
    let (live, held) = frames(&mac).await;
    assert!(live.is_subset(&held));
}

#[tokio::test]
async fn a_plan_changes_nothing() {
    let three = three();
    let mac = holding(Layout::Packs, &three, TARGET).await;
    forget(&mac, &[three[1].name.clone()]).await.unwrap();
    let before = everything(&**mac.store()).await;
    plan_prune(&mac).await.unwrap();
    assert_eq!(everything(&**mac.store()).await, before);
}

#[tokio::test]
async fn all_forgotten_leaves_no_pack() {
    let three = three();
    let mac = holding(Layout::Packs, &three, TARGET).await;
    forget(&mac, &three.map(|made| made.name)).await.unwrap();
    apply_prune(&mac, &plan_prune(&mac).await.unwrap()).await.unwrap();
    let left: Vec<String> = everything(&**mac.store()).await.into_iter().map(|(path, _)| path.to_string()).collect();
    let data = left.iter().filter(|path| !path.starts_with("recover/")).collect::<Vec<_>>();
    assert_eq!(data, ["repository.json"]);
}

#[tokio::test]
async fn an_unreadable_manifest_forbids_it() {
    let three = three();
    let mac = holding(Layout::Packs, &three, TARGET).await;
    mac.store().put(&manifest_path(&three[0].name), "rubbish".into()).await.unwrap();
    assert!(matches!(plan_prune(&mac).await, Err(PruneError::Unreadable { .. })));
}

#[tokio::test]
async fn a_pack_without_table_stays_while_an_archive_lacks_frames() {
    let made = made("services/2026-11-22T040000Z", 1, &chunks(0, 4));
    let mac = holding(Layout::Packs, &[made], 1 << 20).await;
    let pack = mac.packs().await.unwrap().0.remove(0);
    // Its end, which holds the table, is gone; and so is the index object.
    edit(&**mac.store(), &pack.name.path(), |bytes| bytes.truncate(bytes.len() - 20)).await;
    mac.store().delete(&index_path(&object(&pack.name))).await.unwrap();
    assert!(matches!(plan_prune(&mac).await, Err(PruneError::Unknown { .. })));
}

#[tokio::test]
async fn an_index_object_without_pack_goes() {
    let mac = holding(Layout::Packs, &three(), TARGET).await;
    let index = mac.index().await.unwrap();
    assert!(!index.is_empty());
    let stray = offsite_repository::ObjectId::from_bytes([7; 16]);
    mac.store().put(&index_path(&stray), "whatever".into()).await.unwrap();
    let plan = plan_prune(&mac).await.unwrap();
    assert_eq!(plan.orphans.len(), 1);
    apply_prune(&mac, &plan).await.unwrap();
    assert!(mac.store().head(&index_path(&stray)).await.is_err());
    assert_whole(&mac).await;
}

#[tokio::test]
async fn a_file_without_manifest_goes_from_the_pi_unless_it_is_the_newest() {
    let three = three();
    let pi = holding(Layout::Plain, &three, 0).await;
    for (name, goes) in [("services/2026-11-20T040000Z", true), ("services/2026-11-23T040000Z", false)] {
        let path = offsite_repository::archive_path(&name.parse().unwrap());
        pi.store().put(&path, "half an archive".into()).await.unwrap();
        let plan = plan_prune(&pi).await.unwrap();
        assert_eq!(plan.orphans.iter().any(|orphan| orphan.object == path.as_ref()), goes, "{plan}");
        apply_prune(&pi, &plan).await.unwrap();
        assert_eq!(pi.store().head(&path).await.is_err(), goes);
    }
}

#[tokio::test]
async fn a_good_copy_of_a_frame_does_not_go_in_favour_of_a_bad_one() {
    // The good copies lie in small packs, as healing leaves them; all of them again, one of them bad, in a large pack that was put back by hand.
    let made = made("services/2026-11-22T040000Z", 1, &chunks(0, 4));
    let large = holding(Layout::Packs, std::slice::from_ref(&made), 1 << 20).await;
    let pack = large.packs().await.unwrap().0.remove(0);
    let good = large.store().get(&pack.name.path()).await.unwrap().bytes().await.unwrap();
    let mut bad = good.to_vec();
    bad[20] ^= 1;
    for (bytes, stays) in [(bad, true), (good.to_vec(), false)] {
        let mac = holding(Layout::Packs, std::slice::from_ref(&made), 500).await;
        let small = mac.packs().await.unwrap().0.len();
        assert!(small > 1);
        mac.store().put(&pack.name.path(), bytes.into()).await.unwrap();
        let plan = plan_prune(&mac).await.unwrap();
        assert_eq!(plan.remove.len(), small, "{plan}");
        let pruned = apply_prune(&mac, &plan).await.unwrap();
        assert_eq!((pruned.stayed, pruned.removed), (u64::from(stays), small as u64 - u64::from(stays)));
        // A check sets the bad one aside, and nothing is lost.
        let found = verify(&mac, &Scope::All, &|_| ()).await.unwrap();
        rescue(&mac, &found.damaged_packs, TARGET).await.unwrap();
        set_damaged_aside(&mac, &found.damaged_packs).await.unwrap();
        assert_whole(&mac).await;
    }
}

#[tokio::test]
async fn nor_does_a_pack_that_is_rewritten_take_it_along() {
    // Of the large pack's frames the small one has the third as well, and the fourth alone; the rest of the small one is dead.
    let all = [chunks(0, 4), chunks(50, 8)].concat();
    let (archive, every) = (made("services/2026-11-22T040000Z", 1, &all[..4]), made("photos/2026-11-22T040000Z", 1, &all));
    for bad in [true, false] {
        let mac = empty(Layout::Packs).await;
        for frames in [&[0, 1, 2][..], &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11]] {
            let mut writer = PackWriter::new(u64::MAX);
            for (id, raw, encoded) in frames.iter().map(|at| &every.frames[*at]) {
                writer.push(*id, *raw, encoded);
            }
            writer.write(&mac).await.unwrap();
        }
        mac.put_manifest(&archive.name, archive.manifest.clone()).await.unwrap();
        let (large, place) = mac.tables().await.unwrap().good.into_iter().find(|(_, table)| table.entries().len() == 3).unwrap();
        let place = place.entries()[2].offset as usize + 20;
        edit(&**mac.store(), &large.name.path(), |bytes| bytes[place] ^= u8::from(bad)).await;
        let plan = plan_prune(&mac).await.unwrap();
        assert_eq!((plan.remove.len(), plan.rewrite.len()), (0, 1), "{plan}");
        let pruned = apply_prune(&mac, &plan).await.unwrap();
        assert_eq!((pruned.stayed, pruned.rewritten), (u64::from(bad), u64::from(!bad)));
        let found = verify(&mac, &Scope::All, &|_| ()).await.unwrap();
        rescue(&mac, &found.damaged_packs, TARGET).await.unwrap();
        set_damaged_aside(&mac, &found.damaged_packs).await.unwrap();
        assert_whole(&mac).await;
    }
}
