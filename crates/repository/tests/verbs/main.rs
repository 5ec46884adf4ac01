//! The verbs that change a repository: copy, forget, prune; undisturbed, stopped after every operation, and lied to.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;

mod aside;
mod copy;
mod crash;
mod hostile;
mod landing;
mod prune;

use std::collections::BTreeSet;

use offsite_archive::{ArchiveName, FrameId};
use offsite_repository::{Copied, CopyError, CopyOptions, LocalStore, Repository, Scope, verify};

/// Small packs, so that an archive of a few kilobytes has several.
const TARGET: u64 = 3000;

/// As a night pulls, into `folder` where the target lies in one.
fn options(folder: Option<LocalStore>) -> CopyOptions {
    CopyOptions { in_flight: 2, pack_target: TARGET, folder, prove: true }
}

async fn copy_one(from: &Repository, to: &Repository, name: &ArchiveName) -> Result<Copied, CopyError> {
    let mut held = to.index().await.map_err(|source| CopyError::Target { archive: name.clone(), source })?;
    offsite_repository::copy(from, to, &mut held, name, &options(None), &|_| {}).await
}

/// Every archive there is must be whole, frame by frame.
async fn assert_whole(repository: &Repository) -> Vec<ArchiveName> {
    let archives = repository.archives().await.unwrap();
    assert!(archives.unreadable.is_empty(), "{:?}", archives.unreadable);
    let verified = verify(repository, &Scope::All, &|_| {}).await.unwrap();
    for (name, damage) in &verified.archives {
        assert!(damage.is_empty(), "{name}: {damage:?}");
    }
    let mut names: Vec<_> = archives.good.into_iter().map(|info| info.name).collect();
    names.sort();
    names
}

/// The frames that archives need, and those that packs hold.
async fn frames(repository: &Repository) -> (BTreeSet<FrameId>, BTreeSet<FrameId>) {
    let mut live = BTreeSet::new();
    repository.each_manifest(|object| live.extend(object.manifest.frames.iter().map(|frame| frame.id))).await.unwrap();
    let tables = repository.tables().await.unwrap();
    let held = tables.good.iter().flat_map(|(_, table)| table.entries().iter().map(|entry| entry.id)).collect();
    (live, held)
}
