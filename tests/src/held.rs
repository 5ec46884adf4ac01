//! What a repository really holds, asked of its files without the program.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use offsite_archive::FrameId;
use offsite_repository::seal::{RecoveryKey, SealedOptions, Unlock, open_vault};
use offsite_repository::{LocalStore, Repository, Scope, plan_prune, verify};

/// What is in a folder that is a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The archives, by name.
    pub archives: Vec<String>,
    /// The frames that these archives need and that are there.
    pub frames: BTreeSet<FrameId>,
    /// Everything that is wrong: archives with damage, objects that cannot be read, and what a prune would still remove.
    pub wrong: Vec<String>,
}

impl Held {
    /// Reads all of the repository at `root`; a vault with the recovery key `paper`.
    ///
    /// # Panics
    /// If it cannot be opened.
    #[must_use]
    #[track_caller]
    pub fn read(root: &Path, paper: Option<&Path>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Arc::new(LocalStore::open(root).unwrap());
            let repository = match paper {
                Some(paper) => {
                    let key: RecoveryKey = std::fs::read_to_string(paper).unwrap().parse().unwrap();
                    open_vault(store, Unlock::Recovery(&key), &SealedOptions::default()).await.unwrap()
                }
                None => Repository::open(store).await.unwrap(),
            };
            of(&repository).await
        })
    }
}

async fn of(repository: &Repository) -> Held {
    let mut frames = BTreeSet::new();
    let index = repository.index().await.unwrap();
    repository.each_manifest(|object| frames.extend(object.manifest.frames.iter().map(|frame| frame.id))).await.unwrap();
    frames.retain(|id| index.held(id));
    let found = verify(repository, &Scope::All, &|_| ()).await.unwrap();
    let mut wrong: Vec<String> = found.damaged_packs.iter().map(|pack| format!("pack {pack} is damaged")).collect();
    wrong.extend(found.unreadable.iter().map(|bad| format!("{} cannot be read", bad.object)));
    let harmed = found.archives.iter().filter(|(_, damage)| !damage.is_empty());
    wrong.extend(harmed.map(|(name, damage)| format!("{name} is not whole: {damage:?}")));
    let plan = plan_prune(repository).await.unwrap();
    wrong.extend(plan.remove.iter().map(|pack| format!("pack {} is not needed", pack.id)));
    wrong.extend(plan.rewrite.iter().map(|pack| format!("pack {} is hardly needed", pack.id)));
    wrong.extend(plan.orphans.iter().map(|orphan| format!("{}: {}", orphan.object, orphan.why)));
    Held { archives: found.archives.iter().map(|(name, _)| name.to_string()).collect(), frames, wrong }
}
