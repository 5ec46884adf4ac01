//! The one folder that is shown, and no way out of it.
//!
//! Every name is walked from the root's descriptor, component by component, and no symbolic link is followed, not even one that
//! stays inside: so there is no moment between a check and a use in which a link could be swapped in. Refusals are
//! the operating system's error numbers; the caller turns them into SFTP's.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, linkat, mkdirat, open, openat, renameat, statat, unlinkat};
use rustix::io::{Errno, Result};

use super::Access;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(super) struct Folder {
    root: OwnedFd,
    access: Access,
}

/// How to open a file for writing.
#[derive(Clone, Copy)]
pub(super) struct Write {
    pub(super) create: bool,
    pub(super) exclusive: bool,
    pub(super) truncate: bool,
    pub(super) read: bool,
}

impl Folder {
    pub(super) fn open(root: &Path, access: Access) -> io::Result<Self> {
        // The root itself may be reached over a link: whoever starts the server chose it.
        let root = open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root, access })
    }

    fn may_write(&self) -> Result<()> {
        if self.access == Access::ReadWrite { Ok(()) } else { Err(Errno::ACCESS) }
    }

    /// The folder that holds `path`, and the last name in it; `.` for the root.
    fn parent(&self, path: &str) -> Result<(OwnedFd, String)> {
        let mut names = components(path);
        let last = names.pop().unwrap_or_else(|| ".".to_owned());
        let mut folder = openat(&self.root, ".", FOLDER, Mode::empty())?;
        for name in names {
            folder = openat(&folder, name, FOLDER, Mode::empty())?;
        }
        Ok((folder, last))
    }

    pub(super) fn stat(&self, path: &str) -> Result<Stat> {
        let (folder, name) = self.parent(path)?;
        statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Opens a regular file; a pipe or device is refused, and never waited for.
    pub(super) fn read(&self, path: &str) -> Result<File> {
        self.file(path, OFlags::RDONLY)
    }

    pub(super) fn write(&self, path: &str, how: Write) -> Result<File> {
        self.may_write()?;
        let mut flags = if how.read { OFlags::RDWR } else { OFlags::WRONLY };
        flags.set(OFlags::CREATE, how.create);
        flags.set(OFlags::EXCL, how.create && how.exclusive);
        flags.set(OFlags::TRUNC, how.truncate);
        self.file(path, flags)
    }

    fn file(&self, path: &str, flags: OFlags) -> Result<File> {
        let (folder, name) = self.parent(path)?;
        let common = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = openat(&folder, name, flags | common, Mode::from_raw_mode(0o666))?;
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(File::from(file)),
            FileType::Directory => Err(Errno::ISDIR),
            _ => Err(Errno::ACCESS),
        }
    }

    /// The names in a folder with what they are, sorted. Names that are not UTF-8 cannot be told over this library and are left out.
    pub(super) fn names(&self, path: &str) -> Result<Vec<(String, Stat)>> {
        let (parent, name) = self.parent(path)?;
        let folder = openat(&parent, name, FOLDER, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                // `..` of the root is not shown for what it is.
                Ok(_) if name == ".." => {}
                Ok(stat) => names.push((name.to_owned(), stat)),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(names)
    }

    pub(super) fn make_folder(&self, path: &str) -> Result<()> {
        self.may_write()?;
        let (folder, name) = self.parent(path)?;
        mkdirat(&folder, name, Mode::from_raw_mode(0o777))
    }

    pub(super) fn remove(&self, path: &str, flags: AtFlags) -> Result<()> {
        self.may_write()?;
        let (folder, name) = self.parent(path)?;
        unlinkat(&folder, name, flags)
    }

    /// Renames a file; onto an existing name only if `over`.
    pub(super) fn rename(&self, from: &str, to: &str, over: bool) -> Result<()> {
        self.may_write()?;
        let (old, from) = self.parent(from)?;
        let (new, to) = self.parent(to)?;
        if over {
            return renameat(&old, from, &new, to);
        }
        // Linking refuses an existing name in one step, as OpenSSH's server does it.
        linkat(&old, from.as_str(), &new, to, AtFlags::empty())?;
        unlinkat(&old, from, AtFlags::empty())
    }
}

/// The names in a client's path; `..` goes up, but never above the root.
pub(super) fn components(path: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name.to_owned()),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_never_rise_above_the_root() {
        for (path, expected) in [("/", ""), ("", ""), (".", ""), ("/../../etc/passwd", "etc/passwd"), ("a/../../b/./c//d", "b/c/d")] {
            assert_eq!(components(path).join("/"), expected, "{path}");
        }
    }

    #[test]
    fn no_link_is_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("in")).unwrap();
        fs::write(root.path().join("in/file"), "f").unwrap();
        symlink(outside.path(), root.path().join("away")).unwrap();
        symlink(outside.path().join("secret"), root.path().join("secret")).unwrap();
        symlink("in", root.path().join("inner")).unwrap();
        let folder = Folder::open(root.path(), Access::ReadWrite).unwrap();
        assert!(folder.read("/in/file").is_ok());
        for path in ["/away/secret", "/secret", "/inner/file", "/in/../away/secret"] {
            assert!(folder.read(path).is_err(), "{path}");
        }
        assert!(folder.names("/away").is_err());
        assert!(folder.make_folder("/away/made").is_err());
        assert!(folder.rename("/in/file", "/away/file", true).is_err());
        assert_eq!(FileType::from_raw_mode(folder.stat("/secret").unwrap().st_mode), FileType::Symlink);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn read_only_is_read_only() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "a").unwrap();
        let folder = Folder::open(root.path(), Access::ReadOnly).unwrap();
        let how = Write { create: true, exclusive: false, truncate: true, read: false };
        assert_eq!(folder.write("b", how).unwrap_err(), Errno::ACCESS);
        assert_eq!(folder.write("a", how).unwrap_err(), Errno::ACCESS);
        assert_eq!(folder.make_folder("d"), Err(Errno::ACCESS));
        assert_eq!(folder.remove("a", AtFlags::empty()), Err(Errno::ACCESS));
        assert_eq!(folder.rename("a", "b", true), Err(Errno::ACCESS));
        assert_eq!(fs::read(root.path().join("a")).unwrap(), b"a");
    }
}
