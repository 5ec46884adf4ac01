//! Bytes and numbers out of a seed.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

/// An endless stream of bytes which is the same for the same seed.
pub(super) struct Seed(blake3::OutputReader);

impl Seed {
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        Self(blake3::Hasher::new().update(&seed.to_le_bytes()).update(purpose.as_bytes()).finalize_xof())
    }

    /// Bytes that do not compress.
    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.fill(&mut bytes);
        bytes
    }

    /// Lines that do, as a log's.
    pub(super) fn text(&mut self, len: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(len + 80);
        while text.len() < len {
            let line = format!("{:06} level=info msg=\"request {} done\" status=200\n", text.len(), self.below(100_000));
            text.extend_from_slice(line.as_bytes());
        }
        text.truncate(len);
        text
    }

    /// A number below `end`, which must not be 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % end
    }
}

/// Sets a path's modification time, of a link itself too: seconds since 1970, and nanoseconds.
pub(super) fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
    rustix::fs::utimensat(CWD, path, &Timestamps { last_access: time, last_modification: time }, AtFlags::SYMLINK_NOFOLLOW)
        .unwrap_or_else(|e| panic!("set the time of {}: {e}", path.display()));
}

/// Sets the modification time of every folder at and below `root`, deepest first, because making an entry changes its folder's.
pub(super) fn settle_folders(root: &Path, seconds: i64) {
    let mut names: Vec<_> = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    for path in names {
        if path.symlink_metadata().unwrap().is_dir() {
            settle_folders(&path, seconds);
        }
    }
    // A time of its own for each, from its name alone.
    let name = blake3::hash(root.file_name().unwrap_or_default().as_bytes());
    set_mtime(root, seconds + i64::from(name.as_bytes()[0]), i64::from(name.as_bytes()[1]) * 1_000_003);
}

/// A time as the system has it.
pub(super) fn system_time(seconds: u64, nanoseconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}
