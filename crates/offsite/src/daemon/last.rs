//! The configuration as it was when it last held: whom to tell that it does not any more.
//!
//! It is kept in the usual state folder, whatever the configuration says of its own, so that it is found where the file is gone and says nothing.
//! A copy that cannot be kept or found costs that one notice, and nothing else.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    config::Config,
    home::Home,
    platform,
    state::{self, State},
};

/// Keeps what is in the file of `config`, if that is not kept yet. A disk that is too full for it is told of for other reasons.
pub(super) fn keep(config: &Config, home: &Home) {
    if let Err(error) = try_keep(config, home) {
        tracing::debug!("cannot keep a copy of the configuration: {error}");
    }
}

fn try_keep(config: &Config, home: &Home) -> io::Result<()> {
    let (text, copy) = (std::fs::read(&config.path)?, copy(&config.path, home)?);
    if std::fs::read(&copy).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    State::open(&platform::current().state_folder(home)).map_err(|error| error.source)?;
    // A hook's address may be in it.
    state::replace(&copy, &text)
}

/// What the file at `path` said when it last held.
pub(super) fn known(path: &Path, home: &Home) -> Option<Config> {
    let text = std::fs::read_to_string(copy(path, home).ok()?).ok()?;
    Config::parse(path, &text, home).ok()
}

/// The copy of the file at `path`: a Mac may have more than one.
fn copy(path: &Path, home: &Home) -> io::Result<PathBuf> {
    let hash = blake3::hash(std::path::absolute(path)?.as_os_str().as_encoded_bytes()).to_hex();
    Ok(platform::current().state_folder(home).join(format!("last-{}.yaml", &hash[..16])))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn what_held_is_known_when_it_does_not_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let (path, home) = (dir.path().join("offsite.yaml"), Home::at(dir.path()));
        let text = "repository: ~/repository\nstate: ~/state   # here\npi: {host: h, user: u, path: /p}\n\
                    notify: {macos: none, webhook: {url: 'https://example.org/hook'}}\n";
        let write = |text: &str| fs::write(&path, text).unwrap();
        write(text);
        assert!(known(&path, &home).is_none());
        keep(&Config::load(&path, &home).unwrap(), &home);
        // Keys that nobody knows, and what is no YAML at all; and it is gone.
        for broken in [format!("{text}unknown: key\n"), text.replace("pi: {", "pi: {{{"), String::new()] {
            if broken.is_empty() {
                fs::remove_file(&path).unwrap()
            } else {
                write(&broken)
            }
            let last = known(&path, &home).unwrap();
            assert!(last.state == dir.path().join("state") && last.notify.webhook.is_some(), "{broken}");
        }
        // The newer of two that held, and another household's beside it.
        let newer = text.replace("webhook: {url: 'https://example.org/hook'}", "");
        let other = dir.path().join("other.yaml");
        fs::write(&other, text).unwrap();
        write(&newer);
        keep(&Config::load(&path, &home).unwrap(), &home);
        keep(&Config::load(&other, &home).unwrap(), &home);
        write("state: ~/state\n");
        assert!(known(&path, &home).unwrap().notify.webhook.is_none());
        let folder = platform::current().state_folder(&home);
        let kept: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().permissions().mode()).collect();
        assert_eq!(kept.iter().map(|mode| mode & 0o777).collect::<Vec<_>>(), [0o600; 2]);
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
