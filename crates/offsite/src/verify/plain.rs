//! Plain copies read back, by a night and by `offsite verify`: each byte, against what the manifest says.
//!
//! A damaged one goes, because it is made again from the packs like any that lacks. Not that of an archive which is lost: nothing can be made
//! again of it, and what is good in its copy may be all there is.

use object_store::ObjectStoreExt;
use offsite_archive::ArchiveName;
use offsite_repository::{PlainState, Repository, RepositoryError, plain_path, verify_plain};

use crate::places::Mac;

/// Reads the copy of `archive`. A damaged one is removed, unless the archive is `lost`.
pub(crate) async fn look(mac: &Mac, archive: &ArchiveName, lost: bool) -> anyhow::Result<PlainState> {
    match verify_plain(&mac.repository, &mac.local, archive).await {
        Ok(PlainState::Damaged(why)) => {
            tracing::info!(%archive, lost, why, "a plain copy is damaged");
            if !lost {
                remove(&mac.repository, archive).await?;
            }
            Ok(PlainState::Damaged(why))
        }
        Ok(state) => Ok(state),
        // A copy without an archive is removed with those of older ones.
        Err(RepositoryError::NoSuchArchive { .. }) => Ok(PlainState::Gone),
        Err(error) => Err(error.into()),
    }
}

/// Removes the copy of `archive`, if there is one.
pub(crate) async fn remove(repository: &Repository, archive: &ArchiveName) -> Result<(), object_store::Error> {
    match repository.store().delete(&plain_path(archive)).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
