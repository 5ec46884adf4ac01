//! Snapshots: the state of a moment, read while services run again.
//!
//! Invariants: a snapshot that might miss a part of a source is not offered for it, and no snapshot is taken that a note in the state
//! folder does not name already. Everything is tried out before services go down, for a refusal found only then would cost a full
//! read with services away. [`Snapshots`] names the outside world; [`Btrfs`] is the only one there is (docs/decisions/0015).

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{durable::DurableError, engine::CommandError};

mod btrfs;
mod held;
mod note;
#[cfg(test)]
mod testing;

pub(crate) use btrfs::Btrfs;
pub(crate) use held::Held;
pub(crate) use note::leftovers;

/// A file system that can keep the state of a moment.
pub(crate) trait Snapshots {
    /// The volume whose snapshot would show all of `source`, which is absolute; `None` where its file system knows no snapshots of
    /// this kind.
    ///
    /// Errors: it knows them, but a snapshot would not show all of `source`, or nobody can tell.
    fn offered(&self, source: &Path) -> Result<Option<Volume>, SnapshotError>;

    /// Takes the snapshot `name` of `volume`, with all that was written before the call, synced or not. Returns the folder that
    /// shows what was in [`Volume::root`]. It cannot be written to, and only root gets there.
    ///
    /// Errors: there may be a snapshot all the same; [`Snapshots::remove`] it.
    fn take(&self, volume: &Volume, name: &str) -> Result<PathBuf, SnapshotError>;

    /// Removes the snapshot `name` of `volume`, where it is there. On return it stays away.
    ///
    /// Errors: it may still be there.
    fn remove(&self, volume: &Volume, name: &str) -> Result<(), SnapshotError>;
}

/// What one snapshot shows, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Volume {
    /// The folder whose content a snapshot shows; without symbolic links.
    pub root: PathBuf,
    /// The folder that its snapshots lie in.
    pub home: PathBuf,
    /// The number by which the system tells the file system of `home`'s parent from another, also after a reboot.
    pub disk: u64,
}

/// Why a source is not read from a snapshot, or a snapshot is still there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// A file or folder cannot be looked at, made or removed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Path {
        /// What was to be done.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What the system says of mounts makes no sense.
    #[error("cannot find the mount that holds {}", path.display())]
    Mount {
        /// The source.
        path: PathBuf,
    },
    /// A part of the source lies on another volume: a snapshot would show an empty folder in its place.
    #[error("a snapshot of {} would lack {}, which is {what} of its own", path.display(), hidden.display())]
    Hidden {
        /// The source.
        path: PathBuf,
        /// What would be missing.
        hidden: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The folder that a snapshot must begin at cannot be reached.
    #[error("cannot take a snapshot for {}: only a part of its subvolume is mounted, at {}", path.display(), at.display())]
    Part {
        /// The source.
        path: PathBuf,
        /// Where the part is mounted.
        at: PathBuf,
    },
    /// The folder for snapshots, or a snapshot in it, is not as we make it.
    #[error("cannot use {}: {why}", path.display())]
    Strange {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A command failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Command {
        /// What was to be done.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: CommandError,
    },
    /// A command succeeded but said what nobody can understand.
    #[error("cannot understand what btrfs says of the subvolumes below {}: {said}", path.display())]
    Understand {
        /// The volume.
        path: PathBuf,
        /// The line.
        said: String,
    },
    /// The volume is another than it was when this was prepared.
    #[error("{} is on another volume than when the run began", path.display())]
    Moved {
        /// The source.
        path: PathBuf,
    },
    /// The disk that a snapshot lies on is not there.
    #[error("cannot remove the snapshot {}: its disk is not mounted there now", path.display())]
    Away {
        /// The snapshot.
        path: PathBuf,
    },
    /// The note of snapshots cannot be kept.
    #[error(transparent)]
    State(#[from] DurableError),
    /// The note of snapshots cannot be written or understood.
    #[error("cannot {operation} {}: {source}", path.display())]
    Note {
        /// What was to be done.
        operation: &'static str,
        /// The note.
        path: PathBuf,
        /// What the serialiser said.
        source: serde_json::Error,
    },
}
