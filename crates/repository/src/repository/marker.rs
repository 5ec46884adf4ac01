//! `repository.json`: what says that a place is a repository, and of which layout.
//!
//! It is put create-only and never changed. Without it nothing is opened, and a place that holds objects but lost it is never taken
//! for a new one: it must be adopted on purpose.

use std::sync::Arc;

use futures::{
    TryStreamExt,
    future::{join, try_join_all},
};
use object_store::{ObjectMeta, ObjectStore, path::Path};
use offsite_archive::JobName;
use serde::{Deserialize, Serialize};

use super::{Repository, list, read_bounded};
use crate::{
    Layout, ObjectId, RepositoryError,
    layout::{ARCHIVES, INDEX, MANIFESTS, MARKER, PACKS, is_litter},
    pack::{create, store},
    recover,
};

/// Longest marker that is read, in bytes.
const MAX_MARKER: u64 = 4096;
const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Marker {
    offsite: String,
    version: u64,
    layout: Layout,
    id: ObjectId,
}

/// What any version of a marker has.
#[derive(Deserialize)]
struct AnyMarker {
    version: u64,
    layout: String,
}

impl Repository {
    /// Makes a new, empty repository of layout [`Layout::Plain`] or [`Layout::Packs`].
    ///
    /// # Errors
    /// [`RepositoryError::Exists`] if there is one already, [`RepositoryError::MarkerLost`] if there was one.
    pub async fn create(store: Arc<dyn ObjectStore>, layout: Layout) -> Result<Self, RepositoryError> {
        if has_objects(&*store).await? {
            return match read_marker(&*store).await? {
                Some(_) => Err(RepositoryError::Exists { place: store.to_string() }),
                None => Err(RepositoryError::MarkerLost { place: store.to_string() }),
            };
        }
        Self::mark(store, layout).await
    }

    /// Opens the repository that is there.
    ///
    /// # Errors
    /// [`RepositoryError::NotARepository`] or [`RepositoryError::MarkerLost`] if nothing says that this is one, and others if what
    /// says so is damaged or of another version.
    pub async fn open(store: Arc<dyn ObjectStore>) -> Result<Self, RepositoryError> {
        match read_marker(&*store).await? {
            Some(marker) => Ok(Self::new(store, marker.layout, marker.id)),
            None if has_objects(&*store).await? => Err(RepositoryError::MarkerLost { place: store.to_string() }),
            None => Err(RepositoryError::NotARepository { place: store.to_string() }),
        }
    }

    /// As [`Repository::open`], and lists the manifests meanwhile, for who asks for them first. The folders of `jobs` are listed before it is
    /// seen that they are there; of other jobs those come after.
    ///
    /// # Errors
    /// As there. That they cannot be listed is told to who asks.
    pub async fn open_and_list(store: Arc<dyn ObjectStore>, jobs: &[JobName]) -> Result<Self, RepositoryError> {
        let (opened, listed) = join(Self::open(store.clone()), list_jobs(&*store, jobs)).await;
        let opened = opened?;
        opened.ahead().listed = listed.ok();
        Ok(opened)
    }

    /// Opens the repository that is there; if the place is empty, makes one. One that is there must have that layout.
    ///
    /// # Errors
    /// As [`Repository::open`] and [`Repository::create`].
    pub async fn open_or_create(store: Arc<dyn ObjectStore>, layout: Layout) -> Result<Self, RepositoryError> {
        match Self::open(store.clone()).await {
            Ok(repository) if repository.layout != layout => {
                Err(RepositoryError::UnknownLayout { place: store.to_string(), layout: repository.layout.to_string() })
            }
            Err(RepositoryError::NotARepository { .. }) => Self::create(store, layout).await,
            other => other,
        }
    }

