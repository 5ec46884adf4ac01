//! What to connect to, and how.
//!
//! A `Target` is only a description: nothing in it is read or contacted until
//! [`SftpStore::connect`](crate::SftpStore::connect), and again at each reconnection, so a key or a
//! known_hosts file that was changed meanwhile is seen. Its `Debug` never shows a passphrase.

use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

/// A folder on an SSH server.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host name or address, as it is written in known_hosts.
    pub host: String,
    /// TCP port, usually 22.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// The remote folder which holds the objects; relative names start at the user's home.
    pub root: String,
    /// The known_hosts file that must already hold the server's key.
    pub known_hosts: PathBuf,
    /// Further known_hosts files: a key may be on file in any, and revoked in any.
    pub more_known_hosts: Vec<PathBuf>,
    /// The name that its key is on file under, where that is another than `host` and `port`.
    pub key_alias: Option<String>,
    /// The ciphers that may be used, by their names in SSH; none named is all that can be.
    pub ciphers: Vec<String>,
    /// How to prove who we are.
    pub auth: Auth,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How to go on after a link was lost.
    pub retry: Retry,
    /// Hosts to go through, the nearest first; each is trusted and logged in to by its own settings.
    pub jumps: Vec<Hop>,
    /// Addresses at which the host was found before: a second try where its name leads nowhere. Its key is checked all the same.
    pub addresses: Vec<IpAddr>,
    /// Most bytes to receive in a second, over all connections.
    pub limit: Option<NonZeroU64>,
    /// Connections that reads are spread over. More than one is of use where one is bound by a single core's cipher.
    pub connections: NonZeroUsize,
}

impl Target {
    /// A target on port 22 with the usual timeouts.
    pub fn new(host: impl Into<String>, user: impl Into<String>, root: impl Into<String>, known_hosts: PathBuf, auth: Auth) -> Self {
        Self {
            host: host.into(),
            port: 22,
            user: user.into(),
            root: root.into(),
            known_hosts,
            more_known_hosts: Vec::new(),
            key_alias: None,
            ciphers: Vec::new(),
            auth,
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            jumps: Vec::new(),
            addresses: Vec::new(),
            limit: None,
            connections: NonZeroUsize::MIN,
        }
    }

    /// The remote name of `object`, a path relative to the root; the root itself for an empty one.
    ///
    /// `~` and `~/…` name the home, which is where an SFTP session starts.
    pub(crate) fn remote(&self, object: &str) -> String {
        let root = match self.root.strip_prefix('~') {
            Some("") => "",
            Some(rest) if rest.starts_with('/') => rest.trim_start_matches('/'),
            _ => self.root.as_str(),
        };
        let bare = root.trim_end_matches('/');
        let absolute = root.starts_with('/');
        match (bare.is_empty(), object.is_empty()) {
            (true, true) => if absolute { "/" } else { "." }.to_owned(),
            (true, false) => format!("{}{object}", if absolute { "/" } else { "" }),
            (false, true) => bare.to_owned(),
            (false, false) => format!("{bare}/{object}"),
        }
    }
}

/// A host to go through.
#[derive(Clone, Debug)]
pub struct Hop {
    /// Host name or address, as it is written in known_hosts.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// The known_hosts file that must already hold the server's key.
    pub known_hosts: PathBuf,
    /// Further known_hosts files: a key may be on file in any, and revoked in any.
    pub more_known_hosts: Vec<PathBuf>,
    /// The name that its key is on file under, where that is another than `host` and `port`.
    pub key_alias: Option<String>,
    /// The ciphers that may be used, by their names in SSH; none named is all that can be.
    pub ciphers: Vec<String>,
    /// How to prove who we are.
    pub auth: Auth,
}

impl Hop {
    /// What known_hosts is asked for: an alias stands there without a port, whatever the port is.
    pub(crate) fn on_file(&self) -> (&str, u16) {
        self.key_alias.as_deref().map_or((&self.host, self.port), |alias| (alias, 22))
    }
}

