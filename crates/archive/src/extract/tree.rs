//! The folders below the target, held open while they are in use.
//!
//! Invariant: every descriptor here was reached from the target's own by opening one plain name after another without following
//! links, so it lies below the target. Members mostly follow each other in the same folder: the way to the last one stays open, to
//! a bounded depth.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, chmodat, fchmod, mkdirat};
use rustix::io::Errno;

use super::ExtractError;
use super::place::join;
use crate::meta::sys;

/// Folders kept open.
const OPEN: usize = 64;

/// Open folders, from the target down.
pub(super) struct Tree {
    root: OwnedFd,
    open: Vec<(CString, OwnedFd)>,
    /// The last folder asked for, when it lies deeper than is kept open.
    deep: Option<OwnedFd>,
}

/// What happens where a folder is not there, or is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacking {
    /// It is made.
    Make,
    /// Neither is helped.
    Refuse,
    /// One that is closed to its owner is opened to them.
    Open,
}

impl Tree {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root, open: Vec::new(), deep: None }
    }

    /// The folder at `names`; folders on the way are made as `lacking` says, as those the tar does not describe. `member` is for the error.
    pub(super) fn folder(&mut self, names: &[CString], lacking: Lacking, member: &[u8]) -> Result<BorrowedFd<'_>, ExtractError> {
        let same = self.open.iter().zip(names).take_while(|((open, _), name)| open == *name).count();
        self.open.truncate(same);
        self.deep = None;
        for depth in same..names.len() {
            let above = self.deep.as_ref().or(self.open.last().map(|(_, dir)| dir)).unwrap_or(&self.root);
            let dir = enter(above.as_fd(), &names[depth], lacking).map_err(|cause| match cause {
                Errno::LOOP | Errno::NOTDIR => ExtractError::NoFolder { member: member.to_vec(), parent: join(&names[..=depth]) },
                cause => ExtractError::System { member: member.to_vec(), operation: "open the folder above it", cause: cause.into() },
            })?;
            if depth < OPEN {
                self.open.push((names[depth].clone(), dir));
            } else {
                self.deep = Some(dir);
            }
        }
        Ok(self.deep.as_ref().or(self.open.last().map(|(_, dir)| dir)).unwrap_or(&self.root).as_fd())
    }
}

fn enter(above: BorrowedFd<'_>, name: &CString, lacking: Lacking) -> Result<OwnedFd, Errno> {
    match sys::open_dir(above, name) {
        Err(Errno::NOENT) if lacking == Lacking::Make => {
            match mkdirat(above, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(cause) => return Err(cause),
            }
            sys::open_dir(above, name)
        }
        // It is a folder, for no link is asked who may read it.
        Err(Errno::ACCESS) if lacking == Lacking::Open => {
            fchmod(above, Mode::RWXU)?;
            chmodat(above, name, Mode::RWXU, AtFlags::empty())?;
            sys::open_dir(above, name)
        }
        other => other,
    }
}
