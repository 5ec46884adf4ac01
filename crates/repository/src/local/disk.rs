//! The durable steps, each relative to the root that was opened once.
//!
//! No step follows a link below the root. A folder counts as durable once its own name was synced into the folder above; that is
//! remembered for the life of the process, because a folder found there may be one that an earlier process made and did not sync.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path as FilePath, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use object_store::path::Path;
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::LocalError;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An object of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) path: Path,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
}

/// A folder that is held open.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    folder: OwnedFd,
    durable: Mutex<BTreeSet<String>>,
}

impl Disk {
    pub(super) fn open(root: &FilePath) -> Result<Self, LocalError> {
        // The root itself may be reached over a link: that is the owner's own.
        let flags = FOLDER.difference(OFlags::NOFOLLOW);
        let folder = rustix::fs::open(root, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => LocalError::NoFolder { path: root.to_owned(), source: error.into() },
            _ => LocalError::io("open the folder", root, error.into()),
        })?;
        Ok(Self { root: root.to_owned(), folder, durable: Mutex::default() })
    }

    pub(super) fn root(&self) -> &FilePath {
        &self.root
    }

    fn failed(&self, operation: &'static str, path: &str, error: Errno) -> LocalError {
        LocalError::io(operation, &self.root.join(path), error.into())
    }

    /// The folder `path` (empty: the root), opened. Missing folders are made if `make`, and all of them are durable then.
    fn folder(&self, path: &str, make: bool) -> Result<OwnedFd, LocalError> {
        let failed = |error| self.failed("open the folder", path, error);
        let mut folder = rustix::fs::openat(&self.folder, ".", FOLDER, Mode::empty()).map_err(failed)?;
        let mut walked = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            walked.push_str(part);
            if make && !self.durable().contains(&walked) {
                match rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(self.failed("make the folder", &walked, error)),
                }
                let above = File::from(folder);
                sync_folder(&above).map_err(|error| LocalError::io("sync the folder above", &self.root.join(&walked), error))?;
                folder = above.into();
                self.durable().insert(walked.clone());
            }
            folder = rustix::fs::openat(&folder, part, FOLDER, Mode::empty()).map_err(|error| match error {
                // How macOS says that it is a link.
                Errno::LOOP => failed(Errno::NOTDIR),
                error => failed(error),
            })?;
            walked.push('/');
        }
        Ok(folder)
    }

    fn durable(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        // A set of strings is whole whenever the lock is free.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new, empty file in the root whose name begins with `prefix`, and its name.
    pub(super) fn temporary(&self, prefix: &str) -> Result<(File, String), LocalError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|source| LocalError::Random { source })?;
        let name = format!("{prefix}{:016x}", u64::from_le_bytes(random));
        let flags = OFlags::RDWR.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
        let file = rustix::fs::openat(&self.folder, &name, flags, Mode::from_raw_mode(0o666));
        Ok((file.map_err(|error| self.failed("make the file", &name, error))?.into(), name))
    }

    /// Moves a temporary file, which is synced, to the place of `to`, and makes that durable.
    pub(super) fn place(&self, temporary: &str, to: &Path, overwrite: bool) -> Result<(), LocalError> {
        self.rename(&self.folder, temporary, to, overwrite)
    }

    /// Moves an object. The folder that it leaves is synced after the one that it enters: it is in one of the two at any time.
    pub(super) fn rename_object(&self, from: &Path, to: &Path, overwrite: bool) -> Result<(), LocalError> {
        let (above, name) = split(checked(from)?);
        let folder = self.folder(above, false)?;
        self.regular(&folder, name, from)?;
        self.rename(&folder, name, to, overwrite)?;
        sync_folder(&folder.into()).map_err(|error| LocalError::io("sync the folder of", &self.root.join(from.as_ref()), error))
    }

    fn rename(&self, from: &OwnedFd, old: &str, to: &Path, overwrite: bool) -> Result<(), LocalError> {
        let path = checked(to)?;
        let (above, name) = split(path);
        let folder = self.folder(above, true)?;
        let moved = if overwrite { rustix::fs::renameat(from, old, &folder, name) } else { move_new(from, old, &folder, name) };
        moved.map_err(|error| match error {
            Errno::EXIST => LocalError::Exists { path: self.root.join(path) },
            error => self.failed("put in place", path, error),
        })?;
        sync_folder(&folder.into()).map_err(|error| LocalError::io("sync the folder of", &self.root.join(path), error))
    }

    /// The files of the root whose names begin with `prefix`, opened, by name. What is no regular file is none of ours, and is passed over.
    pub(super) fn temporaries(&self, prefix: &str) -> Result<Vec<(File, String)>, LocalError> {
        let failed = |error| self.failed("list", "", error);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            names.extend(entry.file_name().to_str().ok().filter(|name| name.starts_with(prefix)).map(str::to_owned));
        }
        names.sort();
        let mut files = Vec::new();
        for name in names {
            // Non-blocking, as nobody knows who put what there.
            let flags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
            match self.regular(&self.folder, &name, &Path::from(name.as_str())) {
                Err(LocalError::NotAFile { .. }) => continue,
                Err(LocalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
                looked => looked?,
            }
            let file = match rustix::fs::openat(&self.folder, &name, flags, Mode::empty()) {
                Ok(file) => File::from(file),
                Err(Errno::NOENT | Errno::LOOP) => continue,
                Err(error) => return Err(self.failed("open", &name, error)),
            };
            // Somebody may have put another thing there since it was looked at.
            let metadata = file.metadata().map_err(|error| LocalError::io("look at", &self.root.join(&name), error))?;
            if metadata.is_file() {
                files.push((file, name));
            }
        }
        Ok(files)
    }

    pub(super) fn remove_temporary(&self, name: &str) -> Result<(), LocalError> {
        rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()).map_err(|error| self.failed("remove", name, error))
    }

    /// Deletes an object, durably.
    pub(super) fn delete(&self, path: &Path) -> Result<(), LocalError> {
        let (above, name) = split(checked(path)?);
        let folder = self.folder(above, false)?;
        self.regular(&folder, name, path)?;
        rustix::fs::unlinkat(&folder, name, AtFlags::empty()).map_err(|error| self.failed("delete", path.as_ref(), error))?;
        sync_folder(&folder.into()).map_err(|error| LocalError::io("sync the folder of", &self.root.join(path.as_ref()), error))
    }

    /// Fails unless `name` is a regular file.
    fn regular(&self, folder: &OwnedFd, name: &str, path: &Path) -> Result<(), LocalError> {
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|error| self.failed("find", path.as_ref(), error))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(()),
            _ => Err(LocalError::NotAFile { path: self.root.join(path.as_ref()) }),
        }
    }

    /// Opens an object for reading.
    pub(super) fn read(&self, path: &Path) -> Result<(File, Facts), LocalError> {
        let name = checked(path)?;
        let (above, name) = split(name);
        let folder = self.folder(above, false)?;
        // Non-blocking, so that a pipe with an object's name does not hold us.
        let flags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
        let file = rustix::fs::openat(&folder, name, flags, Mode::empty()).map_err(|error| match error {
            Errno::LOOP => LocalError::NotAFile { path: self.root.join(path.as_ref()) },
            error => self.failed("open", path.as_ref(), error),
        })?;
        let file = File::from(file);
        let failed = |error| LocalError::io("look at", &self.root.join(path.as_ref()), error);
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(LocalError::NotAFile { path: self.root.join(path.as_ref()) });
        }
        let modified = metadata.modified().map_err(failed)?;
        Ok((file, Facts { path: path.clone(), size: metadata.len(), modified }))
    }

    /// The objects below the folder `prefix` (empty: all), by path, and if `deep` is false the folders in it instead of what is
    /// below them. Temporary files, links and whatever no object can be named are passed over.
    pub(super) fn list(&self, prefix: &str, deep: bool) -> Result<(Vec<Facts>, Vec<Path>), LocalError> {
        let (mut objects, mut folders) = (Vec::new(), Vec::new());
        if !prefix.is_empty() && checked_text(prefix).is_none() {
            return Ok((objects, folders));
        }
        // Folders are read to the end one after the other, so the depth costs memory, not open files.
        let mut todo = vec![prefix.to_owned()];
        while let Some(above) = todo.pop() {
            for (name, kind) in self.names(&above)? {
                let path = if above.is_empty() { name } else { format!("{above}/{name}") };
                let (Some(_), Ok(object)) = (checked_text(&path), Path::parse(&path)) else { continue };
                match kind {
                    FileType::Directory if deep => todo.push(path),
                    FileType::Directory => folders.push(object),
                    FileType::RegularFile => match self.read(&object) {
                        Ok((_, facts)) => objects.push(facts),
                        // It went away, or became something else, since the folder was read.
                        Err(LocalError::NotAFile { .. }) => {}
                        Err(LocalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    },
                    _ => {}
                }
            }
        }
        objects.sort_by(|a, b| a.path.cmp(&b.path));
        folders.sort();
        Ok((objects, folders))
    }

    /// What is in the folder `path`, nothing if it is not there.
    fn names(&self, path: &str) -> Result<Vec<(String, FileType)>, LocalError> {
        let folder = match self.folder(path, false) {
            Ok(folder) => folder,
            Err(LocalError::Io { source, .. })
                if !path.is_empty() && matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let failed = |error| self.failed("list", path, error);
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(failed(error)),
                },
                kind => kind,
            };
            names.push((name.to_owned(), kind));
        }
        Ok(names)
    }

    /// Removes files of the root that begin with `prefix` and were last written before `limit`.
    pub(super) fn clean(&self, prefix: &str, limit: Option<SystemTime>) -> Result<(), LocalError> {
        let Some(limit) = limit else { return Ok(()) };
        let failed = |error| self.failed("list", "", error);
        for entry in Dir::read_from(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !name.starts_with(prefix) {
                continue;
            }
            let path = self.root.join(name);
            let metadata = match std::fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_file() => metadata,
                _ => continue,
            };
            if metadata.modified().is_ok_and(|modified| modified < limit) {
                match self.remove_temporary(name) {
                    // Another process cleans, too, or we may only read here: then it is not ours to clean.
                    Err(LocalError::Io { source, .. })
                        if matches!(
                            source.kind(),
                            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                        ) => {}
                    other => other?,
                }
            }
        }
        Ok(())
    }
}

