//! Archives by name alone: one listing, and no manifest is opened. For whoever only wants to know what is there, at once.

use offsite_archive::{ArchiveName, ManifestError};

use super::Repository;
use crate::{RepositoryError, Unreadable, layout::manifest_name};

/// What a listing tells of archives.
#[derive(Debug, Default)]
pub struct Listed {
    /// Those whose manifest is there, by name. That it can be read is not said.
    pub names: Vec<ArchiveName>,
    /// What cannot be a manifest, by its name or because it is empty.
    pub unreadable: Vec<Unreadable>,
}

impl Repository {
    /// The archives by name, as the names of the manifests tell. Of a sealed repository they tell nothing: there all are strays.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if the manifests cannot be listed.
    pub async fn listed(&self) -> Result<Listed, RepositoryError> {
        let mut listed = Listed::default();
        for object in self.manifests().await? {
            let text = || object.location.to_string();
            match manifest_name(&object.location) {
                Some(_) if object.size == 0 => {
                    let error = RepositoryError::Manifest { object: text(), source: ManifestError::Truncated };
                    listed.unreadable.push(Unreadable { object: text(), error });
                }
                Some(name) => listed.names.push(name),
                None => listed.unreadable.push(Unreadable { object: text(), error: RepositoryError::Stray { object: text() } }),
            }
        }
        listed.names.sort();
        Ok(listed)
    }
}
