//! Small files that are there after a power cut: whole, or as they were before.
//!
//! A file is written beside its name, synced, renamed, and then its folder is synced; without the last step the rename itself can be
//! lost. Removal syncs the folder too, or a ledger that was cleared would come back and start what somebody has stopped since.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Length of a file from which on memory is asked for apart, in bytes.
const LONG: u64 = 1 << 20;
/// What is asked for then. glibc keeps what it is given back, up to 32 MiB at a time, below all that came later; the cache of a large job is megabytes
/// and soon dropped.
const APART: usize = 33 << 20;

/// A small state file could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct DurableError {
    /// What was to be done.
    pub operation: &'static str,
    /// With which file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DurableError {
    move |source| DurableError { operation, path: path.into(), source }
}

/// Makes the state folder `dir` with those above it; readable by its owner alone.
pub(crate) fn make_folder(dir: &Path) -> Result<(), DurableError> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir).map_err(failed("make folder", dir))?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed("set the mode of", dir))?;
    dir.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(dir: &Path) -> Result<(), DurableError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("sync folder", dir))
}

/// Puts `bytes` at `path`, mode 0600, in place of what may be there. On return they are on the disk.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    replace_with(path, |file| file.write_all(bytes))
}

/// As [`replace`], with what `write` writes, which is too much to lie in memory.
pub(crate) fn replace_with(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), DurableError> {
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(failed("create", &beside))?;
    write(&mut file).and_then(|()| file.sync_all()).map_err(failed("write", &beside))?;
    std::fs::rename(&beside, path).map_err(failed("put in place", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Removes `path`, where it is there. On return it stays away.
pub(crate) fn remove(path: &Path) -> Result<(), DurableError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => path.parent().map_or(Ok(()), sync_folder),
    }
}

/// Gives `path` the name `to` in the same folder, in place of what may be there. On return it stays so.
pub(crate) fn rename(path: &Path, to: &Path) -> Result<(), DurableError> {
    std::fs::rename(path, to).map_err(failed("rename", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Reads `path`; `None` where there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, DurableError> {
    let read = |mut file: File| {
        let long = file.metadata()?.len() > LONG;
        let mut bytes = Vec::with_capacity(if long { APART } else { 0 });
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match File::open(path).and_then(read) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Appends `line` and its newline to `path`. A line torn by a power cut is ended first, so that it spoils no other.
pub(crate) fn append(path: &Path, line: &str) -> Result<(), DurableError> {
    let new = !path.exists();
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map_err(failed("open", path))?;
    let torn = (|| {
        if file.seek(SeekFrom::End(0))? == 0 {
            return Ok(false);
        }
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last != *b"\n")
    })()
    .map_err(failed("read", path))?;
    // One write: a reader beside us sees the whole line or nothing of it.
    let text = format!("{}{line}\n", if torn { "\n" } else { "" });
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed("append to", path))?;
    if new { path.parent().map_or(Ok(()), sync_folder) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_reads_and_removes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.json");
        assert_eq!(read(&path).unwrap(), None);
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(b"two".as_slice()));
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_torn_line_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        append(&path, "one").unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"to").unwrap();
        append(&path, "three").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(b"one\nto\nthree\n".as_slice()));
    }

    #[test]
    fn an_error_names_operation_and_file() {
        let error = replace(Path::new("/nowhere/at/all/x.json"), b"").unwrap_err();
        assert_eq!(error.to_string(), "cannot create /nowhere/at/all/x.new: No such file or directory (os error 2)");
    }
}
