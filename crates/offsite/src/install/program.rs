//! The name under which the system starts this program, which must still lead to it after an update.
//!
//! Homebrew keeps each version in a folder of its own and removes the old one; its `opt` has a link that always leads to the new one.

use std::path::{Component, Path, PathBuf};

use super::apply::same;

/// `program`, or a name that will outlive it and leads to the same file now.
pub(super) fn lasting(program: &Path) -> PathBuf {
    opt(program).filter(|link| same(link, program)).unwrap_or_else(|| program.to_owned())
}

/// `PREFIX/opt/NAME/REST` for `PREFIX/Cellar/NAME/VERSION/REST`.
fn opt(program: &Path) -> Option<PathBuf> {
    let parts: Vec<Component<'_>> = program.components().collect();
    let cellar = parts.iter().position(|part| part.as_os_str() == "Cellar")?;
    let (name, rest) = (parts.get(cellar + 1)?, parts.get(cellar + 3..)?);
    let mut path: PathBuf = parts[..cellar].iter().collect();
    path.push("opt");
    path.push(name);
    path.extend(rest);
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_homebrew_is_named_by_its_lasting_link() {
        let dir = tempfile::tempdir().unwrap();
        let version = dir.path().join("Cellar/offsite/0.1.0");
        std::fs::create_dir_all(version.join("bin")).unwrap();
        std::fs::create_dir(dir.path().join("opt")).unwrap();
        std::fs::write(version.join("bin/offsite"), "").unwrap();
        let program = version.join("bin/offsite");
        // No link yet, or one that leads elsewhere: better a name that works today.
        assert_eq!(lasting(&program), program);
        std::os::unix::fs::symlink(&version, dir.path().join("opt/offsite")).unwrap();
        assert_eq!(lasting(&program), dir.path().join("opt/offsite/bin/offsite"));
        let plain = dir.path().join("offsite");
        std::fs::write(&plain, "").unwrap();
        assert_eq!(lasting(&plain), plain);
    }
}
