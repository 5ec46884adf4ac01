//! What can go wrong in a repository, each with the operation, the object and the cause. A verb's own errors stand beside the verb.
//!
//! Causes are kept as sources and never turned into text, so that a caller can still ask the chain a question: is the disk full
//! ([`is_disk_full`]), is the object gone, does the frame not match its hash.

use std::{error::Error, io};

use offsite_archive::{ArchiveName, FrameError, FrameId, MANIFEST_VERSION, ManifestError};

use crate::{Layout, LocalError, TableError};

/// An operation on a repository failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// Nothing there says that this place is a repository.
    #[error("{place} is not an offsite repository: it has no repository.json (create one first, or check that the disk is mounted)")]
    NotARepository {
        /// The place.
        place: String,
    },
    /// Archives or packs are there, but the file that says what they are is gone.
    #[error("{place} holds objects of a repository, but its repository.json is lost")]
    MarkerLost {
        /// The place.
        place: String,
    },
    /// The place is a repository already.
    #[error("{place} is an offsite repository already")]
    Exists {
        /// The place.
        place: String,
    },
    /// repository.json is there and says nothing that we understand.
    #[error("repository.json of {place} is damaged")]
    MarkerDamaged {
        /// The place.
        place: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The repository was written by a newer offsite.
    #[error("{place} is a repository of version {version}, this offsite knows version 1 (update offsite)")]
    Version {
        /// The place.
        place: String,
        /// The version it says.
        version: u64,
    },
    /// The repository has a layout that is not known or not allowed here.
    #[error("{place} has the layout {layout:?}, which cannot be opened as a repository by itself")]
    UnknownLayout {
        /// The place.
        place: String,
        /// The layout it says.
        layout: String,
    },
    /// The layout of the repository rules the operation out.
    #[error("cannot {operation} in a repository of layout {layout}")]
    NotSupported {
        /// The operation.
        operation: &'static str,
        /// The layout.
        layout: Layout,
    },
    /// The store refused or failed.
    #[error("cannot {operation} {object}")]
    Store {
        /// What was tried: `read`, `write`, `list`, `delete`.
        operation: &'static str,
        /// The object or prefix.
        object: String,
        /// Why not.
        #[source]
        source: object_store::Error,
    },
    /// An object is larger than anything honest.
    #[error("{object} has {bytes} bytes, more than the {limit} that are read at once")]
    TooLarge {
        /// The object.
        object: String,
        /// Its size, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// There is no archive of that name (any more).
    #[error("the archive {archive} is not in the repository")]
    NoSuchArchive {
        /// The name.
        archive: ArchiveName,
    },
    /// A manifest is damaged, lies, or is of a version to come.
    #[error("the manifest {object} is {}", if matches!(source, ManifestError::Version(version) if *version > MANIFEST_VERSION) { "of a newer offsite" } else { "damaged" })]
    Manifest {
        /// The object.
        object: String,
        /// What is wrong with it.
        #[source]
        source: ManifestError,
    },
    /// A manifest describes another archive than the one that it is named for.
    #[error("the manifest {object} describes {says}")]
    Misnamed {
        /// The object.
        object: String,
        /// The archive in its head.
        says: ArchiveName,
    },
    /// Something lies among the manifests, packs or index objects that has no name of ours.
    #[error("{object} has no name that offsite gives (move it out of the repository)")]
    Stray {
        /// The object.
        object: String,
    },
    /// A manifest lists more frames than are taken into memory.
    #[error("the manifest {object} lists more than {limit} frames")]
    TooManyFrames {
        /// The object.
        object: String,
        /// The limit.
        limit: usize,
    },
    /// A place lists more manifests than any has.
    #[error("cannot list the archives: there are {found} manifests, more than {limit}")]
    TooManyArchives {
        /// How many there are.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Heads and ends of the archives of one place fill what memory there is for them.
    #[error("the manifest {object} is not taken: with its sources and warnings, those of all archives fill more than {limit} bytes")]
    TooMuchSaid {
        /// The object.
        object: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A manifest says of a frame what no frame can be.
    #[error("the manifest {object} gives frame {frame} a length of {len} bytes, more than any frame has")]
    AbsurdFrame {
        /// The object.
        object: String,
        /// The frame.
        frame: FrameId,
        /// The length, in bytes.
        len: u32,
    },
    /// A pack's table is damaged or lies.
    #[error("the table in {object} is damaged")]
    Table {
        /// The pack or the index object.
        object: String,
        /// What is wrong with it.
        #[source]
        source: TableError,
    },
    /// A pack has no index object, and the layout forbids to read the pack for it.
    #[error("{object} is missing, and packs of this layout are not read for it")]
    IndexMissing {
        /// The index object.
        object: String,
    },
    /// Another object of that name is there, with other bytes.
    #[error("{object} is there already and differs")]
    Differs {
        /// The object.
        object: String,
    },
    /// The operating system gave no randomness.
    #[error("cannot get randomness from the operating system")]
    Random {
        /// Why not.
        #[source]
        source: getrandom::Error,
    },
}

/// Frames could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The store failed.
    #[error("cannot read {object}")]
    Read {
        /// The pack.
        object: String,
        /// Why not.
        #[source]
        source: object_store::Error,
    },
    /// The pack went away since the index was made.
    #[error("{object} is gone")]
    Gone {
        /// The pack.
        object: String,
    },
    /// The repository does not hold the frame.
    #[error("frame {frame} is not in the repository")]
    Lacking {
        /// The frame.
        frame: FrameId,
    },
    /// The pack ends before the frame does.
    #[error("{object} is too short to hold frame {frame}")]
    Short {
        /// The frame.
        frame: FrameId,
        /// The pack.
        object: String,
    },
    /// The bytes are not the frame's.
    #[error("frame {frame} in {object} is damaged")]
    Damaged {
        /// The frame.
        frame: FrameId,
        /// The pack.
        object: String,
        /// How it shows.
        #[source]
        source: FrameError,
    },
}

impl FetchError {
    /// Whether the fault lies in what is kept there, rather than in the way to it: another copy of the frame would help, a second
    /// try would not.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Lacking { .. } | Self::Short { .. } | Self::Damaged { .. } => true,
            Self::Read { source, .. } => is_spoilt(source),
            Self::Gone { .. } => false,
        }
    }

    /// Whether it is damage and nobody could read it: not that the reader lacks a right, or that a cold class must be thawed first.
    pub fn is_lost(&self) -> bool {
        let refused = |source: &object_store::Error| {
            let of_io = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
            matches!(source, object_store::Error::PermissionDenied { .. })
                || chain(source).any(|error| error.downcast_ref().is_some_and(of_io))
        };
        self.is_damage() && !matches!(self, Self::Read { source, .. } if refused(source))
    }
}