/// Moves a file without replacing one: in one step where the system can, by a second name where it cannot.
fn move_new(from: &OwnedFd, old: &str, to: &OwnedFd, new: &str) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        done => return done,
    }
    match rustix::fs::linkat(from, old, to, new, AtFlags::empty()) {
        // Dying here leaves a second, temporary name, which is cleaned when it is old.
        Ok(()) => return rustix::fs::unlinkat(from, old, AtFlags::empty()),
        Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK) => {}
        Err(error) => return Err(error),
    }
    // Neither (a FAT disk): look first. Names are random or this process is the only writer, so nobody comes in between.
    match rustix::fs::statat(to, new, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => rustix::fs::renameat(from, old, to, new),
        Err(error) => Err(error),
    }
}

/// Syncs a file's bytes and length to the disk.
pub(super) fn sync_file(file: &File) -> io::Result<()> {
    match file.sync_all() {
        // macOS flushes the drive's own cache only where the file system knows how; the plain call must do elsewhere.
        Err(error) if is_unknown(&error) => Ok(rustix::fs::fsync(file)?),
        other => other,
    }
}

/// Syncs a folder's names to the disk. File systems that cannot do this for a folder at all are believed not to need it.
pub(super) fn sync_folder(folder: &File) -> io::Result<()> {
    match sync_file(folder) {
        Err(error) if is_unknown(&error) => Ok(()),
        other => other,
    }
}

/// Whether the file system does not know the operation, as opposed to having failed at it.
fn is_unknown(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::INVAL | Errno::NOTSUP | Errno::NOTTY | Errno::NOSYS))
}

/// Folder (empty for the root) and name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The object's path below the root, if an object may have that name.
pub(super) fn checked(path: &Path) -> Result<&str, LocalError> {
    checked_text(path.as_ref()).ok_or_else(|| LocalError::Name { name: path.as_ref().chars().take(200).collect() })
}

fn checked_text(path: &str) -> Option<&str> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let good = |part: &str| (1..=200).contains(&part.len()) && !part.starts_with('.') && part.bytes().all(letter);
    (path.len() <= 1000 && path.split('/').all(good)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_paths() {
        for good in ["a", "repository.json", "archives/services/2026-11-22T040000Z.tar.zst", "packs/00ff", "a-b_c/d"] {
            assert_eq!(checked_text(good), Some(good));
        }
        let long = "a".repeat(201);
        for bad in ["", "/", "a/", "/a", "a//b", "..", "a/../b", ".", "a/.b", ".tmp-1", "a b", "a\\b", "ä", "a%2f", "a\0", long.as_str()] {
            assert_eq!(checked_text(bad), None, "{bad:?}");
        }
    }
}
