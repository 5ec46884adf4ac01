//! Whether the repository's disk is not there, as against a repository that is gone.
//!
//! The first is a state that ends by plugging it in; the second is a loss, which must be an alarm at once. Where it cannot be told it is the second.

use std::{os::unix::fs::MetadataExt, path::Path};

/// Where systems mount disks that come and go.
const ROOTS: [&str; 4] = ["/Volumes", "/media", "/run/media", "/mnt"];

/// Whether `repository` is not there because nothing is mounted where it should be.
pub(crate) fn is_unplugged(repository: &Path) -> bool {
    unplugged(repository, &ROOTS.map(Path::new), is_mount)
}

fn unplugged(repository: &Path, roots: &[&Path], is_mount: fn(&Path) -> bool) -> bool {
    let comes_and_goes = roots.iter().any(|root| repository.starts_with(root));
    if repository.is_dir() {
        // The folder that stays behind under a disk that was mounted on it.
        return comes_and_goes && is_empty(repository);
    }
    // An empty folder on the computer's own disk is what a repository leaves that somebody removed. Where an automounter lies, it is empty as
    // long as nothing is mounted.
    comes_and_goes || repository.parent().is_none_or(|parent| !parent.is_dir() || (is_empty(parent) && is_mount(parent)))
}

/// Whether `folder` is on another device than the folder above it.
fn is_mount(folder: &Path) -> bool {
    let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
    device(folder) != device(&folder.join(".."))
}

/// One that cannot be listed is not known to be.
fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_of_the_same_disk_is_no_mount() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        assert!(!is_mount(&folder));
    }

    #[test]
    fn a_disk_that_is_not_mounted_is_told_from_a_repository_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = dir.path().join("Volumes");
        let gone = |path: &Path| unplugged(path, &[&volumes], |path| path.ends_with("auto"));
        fs::create_dir_all(volumes.join("Macintosh HD")).unwrap();
        assert!(gone(&volumes.join("disk")) && gone(&volumes.join("disk/backups/offsite")));
        fs::create_dir_all(volumes.join("disk")).unwrap();
        assert!(gone(&volumes.join("disk")), "an empty mount point");
        fs::write(volumes.join("disk/repository.json"), "{}").unwrap();
        assert!(!gone(&volumes.join("disk")));

        // On the computer's own disk: a symbolic link that leads nowhere, an automounter's empty folder, and real losses.
        let home = dir.path().join("home");
        fs::create_dir_all(home.join("empty")).unwrap();
        fs::create_dir_all(home.join("auto")).unwrap();
        assert!(gone(&home.join("none/offsite")) && gone(&home.join("auto/offsite")));
        assert!(!gone(&home.join("empty/offsite")), "the only repository of its folder was removed");
        fs::write(home.join("auto/else"), "").unwrap();
        assert!(!gone(&home.join("auto/offsite")));
        fs::write(home.join("empty/else"), "").unwrap();
        assert!(!gone(&home.join("empty/offsite")));
        fs::create_dir_all(home.join("empty/offsite")).unwrap();
        assert!(!gone(&home.join("empty/offsite")), "an emptied repository is a loss");
    }
}
