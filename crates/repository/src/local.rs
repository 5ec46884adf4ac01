//! A folder as an object store, made for data that must survive a power cut.
//!
//! What an operation reports as done is on the disk: the object's bytes, its name, and the folders above it. An object appears under
//! its name whole or not at all: it is written to a temporary file (`.tmp-…` in the root), synced, and moved into place without
//! replacing anything. The root is held open from the start and every path is walked from there without following links, so a
//! disk that goes away under us is an error and never a fresh folder on the disk below. The store of `object_store` itself syncs
//! nothing, which is why this one exists.

mod disk;
mod error;
mod object;
mod staged;

use std::{
    fmt, fs,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use object_store::path::Path;

pub use error::LocalError;
pub use staged::Staged;

use disk::Disk;

/// Temporary files begin so; [`LocalStore::open`] removes those which nobody wrote to for two days, [`LocalStore::clean`] all.
const TEMPORARY: &str = ".tmp-";
/// Packs that arrive begin so.
const ARRIVING: &str = ".arriving-";
const STALE: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// A folder whose files are objects. Cheap to clone. Its asynchronous side needs a tokio runtime.
#[derive(Debug, Clone)]
pub struct LocalStore {
    disk: Arc<Disk>,
}

impl LocalStore {
    /// Makes the folder, and those above it, where they are missing, and opens it. Permissions are what the umask leaves.
    ///
    /// # Errors
    /// [`LocalError`], if the folder cannot be made, made durable, or opened.
    pub fn create(root: &FilePath) -> Result<Self, LocalError> {
        make_durably(root)?;
        Self::open(root)
    }

    /// Opens a folder that is there.
    ///
    /// # Errors
    /// [`LocalError`], if it is not there: perhaps its disk is not mounted, and nothing must be written below.
    pub fn open(root: &FilePath) -> Result<Self, LocalError> {
        let disk = Disk::open(root)?;
        disk.clean(TEMPORARY, SystemTime::now().checked_sub(STALE))?;
        Ok(Self { disk: Arc::new(disk) })
    }

    /// The folder.
    pub fn root(&self) -> &FilePath {
        self.disk.root()
    }

    /// The file behind an object. For reading only: what is written past this store is not durable.
    ///
    /// # Errors
    /// [`LocalError::Name`] if no object can have that name.
    pub fn file(&self, path: &Path) -> Result<PathBuf, LocalError> {
        Ok(self.root().join(disk::checked(path)?))
    }

    /// A temporary file on the same disk, to be filled and then published. It goes away when it is dropped.
    ///
    /// # Errors
    /// [`LocalError`], if it cannot be made.
    pub fn stage(&self) -> Result<Staged, LocalError> {
        Staged::new(self.disk.clone())
    }

    /// Removes every temporary file, however young: what killed processes left may be as large as an archive. Only for who knows that nobody
    /// else writes here.
    ///
    /// # Errors
    /// [`LocalError`], if the folder cannot be read or one of them not be removed.
    pub fn clean(&self) -> Result<(), LocalError> {
        self.disk.temporaries(TEMPORARY)?.iter().try_for_each(|(_, name)| self.disk.remove_temporary(name))
    }

    /// A file as [`LocalStore::stage`] gives it, which stays when it is dropped or its process is killed.
    ///
    /// # Errors
    /// [`LocalError`], if it cannot be made.
    pub(crate) fn arrival(&self) -> Result<Staged, LocalError> {
        Staged::arrival(self.disk.clone())
    }

    /// The arrivals that were left behind. Only for who knows that nobody else is pulling.
    ///
    /// # Errors
    /// [`LocalError`], if the folder cannot be read or one of them not be opened.
    pub(crate) fn arrivals(&self) -> Result<Vec<Staged>, LocalError> {
        Staged::arrivals(&self.disk)
    }

    /// Makes a staged file the object `to`, durably. It is there whole when this returns.
    ///
    /// # Errors
    /// [`LocalError::Exists`] if there is an object of that name, others if the disk refuses; the staged file is gone then.
    pub fn publish(&self, staged: Staged, to: &Path) -> Result<(), LocalError> {
        staged.publish(&self.disk, to, false)
    }
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root().display())
    }
}

/// Makes `folder` and what is missing above it, each synced into the one above.
fn make_durably(folder: &FilePath) -> Result<(), LocalError> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = match folder.parent() {
        Some(above) if above.as_os_str().is_empty() => FilePath::new("."),
        Some(above) => above,
        None => return Ok(()),
    };
    make_durably(above)?;
    match fs::create_dir(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => return Err(LocalError::io("make the folder", folder, source)),
        _ => {}
    }
    let opened = fs::File::open(above).map_err(|source| LocalError::io("open the folder", above, source))?;
    disk::sync_folder(&opened).map_err(|source| LocalError::io("sync the folder", above, source))
}
