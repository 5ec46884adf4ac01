//! Whether the archive to come has room, looked at before anything is stopped or written for it.
//!
//! Invariant: a disk is not filled by what could not end. After a hot pass the need is known to the byte. In one pass nothing was read
//! yet: the sizes of the files stand for it, scaled as the job's last archive was.

use std::{collections::HashSet, os::unix::fs::MetadataExt, path::Path};

use offsite_archive::{JobName, Stock};
use offsite_repository::Archives;

use super::{Kind, Place};
use crate::{config::Layout, error::RunError, sources::Root};

impl Place {
    /// Looks whether what `stock` got from the hot pass has room in the archive to come: frames that are new, and in a plain archive all of
    /// them. What changes later comes on top, so this refuses only what could not end.
    ///
    /// Errors: [`RunError::Room`], and nobody knows.
    pub(crate) fn room(&self, stock: &Stock) -> Result<(), RunError> {
        let needed = match &self.kind {
            Kind::Plain(_) => stock.due(),
            Kind::Packs(_) => stock.kept(),
        };
        enough(self.local.root(), needed)
    }

    /// The same for an archive of `job` of which nothing was read yet, and which will hold `roots`.
    ///
    /// Errors: as [`Place::room`].
    pub(crate) fn room_unread<'a>(&self, job: &JobName, roots: impl Iterator<Item = &'a Root>) -> Result<(), RunError> {
        let layout = match &self.kind {
            Kind::Plain(_) => Layout::Plain,
            Kind::Packs(_) => Layout::Packs,
        };
        unread(self.local.root(), layout, &self.found, job, roots)
    }
}

/// As [`Place::room_unread`], for the repository at `root` that holds the archives `found`.
pub(crate) fn unread<'a>(
    root: &Path,
    layout: Layout,
    found: &Archives,
    job: &JobName,
    roots: impl Iterator<Item = &'a Root>,
) -> Result<(), RunError> {
    let newest = found.good.iter().filter(|info| info.name.job == *job).max_by_key(|info| info.sequence);
    let needed = match (layout, newest) {
        // What is there already is not written again, and nobody knows yet how much that is.
        (Layout::Packs, _) if !found.good.is_empty() => return Ok(()),
        (_, None) => files(roots),
        (_, Some(last)) => {
            let scaled = u128::from(last.end.bytes) * u128::from(files(roots)) / u128::from(last.end.raw.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        }
    };
    enough(root, needed)
}

fn enough(root: &Path, needed: u64) -> Result<(), RunError> {
    let free = free(root)?;
    if needed > free { Err(RunError::Room { path: root.into(), needed, free }) } else { Ok(()) }
}

/// Bytes that are free beside `root`.
pub(crate) fn free(root: &Path) -> Result<u64, RunError> {
    let disk = rustix::fs::statvfs(root).map_err(|error| RunError::File {
        operation: "ask for the free space of",
        path: root.into(),
        source: error.into(),
    })?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes that the files of `roots` take on their disk, a file of several names once. What cannot be looked at counts for nothing here:
/// whoever archives it tells that.
fn files<'a>(roots: impl Iterator<Item = &'a Root>) -> u64 {
    let (mut bytes, mut seen) = (0_u64, HashSet::new());
    let mut left: Vec<_> = roots.map(|root| (root.path.clone(), &root.exclude)).collect();
    while let Some((path, exclude)) = left.pop() {
        let Some(found) = path.symlink_metadata().ok().filter(|_| !exclude.contains(&path)) else { continue };
        if found.is_dir() {
            let entries = path.read_dir().into_iter().flatten().flatten();
            left.extend(entries.map(|entry| (entry.path(), exclude)));
        } else if found.is_file() && (found.nlink() == 1 || seen.insert((found.dev(), found.ino()))) {
            // A hole takes no room.
            bytes = bytes.saturating_add(found.len().min(found.blocks().saturating_mul(512)));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_once_a_hole_and_what_is_excluded_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("in/deep")).unwrap();
        std::fs::create_dir_all(at("out")).unwrap();
        for name in ["in/deep/file", "out/file"] {
            std::fs::write(at(name), vec![1; 1 << 20]).unwrap();
        }
        std::fs::hard_link(at("in/deep/file"), at("in/again")).unwrap();
        std::os::unix::fs::symlink(at("out"), at("in/link")).unwrap();
        std::fs::File::create(at("in/hole")).unwrap().set_len(1 << 30).unwrap();
        let root = |exclude: &[&str]| Root {
            source: dir.path().into(),
            path: dir.path().into(),
            exclude: exclude.iter().map(|name| at(name)).collect(),
        };
        // Some file systems give room to a file only when its bytes go out, or less than its length.
        let one = files([Root { path: at("out"), ..root(&[]) }].iter());
        assert!(one <= 1 << 20);
        assert_eq!(files([root(&[])].iter()), 2 * one);
        assert_eq!(files([root(&["out"])].iter()), one);
        assert_eq!(files([root(&["in", "out/file"])].iter()), 0);
        assert_eq!(files([Root { path: at("none"), ..root(&[]) }].iter()), 0);
    }
}
