//! What a place should hold and does not, and what came back. From manifests, index objects and listings alone: no pack is read.
//!
//! A loss is an alarm that ends by an event: the archive is healed, found again, or forgotten on purpose.

use std::collections::BTreeSet;

use offsite_archive::ArchiveName;
use offsite_repository::{ArchiveInfo, Repository, holds, lacking, mend_index};

use super::Night;
use crate::{
    config::PlaceName,
    journal::{Fact, Step},
};

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

    /// One receipt for all manifests that cannot be read, so that a place full of rubbish does not fill the journal.
    pub(super) fn unreadable(&mut self, place: &PlaceName, bad: Vec<offsite_repository::Unreadable>) -> anyhow::Result<()> {
        let others = bad.len().saturating_sub(1);
        let Some(first) = bad.into_iter().next() else { return Ok(()) };
        let more = if others > 0 { format!(" and {others} more") } else { String::new() };
        self.fail(Step::Verify, format!("{}{more} ({place})", first.object), &first.error.into())
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
