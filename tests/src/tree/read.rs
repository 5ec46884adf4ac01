//! What is in a tree, as a value that outlives the tree, and what differs between two.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// What one name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file: its length in bytes and the hash of its content.
    File {
        /// Bytes.
        len: u64,
        /// BLAKE3 of the content.
        hash: blake3::Hash,
    },
    /// A folder.
    Folder,
    /// A symbolic link, and where it points.
    Link(PathBuf),
    /// A named pipe, socket or device: its file type bits and device number.
    Special(u32, u64),
}

/// Everything about one name that an archive must keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is, with its content.
    pub kind: Kind,
    /// Permission bits with set-user-id, set-group-id and sticky; none for links, which have no mode of their own.
    pub mode: Option<u32>,
    /// User and group, by number.
    pub owner: (u32, u32),
    /// Modification time: seconds since 1970, and nanoseconds.
    pub mtime: (i64, i64),
    /// The first other name of the same file, in order of names, if this is not that itself.
    pub same_as: Option<PathBuf>,
    /// Extended attributes, access control lists among them.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A tree's names (relative to its root, which is the empty name) and what they stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<PathBuf, Node>);

impl Tree {
    /// Reads the tree at `root`.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let mut names = vec![PathBuf::new()];
        collect(root, Path::new(""), &mut names);
        names.sort();
        let mut first = BTreeMap::new();
        let nodes = names.into_iter().map(|name| {
            let path = if name.as_os_str().is_empty() { root.to_owned() } else { root.join(&name) };
            let node = read_node(&path, &name, &mut first);
            (name, node)
        });
        Self(nodes.collect())
    }

    /// The same without owners, for a restore that was not root's.
    #[must_use]
    pub fn without_owners(mut self) -> Self {
        self.0.values_mut().for_each(|node| node.owner = (0, 0));
        self
    }

    /// The part below the folder `name`, as a tree of its own.
    #[must_use]
    pub fn below(&self, name: &Path) -> Self {
        Self(self.0.iter().filter_map(|(path, node)| Some((path.strip_prefix(name).ok()?.to_owned(), node.clone()))).collect())
    }

    /// One line for each name that is not the same in both, in order of names; empty if the trees are the same.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<&PathBuf> = self.0.keys().chain(other.0.keys()).collect();
        let line = |name: &PathBuf| match (self.0.get(name), other.0.get(name)) {
            (Some(a), Some(b)) if a == b => None,
            (Some(a), Some(b)) => Some(format!("{}: {}", name.display(), fields(a, b).join(", "))),
            (Some(_), None) => Some(format!("{}: only in the first", name.display())),
            (None, _) => Some(format!("{}: only in the second", name.display())),
        };
        names.into_iter().filter_map(line).collect()
    }
}

/// What differs between the trees at `a` and `b`; empty if they are the same in everything.
#[must_use]
pub fn compare_trees(a: &Path, b: &Path) -> Vec<String> {
    Tree::read(a).differences(&Tree::read(b))
}

/// Fails unless the trees at `a` and `b` are the same in everything.
///
/// # Panics
/// If they are not, with the first differences.
#[track_caller]
pub fn assert_same(a: &Path, b: &Path) {
    let differences = compare_trees(a, b);
    let shown: Vec<_> = differences.iter().take(20).cloned().collect();
    assert!(differences.is_empty(), "{} and {} differ in {} names:\n{}", a.display(), b.display(), differences.len(), shown.join("\n"));
}

fn fields(a: &Node, b: &Node) -> Vec<String> {
    let mut out = Vec::new();
    let mut field = |name: &str, same: bool, a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| {
        if !same {
            out.push(format!("{name} {a:?} / {b:?}"));
        }
    };
    field("content", a.kind == b.kind, &a.kind, &b.kind);
    field("mode", a.mode == b.mode, &a.mode.map(octal), &b.mode.map(octal));
    field("owner", a.owner == b.owner, &a.owner, &b.owner);
    field("mtime", a.mtime == b.mtime, &a.mtime, &b.mtime);
    field("same as", a.same_as == b.same_as, &a.same_as, &b.same_as);
    field("attributes", a.xattrs == b.xattrs, &a.xattrs, &b.xattrs);
    out
}

fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

fn collect(root: &Path, at: &Path, names: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(at)).unwrap_or_else(|e| panic!("read {}: {e}", root.join(at).display())) {
        let entry = entry.unwrap();
        let name = at.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            collect(root, &name, names);
        }
        names.push(name);
    }
}

fn read_node(path: &Path, name: &Path, first: &mut BTreeMap<(u64, u64), PathBuf>) -> Node {
    let meta = path.symlink_metadata().unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    let kind = meta.file_type();
    let same_as = if kind.is_dir() || meta.nlink() == 1 {
        None
    } else {
        let known = first.entry((meta.dev(), meta.ino())).or_insert_with(|| name.to_owned());
        (known != name).then(|| known.clone())
    };
    Node {
        kind: if kind.is_file() {
            Kind::File { len: meta.len(), hash: hash(path) }
        } else if kind.is_dir() {
            Kind::Folder
        } else if kind.is_symlink() {
            Kind::Link(fs::read_link(path).unwrap())
        } else {
            let device = kind.is_block_device() || kind.is_char_device();
            Kind::Special(meta.mode() & 0o170_000, if device { meta.rdev() } else { 0 })
        },
        mode: (!kind.is_symlink()).then(|| meta.mode() & 0o7777),
        owner: (meta.uid(), meta.gid()),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        same_as,
        xattrs: xattrs(path),
    }
}

fn hash(path: &Path) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let file = fs::File::open(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    hasher.update_reader(file).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    hasher.finalize()
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0_u8; 64 << 10];
    // A file system that knows no attributes has none.
    let Ok(len) = rustix::fs::llistxattr(path, &mut names) else { return BTreeMap::new() };
    let value = |name: &[u8]| {
        let mut value = vec![0_u8; 64 << 10];
        let len = rustix::fs::lgetxattr(path, CString::new(name).unwrap(), &mut value)
            .unwrap_or_else(|e| panic!("read attribute {:?} of {}: {e}", OsStr::from_bytes(name), path.display()));
        value.truncate(len);
        value
    };
    names[..len].split(|b| *b == 0).filter(|n| !n.is_empty()).map(|n| (n.to_vec(), value(n))).collect()
}
