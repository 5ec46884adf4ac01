//! Packs that grow in a folder: what a kill leaves behind is found again, to the frame; and sources that change meanwhile.

use std::{
    fs::{self, File},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use object_store::{GetOptions, GetResult, ObjectStore, ObjectStoreExt, Result, path::Path};
use offsite_archive::ArchiveName;
use offsite_repository::{
    Copied, CopyError, CopyOptions, Layout, LocalStore, PackName, PackWriter, Recovered, Repository, copy, forget, index_path,
    recover_arrivals,
};
use tempfile::TempDir;

use super::{TARGET, assert_whole, common::*, frames, options};

struct Mac {
    folder: TempDir,
    local: LocalStore,
    repository: Repository,
}

async fn mac() -> Mac {
    let folder = tempfile::tempdir().unwrap();
    let local = LocalStore::open(folder.path()).unwrap();
    let repository = Repository::create(Arc::new(local.clone()), Layout::Packs).await.unwrap();
    Mac { folder, local, repository }
}

impl Mac {
    async fn pull(&self, pi: &Repository, name: &ArchiveName) -> Result<Copied, CopyError> {
        let mut held = self.repository.index().await.unwrap();
        let copied = copy(pi, &self.repository, &mut held, name, &options(Some(self.local.clone())), &|_| {}).await;
        // What the copy says that it wrote is what is there.
        assert_eq!(held.len(), self.repository.index().await.unwrap().len());
        copied
    }

    /// What a process that was killed left: a file that begins with `bytes`.
    fn left_behind(&self, bytes: &[u8]) {
        fs::write(self.folder.path().join(".arriving-0123456789abcdef"), bytes).unwrap();
    }

    fn arriving(&self) -> Vec<PathBuf> {
        let hidden = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(".arriving-");
        fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).filter(hidden).collect()
    }
}

#[tokio::test]
async fn what_is_no_file_hides_nothing_that_arrived() {
    let three = three();
    let pi = holding(Layout::Plain, &three, 0).await;
    let mac = mac().await;
    for (name, end) in [("0", "folder"), ("f", "folder"), ("1", "link")] {
        let path = mac.folder.path().join(format!(".arriving-{name}"));
        match end {
            "folder" => fs::create_dir(path).unwrap(),
            _ => std::os::unix::fs::symlink("nowhere", path).unwrap(),
        }
    }
    mac.left_behind(b"nothing whole");
    assert_eq!(recover_arrivals(&mac.local).await.unwrap(), Recovered::default());
    // What was left behind was seen, and what is not ours is still there.
    assert_eq!(mac.arriving().len(), 3);
    mac.pull(&pi, &three[0].name).await.unwrap();
    assert_whole(&mac.repository).await;
}

#[tokio::test]
async fn packs_that_grow_in_a_folder_are_those_that_are_put() {
    let three = three();
    let pi = holding(Layout::Plain, &three, 0).await;
    let (mac, memory) = (mac().await, empty(Layout::Packs).await);
    for archive in &three {
        let grown = mac.pull(&pi, &archive.name).await.unwrap();
        let put = super::copy_one(&pi, &memory, &archive.name).await.unwrap();
        assert_eq!(grown, put);
    }
    assert_eq!(frames(&mac.repository).await, frames(&memory).await);
    assert_eq!(assert_whole(&mac.repository).await.len(), 3);
    assert!(mac.arriving().is_empty());
    assert!(mac.repository.packs().await.unwrap().0.len() > 3);
}

