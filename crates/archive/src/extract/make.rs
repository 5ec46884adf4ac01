//! Making members, each kind its own way.
//!
//! Invariant: a name is only ever created new: what stands in its place is an error, or is unlinked first (for a file's sake only once that is
//! written: it may be the better copy), unless this very extraction made it: that stays. Nothing is opened for writing that was there before, so no link, pipe or device of someone else's is ever written
//! through. Hard links are made only to files that this very extraction made.

use std::collections::HashSet;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat, openat, renameat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::attributes::{restored_mode, set_acls, set_owner, set_owner_at, set_xattrs, warn};
use super::folders::{Folders, Later};
use super::place::Place;
use super::select::Wanted;
use super::tree::{Lacking, Tree};
use super::unmade::{Cannot, Unmade};
use super::{ExtractError, ExtractOptions, content, lost, sys};
use crate::meta::{Names, sys as meta};
use crate::notes::{Notes, shown};
use crate::{Entry, Kind, Member, TarReader};

/// Content moved at once, in bytes.
const PIECE: usize = 256 << 10;
/// Members that fall together with others, and for which the other's name is looked for: a whole folder is listed for each.
const NAMED: u64 = 100;

/// The name of a file that will replace another, until all of it is there.
const PART: &CStr = c".offsite-restore-part";

/// What ends the making of a member.
enum Stop {
    /// It cannot be made; the next one may be.
    Cannot(Cannot),
    /// Nothing more can be made.
    End(ExtractError),
}

impl From<ExtractError> for Stop {
    fn from(error: ExtractError) -> Self {
        Self::End(error)
    }
}

/// Makes members below one directory.
pub(super) struct Maker {
    tree: Tree,
    folders: Folders,
    /// Device and inode of all that was made.
    made: HashSet<(u64, u64)>,
    unmade: Unmade,
    names: Names,
    owners: bool,
    overwrite: bool,
    written: u64,
    buffer: Vec<u8>,
}

