//! known_hosts, read strictly.
//!
//! A host is trusted exactly when the key it presents is on a line that names it. The reader that comes with the SSH library is
//! not used: it takes a host that is on file with one type of key and presents another for merely *unknown*, refuses the
//! second of two keys, ignores `@revoked`, and knows no patterns. Reading and judging are pure; only [`KnownHosts::read`]
//! touches the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::HostPatterns;
use russh::keys::{Algorithm, PublicKey};
use sha1::Sha1;

use crate::error::SftpError;
use crate::keys::host_pattern;

/// The lines of a known_hosts file.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts {
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    number: usize,
    revoked: bool,
    hosts: String,
    key: Result<PublicKey, String>,
}

impl KnownHosts {
    /// Reads a file; one that is missing knows nobody.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn read(path: &Path) -> Result<Self, SftpError> {
        match fs::read(path) {
            Ok(bytes) => Ok(Self::parse(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(SftpError::KnownHostsUnreadable { path: path.to_owned(), source: Arc::new(error) }),
        }
    }

    /// Reads the text of a file. Lines for certificate authorities are left out: we do not accept certificates.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().enumerate().filter_map(|(index, line)| Line::parse(index + 1, line)).collect();
        Self { lines }
    }

    /// What is on file for one host.
    pub fn of(&self, host: &str, port: u16) -> Recorded {
        let mut recorded = Recorded::default();
        for line in self.lines.iter().filter(|line| line.names(host, port)) {
            match &line.key {
                Ok(key) if line.revoked => recorded.revoked.push((line.number, key.clone())),
                Ok(key) => recorded.keys.push((line.number, key.clone())),
                Err(reason) => recorded.broken.push((line.number, line.revoked, reason.clone())),
            }
        }
        recorded
    }
}

impl Line {
    fn parse(number: usize, line: &str) -> Option<Self> {
        let line = line.trim();
        let mut words = line.split_whitespace();
        let mut first = words.next().filter(|word| !word.starts_with('#'))?;
        let revoked = first == "@revoked";
        if first.starts_with('@') {
            if !revoked {
                return None;
            }
            first = words.next()?;
        }
        let key = match (words.next(), words.next()) {
            (Some(kind), Some(key)) => PublicKey::from_openssh(&format!("{kind} {key}")).map_err(|error| error.to_string()),
            _ => Err("the key is missing".to_owned()),
        };
        Some(Self { number, revoked, hosts: first.to_owned(), key })
    }

    fn names(&self, host: &str, port: u16) -> bool {
        let host = host.to_lowercase();
        let wanted = host_pattern(&host, port);
        if self.hosts.starts_with("|1|") {
            return match self.hosts.parse() {
                Ok(HostPatterns::HashedName { salt, hash }) => {
                    Hmac::<Sha1>::new_from_slice(&salt).is_ok_and(|mac| mac.chain_update(wanted.as_bytes()).verify_slice(&hash).is_ok())
                }
                _ => false,
            };
        }
        let mut named = false;
        for pattern in self.hosts.split(',') {
            let (negated, pattern) = match pattern.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, pattern),
            };
            if matches(pattern.to_lowercase().as_bytes(), wanted.as_bytes()) {
                if negated {
                    return false;
                }
                named = true;
            }
        }
        named
    }
}

/// `*` stands for any text, `?` for one character.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || Some(&c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, at)) => {
                    star = Some((after, at + 1));
                    p = after;
                    t = at + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == b'*'))
}

/// What a known_hosts file says about one host.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    keys: Vec<(usize, PublicKey)>,
    revoked: Vec<(usize, PublicKey)>,
    broken: Vec<(usize, bool, String)>,
}

/// Whether a key that was presented may be trusted. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The key is on file.
    Known,
    /// Nothing is on file for this host.
    Unknown,
    /// Other keys are on file for this host, of this or another type.
    Changed {
        /// The keys on file, with their lines.
        recorded: Vec<(usize, PublicKey)>,
    },
    /// The key is on file as revoked.
    Revoked {
        /// Where.
        line: usize,
    },
    /// A line for this host cannot be read, and no other line decides.
    Unreadable {
        /// Where.
        line: usize,
        /// Why.
        reason: String,
        /// It is a line of a revoked key, perhaps of this very one.
        revoked: bool,
    },
}

