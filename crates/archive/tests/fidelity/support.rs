//! Making archives, unpacking them, and looking at trees.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use jiff::Timestamp;
use offsite_archive::{
    Cache, Capture, CaptureError, CaptureOptions, Captured, Chunker, Decoder, Entry, ExtractError, ExtractOptions, Extracted, FrameRef,
    FramesDigest, Head, Line, Manifest, ManifestReader, Part, PathText, RunFacts, Stock,
};

pub(crate) fn head(sources: &[&Path]) -> Head {
    Head {
        version: offsite_archive::MANIFEST_VERSION,
        archive: "services/2026-11-22T040000Z".parse().unwrap(),
        sequence: 7,
        host: "pi".to_owned(),
        agent: "0.1.0".to_owned(),
        sources: sources.iter().map(|source| PathText(source.as_os_str().as_bytes().to_vec())).collect(),
        chunker: Chunker::files_1(),
    }
}

pub(crate) fn facts() -> RunFacts {
    RunFacts { finished: Timestamp::from_second(1_795_000_000).unwrap(), quiesced: vec![], warnings: vec![], complete: true }
}

pub(crate) fn capture(sources: &[&Path]) -> Captured<Vec<u8>> {
    capture_by(sources, 2)
}

pub(crate) fn capture_by(sources: &[&Path], threads: usize) -> Captured<Vec<u8>> {
    let mut capture = begin_by(Vec::new(), head(sources), threads).unwrap();
    for source in sources {
        capture.part(&Part::whole(source), &mut |_| ()).unwrap();
    }
    capture.finish(facts()).unwrap()
}

/// A single pass with nothing at hand.
pub(crate) fn begin<W: Write>(out: W, head: Head) -> Result<Capture<'static, W>, CaptureError> {
    begin_by(out, head, CaptureOptions::default().threads)
}

fn begin_by<W: Write>(out: W, head: Head, threads: usize) -> Result<Capture<'static, W>, CaptureError> {
    let options = CaptureOptions { threads, ..CaptureOptions::default() };
    Capture::new(out, head, &options, Stock::new(tempfile::tempfile().unwrap()), None)
}

/// A cache in one piece.
pub(crate) fn bytes(cache: &Cache) -> Vec<u8> {
    let mut bytes = Vec::new();
    cache.write_to(&mut bytes).unwrap();
    bytes
}

pub(crate) fn frames(captured: &Captured<Vec<u8>>) -> Vec<FrameRef> {
    Manifest::read(&captured.manifest).unwrap().frames
}

pub(crate) fn entries(captured: &Captured<Vec<u8>>) -> Vec<Entry> {
    let lines = ManifestReader::new(Cursor::new(&captured.manifest)).unwrap();
    lines.filter_map(|line| if let Line::Entry(entry) = line.unwrap() { Some(entry) } else { None }).collect()
}

/// The raw tar stream, from the frames as the manifest lists them.
pub(crate) fn raw(captured: &Captured<Vec<u8>>) -> Vec<u8> {
    let mut decoder = Decoder::new().unwrap();
    let mut at = 0;
    let mut raw = Vec::new();
    for frame in frames(captured) {
        let end = at + frame.len as usize;
        raw.extend(decoder.decode(&captured.out[at..end], &frame.id, frame.raw).unwrap());
        at = end;
    }
    assert_eq!(raw.len() as u64, captured.end.raw);
    let mut digest = FramesDigest::new();
    frames(captured).iter().for_each(|frame| digest.push(&frame.id, frame.raw));
    assert_eq!(digest.finish(), captured.end.digest);
    raw
}

pub(crate) fn extract(tar: &[u8], into: &Path, options: &ExtractOptions) -> Result<Extracted, ExtractError> {
    offsite_archive::extract(tar, into, options, &mut |_| ())
}

pub(crate) fn all() -> ExtractOptions {
    ExtractOptions { owners: is_root(), ..ExtractOptions::default() }
}

