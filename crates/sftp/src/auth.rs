//! Proving who we are: a key file, or the keys of an SSH agent.
//!
//! A key is read anew for every connection, so that a replaced key file is seen without a restart. Opening an encrypted key is
//! slow on purpose and runs beside the runtime, not in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{self, Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;

use crate::error::SftpError;
use crate::gate::Gate;
use crate::keys::{beside, fingerprint};
use crate::target::{Auth, Hop};

pub(crate) async fn login(handle: &mut Handle<Gate>, hop: &Hop) -> Result<(), SftpError> {
    match &hop.auth {
        Auth::KeyFile { path, passphrase } => {
            let key = open(path, passphrase.as_deref()).await?;
            with_key(handle, hop, path, key).await
        }
        Auth::Agent => match std::env::var_os("SSH_AUTH_SOCK") {
            Some(socket) => with_agent(handle, hop, Path::new(&socket)).await,
            None => Err(SftpError::AgentUnavailable { agent: "SSH_AUTH_SOCK".to_owned(), reason: "the variable is not set".to_owned() }),
        },
        Auth::AgentAt(socket) => with_agent(handle, hop, socket).await,
        Auth::Ssh { files, agent, only, passphrase } => {
            let mut agent = match agent {
                // An agent that is not there is no more than one that has nothing.
                Some(socket) => Agent::open(socket).await.ok(),
                None => None,
            };
            as_ssh_does(handle, hop, files, agent.as_mut(), *only, passphrase.as_deref()).await
        }
    }
}

/// Opening an encrypted key takes a while.
async fn open(path: &Path, passphrase: Option<&str>) -> Result<PrivateKey, SftpError> {
    let (file, passphrase) = (path.to_owned(), passphrase.map(str::to_owned));
    let opened = tokio::task::spawn_blocking(move || open_key(&file, passphrase.as_deref())).await;
    opened.map_err(|error| SftpError::KeyInvalid { path: path.to_owned(), reason: error.to_string() })?
}

async fn as_ssh_does(
    handle: &mut Handle<Gate>,
    hop: &Hop,
    files: &[PathBuf],
    mut agent: Option<&mut Agent>,
    only: bool,
    passphrase: Option<&str>,
) -> Result<(), SftpError> {
    let mut offered = Vec::new();
    let mut unusable = None;
    for path in files {
        let held = public_half(path).and_then(|public| agent.as_deref_mut().and_then(|agent| agent.take(&public)));
        if let (Some((key, comment)), Some(agent)) = (held, agent.as_deref_mut()) {
            if offer(handle, hop, &mut agent.client, key, &comment, &mut offered).await {
                return Ok(());
            }
            continue;
        }
        match open(path, passphrase).await {
            Ok(key) => match with_key(handle, hop, path, key).await {
                Err(SftpError::AuthRefused { keys, .. }) => offered.extend(keys),
                done => return done,
            },
            Err(error) => {
                unusable.get_or_insert(error);
            }
        }
    }
    if let (false, Some(agent)) = (only, agent)
        && offer_all(handle, hop, agent, &mut offered).await
    {
        return Ok(());
    }
    match unusable {
        // Nothing could be offered: that key is why.
        Some(error) if offered.is_empty() => Err(error),
        None if offered.is_empty() => Err(SftpError::NoKey { user: hop.user.clone(), host: hop.host.clone() }),
        unusable => {
            offered.extend(unusable.map(|error| format!("(not offered: {error})")));
            Err(refused(handle, hop, offered))
        }
    }
}

/// The public key of a private key's file, which is in the clear in it or beside it; or that file is the public half alone, as people
/// write whose private keys never leave their agent.
fn public_half(path: &Path) -> Option<PublicKey> {
    let public = |path: &Path| PublicKey::from_openssh(fs::read_to_string(path).ok()?.trim()).ok();
    let private = || Some(PrivateKey::from_openssh(fs::read_to_string(path).ok()?).ok()?.public_key().clone());
    public(&beside(path)).or_else(|| public(path)).or_else(private)
}

/// An agent, and those of its keys that were not offered yet.
struct Agent {
    client: AgentClient<UnixStream>,
    keys: Vec<(PublicKey, String)>,
}

impl Agent {
    async fn open(socket: &Path) -> Result<Self, SftpError> {
        let unavailable = |reason: String| SftpError::AgentUnavailable { agent: socket.display().to_string(), reason };
        let mut client = AgentClient::connect_uds(socket).await.map_err(|error| unavailable(error.to_string()))?;
        let identities = client.request_identities().await.map_err(|error| unavailable(error.to_string()))?;
        let plain = |identity| match identity {
            AgentIdentity::PublicKey { key, comment } => Some((key, comment)),
            _ => None,
        };
        Ok(Self { client, keys: identities.into_iter().filter_map(plain).collect() })
    }

    fn take(&mut self, public: &PublicKey) -> Option<(PublicKey, String)> {
        let at = self.keys.iter().position(|(key, _)| key.key_data() == public.key_data())?;
        Some(self.keys.remove(at))
    }
}