impl Recorded {
    /// Whether nothing at all is on file.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.revoked.is_empty() && self.broken.is_empty()
    }

    /// Judges the key that a server presented.
    pub fn judge(&self, presented: &PublicKey) -> Verdict {
        let same = |(_, key): &&(usize, PublicKey)| key.key_data() == presented.key_data();
        if let Some((line, _)) = self.revoked.iter().find(same) {
            return Verdict::Revoked { line: *line };
        }
        // A revocation we cannot read might be about this very key.
        if let Some((line, _, reason)) = self.broken.iter().find(|(_, revoked, _)| *revoked) {
            return Verdict::Unreadable { line: *line, reason: reason.clone(), revoked: true };
        }
        if self.keys.iter().any(|entry| same(&entry)) {
            return Verdict::Known;
        }
        if !self.keys.is_empty() {
            return Verdict::Changed { recorded: self.keys.clone() };
        }
        match self.broken.first() {
            Some((line, _, reason)) => Verdict::Unreadable { line: *line, reason: reason.clone(), revoked: false },
            None => Verdict::Unknown,
        }
    }

    fn has(&self, algorithm: &Algorithm) -> bool {
        self.keys.iter().any(|(_, key)| match algorithm {
            Algorithm::Rsa { .. } => key.algorithm().is_rsa(),
            other => key.algorithm() == *other,
        })
    }
}

impl Verdict {
    /// Of two files' verdicts the one that counts, lowest: what is revoked in any is revoked, what is on file in any is known, and a
    /// file that does not name the host says nothing.
    fn rank(&self) -> u8 {
        match self {
            Self::Revoked { .. } => 0,
            Self::Unreadable { revoked: true, .. } => 1,
            Self::Known => 2,
            Self::Changed { .. } => 3,
            Self::Unreadable { .. } => 4,
            Self::Unknown => 5,
        }
    }
}

/// Judges by several files as by one, and says which of them decided. `None` if there are no files.
pub(crate) fn judge<'a>(files: &'a [(PathBuf, Recorded)], presented: &PublicKey) -> Option<(&'a PathBuf, Verdict)> {
    files.iter().map(|(file, recorded)| (file, recorded.judge(presented))).min_by_key(|(_, verdict)| verdict.rank())
}