/// Wherever the bytes end, the frames that are whole are kept and no others, and the next pull fetches exactly the rest.
#[tokio::test]
async fn a_kill_at_any_byte_costs_the_frame_that_it_cut() {
    let made = made("services/2026-11-22T040000Z", 1, &chunks(0, 5));
    let pi = holding(Layout::Plain, std::slice::from_ref(&made), 0).await;
    let end = made.frames_end();
    for cut in (0..=end).step_by(97).chain([1, end - 1, end]) {
        let mac = mac().await;
        mac.left_behind(&made.file[..cut]);
        let (mut whole, mut bytes) = (0, 0);
        while let Some((_, _, encoded)) = made.frames.get(whole).filter(|(_, _, encoded)| bytes + encoded.len() <= cut) {
            bytes += encoded.len();
            whole += 1;
        }
        let recovered = recover_arrivals(&mac.local).await.unwrap();
        assert_eq!(recovered, Recovered { frames: whole as u64, bytes: bytes as u64 }, "cut at {cut}");
        assert!(mac.arriving().is_empty(), "cut at {cut}");
        let copied = mac.pull(&pi, &made.name).await.unwrap();
        assert_eq!(copied.frames_moved as usize, made.frames.len() - whole, "cut at {cut}");
        assert_whole(&mac.repository).await;
    }
}

#[tokio::test]
async fn what_is_no_frame_is_not_taken_for_one() {
    let made = made("services/2026-11-22T040000Z", 1, &chunks(0, 3));
    let good = &made.file[..made.frames_end()];
    let mut flipped = good.to_vec();
    flipped[made.frames[0].2.len() + 20] ^= 1;
    // A pack that was killed before it had its name; blocks that a power cut left empty; a file that has another's bytes; nothing.
    let whole = [good, b"offsiteT\x01\0\0\0 and what follows in a table"].concat();
    for (bytes, expected) in [(whole, 3), ([good, &[0; 4096]].concat(), 3), (flipped, 1), (vec![0; 9000], 0), (b"rubbish".to_vec(), 0)] {
        let mac = mac().await;
        mac.left_behind(&bytes);
        assert_eq!(recover_arrivals(&mac.local).await.unwrap().frames, expected);
        assert!(mac.arriving().is_empty());
        assert_eq!(mac.repository.index().await.unwrap().len() as u64, expected);
        assert_eq!(recover_arrivals(&mac.local).await.unwrap(), Recovered::default());
    }
}

#[tokio::test]
async fn large_frames_are_found_across_the_reading_window() {
    let chunks: Vec<_> = (0..5).map(|seed| noise(seed, 3 << 20)).collect();
    let made = made("services/2026-11-22T040000Z", 1, &chunks);
    let mac = mac().await;
    mac.left_behind(&made.file[..made.frames_end() - 1]);
    assert_eq!(recover_arrivals(&mac.local).await.unwrap().frames, 4);
}

#[tokio::test]
async fn what_arrived_before_an_error_is_kept() {
    let made = made("services/2026-11-22T040000Z", 1, &chunks(0, 30));
    let pi = holding(Layout::Plain, std::slice::from_ref(&made), 0).await;
    let mut rotten = made.file.to_vec();
    let middle = made.frames[..20].iter().map(|(_, _, encoded)| encoded.len()).sum::<usize>() + 40;
    rotten[middle] ^= 1;
    pi.store().put(&offsite_repository::archive_path(&made.name), rotten.into()).await.unwrap();
    let mac = mac().await;
    assert!(matches!(mac.pull(&pi, &made.name).await, Err(CopyError::Fetch { .. })));
    assert_eq!(mac.repository.index().await.unwrap().len(), 20);
    assert!(mac.arriving().is_empty());
}

#[tokio::test]
async fn a_folder_that_takes_nothing_more_is_the_target_s_fault() {
    let made = made("services/2026-11-22T040000Z", 1, &chunks(0, 30));
    let pi = holding(Layout::Plain, std::slice::from_ref(&made), 0).await;
    let mac = mac().await;
    // A file where the folder of the packs should be refuses every user, root as well.
    fs::write(mac.folder.path().join("packs"), "").unwrap();
    let error = copy(
        &pi,
        &mac.repository,
        &mut offsite_repository::Index::default(),
        &made.name,
        &CopyOptions { folder: Some(mac.local.clone()), ..CopyOptions::default() },
        &|_| {},
    )
    .await
    .unwrap_err();
    assert!(matches!(error, CopyError::Target { .. }), "{error}");
    fs::remove_file(mac.folder.path().join("packs")).unwrap();
    // The frames are where they had arrived, for the next process.
    assert_eq!(mac.arriving().len(), 1);
    let next = LocalStore::open(mac.folder.path()).unwrap();
    assert_eq!(recover_arrivals(&next).await.unwrap().frames, 30);
    assert_eq!(mac.pull(&pi, &made.name).await.unwrap().frames_moved, 0);
    assert_whole(&mac.repository).await;
}

