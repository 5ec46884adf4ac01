//! A small SSH server with nothing but SFTP of one folder, on the loop-back address.
//!
//! The demo and the tests use it where a Raspberry Pi would be. It lets in the holder of one key, shows one folder as `/`,
//! and neither `..` nor a symbolic link leads out of it. It is read-only unless asked otherwise. Two settings are not
//! obvious: a channel buffer of 1000, because with the default OpenSSH's client and the server wait for each other after
//! some 25 MB, and no delay for the first refusal, which costs every OpenSSH login a second.

mod folder;
mod sftp;
mod shell;

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use russh::server::{Config, run_stream};
use russh::{Disconnect, MethodKind, MethodSet};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::keys::{self, KeyFileError};
use folder::Folder;
use shell::Door;

/// A server that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum ServerError {
    #[error("serve {}: {source}", root.display())]
    Root { root: PathBuf, source: io::Error },
    #[error("listen on the loop-back address: {source}")]
    Listen { source: io::Error },
    #[error("make a host key: {source}")]
    HostKey { source: KeyFileError },
}

/// What clients may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Look and read.
    #[default]
    ReadOnly,
    /// Also write, make folders, rename and remove.
    ReadWrite,
}

/// What is refused beyond, and announced by `limits@openssh.com`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest read and write, in bytes; an answer must fit into a packet of 256 KiB.
    pub longest: u32,
    /// Most handles that are open at once in a session.
    pub handles: usize,
}

impl Default for Limits {
    /// As OpenSSH has it, with fewer handles.
    fn default() -> Self {
        Self { longest: 255 << 10, handles: 256 }
    }
}

/// How an [`EmbeddedServer`] differs from the usual one.
#[derive(Clone, Debug)]
pub struct Options {
    /// What clients may do.
    pub access: Access,
    /// The server's key; a fresh one if none is given.
    pub host_key: Option<PrivateKey>,
    /// Whether OpenSSH's extensions (limits, fsync, posix-rename) are offered, and with which limits.
    pub extensions: Option<Limits>,
    /// Whether the `sftp` subsystem is there at all.
    pub sftp: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { access: Access::ReadOnly, host_key: None, extensions: Some(Limits::default()), sftp: true }
    }
}

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct EmbeddedServer {
    port: u16,
    host_key: PublicKey,
    /// Bumped to end the sessions; closed to end everything.
    sessions: watch::Sender<u64>,
    accepting: tokio::task::JoinHandle<()>,
}

impl EmbeddedServer {
    /// Serves `root` read-only to the holder of `authorized`, under any user name, on a free port of 127.0.0.1.
    ///
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the folder cannot be opened or no port can be had.
    pub async fn start(root: &Path, authorized: &PublicKey) -> Result<Self, ServerError> {
        Self::start_with(root, authorized, Options::default()).await
    }

    /// Like [`start`](Self::start), with options.
    ///
    /// # Errors
    /// When the folder cannot be opened, no port can be had, or no key can be made.
    pub async fn start_with(root: &Path, authorized: &PublicKey, options: Options) -> Result<Self, ServerError> {
        let folder = Folder::open(root, options.access).map_err(|source| ServerError::Root { root: root.to_owned(), source })?;
        let key = match options.host_key {
            Some(key) => key,
            None => keys::generate().map_err(|source| ServerError::HostKey { source })?,
        };
        let host_key = key.public_key().clone();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|source| ServerError::Listen { source })?;
        let port = listener.local_addr().map_err(|source| ServerError::Listen { source })?.port();
        let config = Arc::new(Config {
            keys: vec![key],
            methods: MethodSet::from(&[MethodKind::PublicKey][..]),
            auth_rejection_time: Duration::ZERO,
            auth_rejection_time_initial: Some(Duration::ZERO),
            channel_buffer_size: 1000,
            nodelay: true,
            ..Config::default()
        });
        let door = Door::new(authorized.clone(), Arc::new(folder), options.extensions, options.sftp);
        let (sessions, watch) = watch::channel(0);
        let accepting = tokio::spawn(accept(listener, config, door, watch));
        Ok(Self { port, host_key, sessions, accepting })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The public key that identifies the server.
    pub fn host_key(&self) -> &PublicKey {
        &self.host_key
    }

    /// The line for a known_hosts file.
    pub fn known_hosts_line(&self) -> String {
        keys::known_hosts_line("127.0.0.1", self.port, &self.host_key)
    }

    /// Ends all sessions, as a restart of a server would; new ones are welcome.
    pub fn disconnect_all(&self) {
        self.sessions.send_modify(|generation| *generation += 1);
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        self.disconnect_all();
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, config: Arc<Config>, door: Door, mut watch: watch::Receiver<u64>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                watch.mark_unchanged();
                tokio::spawn(serve(socket, Arc::clone(&config), door.again(), watch.clone()));
            }
            Err(error) => {
                // Most often out of descriptors: let others finish instead of spinning.
                tracing::warn!(%error, "accept");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn serve(socket: TcpStream, config: Arc<Config>, door: Door, mut watch: watch::Receiver<u64>) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "nodelay");
    }
    let session = match run_stream(config, socket, door).await {
        Ok(session) => session,
        Err(error) => return tracing::debug!(%error, "a connection did not become a session"),
    };
    let handle = session.handle();
    tokio::select! {
        ended = session => {
            if let Err(error) = ended {
                tracing::debug!(%error, "session");
            }
        }
        // Also when the server itself was dropped.
        _ = watch.changed() => {
            if handle.disconnect(Disconnect::ByApplication, "the server stops".to_owned(), String::new()).await.is_err() {
                tracing::debug!("the session was over already");
            }
        }
    }
}
