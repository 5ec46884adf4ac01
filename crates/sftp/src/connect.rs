//! From a target to an open SFTP session, step by step.
//!
//! Each step has its own time limit and its own error, because "it does not work" is what a person sees at four in the
//! morning. The settings were measured: no Nagle delay, a window of 8 MiB (a rate is at most half the window per round trip),
//! and a buffer between socket and cipher that spares most system calls.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join3;
use russh::client::{self, Handle};
use russh::{Channel, ChannelMsg, Preferred, cipher};
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as RawError;
use russh_sftp::protocol::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpStream, lookup_host};

use crate::auth::login;
use crate::error::SftpError;
use crate::gate::{Ending, Gate, GateError};
use crate::known_hosts::{KnownHosts, Recorded, prefer};
use crate::meter::{Meter, Metered};
use crate::session::{Features, Session};
use crate::target::{Hop, Target};

/// Bytes the server may send before we take any; the reads in flight fill exactly this.
const WINDOW: u32 = 8 << 20;
const SOCKET_BUFFER: usize = 256 << 10;
/// AES first: both ends of the usual pair (Apple silicon, Raspberry Pi 5) have instructions for it.
pub(crate) const CIPHERS: [cipher::Name; 5] =
    [cipher::AES_128_GCM, cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR, cipher::AES_128_CTR];

pub(crate) async fn connect(target: &Target, meter: &Arc<Meter>) -> Result<Session, SftpError> {
    let last = Hop {
        host: target.host.clone(),
        port: target.port,
        user: target.user.clone(),
        known_hosts: target.known_hosts.clone(),
        more_known_hosts: target.more_known_hosts.clone(),
        key_alias: target.key_alias.clone(),
        ciphers: target.ciphers.clone(),
        auth: target.auth.clone(),
    };
    let mut through: Vec<Entered> = Vec::new();
    for hop in target.jumps.iter().chain([&last]) {
        let handle = match through.last() {
            None => {
                let addresses = if target.jumps.is_empty() { &target.addresses[..] } else { &[] };
                let socket = limited(hop, target, "connect", dial(hop, addresses, target.timeouts.connect, meter)).await?;
                let failed = |error| SftpError::Connect { host: hop.host.clone(), port: hop.port, source: Arc::new(error) };
                socket.set_nodelay(true).map_err(failed)?;
                enter(hop, target, Metered::new(socket, Arc::clone(meter))).await?
            }
            Some(before) => {
                let opened = before.handle.channel_open_direct_tcpip(hop.host.clone(), hop.port.into(), "127.0.0.1", 0);
                let refused = |error: russh::Error| handshake(hop, "go through a jump host", error.to_string());
                let channel = limited(hop, target, "go through a jump host", async { opened.await.map_err(refused) }).await?;
                enter(hop, target, channel.into_stream()).await?
            }
        };
        through.push(handle);
    }
    // There is at least the last.
    let Some(Entered { handle, ending }) = through.pop() else { return Err(no_sftp(target, "there is no way".to_owned())) };
    let channel = limited(&last, target, "open sftp", subsystem(&handle, target)).await?;
    let raw = RawSftpSession::new_with_config(
        channel.into_stream(),
        russh_sftp::client::Config {
            // Our own limit comes first and names the operation; this one only sweeps up what we abandoned.
            request_timeout_secs: target.timeouts.request.as_secs().saturating_add(60),
            ..Default::default()
        },
    );
    let features = limited(&last, target, "open sftp", negotiate(&raw, target)).await?;
    Ok(Session::new(raw, handle, through.into_iter().map(|hop| hop.handle).collect(), target, features, ending))
}

/// A host that let us in, and what will say why it is left.
struct Entered {
    handle: Handle<Gate>,
    ending: Ending,
}

