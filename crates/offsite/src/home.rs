//! Where the owner's files are by default, and what `~` means.

use std::path::{Component, Path, PathBuf};

/// Neither `HOME` nor an option says where the owner's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot tell the home folder: HOME is not set to an absolute path")]
pub struct NoHome;

/// The folders of one user; a value, so that tests need no environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    pub home: PathBuf,
    pub config: Option<PathBuf>,
    pub state: Option<PathBuf>,
}

impl Home {
    /// The folders of the user who runs this process. Relative values are ignored, as the XDG specification asks.
    pub fn of_process() -> Result<Self, NoHome> {
        let home = Self::of_process_if_any();
        if home.home.is_absolute() { Ok(home) } else { Err(NoHome) }
    }

    /// As [`of_process`](Self::of_process), and with an empty home folder where `HOME` does not say one: then nothing is below `~`.
    pub fn of_process_if_any() -> Self {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self { home: absolute("HOME").unwrap_or_default(), config: absolute("XDG_CONFIG_HOME"), state: absolute("XDG_STATE_HOME") }
    }

    pub fn at(home: &Path) -> Self {
        Self { home: home.to_owned(), config: None, state: None }
    }

    /// The XDG variables that are set, for a process that must find the same folders.
    pub fn xdg(&self) -> Vec<(&'static str, PathBuf)> {
        let set = [("XDG_CONFIG_HOME", &self.config), ("XDG_STATE_HOME", &self.state)];
        set.into_iter().filter_map(|(name, path)| Some((name, path.clone()?))).collect()
    }

    /// `~/.config/offsite/offsite.yaml`, on macOS too: a file people edit belongs where they find it.
    pub fn default_config(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| self.home.join(".config")).join("offsite/offsite.yaml")
    }

    /// `text` as an absolute path, with a leading `~` replaced; `None` if it is relative or another user's (`~name`).
    pub fn expand(&self, text: &str) -> Option<PathBuf> {
        let path = match text.strip_prefix('~') {
            Some("") => self.home.clone(),
            Some(rest) => self.home.join(rest.strip_prefix('/')?),
            None => PathBuf::from(text),
        };
        path.is_absolute().then_some(path)
    }
}

/// A path without `.` and `..`, by its text alone.
pub(crate) fn straight(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut straight, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                straight.pop();
            }
            part => straight.push(part),
        }
        straight
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_made_straight_by_its_text() {
        for (path, wanted) in [("/b/../b/./c", "/b/c"), ("/../a", "/a"), ("/a/b/../../c/", "/c"), ("/a", "/a")] {
            assert_eq!(straight(Path::new(path)), Path::new(wanted));
        }
    }

    #[test]
    fn without_a_home_folder_a_tilde_is_nowhere() {
        let nowhere = Home { home: PathBuf::new(), config: None, state: None };
        assert_eq!((nowhere.expand("~/a"), nowhere.expand("~"), nowhere.expand("/a")), (None, None, Some("/a".into())));
    }

    #[test]
    fn a_tilde_is_the_home_folder_and_relative_paths_are_none() {
        let home = Home::at(Path::new("/home/owner"));
        assert_eq!(home.expand("~"), Some("/home/owner".into()));
        assert_eq!(home.expand("~/a b"), Some("/home/owner/a b".into()));
        assert_eq!(home.expand("/~/a"), Some("/~/a".into()));
        for text in ["", "a", "./a", "~other/a", "../a"] {
            assert_eq!(home.expand(text), None, "{text}");
        }
    }

    #[test]
    fn the_configuration_follows_xdg() {
        let mut home = Home::at(Path::new("/home/owner"));
        assert_eq!(home.default_config(), Path::new("/home/owner/.config/offsite/offsite.yaml"));
        home.config = Some("/elsewhere".into());
        assert_eq!(home.default_config(), Path::new("/elsewhere/offsite/offsite.yaml"));
    }
}
