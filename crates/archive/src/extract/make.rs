//! Making members, each kind its own way.
//!
//! Invariant: a name is only ever created new: what stands in its place is an error, or is unlinked first; nothing is opened for
//! writing that was there before, so no link, pipe or device of someone else's is ever written through. Hard links are made only to
//! files that this very extraction made.

use std::collections::HashSet;
use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat, openat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::attributes::{restored_mode, set_acls, set_owner, set_owner_at, set_xattrs, warn};
use super::folders::{Folders, Later};
use super::place::Place;
use super::select::Wanted;
use super::tree::{Lacking, Tree};
use super::{ExtractError, ExtractOptions, content, sys};
use crate::meta::{Names, sys as meta};
use crate::notes::Notes;
use crate::{Kind, Member, TarReader};

/// Content moved at once, in bytes.
const PIECE: usize = 256 << 10;

/// Makes members below one directory.
pub(super) struct Maker {
    tree: Tree,
    folders: Folders,
    /// Device and inode of all that was made but directories.
    made: HashSet<(u64, u64)>,
    names: Names,
    owners: bool,
    overwrite: bool,
    written: u64,
    buffer: Vec<u8>,
}

impl Maker {
    pub(super) fn open(into: &Path, options: &ExtractOptions, notes: &mut Notes) -> Result<Self, ExtractError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(into, flags, Mode::empty())
            .map_err(|cause| ExtractError::Into { path: into.to_path_buf(), cause: cause.into() })?;
        Ok(Self {
            tree: Tree::new(root),
            folders: Folders::default(),
            made: HashSet::new(),
            names: Names::of_host(notes),
            owners: options.owners,
            overwrite: options.overwrite,
            written: 0,
            buffer: vec![0; PIECE],
        })
    }

    /// File content written so far, in bytes.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Makes one member.
    pub(super) fn make<R: Read>(
        &mut self,
        member: &Member,
        place: &Place,
        wanted: Wanted,
        tar: &mut TarReader<R>,
        notes: &mut Notes,
        tick: &mut dyn FnMut(u64),
    ) -> Result<(), ExtractError> {
        match member.kind {
            Kind::Dir => self.dir(member, place, wanted, notes),
            Kind::Hardlink => self.hard_link(member, place),
            Kind::File => self.file(member, place, tar, notes, tick),
            Kind::Symlink | Kind::Fifo | Kind::Char | Kind::Block => self.node(member, place, notes),
        }
    }

    /// Gives the directories what they get last.
    pub(super) fn finish(&mut self, notes: &mut Notes) -> Result<(), ExtractError> {
        std::mem::take(&mut self.folders).finish(&mut self.tree, notes)
    }

    fn dir(&mut self, member: &Member, place: &Place, wanted: Wanted, notes: &mut Notes) -> Result<(), ExtractError> {
        let overwrite = self.overwrite;
        let mut new = false;
        if let Some((above, name)) = place.split() {
            let dir = self.tree.folder(above, Lacking::Make, &member.path)?;
            let is_dir = |dir, name| meta::stat_at(dir, name).is_ok_and(|stat| stat.kind == Some(Kind::Dir));
            new = match mkdirat(dir, name, Mode::RWXU) {
                Err(Errno::EXIST) if is_dir(dir, name) => false,
                Err(Errno::EXIST) if overwrite => {
                    remove(dir, name, member)?;
                    mkdirat(dir, name, Mode::RWXU).map_err(failed(member, "make it"))?;
                    true
                }
                Err(Errno::EXIST) => return Err(ExtractError::Exists { member: member.path.clone() }),
                done => done.map(|()| true).map_err(failed(member, "make it"))?,
            };
        }
        // A folder above the selection that was there before is none of our business.
        if wanted == Wanted::Above && !new {
            return Ok(());
        }
        let owners = self.owners;
        let dir = self.tree.folder(place.names(), Lacking::Refuse, &member.path)?;
        set_xattrs(member, owners, notes, |name, value| sys::set_attribute(dir, name, value));
        let acl = set_acls(dir, member, &self.names, notes);
        let mode = restored_mode(member, acl, owners, notes);
        // An ACL, or its mode from before, may have closed it to its owner, who still has to fill it.
        let now = meta::stat(dir).map_err(failed(member, "look at it"))?;
        if now.mode & 0o700 != 0o700
            && let Err(cause) = rustix::fs::fchmod(dir, sys::mode(now.mode | 0o700))
        {
            warn(notes, member, "its mode", cause);
        }
        let owner = owners.then_some((member.uid, member.gid));
        self.folders.add(place.names(), Later { owner, mode, mtime: member.mtime }, &member.path)
    }

    fn file<R: Read>(
        &mut self,
        member: &Member,
        place: &Place,
        tar: &mut TarReader<R>,
        notes: &mut Notes,
        tick: &mut dyn FnMut(u64),
    ) -> Result<(), ExtractError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (dir, name) = self.parent(member, place)?;
        let made = self.anew(dir.as_fd(), name, member, |dir| openat(dir, name, flags, Mode::RUSR | Mode::WUSR))?;
        let mut file = File::from(made);
        let before = self.written;
        self.written += content::write(member, tar, &mut file, &mut self.buffer, &mut |now| tick(before + now))?;
        if self.owners {
            set_owner(file.as_fd(), &member.path, (member.uid, member.gid))?;
        }
        set_xattrs(member, self.owners, notes, |name, value| sys::set_attribute(file.as_fd(), name, value));
        let acl = set_acls(file.as_fd(), member, &self.names, notes);
        let mode = restored_mode(member, acl, self.owners, notes);
        if let Err(cause) = rustix::fs::fchmod(&file, sys::mode(mode)) {
            warn(notes, member, "its mode", cause);
        }
        if let Err(cause) = rustix::fs::futimens(&file, &sys::times(member.mtime)) {
            warn(notes, member, "its time", cause);
        }
        self.made.insert(meta::stat(&file).map_err(failed(member, "look at it"))?.id);
        Ok(())
    }

    /// A symbolic link, a pipe or a device.
    fn node(&mut self, member: &Member, place: &Place, notes: &mut Notes) -> Result<(), ExtractError> {
        let is_device = matches!(member.kind, Kind::Char | Kind::Block);
        if is_device && !self.owners {
            warn(notes, member, "a device", Errno::PERM);
            return Ok(());
        }
        let (dir, name) = self.parent(member, place)?;
        let dir = dir.as_fd();
        let made = match &member.link {
            Some(target) => self.anew(dir, name, member, |dir| symlinkat(&target[..], dir, name)),
            None => self.anew(dir, name, member, |dir| sys::make_node(dir, name, member.kind, member.device.unwrap_or_default())),
        };
        match made {
            // Not root, or a system without: the rest of the tree is worth having.
            Err(ExtractError::System { cause, .. }) if member.kind != Kind::Symlink && lacks_power(&cause) => {
                notes.add(format!("{}: a pipe or device could not be made: {cause}", crate::notes::shown(&member.path)));
                return Ok(());
            }
            made => made?,
        }
        if self.owners {
            set_owner_at(dir, name, member)?;
        }
        set_xattrs(member, self.owners, notes, |attribute, value| sys::set_attribute_at(dir, name, attribute, value));
        if member.kind != Kind::Symlink {
            let mode = restored_mode(member, None, self.owners, notes);
            if let Err(cause) = sys::set_node_mode(dir, name, member.kind, mode) {
                warn(notes, member, "its mode", cause);
            }
        }
        if let Err(cause) = sys::set_time_at(dir, name, member.mtime) {
            warn(notes, member, "its time", cause);
        }
        self.made.insert(meta::stat_at(dir, name).map_err(failed(member, "look at it"))?.id);
        Ok(())
    }

    fn hard_link(&mut self, member: &Member, place: &Place) -> Result<(), ExtractError> {
        let target = member.link.as_deref().unwrap_or_default();
        let refused = |reason| ExtractError::Unsafe { member: member.path.clone(), reason };
        let first = Place::of(target).map_err(|_| refused("the name it links to goes upwards"))?;
        let not_made = || ExtractError::Target { member: member.path.clone(), target: target.to_vec() };
        let Some((above, first_name)) = first.split() else { return Err(not_made()) };
        let first_dir = match self.tree.folder(above, Lacking::Refuse, &member.path) {
            Ok(dir) => dir.try_clone_to_owned().map_err(|cause| failed_io(member, "open the folder of its first name", cause))?,
            Err(ExtractError::System { .. }) => return Err(not_made()),
            Err(other) => return Err(other),
        };
        let found = meta::stat_at(&first_dir, first_name).map_err(|_| not_made())?;
        if !self.made.contains(&found.id) {
            return Err(not_made());
        }
        let (dir, name) = self.parent(member, place)?;
        // Where it is the first name itself, be it by another spelling, replacing it would destroy the only one.
        if meta::stat_at(&dir, name).is_ok_and(|there| there.id == found.id && there.links == 1) {
            return Err(refused("it is a hard link to itself"));
        }
        self.anew(dir.as_fd(), name, member, |dir| linkat(&first_dir, first_name, dir, name, AtFlags::empty()))
    }

    /// The open folder of a member that is no directory, and its name there.
    fn parent<'p>(&mut self, member: &Member, place: &'p Place) -> Result<(std::os::fd::OwnedFd, &'p CStr), ExtractError> {
        let Some((above, name)) = place.split() else {
            return Err(ExtractError::Unsafe { member: member.path.clone(), reason: "it names the target itself and is no folder" });
        };
        let dir = self.tree.folder(above, Lacking::Make, &member.path)?;
        let dir = dir.try_clone_to_owned().map_err(|cause| failed_io(member, "open the folder above it", cause))?;
        Ok((dir, name))
    }

    /// Creates by `create`, which must refuse what exists; with `overwrite` that is unlinked first.
    fn anew<T>(
        &self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        member: &Member,
        create: impl Fn(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, ExtractError> {
        match create(dir) {
            Err(Errno::EXIST) if self.overwrite => {
                remove(dir, name, member)?;
                create(dir).map_err(failed(member, "make it"))
            }
            Err(Errno::EXIST) => Err(ExtractError::Exists { member: member.path.clone() }),
            done => done.map_err(failed(member, "make it")),
        }
    }
}

/// Removes what is no directory.
fn remove(dir: BorrowedFd<'_>, name: &CStr, member: &Member) -> Result<(), ExtractError> {
    match unlinkat(dir, name, AtFlags::empty()) {
        // Linux says the first, POSIX the second.
        Err(Errno::ISDIR | Errno::PERM) if meta::stat_at(dir, name).is_ok_and(|stat| stat.kind == Some(Kind::Dir)) => {
            Err(ExtractError::Folder { member: member.path.clone() })
        }
        done => done.map_err(failed(member, "remove what stands in its place")),
    }
}

fn failed(member: &Member, operation: &'static str) -> impl Fn(Errno) -> ExtractError {
    move |cause| failed_io(member, operation, cause.into())
}

fn failed_io(member: &Member, operation: &'static str, cause: std::io::Error) -> ExtractError {
    ExtractError::System { member: member.path.clone(), operation, cause }
}

fn lacks_power(cause: &std::io::Error) -> bool {
    Errno::from_io_error(cause).is_some_and(|cause| [Errno::PERM, Errno::NOTSUP, Errno::OPNOTSUPP].contains(&cause))
}
