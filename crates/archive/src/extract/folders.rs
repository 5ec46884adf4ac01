//! What directories get only at the end.
//!
//! While it is filled a directory belongs to whoever extracts and is writable by them; owner, mode and time follow when nothing is put
//! into it any more, the deepest first, since a folder above may then be closed to us.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::AsFd;

use super::attributes::set_owner;
use super::tree::{Lacking, Tree};
use super::{ExtractError, sys};
use crate::Mtime;
use crate::meta::sys as meta;
use crate::notes::{Notes, shown};

/// Most memory for directories that wait, in bytes: some millions of them.
const MOST: usize = 512 << 20;

/// What a directory will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Later {
    /// None where owners are not restored.
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: u32,
    pub(super) mtime: Mtime,
}

/// Directories that wait for the end.
#[derive(Default)]
pub(super) struct Folders {
    // In reverse byte order of names a folder comes after everything in it.
    waiting: BTreeMap<Vec<CString>, Later>,
    size: usize,
}

impl Folders {
    /// Notes what the directory at `names` will be; what was noted of it before is forgotten.
    pub(super) fn add(&mut self, names: &[CString], later: Later, member: &[u8]) -> Result<(), ExtractError> {
        self.size += names.iter().map(|name| name.as_bytes().len() + 40).sum::<usize>() + 80;
        if self.size > MOST {
            return Err(ExtractError::Unsafe { member: member.to_vec(), reason: "the tar has more folders than fit into memory" });
        }
        self.waiting.insert(names.to_vec(), later);
        Ok(())
    }

    /// Whether the directory at `names` is among them.
    pub(super) fn waits(&self, names: &[CString]) -> bool {
        self.waiting.contains_key(names)
    }

    /// Makes them what they will be.
    pub(super) fn finish(self, tree: &mut Tree, notes: &mut Notes) -> Result<(), ExtractError> {
        for (names, later) in self.waiting.into_iter().rev() {
            let path = super::place::join(&names);
            let above = &names[..names.len().saturating_sub(1)];
            let dir = tree.folder(above, Lacking::Refuse, &path)?;
            let opened = match names.last() {
                Some(name) => meta::open_dir(dir, name).map_err(std::io::Error::from),
                None => dir.try_clone_to_owned(),
            };
            let dir = opened.map_err(|cause| ExtractError::System { member: path.clone(), operation: "open it again", cause })?;
            if let Some(owner) = later.owner {
                set_owner(dir.as_fd(), &path, owner)?;
            }
            let mut warn = |what, done: rustix::io::Result<()>| {
                if let Err(cause) = done {
                    notes.add(format!("{}: its {what} could not be restored: {cause}", shown(&path)));
                }
            };
            warn("mode", rustix::fs::fchmod(&dir, sys::mode(later.mode)));
            warn("time", rustix::fs::futimens(&dir, &sys::times(later.mtime)));
        }
        Ok(())
    }
}