/// What somebody does to a repository while its packs are read.
#[derive(Debug, Clone, Copy)]
enum Meddler {
    /// A prune, that moves the frames of each pack to another.
    Prune,
    /// A prune each time that a pack is read, for ever.
    PruneAlways,
    /// The archive is forgotten, and its packs go.
    Forget,
}

/// `meddler` comes just before the third read of a pack.
#[derive(Debug)]
struct Meddled {
    meddler: Meddler,
    name: ArchiveName,
    reads: AtomicU64,
}

impl Meddled {
    async fn meddle(&self, store: &Arc<dyn ObjectStore>) {
        let repository = Repository::open(store.clone()).await.unwrap();
        if let Meddler::Forget = self.meddler {
            forget(&repository, std::slice::from_ref(&self.name)).await.unwrap();
        }
        for (facts, table) in repository.tables().await.unwrap().good {
            let PackName::Object(id) = facts.name else { continue };
            let path = facts.name.path();
            if !matches!(self.meddler, Meddler::Forget) {
                let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
                let mut writer = PackWriter::new(u64::MAX);
                for entry in table.entries() {
                    writer.push(entry.id, entry.raw, &bytes[entry.offset as usize..][..entry.len as usize]);
                }
                writer.write(&repository).await.unwrap();
            }
            store.delete(&index_path(&id)).await.unwrap();
            store.delete(&path).await.unwrap();
        }
    }
}

#[async_trait]
impl Reads for Meddled {
    async fn read(&self, inner: &Arc<dyn ObjectStore>, location: &Path, options: GetOptions) -> Result<GetResult> {
        if location.as_ref().starts_with("packs/") {
            let read = self.reads.fetch_add(1, Ordering::SeqCst);
            if read == 2 || matches!(self.meddler, Meddler::PruneAlways) {
                self.meddle(inner).await;
            }
        }
        inner.get_opts(location, options).await
    }
}

/// A pull of thirty frames to a Mac that may hold the archive `other` already.
async fn pulled_while(meddler: Meddler, other: Option<&Made>) -> (Mac, Result<Copied, CopyError>) {
    let made = made("services/2026-11-22T040000Z", 1, &chunks(0, 30));
    let pi = holding(Layout::Packs, std::slice::from_ref(&made), TARGET).await;
    let meddled = Meddled { meddler, name: made.name.clone(), reads: AtomicU64::new(0) };
    let meddled = Repository::open(Arc::new(Reading { inner: pi.store().clone(), reads: meddled })).await.unwrap();
    let mac = mac().await;
    if let Some(other) = other {
        put(&mac.repository, other, TARGET).await;
    }
    let copied = mac.pull(&meddled, &made.name).await;
    (mac, copied)
}

#[tokio::test]
async fn packs_that_the_pi_rewrites_meanwhile_are_found_anew() {
    let (mac, copied) = pulled_while(Meddler::Prune, None).await;
    let copied = copied.unwrap();
    assert_eq!((copied.frames_total, copied.frames_moved), (30, 30));
    assert_eq!(assert_whole(&mac.repository).await.len(), 1);
}

#[tokio::test]
async fn an_archive_that_the_pi_forgets_meanwhile_is_gone() {
    let (mac, copied) = pulled_while(Meddler::Forget, None).await;
    assert!(matches!(copied, Err(CopyError::Gone { .. })), "{copied:?}");
    assert!(mac.repository.archives().await.unwrap().good.is_empty());
}

