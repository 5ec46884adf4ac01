//! The agent's way in: the archive's file first, durable, then its manifest, durable. Only then does the archive exist.
//!
//! A crash in between leaves a file that no manifest names, which prune removes; the run is repeated under a new name.

use bytes::Bytes;
use offsite_archive::{ArchiveName, Line, Manifest, tail_len};

use crate::{Layout, LocalError, LocalStore, Repository, RepositoryError, Staged, archive_path, manifest_path};

/// An archive could not be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Only a plain repository takes archives this way.
    #[error("cannot publish {archive} in a repository of layout {layout}")]
    Layout {
        /// The archive.
        archive: ArchiveName,
        /// The layout.
        layout: Layout,
    },
    /// The manifest is not one, or is another archive's.
    #[error("the manifest of {archive} is not fit to be published")]
    Manifest {
        /// The archive.
        archive: ArchiveName,
        /// What is wrong with it.
        #[source]
        source: RepositoryError,
    },
    /// The staged file has not the length that its manifest implies.
    #[error("the file of {archive} has {found} bytes, its manifest implies {expected}")]
    Length {
        /// The archive.
        archive: ArchiveName,
        /// What the manifest implies, in bytes.
        expected: u64,
        /// What is there, in bytes.
        found: u64,
    },
    /// The archive's file could not be put in its place.
    #[error("cannot put the file of {archive} in its place")]
    File {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: LocalError,
    },
    /// The manifest could not be put in its place; the archive does not exist.
    #[error("cannot put the manifest of {archive} in its place")]
    Commit {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: RepositoryError,
    },
}

/// Puts the archive `name` into the plain repository that lies in `local`: `staged` becomes its file, `manifest` its manifest.
///
/// # Errors
/// [`PublishError`]. Nothing is there if the manifest does not fit the name or the file's length; an archive's file without its
/// manifest may be there if the disk fails between the two.
pub async fn publish(
    repository: &Repository,
    local: &LocalStore,
    staged: Staged,
    name: &ArchiveName,
    manifest: Bytes,
) -> Result<(), PublishError> {
    let archive = || name.clone();
    if repository.layout() != Layout::Plain {
        return Err(PublishError::Layout { archive: archive(), layout: repository.layout() });
    }
    let expected = implied(name, &manifest).map_err(|source| PublishError::Manifest { archive: archive(), source })?;
    let found = staged.len().map_err(|source| PublishError::File { archive: archive(), source })?;
    if found != expected {
        return Err(PublishError::Length { archive: archive(), expected, found });
    }
    let store = local.clone();
    let path = archive_path(name);
    let put = tokio::task::spawn_blocking(move || store.publish(staged, &path)).await;
    let put = put.unwrap_or_else(|error| Err(LocalError::interrupted("publish", error)));
    put.map_err(|source| PublishError::File { archive: archive(), source })?;
    repository.put_manifest(name, manifest).await.map_err(|source| PublishError::Commit { archive: archive(), source })
}

/// How long the archive's file is, by its manifest, in bytes. No frame is kept for it: the run that publishes has its own tables in memory.
fn implied(name: &ArchiveName, bytes: &[u8]) -> Result<u64, RepositoryError> {
    let object = || manifest_path(name).to_string();
    let damaged = |source| RepositoryError::Manifest { object: object(), source };
    let mut reader = Manifest::entries(bytes).map_err(damaged)?;
    let mut length = 0;
    while let Some(line) = reader.next_brief() {
        if let Line::End(end) = line.map_err(damaged)? {
            length = end.bytes.saturating_add(tail_len(end.frames, bytes.len() as u64));
        }
    }
    let says = &reader.head().archive;
    if says == name { Ok(length) } else { Err(RepositoryError::Misnamed { object: object(), says: says.clone() }) }
}
