//! What moves, what does not, and what the target holds afterwards.

use object_store::{ObjectStoreExt, path::Path};
use offsite_repository::{CopyError, Layout, plain_path, set_damaged_aside};

use super::{assert_whole, common::*, copy_one, frames};

#[tokio::test]
async fn every_archive_arrives_and_shared_frames_move_once() {
    let three = three();
    let pi = holding(Layout::Plain, &three, 0).await;
    let mac = empty(Layout::Packs).await;
    let mut moved = Vec::new();
    for archive in &three {
        let copied = copy_one(&pi, &mac, &archive.name).await.unwrap();
        assert!(!copied.already);
        assert_eq!(copied.frames_total as usize, archive.frames.len());
        moved.push(copied.frames_moved);
    }
    // The last archive has 9 frames: 4 are in the one before, 4 are new, 1 is there twice.
    assert_eq!(moved, [3, 8, 4]);
    assert_eq!(assert_whole(&mac).await.len(), 3);
    for archive in &three {
        assert_eq!(mac.manifest(&archive.name).await.unwrap().bytes, archive.manifest);
    }
}

#[tokio::test]
async fn from_the_macs_packs_to_another_repository_and_back() {
    let three = three();
    let mac = holding(Layout::Packs, &three, super::TARGET).await;
    let other = empty(Layout::Packs).await;
    for archive in &three {
        copy_one(&mac, &other, &archive.name).await.unwrap();
    }
    assert_eq!(frames(&mac).await, frames(&other).await);
}

#[tokio::test]
async fn a_second_copy_moves_and_writes_nothing() {
    let three = three();
    let pi = holding(Layout::Plain, &three, 0).await;
    let mac = empty(Layout::Packs).await;
    copy_one(&pi, &mac, &three[1].name).await.unwrap();
    let before = everything(&**mac.store()).await;
    let again = copy_one(&pi, &mac, &three[1].name).await.unwrap();
    assert!(again.already && !again.healed());
    assert_eq!((again.frames_moved, again.bytes_written), (0, 0));
    assert_eq!(everything(&**mac.store()).await, before);
}

#[tokio::test]
async fn another_encoding_of_the_same_frames_moves_nothing() {
    let old = made("services/2026-11-21T040000Z", 1, &chunks(0, 8));
    let new = made_at("services/2026-11-22T040000Z", 2, &chunks(0, 8), 19);
    let pi = holding(Layout::Plain, &[old.clone(), new.clone()], 0).await;
    let mac = empty(Layout::Packs).await;
    copy_one(&pi, &mac, &old.name).await.unwrap();
    assert_eq!(copy_one(&pi, &mac, &new.name).await.unwrap().frames_moved, 0);
    assert_whole(&mac).await;
}

#[tokio::test]
async fn a_pack_set_aside_is_healed_by_the_next_copy() {
    let three = three();
    let pi = holding(Layout::Plain, &three, 0).await;
    let mac = holding(Layout::Packs, &three, super::TARGET).await;
    let pack = object(&mac.packs().await.unwrap().0[0].name);
    set_damaged_aside(&mac, &[pack]).await.unwrap();
    let mut healed = 0;
    for archive in &three {
        healed += usize::from(copy_one(&pi, &mac, &archive.name).await.unwrap().healed());
    }
    assert!(healed >= 1);
    assert_eq!(assert_whole(&mac).await.len(), 3);
}

#[tokio::test]
async fn a_damaged_manifest_is_replaced_by_the_good_one() {
    let three = three();
    let pi = holding(Layout::Plain, &three, 0).await;
    let mac = holding(Layout::Packs, &three, super::TARGET).await;
    let path = offsite_repository::manifest_path(&three[2].name);
    mac.store().put(&path, three[2].manifest.slice(..40).into()).await.unwrap();
    assert_eq!(mac.archives().await.unwrap().unreadable.len(), 1);
    copy_one(&pi, &mac, &three[2].name).await.unwrap();
    assert_eq!(assert_whole(&mac).await.len(), 3);
}

