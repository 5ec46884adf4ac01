//! A repository: opened, listed, and asked for manifests and for its index.
//!
//! The file `repository.json` says what a place is; it is required to open one, so that an unmounted disk or a mistyped path is never taken
//! for an empty repository. What is in it is asked for by feature: archives, manifests, tables.

mod archives;
mod listed;
mod manifest;
mod marker;
mod offered;
mod remembered;
mod tables;

pub use archives::{ArchiveInfo, Archives};
pub use listed::Listed;
pub use manifest::ManifestObject;
pub use remembered::Remembered;
pub use tables::Tables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};

use crate::{Layout, ObjectId, RepositoryError, layout::is_litter, pack::store, recover};

/// Bytes asked for at once for what is soon dropped and may be long. What glibc is given back it keeps, up to 32 MiB at a time, below all that came
/// later; what is larger comes from the system untouched, and goes there again.
const APART: usize = 33 << 20;
/// Small objects that are read at the same time.
const AT_ONCE: usize = 8;

/// A place that holds archives. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    store: Arc<dyn ObjectStore>,
    /// Where what is not sealed lies: below the store that seals, or the same.
    clear: Arc<dyn ObjectStore>,
    layout: Layout,
    id: ObjectId,
    /// What each manifest turned out to be, as long as it is listed as it was then: a night lists its archives some eight times.
    known: Arc<Mutex<archives::Known>>,
    /// What was asked for before it was needed, each for the first who needs it.
    ahead: Arc<Mutex<Ahead>>,
}

/// Over a slow line what counts is how often one side waits for the other, so what will surely be asked for next is asked for meanwhile.
#[derive(Debug, Default)]
struct Ahead {
    /// The manifests, as they were listed while the repository was opened.
    listed: Option<Vec<ObjectMeta>>,
    /// The newest manifest that was read to see what is offered.
    manifest: Option<ManifestObject>,
    /// The file of that archive.
    file: Option<ObjectMeta>,
}
impl Repository {
    /// The repository in `store`, which opens and seals what passes through it; its id is the vault's.
    pub fn sealed(store: Arc<dyn ObjectStore>, vault: ObjectId) -> Self {
        Self::new(store, Layout::Sealed, vault)
    }

    fn new(store: Arc<dyn ObjectStore>, layout: Layout, id: ObjectId) -> Self {
        Self { clear: store.clone(), store, layout, id, known: Arc::default(), ahead: Arc::default() }
    }

    /// The same repository, whose clear files lie in `clear`.
    #[cfg(feature = "seal")]
    pub(crate) fn over(self, clear: Arc<dyn ObjectStore>) -> Self {
        Self { clear, ..self }
    }

    /// Brings `recover/`, which opens the repository without offsite, to what this offsite writes. To be called before archives are
    /// added: the script of an older one refuses manifests of a version that it does not know. One listing if nothing is to do.
    /// Returns whether anything was written.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if the files cannot be listed or written. The data is not concerned.
    pub async fn renew_recover(&self) -> Result<bool, RepositoryError> {
        recover::place(&*self.clear).await.map_err(|(path, source)| store("renew", &path, source))
    }

    /// How frames are kept here.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// What tells this repository from others; a vault's id if it is sealed.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// Where the objects lie.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }
    /// All objects below `folder`, by path, without what others left there.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>, RepositoryError> {
        list(&*self.store, &Path::from(folder)).await
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn list(from: &dyn ObjectStore, folder: &Path) -> Result<Vec<ObjectMeta>, RepositoryError> {
    let listed: Result<Vec<_>, _> = from.list(Some(folder)).try_collect().await;
    let mut listed = listed.map_err(|source| store("list", folder, source))?;
    listed.retain(|object| !is_litter(&object.location));
    listed.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(listed)
}

/// An object's bytes if they are at most `limit`; `None` if it is not there.
pub(crate) async fn read_bounded(from: &dyn ObjectStore, path: &Path, limit: u64) -> Result<Option<Bytes>, RepositoryError> {
    let got = match from.get(path).await {
        Ok(got) => got,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(store("read", path, source)),
    };
    if got.meta.size > limit {
        return Err(RepositoryError::TooLarge { object: path.to_string(), bytes: got.meta.size, limit });
    }
    // The size is what the other side says; the stream is what it sends.
    let stated = got.meta.size;
    let mut stream = got.into_stream();
    let (mut only, mut whole) = (Bytes::new(), Vec::new());
    while let Some(chunk) = stream.try_next().await.map_err(|source| store("read", path, source))? {
        let bytes = (only.len() + whole.len() + chunk.len()) as u64;
        if bytes > limit {
            return Err(RepositoryError::TooLarge { object: path.to_string(), bytes, limit });
        }
        if bytes == chunk.len() as u64 {
            only = chunk;
            continue;
        }
        if whole.is_empty() {
            // At once: a long manifest would lie in memory twice while it grows.
            whole.reserve_exact(APART.max(stated as usize));
            whole.extend_from_slice(&std::mem::take(&mut only));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(Some(if whole.is_empty() { only } else { whole.into() }))
}
