//! One SFTP session, and what is open in it.
//!
//! Every request gets a time limit and an error that names operation and object. At most 64 handles are open: the library
//! keeps OpenSSH's binary handles as text and mangles the 129th. A handle is closed however its user ends, even when
//! the future that opened it was dropped half-way, or handles would leak until the session ends.

use std::future::Future;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::client::Handle;
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as RawError;
use russh_sftp::client::rawsession::SftpResult;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::SftpError;
use crate::gate::{Ending, Gate};
use crate::target::Target;

/// Most bytes asked for in one read: four SSH packets' worth was as fast as the largest, and reacts sooner.
pub(crate) const READ: u32 = 128 << 10;
/// Reads in flight in one session; times [`READ`] this is the window.
pub(crate) const READS: usize = 64;
const HANDLES: usize = 64;
/// How often a link is looked at that nobody declared ended.
const LOOK: Duration = Duration::from_secs(1);
/// What every server must take in one write.
const SMALL_WRITE: u32 = 32 << 10;

/// What the server can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    pub(crate) posix_rename: bool,
    pub(crate) fsync: bool,
    pub(crate) read: u32,
    pub(crate) write: u32,
    pub(crate) handles: usize,
}

impl Default for Features {
    fn default() -> Self {
        Self { posix_rename: false, fsync: false, read: READ, write: SMALL_WRITE, handles: HANDLES }
    }
}

impl Features {
    /// Takes the limits a server announced; 0 means none was.
    pub(crate) fn limit(&mut self, read: u64, write: u64, handles: u64) {
        if read > 0 {
            self.read = u32::try_from(read).unwrap_or(READ).min(READ);
        }
        if write > 0 {
            self.write = u32::try_from(write).unwrap_or(READ).min(READ);
        }
        if handles > 0 {
            self.handles = usize::try_from(handles).unwrap_or(HANDLES).min(HANDLES);
        }
    }
}

pub(crate) struct Session {
    pub(crate) raw: RawSftpSession,
    pub(crate) features: Features,
    pub(crate) reads: Arc<Semaphore>,
    handles: Arc<Semaphore>,
    handle: Handle<Gate>,
    /// The hosts in between: kept as long as the link through them, since nothing promises that it outlives theirs.
    _through: Vec<Handle<Gate>>,
    ending: Ending,
    lost: AtomicBool,
    /// Why, as the first request that noticed tells it.
    loss: OnceLock<SftpError>,
    host: String,
    port: u16,
    patience: Duration,
}

impl Session {
    pub(crate) fn new(
        raw: RawSftpSession,
        handle: Handle<Gate>,
        through: Vec<Handle<Gate>>,
        target: &Target,
        features: Features,
        ending: Ending,
    ) -> Self {
        Self {
            raw,
            features,
            reads: Arc::new(Semaphore::new(at_once(target.limit))),
            handles: Arc::new(Semaphore::new(features.handles)),
            handle,
            _through: through,
            ending,
            lost: AtomicBool::new(false),
            loss: OnceLock::new(),
            host: target.host.clone(),
            port: target.port,
            patience: target.timeouts.request,
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) || self.handle.is_closed()
    }

    /// Why the session is not used any more.
    pub(crate) fn loss(&self) -> SftpError {
        self.loss.get().cloned().unwrap_or_else(|| SftpError::LinkLost {
            operation: "wait for",
            path: "the next request".to_owned(),
            host: self.host.clone(),
            port: self.port,
            reason: self.ending.reason().unwrap_or_else(|| "it ended".to_owned()),
        })
    }

