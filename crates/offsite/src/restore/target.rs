//! The folder that a restore goes into: new or empty unless one insists, and never inside what it restores from.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("{} is not empty", path.display())]
    NotEmpty { path: PathBuf },
    #[error("{} lies in {}, which offsite itself keeps", path.display(), of.display())]
    Inside { path: PathBuf, of: PathBuf },
    #[error("{} is not a folder", path.display())]
    NotAFolder { path: PathBuf },
    #[error("cannot {operation} the folder {}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
}

/// Checks `into` without changing anything, and returns where it really is. `own` are folders that offsite keeps; those that are not
/// there are nobody's.
pub(crate) fn check(into: &Path, own: &[PathBuf], overwrite: bool) -> Result<PathBuf, TargetError> {
    let path = outside(into, own)?;
    match fs::read_dir(&path) {
        Ok(mut entries) => match entries.next() {
            Some(_) if !overwrite => Err(TargetError::NotEmpty { path }),
            _ => Ok(path),
        },
        Err(source) => match source.kind() {
            io::ErrorKind::NotFound => Ok(path),
            io::ErrorKind::NotADirectory => Err(TargetError::NotAFolder { path }),
            _ => Err(TargetError::Io { operation: "look at", path, source }),
        },
    }
}

/// Where `into` really is, if that is in none of the folders `own`.
pub(crate) fn outside(into: &Path, own: &[PathBuf]) -> Result<PathBuf, TargetError> {
    let path = resolve(into)?;
    for of in own {
        // One that cannot be resolved is compared as it is written.
        let real = fs::canonicalize(of).unwrap_or_else(|_| of.clone());
        if path.starts_with(&real) {
            return Err(TargetError::Inside { path, of: of.clone() });
        }
    }
    Ok(path)
}

/// Makes the folder, and those above it.
pub(crate) fn make(path: &Path) -> Result<(), TargetError> {
    fs::create_dir_all(path).map_err(|source| TargetError::Io { operation: "make", path: path.to_owned(), source })
}

/// `into` without links: what exists of it resolved, the rest as it is written.
fn resolve(into: &Path) -> Result<PathBuf, TargetError> {
    let failed = |source| TargetError::Io { operation: "look at", path: into.to_owned(), source };
    let absolute = std::path::absolute(into).map_err(failed)?;
    let mut there = absolute.as_path();
    let mut rest = Vec::new();
    loop {
        match (fs::canonicalize(there), there.components().next_back(), there.parent()) {
            (Ok(real), _, _) => return Ok(rest.iter().rev().fold(real, |path, name| path.join(name))),
            // A dangling link is nothing that a folder can be made of; `create_dir_all` says so.
            (Err(error), Some(Component::Normal(name)), Some(above)) if error.kind() == io::ErrorKind::NotFound => {
                rest.push(name.to_owned());
                there = above;
            }
            (Err(source), _, _) => return Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn new_and_empty_folders_are_well_and_full_ones_only_on_request() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        assert_eq!(check(&root.join("a/b"), &[], false).unwrap(), root.join("a/b"));
        assert!(!root.join("a").exists(), "a check makes nothing");
        assert_eq!(check(&root, &[], false).unwrap(), root);
        fs::write(root.join("file"), "").unwrap();
        assert!(matches!(check(&root, &[], false), Err(TargetError::NotEmpty { .. })));
        assert_eq!(check(&root, &[], true).unwrap(), root);
        assert!(matches!(check(&root.join("file"), &[], true), Err(TargetError::NotAFolder { .. })));
    }

    #[test]
    fn what_offsite_keeps_is_refused_by_whatever_way() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let own = [root.join("repository")];
        fs::create_dir(&own[0]).unwrap();
        symlink(&own[0], root.join("link")).unwrap();
        for into in ["repository", "repository/new/er", "link", "link/new", "repository/../repository"] {
            assert!(matches!(check(&root.join(into), &own, true), Err(TargetError::Inside { .. })), "{into}");
        }
        check(&root.join("repository-2"), &own, false).unwrap();
    }
}
