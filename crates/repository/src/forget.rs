//! Drops archives: their manifests, and what belongs to one archive alone.
//!
//! The manifest goes first: from then on the archive does not exist, and whatever else is left of it is litter that prune removes.

use futures::TryStreamExt;
use object_store::path::Path;
use offsite_archive::ArchiveName;

use crate::{Layout, Repository, RepositoryError, archive_path, lack::delete, plain_path};

/// Forgets archives; one that is not there is forgotten already.
///
/// # Errors
/// [`RepositoryError::Store`] naming the object at which it stopped. The archives before it are forgotten; doing it again goes on.
pub async fn forget(repository: &Repository, archives: &[ArchiveName]) -> Result<(), RepositoryError> {
    for name in archives {
        // An archive that was pushed twice has two sealed manifests: it is forgotten when both are gone.
        let manifests: Vec<Path> = repository.manifest_objects(name).await?;
        for manifest in &manifests {
            delete(repository, manifest).await?;
        }
        match repository.layout() {
            Layout::Plain => delete(repository, &archive_path(name)).await?,
            Layout::Packs => delete(repository, &plain_path(name)).await?,
            Layout::Sealed => {}
        }
    }
    Ok(())
}

/// The archives that lie as plain copies beside the packs, in no order.
///
/// # Errors
/// [`RepositoryError::Store`] if they cannot be listed.
pub async fn plain_copies(repository: &Repository) -> Result<Vec<ArchiveName>, RepositoryError> {
    let prefix = Path::from("plain");
    let listed: Result<Vec<_>, _> = repository.store().list(Some(&prefix)).try_collect().await;
    let listed = listed.map_err(|source| crate::pack::store("list", &prefix, source))?;
    let name = |path: &Path| path.as_ref().strip_prefix("plain/")?.strip_suffix(".tar.zst")?.parse().ok();
    Ok(listed.iter().filter_map(|object| name(&object.location)).collect())
}
