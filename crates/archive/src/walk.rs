//! The walk of one source: every entry once, a directory before its content, names in byte order.
//!
//! The order must be the same each night, whatever order the file system lists names in. Everything is opened relative to the open
//! directory above it, so no symbolic link is ever followed below the root and no swap of a folder can lead the walk astray. Only the
//! deepest [`OPEN`] directories stay open: a container that nests folders by the thousand must not use up the descriptors. What a listing
//! calls a file is opened at once and looked at then, which asks the kernel half as often as looking first.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::FileType;
use rustix::io::{Errno, Result as Os};

use crate::Kind;
use crate::meta::{Stat, sys};

/// Directories kept open.
const OPEN: usize = 64;
/// Longest path, in bytes: far beyond what can be opened by name, well within what a header holds.
const LONGEST: usize = 64 << 10;

/// An entry that was found.
pub(crate) struct Found<'a> {
    /// The directory it lies in.
    pub(crate) dir: BorrowedFd<'a>,
    /// Its name there.
    pub(crate) name: &'a CStr,
    /// Its absolute path.
    pub(crate) absolute: &'a [u8],
    /// The same without the leading slash.
    pub(crate) path: &'a [u8],
    /// Its path relative to the base of the walk; empty for that.
    pub(crate) key: &'a [u8],
    /// What it was when it was looked at.
    pub(crate) stat: Stat,
    /// The directory itself, if it is one and can be read.
    pub(crate) opened: Option<BorrowedFd<'a>>,
}

/// What the walk could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It was listed, and then gone.
    Vanished,
    /// It could not be looked at or listed.
    Unreadable(Errno),
    /// A directory was moved while the walk was inside; what was left of it is not archived.
    Moved,
    /// Its path is longer than an archive takes.
    TooLong,
}

/// Who hears of what the walk finds.
pub(crate) trait Visit {
    /// What ends the walk.
    type Error;

    /// An entry. With `file` it is a file, opened, and what was found is what was opened; other files could not be, or have to be tried.
    fn entry(&mut self, found: &Found<'_>, file: Option<File>) -> Result<(), Self::Error>;

    /// Whether `path`, absolute and without the leading slash, is left out with all below it.
    fn leave_out(&self, path: &[u8]) -> bool;

    /// What cannot be walked; `path` is absolute, without the leading slash.
    fn trouble(&mut self, path: &[u8], trouble: Trouble);
}

/// A source's root, found and opened.
pub(crate) struct Root {
    above: OwnedFd,
    name: CString,
    path: Vec<u8>,
}

impl Root {
    /// Finds the root at `at` and walks it as if it lay at `path`. Both are absolute, without the leading slash, of plain names; empty
    /// for `/`. They differ where a snapshot is read.
    pub(crate) fn open(path: &[u8], at: &[u8]) -> Os<Self> {
        let (above, name) = match at.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&at[..slash], &at[slash + 1..]),
            None => (&b""[..], at),
        };
        let name = if name.is_empty() { &b"."[..] } else { name };
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        let above = rustix::fs::open([b"/", above].concat(), flags, rustix::fs::Mode::empty())?;
        sys::stat_at(&above, &name)?;
        Ok(Self { above, name, path: path.to_vec() })
    }
}

/// A directory the walk is in.
struct Level {
    /// None while too many others are open.
    dir: Option<OwnedFd>,
    id: (u64, u64),
    names: Names,
    /// Length of its path.
    len: usize,
}

/// The names in a directory, in byte order, one after another in one piece of memory.
#[derive(Default)]
struct Names {
    /// Each with the zero that ends it.
    text: Vec<u8>,
    /// Where each one lies, without that zero, and what the listing calls it.
    list: Vec<(usize, usize, FileType)>,
    next: usize,
}

impl Names {
    fn push(&mut self, name: &CStr, kind: FileType) {
        self.list.push((self.text.len(), self.text.len() + name.to_bytes().len(), kind));
        self.text.extend_from_slice(name.to_bytes_with_nul());
    }

    fn sort(&mut self) {
        let Self { text, list, .. } = self;
        list.sort_unstable_by(|a, b| text[a.0..a.1].cmp(&text[b.0..b.1]));
    }

