//! Whether a folder is fit to hold the Mac's repository.
//!
//! Refused is what would fail at night and not now: a folder that macOS guards from background jobs, and one over a network, where a sync
//! promises nothing.

use std::path::{Path, PathBuf};

use crate::{
    home::Home,
    platform::{self, Platform},
};

pub(crate) const PROPOSAL: &str = "~/Backups/offsite";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("{0:?} is neither absolute nor below ~/")]
    Relative(String),
    #[error("{} is in {guard}: macOS keeps background jobs out of it, and may carry files away from it; choose another folder, as {PROPOSAL}", folder.display())]
    Guarded { folder: PathBuf, guard: &'static str },
    #[error("{} comes over a network ({kind}), where what was written is not sure to stay; choose a disk of this machine", folder.display())]
    Network { folder: PathBuf, kind: String },
}

/// Whether `folder` may be the repository.
pub(crate) fn judge(folder: &Path, home: &Home, platform: &dyn Platform) -> Result<(), Unfit> {
    if let Some(guard) = platform.guards(folder, home) {
        return Err(Unfit::Guarded { folder: folder.to_owned(), guard });
    }
    match platform::network(existing(folder)) {
        Some(kind) => Err(Unfit::Network { folder: folder.to_owned(), kind }),
        None => Ok(()),
    }
}

/// The folder itself, or the nearest above it that is there.
pub(crate) fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Linux, MacOs};

    #[test]
    fn a_guarded_folder_is_explained() {
        let home = Home::at(Path::new("/Users/owner"));
        let problem = judge(Path::new("/Users/owner/Documents/offsite"), &home, &MacOs).unwrap_err().to_string();
        assert!(problem.contains("Documents: macOS keeps background jobs out") && problem.contains(PROPOSAL), "{problem}");
        assert_eq!(judge(Path::new("/Users/owner/Backups"), &home, &MacOs), Ok(()));
        assert_eq!(judge(Path::new("/Users/owner/Documents"), &home, &Linux), Ok(()));
    }
}
