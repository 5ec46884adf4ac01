//! What lies on the disk after a restore, held against the manifest and the stream it came from, as a sceptic would.
//!
//! Looked at: that everything is there, and of each thing its kind, mode, time, size, content and link. Left out: owners, which only root
//! restores; with them set-user-ID bits, set-group-ID bits unless root restores, and devices; and the mode of links, which means nothing.

use std::{
    ffi::OsStr,
    fs::{self, File, Metadata, Permissions},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use offsite_archive::{Entry, Kind, Line, Manifest, ManifestError, Mtime, PathText};

use super::twice::{Content, Contents, key};

/// Differences that are kept; of all others only the number.
const KEPT: usize = 20;
/// What file systems round times down to, in nanoseconds: APFS and ext4; NTFS; network shares; exFAT; HFS+.
const ROUNDED: [u32; 5] = [1, 100, 1_000, 10_000_000, 1_000_000_000];

/// What the comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// Regular files, further names not counted.
    pub(super) files: u64,
    /// Their lengths, added up.
    pub(super) bytes: u64,
    /// Devices, which are not restored.
    pub(super) left_out: u64,
    /// How many differences there are.
    pub(super) differing: u64,
    /// The first of them.
    pub(super) differences: Vec<String>,
}

/// The comparison itself failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    #[error("cannot read the list of its members")]
    Entries(#[from] ManifestError),
    #[error("cannot read back {}", path.display())]
    Read {
        path: PathBuf,
        source: io::Error,
    },
}

impl Compared {
    fn differs(&mut self, path: &PathText, what: impl std::fmt::Display) {
        self.differing += 1;
        if self.differences.len() < KEPT {
            self.differences.push(format!("{path}: {what}"));
        }
    }
}

/// Compares the tree in `into` with the manifest object `bytes` and the `contents` of its stream: with all of it if `whole`, otherwise with
/// what is in `contents`.
pub(super) fn compare(bytes: &[u8], contents: &Contents, into: &Path, whole: bool) -> Result<Compared, CompareError> {
    let mut compared = Compared::default();
    let mut seen = 0;
    for line in Manifest::entries(bytes)? {
        let Line::Entry(entry) = line? else { continue };
        match contents.get(&key(&entry.path.0)) {
            Some(content) => {
                seen += 1;
                one(&entry, content, into, &mut compared)?;
            }
            None if whole => compared.differs(&entry.path, "stands in the manifest and not in the stream"),
            None => {}
        }
    }
    if seen < contents.len() {
        let more = contents.len() - seen;
        compared.differs(&PathText(b"/".to_vec()), format!("{more} more in the stream than in the manifest"));
    }
    Ok(compared)
}

fn one(entry: &Entry, content: &Content, into: &Path, compared: &mut Compared) -> Result<(), CompareError> {
    if matches!(entry.kind, Kind::Char | Kind::Block) {
        compared.left_out += 1;
        return Ok(());
    }
    let path = below(into, &entry.path);
    let meta = match look(into, &path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            compared.differs(&entry.path, "did not come back");
            return Ok(());
        }
        Err(source) => return Err(CompareError::Read { path, source }),
    };
    for what in differences(entry, content.acl, &meta, rustix::process::geteuid().is_root()) {
        compared.differs(&entry.path, what);
    }
    let same_kind = kind(&meta) == Some(entry.kind);
    match entry.kind {
        Kind::File => {
            compared.files += 1;
            compared.bytes += entry.size;
            if !same_kind {
                return Ok(());
            }
            let hash = hash(&path).map_err(|source| CompareError::Read { path: path.clone(), source })?;
            if content.hash != Some(hash) {
                compared.differs(&entry.path, "has other content");
            }
        }
        Kind::Symlink if same_kind => {
            let target = fs::read_link(&path).map_err(|source| CompareError::Read { path: path.clone(), source })?;
            if entry.link.as_ref().is_none_or(|link| link.0 != target.as_os_str().as_bytes()) {
                compared.differs(&entry.path, "points elsewhere");
            }
        }
        Kind::Hardlink => {
            let first = entry.link.as_ref().and_then(|link| fs::symlink_metadata(below(into, link)).ok());
            if first.is_none_or(|first| (first.dev(), first.ino()) != (meta.dev(), meta.ino())) {
                compared.differs(&entry.path, "is not the same file as its first name");
            }
        }
        _ => {}
    }
    Ok(())
}