    /// Writes `repository.json` anew for a place that lost it; the layout follows from what is there.
    ///
    /// # Errors
    /// [`RepositoryError::Exists`] if it is not lost, [`RepositoryError::NotARepository`] if nothing is there that a repository has.
    pub async fn adopt(store: Arc<dyn ObjectStore>) -> Result<Self, RepositoryError> {
        if read_marker(&*store).await?.is_some() {
            return Err(RepositoryError::Exists { place: store.to_string() });
        }
        for (folder, layout) in [(ARCHIVES, Layout::Plain), (PACKS, Layout::Packs), (INDEX, Layout::Packs)] {
            if has_any(&*store, folder).await? {
                return Self::mark(store, layout).await;
            }
        }
        Err(RepositoryError::NotARepository { place: store.to_string() })
    }

    async fn mark(store: Arc<dyn ObjectStore>, layout: Layout) -> Result<Self, RepositoryError> {
        if layout == Layout::Sealed {
            return Err(RepositoryError::NotSupported { operation: "write repository.json", layout });
        }
        recover::place(&*store).await.map_err(|(path, source)| self::store("write", &path, source))?;
        let id = ObjectId::random()?;
        let marker = format!("{{\"offsite\":\"repository\",\"version\":{VERSION},\"layout\":\"{layout}\",\"id\":\"{id}\"}}\n");
        match create(&*store, &Path::from(MARKER), marker.into()).await {
            Ok(()) => Ok(Self::new(store, layout, id)),
            Err(object_store::Error::AlreadyExists { .. }) => Err(RepositoryError::Exists { place: store.to_string() }),
            Err(source) => Err(self::store("write", &Path::from(MARKER), source)),
        }
    }
}

/// The manifests, as [`list`] finds them.
async fn list_jobs(from: &dyn ObjectStore, jobs: &[JobName]) -> Result<Vec<ObjectMeta>, RepositoryError> {
    let above = Path::from(MANIFESTS);
    let mut folders: Vec<Path> = jobs.iter().map(|job| above.clone().join(job.as_str())).collect();
    let (top, known) = join(from.list_with_delimiter(Some(&above)), list_all(from, &folders)).await;
    let mut top = top.map_err(|source| store("list", &above, source))?;
    top.objects.retain(|object| !is_litter(&object.location));
    top.common_prefixes.retain(|folder| !folders.contains(folder));
    folders = top.common_prefixes;
    let mut listed = [top.objects, known?, list_all(from, &folders).await?].concat();
    listed.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(listed)
}

async fn list_all(from: &dyn ObjectStore, folders: &[Path]) -> Result<Vec<ObjectMeta>, RepositoryError> {
    Ok(try_join_all(folders.iter().map(|folder| list(from, folder))).await?.concat())
}

async fn read_marker(from: &dyn ObjectStore) -> Result<Option<Marker>, RepositoryError> {
    let Some(bytes) = read_bounded(from, &Path::from(MARKER), MAX_MARKER).await? else { return Ok(None) };
    let place = || from.to_string();
    let damaged = |source| RepositoryError::MarkerDamaged { place: place(), source };
    let any: AnyMarker = serde_json::from_slice(&bytes).map_err(damaged)?;
    if any.version != VERSION {
        return Err(RepositoryError::Version { place: place(), version: any.version });
    }
    if !matches!(any.layout.as_str(), "plain" | "packs") {
        return Err(RepositoryError::UnknownLayout { place: place(), layout: any.layout });
    }
    let marker: Marker = serde_json::from_slice(&bytes).map_err(damaged)?;
    if marker.offsite != "repository" {
        return Err(RepositoryError::NotARepository { place: place() });
    }
    Ok(Some(marker))
}

/// Whether the place has a marker or anything that only a repository has.
async fn has_objects(from: &dyn ObjectStore) -> Result<bool, RepositoryError> {
    if read_bounded(from, &Path::from(MARKER), MAX_MARKER).await?.is_some() {
        return Ok(true);
    }
    for folder in [ARCHIVES, MANIFESTS, PACKS, INDEX] {
        if has_any(from, folder).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn has_any(from: &dyn ObjectStore, folder: &str) -> Result<bool, RepositoryError> {
    let prefix = Path::from(folder);
    let mut listed = from.list(Some(&prefix));
    while let Some(object) = listed.try_next().await.map_err(|source| store("list", &prefix, source))? {
        if !is_litter(&object.location) {
            return Ok(true);
        }
    }
    Ok(false)
}
