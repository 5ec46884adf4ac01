//! What a far place offers, without reading again what is known: manifests of some megabytes each, every night, over a slow line.

use futures::{StreamExt, future::join, stream};
use object_store::{ObjectStoreExt, path::Path};
use offsite_archive::ArchiveName;

use super::{AT_ONCE, ArchiveInfo, Archives, ManifestObject, Repository, archives::Listing};
use crate::{
    RepositoryError, archive_path,
    layout::{Layout, manifest_name},
};

impl Repository {
    /// As [`Repository::archives`], for who has `known` of them already: a manifest that is listed under the name of one of those, with its length, is
    /// taken for the same and not read. Whoever copies an archive reads its manifest, so what is believed here decides nothing. The newest
    /// manifest that is read here is kept for the first who asks for it, and what its file is was asked meanwhile.
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
        let newest = unknown.iter().filter_map(manifest_name).max_by_key(ArchiveName::time).filter(|_| self.layout == Layout::Plain);
        let file = async {
            // Who needs it and does not find it here asks again.
            match newest {
                Some(name) => self.store.head(&archive_path(&name)).await.ok(),
                None => None,
            }
        };
        let (listing, file) = join(self.read_unknown(unknown, listing), file).await;
        self.ahead().file = file;
        listing.settled()
    }

    async fn read_unknown(&self, unknown: Vec<Path>, mut listing: Listing) -> Listing {
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
        self.ahead().manifest = newest;
        listing
    }
}