    /// Waits for one answer. After a link is lost or an answer overdue the session is not used again.
    pub(crate) async fn ask<T>(
        &self,
        operation: &'static str,
        path: &str,
        request: impl Future<Output = SftpResult<T>>,
    ) -> Result<T, SftpError> {
        let lost = |reason: String| SftpError::LinkLost {
            operation,
            path: path.to_owned(),
            host: self.host.clone(),
            port: self.port,
            reason: self.ending.reason().unwrap_or(reason),
        };
        let answer = tokio::select! {
            // An answer that came before the end is an answer.
            biased;
            answer = tokio::time::timeout(self.patience, request) => answer,
            // The library forgets requests that were sent in the moment of the end, and they would wait for their time to run out.
            () = self.over() => Ok(Err(RawError::IO("the link ended".to_owned()))),
        };
        let error = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(RawError::Status(status))) => return Err(refusal(operation, path, status.status_code, status.error_message)),
            Ok(Err(RawError::Timeout)) | Err(_) => SftpError::RequestTimeout {
                operation,
                path: path.to_owned(),
                host: self.host.clone(),
                port: self.port,
                after: self.patience,
            },
            Ok(Err(RawError::UnexpectedPacket)) => {
                SftpError::Protocol { operation, path: path.to_owned(), reason: "an answer of the wrong kind".to_owned() }
            }
            Ok(Err(error)) => lost(error.to_string()),
        };
        self.loss.get_or_init(|| error.clone());
        self.lost.store(true, Ordering::Relaxed);
        // The others need not find out one by one.
        self.ending.end();
        Err(error)
    }

    /// Waits for the end of the link, however it is told.
    async fn over(&self) {
        let looked_at = async {
            while !self.handle.is_closed() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = self.ending.ended() => {}
            () = looked_at => {}
        }
    }

    pub(crate) async fn lstat(&self, operation: &'static str, path: &str) -> Result<FileAttributes, SftpError> {
        Ok(self.ask(operation, path, self.raw.lstat(path)).await?.attrs)
    }

    pub(crate) async fn open(self: &Arc<Self>, operation: &'static str, path: &str, flags: OpenFlags) -> Result<Held, SftpError> {
        self.hold(operation, path, Some(flags)).await
    }

    pub(crate) async fn open_folder(self: &Arc<Self>, operation: &'static str, path: &str) -> Result<Held, SftpError> {
        self.hold(operation, path, None).await
    }

    async fn hold(self: &Arc<Self>, operation: &'static str, path: &str, flags: Option<OpenFlags>) -> Result<Held, SftpError> {
        let slot = tokio::time::timeout(self.patience, Arc::clone(&self.handles).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            return Err(SftpError::TooManyOpen { operation, path: path.to_owned(), limit: self.features.handles });
        };
        let (session, name) = (Arc::clone(self), path.to_owned());
        // A task of its own: were this future dropped between request and answer, nobody would close the handle.
        let opening = tokio::spawn(async move {
            let answer = match flags {
                Some(flags) => session.ask(operation, &name, session.raw.open(name.as_str(), flags, FileAttributes::empty())).await,
                None => session.ask(operation, &name, session.raw.opendir(name.as_str())).await,
            };
            answer.map(|opened| Held { session, path: name, handle: opened.handle, slot: Some(slot) })
        });
        match opening.await {
            Ok(held) => held,
            Err(error) => Err(SftpError::Remote { operation, path: path.to_owned(), reason: error.to_string() }),
        }
    }
}

/// Reads in flight: what is asked for must come within seconds, or a limited line would let requests run out of time.
fn at_once(limit: Option<NonZeroU64>) -> usize {
    let in_four_seconds = |limit: NonZeroU64| usize::try_from(limit.get().saturating_mul(4) / u64::from(READ)).unwrap_or(READS);
    limit.map_or(READS, |limit| in_four_seconds(limit).clamp(2, READS))
}

/// An open remote file or folder.
pub(crate) struct Held {
    pub(crate) session: Arc<Session>,
    pub(crate) path: String,
    pub(crate) handle: String,
    slot: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Closes and waits for the answer, where that says whether what was written is good.
    pub(crate) async fn close(mut self, operation: &'static str) -> Result<(), SftpError> {
        let slot = self.slot.take();
        let closed = self.session.ask(operation, &self.path, self.session.raw.close(self.handle.as_str())).await;
        drop(slot);
        closed.map(|_| ())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (Some(slot), Ok(runtime)) = (self.slot.take(), runtime::Handle::try_current()) else { return };
        let (session, handle, path) = (Arc::clone(&self.session), std::mem::take(&mut self.handle), std::mem::take(&mut self.path));
        runtime.spawn(async move {
            // Nothing was written through it, so a refusal to close concerns nobody; the slot is free either way.
            if let Err(error) = session.ask("close", &path, session.raw.close(handle)).await {
                tracing::debug!(%error, "close");
            }
            drop(slot);
        });
    }
}

fn refusal(operation: &'static str, path: &str, code: StatusCode, message: String) -> SftpError {
    let path = path.to_owned();
    match code {
        StatusCode::NoSuchFile => SftpError::NotFound { operation, path },
        StatusCode::PermissionDenied => SftpError::Denied { operation, path },
        StatusCode::OpUnsupported => SftpError::Unsupported { operation, detail: format!(" by this server ({path})") },
        code => {
            // OpenSSH's message is only the code again.
            let code = code.to_string().to_lowercase();
            let reason = if message.is_empty() || message.eq_ignore_ascii_case(&code) { code } else { message };
            SftpError::Remote { operation, path, reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_limits_only_lower_ours() {
        let mut features = Features::default();
        features.limit(261_120, 261_120, 20_000);
        assert_eq!((features.read, features.write, features.handles), (READ, READ, HANDLES));
        features.limit(16_384, 8_192, 10);
        assert_eq!((features.read, features.write, features.handles), (16_384, 8_192, 10));
        features.limit(0, 0, 0);
        assert_eq!((features.read, features.write, features.handles), (16_384, 8_192, 10));
        features.limit(u64::MAX, u64::MAX, u64::MAX);
        assert_eq!((features.read, features.write, features.handles), (READ, READ, HANDLES));
    }
}
