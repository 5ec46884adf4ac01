//! Two trees, compared as a sceptic would: every byte, mode, time and link. What is not compared: owners, which only root restores.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    pub(super) files: u64,
    /// Their lengths, in bytes.
    pub(super) bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Node {
    kind: &'static str,
    mode: u32,
    mtime: (i64, i64),
    /// Of a file.
    content: Option<blake3::Hash>,
    link: Option<PathBuf>,
    /// The first name, by path, of the same file.
    first: PathBuf,
}

impl Tree {
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self { nodes: BTreeMap::new(), files: 0, bytes: 0 };
        tree.walk(root, Path::new(""), &mut BTreeMap::new())?;
        Ok(tree)
    }

    /// Names in order, so that the first name of a file is the same one in every copy of the tree.
    fn walk(&mut self, root: &Path, at: &Path, names: &mut BTreeMap<(u64, u64), PathBuf>) -> io::Result<()> {
        let path = root.join(at);
        let meta = path.symlink_metadata()?;
        let kind = kind(&meta);
        let (mut first, mut content) = (at.to_owned(), None);
        if kind == "file" {
            first = names.entry((meta.dev(), meta.ino())).or_insert(first).clone();
            content = Some(blake3::Hasher::new().update_reader(File::open(&path)?)?.finalize());
            self.files += 1;
            self.bytes += meta.len();
        }
        let link = (kind == "link").then(|| fs::read_link(&path)).transpose()?;
        let node = Node { kind, mode: meta.mode() & 0o7777, mtime: (meta.mtime(), meta.mtime_nsec()), content, link, first };
        self.nodes.insert(at.to_owned(), node);
        if kind == "folder" {
            let mut inside = fs::read_dir(&path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
            inside.sort();
            inside.iter().try_for_each(|name| self.walk(root, &at.join(name), names))?;
        }
        Ok(())
    }
}

fn kind(meta: &fs::Metadata) -> &'static str {
    let kind = meta.file_type();
    match () {
        () if kind.is_file() => "file",
        () if kind.is_dir() => "folder",
        () if kind.is_symlink() => "link",
        () if kind.is_fifo() => "pipe",
        () => "other",
    }
}

pub(super) fn differences(a: &Tree, b: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, was) in &a.nodes {
        let Some(is) = b.nodes.get(path) else {
            found.push(format!("{} is missing", path.display()));
            continue;
        };
        let mut differ = |what: &str, same: bool| {
            if !same {
                found.push(format!("{}: another {what}", path.display()));
            }
        };
        differ("kind", was.kind == is.kind);
        // The mode of a link means nothing, and systems differ in what they say.
        differ("mode", was.kind == "link" || was.mode == is.mode);
        differ("time", was.mtime == is.mtime);
        differ("link", was.link == is.link && was.first == is.first);
        differ("content", was.content == is.content);
    }
    found.extend(b.nodes.keys().filter(|path| !a.nodes.contains_key(*path)).map(|path| format!("{} is new", path.display())));
    found
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{FileTimes, OpenOptions, Permissions},
        os::unix::fs::{PermissionsExt, symlink},
        time::{Duration, SystemTime},
    };

    use super::*;

    fn stamp(path: &Path, nanos: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 0) + Duration::from_nanos(nanos);
        let options = if path.is_dir() { OpenOptions::new().read(true).clone() } else { OpenOptions::new().write(true).clone() };
        options.open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    fn tree(root: &Path) {
        fs::create_dir(root).unwrap();
        for name in ["a", "b"] {
            fs::write(root.join(name), "same length").unwrap();
            fs::set_permissions(root.join(name), Permissions::from_mode(0o644)).unwrap();
            stamp(&root.join(name), 0);
        }
        stamp(root, 0);
    }

    /// What is found after `change` was made to a copy.
    fn after(change: impl Fn(&Path)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        tree(&one);
        tree(&two);
        change(&two);
        stamp(&two, 0);
        differences(&Tree::read(&one).unwrap(), &Tree::read(&two).unwrap())
    }

    #[test]
    fn every_kind_of_difference_is_seen() {
        assert_eq!(after(|_| {}), Vec::<String>::new());
        assert_eq!(after(|root| stamp(&root.join("a"), 1)), ["a: another time"]);
        assert_eq!(after(|root| fs::set_permissions(root.join("a"), Permissions::from_mode(0o600)).unwrap()), ["a: another mode"]);
        assert_eq!(after(|root| fs::remove_file(root.join("a")).unwrap()), ["a is missing"]);
        assert_eq!(after(|root| symlink("a", root.join("c")).unwrap()), ["c is new"]);
        let other = |root: &Path| {
            fs::write(root.join("a"), "same-length").unwrap();
            stamp(&root.join("a"), 0);
        };
        assert_eq!(after(other), ["a: another content"]);
        let linked = |root: &Path| {
            fs::remove_file(root.join("b")).unwrap();
            fs::hard_link(root.join("a"), root.join("b")).unwrap();
        };
        assert_eq!(after(linked), ["b: another link"]);
    }
}