#[tokio::test]
async fn another_archive_of_the_same_name_changes_nothing() {
    let mine = made("services/2026-11-22T040000Z", 1, &chunks(0, 4));
    let theirs = made("services/2026-11-22T040000Z", 2, &chunks(9, 4));
    let pi = holding(Layout::Plain, &[theirs], 0).await;
    let mac = holding(Layout::Packs, std::slice::from_ref(&mine), super::TARGET).await;
    let before = everything(&**mac.store()).await;
    let error = copy_one(&pi, &mac, &mine.name).await.unwrap_err();
    assert!(matches!(error, CopyError::Differs { .. }), "{error}");
    assert_eq!(everything(&**mac.store()).await, before);
}

#[tokio::test]
async fn an_archive_that_the_pi_forgot_is_gone_and_nothing_else() {
    let [_, made, _] = three();
    let pi = holding(Layout::Plain, std::slice::from_ref(&made), 0).await;
    let mac = empty(Layout::Packs).await;
    offsite_repository::forget(&pi, std::slice::from_ref(&made.name)).await.unwrap();
    assert!(matches!(copy_one(&pi, &mac, &made.name).await, Err(CopyError::Gone { .. })));
    assert!(mac.archives().await.unwrap().good.is_empty());
}

#[tokio::test]
async fn nothing_is_copied_into_a_plain_repository() {
    let three = three();
    let mac = holding(Layout::Packs, &three, super::TARGET).await;
    let pi = empty(Layout::Plain).await;
    assert!(matches!(copy_one(&mac, &pi, &three[0].name).await, Err(CopyError::Layout { .. })));
}

#[tokio::test]
async fn forgetting_takes_the_manifest_the_file_and_the_plain_copy() {
    let three = three();
    let pi = holding(Layout::Plain, &three, 0).await;
    offsite_repository::forget(&pi, &[three[1].name.clone()]).await.unwrap();
    let left: Vec<Path> = everything(&**pi.store()).await.into_iter().map(|(path, _)| path).collect();
    assert!(left.iter().all(|path| !path.as_ref().contains("services/2026-11-21")), "{left:?}");
    assert_eq!(assert_whole(&pi).await.len(), 2);

    let mac = holding(Layout::Packs, &three, super::TARGET).await;
    mac.store().put(&plain_path(&three[1].name), "a plain copy".into()).await.unwrap();
    assert_eq!(offsite_repository::plain_copies(&mac).await.unwrap(), [three[1].name.clone()]);
    offsite_repository::forget(&mac, &[three[1].name.clone(), three[1].name.clone()]).await.unwrap();
    assert!(offsite_repository::plain_copies(&mac).await.unwrap().is_empty());
    assert_eq!(assert_whole(&mac).await.len(), 2);
}

#[tokio::test]
async fn a_bad_frame_at_the_source_commits_nothing_and_a_good_source_finishes() {
    let [_, made, _] = three();
    let pi = holding(Layout::Plain, std::slice::from_ref(&made), 0).await;
    let mut rotten = made.file.to_vec();
    let middle = made.frames[..4].iter().map(|(_, _, encoded)| encoded.len()).sum::<usize>() + 40;
    rotten[middle] ^= 1;
    pi.store().put(&offsite_repository::archive_path(&made.name), rotten.into()).await.unwrap();
    let mac = empty(Layout::Packs).await;
    let error = copy_one(&pi, &mac, &made.name).await.unwrap_err();
    let CopyError::Fetch { source, .. } = &error else { panic!("{error}") };
    assert!(source.is_damage(), "{source}");
    assert!(source.to_string().contains(&made.frames[4].0.to_string()), "{source}");
    assert!(mac.archives().await.unwrap().good.is_empty());
    // The four before it are good and stay.
    assert_eq!(frames(&mac).await.1.len(), 4);
    let whole = holding(Layout::Plain, std::slice::from_ref(&made), 0).await;
    assert_eq!(copy_one(&whole, &mac, &made.name).await.unwrap().frames_moved, 4);
    assert_whole(&mac).await;
}
