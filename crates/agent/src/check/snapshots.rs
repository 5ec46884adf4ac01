//! What a run would do about snapshots, told without taking any.

use std::path::PathBuf;

use super::Level;
use crate::{human::chain, snapshot::Snapshots};

/// For each of `sources` of a job with snapshots, how it would be read.
pub(super) fn survey(snapshots: &dyn Snapshots, sources: &[PathBuf]) -> Vec<(Level, String)> {
    let one = |source: &PathBuf| match snapshots.offered(source) {
        Ok(Some(volume)) => (Level::Ok, format!("{} is read from a snapshot of {}", source.display(), volume.root.display())),
        Ok(None) => (Level::Ok, format!("{} is read without a snapshot: it is not on btrfs", source.display())),
        Err(error) => (Level::Warning, format!("{} is read without a snapshot: {}", source.display(), chain(&error))),
    };
    sources.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::snapshot::{SnapshotError, Volume};

    struct Fake;

    impl Snapshots for Fake {
        fn offered(&self, source: &Path) -> Result<Option<Volume>, SnapshotError> {
            match source.to_str() {
                Some("/a/b") => Ok(Some(Volume { root: "/a".into(), home: "/h".into(), disk: 1 })),
                Some("/c") => Ok(None),
                _ => Err(SnapshotError::Mount { path: source.into() }),
            }
        }

        fn take(&self, _: &Volume, _: &str) -> Result<PathBuf, SnapshotError> {
            unreachable!("nothing is taken")
        }

        fn remove(&self, _: &Volume, _: &str) -> Result<(), SnapshotError> {
            unreachable!("nothing is removed")
        }
    }

    #[test]
    fn tells_how_each_source_is_read() {
        let told = survey(&Fake, &["/a/b".into(), "/c".into(), "/d".into()]);
        let says = [
            (Level::Ok, "/a/b is read from a snapshot of /a"),
            (Level::Ok, "/c is read without a snapshot: it is not on btrfs"),
            (Level::Warning, "/d is read without a snapshot: cannot find the mount that holds /d"),
        ];
        assert_eq!(told, says.map(|(level, says)| (level, says.to_owned())));
    }
}
