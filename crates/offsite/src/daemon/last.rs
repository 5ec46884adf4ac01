//! The configuration as it was when it last held, kept in the state folder: whom to tell that it does not any more.
//!
//! Where the state folder is, the configuration says itself; so that one line is looked for in whatever the file is now. A copy that cannot be
//! kept or found costs that one notice, and nothing else.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::{
    config::{Config, Home},
    state::State,
};

/// Keeps what is in the file of `config`, if that is not kept yet. A disk that is too full for it is told of for other reasons.
pub(super) fn keep(config: &Config) {
    if let Err(error) = try_keep(config) {
        tracing::debug!("cannot keep a copy of the configuration: {error}");
    }
}

fn try_keep(config: &Config) -> io::Result<()> {
    let (state, text) = (State::open(&config.state).map_err(|error| error.source)?, std::fs::read(&config.path)?);
    if std::fs::read(state.last_config()).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    // For the owner alone (0600), as such files are made: a hook's address may be in it.
    let mut new = tempfile::Builder::new().prefix(".last").tempfile_in(state.folder())?;
    new.write_all(&text)?;
    new.as_file().sync_data()?;
    new.persist(state.last_config()).map_err(|error| error.error)?;
    Ok(())
}

/// What the file at `path` said when it last held.
pub(super) fn known(path: &Path, home: &Home) -> Option<Config> {
    let broken = std::fs::read(path).unwrap_or_default();
    let folder = state_of(&String::from_utf8_lossy(&broken), home).unwrap_or_else(|| home.default_state());
    let text = std::fs::read_to_string(State::at(&folder).last_config()).ok()?;
    Config::parse(path, &text, home).ok()
}

/// What a text that need not hold otherwise says of the state folder.
fn state_of(text: &str, home: &Home) -> Option<PathBuf> {
    let value = text.lines().find_map(|line| line.strip_prefix("state:"))?;
    let value = value.split(" #").next()?.trim();
    let plain = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    home.expand(plain.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        keep(&Config::load(&path, &home).unwrap());
        // Keys that nobody knows, and what is no YAML at all.
        for broken in [format!("{text}unknown: key\n"), text.replace("pi: {", "pi: {{{"), text.replace("~/state", "'~/state'")] {
            write(&broken);
            let last = known(&path, &home).unwrap();
            assert!(last.state == dir.path().join("state") && last.notify.webhook.is_some(), "{broken}");
        }
        // The newer of two that held.
        let newer = text.replace("webhook: {url: 'https://example.org/hook'}", "");
        write(&newer);
        keep(&Config::load(&path, &home).unwrap());
        write("state: ~/state\n");
        assert!(known(&path, &home).unwrap().notify.webhook.is_none());
        let mode = fs::metadata(dir.path().join("state/last.yaml")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    }

    #[test]
    fn where_nothing_is_said_of_it_the_state_folder_is_the_usual() {
        let dir = tempfile::tempdir().unwrap();
        let (path, home) = (dir.path().join("offsite.yaml"), Home::at(dir.path()));
        fs::write(&path, "repository: ~/repository\npi: {host: h, user: u, path: /p}\n").unwrap();
        keep(&Config::load(&path, &home).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(known(&path, &home).is_some(), "gone, and not only wrong");
    }
}