/// Where a path of the Pi lies.
fn below(into: &Path, path: &PathText) -> PathBuf {
    let start = path.0.iter().position(|byte| *byte != b'/').unwrap_or(path.0.len());
    into.join(OsStr::from_bytes(&path.0[start..]))
}

/// Looks at a file in a folder that may have been closed to its owner on the Pi. The folder came before it and is compared already.
fn look(into: &Path, path: &Path) -> io::Result<Metadata> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let above: Vec<&Path> = path.ancestors().skip(1).take_while(|folder| folder.starts_with(into)).collect();
            above.into_iter().rev().try_for_each(|folder| fs::set_permissions(folder, Permissions::from_mode(0o700)))?;
            fs::symlink_metadata(path)
        }
        looked => looked,
    }
}

/// What can be told without opening it.
fn differences(entry: &Entry, acl: bool, meta: &Metadata, root: bool) -> Vec<String> {
    const SET_ID: u32 = 0o6000;
    const SET_GROUP: u32 = 0o2000;
    let mut found = Vec::new();
    if kind(meta) != Some(entry.kind) && entry.kind != Kind::Hardlink {
        return vec!["is of another kind".to_owned()];
    }
    // What comes back without owners has no set-user-ID bits but on folders, and there the system takes the group's from all but root whose
    // group is another, or hands it down from above; and where there is an ACL, it says what the bits are.
    let lost = match entry.kind {
        Kind::Dir if root => 0,
        Kind::Dir => SET_GROUP,
        _ => SET_ID,
    };
    let asked = 0o7777 & !lost & if acl { !0o777 } else { !0 };
    let mode = meta.mode() & 0o7777;
    if !matches!(entry.kind, Kind::Symlink | Kind::Hardlink) && mode & asked != entry.mode & asked {
        found.push(format!("has the mode {mode:04o} and not {:04o}", entry.mode));
    }
    if entry.kind != Kind::Hardlink && !same_time(entry.mtime, meta) {
        found.push("has another time".to_owned());
    }
    if entry.kind == Kind::File && meta.len() != entry.size {
        found.push(format!("has {} bytes and not {}", meta.len(), entry.size));
    }
    found
}

fn kind(meta: &Metadata) -> Option<Kind> {
    let kind = meta.file_type();
    Some(match () {
        () if kind.is_file() => Kind::File,
        () if kind.is_dir() => Kind::Dir,
        () if kind.is_symlink() => Kind::Symlink,
        () if kind.is_fifo() => Kind::Fifo,
        () => return None,
    })
}

/// The same, or rounded down by the file system.
fn same_time(Mtime(seconds, nanos): Mtime, meta: &Metadata) -> bool {
    let there = u32::try_from(meta.mtime_nsec()).unwrap_or(u32::MAX);
    meta.mtime() == seconds && ROUNDED.iter().any(|unit| there == nanos / unit * unit)
}

fn hash(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut file = open(path)?;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&buffer[..count]),
        };
    }
}