/// `offered` with the types on file in front: a server with several keys then presents the one we know.
pub(crate) fn prefer(files: &[(PathBuf, Recorded)], offered: &[Algorithm]) -> Vec<Algorithm> {
    let on_file = |algorithm: &Algorithm| files.iter().any(|(_, recorded)| recorded.has(algorithm));
    let (mut first, rest): (Vec<_>, Vec<_>) = offered.iter().cloned().partition(on_file);
    first.extend(rest);
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{generate, known_hosts_line, public_line};

    const HASHED: &str = "|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak= ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";
    const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMxBTpMIGvo7CnordO7wP0QQRqpBwUjOLl4eMhfucfE1sjTYyK5wmTl1UqoSDS1PtRVTBdl+0+9pquFb46U7fwg=";

    fn key() -> PublicKey {
        generate().unwrap().public_key().clone()
    }

    fn judge(text: &str, host: &str, port: u16, key: &PublicKey) -> Verdict {
        KnownHosts::parse(text).of(host, port).judge(key)
    }

    #[test]
    fn exact_lines() {
        let (ours, other) = (key(), key());
        let text = format!("# note\n\n{}\n{}\n", known_hosts_line("pi.home", 22, &ours), known_hosts_line("pi.home", 2222, &other));
        assert_eq!(judge(&text, "pi.home", 22, &ours), Verdict::Known);
        assert_eq!(judge(&text, "PI.home", 22, &ours), Verdict::Known);
        assert_eq!(judge(&text, "pi.home", 2222, &other), Verdict::Known);
        assert!(matches!(judge(&text, "pi.home", 22, &other), Verdict::Changed { recorded } if recorded[0].0 == 3));
        assert_eq!(judge(&text, "pi.home", 23, &ours), Verdict::Unknown);
        assert_eq!(judge(&text, "pi", 22, &ours), Verdict::Unknown);
        assert_eq!(judge("", "pi.home", 22, &ours), Verdict::Unknown);
        assert_eq!(judge(&format!("#{text}"), "pi.home", 2222, &other), Verdict::Known);
    }

    #[test]
    fn tabs_blanks_and_comments_do_not_hide_a_line() {
        let ours = key();
        let text = format!("  pi.home,10.0.0.7\t{}\ta comment\r\n", public_line(&ours));
        assert_eq!(judge(&text, "pi.home", 22, &ours), Verdict::Known);
        assert_eq!(judge(&text, "10.0.0.7", 22, &ours), Verdict::Known);
    }

    #[test]
    fn another_type_of_key_is_a_mismatch_not_a_stranger() {
        let text = format!("pi.home {ECDSA}\n");
        assert!(matches!(judge(&text, "pi.home", 22, &key()), Verdict::Changed { .. }));
    }

    #[test]
    fn the_second_of_two_keys_is_as_good_as_the_first() {
        let (a, b) = (key(), key());
        let text = format!("{}\n{}\n", known_hosts_line("pi", 22, &a), known_hosts_line("pi", 22, &b));
        assert_eq!(judge(&text, "pi", 22, &a), Verdict::Known);
        assert_eq!(judge(&text, "pi", 22, &b), Verdict::Known);
    }

    #[test]
    fn hashed_names() {
        let known = PublicKey::from_openssh(HASHED.split_once(' ').unwrap().1).unwrap();
        assert_eq!(judge(HASHED, "example.com", 22, &known), Verdict::Known);
        assert_eq!(judge(HASHED, "example.org", 22, &known), Verdict::Unknown);
        assert!(matches!(judge(HASHED, "example.com", 22, &key()), Verdict::Changed { .. }));
    }

    #[test]
    fn revoked_wins_even_by_pattern() {
        let ours = key();
        let text = format!("{}\n@revoked * {}\n", known_hosts_line("pi", 22, &ours), public_line(&ours));
        assert_eq!(judge(&text, "pi", 22, &ours), Verdict::Revoked { line: 2 });
        let text = format!("{}\n@revoked * ssh-ed25519 AAAA\n", known_hosts_line("pi", 22, &ours));
        assert!(matches!(judge(&text, "pi", 22, &ours), Verdict::Unreadable { line: 2, .. }));
    }

    #[test]
    fn authorities_are_not_keys() {
        let ours = key();
        assert_eq!(judge(&format!("@cert-authority * {}", public_line(&ours)), "pi", 22, &ours), Verdict::Unknown);
    }

    #[test]
    fn a_broken_line_does_not_spoil_a_good_one() {
        let ours = key();
        let text = format!("pi ssh-ed25519 AAAA\n{}\n", known_hosts_line("pi", 22, &ours));
        assert_eq!(judge(&text, "pi", 22, &ours), Verdict::Known);
        assert!(matches!(judge("pi ssh-ed25519 AAAA\n", "pi", 22, &ours), Verdict::Unreadable { line: 1, .. }));
        assert!(matches!(judge("pi\n", "pi", 22, &ours), Verdict::Unreadable { line: 1, .. }));
    }

    #[test]
    fn patterns() {
        let ours = key();
        let text = format!("*.home,!bad.home {}\n", public_line(&ours));
        assert_eq!(judge(&text, "pi.home", 22, &ours), Verdict::Known);
        assert_eq!(judge(&text, "bad.home", 22, &ours), Verdict::Unknown);
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("?b", "ab", true),
            ("?b", "b", false),
            ("a*b*c", "a1b2b3c", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_type_on_file_is_asked_for_first() {
        let files = ["", &format!("pi {ECDSA}")].map(|text| (PathBuf::new(), KnownHosts::parse(text).of("pi", 22)));
        let all = russh::Preferred::DEFAULT.key;
        let preferred = prefer(&files, &all);
        assert!(preferred[0].clone().is_ecdsa());
        assert_eq!(preferred.len(), all.len());
    }

    #[test]
    fn several_files_are_as_one() {
        let (ours, other) = (key(), key());
        let known = known_hosts_line("pi", 22, &ours);
        let changed = known_hosts_line("pi", 22, &other);
        let revoked = format!("@revoked * {}", public_line(&ours));
        let judged = |texts: [&str; 2]| {
            let files = texts.map(|text| (PathBuf::from(text), KnownHosts::parse(text).of("pi", 22)));
            let (file, verdict) = super::judge(&files, &ours).unwrap();
            (texts.iter().position(|text| file == Path::new(text)).unwrap(), verdict)
        };
        for (texts, at, rank) in [
            ([&known[..], &revoked[..]], 1, 0),
            ([&revoked, &known], 0, 0),
            ([&known, "@revoked * ssh-ed25519 AAAA"], 1, 1),
            ([&changed, &known], 1, 2),
            (["pi ssh-ed25519 AAAA", &known], 1, 2),
            (["", &changed], 1, 3),
            (["pi ssh-ed25519 AAAA", &changed], 1, 3),
            (["", "pi ssh-ed25519 AAAA"], 1, 4),
            (["", "else"], 0, 5),
        ] {
            let (file, verdict) = judged(texts);
            assert_eq!((file, verdict.rank()), (at, rank), "{texts:?}: {verdict:?}");
        }
    }
}
