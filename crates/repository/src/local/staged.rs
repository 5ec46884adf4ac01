//! A file in the making: on the same disk as the store, nameless to everybody else, gone unless it is published.
//!
//! A pack that arrives over a slow line is the exception: what came of it is worth keeping, and each of its frames proves itself, so it
//! stays behind when its maker is killed, and the next one goes on with it.

use std::{
    fs::File,
    io::{self, IoSlice, Seek, SeekFrom, Write},
    sync::Arc,
};

use object_store::path::Path;

use super::{
    ARRIVING, LocalError, TEMPORARY,
    disk::{Disk, sync_file},
};

/// A temporary file that can become an object. Dropping it removes it, unless it is an arrival.
#[derive(Debug)]
pub struct Staged {
    disk: Arc<Disk>,
    file: File,
    name: Option<String>,
    stays: bool,
}

impl Staged {
    pub(super) fn new(disk: Arc<Disk>) -> Result<Self, LocalError> {
        let (file, name) = disk.temporary(TEMPORARY)?;
        Ok(Self { disk, file, name: Some(name), stays: false })
    }

    /// A file that stays when it is dropped, until it is published or discarded.
    pub(super) fn arrival(disk: Arc<Disk>) -> Result<Self, LocalError> {
        let (file, name) = disk.temporary(ARRIVING)?;
        Ok(Self { disk, file, name: Some(name), stays: true })
    }

    /// Those that were left behind, by name.
    pub(super) fn arrivals(disk: &Arc<Disk>) -> Result<Vec<Self>, LocalError> {
        let opened = disk.temporaries(ARRIVING)?.into_iter();
        Ok(opened.map(|(file, name)| Self { disk: disk.clone(), file, name: Some(name), stays: true }).collect())
    }

    /// Cuts the file to `bytes`, and goes to its end.
    ///
    /// # Errors
    /// [`LocalError`], if the disk refuses.
    pub fn cut(&mut self, bytes: u64) -> Result<(), LocalError> {
        let cut = self.file.set_len(bytes).and_then(|()| self.file.seek(SeekFrom::Start(bytes)).map(drop));
        cut.map_err(|source| LocalError::io("cut", &self.path(), source))
    }

    /// Removes the file.
    pub fn discard(mut self) {
        self.stays = false;
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

    pub(crate) fn path(&self) -> std::path::PathBuf {
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

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.file.write_vectored(slices)
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
        if self.stays {
            return;
        }
        if let Some(name) = self.name.take() {
            // Nobody can be told here; what stays behind is removed when the store is opened two days later.
            let _ = self.disk.remove_temporary(&name);
        }
    }
}