    fn next(&mut self) -> Option<(&CStr, FileType)> {
        let (from, to, kind) = *self.list.get(self.next)?;
        self.next += 1;
        Some((CStr::from_bytes_with_nul(&self.text[from..=to]).ok()?, kind))
    }

    fn is_done(&self) -> bool {
        self.next == self.list.len()
    }
}

/// Walks everything from `root` down; keys are relative to `base`, which is the root's path or one above it.
pub(crate) fn walk<V: Visit>(root: &Root, base: &[u8], visitor: &mut V) -> Result<(), V::Error> {
    let mut path = [b"/", &root.path[..]].concat();
    let cut = if base.is_empty() { 1 } else { base.len() + 2 };
    let mut levels: Vec<Level> = Vec::new();
    levels.extend(step(root.above.as_fd(), (&root.name, FileType::Unknown), &path, cut, visitor)?);
    while let Some(level) = levels.last_mut() {
        path.truncate(level.len);
        let Some((name, kind)) = level.names.next() else {
            let left = levels.pop();
            if let (Some(left), Some(above)) = (left, levels.last_mut()) {
                go_up(&left, above, &path[1..above.len], visitor);
            }
            continue;
        };
        let Some(dir) = &level.dir else { continue };
        if path.len() > 1 {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        if path.len() > LONGEST {
            visitor.trouble(&path[1..], Trouble::TooLong);
            continue;
        }
        if visitor.leave_out(&path[1..]) {
            continue;
        }
        if let Some(deeper) = step(dir.as_fd(), (name, kind), &path, cut, visitor)? {
            levels.push(deeper);
            if let Some(far) = levels.len().checked_sub(OPEN + 1) {
                levels[far].dir = None;
            }
        }
    }
    Ok(())
}

/// Opens `above` again if it was closed, from the directory below it, and makes sure that it is the same.
fn go_up<V: Visit>(left: &Level, above: &mut Level, path: &[u8], visitor: &mut V) {
    if above.dir.is_some() {
        return;
    }
    let opened = left.dir.as_ref().and_then(|dir| sys::open_parent(dir).ok());
    above.dir = opened.filter(|dir| sys::stat(dir).is_ok_and(|stat| stat.id == above.id));
    if above.dir.is_none() && !above.names.is_done() {
        visitor.trouble(path, Trouble::Moved);
    }
}

/// Looks at one entry, whose absolute path is `absolute`, and tells the visitor; a directory that can be listed is returned.
fn step<V: Visit>(
    dir: BorrowedFd<'_>,
    (name, kind): (&CStr, FileType),
    absolute: &[u8],
    cut: usize,
    visitor: &mut V,
) -> Result<Option<Level>, V::Error> {
    let path = &absolute[1..];
    let key = absolute.get(cut..).unwrap_or_default();
    if kind == FileType::RegularFile
        && let Ok((stat, file)) = sys::open_file(dir, name).and_then(|file| Ok((sys::stat(&file)?, file)))
        && stat.kind == Some(Kind::File)
    {
        visitor.entry(&Found { dir, name, absolute, path, key, stat, opened: None }, Some(file))?;
        return Ok(None);
    }
    // Nothing that is known by name alone, or not what the listing said: whatever it is now.
    let unreadable = |cause| if cause == Errno::NOENT { Trouble::Vanished } else { Trouble::Unreadable(cause) };
    let mut stat = match sys::stat_at(dir, name) {
        Ok(stat) => stat,
        Err(cause) => {
            visitor.trouble(path, unreadable(cause));
            return Ok(None);
        }
    };
    let mut opened = None;
    if stat.kind == Some(Kind::Dir) {
        match sys::open_dir(dir, name).and_then(|dir| Ok((sys::stat(&dir)?, dir))) {
            Ok((newer, dir)) => {
                stat = newer;
                opened = Some(dir);
            }
            Err(Errno::NOENT) => {
                visitor.trouble(path, Trouble::Vanished);
                return Ok(None);
            }
            // The directory itself is archived, only its content is not.
            Err(cause) => visitor.trouble(path, Trouble::Unreadable(cause)),
        }
    }
    visitor.entry(&Found { dir, name, absolute, path, key, stat, opened: opened.as_ref().map(AsFd::as_fd) }, None)?;
    let Some(dir) = opened else { return Ok(None) };
    let (names, failed) = list(&dir);
    if let Some(cause) = failed {
        visitor.trouble(path, Trouble::Unreadable(cause));
    }
    Ok(Some(Level { dir: Some(dir), id: stat.id, names, len: absolute.len() }))
}

/// The names in `dir` in byte order, and what ended the listing early.
fn list(dir: &OwnedFd) -> (Names, Option<Errno>) {
    let mut names = Names::default();
    let failed = sys::list(dir, |name, kind| {
        if name != c"." && name != c".." {
            names.push(name, kind);
        }
    });
    names.sort();
    (names, failed)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::*;

    #[derive(Default)]
    struct Heard {
        keys: Vec<String>,
        troubles: Vec<(String, Trouble)>,
        remove: Option<(String, std::path::PathBuf)>,
    }

    impl Visit for Heard {
        type Error = Infallible;

        fn entry(&mut self, found: &Found<'_>, _file: Option<File>) -> Result<(), Infallible> {
            let key = String::from_utf8_lossy(found.key).into_owned();
            if let Some((_, path)) = self.remove.take_if(|(at, _)| *at == key) {
                fs::remove_file(path).unwrap();
            }
            self.keys.push(key);
            Ok(())
        }

        fn leave_out(&self, path: &[u8]) -> bool {
            path.ends_with(b"/out")
        }

        fn trouble(&mut self, path: &[u8], trouble: Trouble) {
            self.troubles.push((String::from_utf8_lossy(path).rsplit('/').next().unwrap_or_default().to_owned(), trouble));
        }
    }

    fn walked(path: &Path, mut heard: Heard) -> Heard {
        let path = path.as_os_str().as_bytes().strip_prefix(b"/").unwrap();
        let root = Root::open(path, path).unwrap();
        walk(&root, path, &mut heard).unwrap();
        heard
    }

    #[test]
    fn byte_order_directory_first_links_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b", "a", "a.d", "ä", "B", "out"] {
            fs::create_dir(dir.path().join(path)).unwrap();
        }
        for path in ["b/z", "b/Z", "a/x", "a.d/y", "c", "out/left"] {
            fs::write(dir.path().join(path), "").unwrap();
        }
        std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
        let heard = walked(dir.path(), Heard::default());
        assert_eq!(heard.keys, ["", "B", "a", "a/x", "a.d", "a.d/y", "b", "b/Z", "b/z", "c", "link", "ä"]);
        assert_eq!(heard.troubles, []);
    }

    #[test]
    fn what_vanishes_is_told_and_the_walk_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a", "b", "c"] {
            fs::write(dir.path().join(path), "").unwrap();
        }
        let heard = walked(dir.path(), Heard { remove: Some(("a".to_owned(), dir.path().join("b"))), ..Heard::default() });
        assert_eq!(heard.keys, ["", "a", "c"]);
        assert_eq!(heard.troubles, [("b".to_owned(), Trouble::Vanished)]);
    }

    #[test]
    fn deeper_than_the_directories_kept_open() {
        let dir = tempfile::tempdir().unwrap();
        let mut path = dir.path().to_path_buf();
        for depth in 0..3 * OPEN {
            path.push("d");
            fs::create_dir(&path).unwrap();
            if depth % 50 == 0 {
                fs::write(path.join("e"), "").unwrap();
            }
        }
        let heard = walked(dir.path(), Heard::default());
        assert_eq!(heard.troubles, []);
        assert_eq!(heard.keys.len(), 1 + 3 * OPEN + 4);
        // Files come after the directory beside them, so they were found on the way back up.
        assert!(heard.keys[1 + 3 * OPEN..].iter().all(|key| key.ends_with("/e")), "{:?}", &heard.keys[1 + 3 * OPEN..]);
    }

    #[test]
    fn a_root_may_be_a_file_and_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(walked(&file, Heard::default()).keys, [""]);
        let gone = dir.path().join("gone");
        let gone = &gone.as_os_str().as_bytes()[1..];
        assert_eq!(Root::open(gone, gone).err(), Some(Errno::NOENT));
    }
}
