//! A file in the making: on the same disk as the store, nameless to everybody else, gone unless it is published.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    sync::Arc,
};

use object_store::path::Path;

use super::{
    LocalError,
    disk::{Disk, sync_file},
};

/// A temporary file that can become an object. Dropping it removes it.
#[derive(Debug)]
pub struct Staged {
    disk: Arc<Disk>,
    file: File,
    name: Option<String>,
}

impl Staged {
    pub(super) fn new(disk: Arc<Disk>) -> Result<Self, LocalError> {
        let (file, name) = disk.temporary()?;
        Ok(Self { disk, file, name: Some(name) })
    }

    /// Length of what was written, in bytes.
    ///
    /// # Errors
    /// [`LocalError`], if the system does not say.
    pub fn len(&self) -> Result<u64, LocalError> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(|source| LocalError::io("look at", &self.path(), source))?.len())
    }

    /// Whether nothing was written.
    ///
    /// # Errors
    /// As [`Staged::len`].
    pub fn is_empty(&self) -> Result<bool, LocalError> {
        Ok(self.len()? == 0)
    }

    fn path(&self) -> std::path::PathBuf {
        self.disk.root().join(self.name.as_deref().unwrap_or_default())
    }

    pub(super) fn publish(mut self, disk: &Arc<Disk>, to: &Path, overwrite: bool) -> Result<(), LocalError> {
        if !Arc::ptr_eq(&self.disk, disk) {
            return Err(LocalError::Elsewhere { from: self.disk.root().to_owned(), to: disk.root().to_owned() });
        }
        // Before it has its name: an object that is there is whole.
        sync_file(&self.file).map_err(|source| LocalError::io("sync", &self.path(), source))?;
        let name = self.name.as_deref().unwrap_or_default();
        self.disk.place(name, to, overwrite)?;
        self.name = None;
        Ok(())
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Staged {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl io::Read for Staged {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            // Nobody can be told here; what stays behind is removed when the store is opened two days later.
            let _ = self.disk.remove_temporary(&name);
        }
    }
}