/// Offers one of the agent's keys; notes it in `offered` if it was not taken.
async fn offer(
    handle: &mut Handle<Gate>,
    hop: &Hop,
    client: &mut AgentClient<UnixStream>,
    key: PublicKey,
    comment: &str,
    offered: &mut Vec<String>,
) -> bool {
    let mut description = describe(&key, comment);
    let hash = rsa_hash(handle, &key).await;
    match handle.authenticate_publickey_with(hop.user.clone(), key, hash, client).await {
        Ok(AuthResult::Success) => return true,
        Ok(AuthResult::Failure { .. }) => {}
        // The agent may decline one key (a missing hardware token) and sign with the next.
        Err(error) => description.push_str(&format!(" [the agent did not sign: {error}]")),
    }
    offered.push(description);
    false
}

/// Offers those of the agent's keys that were not offered yet, until one is taken or the server has enough.
async fn offer_all(handle: &mut Handle<Gate>, hop: &Hop, agent: &mut Agent, offered: &mut Vec<String>) -> bool {
    for (key, comment) in std::mem::take(&mut agent.keys) {
        if offer(handle, hop, &mut agent.client, key, &comment, offered).await {
            return true;
        }
        if handle.is_closed() {
            break;
        }
    }
    false
}

/// Reads and opens a private key.
fn open_key(path: &Path, passphrase: Option<&str>) -> Result<PrivateKey, SftpError> {
    let text = fs::read(path).map_err(|error| SftpError::KeyUnreadable { path: path.to_owned(), source: Arc::new(error) })?;
    let invalid = |reason: String| SftpError::KeyInvalid { path: path.to_owned(), reason };
    let text = String::from_utf8(text).map_err(|_| invalid("not a text file".to_owned()))?;
    let key = if text.contains("BEGIN OPENSSH PRIVATE KEY") {
        let key = PrivateKey::from_openssh(&text).map_err(|error| invalid(error.to_string()))?;
        match (key.is_encrypted(), passphrase) {
            (false, _) => key,
            (true, None) => return Err(SftpError::KeyEncrypted { path: path.to_owned() }),
            (true, Some(passphrase)) => key.decrypt(passphrase).map_err(|_| SftpError::KeyPassphrase { path: path.to_owned() })?,
        }
    } else if PublicKey::from_openssh(text.trim()).is_ok() {
        return Err(invalid("it is the public half, and the private one is neither here nor in an agent that was asked".to_owned()));
    } else {
        keys::decode_secret_key(&text, passphrase).map_err(|error| match error {
            keys::Error::KeyIsEncrypted => SftpError::KeyEncrypted { path: path.to_owned() },
            keys::Error::UnsupportedKeyType { key_type_string, .. } => {
                SftpError::KeyUnsupported { path: path.to_owned(), algorithm: key_type_string }
            }
            keys::Error::CouldNotReadKey => invalid("not a private key".to_owned()),
            other => invalid(other.to_string()),
        })?
    };
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(key),
        other => Err(SftpError::KeyUnsupported { path: path.to_owned(), algorithm: other.to_string() }),
    }
}

async fn with_key(handle: &mut Handle<Gate>, hop: &Hop, path: &Path, key: PrivateKey) -> Result<(), SftpError> {
    let offered = describe(key.public_key(), &path.display().to_string());
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let result = handle.authenticate_publickey(hop.user.clone(), key).await.map_err(|error| broken(hop, error.to_string()))?;
    match result {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { .. } => Err(refused(handle, hop, vec![offered])),
    }
}

async fn with_agent(handle: &mut Handle<Gate>, hop: &Hop, socket: &Path) -> Result<(), SftpError> {
    let mut agent = Agent::open(socket).await?;
    let mut offered = Vec::new();
    if offer_all(handle, hop, &mut agent, &mut offered).await {
        return Ok(());
    }
    if offered.is_empty() { Err(SftpError::AgentEmpty { agent: socket.display().to_string() }) } else { Err(refused(handle, hop, offered)) }
}

/// For RSA keys the signature's hash is chosen by what the server takes.
async fn rsa_hash(handle: &Handle<Gate>, key: &PublicKey) -> Option<HashAlg> {
    if !key.algorithm().is_rsa() {
        return None;
    }
    handle.best_supported_rsa_hash().await.ok().flatten().unwrap_or(Some(HashAlg::Sha512))
}

fn describe(key: &PublicKey, name: &str) -> String {
    format!("{} {} ({name})", key.algorithm(), fingerprint(key))
}

/// A login that failed because the link did is no refusal of the key, unless keys were offered until the server had enough.
fn refused(handle: &Handle<Gate>, hop: &Hop, keys: Vec<String>) -> SftpError {
    if handle.is_closed() && keys.len() < 2 {
        return broken(hop, format!("the connection ended while {} was offered", keys.join(", ")));
    }
    SftpError::AuthRefused { user: hop.user.clone(), host: hop.host.clone(), port: hop.port, keys }
}

fn broken(hop: &Hop, reason: String) -> SftpError {
    SftpError::Handshake { step: "log in", host: hop.host.clone(), port: hop.port, reason }
}
