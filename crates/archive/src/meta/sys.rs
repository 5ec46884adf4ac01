//! The system calls behind `meta` and `walk`, and all that differs between Linux and macOS there.
//!
//! Integer widths of `stat` differ between the two and between libcs, so the casts live in one function. `O_NOATIME` spares the disk a
//! write for each file read; it is refused on files of others, and then simply left out.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat};
use rustix::io::{Errno, Result};

use super::Stat;
use crate::{Kind, Mtime};

const COMMON: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// `stat` of an open file.
pub(crate) fn stat(file: impl AsFd) -> Result<Stat> {
    rustix::fs::fstat(file).map(|found| convert(&found))
}

/// `stat` of `name` in `dir`, not following a symbolic link.
pub(crate) fn stat_at(dir: impl AsFd, name: &CStr) -> Result<Stat> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|found| convert(&found))
}

#[allow(clippy::unnecessary_cast, reason = "the fields' types differ between targets")]
fn convert(found: &rustix::fs::Stat) -> Stat {
    let mode = found.st_mode as u32;
    let kind = match mode & 0o170_000 {
        0o100_000 => Some(Kind::File),
        0o040_000 => Some(Kind::Dir),
        0o120_000 => Some(Kind::Symlink),
        0o010_000 => Some(Kind::Fifo),
        0o020_000 => Some(Kind::Char),
        0o060_000 => Some(Kind::Block),
        _ => None,
    };
    let device = match kind {
        Some(Kind::Char | Kind::Block) => (rustix::fs::major(found.st_rdev) as u32, rustix::fs::minor(found.st_rdev) as u32),
        _ => (0, 0),
    };
    Stat {
        kind,
        mode: mode & 0o7777,
        uid: found.st_uid as u32,
        gid: found.st_gid as u32,
        size: u64::try_from(found.st_size).unwrap_or(0),
        blocks: u64::try_from(found.st_blocks).unwrap_or(0),
        mtime: Mtime(found.st_mtime as i64, found.st_mtime_nsec as u32),
        ctime: Mtime(found.st_ctime as i64, found.st_ctime_nsec as u32),
        id: (found.st_dev as u64, found.st_ino as u64),
        links: found.st_nlink as u64,
        device,
    }
}

/// Opens a directory for reading, never through a symbolic link.
pub(crate) fn open_dir(dir: impl AsFd, name: &CStr) -> Result<OwnedFd> {
    open(dir, name, COMMON | OFlags::DIRECTORY)
}

/// Calls `each` with every name in `dir`, which was not listed before, and what the listing calls it. Returns what ended it early.
///
/// A listing asks for [`NAMES`] at once: the portable way asks forty times as often, and opens each directory a second time.
#[cfg(target_os = "linux")]
pub(crate) fn list(dir: impl AsFd, mut each: impl FnMut(&CStr, FileType)) -> Option<Errno> {
    let mut buffer = Vec::with_capacity(NAMES);
    let mut entries = rustix::fs::RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) => each(entry.file_name(), entry.file_type()),
            Err(cause) => return Some(cause),
        }
    }
    None
}

/// Bytes of names that a listing asks for at once.
#[cfg(target_os = "linux")]
const NAMES: usize = 32 << 10;

/// Calls `each` with every name in `dir`, and what the listing calls it. Returns what ended it early.
#[cfg(not(target_os = "linux"))]
pub(crate) fn list(dir: impl AsFd, mut each: impl FnMut(&CStr, FileType)) -> Option<Errno> {
    let entries = match rustix::fs::Dir::read_from(dir) {
        Ok(entries) => entries,
        Err(cause) => return Some(cause),
    };
    for entry in entries {
        match entry {
            Ok(entry) => each(entry.file_name(), entry.file_type()),
            Err(cause) => return Some(cause),
        }
    }
    None
}

/// Opens the directory above `dir`.
pub(crate) fn open_parent(dir: impl AsFd) -> Result<OwnedFd> {
    openat(dir, c"..", COMMON | OFlags::DIRECTORY, Mode::empty())
}

/// Opens a file for reading, never through a symbolic link, and without waiting should it have become a pipe.
pub(crate) fn open_file(dir: impl AsFd, name: &CStr) -> Result<File> {
    open(dir, name, COMMON).map(File::from)
}

#[cfg(target_os = "linux")]
fn open(dir: impl AsFd, name: &CStr, flags: OFlags) -> Result<OwnedFd> {
    match openat(&dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => openat(&dir, name, flags, Mode::empty()),
        other => other,
    }
}

#[cfg(not(target_os = "linux"))]
fn open(dir: impl AsFd, name: &CStr, flags: OFlags) -> Result<OwnedFd> {
    openat(&dir, name, flags, Mode::empty())
}

/// Whether an extended attribute is lacking, or the file system knows none at all.
pub(crate) fn no_attributes(cause: Errno) -> bool {
    cause == Errno::NOTSUP || cause == Errno::OPNOTSUPP || lacking(cause)
}

/// Whether one extended attribute is lacking.
#[cfg(target_os = "linux")]
pub(crate) fn lacking(cause: Errno) -> bool {
    cause == Errno::NODATA
}

/// Whether one extended attribute is lacking.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lacking(cause: Errno) -> bool {
    cause.raw_os_error() == 93 // ENOATTR, which rustix does not name
}

/// A path that names `name` in `dir` for calls which take no directory: extended attributes of what cannot be opened.
#[cfg(target_os = "linux")]
pub(crate) fn through(dir: impl AsFd, name: &CStr) -> Option<Vec<u8>> {
    use std::os::fd::AsRawFd;
    let mut path = format!("/proc/self/fd/{}/", dir.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    Some(path)
}

/// macOS has no such path.
#[cfg(not(target_os = "linux"))]
pub(crate) fn through(_dir: impl AsFd, _name: &CStr) -> Option<Vec<u8>> {
    None
}

/// Where data begins at or after `from`: None when only a hole follows.
pub(crate) fn next_data(file: &File, from: u64) -> Result<Option<u64>> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)) {
        Ok(at) => Ok(Some(at)),
        Err(Errno::NXIO) => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// Where the data that begins at `from` ends; beyond every file when it ended in the meantime.
pub(crate) fn next_hole(file: &File, from: u64) -> Result<u64> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(from)) {
        Err(Errno::NXIO) => Ok(u64::MAX),
        other => other,
    }
}

/// Whether a file system stamps every change of a file, one through a shared mapping included, once its dirty pages were written out:
/// what comparing times rests on. True only for those where that was tested (`docs/two-passes.md`).
#[cfg(target_os = "linux")]
pub(crate) fn stamps_changes(file: impl AsFd) -> bool {
    const EXT4: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683e;
    rustix::fs::fstatfs(file).is_ok_and(|found| {
        #[allow(clippy::unnecessary_cast, reason = "the field's type differs between targets")]
        let kind = found.f_type as u64;
        matches!(kind, EXT4 | XFS | BTRFS)
    })
}

/// Nothing is known of other systems: everything is read again there.
#[cfg(not(target_os = "linux"))]
pub(crate) fn stamps_changes(_file: impl AsFd) -> bool {
    false
}

/// Writes out all that is dirty on the file system of `file`.
#[cfg(target_os = "linux")]
pub(crate) fn sync_all(file: impl AsFd) -> Result<()> {
    rustix::fs::syncfs(file)
}

/// Never asked for where [`stamps_changes`] says no.
#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_all(_file: impl AsFd) -> Result<()> {
    Err(Errno::NOTSUP)
}
