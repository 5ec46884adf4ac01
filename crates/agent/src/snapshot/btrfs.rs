//! Snapshots of btrfs subvolumes, by the btrfs command.
//!
//! Invariant: what is removed lies in a folder that is root's alone and is a subvolume. The command and not the kernel's own calls,
//! because these take raw memory. Of a source everything must lie in one subvolume: in the snapshot of a subvolume, those nested in it
//! and what is mounted over it are empty folders, and an archive of them would be complete only to look at.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::{
        ffi::OsStringExt,
        fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{SnapshotError, Snapshots, Volume};
use crate::{
    engine::{self, CommandError},
    lock::Lock,
    mounts::{self, Mount},
};

/// The folder for snapshots, at the top of what is mounted: it must be on the same file system, and seldom is inside a source there.
const HOME: &str = ".offsite-snapshots";
/// The inode number of each subvolume's root, and of nothing else on btrfs.
const ROOT: u64 = 256;
/// A snapshot writes out all that is not yet on the disk.
const TAKE: Duration = Duration::from_secs(60);
/// Questions are quick; removing waits for the disk, but no service does.
const OTHERS: Duration = Duration::from_secs(10 * 60);

/// The btrfs command.
#[derive(Debug)]
pub(crate) struct Btrfs<'a> {
    program: PathBuf,
    lock: Option<&'a Lock>,
}

impl<'a> Btrfs<'a> {
    /// The command, to be found in PATH. With `lock`, each call holds the lock too: a snapshot that is still being taken when the
    /// agent is killed is there before the next run looks for it.
    pub(crate) fn new(lock: Option<&'a Lock>) -> Self {
        Self { program: "btrfs".into(), lock }
    }

    fn call(&self, operation: &'static str, path: &Path, limit: Duration, arguments: &[&OsStr]) -> Result<Vec<u8>, SnapshotError> {
        let failed = |source| SnapshotError::Command { operation, path: path.into(), source };
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir("/");
        let input = self.lock.map_or_else(|| Ok(Stdio::null()), Lock::share);
        let input = input.map_err(|source| failed(CommandError::Start { command: self.program.display().to_string(), source }))?;
        engine::output(&mut command, input, limit).map_err(failed)
    }

    /// The subvolumes nested in the one at `root`, as paths from the top of the file system.
    fn nested(&self, root: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
        let words = ["subvolume".as_ref(), "list".as_ref(), "-o".as_ref(), root.as_os_str()];
        listed(root, &self.call("list the subvolumes below", root, OTHERS, &words)?)
    }
}

impl Snapshots for Btrfs<'_> {
    fn offered(&self, source: &Path) -> Result<Option<Volume>, SnapshotError> {
        let real = source.canonicalize().map_err(failed("find", source))?;
        let all = mounts::read().map_err(failed("read", Path::new(mounts::FILE)))?;
        let number = mounts::number(&real).map_err(failed("find the mount of", &real))?;
        let mount = all.iter().find(|mount| mount.id == number && real.starts_with(&mount.at));
        let mount = mount.ok_or_else(|| SnapshotError::Mount { path: real.clone() })?;
        if mount.kind != "btrfs" {
            return Ok(None);
        }
        let hidden = |hidden: &Path, what| Err(SnapshotError::Hidden { path: source.into(), hidden: hidden.into(), what });
        if let Some(other) = below(&all, &real) {
            return hidden(&other.at, "a mount");
        }
        let root = top(&real, &mount.at)?;
        let inside = inside(mount, &real);
        if let Some(nested) = self.nested(&root)?.iter().find(|nested| nested.starts_with(&inside)) {
            return hidden(&real.join(nested.strip_prefix(&inside).unwrap_or(nested)), "a subvolume");
        }
        let disk = disk(&mount.at).map_err(failed("ask for the file system of", &mount.at))?;
        Ok(Some(Volume { root, home: mount.at.join(HOME), disk }))
    }

    fn take(&self, volume: &Volume, name: &str) -> Result<PathBuf, SnapshotError> {
        match DirBuilder::new().mode(0o700).create(&volume.home) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed("make the folder", &volume.home)(error)),
            _ => ours(&volume.home)?,
        }
        let at = volume.home.join(name);
        // Into a folder that is there, btrfs would put the snapshot under a name of its own.
        if exists(&at)? {
            return Err(SnapshotError::Strange { path: at, why: "there is something of this name already" });
        }
        let words = ["subvolume".as_ref(), "snapshot".as_ref(), "-r".as_ref(), volume.root.as_os_str(), at.as_os_str()];
        self.call("take a snapshot of", &volume.root, TAKE, &words)?;
        Ok(at)
    }

    fn remove(&self, volume: &Volume, name: &str) -> Result<(), SnapshotError> {
        let at = volume.home.join(name);
        let above = volume.home.parent().unwrap_or(&volume.home);
        // An empty mount point is no proof that the snapshot is gone.
        if disk(above).ok() != Some(volume.disk) {
            return Err(SnapshotError::Away { path: at });
        }
        if exists(&at)? {
            ours(&volume.home)?;
            if look(&at)?.ino() != ROOT {
                return Err(SnapshotError::Strange { path: at, why: "it is not a snapshot" });
            }
            // Committed, or a power cut could bring it back after the note is gone.
            let words = ["subvolume".as_ref(), "delete".as_ref(), "--commit-after".as_ref(), at.as_os_str()];
            self.call("remove the snapshot", &at, OTHERS, &words)?;
        } else {
            // Perhaps a call that was killed has removed it just now, and not committed.
            self.call("sync", above, OTHERS, &["filesystem".as_ref(), "sync".as_ref(), above.as_os_str()])?;
        }
        match fs::remove_dir(&volume.home) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                Err(failed("remove the folder", &volume.home)(error))
            }
            _ => Ok(()),
        }
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    move |source| SnapshotError::Path { operation, path: path.into(), source }
}

