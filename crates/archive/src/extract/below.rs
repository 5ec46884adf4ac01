//! Looking at what lies below a directory, at any depth.
//!
//! A path of more than some thousand bytes names nothing to the system; going down by open folders has no such end. What was closed to its
//! owner is opened to them for good: this is for trees that were made to be looked at.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, chmodat, fchmod, readlinkat};
use rustix::io::Errno;

use super::place::Place;
use super::tree::{Lacking, Tree};
use super::{ExtractError, make};
use crate::meta::sys;
use crate::{Kind, Mtime};

/// A directory, and the folders below it that were looked at last. All paths are as in an archive, with or without a slash at either end;
/// no link is followed.
pub struct Below(Tree);

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// None for a socket and the like. A file is [`Kind::File`] by each of its names.
    pub kind: Option<Kind>,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Length in bytes.
    pub size: u64,
    /// Modification time.
    pub mtime: Mtime,
    /// Device and inode.
    pub id: (u64, u64),
}

impl Below {
    /// Opens the directory `into`.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(into: &Path) -> io::Result<Self> {
        Ok(Self(Tree::new(make::open_root(into)?)))
    }

    /// What lies at `path`.
    ///
    /// # Errors
    /// What the system says; `NotFound` or `NotADirectory` where a folder on the way is not there or is none.
    pub fn look(&mut self, path: &[u8]) -> io::Result<Found> {
        let (dir, name) = self.find(path)?;
        let stat = match sys::stat_at(&dir, &name) {
            Err(Errno::ACCESS) => {
                fchmod(&dir, Mode::RWXU)?;
                sys::stat_at(&dir, &name)?
            }
            stat => stat?,
        };
        Ok(Found { kind: stat.kind, mode: stat.mode, size: stat.size, mtime: stat.mtime, id: stat.id })
    }

    /// The file at `path`, which was looked at, to read.
    ///
    /// # Errors
    /// What the system says.
    pub fn file(&mut self, path: &[u8]) -> io::Result<File> {
        let (dir, name) = self.find(path)?;
        match sys::open_file(&dir, &name) {
            Err(Errno::ACCESS) => {
                chmodat(&dir, &name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
                Ok(sys::open_file(&dir, &name)?)
            }
            file => Ok(file?),
        }
    }

    /// Where the symbolic link at `path` leads to.
    ///
    /// # Errors
    /// What the system says.
    pub fn link(&mut self, path: &[u8]) -> io::Result<Vec<u8>> {
        let (dir, name) = self.find(path)?;
        Ok(readlinkat(&dir, &name, Vec::new())?.into_bytes())
    }

    fn find(&mut self, path: &[u8]) -> io::Result<(OwnedFd, CString)> {
        let place = Place::of(path).map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
        let (above, name) = place.split().unwrap_or((&[], c"."));
        let dir = self.0.folder(above, Lacking::Open, path).map_err(|error| match error {
            ExtractError::System { cause, .. } => cause,
            other => io::Error::new(io::ErrorKind::NotADirectory, other.to_string()),
        })?;
        Ok((dir.try_clone_to_owned()?, name.to_owned()))
    }
}