impl RepositoryError {
    /// Whether the fault lies in one object, rather than in the way to the store: others may still be good.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Store { source, .. } => is_spoilt(source),
            Self::Random { .. } | Self::NotSupported { .. } | Self::TooManyArchives { .. } => false,
            _ => true,
        }
    }
}

/// Whether a store's error means that the object itself cannot be had, as with a bad spot on the disk.
fn is_spoilt(error: &object_store::Error) -> bool {
    // What the disk, or the file system's own checksums and structures, say of one file.
    const BAD_SPOT: &[i32] = &[
        rustix::io::Errno::IO.raw_os_error(),
        rustix::io::Errno::BADMSG.raw_os_error(),
        #[cfg(target_os = "linux")]
        rustix::io::Errno::UCLEAN.raw_os_error(),
    ];
    let of_io = |error: &io::Error| {
        error.raw_os_error().is_some_and(|code| BAD_SPOT.contains(&code))
            || matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::PermissionDenied)
    };
    chain(error).any(|error| {
        error.downcast_ref::<io::Error>().is_some_and(of_io)
            || matches!(error.downcast_ref::<LocalError>(), Some(LocalError::NotAFile { .. } | LocalError::Name { .. }))
            || is_unsealable(error)
    }) || matches!(error, object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. })
}

/// Whether a sealed object could not be opened.
#[cfg(feature = "seal")]
fn is_unsealable(error: &(dyn Error + 'static)) -> bool {
    error.is::<crate::seal::SealError>()
}

#[cfg(not(feature = "seal"))]
fn is_unsealable(_: &(dyn Error + 'static)) -> bool {
    false
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// An object that could not be read or understood, and hides no other.
#[derive(Debug)]
pub struct Unreadable {
    /// The object.
    pub object: String,
    /// What is wrong with it.
    pub error: RepositoryError,
}

/// Whether an error says, anywhere in its chain, that the disk or the quota is full.
pub fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    chain(error).filter_map(|error| error.downcast_ref::<io::Error>()).any(|error| {
        // An error that wraps another has the kind of its own only.
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_account_could_read_is_not_lost() {
        let read = |source: io::Error| FetchError::Read {
            object: "packs/a".into(),
            source: object_store::Error::Generic { store: "disk", source: source.into() },
        };
        let spot = read(rustix::io::Errno::IO.into());
        assert!(spot.is_damage() && spot.is_lost());
        let refused = read(io::ErrorKind::PermissionDenied.into());
        assert!(refused.is_damage() && !refused.is_lost());
        let source = object_store::Error::PermissionDenied { path: "packs/a".into(), source: "InvalidObjectState".into() };
        assert!(!FetchError::Read { object: "packs/a".into(), source }.is_lost());
        assert!(!FetchError::Gone { object: "packs/a".into() }.is_lost());
    }

    #[test]
    fn what_the_disk_says_of_one_file_is_damage_and_a_cut_way_is_not() {
        use rustix::io::Errno;
        let damage = |errno: Errno| {
            let source = object_store::Error::Generic { store: "disk", source: Box::new(io::Error::from(errno)) };
            RepositoryError::Store { operation: "read", object: "packs/a".into(), source }.is_damage()
        };
        assert!(damage(Errno::IO) && damage(Errno::BADMSG));
        #[cfg(target_os = "linux")]
        assert!(damage(Errno::UCLEAN));
        assert!(!damage(Errno::STALE) && !damage(Errno::NOSPC));
    }
}