/// Checks a host's key and logs in.
async fn enter(hop: &Hop, target: &Target, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Entered, SftpError> {
    let mut recorded = Vec::new();
    let (name, port) = hop.on_file();
    for file in [&hop.known_hosts].into_iter().chain(&hop.more_known_hosts) {
        recorded.push((file.clone(), KnownHosts::read(file)?.of(name, port)));
    }
    let ending = Ending::default();
    let config = Arc::new(config(hop, target, &recorded));
    let gate = Gate { hop: hop.clone(), recorded, ending: ending.clone() };
    let stream = BufReader::with_capacity(SOCKET_BUFFER, stream);
    let mut handle = limited(hop, target, "exchange keys", async {
        client::connect_stream(config, stream, gate).await.map_err(|error| match error {
            GateError::Refused(error) => *error,
            GateError::Ssh(error) => handshake(hop, "exchange keys", error.to_string()),
        })
    })
    .await?;
    limited(hop, target, "log in", login(&mut handle, hop)).await?;
    Ok(Entered { handle, ending })
}

async fn limited<T>(
    hop: &Hop,
    target: &Target,
    step: &'static str,
    work: impl Future<Output = Result<T, SftpError>>,
) -> Result<T, SftpError> {
    let after = target.timeouts.connect;
    match tokio::time::timeout(after, work).await {
        Ok(result) => result,
        Err(_) => Err(SftpError::ConnectTimeout { step, host: hop.host.clone(), port: hop.port, after }),
    }
}

/// Where the name leads, then where the host was before: a `.local` name is unknown for a while after a wake.
async fn dial(hop: &Hop, before: &[IpAddr], patience: Duration, meter: &Meter) -> Result<TcpStream, SftpError> {
    let (host, port) = (hop.host.clone(), hop.port);
    let mut failure = None;
    let mut unknown = None;
    let mut addresses: Vec<SocketAddr> = match lookup_host((host.as_str(), port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            unknown = Some(SftpError::Resolve { host: host.clone(), source: Arc::new(error) });
            Vec::new()
        }
    };
    for address in before.iter().map(|address| SocketAddr::new(*address, port)) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    // One that does not answer must not use up the time of the next.
    let each = patience / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    for address in addresses {
        match tokio::time::timeout(each, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(socket) => {
                meter.note_address(address.ip());
                return Ok(socket);
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    // That the name leads nowhere says more than that an old address does not.
    if let Some(unknown) = unknown {
        return Err(unknown);
    }
    let source = Arc::new(failure.unwrap_or_else(|| io::Error::other("the name has no address")));
    Err(match source.kind() {
        io::ErrorKind::ConnectionRefused => SftpError::Refused { host, port },
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => SftpError::NoRoute { host, port, source },
        io::ErrorKind::TimedOut => SftpError::ConnectTimeout { step: "connect", host, port, after: patience },
        _ => SftpError::Connect { host, port, source },
    })
}

fn config(hop: &Hop, target: &Target, recorded: &[(PathBuf, Recorded)]) -> client::Config {
    let may = |cipher: &cipher::Name| hop.ciphers.is_empty() || hop.ciphers.iter().any(|name| name == cipher.as_ref());
    let preferred = Preferred {
        key: Cow::Owned(prefer(recorded, &Preferred::DEFAULT.key)),
        cipher: CIPHERS.into_iter().filter(may).collect(),
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
    let version = async { raw.init().await.map_err(|error| no_sftp(target, format!("it did not answer in sftp: {error}"))) };
    let limits = async {
        match raw.limits().await {
            Ok(limits) => Ok(Some(limits)),
            Err(RawError::Status(_)) => Ok(None),
            Err(error) => Err(no_sftp(target, format!("it did not tell its limits: {error}"))),
        }
    };
    // In one go: a server takes them one after the other, and none of them needs the answer to the one before.
    let (version, limits, ()) = try_join3(version, limits, root(raw, target)).await?;
    let mut features = Features {
        posix_rename: version.extensions.contains_key("posix-rename@openssh.com"),
        fsync: version.extensions.contains_key("fsync@openssh.com"),
        ..Features::default()
    };
    if let Some(limits) = limits {
        features.limit(limits.max_read_len, limits.max_write_len, limits.max_open_handles);
    }
    Ok(features)
}

/// The root must be there now: a disk that is not mounted must not look like a repository without archives.
async fn root(raw: &RawSftpSession, target: &Target) -> Result<(), SftpError> {
    let path = target.remote("");
    let (host, root) = (target.host.clone(), target.root.clone());
    match raw.stat(path.as_str()).await {
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

fn handshake(hop: &Hop, step: &'static str, reason: String) -> SftpError {
    SftpError::Handshake { step, host: hop.host.clone(), port: hop.port, reason }
}

fn no_sftp(target: &Target, reason: String) -> SftpError {
    SftpError::NoSubsystem { host: target.host.clone(), port: target.port, user: target.user.clone(), reason }
}
