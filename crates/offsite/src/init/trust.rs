//! A host key that nobody knows yet: compared by the owner, then written down.
//!
//! Never silently: without a person, or a fingerprint that a person gave, nothing is written. A key that differs from one on file never comes
//! here; it is refused before.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use offsite_sftp::SftpError;

use super::ask::{Ask, AskError, Question};

pub(super) const FLAG: &str = "--host-key-fingerprint";

#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    #[error("the host key {fingerprint} of {host} was not confirmed, so it is not trusted")]
    Declined { host: String, fingerprint: String },
    #[error("{host} presented the host key {fingerprint}, and not {wanted}")]
    Differs { host: String, fingerprint: String, wanted: String },
    /// The fingerprint of a key of another kind was given, which says nothing about this one.
    #[error("{host} presented a host key of the kind {presented}, and the fingerprint that was given is of its {given} key")]
    Kind { host: String, presented: String, given: String },
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("cannot add the host key of {host} to {}", path.display())]
    Write { host: String, path: PathBuf, source: io::Error },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Presented {
    /// The server's name as it stands in the file.
    pub host: String,
    pub known_hosts: PathBuf,
    /// As `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// `ssh-ed25519` and the like.
    pub algorithm: String,
    pub line: String,
}

impl Presented {
    pub(super) fn of(error: &SftpError) -> Option<Self> {
        match error {
            SftpError::HostKeyUnknown { host, known_hosts, algorithm, fingerprint, line, .. } => Some(Self {
                host: host.clone(),
                known_hosts: known_hosts.clone(),
                fingerprint: fingerprint.clone(),
                algorithm: algorithm.clone(),
                line: line.clone(),
            }),
            _ => None,
        }
    }
}

/// Asks whether the key is the Pi's, unless `given` is its fingerprint, and writes it down if it is.
///
/// # Errors
/// [`TrustError`]; then nothing was written.
pub(super) fn trust(ask: &mut dyn Ask, presented: &Presented, given: Option<&str>) -> Result<(), TrustError> {
    confirm(ask, presented, given)?;
    let failed = |source| TrustError::Write { host: presented.host.clone(), path: presented.known_hosts.clone(), source };
    add(&presented.known_hosts, &presented.line).map_err(failed)?;
    ask.say(&format!("Added the host key of {} to {}.", presented.host, presented.known_hosts.display()));
    Ok(())
}

