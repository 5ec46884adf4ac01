//! What a far place offers, without reading again what is known: manifests of some megabytes each, every night, over a slow line.

use futures::{StreamExt, stream};

use super::{AT_ONCE, ArchiveInfo, Archives, ManifestObject, Repository, archives::Listing};
use crate::{
    RepositoryError,
    layout::{Layout, manifest_name},
};

impl Repository {
    /// As [`Repository::archives`], for who has `known` of them already: a manifest that is listed under the name of one of those, with its length, is
    /// taken for the same and not read. Whoever copies an archive reads its manifest, so what is believed here decides nothing. The newest
    /// manifest that is read here is kept for the first who asks for it.
    ///
    /// # Errors
    /// As there.
    pub async fn archives_beside(&self, known: &[ArchiveInfo]) -> Result<Archives, RepositoryError> {
        if self.layout == Layout::Sealed {
            return self.archives().await;
        }
        let mut listing = Listing::default();
        let mut unknown = Vec::new();
        for object in self.manifests().await? {
            let name = manifest_name(&object.location);
            match known.iter().find(|info| name.as_ref() == Some(&info.name) && info.manifest_bytes == object.size) {
                Some(info) => listing.add(&object.location, Ok(Some(info.clone()))),
                None => unknown.push(object.location),
            }
        }
        let mut found = stream::iter(unknown).map(|path| async { (self.read_manifest(&path).await, path) }).buffered(AT_ONCE);
        let mut newest: Option<ManifestObject> = None;
        while let Some((read, path)) = found.next().await {
            let info = read.map(|read| {
                let object = read?;
                let info = object.info();
                if newest.as_ref().is_none_or(|newest| newest.manifest.head.archive.time() < info.name.time()) {
                    newest = Some(object);
                }
                Some(info)
            });
            listing.add(&path, info);
        }
        *self.ahead() = newest;
        listing.settled()
    }
}
