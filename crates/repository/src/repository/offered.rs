//! What a far place offers, without reading again what is known: manifests of some megabytes each, every night, over a slow line.

use super::{ArchiveInfo, Archives, Repository};
use crate::{
    RepositoryError,
    layout::{Layout, manifest_name},
};

impl Repository {
    /// As [`Repository::archives`], for who has `known` of them already: a manifest that is listed under the name of one of those, with its length, is
    /// taken for the same and not read. Whoever copies an archive reads its manifest, so what is believed here decides nothing.
    ///
    /// # Errors
    /// As there.
    pub async fn archives_beside(&self, known: &[ArchiveInfo]) -> Result<Archives, RepositoryError> {
        if self.layout == Layout::Sealed {
            return self.archives().await;
        }
        let mut archives = Archives::default();
        let mut unknown = Vec::new();
        for object in self.manifests().await? {
            let name = manifest_name(&object.location);
            match known.iter().find(|info| name.as_ref() == Some(&info.name) && info.manifest_bytes == object.size) {
                Some(info) => archives.good.push(info.clone()),
                None => unknown.push(object),
            }
        }
        self.read_into(archives, unknown).await
    }
}
