//! A source that lies: each lie gets its own error, and the target commits nothing.

use bytes::Bytes;
use object_store::ObjectStoreExt;
use offsite_archive::{FrameId, FrameRef, compress};
use offsite_repository::{CopyError, FetchError, Layout, Repository, archive_path};

use super::{common::*, copy_one};

/// A Pi whose manifest says `frames` of a file that has the bytes `file`.
async fn lying(frames: &[FrameRef], raw: &[u8], file: Vec<u8>) -> (Repository, offsite_archive::ArchiveName) {
    let name = "services/2026-11-22T040000Z".parse().unwrap();
    let pi = empty(Layout::Plain).await;
    pi.store().put(&archive_path(&name), file.into()).await.unwrap();
    pi.put_manifest(&name, Bytes::from(manifest_of(&name, 1, raw, frames))).await.unwrap();
    (pi, name)
}

async fn error_of(frames: &[FrameRef], raw: &[u8], file: Vec<u8>) -> FetchError {
    let (pi, name) = lying(frames, raw, file).await;
    let mac = empty(Layout::Packs).await;
    let error = copy_one(&pi, &mac, &name).await.unwrap_err();
    assert!(mac.archives().await.unwrap().good.is_empty());
    assert_eq!(mac.index().await.unwrap().len(), 0, "something false was kept");
    match error {
        CopyError::Fetch { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

fn frame(raw: &[u8], len: usize) -> FrameRef {
    FrameRef { id: FrameId::of(raw), raw: raw.len() as u32, len: len as u32 }
}

#[tokio::test]
async fn a_frame_that_is_not_what_its_id_says() {
    // Another one, one that inflates beyond its length, and rubbish.
    let lies = [compress(&noise(2, 1000), 3).unwrap(), compress(&vec![0; 4 << 20], 3).unwrap(), noise(3, 500)];
    for (raw, encoded) in [noise(1, 1000), vec![0; 1000], noise(1, 1000)].into_iter().zip(lies) {
        let error = error_of(&[frame(&raw, encoded.len())], &raw, encoded).await;
        assert!(matches!(error, FetchError::Damaged { .. }), "{error}");
    }
}

#[tokio::test]
async fn frames_beyond_the_end_of_the_file() {
    let raw = noise(1, 1000);
    let encoded = compress(&raw, 3).unwrap();
    let error = error_of(&[frame(&raw, encoded.len())], &raw, encoded[..encoded.len() - 1].to_vec()).await;
    assert!(matches!(error, FetchError::Lacking { .. } | FetchError::Short { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_there() {
    let raw = noise(1, 1000);
    let encoded = compress(&raw, 3).unwrap();
    let (pi, name) = lying(&[frame(&raw, encoded.len())], &raw, encoded).await;
    pi.store().delete(&archive_path(&name)).await.unwrap();
    let mac = empty(Layout::Packs).await;
    assert!(copy_one(&pi, &mac, &name).await.is_err());
    assert!(mac.archives().await.unwrap().good.is_empty());
}

#[tokio::test]
async fn a_false_length_of_a_frame_that_the_target_holds() {
    let raw = noise(1, 1000);
    let encoded = compress(&raw, 3).unwrap();
    let honest = made("services/2026-11-21T040000Z", 1, &[raw.clone(), noise(2, 800)]);
    let mac = holding(Layout::Packs, &[honest], 1 << 20).await;
    let lie = FrameRef { raw: 1512, ..frame(&raw, encoded.len()) };
    let (pi, name) = lying(&[lie], &vec![0; 1512], encoded).await;
    let error = copy_one(&pi, &mac, &name).await.unwrap_err();
    assert!(matches!(error, CopyError::Lies { says: 1512, has: 1000, .. }), "{error}");
    assert_eq!(mac.archives().await.unwrap().good.len(), 1);
}

#[tokio::test]
async fn frames_of_another_job_that_the_source_cannot_show() {
    let (secret, own) = (noise(1, 1000), noise(2, 800));
    let mac = holding(Layout::Packs, &[made("vault/2026-11-21T040000Z", 1, &[secret.clone(), noise(3, 900)])], 1 << 20).await;
    // A file that is as long as it says, and rubbish where the frame would be.
    let encoded = [compress(&secret, 3).unwrap(), compress(&own, 3).unwrap()];
    let frames = [frame(&secret, encoded[0].len()), frame(&own, encoded[1].len())];
    let (pi, name) =
        lying(&frames, &[secret.clone(), own.clone()].concat(), [noise(9, encoded[0].len()), encoded[1].clone()].concat()).await;
    let error = copy_one(&pi, &mac, &name).await.unwrap_err();
    assert!(matches!(error, CopyError::Foreign { .. }), "{error}");
    assert_eq!(mac.archives().await.unwrap().good.len(), 1);
    // With packs it is the frame that lacks: looked for anew, as a prune may have moved it, and then refused.
    let packs = empty(Layout::Packs).await;
    packs.put_manifest(&name, pi.manifest(&name).await.unwrap().bytes).await.unwrap();
    let error = copy_one(&packs, &mac, &name).await.unwrap_err();
    assert!(matches!(error, CopyError::Foreign { source: FetchError::Lacking { .. }, .. }), "{error}");
    assert_eq!(mac.archives().await.unwrap().good.len(), 1);
}

#[tokio::test]
async fn frames_of_another_job_that_the_source_has() {
    let both = [noise(1, 1000), noise(2, 800)];
    let mac = holding(Layout::Packs, &[made("vault/2026-11-21T040000Z", 1, &both[..1])], 1 << 20).await;
    let honest = made("services/2026-11-22T040000Z", 2, &both);
    let pi = holding(Layout::Plain, std::slice::from_ref(&honest), 1 << 20).await;
    let copied = copy_one(&pi, &mac, &honest.name).await.unwrap();
    assert_eq!((copied.frames_total, copied.frames_moved), (2, 1), "what is held is kept once");
    // The job's own by now: nobody has to show it again.
    let later = made("services/2026-11-23T040000Z", 3, &both);
    pi.put_manifest(&later.name, later.manifest.clone()).await.unwrap();
    copy_one(&pi, &mac, &later.name).await.unwrap();
}
