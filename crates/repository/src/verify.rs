//! Whether what is kept is what it should be: every frame decoded and hashed, every table compared.
//!
//! Packs are read front to back in bounded pieces, each byte once, however many archives need it; which archives a bad frame harms is
//! worked out afterwards from the manifests. A frame that is bad in one pack and good in another harms nobody, once the bad pack
//! is set aside. What the way to the store breaks (a cut link) is an error and never mistaken for damage.

mod plain;
mod work;

use std::collections::BTreeSet;

use offsite_archive::{ArchiveName, FrameId};

pub use plain::{PlainState, verify_plain};

use crate::{ObjectId, PackName, Progress, Repository, RepositoryError, Unreadable};

/// What is to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything that is there.
    All,
    /// One archive: the frames that it needs.
    Archive(ArchiveName),
    /// These packs, and what that means for every archive; of frames in other packs only that they are there. One that is gone is
    /// passed over. Not for [`Layout::Plain`](crate::Layout::Plain), which has no such packs.
    Packs(BTreeSet<ObjectId>),
}

/// What is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// A frame is there and is not what its id says, or its pack ends before it does.
    Frame {
        /// The frame.
        frame: FrameId,
        /// The pack in which it lies.
        pack: PackName,
        /// How it shows.
        cause: String,
    },
    /// A frame is in no pack.
    Lacking {
        /// The frame.
        frame: FrameId,
    },
    /// A frame is there and good, but the manifest gives it another raw length.
    Length {
        /// The frame.
        frame: FrameId,
        /// What the manifest says, in bytes.
        expected: u32,
        /// What it has, in bytes.
        found: u32,
    },
    /// The frames of a plain archive file are good, but what stands behind them is not what belongs there.
    Tail {
        /// The archive's file.
        pack: PackName,
    },
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Each archive that was looked at, by name, and what is wrong with it: nothing, if it is whole as far as was looked.
    pub archives: Vec<(ArchiveName, Vec<Damage>)>,
    /// Packs in which something is wrong, to be set aside. Never those of a plain repository.
    pub damaged_packs: Vec<ObjectId>,
    /// Each frame that is bad, with the pack in which it is: also those that are good elsewhere, and those that no archive needs.
    pub bad: Vec<(ObjectId, FrameId)>,
    /// Frames that were decoded and are good.
    pub frames: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Manifests, index objects and tables that cannot be read or understood.
    pub unreadable: Vec<Unreadable>,
}

impl Verified {
    /// Whether nothing at all is wrong.
    pub fn is_whole(&self) -> bool {
        self.damaged_packs.is_empty() && self.unreadable.is_empty() && self.archives.iter().all(|(_, damages)| damages.is_empty())
    }
}

/// Verifies a repository, or one archive of it. `progress` is told the bytes of packs read. In a sealed repository this reads cold
/// packs.
///
/// # Errors
/// [`RepositoryError`], if the way to the store is cut or the archive asked for is not there: nothing is known then.
pub async fn verify(repository: &Repository, scope: &Scope, progress: &(dyn Fn(Progress) + Sync)) -> Result<Verified, RepositoryError> {
    let mut found = work::verify(repository, scope, progress).await?;
    found.archives.sort_by(|a, b| a.0.cmp(&b.0));
    found.damaged_packs.sort();
    found.damaged_packs.dedup();
    Ok(found)
}
