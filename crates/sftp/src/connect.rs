//! From a target to an open SFTP session, step by step.
//!
//! Each step has its own time limit and its own error, because "it does not work" is what a person sees at four in the
//! morning. The settings were measured: no Nagle delay, a window of 8 MiB (a rate is at most half the window per round trip),
//! and a buffer between socket and cipher that spares most system calls.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle};
use russh::{Channel, ChannelMsg, Preferred, cipher};
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as RawError;
use russh_sftp::protocol::StatusCode;
use tokio::io::BufReader;
use tokio::net::{TcpStream, lookup_host};

use crate::auth::login;
use crate::error::SftpError;
use crate::gate::{Ending, Gate, GateError};
use crate::known_hosts::{KnownHosts, Recorded};
use crate::meter::{Meter, Metered};
use crate::session::{Features, Session};
use crate::target::Target;

/// Bytes the server may send before we take any; the reads in flight fill exactly this.
const WINDOW: u32 = 8 << 20;
const SOCKET_BUFFER: usize = 256 << 10;

pub(crate) async fn connect(target: &Target, meter: &Arc<Meter>) -> Result<Session, SftpError> {
    let recorded = KnownHosts::read(&target.known_hosts)?.of(&target.host, target.port);
    let socket = limited(target, "connect", dial(target)).await?;
    socket.set_nodelay(true).map_err(|error| SftpError::Connect {
        host: target.host.clone(),
        port: target.port,
        source: Arc::new(error),
    })?;
    let ending = Ending::default();
    let stream = BufReader::with_capacity(SOCKET_BUFFER, Metered::new(socket, Arc::clone(meter)));
    let config = Arc::new(config(target, &recorded));
    let gate = Gate { target: target.clone(), recorded, ending: ending.clone() };
    let mut handle = limited(target, "exchange keys", async {
        client::connect_stream(config, stream, gate).await.map_err(|error| match error {
            GateError::Refused(error) => *error,
            GateError::Ssh(error) => handshake(target, "exchange keys", error.to_string()),
        })
    })
    .await?;
    limited(target, "log in", login(&mut handle, target)).await?;
    let channel = limited(target, "open sftp", subsystem(&handle, target)).await?;
    let raw = RawSftpSession::new_with_config(
        channel.into_stream(),
        russh_sftp::client::Config {
            // Our own limit comes first and names the operation; this one only sweeps up what we abandoned.
            request_timeout_secs: target.timeouts.request.as_secs().saturating_add(60),
            ..Default::default()
        },
    );
    let features = limited(target, "open sftp", negotiate(&raw, target)).await?;
    let session = Session::new(raw, handle, target, features, ending);
    limited(target, "open sftp", root(&session, target)).await?;
    Ok(session)
}

async fn limited<T>(target: &Target, step: &'static str, work: impl Future<Output = Result<T, SftpError>>) -> Result<T, SftpError> {
    let after = target.timeouts.connect;
    match tokio::time::timeout(after, work).await {
        Ok(result) => result,
        Err(_) => Err(SftpError::ConnectTimeout { step, host: target.host.clone(), port: target.port, after }),
    }
}

async fn dial(target: &Target) -> Result<TcpStream, SftpError> {
    let (host, port) = (target.host.clone(), target.port);
    let addresses =
        lookup_host((host.as_str(), port)).await.map_err(|error| SftpError::Resolve { host: host.clone(), source: Arc::new(error) })?;
    let mut failure = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = Some(error),
        }
    }
    let source = Arc::new(failure.unwrap_or_else(|| io::Error::other("the name has no address")));
    Err(match source.kind() {
        io::ErrorKind::ConnectionRefused => SftpError::Refused { host, port },
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => SftpError::NoRoute { host, port, source },
        io::ErrorKind::TimedOut => SftpError::ConnectTimeout { step: "connect", host, port, after: target.timeouts.connect },
        _ => SftpError::Connect { host, port, source },
    })
}

fn config(target: &Target, recorded: &Recorded) -> client::Config {
    let preferred = Preferred {
        key: Cow::Owned(recorded.prefer(&Preferred::DEFAULT.key)),
        // AES first: both ends of the usual pair (Apple silicon, Raspberry Pi 5) have instructions for it.
        cipher: Cow::Borrowed(&[
            cipher::AES_128_GCM,
            cipher::AES_256_GCM,
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_CTR,
            cipher::AES_128_CTR,
        ]),
        compression: Cow::Borrowed(&[russh::compression::NONE]),
        ..Preferred::DEFAULT
    };
    client::Config {
        window_size: WINDOW,
        nodelay: true,
        keepalive_interval: Some(target.timeouts.keepalive),
        keepalive_max: target.timeouts.keepalive_max,
        inactivity_timeout: None::<Duration>,
        preferred,
        ..Default::default()
    }
}

async fn subsystem(handle: &Handle<Gate>, target: &Target) -> Result<Channel<client::Msg>, SftpError> {
    let mut channel = handle.channel_open_session().await.map_err(|error| no_sftp(target, error.to_string()))?;
    channel.request_subsystem(true, "sftp").await.map_err(|error| no_sftp(target, error.to_string()))?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => return Ok(channel),
            Some(ChannelMsg::Failure) => return Err(no_sftp(target, "the subsystem was refused".to_owned())),
            Some(ChannelMsg::Eof | ChannelMsg::Close) | None => return Err(no_sftp(target, "the channel was closed".to_owned())),
            Some(_) => {}
        }
    }
}

async fn negotiate(raw: &RawSftpSession, target: &Target) -> Result<Features, SftpError> {
    let version = raw.init().await.map_err(|error| no_sftp(target, format!("it did not answer in sftp: {error}")))?;
    let mut features = Features {
        posix_rename: version.extensions.contains_key("posix-rename@openssh.com"),
        fsync: version.extensions.contains_key("fsync@openssh.com"),
        ..Features::default()
    };
    if version.extensions.contains_key("limits@openssh.com") {
        let limits = raw.limits().await.map_err(|error| no_sftp(target, format!("it did not tell its limits: {error}")))?;
        features.limit(limits.max_read_len, limits.max_write_len, limits.max_open_handles);
    }
    Ok(features)
}

/// The root must be there now: a disk that is not mounted must not look like a repository without archives.
async fn root(session: &Session, target: &Target) -> Result<(), SftpError> {
    let path = target.remote("");
    let (host, root) = (target.host.clone(), target.root.clone());
    match session.raw.stat(path.as_str()).await {
        Ok(attrs) if attrs.attrs.file_type().is_dir() => Ok(()),
        Ok(_) => Err(SftpError::RootNotFolder { host, root }),
        Err(RawError::Status(status)) => Err(match status.status_code {
            StatusCode::NoSuchFile => SftpError::RootMissing { host, root },
            StatusCode::PermissionDenied => SftpError::RootDenied { host, root, user: target.user.clone() },
            code => SftpError::Remote { operation: "look at", path, reason: format!("{code}: {}", status.error_message) },
        }),
        Err(error) => Err(no_sftp(target, error.to_string())),
    }
}

fn handshake(target: &Target, step: &'static str, reason: String) -> SftpError {
    SftpError::Handshake { step, host: target.host.clone(), port: target.port, reason }
}

fn no_sftp(target: &Target, reason: String) -> SftpError {
    SftpError::NoSubsystem { host: target.host.clone(), port: target.port, user: target.user.clone(), reason }
}