impl Maker {
    pub(super) fn open(into: &Path, options: &ExtractOptions, notes: &mut Notes) -> Result<Self, ExtractError> {
        let root = open_root(into).map_err(|cause| ExtractError::Into { path: into.to_path_buf(), cause })?;
        Ok(Self {
            tree: Tree::new(root),
            folders: Folders::default(),
            made: HashSet::new(),
            unmade: Unmade::default(),
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

    /// Makes one member, or notes that it cannot be made.
    pub(super) fn make<R: Read>(
        &mut self,
        member: &Member,
        place: &Place,
        wanted: Wanted,
        tar: &mut TarReader<R>,
        notes: &mut Notes,
        tick: &mut dyn FnMut(u64),
    ) -> Result<(), ExtractError> {
        if self.unmade.holds(&place.join()) {
            self.unmade.add_below();
            return Ok(());
        }
        let made = match member.kind {
            Kind::Dir => self.dir(member, place, wanted, notes),
            Kind::Hardlink => self.hard_link(member, place),
            Kind::File => self.file(member, place, tar, notes, tick),
            Kind::Symlink | Kind::Fifo | Kind::Char | Kind::Block => self.node(member, place, notes),
        };
        self.noted(made, place)
    }

    fn noted(&mut self, made: Result<(), Stop>, place: &Place) -> Result<(), ExtractError> {
        match made {
            Err(Stop::Cannot(cannot)) => self.unmade.add(place.join(), cannot),
            Err(Stop::End(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    /// Notes a member of which bytes are lost. A folder is made as the manifest has it: what lies in it may be whole, and is not to lie open.
    pub(super) fn lose(&mut self, entry: Entry, place: &Place, cause: &Arc<str>, notes: &mut Notes) -> Result<(), ExtractError> {
        if self.unmade.holds(&place.join()) {
            self.unmade.add_below();
            return Ok(());
        }
        let made = if entry.kind == Kind::Dir {
            let member = lost::folder(entry);
            notes.add(format!("{}: attributes and ACLs, if it had any, are lost: {cause}", shown(&member.path)));
            self.dir(&member, place, Wanted::Yes, notes)
        } else {
            Err(Stop::Cannot(Cannot::Lost { cause: cause.clone() }))
        };
        self.noted(made, place)
    }

    /// Gives the directories what they get last.
    pub(super) fn finish(mut self, notes: &mut Notes) -> Result<Unmade, ExtractError> {
        self.folders.finish(&mut self.tree, notes).map(|()| self.unmade)
    }

    fn dir(&mut self, member: &Member, place: &Place, wanted: Wanted, notes: &mut Notes) -> Result<(), Stop> {
        let mut new = false;
        if place.split().is_some() {
            let (dir, name) = self.parent(member, place)?;
            let there = meta::stat_at(&dir, name).ok().filter(|there| there.kind == Some(Kind::Dir));
            match there {
                // One that the tar describes twice is what it says last.
                Some(there) if self.made.contains(&there.id) && !self.folders.waits(place.names()) => {
                    return Err(self.together(dir.as_fd(), name, there.id));
                }
                Some(there) => {
                    self.made.insert(there.id);
                }
                None => {
                    self.anew(dir.as_fd(), name, member, |dir| mkdirat(dir, name, Mode::RWXU))?;
                    new = true;
                }
            }
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
        self.made.insert(now.id);
        let owner = owners.then_some((member.uid, member.gid));
        Ok(self.folders.add(place.names(), Later { owner, mode, mtime: member.mtime }, &member.path)?)
    }

    fn file<R: Read>(
        &mut self,
        member: &Member,
        place: &Place,
        tar: &mut TarReader<R>,
        notes: &mut Notes,
        tick: &mut dyn FnMut(u64),
    ) -> Result<(), Stop> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (dir, true_name) = self.parent(member, place)?;
        let name = if self.replaces(dir.as_fd(), true_name) { PART } else { true_name };
        let made = self.anew(dir.as_fd(), name, member, |dir| openat(dir, name, flags, Mode::RUSR | Mode::WUSR))?;
        let mut file = File::from(made);
        let before = self.written;
        match content::write(member, tar, &mut file, &mut self.buffer, &mut |now| tick(before + now)) {
            Err(ExtractError::System { cause, .. }) if is_too_long(&cause) => {
                unlinkat(&dir, name, AtFlags::empty()).map_err(failed(member, "remove what was written of it"))?;
                return Err(Stop::Cannot(Cannot::Hold { cause: cause.to_string() }));
            }
            // Nothing half under the true name, whether the rest is lost or nothing more can be read.
            Err(error @ ExtractError::Tar(_)) => {
                unlinkat(&dir, name, AtFlags::empty()).map_err(failed(member, "remove what was written of it"))?;
                return Err(error.into());
            }
            written => self.written += written?,
        }
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
        if name != true_name {
            renameat(&dir, name, &dir, true_name).map_err(failed(member, "put it in the place of what was there"))?;
        }
        self.made.insert(meta::stat(&file).map_err(failed(member, "look at it"))?.id);
        Ok(())
    }

    /// Whether a file may be put in the place of something else that is called `name`.
    fn replaces(&self, dir: BorrowedFd<'_>, name: &CStr) -> bool {
        let there = || meta::stat_at(dir, name).ok();
        self.overwrite && there().is_some_and(|there| there.kind != Some(Kind::Dir) && !self.made.contains(&there.id))
    }

    /// A symbolic link, a pipe or a device.
    fn node(&mut self, member: &Member, place: &Place, notes: &mut Notes) -> Result<(), Stop> {
        let is_device = matches!(member.kind, Kind::Char | Kind::Block);
        if is_device && !self.owners {
            warn(notes, member, "a device", Errno::PERM);
            return Ok(());
        }
        let (dir, name) = self.parent(member, place)?;
        let dir = dir.as_fd();
        match &member.link {
            Some(target) => self.anew(dir, name, member, |dir| symlinkat(&target[..], dir, name))?,
            None => self.anew(dir, name, member, |dir| sys::make_node(dir, name, member.kind, member.device.unwrap_or_default()))?,
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

    fn hard_link(&mut self, member: &Member, place: &Place) -> Result<(), Stop> {
        let target = member.link.as_deref().unwrap_or_default();
        let refused = |reason| ExtractError::Unsafe { member: member.path.clone(), reason };
        let first = Place::of(target).map_err(|_| refused("the name it links to goes upwards"))?;
        if self.unmade.holds(&first.join()) {
            return Err(Stop::Cannot(Cannot::First { first: first.join() }));
        }
        let not_made = || ExtractError::Target { member: member.path.clone(), target: target.to_vec() };
        let Some((above, first_name)) = first.split() else { return Err(not_made().into()) };
        let first_dir = match self.tree.folder(above, Lacking::Refuse, &member.path) {
            Ok(dir) => dir.try_clone_to_owned().map_err(|cause| failed_io(member, "open the folder of its first name", cause))?,
            Err(ExtractError::System { .. }) => return Err(not_made().into()),
            Err(other) => return Err(other.into()),
        };
        let found = meta::stat_at(&first_dir, first_name).map_err(|_| not_made())?;
        if found.kind == Some(Kind::Dir) || !self.made.contains(&found.id) {
            return Err(not_made().into());
        }
        let (dir, name) = self.parent(member, place)?;
        self.anew(dir.as_fd(), name, member, |dir| linkat(&first_dir, first_name, dir, name, AtFlags::empty()))
    }

    /// The open folder of a member, and its name there.
    fn parent<'p>(&mut self, member: &Member, place: &'p Place) -> Result<(OwnedFd, &'p CStr), Stop> {
        let Some((above, name)) = place.split() else {
            let reason = "it names the target itself and is no folder";
            return Err(ExtractError::Unsafe { member: member.path.clone(), reason }.into());
        };
        let dir = match self.tree.folder(above, Lacking::Make, &member.path) {
            // A folder above it that the tar does not describe.
            Err(ExtractError::System { cause, .. }) if is_no_name(&cause) => {
                return Err(Stop::Cannot(Cannot::Hold { cause: cause.to_string() }));
            }
            dir => dir?,
        };
        let dir = dir.try_clone_to_owned().map_err(|cause| failed_io(member, "open the folder above it", cause))?;
        Ok((dir, name))
    }

    /// Creates by `create`, which must refuse what exists; with `overwrite` that is unlinked first, but for what was made already.
    fn anew<T>(
        &self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        member: &Member,
        create: impl Fn(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Stop> {
        let mut created = create(dir);
        if let Err(Errno::EXIST) = created {
            let there = meta::stat_at(dir, name).map_err(failed(member, "look at what stands in its place"))?;
            if self.made.contains(&there.id) {
                return Err(self.together(dir, name, there.id));
            }
            if !self.overwrite {
                return Err(ExtractError::Exists { member: member.path.clone() }.into());
            }
            if there.kind == Some(Kind::Dir) {
                return Err(Stop::Cannot(Cannot::Folder));
            }
            unlinkat(dir, name, AtFlags::empty()).map_err(failed(member, "remove what stands in its place"))?;
            created = create(dir);
        }
        created.map_err(|cause| match io::Error::from(cause) {
            cause if is_no_name(&cause) || is_no_kind(member.kind, &cause) => Stop::Cannot(Cannot::Hold { cause: cause.to_string() }),
            cause => failed_io(member, "make it", cause).into(),
        })
    }

    /// That the file system takes `name` for that of `id`, which was made before.
    fn together(&self, dir: BorrowedFd<'_>, name: &CStr, id: (u64, u64)) -> Stop {
        let other = if self.unmade.count() < NAMED { name_of(dir, name, id) } else { None };
        Stop::Cannot(Cannot::Together { other })
    }
}

/// The name in `dir` of what has this `id`: of several the one that is most like `name`.
fn name_of(dir: BorrowedFd<'_>, name: &CStr, id: (u64, u64)) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    // It is for people to read: where it cannot be listed they read "another member".
    let dir = meta::open_dir(dir, c".").ok()?;
    meta::list(&dir, |other, _| {
        if meta::stat_at(&dir, other).is_ok_and(|other| other.id == id) {
            found.push(other.to_bytes().to_vec());
        }
    });
    found.into_iter().min_by_key(|other| (!other.eq_ignore_ascii_case(name.to_bytes()), other.clone()))
}

/// Opens the directory that all lies below.
pub(super) fn open_root(into: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(into, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn failed(member: &Member, operation: &'static str) -> impl Fn(Errno) -> ExtractError {
    move |cause| failed_io(member, operation, cause.into())
}

fn failed_io(member: &Member, operation: &'static str, cause: io::Error) -> ExtractError {
    ExtractError::System { member: member.path.clone(), operation, cause }
}

/// Whether the file system does not take such a name, or such a target of a link.
fn is_no_name(cause: &io::Error) -> bool {
    is(cause, &[Errno::ILSEQ, Errno::INVAL, Errno::NAMETOOLONG])
}

/// Whether the file system, or the account, cannot make what is no file or folder, or no further link to a file.
fn is_no_kind(kind: Kind, cause: &io::Error) -> bool {
    !matches!(kind, Kind::File | Kind::Dir) && is(cause, &[Errno::PERM, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK])
}

/// Whether the file system has no files of such a length. The second is what it says to a place behind its end.
fn is_too_long(cause: &io::Error) -> bool {
    is(cause, &[Errno::FBIG, Errno::INVAL])
}

fn is(cause: &io::Error, any: &[Errno]) -> bool {
    Errno::from_io_error(cause).is_some_and(|cause| any.contains(&cause))
}
