//! Is there room for what is to come? Asked before anything of an archive moves, so that a full disk is an answer with figures and not a pull
//! that ends in the middle.
//!
//! A pull that found no room moves nothing, so forgetting and pruning are tried all the same: room for the next try comes first. Before it is
//! refused, what earlier pulls brought and did not end gives its room back, unless this one needs it: the Pi may have forgotten those archives,
//! and nobody else would ever take it.

use std::{collections::HashSet, mem};

use offsite_archive::{ArchiveName, FrameId};
use offsite_repository::{ArchiveInfo, Index, Repository, RepositoryError, plan_prune_keeping};

use super::{Night, retain::unknown_needs};
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
    /// a convenience. `coming` are all that are to come from there, until what they do not need was given back.
    pub(super) async fn has_room(
        &mut self,
        pi: &PlaceName,
        from: &Repository,
        held: &mut Index,
        info: &ArchiveInfo,
        coming: &mut Option<&[ArchiveInfo]>,
    ) -> anyhow::Result<bool> {
        // A disk that does not answer is told by the copy.
        let Ok(free) = platform::free(self.mac.local.root()) else { return Ok(true) };
        // Usually there is room for all of it, and nobody needs to ask what lacks.
        if Need::of(info.end.bytes).all() <= free {
            return Ok(true);
        }
        // One that cannot be had is told by the copy, too.
        let Ok(object) = from.manifest(&info.name).await else { return Ok(true) };
        // An earlier try may have brought some of it.
        let need = |held: &Index| {
            let mut seen = HashSet::new();
            let lacks = object.manifest.frames.iter().filter(|frame| !held.held(&frame.id) && seen.insert(frame.id));
            Need::of(lacks.map(|frame| u64::from(frame.len)).sum())
        };
        let fits = |need: Need, free| need.frames == 0 || need.all() <= free;
        if fits(need(held), free) {
            return Ok(true);
        }
        if let Some(coming) = coming.take() {
            self.give_back(from, held, coming).await?;
        }
        let (need, free) = (need(held), platform::free(self.mac.local.root()).unwrap_or(free));
        if fits(need, free) {
            return Ok(true);
        }
        // What the rule lets go still may: that is what makes room.
        self.trouble.partial = true;
        let error = NoRoom::Archive { archive: info.name.clone(), need, free };
        self.fail(Step::Pull, format!("{} ({pi})", info.name), &error.into()).map(|()| false)
    }

    /// Prunes the Mac's repository of what no archive there needs and none of those `coming`. Of what other Pis' pulls brought and did not end
    /// nothing is known here: it would have to come again.
    async fn give_back(&mut self, from: &Repository, held: &mut Index, coming: &[ArchiveInfo]) -> anyhow::Result<()> {
        let (place, repository) = (PlaceName::mac(), self.mac.repository.clone());
        // As wherever something is pruned.
        if self.trouble.blind || unknown_needs(&self.standing, &place) {
            return Ok(());
        }
        // As long as it cannot be told what they need, nothing goes; that is told by their copy.
        let Ok(coming) = frames(from, coming).await else { return Ok(()) };
        let plan = plan_prune_keeping(&repository, &coming).await;
        if plan.as_ref().is_ok_and(|plan| plan.is_empty()) {
            return Ok(());
        }
        let Some(_alone) = self.alone()? else { return Ok(()) };
        // Frames in packs that go, or went when this failed half-way, must never be taken for held.
        drop(mem::take(held));
        self.prune(&place, &repository, plan).await?;
        match repository.index().await {
            Ok(index) => *held = index,
            Err(error) => self.fail(Step::Pull, &place, &error.into())?,
        }
        Ok(())
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

/// The frames of all of these archives, each once; those of one that was forgotten meanwhile nobody needs.
async fn frames(from: &Repository, archives: &[ArchiveInfo]) -> Result<Vec<FrameId>, RepositoryError> {
    let mut frames = Vec::new();
    for info in archives {
        match from.manifest(&info.name).await {
            Ok(object) => frames.extend(object.manifest.frames.iter().map(|frame| frame.id)),
            Err(RepositoryError::NoSuchArchive { .. }) => {}
            Err(error) => return Err(error),
        }
        frames.sort_unstable();
        frames.dedup();
    }
    Ok(frames)
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
