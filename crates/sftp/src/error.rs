//! Everything that can go wrong between us and a remote folder, in one enum.
//!
//! Each variant names the operation, the object and the cause; [`SftpError::next_step`] says what a person can do
//! about it. The error survives inside [`object_store::Error`] as its source: [`SftpError::find`] gets it back, so that
//! the command line can show the next step however deep the failure was.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A failure of the SFTP store. It can be cloned, because one lost link fails many requests for one reason.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum SftpError {
    // The host's key.
    #[error("read known hosts {}: {source}", path.display())]
    KnownHostsUnreadable { path: PathBuf, source: Arc<io::Error> },
    #[error("known hosts {} line {line}, which names {host}: {reason}", path.display())]
    KnownHostsInvalid { path: PathBuf, line: usize, host: String, reason: String },
    #[error("host key of {host} port {port} is not in {}: the server presented {algorithm} {fingerprint}", known_hosts.display())]
    HostKeyUnknown { host: String, port: u16, known_hosts: PathBuf, algorithm: String, fingerprint: String, line: String },
    #[error(
        "host key of {host} port {port} is not the one on file: the server presented {algorithm} {fingerprint}, {} line {line} has {recorded}",
        known_hosts.display()
    )]
    HostKeyChanged {
        host: String,
        port: u16,
        /// What known_hosts calls it.
        name: String,
        known_hosts: PathBuf,
        line: usize,
        /// Algorithm and fingerprint of every key on file, comma separated.
        recorded: String,
        algorithm: String,
        fingerprint: String,
    },
    #[error("host key of {host} port {port} is marked revoked: {algorithm} {fingerprint}, {} line {line}", known_hosts.display())]
    HostKeyRevoked { host: String, port: u16, known_hosts: PathBuf, line: usize, algorithm: String, fingerprint: String },

    // Our own key.
    #[error("read private key {}: {source}", path.display())]
    KeyUnreadable { path: PathBuf, source: Arc<io::Error> },
    #[error("private key {} cannot be used: {reason}", path.display())]
    KeyInvalid { path: PathBuf, reason: String },
    #[error("private key {} is encrypted and no passphrase was given", path.display())]
    KeyEncrypted { path: PathBuf },
    #[error("private key {} does not open with the passphrase given", path.display())]
    KeyPassphrase { path: PathBuf },
    #[error("private key {} is of type {algorithm}, which is not supported", path.display())]
    KeyUnsupported { path: PathBuf, algorithm: String },
    #[error("ssh agent {agent}: {reason}")]
    AgentUnavailable { agent: String, reason: String },
    #[error("ssh agent {agent} holds no key")]
    AgentEmpty { agent: String },
    #[error("no key to log in as {user} on {host}")]
    NoKey { user: String, host: String },
    #[error("login as {user} on {host} port {port} was refused for {}", keys.join(", "))]
    AuthRefused { user: String, host: String, port: u16, keys: Vec<String> },

    // The way there.
    #[error("what ssh knows of {host}: {reason}")]
    SshConfig { host: String, reason: String },
    #[error("resolve {host}: {source}")]
    Resolve { host: String, source: Arc<io::Error> },
    #[error("connect to {host} port {port}: connection refused")]
    Refused { host: String, port: u16 },
    #[error("connect to {host} port {port}: no route to host")]
    NoRoute { host: String, port: u16, source: Arc<io::Error> },
    #[error("connect to {host} port {port}: {source}")]
    Connect { host: String, port: u16, source: Arc<io::Error> },
    #[error("{step} with {host} port {port}: no answer within {} s", after.as_secs_f32())]
    ConnectTimeout { step: &'static str, host: String, port: u16, after: Duration },
    #[error("{step} with {host} port {port}: {reason}")]
    Handshake { step: &'static str, host: String, port: u16, reason: String },
    #[error("{host} port {port} offers no sftp to {user}: {reason}")]
    NoSubsystem { host: String, port: u16, user: String, reason: String },
    #[error("remote folder {root} does not exist on {host}")]
    RootMissing { host: String, root: String },
    #[error("remote folder {root} on {host} is not a folder")]
    RootNotFolder { host: String, root: String },
    #[error("remote folder {root} on {host}: permission denied to {user}")]
    RootDenied { host: String, root: String, user: String },
    #[error("{operation} {path}: link to {host} port {port} lost: {reason}")]
    LinkLost { operation: &'static str, path: String, host: String, port: u16, reason: String },
    #[error("{operation} {path}: no answer from {host} port {port} within {} s", after.as_secs_f32())]
    RequestTimeout { operation: &'static str, path: String, host: String, port: u16, after: Duration },

    // Objects.
    #[error("{operation} {path}: no such file")]
    NotFound { operation: &'static str, path: String },
    #[error("{operation} {path}: not a regular file")]
    NotFile { operation: &'static str, path: String },
    #[error("{operation} {path}: permission denied")]
    Denied { operation: &'static str, path: String },
    #[error("{operation} {path}: already exists")]
    Exists { operation: &'static str, path: String },
    #[error("{operation} {path}: {reason}")]
    Remote { operation: &'static str, path: String, reason: String },
    #[error("{operation} {path}: the server broke the protocol: {reason}")]
    Protocol { operation: &'static str, path: String, reason: String },
    #[error("read {path}: {reason}")]
    Range { path: String, reason: String },
    #[error("read {path}: the file ends at byte {at}, {expected} bytes were announced")]
    Truncated { path: String, at: u64, expected: u64 },
    #[error("read {path}: the file changed while it was read")]
    Changed { path: String },
    #[error("list {path}: more than {limit} names")]
    TooMany { path: String, limit: usize },
    #[error("{operation} {path}: {limit} remote files are open already")]
    TooManyOpen { operation: &'static str, path: String, limit: usize },
    #[error("{operation} is not supported over sftp{}", detail)]
    Unsupported { operation: &'static str, detail: String },
    #[error("name a temporary file: {reason}")]
    Random { reason: String },
}

impl SftpError {
    /// Whether the link is to blame, so that a new connection may help.
    pub fn is_lost_link(&self) -> bool {
        matches!(self, Self::LinkLost { .. } | Self::RequestTimeout { .. })
    }

    /// Whether a connection that fails so may succeed later without anybody's doing: who had been connected waits for that.
    pub(crate) fn may_pass(&self) -> bool {
        self.is_lost_link()
            || matches!(
                self,
                Self::Resolve { .. }
                    | Self::Refused { .. }
                    | Self::NoRoute { .. }
                    | Self::Connect { .. }
                    | Self::ConnectTimeout { .. }
                    | Self::Handshake { .. }
                    // Cut in that moment, or the host is on its way up and the disk not mounted.
                    | Self::NoSubsystem { .. }
                    | Self::RootMissing { .. }
            )
    }

    /// The `SftpError` inside `error` or its sources, if there is one.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut current = Some(error);
        while let Some(error) = current {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            current = error.source();
        }
        None
    }

    /// What a person can do about it, where we know.
    pub fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::KnownHostsInvalid { path, line, .. } => format!("correct or remove line {line} of {}", path.display()),
            Self::HostKeyUnknown { host, port, known_hosts, algorithm, line, .. } => format!(
                "compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` run on {host} itself; if it is the same, add this line to {}:\n{line}\n(`ssh-keyscan -p {port} {host}` prints what the server presents, and proves nothing about who it is)",
                short(algorithm),
                known_hosts.display()
            ),
            Self::HostKeyChanged { host, name, known_hosts, algorithm, .. } => format!(
                "if {host} was not reinstalled, somebody may be in between: do not go on. Otherwise compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` run on {host} itself, remove the old key with `ssh-keygen -f {} -R {}` and add the new one",
                short(algorithm),
                known_hosts.display(),
                crate::keys::quote(name)
            ),
            Self::HostKeyRevoked { known_hosts, line, .. } => {
                format!("the key was revoked on purpose: give the server a new one, or remove line {line} of {}", known_hosts.display())
            }
            Self::KeyUnreadable { path, .. } => format!("check that {} exists and belongs to the user who runs this", path.display()),
            Self::KeyInvalid { .. } | Self::KeyUnsupported { .. } => "make a key with `ssh-keygen -t ed25519`".to_owned(),
            Self::KeyEncrypted { .. } => "give its passphrase, or add the key to the ssh agent with `ssh-add`".to_owned(),
            Self::AgentUnavailable { .. } => "start an ssh agent, or name a key file instead".to_owned(),
            Self::NoKey { .. } => "make a key with `ssh-keygen -t ed25519`, or name one as `IdentityFile` in ~/.ssh/config".to_owned(),
            Self::AgentEmpty { .. } => "add a key with `ssh-add`".to_owned(),
            Self::AuthRefused { user, host, .. } => {
                format!("add the public key to ~{user}/.ssh/authorized_keys on {host}, and check that only {user} may write there")
            }
            Self::SshConfig { host, .. } => format!("look at what `ssh -G {host}` says, and correct ~/.ssh/config"),
            Self::Resolve { .. } => "check the host's name and the network".to_owned(),
            Self::Refused { host, port, .. } => format!("check that sshd runs on {host} and listens on port {port}"),
            // EHOSTUNREACH is errno 65 there, and the very same error is given when privacy settings are the cause.
            Self::NoRoute { .. } if cfg!(target_os = "macos") => {
                "check that the host is on; on macOS, also allow Local Network for this program in System Settings, Privacy & Security (errno 65)"
                    .to_owned()
            }
            Self::NoRoute { host, .. } => format!("check that {host} is on and in this network"),
            Self::NoSubsystem { .. } => "check `Subsystem sftp internal-sftp` in sshd_config, and that the login shell prints nothing".to_owned(),
            Self::RootMissing { root, .. } => format!("check that the disk is mounted and that {root} is the agent's repository"),
            Self::RootDenied { root, user, .. } => format!("let {user} read {root}"),
            Self::LinkLost { .. } | Self::RequestTimeout { .. } | Self::ConnectTimeout { .. } => {
                "check the network and the host, then run it again: what was copied is kept".to_owned()
            }
            _ => return None,
        })
    }
}

/// `ed25519` of `ssh-ed25519`, `ecdsa` of `ecdsa-sha2-nistp256`: how sshd names its key files.
fn short(algorithm: &str) -> &str {
    match algorithm {
        "ssh-ed25519" => "ed25519",
        "ssh-rsa" => "rsa",
        other if other.starts_with("ecdsa-") => "ecdsa",
        other => other,
    }
}
