//! The key that this Mac logs in with.
//!
//! Its own by default: a job of the system has no agent and nobody to type a passphrase, and a key that writes nothing, and reads
//! what any account of the Pi reads, is no great loss without one.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Context;
use offsite_sftp::{
    keys::{self, KeyFileError},
    openssh::{Asked, SshHost},
};

use super::ask::{Ask, Question};
use crate::config::{Home, Pi, PiAuth, SshConfig};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginKey {
    /// One of its own, made if it is not there.
    New,
    /// Those that `ssh` would use.
    Ssh,
    /// This private key.
    File(String),
}

impl FromStr for LoginKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("a key is `new`, `ssh` or a private key's file"),
            "new" => Ok(Self::New),
            "ssh" => Ok(Self::Ssh),
            file => Ok(Self::File(file.to_owned())),
        }
    }
}

pub(super) const OWN: &str = "~/.ssh/offsite_ed25519";

/// Asks which key, and makes it if it is to be made. Gives what stands behind `key:` in the configuration, if anything.
pub(super) fn choose(ask: &mut dyn Ask, home: &Home, chosen: Option<&LoginKey>) -> anyhow::Result<Option<String>> {
    let mut chosen = match chosen {
        Some(chosen) => chosen.clone(),
        // A script would have to bring the new key to the Pi: it says so, or goes the way that ssh goes.
        None if !ask.person() => LoginKey::Ssh,
        None => asked(ask)?,
    };
    loop {
        match used(ask, home, &chosen) {
            Err(error) if ask.person() => {
                ask.say(&crate::hint::render(&error));
                chosen = asked(ask)?;
            }
            used => return used,
        }
    }
}

fn asked(ask: &mut dyn Ask) -> anyhow::Result<LoginKey> {
    ask.say(&format!(
        "\nThe key to log in with. `new` makes {OWN}: with the line for the Pi it can read and not write,\n\
         and it has no passphrase, because at night nobody is there to type it. `ssh` uses the keys that ssh itself would use. Or name a file."
    ));
    loop {
        let answer = ask.line(&Question { text: "Key", proposal: Some("new"), flag: "--key" })?;
        match answer.parse() {
            Ok(key) => return Ok(key),
            Err(problem) => ask.say(problem),
        }
    }
}

fn used(ask: &mut dyn Ask, home: &Home, chosen: &LoginKey) -> anyhow::Result<Option<String>> {
    let expand = |text: &str| home.expand(text).with_context(|| format!("the key {text:?} is neither absolute nor below ~/"));
    match chosen {
        LoginKey::Ssh => Ok(None),
        LoginKey::File(file) => {
            let _ = keys::public_of(&expand(file)?)?;
            Ok(Some(file.clone()))
        }
        LoginKey::New => {
            let path = expand(OWN)?;
            if made(&path)? {
                ask.say(&format!("Made the key {}.", path.display()));
            } else {
                ask.say(&format!("The key {} is there already, and is used.", path.display()));
            }
            Ok(Some(OWN.to_owned()))
        }
    }
}

fn made(path: &Path) -> Result<bool, KeyFileError> {
    if path.exists() {
        return keys::public_of(path).map(|_| false);
    }
    let write = |source| KeyFileError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(write)?;
    }
    keys::generate_key_file(path, &comment()).map(|_| true)
}

/// Whose key it is, for who reads `authorized_keys` in five years.
fn comment() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host: String = name.split('.').next().unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if host.is_empty() { "offsite".to_owned() } else { format!("offsite@{host}") }
}

/// The line for `authorized_keys` of the key that a Pi is logged in to with; `None` if only an agent knows.
pub(super) fn public(pi: &Pi) -> Option<String> {
    let of = |path: &PathBuf| keys::public_of(path).ok().map(|key| keys::public_line(&key));
    match &pi.auth {
        PiAuth::Key(path) => of(path),
        PiAuth::Agent => None,
        PiAuth::Ssh => ssh(pi)?.keys.iter().find_map(of),
    }
}

/// What ssh knows of a Pi. What is wrong with that is for the connection to say.
pub(super) fn ssh(pi: &Pi) -> Option<SshHost> {
    let file = match &pi.ssh_config {
        SshConfig::None => return None,
        SshConfig::Usual => None,
        SshConfig::File(file) => Some(file.as_path()),
    };
    SshHost::ask(&pi.host, &Asked { file, user: pi.user.as_deref(), port: pi.port }).ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::init::{ask::Nobody, tests::Scripted};

    #[test]
    fn a_key_of_its_own_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let path = dir.path().join(".ssh/offsite_ed25519");
        let mut ask = Scripted::answers(&[""]);
        assert_eq!(choose(&mut ask, &home, None).unwrap().as_deref(), Some(OWN));
        assert!(ask.said().contains("Made the key"), "{}", ask.said());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(dir.path().join(".ssh")).unwrap().permissions().mode() & 0o777, 0o700);
        let before = fs::read(&path).unwrap();
        assert_eq!(choose(&mut Nobody, &home, Some(&LoginKey::New)).unwrap().as_deref(), Some(OWN));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_file_must_be_a_key_and_a_slip_is_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        fs::write(dir.path().join("text"), "no key").unwrap();
        keys::generate_key_file(&dir.path().join("mine"), "").unwrap();
        let mut ask = Scripted::answers(&["mine", "~/text", "~/gone", "~/mine"]);
        assert_eq!(choose(&mut ask, &home, None).unwrap().as_deref(), Some("~/mine"));
        assert!(ask.said().matches("error: ").count() == 3, "{}", ask.said());
        assert!(choose(&mut Nobody, &home, Some(&LoginKey::File("~/text".to_owned()))).is_err());
        assert_eq!(choose(&mut Nobody, &home, None).unwrap(), None);
    }
}
