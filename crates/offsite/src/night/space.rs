//! Is there room for what is to come? Asked before anything of an archive moves, so that a full disk is an answer with figures and not a pull
//! that ends in the middle.
//!
//! A pull that found no room moves nothing, so forgetting and pruning are tried all the same: room for the next try comes first.

use std::collections::HashSet;

use offsite_archive::ArchiveName;
use offsite_repository::{ArchiveInfo, Index, Repository};

use super::Night;
use crate::{config::PlaceName, human::size, journal::Step, platform};

/// For tables, manifests, the journal, and packs that are written anew while others are pruned. Bytes.
const ASIDE: u64 = 48 << 20;

/// What a pull would put on the disk. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// Frames that lack.
    frames: u64,
    /// What else is written.
    aside: u64,
}

impl Need {
    fn of(frames: u64) -> Self {
        // A small archive needs little aside, and a small disk may hold it.
        Self { frames, aside: ASIDE.min(frames / 8) }
    }

    fn all(self) -> u64 {
        self.frames.saturating_add(self.aside)
    }
}

/// There is no room for an archive, or for its plain copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRoom {
    /// Its frames do not fit.
    #[error(
        "there is no room for {archive}: it needs {} ({} to fetch, {} aside) and {} are free; nothing of it was moved",
        size(need.all()), size(need.frames), size(need.aside), size(*free)
    )]
    Archive { archive: ArchiveName, need: Need, free: u64 },
    /// It is there, and its copy does not fit.
    #[error(
        "there is no room for the plain copy of {archive}: it needs {} and {} are free; the archive itself is there", size(*need), size(*free)
    )]
    Plain { archive: ArchiveName, need: u64, free: u64 },
}

impl Night<'_> {
    /// Whether `info` may be pulled from the repository `from`; if not, that is noted as a failure. The plain copy has no say in this: it is
    /// a convenience.
    pub(super) async fn has_room(&mut self, pi: &PlaceName, from: &Repository, held: &Index, info: &ArchiveInfo) -> anyhow::Result<bool> {
        // A disk that does not answer is told by the copy.
        let Ok(free) = platform::free(self.mac.local.root()) else { return Ok(true) };
        // Usually there is room for all of it, and nobody needs to ask what lacks.
        if Need::of(info.end.bytes).all() <= free {
            return Ok(true);
        }
        // One that cannot be had is told by the copy, too.
        let Ok(object) = from.manifest(&info.name).await else { return Ok(true) };
        let mut seen = HashSet::new();
        let lacks = object.manifest.frames.iter().filter(|frame| !held.held(&frame.id) && seen.insert(frame.id));
        let need = Need::of(lacks.map(|frame| u64::from(frame.len)).sum());
        if need.frames == 0 || need.all() <= free {
            return Ok(true);
        }
        // An earlier try may have brought some of it. What the rule lets go still may: that is what makes room.
        self.trouble.partial = true;
        let error = NoRoom::Archive { archive: info.name.clone(), need, free };
        self.fail(Step::Pull, format!("{} ({pi})", info.name), &error.into()).map(|()| false)
    }

    /// Whether a plain copy of so many bytes may be written. Asked before, so that it does not fill the disk and then fail.
    pub(super) fn has_room_for_copy(&self, archive: &ArchiveName, need: u64) -> Result<(), NoRoom> {
        match platform::free(self.mac.local.root()) {
            Ok(free) if free < need => Err(NoRoom::Plain { archive: archive.clone(), need, free }),
            // A disk that does not answer is told by the writing.
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_needs_and_what_there_is() {
        let archive: ArchiveName = "services/2026-11-22T040000Z".parse().unwrap();
        let error = NoRoom::Archive { archive: archive.clone(), need: Need::of(2_000_000_000), free: 1_100_000_000 };
        assert_eq!(
            error.to_string(),
            "there is no room for services/2026-11-22T040000Z: it needs 2.1 GB (2.0 GB to fetch, 50 MB aside) \
             and 1.1 GB are free; nothing of it was moved"
        );
        let error = NoRoom::Plain { archive, need: 9_000_000_000, free: 3_100_000_000 };
        assert_eq!(
            error.to_string(),
            "there is no room for the plain copy of services/2026-11-22T040000Z: it needs 9.0 GB and 3.1 GB are free; \
             the archive itself is there"
        );
        assert_eq!(Need::of(80).all(), 90);
        assert_eq!(Need::of(u64::MAX).all(), u64::MAX);
    }
}
