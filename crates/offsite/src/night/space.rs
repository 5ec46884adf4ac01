//! Is there room for what is to come? Asked before anything of an archive moves, so that a full disk is an answer with figures and not a pull
//! that ends in the middle.
//!
//! A pull that found no room moves nothing, and pruning is tried all the same: room for the next try comes first.

use std::collections::HashSet;

use offsite_archive::ArchiveName;
use offsite_repository::{ArchiveInfo, Index, Repository};

use super::Night;
use crate::{
    config::{PlaceName, PlainCopies},
    human::size,
    journal::Step,
    platform,
};

/// For tables, manifests, the journal, and packs that are written anew while others are pruned. Bytes.
const ASIDE: u64 = 48 << 20;

/// What a pull would put on the disk. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Need {
    /// Frames that lack.
    frames: u64,
    /// The plain copy, if it gets one; that of the archive before goes only afterwards.
    plain: u64,
    /// What else is written.
    aside: u64,
}

impl Need {
    fn of(frames: u64, plain: u64) -> Self {
        // A small archive needs little aside, and a small disk may hold it.
        Self { frames, plain, aside: ASIDE.min(frames / 8 + plain / 8) }
    }

    fn all(self) -> u64 {
        self.frames.saturating_add(self.plain).saturating_add(self.aside)
    }
}

/// There is no room for an archive.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no room for {archive}: it needs {} ({} to fetch, {} for its plain copy, {} aside) and {} are free; nothing of it was moved",
    size(need.all()), size(need.frames), size(need.plain), size(need.aside), size(*free)
)]
pub(crate) struct NoRoom {
    archive: ArchiveName,
    need: Need,
    free: u64,
}

impl Night<'_> {
    /// Whether `info` may be pulled from the repository `from`; if not, that is noted as a failure.
    pub(super) async fn has_room(&mut self, pi: &PlaceName, from: &Repository, held: &Index, info: &ArchiveInfo) -> anyhow::Result<bool> {
        // A disk that does not answer is told by the copy.
        let Ok(free) = platform::free(self.mac.local.root()) else { return Ok(true) };
        let plain = if self.gets_a_copy(info) { info.end.bytes.saturating_add(info.manifest_bytes) } else { 0 };
        let most = Need::of(info.end.bytes, plain);
        // Usually there is room for all of it, and nobody needs to ask what lacks.
        if most.all() <= free {
            return Ok(true);
        }
        // One that cannot be had is told by the copy, too.
        let Ok(object) = from.manifest(&info.name).await else { return Ok(true) };
        let mut seen = HashSet::new();
        let lacks = object.manifest.frames.iter().filter(|frame| !held.held(&frame.id) && seen.insert(frame.id));
        let need = Need::of(lacks.map(|frame| u64::from(frame.len)).sum(), plain);
        if need.frames == 0 || need.all() <= free {
            return Ok(true);
        }
        self.trouble.full = true;
        let error = NoRoom { archive: info.name.clone(), need, free };
        self.fail_archive(Step::Pull, &info.name, pi, &error.into()).map(|()| false)
    }

    fn gets_a_copy(&self, info: &ArchiveInfo) -> bool {
        let mac = self.standing.held.get(&PlaceName::mac()).and_then(|jobs| jobs.get(&info.name.job));
        match self.config.plain {
            PlainCopies::None => false,
            PlainCopies::Newest => mac.is_none_or(|holding| holding.newest.time() <= info.name.time()),
            PlainCopies::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_needs_and_what_there_is() {
        let error = NoRoom {
            archive: "services/2026-11-22T040000Z".parse().unwrap(),
            need: Need::of(2_000_000_000, 9_000_000_000),
            free: 3_100_000_000,
        };
        assert_eq!(
            error.to_string(),
            "there is no room for services/2026-11-22T040000Z: it needs 11 GB (2.0 GB to fetch, 9.0 GB for its plain copy, 50 MB aside) \
             and 3.1 GB are free; nothing of it was moved"
        );
        assert_eq!(Need::of(80, 0).all(), 90);
        assert_eq!(Need::of(u64::MAX, u64::MAX).all(), u64::MAX);
    }
}