/// What the file at `path` is after its archive was unpacked elsewhere.
pub(crate) fn restored(captured: &Captured<Vec<u8>>, path: &Path) -> Vec<u8> {
    let (_into, into) = scratch();
    extract(&raw(captured), &into, &all()).unwrap();
    fs::read(below(&into, path)).unwrap()
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that a test is skipped and why; fails where everything is required.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("OFFSITE_LAB").is_none_or(|value| value != "require"), "{reason}, and OFFSITE_LAB=require");
    eprintln!("skipped: {reason}");
}

/// Where a tree that lies at `path` lands below `into`.
pub(crate) fn below(into: &Path, path: &Path) -> std::path::PathBuf {
    into.join(path.strip_prefix("/").unwrap())
}

/// All that must be equal in two trees.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) struct Node {
    pub(crate) kind: char,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, i64),
    pub(crate) content: Vec<u8>,
    pub(crate) size: u64,
    pub(crate) device: u64,
    /// The first path of the same file, where it has several.
    pub(crate) first: Option<Vec<u8>>,
    pub(crate) attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

pub(crate) type Tree = BTreeMap<Vec<u8>, Node>;

/// What lies at and below `root`, by relative path. Content is hashed.
pub(crate) fn look(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut firsts = BTreeMap::new();
    look_at(root, b"", &mut tree, &mut firsts);
    tree
}

fn look_at(path: &Path, key: &[u8], tree: &mut Tree, firsts: &mut BTreeMap<(u64, u64), Vec<u8>>) {
    let meta = fs::symlink_metadata(path).unwrap();
    let file_type = meta.file_type();
    let kind = match () {
        () if file_type.is_dir() => 'd',
        () if file_type.is_symlink() => 'l',
        () if file_type.is_fifo() => 'p',
        () if file_type.is_char_device() => 'c',
        () if file_type.is_block_device() => 'b',
        () if file_type.is_socket() => 's',
        () => '-',
    };
    let content = match kind {
        'l' => fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec(),
        '-' => blake3::hash(&fs::read(path).unwrap()).as_bytes().to_vec(),
        _ => vec![],
    };
    let id = (meta.dev(), meta.ino());
    let first = (kind != 'd' && meta.nlink() > 1).then(|| firsts.entry(id).or_insert_with(|| key.to_vec()).clone());
    let node = Node {
        kind,
        mode: meta.mode() & 0o7777,
        owner: (meta.uid(), meta.gid()),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        content,
        size: if kind == '-' { meta.len() } else { 0 },
        device: if matches!(kind, 'c' | 'b') { meta.rdev() } else { 0 },
        first,
        attributes: attributes(path),
    };
    tree.insert(key.to_vec(), node);
    if kind == 'd' {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            let key = if key.is_empty() { name.as_bytes().to_vec() } else { [key, b"/", name.as_bytes()].concat() };
            look_at(&path.join(&name), &key, tree, firsts);
        }
    }
}

fn attributes(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut list = vec![0; 64 << 10];
    let Ok(len) = rustix::fs::llistxattr(path, &mut list[..]) else { return BTreeMap::new() };
    let names = list[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 64 << 10];
        let len = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        value[..len].to_vec()
    };
    names.map(|name| (name.to_vec(), value(name))).collect()
}

/// Names the differences of two trees; panics when there are any.
#[track_caller]
pub(crate) fn assert_same(expected: &Tree, found: &Tree) {
    let keys: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differ: Vec<String> = keys
        .into_iter()
        .filter(|key| expected.get(*key) != found.get(*key))
        .map(|key| format!("{}\n  expected {:02x?}\n  found    {:02x?}", String::from_utf8_lossy(key), expected.get(key), found.get(key)))
        .collect();
    assert!(differ.is_empty(), "{} differences:\n{}", differ.len(), differ[..differ.len().min(8)].join("\n"));
}

/// Sets the modification time of `path` itself.
pub(crate) fn touch(path: &Path, seconds: i64, nanos: i64) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos },
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// The same bytes for the same seed, without pattern.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

pub(crate) fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

/// A new directory, and a canonical path to it.
pub(crate) fn scratch() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    (dir, path)
}

/// Whether a program is there.
pub(crate) fn has(program: &str) -> bool {
    std::process::Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
