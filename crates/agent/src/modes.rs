//! Who may read the repository: its owner, and the group of the account that pulls; nobody else.
//!
//! Folders 0750, files 0640, set and not left to a umask: under another one the Mac could not read a new archive, or everybody could.
//! The root is closed first, so that nothing below it is ever open to others for a moment.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

/// Why the modes are not what they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModesError {
    /// The group of the configuration does not exist.
    #[error("there is no group \"{0}\" in /etc/group")]
    Group(String),
    /// A file or folder resists.
    #[error("cannot {operation} {}: {source}", path.display())]
    Set {
        /// What was to be done.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The number of `group`, which is a number already or a name in the text of /etc/group.
pub(crate) fn gid(group: &str, table: &str) -> Result<u32, ModesError> {
    let named = || table.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.len() >= 3 && fields[0] == group);
    let number = group.parse().ok().or_else(|| named().and_then(|fields| fields[2].parse().ok()));
    number.ok_or_else(|| ModesError::Group(group.to_owned()))
}

/// Sets group and modes of the repository's folder `root` and of all below it.
///
/// Errors: the first file or folder that resists; doing it again goes on.
pub(crate) fn settle(root: &Path, group: Option<&str>) -> Result<(), ModesError> {
    let table = || std::fs::read_to_string("/etc/group").unwrap_or_default();
    let group = group.map(|group| gid(group, &table())).transpose()?;
    // The root itself may be reached by a link; below it there is none.
    let real = root.canonicalize().map_err(|source| ModesError::Set { operation: "find", path: root.into(), source })?;
    descend(&real, group)
}

fn descend(path: &Path, group: Option<u32>) -> Result<(), ModesError> {
    let failed = |operation| move |source| ModesError::Set { operation, path: path.into(), source };
    let found = std::fs::symlink_metadata(path).map_err(failed("look at"))?;
    let kind = found.file_type();
    if kind.is_symlink() {
        // Not ours: the repository never holds one.
        return Ok(());
    }
    // Most are right already, and setting a mode anew would make the disk write each of them.
    if let Some(group) = group.filter(|group| *group != found.gid()) {
        chown(path, None, Some(group)).map_err(failed("set the group of"))?;
    }
    let mode = if kind.is_dir() { 0o750 } else { 0o640 };
    if found.mode() & 0o7777 != mode {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of"))?;
    }
    if kind.is_dir() {
        for entry in std::fs::read_dir(path).map_err(failed("list"))? {
            descend(&entry.map_err(failed("list"))?.path(), group)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_groups_by_name_and_number() {
        let table = "root:x:0:\noffsite:x:987:pi\nbroken\n";
        assert_eq!((gid("offsite", table).unwrap(), gid("1234", table).unwrap()), (987, 1234));
        assert_eq!(gid("off", table).unwrap_err().to_string(), "there is no group \"off\" in /etc/group");
    }

    #[test]
    fn sets_modes_whatever_they_were_and_leaves_links_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("repository");
        std::fs::create_dir_all(root.join("archives/x")).unwrap();
        let (file, outside) = (root.join("archives/x/1.tar.zst"), dir.path().join("outside"));
        for path in [&file, &outside] {
            std::fs::write(path, "").unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(0o604)).unwrap();
        }
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        let own = std::fs::metadata(&file).unwrap().gid().to_string();
        std::os::unix::fs::symlink(&root, dir.path().join("way")).unwrap();
        settle(&dir.path().join("way"), Some(&own)).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(
            [mode(&root), mode(&root.join("archives")), mode(&root.join("archives/x")), mode(&file), mode(&outside)],
            [0o750, 0o750, 0o750, 0o640, 0o604]
        );
    }
}
