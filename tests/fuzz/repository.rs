//! Whole repositories of which objects are hurt, lost or exchanged: what can be read is right, what `verify` calls whole can be read, and
//! prune takes nothing away that could be read before.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use offsite_archive::{ArchiveName, Manifest, ManifestWriter};
use offsite_repository::{Layout, PackWriter, Repository, Scope, apply_prune, archive_path, export, plan_prune, verify};
use tokio::runtime::{Builder, Runtime};

use crate::{Dice, cases, vector};

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// A pack with the frames of the golden archive, and its index object.
pub(crate) fn pack() -> (Vec<u8>, Vec<u8>) {
    runtime().block_on(async {
        let objects = objects(Layout::Packs).await;
        let of = |folder: &str| objects.iter().find(|(path, _)| path.as_ref().starts_with(folder)).unwrap().1.to_vec();
        (of("packs/"), of("index/"))
    })
}

/// Two archives with the same frames in one repository, as its objects, in an order that names do not decide.
async fn objects(layout: Layout) -> Vec<(Path, Bytes)> {
    let file = vector("v2/archive/small.tar.zst");
    let manifest = vector("v2/archive/small.manifest.zst");
    let frames = Manifest::read(&manifest).unwrap();
    let repository = Repository::create(Arc::new(InMemory::new()), layout).await.unwrap();
    if layout == Layout::Packs {
        let mut writer = PackWriter::new(1 << 30);
        for (frame, at) in frames.frames.iter().zip(frames.frame_offsets()) {
            writer.push(frame.id, frame.raw, &file[at as usize..][..frame.len as usize]);
        }
        writer.write(&repository).await.unwrap();
    }
    for manifest in [manifest.clone(), renamed(&manifest)] {
        let name = Manifest::read(&manifest).unwrap().head.archive;
        if layout == Layout::Plain {
            repository.store().put(&archive_path(&name), file.clone().into()).await.unwrap();
        }
        repository.put_manifest(&name, manifest.into()).await.unwrap();
    }
    let mut objects = Vec::new();
    let mut listed = repository.store().list(None);
    while let Some(object) = listed.next().await {
        let path = object.unwrap().location;
        if !path.as_ref().starts_with("recover/") {
            let bytes = repository.store().get(&path).await.unwrap().bytes().await.unwrap();
            objects.push((path, bytes));
        }
    }
    let folder = |path: &Path| path.as_ref().split('/').next().map(str::to_owned);
    objects.sort_by(|a, b| (folder(&a.0), &a.1).cmp(&(folder(&b.0), &b.1)));
    objects
}

/// The same archive of the night after.
fn renamed(manifest: &[u8]) -> Vec<u8> {
    let mut reader = Manifest::entries(manifest).unwrap();
    let mut head = reader.head().clone();
    head.archive = "demo/2026-11-23T040000Z".parse().unwrap();
    head.sequence += 1;
    let mut writer = Some(ManifestWriter::new(Vec::new()).unwrap());
    writer.as_mut().unwrap().head(&head).unwrap();
    for line in &mut reader {
        match line.unwrap() {
            offsite_archive::Line::Entry(entry) => writer.as_mut().unwrap().entry(&entry).unwrap(),
            offsite_archive::Line::Frame(frame) => writer.as_mut().unwrap().frame(&frame).unwrap(),
            offsite_archive::Line::End(end) => return writer.take().unwrap().end(&end).unwrap(),
            offsite_archive::Line::Head(_) => {}
        }
    }
    panic!("no end line")
}

fn hurt(dice: &mut Dice, objects: &mut Vec<(Path, Bytes)>) {
    for _ in 0..=dice.below(2) {
        let (at, other) = (dice.below(objects.len()), dice.below(objects.len()));
        match dice.below(8) {
            0 => drop(objects.remove(at)),
            1 => objects[at].1 = objects[other].1.clone(),
            2 => objects[at].1 = Bytes::new(),
            _ => {
                let mut bytes = objects[at].1.to_vec();
                dice.hurt(&mut bytes, &objects[other].1);
                objects[at].1 = bytes.into();
            }
        }
    }
}

/// The archives that can be exported, with their streams' hashes.
async fn exportable(repository: &Repository) -> Vec<(ArchiveName, blake3::Hash)> {
    let mut found = Vec::new();
    for info in repository.archives().await.map(|archives| archives.good).unwrap_or_default() {
        let mut out = Vec::new();
        if export(repository, &info.name, &mut out, &|_| {}).await.is_ok() {
            found.push((info.name, blake3::hash(&zstd::decode_all(&out[..]).unwrap())));
        }
    }
    found
}

fn play(layout: Layout, target: &str) {
    let runtime = runtime();
    let good = runtime.block_on(objects(layout));
    let stream = blake3::hash(&zstd::decode_all(&vector("v2/archive/small.tar.zst")[..]).unwrap());
    let mut opened = 0_u32;
    cases(target, 25, |dice| {
        let mut objects = good.clone();
        hurt(dice, &mut objects);
        let manifests: Vec<&Bytes> =
            good.iter().filter(|(path, _)| path.as_ref().starts_with("manifests/")).map(|(_, bytes)| bytes).collect();
        let untouched = |objects: &[(Path, Bytes)]| {
            objects.iter().filter(|(path, _)| path.as_ref().starts_with("manifests/")).all(|(_, bytes)| manifests.contains(&bytes))
        };
        runtime.block_on(async {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            for (path, bytes) in &objects {
                store.put(path, bytes.clone().into()).await.unwrap();
            }
            let Ok(repository) = Repository::open(store).await else { return };
            opened += 1;
            let before = exportable(&repository).await;
            if untouched(&objects) {
                assert!(before.iter().all(|(_, found)| *found == stream), "another stream than the one that was kept");
            }
            if let Ok(verified) = verify(&repository, &Scope::All, &|_| {}).await {
                for (name, _) in verified.archives.iter().filter(|(_, damages)| damages.is_empty()) {
                    assert!(before.iter().any(|(found, _)| found == name), "{name} is called whole and cannot be read");
                }
            }
            if let Ok(plan) = plan_prune(&repository).await {
                // What cannot be moved stays: an error is an answer, too.
                drop(apply_prune(&repository, &plan).await);
                let after = exportable(&repository).await;
                assert!(before.iter().all(|archive| after.contains(archive)), "prune took away what could be read");
            }
        });
    });
    assert!(std::env::var_os("FUZZ_CASE").is_some() || opened > 20, "only {opened} were opened");
}

#[test]
fn repository_of_packs() {
    play(Layout::Packs, "packs");
}

#[test]
fn repository_of_plain_archives() {
    play(Layout::Plain, "plain");
}
