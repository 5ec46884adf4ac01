//! Which packs exist, what is in them, and the index that follows.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use object_store::{ObjectStoreExt, path::Path};
use offsite_archive::Manifest;

use super::{AT_ONCE, ManifestObject, Repository, read_bounded};
use crate::{
    Index, Layout, PackFacts, PackName, RepositoryError, Table, Unreadable, archive_path, index_path,
    layout::{ARCHIVES, PACKS, archive_name, object_id},
    pack::{read_table, store},
    table::MAX_TABLE,
};

/// The tables of all packs that exist.
#[derive(Debug, Default)]
pub struct Tables {
    /// Packs whose table is known, by name.
    pub good: Vec<(PackFacts, Table)>,
    /// Packs whose table is not.
    pub unknown: Vec<PackFacts>,
    /// What could not be read or understood.
    pub unreadable: Vec<Unreadable>,
}
impl Repository {
    /// The packs that exist, by name, and objects among them that are none.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if they cannot be listed.
    pub async fn packs(&self) -> Result<(Vec<PackFacts>, Vec<Unreadable>), RepositoryError> {
        let (mut packs, mut strays) = (Vec::new(), Vec::new());
        let folder = if self.layout == Layout::Plain { ARCHIVES } else { PACKS };
        for object in self.list(folder).await? {
            let name = match self.layout {
                Layout::Plain => archive_name(&object.location).map(PackName::Archive),
                Layout::Packs | Layout::Sealed => object_id(&object.location, PACKS).map(PackName::Object),
            };
            match name {
                Some(name) => packs.push(PackFacts { name, bytes: object.size }),
                None => {
                    let object = object.location.to_string();
                    strays.push(Unreadable { object: object.clone(), error: RepositoryError::Stray { object } });
                }
            }
        }
        packs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((packs, strays))
    }

    /// The tables of all packs, of [`Layout::Packs`] and [`Layout::Sealed`]: from the index objects; where one is missing or damaged,
    /// from the pack itself, unless the repository is sealed, because nothing reads cold storage for that.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if the packs cannot be listed or the way to the store is cut, [`RepositoryError::NotSupported`] in
    /// a plain repository.
    pub async fn tables(&self) -> Result<Tables, RepositoryError> {
        let mut tables = Tables::default();
        let each = |facts, table| match table {
            Some(table) => tables.good.push((facts, table)),
            None => tables.unknown.push(facts),
        };
        let unreadable = self.each_table(each).await?;
        Ok(Tables { unreadable, ..tables })
    }

    /// As [`Repository::tables`], but hands each pack with its table, if that is known, to `each`, in the order of their names, and keeps none.
    /// Returns what could not be read or understood.
    ///
    /// # Errors
    /// As there.
    pub async fn each_table(&self, mut each: impl FnMut(PackFacts, Option<Table>)) -> Result<Vec<Unreadable>, RepositoryError> {
        if self.layout == Layout::Plain {
            return Err(RepositoryError::NotSupported { operation: "read tables", layout: self.layout });
        }
        let (packs, mut found) = self.packs().await?;
        let mut read = stream::iter(packs).map(|facts| self.table(facts)).buffered(AT_ONCE);
        while let Some((facts, table, error)) = read.next().await {
            for unreadable in error {
                // A pack taken for lost because of a cut link would be copied again.
                if !unreadable.error.is_damage() {
                    return Err(unreadable.error);
                }
                found.push(unreadable);
            }
            each(facts, table);
        }
        Ok(found)
    }

    async fn table(&self, facts: PackFacts) -> (PackFacts, Option<Table>, Vec<Unreadable>) {
        let PackName::Object(id) = &facts.name else { return (facts, None, Vec::new()) };
        let path = index_path(id);
        let mut unreadable = Vec::new();
        match self.read_index(&path).await {
            Ok(mut table) => {
                // What is sealed is longer than what is in it, so this is right for every layout.
                table.cut(facts.bytes);
                return (facts, Some(table), unreadable);
            }
            Err(error) => unreadable.push(Unreadable { object: path.to_string(), error }),
        }
        if self.layout == Layout::Sealed {
            return (facts, None, unreadable);
        }
        let path = facts.name.path();
        match read_table(&*self.store, &path, facts.bytes).await {
            Ok((table, _)) => (facts, Some(table), unreadable),
            Err(error) => {
                unreadable.push(Unreadable { object: path.to_string(), error });
                (facts, None, unreadable)
            }
        }
    }

    /// The table in an index object.
    pub(crate) async fn read_index(&self, path: &Path) -> Result<Table, RepositoryError> {
        let object = || path.to_string();
        let bytes = read_bounded(&*self.store, path, MAX_TABLE).await?;
        let bytes = bytes.ok_or_else(|| RepositoryError::IndexMissing { object: object() })?;
        Table::decode(&bytes).map_err(|source| RepositoryError::Table { object: object(), source })
    }

    /// Where each frame lies. In a plain repository that is what the manifests say of archive files that exist.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if the objects cannot be listed.
    pub async fn index(&self) -> Result<Index, RepositoryError> {
        if self.layout != Layout::Plain {
            let mut index = Index::default();
            let unreadable = self.each_table(|facts, table| table.iter().for_each(|table| index.add(facts.clone(), table))).await?;
            index.report(unreadable);
            return Ok(index);
        }
        let (packs, mut unreadable) = self.packs().await?;
        let mut files: BTreeMap<_, _> = packs.into_iter().map(|facts| (facts.name.clone(), facts)).collect();
        let mut index = Index::default();
        let bad = self
            .each_manifest(|ManifestObject { manifest, .. }| {
                if let Some(facts) = files.remove(&PackName::Archive(manifest.head.archive.clone())) {
                    index.add_archive(facts, &manifest);
                }
            })
            .await?;
        unreadable.extend(bad);
        index.report(unreadable);
        Ok(index)
    }

    /// Where the frames of one archive lie: in a plain repository its own file alone is asked for, without reading any other
    /// manifest; otherwise this is [`Repository::index`].
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if the store fails.
    pub async fn index_of(&self, manifest: &Manifest) -> Result<Index, RepositoryError> {
        if self.layout != Layout::Plain {
            return self.index().await;
        }
        let name = &manifest.head.archive;
        let path = archive_path(name);
        let mut index = Index::default();
        let ahead = self.ahead().file.take_if(|file| file.location == path);
        let file = match ahead {
            Some(file) => Ok(file),
            None => self.store.head(&path).await,
        };
        match file {
            Ok(meta) => index.add_archive(PackFacts { name: PackName::Archive(name.clone()), bytes: meta.size }, manifest),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => return Err(store("read", &path, source)),
        }
        Ok(index)
    }
}