fn confirm(ask: &mut dyn Ask, presented: &Presented, given: Option<&str>) -> Result<(), TrustError> {
    let Presented { host, fingerprint, algorithm, .. } = presented;
    let differs = |wanted: &str| TrustError::Differs { host: host.clone(), fingerprint: fingerprint.clone(), wanted: wanted.to_owned() };
    if let Some(wanted) = given {
        return match compare(wanted, fingerprint, algorithm) {
            Compared::Same => Ok(()),
            Compared::Other(other) => Err(differs(&other)),
            Compared::OtherKind(given) => {
                Err(TrustError::Kind { host: host.clone(), presented: kind(algorithm).to_uppercase(), given: given.to_uppercase() })
            }
            Compared::Nothing => Err(differs(wanted.trim())),
        };
    }
    let short = kind(algorithm);
    ask.say(&format!(
        "\n{host} presents a host key that this Mac does not know:\n\n    {algorithm} {fingerprint}\n\n\
         Compare it with the Pi's own, at the Pi itself (the line for the Pi shows it, too):\n\n    \
         ssh-keygen -lf /etc/ssh/ssh_host_{short}_key.pub\n"
    ));
    let text = "Is it the same? Type yes, or paste what the Pi shows";
    loop {
        let answer = ask.line(&Question { text, proposal: ask.person().then_some("no"), flag: FLAG })?;
        return match compare(&answer, fingerprint, algorithm) {
            Compared::Same => Ok(()),
            Compared::OtherKind(other) => {
                ask.say(&format!(
                    "That is the Pi's {} key. To compare is the one of the kind {}.",
                    other.to_uppercase(),
                    short.to_uppercase()
                ));
                continue;
            }
            Compared::Other(other) => Err(differs(&other)),
            Compared::Nothing if answer.eq_ignore_ascii_case("yes") => Ok(()),
            Compared::Nothing => Err(TrustError::Declined { host: host.clone(), fingerprint: fingerprint.clone() }),
        };
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Compared {
    Same,
    /// Of a key of another kind, which a server has beside the one that it presented: it says nothing.
    OtherKind(String),
    Other(String),
    Nothing,
}

/// Compares what was given, a fingerprint or what `ssh-keygen -l` prints, with what was presented.
fn compare(given: &str, fingerprint: &str, algorithm: &str) -> Compared {
    let found: Vec<&str> = given.split_whitespace().filter(|word| word.starts_with("SHA256:")).collect();
    if found.contains(&fingerprint) {
        return Compared::Same;
    }
    let Some(first) = found.first() else { return Compared::Nothing };
    // It ends with the kind: "256 SHA256:… comment (ED25519)".
    let said = given.trim().rsplit_once('(').and_then(|(_, kind)| kind.strip_suffix(')')).map(str::to_lowercase);
    match said.filter(|said| *said != kind(algorithm)) {
        Some(other) if ["rsa", "ecdsa", "ed25519", "dsa"].contains(&other.as_str()) => Compared::OtherKind(other),
        _ => Compared::Other((*first).to_owned()),
    }
}

/// What OpenSSH calls a key's kind in the names of its files.
fn kind(algorithm: &str) -> &str {
    algorithm.trim_start_matches("ssh-").split('-').next().unwrap_or_default()
}

/// Adds a line at the end of a file, which is made if it is not there. In one piece, so that a kill leaves no half of it; and if it did, the
/// reader would refuse that line and trust nobody by it.
fn add(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let text = if ends_a_line(&mut file)? { format!("{line}\n") } else { format!("\n{line}\n") };
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::init::{ask::Nobody, tests::Scripted};

    fn presented(known_hosts: &Path) -> Presented {
        Presented {
            host: "pi.local".to_owned(),
            known_hosts: known_hosts.to_owned(),
            fingerprint: "SHA256:abc".to_owned(),
            algorithm: "ssh-ed25519".to_owned(),
            line: "pi.local ssh-ed25519 AAAA".to_owned(),
        }
    }

    #[test]
    fn nothing_but_a_clear_yes_or_the_same_fingerprint_is_trust() {
        let dir = tempfile::tempdir().unwrap();
        for (at, (answer, trusted)) in [
            ("yes", true),
            ("YES", true),
            ("SHA256:abc", true),
            ("256 SHA256:abc root@pi (ED25519)", true),
            ("y", false),
            ("", false),
            ("no", false),
            ("SHA256:abd", false),
            ("256 SHA256:abd root@pi (ED25519) yes", false),
        ]
        .into_iter()
        .enumerate()
        {
            let file = dir.path().join(format!("{at}/known_hosts"));
            let mut ask = Scripted::answers(&[answer]);
            assert_eq!(trust(&mut ask, &presented(&file), None).is_ok(), trusted, "{answer}");
            assert!(ask.said().contains("SHA256:abc") && ask.said().contains("ssh_host_ed25519_key.pub"), "{}", ask.said());
            assert_eq!(file.exists(), trusted, "{answer}");
        }
    }

    #[test]
    fn a_key_of_another_kind_is_no_alarm_and_no_trust() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let pasted = ["256 SHA256:ec root@pi (ECDSA)", "3072 SHA256:rs root@pi (RSA)", "256 SHA256:abc root@pi (ED25519)"];
        let mut ask = Scripted::answers(&pasted);
        trust(&mut ask, &presented(&file), None).unwrap();
        assert!(ask.said().contains("That is the Pi's ECDSA key") && ask.said().contains("That is the Pi's RSA key"), "{}", ask.said());
        let file = dir.path().join("other");
        let mut ask = Scripted::answers(&[pasted[0], "no"]);
        assert!(matches!(trust(&mut ask, &presented(&file), None), Err(TrustError::Declined { .. })));
        // Of the same kind, and of none: another key.
        for given in ["256 SHA256:abd root@pi (ED25519)", "SHA256:abd"] {
            let differs = |ask: &mut dyn Ask, option| matches!(trust(ask, &presented(&file), option), Err(TrustError::Differs { .. }));
            assert!(differs(&mut Scripted::answers(&[given]), None) && differs(&mut Nobody, Some(given)), "{given}");
        }
        assert!(matches!(trust(&mut Nobody, &presented(&file), Some(pasted[0])), Err(TrustError::Kind { .. })));
        assert!(!file.exists());
        // All that is pasted counts, for the option as for the question.
        trust(&mut Nobody, &presented(&file), Some(&pasted.join("\n"))).unwrap();
        assert_eq!(kind("rsa-sha2-512"), "rsa");
    }

    #[test]
    fn without_a_person_only_the_fingerprint_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let error = trust(&mut Nobody, &presented(&file), None).unwrap_err();
        assert!(error.to_string().contains("--host-key-fingerprint"), "{error}");
        let error = trust(&mut Nobody, &presented(&file), Some("SHA256:other")).unwrap_err();
        assert_eq!(error.to_string(), "pi.local presented the host key SHA256:abc, and not SHA256:other");
        assert!(!file.exists());
        trust(&mut Nobody, &presented(&file), Some("SHA256:abc")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "pi.local ssh-ed25519 AAAA\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_is_added_behind_one_that_does_not_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        fs::write(&file, "a ssh-ed25519 BBBB").unwrap();
        add(&file, "b ssh-ed25519 CCCC").unwrap();
        add(&file, "c ssh-ed25519 DDDD").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "a ssh-ed25519 BBBB\nb ssh-ed25519 CCCC\nc ssh-ed25519 DDDD\n");
    }
}