#[tokio::test]
async fn a_pi_that_never_holds_still_is_an_error_and_no_endless_loop() {
    let (_, copied) = pulled_while(Meddler::PruneAlways, None).await;
    assert!(matches!(copied, Err(CopyError::Fetch { .. })), "{copied:?}");
}

/// What only another job has is not moved but shown, and for that the packs are read, too.
#[tokio::test]
async fn what_is_only_shown_is_looked_for_anew_as_well() {
    let vault = made("vault/2026-11-21T040000Z", 1, &chunks(0, 30));
    let (mac, copied) = pulled_while(Meddler::Prune, Some(&vault)).await;
    assert_eq!(copied.unwrap().frames_moved, 0);
    assert_eq!(assert_whole(&mac.repository).await.len(), 2);
    let (mac, copied) = pulled_while(Meddler::Forget, Some(&vault)).await;
    assert!(matches!(copied, Err(CopyError::Gone { .. })), "{copied:?}");
    assert_eq!(assert_whole(&mac.repository).await, std::slice::from_ref(&vault.name));
    let (_, copied) = pulled_while(Meddler::PruneAlways, Some(&vault)).await;
    assert!(matches!(copied, Err(CopyError::Fetch { .. })), "{copied:?}");
}

#[tokio::test]
async fn opening_the_folder_leaves_arrivals_alone() {
    let mac = mac().await;
    mac.left_behind(b"");
    LocalStore::open(mac.folder.path()).unwrap();
    assert_eq!(mac.arriving().len(), 1);
    assert!(mac.repository.packs().await.unwrap().1.is_empty());
}

#[tokio::test]
async fn what_is_known_of_a_far_place_is_not_read_again() {
    let three = three();
    let pi = holding(Layout::Plain, &three, 0).await;
    let known = holding(Layout::Packs, &three[..2], TARGET).await.archives().await.unwrap().good;
    let counting = Halting::never(pi.store().clone());
    let far = Repository::open(Arc::new(Handle(counting.clone()))).await.unwrap();
    let opened = counting.operations();
    let offered = far.archives_beside(&known).await.unwrap();
    assert_eq!(counting.operations() - opened, 3, "one listing, one manifest, one look at its file");
    assert_eq!(offered.good, pi.archives().await.unwrap().good);
    // Who copies that archive need not read it again; who asks after that is told what is there then.
    let opened = counting.operations();
    assert_eq!(far.manifest(&three[2].name).await.unwrap().bytes, three[2].manifest);
    assert_eq!(counting.operations(), opened);
    far.manifest(&three[2].name).await.unwrap();
    assert_eq!(counting.operations() - opened, 1);
    // Of another length it is another.
    let path = offsite_repository::manifest_path(&three[0].name);
    pi.store().put(&path, three[0].manifest.slice(..40).into()).await.unwrap();
    assert_eq!(far.archives_beside(&known).await.unwrap().unreadable.len(), 1);
}

#[tokio::test]
async fn a_manifest_is_read_again_when_it_is_listed_otherwise() {
    let (mac, archive) = (mac().await, &three()[0]);
    mac.repository.put_manifest(&archive.name, archive.manifest.clone()).await.unwrap();
    let path = mac.folder.path().join(offsite_repository::manifest_path(&archive.name).as_ref());
    let mut rotten = archive.manifest.to_vec();
    rotten[20] ^= 4;
    let reads = async |bytes: &[u8], time: SystemTime| {
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        mac.repository.archives().await.unwrap().unreadable.is_empty()
    };
    // What is new may change within a tick of the clock.
    let later = SystemTime::now() + Duration::from_secs(3600);
    assert!(reads(&archive.manifest, later).await);
    assert!(!reads(&rotten, later).await);
    let earlier = later - Duration::from_secs(7200);
    assert!(reads(&archive.manifest, earlier).await);
    assert!(reads(&rotten, earlier).await, "listed as it was when it was read");
    assert!(!reads(&rotten, earlier + Duration::from_secs(1)).await);
}
