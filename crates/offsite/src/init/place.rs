//! Where the Mac's repository goes.
//!
//! Refused is what would fail at night and not now: a folder that macOS guards from background jobs, and one over a network, where a sync
//! promises nothing.

use std::path::{Path, PathBuf};

use super::ask::{Ask, Question};
use crate::{
    config::Home,
    human::size,
    platform::{self, Platform},
};

const FLAG: &str = "--repository";
const PROPOSAL: &str = "~/Backups/offsite";

/// A folder that cannot be the repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceProblem {
    /// It is not absolute.
    #[error("{0:?} is neither absolute nor below ~/")]
    Relative(String),
    /// The system guards it.
    #[error("{} is in {guard}: macOS keeps background jobs out of it, and may carry files away from it; choose another folder, as {PROPOSAL}", folder.display())]
    Guarded {
        /// The folder.
        folder: PathBuf,
        /// What guards it.
        guard: &'static str,
    },
    /// It comes over a network.
    #[error("{} comes over a network ({kind}), where what was written is not sure to stay; choose a disk of this machine", folder.display())]
    Network {
        /// The folder.
        folder: PathBuf,
        /// How.
        kind: String,
    },
}

/// Whether `folder` may be the repository.
///
/// # Errors
/// [`PlaceProblem`]
pub fn judge(folder: &Path, home: &Home, platform: &dyn Platform) -> Result<(), PlaceProblem> {
    if let Some(guard) = platform.guards(folder, home) {
        return Err(PlaceProblem::Guarded { folder: folder.to_owned(), guard });
    }
    match platform::network(existing(folder)) {
        Some(kind) => Err(PlaceProblem::Network { folder: folder.to_owned(), kind }),
        None => Ok(()),
    }
}

/// The folder itself, or the nearest above it that is there.
pub fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder)
}

/// Asks where, for archives of `expected` bytes at first. Gives what stands in the configuration.
///
/// # Errors
/// If nobody answers, or without a person if the folder cannot be.
pub(super) fn choose(ask: &mut dyn Ask, home: &Home, chosen: Option<&Path>, expected: Option<u64>) -> anyhow::Result<String> {
    let mut chosen = chosen.map(|folder| folder.to_string_lossy().into_owned());
    if ask.person() && chosen.is_none() {
        ask.say("\nAll archives go into one folder of this Mac; what they have in common lies there once.");
    }
    loop {
        let text = match chosen.take() {
            Some(text) => text,
            None => ask.line(&Question { text: "Folder for this Mac's repository", proposal: Some(PROPOSAL), flag: FLAG })?,
        };
        let judged = match home.expand(&text) {
            None => Err(PlaceProblem::Relative(text.clone())),
            Some(folder) => judge(&folder, home, platform::current()).map(|()| folder),
        };
        match judged {
            Ok(folder) if !ask.person() || has_room(ask, &folder, expected)? => return Ok(text),
            Ok(_) => {}
            Err(problem) if ask.person() => ask.say(&format!("{problem}.")),
            Err(problem) => return Err(problem.into()),
        }
    }
}

fn has_room(ask: &mut dyn Ask, folder: &Path, expected: Option<u64>) -> anyhow::Result<bool> {
    // A disk that does not tell is no reason to stop; a pull looks again before it begins.
    let (Ok(free), Some(expected)) = (platform::free(existing(folder)), expected) else { return Ok(true) };
    if free > expected {
        ask.say(&format!("{} are free there; the Pi's newest archives take {}.", size(free), size(expected)));
        return Ok(true);
    }
    ask.say(&format!("Only {} are free there, and the Pi's newest archives alone take {}.", size(free), size(expected)));
    Ok(ask.yes("Use it all the same", false, FLAG)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        init::{ask::Nobody, tests::Scripted},
        platform::{Linux, MacOs},
    };

    #[test]
    fn a_guarded_folder_is_explained() {
        let home = Home::at(Path::new("/Users/owner"));
        let problem = judge(Path::new("/Users/owner/Documents/offsite"), &home, &MacOs).unwrap_err().to_string();
        assert!(problem.contains("Documents: macOS keeps background jobs out") && problem.contains(PROPOSAL), "{problem}");
        assert_eq!(judge(Path::new("/Users/owner/Backups"), &home, &MacOs), Ok(()));
        assert_eq!(judge(Path::new("/Users/owner/Documents"), &home, &Linux), Ok(()));
    }

    #[test]
    fn a_folder_without_room_needs_a_yes_and_a_relative_one_is_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let mut ask = Scripted::answers(&["backups", "~/b", "no", "~/c", "yes"]);
        assert_eq!(choose(&mut ask, &home, None, Some(u64::MAX)).unwrap(), "~/c");
        assert!(ask.said().contains("neither absolute") && ask.said().matches("Only ").count() == 2, "{}", ask.said());
        assert_eq!(choose(&mut Scripted::answers(&[""]), &home, None, Some(0)).unwrap(), PROPOSAL);
        assert_eq!(choose(&mut Nobody, &home, Some(Path::new("/b")), Some(u64::MAX)).unwrap(), "/b");
        assert!(choose(&mut Nobody, &home, Some(Path::new("b")), None).is_err());
    }
}
