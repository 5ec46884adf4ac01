//! Making the repository, and opening it to look at it.

use std::{path::Path, sync::Arc};

use object_store::ObjectStore;
use offsite_repository::{Archives, LocalStore, Repository, RepositoryError};
use tokio::runtime::Runtime;

use super::runtime;
use crate::{config::Layout, error::RunError, modes::settle, sources::unmounted};

/// Fails if the repository at `root` is of another layout than the configuration says.
pub(crate) fn agree(root: &Path, layout: offsite_repository::Layout, wanted: Layout) -> Result<(), RunError> {
    let wanted = wanted.into();
    if layout == wanted { Ok(()) } else { Err(RunError::Layout { path: root.into(), layout, wanted }) }
}

/// Makes a repository of that layout at `root`, in a folder that is there, or opens the one that is there, with the right modes. Returns whether it was made.
pub(crate) fn make(root: &Path, layout: Layout, group: Option<&str>) -> Result<bool, RunError> {
    // Its disk may not be mounted, and whoever made its mount point would fill another one.
    if let Some(above) = root.parent().filter(|above| !above.is_dir()) {
        return Err(RunError::Above { above: above.into() });
    }
    if let Some(at) = unmounted(root)? {
        return Err(RunError::Unmounted { at, root: root.into() });
    }
    let local = LocalStore::create(root).map_err(RunError::Local)?;
    let store: Arc<dyn ObjectStore> = Arc::new(local);
    let runtime = runtime()?;
    let mut found = runtime.block_on(Repository::open(store.clone()));
    if let Err(RepositoryError::MarkerLost { .. }) = found {
        // The configuration says what this folder is, and what lies there which layout.
        found = runtime.block_on(Repository::adopt(store.clone()));
    }
    let made = match found {
        Ok(found) => {
            agree(root, found.layout(), layout)?;
            Ok(false)
        }
        Err(RepositoryError::NotARepository { .. }) => runtime.block_on(Repository::create(store, layout.into())).map(|_| true),
        Err(error) => Err(error),
    };
    let made = made.map_err(RunError::Repository)?;
    settle(root, group)?;
    Ok(made)
}

/// The repository at `root`, of whatever layout, to be looked at.
pub(crate) fn opened(root: &Path) -> Result<(Runtime, Repository), RunError> {
    let local = LocalStore::open(root).map_err(RunError::Local)?;
    let store: Arc<dyn ObjectStore> = Arc::new(local);
    let runtime = runtime()?;
    let repository = runtime.block_on(Repository::open(store)).map_err(RunError::Repository)?;
    Ok((runtime, repository))
}

/// What lies in a repository.
#[derive(Debug)]
pub struct Listed {
    /// The archives, by name.
    pub archives: Archives,
    /// How frames are kept.
    pub layout: offsite_repository::Layout,
    /// How many packs there are, or files of archives.
    pub packs: usize,
    /// Bytes of all of them together: what the archives take on the disk.
    pub stored: u64,
}

/// What lies in the repository at `root`.
pub(crate) fn archives(root: &Path) -> Result<Listed, RunError> {
    let (runtime, repository) = opened(root)?;
    let listed = async {
        let (archives, packs) = (repository.archives().await?, repository.packs().await?.0);
        let stored = packs.iter().map(|pack| pack.bytes).sum();
        Ok(Listed { archives, layout: repository.layout(), packs: packs.len(), stored })
    };
    runtime.block_on(listed).map_err(RunError::Repository)
}
