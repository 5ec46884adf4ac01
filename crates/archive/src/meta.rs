//! What the file system knows of a file besides its content.
//!
//! Everything is read through an open descriptor or relative to one, never by a path that someone could swap in between. Access
//! and change times are left out on purpose: they differ each night and would make every header, and so every bundle, new.

pub(crate) mod acl;
mod names;
pub(crate) mod sparse;
pub(crate) mod sys;
mod xattr;

pub(crate) use names::Names;
pub(crate) use xattr::{Attributes, of_file, of_name};

use crate::{Kind, Mtime};

/// The result of `stat`, in the words of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// None for a socket, and for what no tar can hold.
    pub(crate) kind: Option<Kind>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Bytes.
    pub(crate) size: u64,
    /// 512-byte blocks on disk.
    pub(crate) blocks: u64,
    pub(crate) mtime: Mtime,
    /// When content or attributes changed last; not archived, it says whether a file is what it was.
    pub(crate) ctime: Mtime,
    /// Device and inode: what makes two names one file.
    pub(crate) id: (u64, u64),
    pub(crate) links: u64,
    /// Major and minor number, 0 for all that is not a device.
    pub(crate) device: (u32, u32),
}
