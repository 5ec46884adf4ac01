//! What lies on the disk after a restore, held against the manifest and the stream it came from, as a sceptic would.
//!
//! Looked at: that everything is there, and of each thing its kind, mode, time, size, content and link. Left out: owners, which only root
//! restores; with them set-user-ID bits, set-group-ID bits unless root restores, and devices; the mode of links, which means nothing; and what
//! the restore said that this disk cannot hold. It goes down by open folders, since a tree may be deeper than a path is long.

use std::{io, path::Path};

use offsite_archive::{Below, Entry, Found, Kind, Line, Manifest, ManifestError, Mtime, PathText, Unmade};

use super::{
    content,
    twice::{Content, Contents, key},
};

/// Differences that are kept; of all others only the number.
pub(super) const KEPT: usize = 20;
/// What file systems round times down to, in nanoseconds: APFS and ext4; NTFS; network shares; exFAT; HFS+.
const ROUNDED: [u32; 5] = [1, 100, 1_000, 10_000_000, 1_000_000_000];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// Regular files, further names not counted.
    pub(super) files: u64,
    /// Their lengths, added up.
    pub(super) bytes: u64,
    /// Devices, which are not restored.
    pub(super) left_out: u64,
    /// What this disk cannot hold.
    pub(super) unheld: u64,
    pub(super) differing: u64,
    pub(super) differences: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    #[error("cannot read the list of its members")]
    Entries(#[from] ManifestError),
    #[error("cannot open the folder that it was restored into")]
    Into { source: io::Error },
    #[error("cannot read back {path}")]
    Read { path: PathText, source: io::Error },
}

impl Compared {
    fn differs(&mut self, path: &PathText, what: impl std::fmt::Display) {
        self.differing += 1;
        if self.differences.len() < KEPT {
            self.differences.push(format!("{path}: {what}"));
        }
    }
}

/// Compares the tree in `into` with the manifest object `bytes` and the `contents` of its stream, but for what is `unmade`: with all of it if
/// `whole`, otherwise with what is in `contents`.
pub(super) fn compare(bytes: &[u8], contents: &Contents, unmade: &Unmade, into: &Path, whole: bool) -> Result<Compared, CompareError> {
    let mut below = Below::open(into).map_err(|source| CompareError::Into { source })?;
    let mut compared = Compared::default();
    let mut seen = 0;
    for line in Manifest::entries(bytes)? {
        let Line::Entry(entry) = line? else { continue };
        match contents.get(&key(&entry.path.0)) {
            Some(content) => {
                seen += 1;
                if unmade.holds(&entry.path.0) {
                    compared.unheld += 1;
                } else {
                    one(&entry, content, &mut below, &mut compared)?;
                }
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

fn one(entry: &Entry, content: &Content, below: &mut Below, compared: &mut Compared) -> Result<(), CompareError> {
    if matches!(entry.kind, Kind::Char | Kind::Block) {
        compared.left_out += 1;
        return Ok(());
    }
    let path = &entry.path.0;
    let failed = |source| CompareError::Read { path: entry.path.clone(), source };
    let found = match below.look(path) {
        Ok(found) => found,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            compared.differs(&entry.path, "did not come back");
            return Ok(());
        }
        Err(source) => return Err(failed(source)),
    };
    for what in differences(entry, content.acl, &found, rustix::process::geteuid().is_root()) {
        compared.differs(&entry.path, what);
    }
    let same_kind = found.kind == Some(entry.kind);
    match entry.kind {
        Kind::File => {
            compared.files += 1;
            compared.bytes += entry.size;
            if !same_kind {
                return Ok(());
            }
            let hash = below.file(path).and_then(|mut file| content::of_file(&mut file)).map_err(failed)?;
            if content.hash != Some(hash) {
                compared.differs(&entry.path, "has other content");
            }
        }
        Kind::Symlink if same_kind => {
            let target = below.link(path).map_err(failed)?;
            if entry.link.as_ref().is_none_or(|link| link.0 != target) {
                compared.differs(&entry.path, "points elsewhere");
            }
        }
        Kind::Hardlink => {
            let first = entry.link.as_ref().and_then(|link| below.look(&link.0).ok());
            if first.is_none_or(|first| first.id != found.id) {
                compared.differs(&entry.path, "is not the same file as its first name");
            }
        }
        _ => {}
    }
    Ok(())
}

fn differences(entry: &Entry, acl: bool, there: &Found, root: bool) -> Vec<String> {
    const SET_ID: u32 = 0o6000;
    const SET_GROUP: u32 = 0o2000;
    let mut found = Vec::new();
    if there.kind != Some(entry.kind) && entry.kind != Kind::Hardlink {
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
    if !matches!(entry.kind, Kind::Symlink | Kind::Hardlink) && there.mode & asked != entry.mode & asked {
        found.push(format!("has the mode {:04o} and not {:04o}", there.mode, entry.mode));
    }
    if entry.kind != Kind::Hardlink && !same_time(entry.mtime, there.mtime) {
        found.push("has another time".to_owned());
    }
    if entry.kind == Kind::File && there.size != entry.size {
        found.push(format!("has {} bytes and not {}", there.size, entry.size));
    }
    found
}

/// The same, or rounded down by the file system.
fn same_time(Mtime(seconds, nanos): Mtime, there: Mtime) -> bool {
    there.0 == seconds && ROUNDED.iter().any(|unit| there.1 == nanos / unit * unit)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File, FileTimes, Permissions},
        os::unix::fs::{PermissionsExt, symlink},
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
        let mut hasher = content::Hasher::new();
        hasher.put(0, b"content");
        let file = Content { hash: Some(hasher.finish()), acl: false };
        let mut below = Below::open(into).unwrap();
        let mut compared = Compared::default();
        for (entry, content) in [
            (entry("/srv", Kind::Dir, 0o755, 0, None), &plain),
            // Its set-user-ID bit is not restored, and not missed.
            (entry("/srv/a", Kind::File, 0o4640, 7, None), &file),
            (entry("/srv/b", Kind::Hardlink, 0o640, 0, Some("/srv/a")), &plain),
            (entry("/srv/l", Kind::Symlink, 0o777, 0, Some("a")), &plain),
            (entry("/srv/d", Kind::Block, 0o600, 0, None), &plain),
        ] {
            one(&entry, content, &mut below, &mut compared).unwrap();
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
        let there = Below::open(dir.path()).unwrap().look(b"/").unwrap();
        let of = |mode, root| differences(&entry("/srv", Kind::Dir, mode, 0, None), false, &there, root);
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
            same_time(TIME, Below::open(dir.path()).unwrap().look(b"/").unwrap().mtime)
        };
        assert_eq!([123_456_789, 123_456_700, 123_456_000, 120_000_000, 0].map(is), [true; 5]);
        assert_eq!([123_456_788, 123_456_790, 123_000_000, 124_000_000].map(is), [false; 4]);
    }
}