fn look(path: &Path) -> Result<fs::Metadata, SnapshotError> {
    fs::symlink_metadata(path).map_err(failed("look at", path))
}

fn exists(path: &Path) -> Result<bool, SnapshotError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        found => found.map(|_| true).map_err(failed("look at", path)),
    }
}

/// The number of the file system at `path`: made of its own and its subvolume's identity, so the same after a reboot.
fn disk(path: &Path) -> io::Result<u64> {
    Ok(rustix::fs::statvfs(path)?.f_fsid)
}

/// Is `home` a folder that nobody else can put anything in? Whoever may write above it could have been there before us.
fn ours(home: &Path) -> Result<(), SnapshotError> {
    let found = look(home)?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode().trailing_zeros() >= 6;
    if ours { Ok(()) } else { Err(SnapshotError::Strange { path: home.into(), why: "it is not a folder that is ours alone (mode 0700)" }) }
}

/// The root of the subvolume that `real` lies in, not above `at`, where it is mounted.
fn top(real: &Path, at: &Path) -> Result<PathBuf, SnapshotError> {
    for above in real.ancestors().take_while(|above| above.starts_with(at)) {
        if look(above)?.ino() == ROOT {
            return Ok(above.into());
        }
    }
    Err(SnapshotError::Part { path: real.into(), at: at.into() })
}

/// The first mount strictly below `path`.
fn below<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts.iter().find(|mount| mount.at != path && mount.at.starts_with(path))
}

/// The path of `real` from the top of the file system.
fn inside(mount: &Mount, real: &Path) -> PathBuf {
    let rest = real.strip_prefix(&mount.at).unwrap_or(Path::new(""));
    // Collected from components: an empty rest must leave no slash behind.
    mount.root.join(rest).components().collect()
}

/// What `btrfs subvolume list` wrote: `ID 257 gen 7 top level 256 path data/nested`. A name with a newline makes a second line,
/// which makes no sense, and is refused.
fn listed(root: &Path, text: &[u8]) -> Result<Vec<PathBuf>, SnapshotError> {
    let not = |line: &[u8]| SnapshotError::Understand { path: root.into(), said: String::from_utf8_lossy(line).into_owned() };
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| path(line).ok_or_else(|| not(line))).collect()
}

fn path(line: &[u8]) -> Option<PathBuf> {
    let words: Vec<&[u8]> = line.splitn(9, |&byte| byte == b' ').collect();
    let [b"ID", _, b"gen", _, b"top", b"level", _, b"path", path] = words[..] else { return None };
    Some(Path::new("/").join(Path::new(&OsString::from_vec(path.to_vec()))))
}

#[cfg(test)]
#[path = "btrfs_tests.rs"]
mod tests;