/// Opens a file that may have been closed to its owner on the Pi.
fn open(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            File::open(path)
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::FileTimes,
        os::unix::fs::symlink,
        time::{Duration, SystemTime},
    };

    use super::*;

    const TIME: Mtime = Mtime(1_700_000_000, 123_456_789);

    fn entry(path: &str, kind: Kind, mode: u32, size: u64, link: Option<&str>) -> Entry {
        Entry {
            path: PathText(path.into()),
            kind,
            mode,
            uid: 0,
            gid: 0,
            user: String::new(),
            group: String::new(),
            size,
            mtime: TIME,
            link: link.map(|link| PathText(link.into())),
            device: None,
            class: None,
            at: 0,
            data: 512,
            stored: size,
        }
    }

    fn stamp(path: &Path, nanos: u32) {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, nanos);
        File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    /// What is found of a small tree after `change` was made to it.
    fn after(change: impl Fn(&Path)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path();
        fs::create_dir(into.join("srv")).unwrap();
        fs::write(into.join("srv/a"), "content").unwrap();
        fs::set_permissions(into.join("srv/a"), Permissions::from_mode(0o640)).unwrap();
        fs::hard_link(into.join("srv/a"), into.join("srv/b")).unwrap();
        symlink("a", into.join("srv/l")).unwrap();
        let time = rustix::fs::Timespec { tv_sec: TIME.0, tv_nsec: TIME.1.into() };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let set = || {
            rustix::fs::utimensat(rustix::fs::CWD, into.join("srv/l"), &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
            stamp(&into.join("srv"), TIME.1);
        };
        stamp(&into.join("srv/a"), TIME.1);
        fs::set_permissions(into.join("srv"), Permissions::from_mode(0o755)).unwrap();
        set();
        change(into);
        let plain = Content { hash: None, acl: false };
        let file = Content { hash: Some(blake3::hash(b"content")), acl: false };
        let mut compared = Compared::default();
        for (entry, content) in [
            (entry("/srv", Kind::Dir, 0o755, 0, None), &plain),
            // Its set-user-ID bit is not restored, and not missed.
            (entry("/srv/a", Kind::File, 0o4640, 7, None), &file),
            (entry("/srv/b", Kind::Hardlink, 0o640, 0, Some("/srv/a")), &plain),
            (entry("/srv/l", Kind::Symlink, 0o777, 0, Some("a")), &plain),
            (entry("/srv/d", Kind::Block, 0o600, 0, None), &plain),
        ] {
            one(&entry, content, into, &mut compared).unwrap();
        }
        assert_eq!((compared.files, compared.bytes, compared.left_out, compared.differing as usize), (1, 7, 1, compared.differences.len()));
        compared.differences
    }

    /// Changes the tree, and gives the folder its time again.
    fn within(change: impl Fn(&Path)) -> Vec<String> {
        after(|into| {
            change(&into.join("srv"));
            stamp(&into.join("srv"), TIME.1);
        })
    }

    #[test]
    fn every_kind_of_difference_is_seen() {
        assert_eq!(after(|_| {}), Vec::<String>::new());
        let rewrite = |root: &Path, text: &str| {
            fs::write(root.join("a"), text).unwrap();
            stamp(&root.join("a"), TIME.1);
        };
        assert_eq!(within(|root| rewrite(root, "Content")), ["/srv/a: has other content"]);
        assert_eq!(within(|root| rewrite(root, "cont")), ["/srv/a: has 4 bytes and not 7", "/srv/a: has other content"]);
        assert_eq!(within(|root| stamp(&root.join("a"), 1)), ["/srv/a: has another time"]);
        let mode = |root: &Path| fs::set_permissions(root.join("a"), Permissions::from_mode(0o600)).unwrap();
        assert_eq!(within(mode), ["/srv/a: has the mode 0600 and not 4640"]);
        assert_eq!(within(|root| fs::remove_file(root.join("l")).unwrap()), ["/srv/l: did not come back"]);
        let own = |root: &Path| {
            fs::remove_file(root.join("b")).unwrap();
            fs::write(root.join("b"), "content").unwrap();
        };
        assert_eq!(within(own), ["/srv/b: is not the same file as its first name"]);
        let elsewhere = |root: &Path| {
            fs::remove_file(root.join("l")).unwrap();
            symlink("b", root.join("l")).unwrap();
        };
        assert_eq!(within(elsewhere), ["/srv/l: has another time", "/srv/l: points elsewhere"]);
        let folder = |root: &Path| {
            fs::remove_file(root.join("l")).unwrap();
            fs::create_dir(root.join("l")).unwrap();
        };
        assert_eq!(within(folder), ["/srv/l: is of another kind"]);
    }

    #[test]
    fn the_groups_bit_of_a_folder_is_asked_of_root_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        stamp(dir.path(), TIME.1);
        let meta = fs::symlink_metadata(dir.path()).unwrap();
        let of = |mode, root| differences(&entry("/srv", Kind::Dir, mode, 0, None), false, &meta, root);
        assert_eq!((of(0o755, true), of(0o755, false), of(0o2755, false)), (vec![], vec![], vec![]));
        assert_eq!(of(0o2755, true), ["has the mode 0755 and not 2755"]);
        assert_eq!(of(0o1755, false), ["has the mode 0755 and not 1755"]);
        assert_eq!(of(0o2775, false), ["has the mode 0755 and not 2775"]);
    }

    #[test]
    fn times_may_be_rounded_down_as_file_systems_do_and_no_other_way() {
        let dir = tempfile::tempdir().unwrap();
        let is = |nanos: u32| {
            stamp(dir.path(), nanos);
            same_time(TIME, &fs::metadata(dir.path()).unwrap())
        };
        assert_eq!([123_456_789, 123_456_700, 123_456_000, 120_000_000, 0].map(is), [true; 5]);
        assert_eq!([123_456_788, 123_456_790, 123_000_000, 124_000_000].map(is), [false; 4]);
    }
}
