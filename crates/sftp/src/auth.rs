//! Proving who we are: a key file, or the keys of an SSH agent.
//!
//! A key is read anew for every connection, so that a replaced key file is seen without a restart. Opening an encrypted key is
//! slow on purpose and runs beside the runtime, not in it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{self, Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};

use crate::error::SftpError;
use crate::gate::Gate;
use crate::keys::fingerprint;
use crate::target::{Auth, Target};

pub(crate) async fn login(handle: &mut Handle<Gate>, target: &Target) -> Result<(), SftpError> {
    match &target.auth {
        Auth::KeyFile { path, passphrase } => {
            let (file, passphrase) = (path.clone(), passphrase.clone());
            let opened = tokio::task::spawn_blocking(move || open_key(&file, passphrase.as_deref())).await;
            let key = opened.map_err(|error| SftpError::KeyInvalid { path: path.clone(), reason: error.to_string() })??;
            with_key(handle, target, path, key).await
        }
        Auth::Agent => match std::env::var_os("SSH_AUTH_SOCK") {
            Some(socket) => with_agent(handle, target, Path::new(&socket)).await,
            None => Err(SftpError::AgentUnavailable { agent: "SSH_AUTH_SOCK".to_owned(), reason: "the variable is not set".to_owned() }),
        },
        Auth::AgentAt(socket) => with_agent(handle, target, socket).await,
    }
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

async fn with_key(handle: &mut Handle<Gate>, target: &Target, path: &Path, key: PrivateKey) -> Result<(), SftpError> {
    let offered = describe(key.public_key(), &path.display().to_string());
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let result = handle.authenticate_publickey(target.user.clone(), key).await.map_err(|error| broken(target, error.to_string()))?;
    match result {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { .. } => Err(refused(handle, target, vec![offered])),
    }
}

async fn with_agent(handle: &mut Handle<Gate>, target: &Target, socket: &Path) -> Result<(), SftpError> {
    let agent = socket.display().to_string();
    let unavailable = |reason: String| SftpError::AgentUnavailable { agent: agent.clone(), reason };
    let mut client = AgentClient::connect_uds(socket).await.map_err(|error| unavailable(error.to_string()))?;
    let identities = client.request_identities().await.map_err(|error| unavailable(error.to_string()))?;
    let mut offered = Vec::new();
    for identity in identities {
        let AgentIdentity::PublicKey { key, comment } = identity else { continue };
        let mut description = describe(&key, &comment);
        let hash = rsa_hash(handle, &key).await;
        match handle.authenticate_publickey_with(target.user.clone(), key, hash, &mut client).await {
            Ok(AuthResult::Success) => return Ok(()),
            Ok(AuthResult::Failure { .. }) => {}
            // The agent may decline one key (a missing hardware token) and sign with the next.
            Err(error) => description.push_str(&format!(" [the agent did not sign: {error}]")),
        }
        offered.push(description);
        if handle.is_closed() {
            break;
        }
    }
    if offered.is_empty() { Err(SftpError::AgentEmpty { agent }) } else { Err(refused(handle, target, offered)) }
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
fn refused(handle: &Handle<Gate>, target: &Target, keys: Vec<String>) -> SftpError {
    if handle.is_closed() && keys.len() < 2 {
        return broken(target, format!("the connection ended while {} was offered", keys.join(", ")));
    }
    SftpError::AuthRefused { user: target.user.clone(), host: target.host.clone(), port: target.port, keys }
}

fn broken(target: &Target, reason: String) -> SftpError {
    SftpError::Handshake { step: "log in", host: target.host.clone(), port: target.port, reason }
}