/// How to prove who we are.
#[derive(Clone)]
pub enum Auth {
    /// A private key in a file (OpenSSH format, ed25519 or ECDSA).
    KeyFile {
        /// The private key.
        path: PathBuf,
        /// Opens an encrypted key.
        passphrase: Option<String>,
    },
    /// The SSH agent named by `SSH_AUTH_SOCK`.
    Agent,
    /// The SSH agent listening on this socket.
    AgentAt(PathBuf),
    /// As OpenSSH does it: these key files, the encrypted ones through the agent if it has them, then what else the agent has.
    Ssh {
        /// Private keys; those that cannot be used are passed over.
        files: Vec<PathBuf>,
        /// The agent's socket.
        agent: Option<PathBuf>,
        /// Only these keys, no others that the agent has.
        only: bool,
        /// Opens encrypted keys that the agent has not.
        passphrase: Option<String>,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyFile { path, passphrase } => {
                let hidden = passphrase.as_ref().map(|_| "…");
                f.debug_struct("KeyFile").field("path", path).field("passphrase", &hidden).finish()
            }
            Self::Ssh { files, agent, only, passphrase } => {
                let hidden = passphrase.as_ref().map(|_| "…");
                let mut shown = f.debug_struct("Ssh");
                shown.field("files", files).field("agent", agent).field("only", only).field("passphrase", &hidden).finish()
            }
            Self::Agent => f.write_str("Agent"),
            Self::AgentAt(path) => f.debug_tuple("AgentAt").field(path).finish(),
        }
    }
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For each step of connecting: TCP, key exchange, login, opening SFTP.
    pub connect: Duration,
    /// For the answer to one request. Counted from sending, so it must allow for everything in flight before it.
    pub request: Duration,
    /// Silence after which the server is asked for a sign of life.
    pub keepalive: Duration,
    /// Unanswered signs of life after which the link counts as lost.
    pub keepalive_max: usize,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(30), request: Duration::from_secs(120), keepalive: Duration::from_secs(5), keepalive_max: 3 }
    }
}

/// How a link that was lost is replaced. The first connection of a store is tried once.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Between the first two tries; each later one is twice as long.
    pub first: Duration,
    /// But never longer than this.
    pub longest: Duration,
    /// Further tries after the first.
    pub tries: u32,
}

impl Default for Retry {
    /// About three minutes: a Pi restarts in one.
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(30), tries: 10 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(root: &str, object: &str) -> String {
        Target::new("h", "u", root, PathBuf::new(), Auth::Agent).remote(object)
    }

    #[test]
    fn a_dead_peer_is_noticed_in_seconds() {
        let Timeouts { keepalive, keepalive_max, .. } = Timeouts::default();
        let unheard = keepalive * (u32::try_from(keepalive_max).unwrap() + 1);
        assert!((10..=20).contains(&unheard.as_secs()), "{unheard:?}: docs/pulling.md promises it");
    }

    #[test]
    fn remote_names_join_without_doubled_slashes() {
        for (root, object, expected) in [
            ("/srv/offsite", "a/b", "/srv/offsite/a/b"),
            ("/srv/offsite/", "a", "/srv/offsite/a"),
            ("/", "a", "/a"),
            ("/", "", "/"),
            ("", "a", "a"),
            ("", "", "."),
            ("~", "a", "a"),
            ("~/", "", "."),
            ("~/backups", "a", "backups/a"),
            ("~pi/x", "a", "~pi/x/a"),
            ("backups", "", "backups"),
        ] {
            assert_eq!(remote(root, object), expected, "{root:?} {object:?}");
        }
    }

    #[test]
    fn debug_hides_the_passphrase() {
        let auth = Auth::KeyFile { path: PathBuf::from("/k"), passphrase: Some("open sesame".into()) };
        let shown = format!("{:?}", Target::new("h", "u", "/", PathBuf::new(), auth));
        assert!(!shown.contains("sesame"), "{shown}");
    }
}
