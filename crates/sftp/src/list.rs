//! Listing a remote folder tree.
//!
//! Only regular files whose names are object names are listed: symbolic links are not followed (they could form
//! a circle), hidden temporary files belong to a writer, and names that are not UTF-8 arrive mangled and could not be
//! opened. A missing prefix holds nothing, but a missing root is an error: an unmounted disk must not look like an
//! empty repository. The number of names and the depth are bounded, whatever the server says.

use std::sync::Arc;

use futures::future::join;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use russh_sftp::client::error::Error as RawError;
use russh_sftp::protocol::{FileAttributes, FileType, Name, StatusCode};

use crate::error::SftpError;
use crate::read::Stamp;
use crate::session::{Held, Session};
use crate::target::Target;

/// Names of files that are being written.
pub(crate) const TEMPORARY: &str = ".tmp-";
const MAX_NAMES: usize = 1 << 20;
const MAX_DEPTH: usize = 32;
/// Folders read at a time.
const FOLDERS: usize = 8;

/// One folder's objects and subfolders, or a whole tree's objects.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<(Path, Stamp)>,
    pub(crate) folders: Vec<Path>,
}

/// All objects below `prefix`, sorted by name.
pub(crate) async fn tree(session: &Arc<Session>, target: &Target, prefix: &Path) -> Result<Vec<(Path, Stamp)>, SftpError> {
    let mut files = Vec::new();
    let mut level = vec![prefix.clone()];
    let mut names = 0;
    for _ in 0..MAX_DEPTH {
        if level.is_empty() {
            files.sort_by(|(a, _): &(Path, Stamp), (b, _)| a.cmp(b));
            return Ok(files);
        }
        let mut listings = stream::iter(std::mem::take(&mut level))
            .map(|folder| async move { one_folder(session, target, &folder).await })
            .buffered(FOLDERS);
        while let Some(listing) = listings.try_next().await? {
            names += listing.files.len() + listing.folders.len();
            if names > MAX_NAMES {
                return Err(SftpError::TooMany { path: target.remote(prefix.as_ref()), limit: MAX_NAMES });
            }
            files.extend(listing.files);
            level.extend(listing.folders);
        }
    }
    let path = target.remote(prefix.as_ref());
    Err(SftpError::Remote { operation: "list", path, reason: format!("folders are nested deeper than {MAX_DEPTH}") })
}

/// The objects and folders directly in `prefix`, each sorted by name.
pub(crate) async fn one_folder(session: &Arc<Session>, target: &Target, prefix: &Path) -> Result<Listing, SftpError> {
    let path = target.remote(prefix.as_ref());
    let held = match session.open_folder("list", &path).await {
        Ok(held) => held,
        Err(error) => return absent(session, target, prefix, error).await,
    };
    let mut listing = Listing::default();
    let mut ended = false;
    while !ended {
        // Two at a time: the second answer is usually that the folder ends, and a long line is not asked for that alone.
        let (first, second) = join(batch(session, &held), batch(session, &held)).await;
        for answer in [first, second] {
            let batch = match answer {
                Ok(Some(batch)) => batch,
                Ok(None) => {
                    ended = true;
                    continue;
                }
                // Behind the end a server may say what it likes.
                Err(_) if ended => continue,
                Err(error) => return Err(error),
            };
            if batch.files.is_empty() {
                return Err(SftpError::Protocol { operation: "list", path, reason: "an empty answer before the end".to_owned() });
            }
            for file in batch.files {
                let Some(name) = object_name(prefix, &file.filename) else { continue };
                place(session, target, name, file.attrs, &mut listing).await?;
            }
        }
        if listing.files.len() + listing.folders.len() > MAX_NAMES {
            return Err(SftpError::TooMany { path, limit: MAX_NAMES });
        }
    }
    listing.files.sort_by(|(a, _), (b, _)| a.cmp(b));
    listing.folders.sort();
    Ok(listing)
}

/// The next names of an open folder; `None` at its end.
async fn batch(session: &Session, held: &Held) -> Result<Option<Name>, SftpError> {
    let request = async {
        match session.raw.readdir(held.handle.as_str()).await {
            Err(RawError::Status(status)) if status.status_code == StatusCode::Eof => Ok(None),
            answer => answer.map(Some),
        }
    };
    session.ask("list", &held.path, request).await
}

/// A folder that is not there holds nothing, if the root is there; nor does a file.
async fn absent(session: &Session, target: &Target, prefix: &Path, error: SftpError) -> Result<Listing, SftpError> {
    let path = target.remote(prefix.as_ref());
    let is_file = || async {
        // Some servers report "not a directory" as a bare failure.
        Ok::<_, SftpError>(matches!(&error, SftpError::Remote { .. }) && !session.lstat("list", &path).await?.file_type().is_dir())
    };
    if !matches!(error, SftpError::NotFound { .. }) && !is_file().await? {
        return Err(error);
    }
    let root = target.remote("");
    match session.ask("list", &root, session.raw.stat(root.as_str())).await {
        Ok(_) if prefix.as_ref().is_empty() => Err(error),
        Ok(_) => Ok(Listing::default()),
        Err(SftpError::NotFound { .. }) => Err(SftpError::RootMissing { host: target.host.clone(), root: target.root.clone() }),
        Err(error) => Err(error),
    }
}

/// The object that a remote name stands for, if it can be one.
fn object_name(prefix: &Path, name: &str) -> Option<Path> {
    if name == "." || name == ".." || name.starts_with(TEMPORARY) {
        return None;
    }
    if name.is_empty() || name.contains(['/', '\0', char::REPLACEMENT_CHARACTER]) {
        tracing::warn!(folder = %prefix, ?name, "a name that cannot be an object was skipped");
        return None;
    }
    let full = if prefix.as_ref().is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    let path = Path::parse(&full).ok().filter(|path| path.as_ref() == full);
    if path.is_none() {
        tracing::warn!(folder = %prefix, ?name, "a name that cannot be an object was skipped");
    }
    path
}

async fn place(session: &Session, target: &Target, name: Path, attrs: FileAttributes, listing: &mut Listing) -> Result<(), SftpError> {
    let path = target.remote(name.as_ref());
    // The server need not send attributes with a name.
    let attrs = if attrs.permissions.is_some() && attrs.size.is_some() {
        attrs
    } else {
        match session.lstat("list", &path).await {
            Ok(attrs) => attrs,
            Err(SftpError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    };
    match attrs.file_type() {
        FileType::Dir => listing.folders.push(name),
        FileType::File => listing.files.push((name, Stamp::of("list", &path, &attrs)?)),
        FileType::Symlink | FileType::Other => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_can_be_objects() {
        let at = |prefix: &str, name: &str| object_name(&Path::from(prefix), name).map(|path| path.to_string());
        assert_eq!(at("", "a").as_deref(), Some("a"));
        assert_eq!(at("a/b", "c.zst").as_deref(), Some("a/b/c.zst"));
        for bad in ["", ".", "..", "a/b", "../x", ".tmp-1f", "caf\u{fffd}", "nul\0"] {
            assert_eq!(at("a", bad), None, "{bad:?}");
        }
    }
}
