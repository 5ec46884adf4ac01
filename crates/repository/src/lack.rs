//! What archives lack, known without reading a pack; and the two small repairs that let a copy heal the rest.
//!
//! A damaged pack is never edited. It is set aside, which makes its frames lacking, and the next copy of an archive that needs them
//! fetches exactly those from another repository.

use std::collections::HashSet;

use futures::StreamExt;
use object_store::{ObjectStoreExt, path::Path};
use offsite_archive::ArchiveName;

use crate::{
    FetchError, Layout, ObjectId, PackName, Repository, RepositoryError, StreamError, damaged_path, index_path,
    pack::{create, read_table, store},
};

/// The archives that lack frames, by name, with how many different ones. From manifests, index objects and the listing alone, so it
/// is cheap and can be asked of cold storage; whether the frames that are there are good is what `verify` finds out.
///
/// # Errors
/// [`RepositoryError::Store`] if the store cannot be listed. Unreadable manifests are not archives here; `archives` names them.
pub async fn lacking(repository: &Repository) -> Result<Vec<(ArchiveName, usize)>, RepositoryError> {
    let index = repository.index().await?;
    let mut lacking = Vec::new();
    repository
        .each_manifest(|object| {
            let frames = &object.manifest.frames;
            let lost: HashSet<_> = frames.iter().map(|frame| frame.id).filter(|id| !index.held(id)).collect();
            if !lost.is_empty() {
                lacking.push((object.manifest.head.archive, lost.len()));
            }
        })
        .await?;
    lacking.sort();
    lacking.dedup_by(|a, b| a.0 == b.0);
    Ok(lacking)
}

/// Whether every frame of an archive is held, and each is as long as the manifest says wherever it lists it. From its manifest, index
/// objects and the listing alone, as [`lacking`]; with a manifest of version 2, whose digest binds ids and lengths, the archive is then
/// the agent's if the frames are good, and those were hashed when they came.
///
/// # Errors
/// [`StreamError::Fetch`] with the first frame that is lacking, [`StreamError::Length`] with the first of another length,
/// [`StreamError::Repository`] if manifest or index cannot be had.
pub async fn holds(repository: &Repository, name: &ArchiveName) -> Result<(), StreamError> {
    let archive = || name.clone();
    let cut = |source| StreamError::Repository { archive: archive(), source };
    let manifest = repository.manifest(name).await.map_err(cut)?.manifest;
    let index = repository.index_of(&manifest).await.map_err(cut)?;
    for listed in &manifest.frames {
        let frame = listed.id;
        match index.locate(&frame) {
            Some(location) if location.raw == listed.raw => {}
            Some(location) => {
                return Err(StreamError::Length { archive: archive(), frame, expected: listed.raw, found: location.raw });
            }
            None => return Err(StreamError::Fetch { archive: archive(), source: FetchError::Lacking { frame } }),
        }
    }
    Ok(())
}

/// Sets packs aside: their index objects are removed and they move from `packs/` to `damaged/`, where a person may look at them.
/// A pack that is not there (any more) is set aside already.
///
/// # Errors
/// [`RepositoryError::NotSupported`] but in [`Layout::Packs`]; [`RepositoryError::Store`] if the store fails. Doing it again goes on.
pub async fn set_damaged_aside(repository: &Repository, packs: &[ObjectId]) -> Result<(), RepositoryError> {
    if repository.layout() != Layout::Packs {
        return Err(RepositoryError::NotSupported { operation: "set packs aside", layout: repository.layout() });
    }
    for id in packs {
        // Index first: an index object without its pack means nothing, a pack without index object would still be found.
        delete(repository, &index_path(id)).await?;
        let (pack, aside) = (PackName::Object(*id).path(), damaged_path(id));
        match repository.store().rename_if_not_exists(&pack, &aside).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            // A store that renames by copying was interrupted between the two steps.
            Err(object_store::Error::AlreadyExists { .. }) => delete(repository, &pack).await?,
            Err(source) => return Err(store("set aside", &pack, source)),
        }
    }
    Ok(())
}

/// Writes index objects anew that are missing or damaged, from their packs, and removes those whose pack is gone. Returns how many
/// were written or removed.
///
/// # Errors
/// [`RepositoryError::NotSupported`] but in [`Layout::Packs`]; [`RepositoryError::Store`] if the store fails. A pack whose own
/// table is damaged keeps what index it has.
pub async fn mend_index(repository: &Repository) -> Result<usize, RepositoryError> {
    if repository.layout() != Layout::Packs {
        return Err(RepositoryError::NotSupported { operation: "mend the index", layout: repository.layout() });
    }
    let (packs, _) = repository.packs().await?;
    let mut mended = 0;
    let mut there = HashSet::new();
    for facts in &packs {
        let PackName::Object(id) = &facts.name else { continue };
        let path = index_path(id);
        there.insert(path.clone());
        match repository.read_index(&path).await {
            Ok(_) => continue,
            Err(RepositoryError::Table { .. } | RepositoryError::IndexMissing { .. } | RepositoryError::TooLarge { .. }) => {}
            Err(error) => return Err(error),
        }
        let bytes = match read_table(&**repository.store(), &facts.name.path(), facts.bytes).await {
            Ok((_, bytes)) => bytes,
            Err(RepositoryError::Table { .. }) => continue,
            Err(error) => return Err(error),
        };
        delete(repository, &path).await?;
        create(&**repository.store(), &path, bytes).await.map_err(|source| store("write", &path, source))?;
        mended += 1;
    }
    for object in repository.list(crate::layout::INDEX).await? {
        if !there.contains(&object.location) && crate::layout::object_id(&object.location, crate::layout::INDEX).is_some() {
            delete(repository, &object.location).await?;
            mended += 1;
        }
    }
    Ok(mended)
}

/// Deletes an object that may be gone already.
pub(crate) async fn delete(repository: &Repository, path: &Path) -> Result<(), RepositoryError> {
    let mut deleted = repository.store().delete_stream(futures::stream::iter([Ok(path.clone())]).boxed());
    match deleted.next().await {
        None | Some(Ok(_) | Err(object_store::Error::NotFound { .. })) => Ok(()),
        Some(Err(source)) => Err(store("delete", path, source)),
    }
}
