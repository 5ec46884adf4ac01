//! What a place should hold and does not, and what came back. From manifests, index objects and listings alone: no pack is read.
//!
//! A loss is an alarm that ends by an event: the archive is healed, found again, or forgotten on purpose.

use std::collections::BTreeSet;

use offsite_archive::ArchiveName;
use offsite_repository::{ArchiveInfo, Repository, RepositoryError, Unreadable, holds, lacking, mend_index};

use super::Night;
use crate::{
    config::PlaceName,
    hint,
    human::count,
    journal::{Fact, Step},
};

/// Manifests of one place that have a receipt of their own in a night, and those that are named in the log at all: a place full of rubbish fills
/// neither.
const TOLD: usize = 8;
const LOGGED: usize = 100;

/// A manifest that a Pi or a cloud offers and that was refused; what to do is done there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Pi(RepositoryError),
    #[error(transparent)]
    Cloud(RepositoryError),
}

/// The Mac holds archives and its journal tells of nothing at all.
#[derive(Debug, thiserror::Error)]
#[error(
    "the journal is younger than {} in the repository: what it told of them, losses and suspicions too, is not known any more",
    count(*archives as u64, "archive", "archives")
)]
pub(crate) struct JournalLost {
    archives: usize,
}

impl Night<'_> {
    /// Looks at the Mac. If that fails, the night goes on blind and forgets nothing here.
    pub(super) async fn note_losses(&mut self) -> anyhow::Result<()> {
        let (mac, repository) = (PlaceName::mac(), self.mac.repository.clone());
        // A night that was killed between a pack and its index object left the pack without: it costs nothing to write it now.
        if let Err(error) = mend_index(&repository).await {
            self.fail(Step::Verify, &mac, &error.into())?;
        }
        let archives = match repository.archives().await {
            Ok(archives) => archives,
            Err(error) => return self.blind(&mac, &error.into()),
        };
        self.unreadable(&mac, archives.unreadable)?;
        // A night that was killed leaves archives that the journal does not tell of, too, but first it tells of a place.
        let untold = archives.good.iter().filter(|info| !self.receipted.contains(&info.name) && !self.is_lost(&info.name)).count();
        if untold > 0 && self.standing.last_run.is_none() && self.standing.seen.is_empty() {
            self.fail(Step::Verify, "the journal", &JournalLost { archives: untold }.into())?;
        } else if untold > 0 {
            alarm!("the journal does not tell how {} came that are here; judged now", count(untold as u64, "archive", "archives"));
        }
        let expected: Vec<ArchiveName> = self.receipted.iter().cloned().collect();
        self.compare(&mac, &repository, &archives.good, &expected).await
    }

    /// After pulling: what was lost and came back is lost no more.
    pub(super) async fn note_return(&mut self) -> anyhow::Result<()> {
        let mac = PlaceName::mac();
        if !self.standing.lost.keys().any(|(place, _)| *place == mac) {
            return Ok(());
        }
        let repository = self.mac.repository.clone();
        match repository.archives().await {
            Ok(archives) => self.compare(&mac, &repository, &archives.good, &[]).await,
            Err(error) => self.blind(&mac, &error.into()),
        }
    }

    /// Each manifest that cannot be read or is refused, with its own error.
    pub(super) fn unreadable(&mut self, place: &PlaceName, bad: Vec<Unreadable>) -> anyhow::Result<()> {
        let more = bad.len().saturating_sub(TOLD);
        for (at, Unreadable { object, error }) in bad.into_iter().take(LOGGED).enumerate() {
            let error = match place {
                _ if *place == PlaceName::mac() => anyhow::Error::new(error),
                _ if self.config.clouds.iter().any(|cloud| cloud.name == *place) => Refused::Cloud(error).into(),
                _ => Refused::Pi(error).into(),
            };
            if at < TOLD {
                self.fail(Step::Verify, format!("{object} ({place})"), &error)?;
            } else {
                tracing::info!(%place, object, error = hint::message(&error), "refused");
            }
        }
        if more > 0 {
            alarm!("{} in {place} cannot be read either: the log names them", count(more as u64, "more manifest", "more manifests"));
        }
        Ok(())
    }

    /// Notes which of the archives `expected` at a place are gone, which of those there lack frames, and which are whole again.
    pub(super) async fn compare(
        &mut self,
        place: &PlaceName,
        repository: &Repository,
        there: &[ArchiveInfo],
        expected: &[ArchiveName],
    ) -> anyhow::Result<()> {
        let lacking = match lacking(repository).await {
            Ok(lacking) => lacking,
            Err(error) => return self.blind(place, &error.into()),
        };
        let names: BTreeSet<&ArchiveName> = there.iter().map(|info| &info.name).collect();
        for archive in expected.iter().filter(|name| !names.contains(name)) {
            self.lost(place, archive.clone(), None)?;
        }
        for (archive, frames) in &lacking {
            self.lost(place, archive.clone(), Some(*frames as u64))?;
        }
        let back: Vec<ArchiveName> = (self.standing.lost.keys())
            .filter(|(lost, archive)| lost == place && names.contains(archive) && lacking.iter().all(|(name, _)| name != archive))
            .map(|(_, archive)| archive.clone())
            .collect();
        for archive in back {
            // A check sets damaged packs aside before it says that frames are lost, so those that do not lack have come back. What it also
            // calls lost is a manifest that lies about lengths, and that does not end.
            if *place == PlaceName::mac() && holds(repository, &archive).await.is_err() {
                continue;
            }
            self.receipt(Fact::Healed { place: place.clone(), archive, from: place.clone() })?;
        }
        self.reread()
    }

    fn blind(&mut self, place: &PlaceName, error: &anyhow::Error) -> anyhow::Result<()> {
        self.trouble.blind = true;
        self.fail(Step::Reach, place, error)
    }

    pub(super) fn lost(&self, place: &PlaceName, archive: ArchiveName, frames: Option<u64>) -> anyhow::Result<()> {
        let key = (place.clone(), archive);
        if self.standing.lost.get(&key) == Some(&frames) {
            return Ok(());
        }
        self.receipt(Fact::Lost { place: key.0, archive: key.1.clone(), frames })?;
        alarm!("lost: {} is not whole any more in {place}", key.1);
        Ok(())
    }
}
