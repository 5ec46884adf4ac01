//! The one place where a server is let in.
//!
//! Called by the SSH library after the server has proved that it holds the key it presents. A key that is not on file
//! ends the connection here, before we offer any key of our own. The gate also notes why a link ended, because the
//! requests that were waiting only learn that it did.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{DisconnectReason, Handler};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use tokio::sync::watch;

use crate::error::SftpError;
use crate::keys::{fingerprint, host_pattern, known_hosts_line};
use crate::known_hosts::{Recorded, Verdict, judge};
use crate::target::Hop;

/// Whether a link ended, and why.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending(Arc<(Mutex<Option<String>>, watch::Sender<bool>)>);

impl Ending {
    pub(crate) fn note(&self, reason: String) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.end();
    }

    /// Nobody waits for it any longer.
    pub(crate) fn end(&self) {
        self.0.1.send_replace(true);
    }

    pub(crate) fn reason(&self) -> Option<String> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        // The sender is in here as well, so it is not gone before us.
        let _ = self.0.1.subscribe().wait_for(|ended| *ended).await;
    }
}

pub(crate) struct Gate {
    pub(crate) hop: Hop,
    /// By file; there is at least one.
    pub(crate) recorded: Vec<(PathBuf, Recorded)>,
    pub(crate) ending: Ending,
}

/// What ends a connection: our refusal, or the protocol's failure.
#[derive(Debug)]
pub(crate) enum GateError {
    Refused(Box<SftpError>),
    Ssh(russh::Error),
}

impl From<russh::Error> for GateError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl Gate {
    fn judge(&self, key: &PublicKey) -> Result<(), SftpError> {
        let (host, port) = (self.hop.host.clone(), self.hop.port);
        let algorithm = key.algorithm().to_string();
        let fingerprint = fingerprint(key);
        let (known_hosts, verdict) = match judge(&self.recorded, key) {
            Some((file, verdict)) => (file.clone(), verdict),
            None => (self.hop.known_hosts.clone(), Verdict::Unknown),
        };
        Err(match verdict {
            Verdict::Known => return Ok(()),
            Verdict::Unknown => {
                let (name, on_port) = self.hop.on_file();
                let line = known_hosts_line(name, on_port, key);
                SftpError::HostKeyUnknown { host, port, known_hosts, algorithm, fingerprint, line }
            }
            Verdict::Changed { recorded } => {
                let line = recorded.first().map_or(0, |(line, _)| *line);
                let recorded: Vec<_> =
                    recorded.iter().map(|(_, key)| format!("{} {}", key.algorithm(), crate::keys::fingerprint(key))).collect();
                let (name, on_port) = self.hop.on_file();
                let (name, recorded) = (host_pattern(name, on_port), recorded.join(", "));
                SftpError::HostKeyChanged { host, port, name, known_hosts, line, recorded, algorithm, fingerprint }
            }
            Verdict::Revoked { line } => SftpError::HostKeyRevoked { host, port, known_hosts, line, algorithm, fingerprint },
            Verdict::Unreadable { line, reason, .. } => SftpError::KnownHostsInvalid { path: known_hosts, line, host, reason },
        })
    }
}

impl Handler for Gate {
    type Error = GateError;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, GateError> {
        // We never ask for a certificate; one that comes all the same is judged by the key inside, which must be on file.
        self.judge(&presented.public_key()).map_err(|error| GateError::Refused(Box::new(error)))?;
        Ok(true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<GateError>) -> Result<(), GateError> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.ending.note(format!("the server said goodbye: {:?} {}", info.reason_code, info.message).trim_end().to_owned());
                Ok(())
            }
            DisconnectReason::Error(error) => {
                self.ending.note(match &error {
                    GateError::Refused(error) => error.to_string(),
                    GateError::Ssh(russh::Error::KeepaliveTimeout) => "no sign of life from the server".to_owned(),
                    GateError::Ssh(error) => error.to_string(),
                });
                Err(error)
            }
        }
    }
}
