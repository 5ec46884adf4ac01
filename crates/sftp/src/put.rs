//! Writing an object: temporary file, sync, rename.
//!
//! The name appears only when all bytes are written and, where the server offers it, synced. A rename over SFTP refuses an
//! existing name, which is what a create-only put wants; overwriting needs OpenSSH's `posix-rename`, because removing
//! first and renaming then would leave nothing if the power went in between. SFTP cannot sync a folder: that the *name*
//! survives a power cut is up to the server's file system.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::PutPayload;
use object_store::path::Path;
use russh_sftp::client::error::Error as RawError;
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode};

use crate::error::SftpError;
use crate::list::TEMPORARY;
use crate::read::Stamp;
use crate::session::{Held, Session};
use crate::target::Target;

/// Writes in flight.
const WRITES: usize = 32;

/// Stores `payload` as `location`. `again` says that an earlier attempt may have got through before its link was lost.
pub(crate) async fn put(
    session: &Arc<Session>,
    target: &Target,
    location: &Path,
    payload: &PutPayload,
    create: bool,
    again: bool,
) -> Result<(), SftpError> {
    let path = target.remote(location.as_ref());
    if create && exists(session, &path).await? {
        return settle(session, &path, payload, again).await;
    }
    let (temporary, held) = temporary(session, target, location).await?;
    let written = write(held, payload).await;
    let renamed = match written {
        Ok(()) => rename(session, &temporary, &path, create).await,
        Err(error) => Err(error),
    };
    let Err(error) = renamed else { return Ok(()) };
    if !error.is_lost_link() {
        // The first failure is the one to report; a temporary file left behind is hidden and harms nothing.
        if let Err(error) = session.ask("remove", &temporary, session.raw.remove(temporary.as_str())).await {
            tracing::debug!(%error, "temporary file left behind");
        }
    }
    if matches!(error, SftpError::Exists { .. }) { settle(session, &path, payload, again).await } else { Err(error) }
}

async fn exists(session: &Session, path: &str) -> Result<bool, SftpError> {
    match session.lstat("put", path).await {
        Ok(_) => Ok(true),
        Err(SftpError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The name is taken. After a lost link it may be our own doing: then the bytes are the same.
async fn settle(session: &Arc<Session>, path: &str, payload: &PutPayload, again: bool) -> Result<(), SftpError> {
    if again && holds(session, path, payload).await? {
        return Ok(());
    }
    Err(SftpError::Exists { operation: "put", path: path.to_owned() })
}

async fn holds(session: &Arc<Session>, path: &str, payload: &PutPayload) -> Result<bool, SftpError> {
    let stamp = Stamp::of("put", path, &session.lstat("put", path).await?)?;
    if stamp.size != payload.content_length() as u64 {
        return Ok(false);
    }
    let held = session.open("put", path, OpenFlags::READ).await?;
    let mut at = 0u64;
    for expected in chunks(payload, session.features.read) {
        let mut rest = expected.clone();
        while !rest.is_empty() {
            let wanted = u32::try_from(rest.len()).unwrap_or(session.features.read);
            let data = session.ask("put", path, session.raw.read(held.handle.as_str(), at, wanted)).await?.data;
            if data.is_empty() || !rest.starts_with(&data) {
                return Ok(false);
            }
            at += data.len() as u64;
            rest = rest.split_off(data.len());
        }
    }
    Ok(true)
}

/// Makes a temporary file beside the target, and the folders above where they lack.
async fn temporary(session: &Arc<Session>, target: &Target, location: &Path) -> Result<(String, Held), SftpError> {
    let number = getrandom::u64().map_err(|error| SftpError::Random { reason: error.to_string() })?;
    let folder = location.as_ref().rsplit_once('/').map_or("", |(folder, _)| folder);
    let name = format!("{TEMPORARY}{number:016x}");
    let path = target.remote(&if folder.is_empty() { name } else { format!("{folder}/{name}") });
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
    match session.open("put", &path, flags).await {
        Err(SftpError::NotFound { .. }) => {}
        result => return result.map(|held| (path, held)),
    }
    let mut made = String::new();
    for part in folder.split('/').filter(|part| !part.is_empty()) {
        if !made.is_empty() {
            made.push('/');
        }
        made.push_str(part);
        make_folder(session, &target.remote(&made)).await?;
    }
    session.open("put", &path, flags).await.map(|held| (path, held))
}

async fn make_folder(session: &Session, path: &str) -> Result<(), SftpError> {
    let Err(error) = session.ask("make folder", path, session.raw.mkdir(path, FileAttributes::empty())).await else { return Ok(()) };
    if error.is_lost_link() {
        return Err(error);
    }
    // An existing folder is a bare failure to SFTP, whoever made it.
    match session.ask("make folder", path, session.raw.stat(path)).await {
        Ok(attrs) if attrs.attrs.file_type().is_dir() => Ok(()),
        Err(lost) if lost.is_lost_link() => Err(lost),
        _ => Err(error),
    }
}

fn chunks(payload: &PutPayload, size: u32) -> impl Iterator<Item = Bytes> + Send {
    let size = size.max(1) as usize;
    payload.clone().into_iter().flat_map(move |mut part| {
        std::iter::from_fn(move || {
            let chunk = part.split_to(size.min(part.len()));
            (!chunk.is_empty()).then_some(chunk)
        })
    })
}

async fn write(held: Held, payload: &PutPayload) -> Result<(), SftpError> {
    let session = Arc::clone(&held.session);
    let offsets = chunks(payload, session.features.write).scan(0u64, |at, chunk| {
        let start = *at;
        *at += chunk.len() as u64;
        Some((start, chunk))
    });
    stream::iter(offsets)
        .map(|(at, chunk)| {
            let (session, held) = (&session, &held);
            async move { session.ask("write", &held.path, session.raw.write(held.handle.as_str(), at, chunk.to_vec())).await }
        })
        .buffer_unordered(WRITES)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    if session.features.fsync {
        session.ask("sync", &held.path, session.raw.fsync(held.handle.as_str())).await?;
    }
    held.close("write").await
}

async fn rename(session: &Session, from: &str, to: &str, create: bool) -> Result<(), SftpError> {
    let result = if create || !session.features.posix_rename {
        session.ask("rename to", to, session.raw.rename(from, to)).await.map(|_| ())
    } else {
        let request = async {
            let mut names = Vec::new();
            for name in [from, to] {
                names.extend(u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes());
                names.extend(name.as_bytes());
            }
            match session.raw.extended("posix-rename@openssh.com", names).await? {
                Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
                Packet::Status(status) => Err(RawError::Status(status)),
                _ => Err(RawError::UnexpectedPacket),
            }
        };
        session.ask("rename to", to, request).await
    };
    match result {
        Err(error) if !error.is_lost_link() && !session.features.posix_rename && !create && exists(session, to).await? => {
            tracing::debug!(%error, "rename over an existing name");
            Err(SftpError::Unsupported { operation: "overwriting an object", detail: format!(" by this server ({to})") })
        }
        // "It exists" is a bare failure to SFTP.
        Err(SftpError::Remote { .. }) if create && exists(session, to).await? => {
            Err(SftpError::Exists { operation: "put", path: to.to_owned() })
        }
        result => result,
    }
}
