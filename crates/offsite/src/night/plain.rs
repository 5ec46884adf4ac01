//! The newest archive of each job as a plain `.tar.zst` beside the packs, for Finder and tar; or none; or all of them.
//!
//! A convenience, never a source: it is written whole before the older one goes, and its lack costs nothing but that convenience.
//!
//! Making it reads every frame of the archive back, also those that came long ago: that is what the night knows of the disk it keeps them
//! on. So it leaves the receipt of a verification. Damage that it meets is healed like any; where it cannot be, nothing of the job is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use offsite_archive::{ArchiveName, JobName};
use offsite_repository::{ArchiveInfo, StreamError, export, plain_copies, plain_path};

use super::Night;
use crate::{
    config::{PlaceName, PlainCopies},
    journal::{Fact, Step},
    progress::Bar,
    verify::plain::remove,
};

impl Night<'_> {
    /// Makes the plain copies that lack, then removes those that are not wanted any more.
    pub(super) async fn plain_copies(&mut self) -> anyhow::Result<()> {
        let (archives, there) = match (self.mac.repository.archives().await, plain_copies(&self.mac.repository).await) {
            (Ok(archives), Ok(there)) => (archives.good, there),
            (Err(error), _) | (_, Err(error)) => return self.fail(Step::Plain, PlaceName::mac(), &error.into()),
        };
        let wanted = self.wanted_copies(&archives);
        // Of these jobs something that is wanted could not be made: what there is of them stays.
        let mut short: BTreeSet<JobName> = BTreeSet::new();
        let length = |archive: &ArchiveName| {
            let info = archives.iter().find(|info| info.name == *archive);
            info.map_or(0, |info| info.end.bytes.saturating_add(info.manifest_bytes))
        };
        for archive in wanted.iter().filter(|archive| !there.contains(archive)) {
            let mut written = self.write_plain(archive, length(archive)).await;
            if written.as_ref().is_err_and(is_damage) && self.mend(archive).await? {
                written = self.write_plain(archive, length(archive)).await;
            }
            match written {
                Ok(()) => self.receipt(Fact::Verified { place: PlaceName::mac(), archive: archive.clone(), since: None })?,
                Err(error) => {
                    short.insert(archive.job.clone());
                    if is_damage(&error) {
                        self.fail_archive(Step::Plain, archive, &PlaceName::mac(), &error)?;
                    } else {
                        self.fail(Step::Plain, archive, &error)?;
                    }
                }
            }
        }
        // Of a job whose archives are all suspicious or lost nothing is wanted, and the old copy is the best there is. That of a lost archive
        // may hold the last good bytes of what it lacks, whatever came since.
        let replaced = |job: &JobName| self.config.plain == PlainCopies::None || wanted.iter().any(|archive| archive.job == *job);
        let kept = |archive: &ArchiveName| wanted.contains(archive) || short.contains(&archive.job) || self.is_lost(archive);
        let old: Vec<&ArchiveName> = there.iter().filter(|archive| !kept(archive) && replaced(&archive.job)).collect();
        for archive in old {
            if let Err(error) = remove(&self.mac.repository, archive).await {
                self.fail(Step::Plain, archive, &error.into())?;
            }
        }
        Ok(())
    }

    /// The archives that are to lie there as plain copies. Only what is whole and not suspicious: of each job the newest, the one that a person
    /// would want, or all.
    fn wanted_copies(&self, archives: &[ArchiveInfo]) -> BTreeSet<ArchiveName> {
        let good = |info: &&ArchiveInfo| !self.is_lost(&info.name) && !self.standing.suspicious.contains_key(&info.name);
        let mut sorted: Vec<&ArchiveInfo> = archives.iter().filter(good).collect();
        sorted.sort_by_key(|info| (info.sequence, info.name.time()));
        let names = sorted.into_iter().map(|info| info.name.clone());
        match self.config.plain {
            PlainCopies::None => BTreeSet::new(),
            PlainCopies::Newest => names.map(|name| (name.job.clone(), name)).collect::<BTreeMap<_, _>>().into_values().collect(),
            PlainCopies::All => names.collect(),
        }
    }

    /// Whether the Mac does not hold the archive whole.
    pub(super) fn is_lost(&self, archive: &ArchiveName) -> bool {
        self.standing.lost.contains_key(&(PlaceName::mac(), archive.clone()))
    }

    async fn write_plain(&self, archive: &ArchiveName, length: u64) -> anyhow::Result<()> {
        self.has_room_for_copy(archive, length)?;
        let bar = Bar::new(&format!("plain copy {archive}"));
        let mut staged = self.mac.local.stage()?;
        export(&self.mac.repository, archive, &mut staged, &|progress| bar.set(progress)).await?;
        self.mac.local.publish(staged, &plain_path(archive))?;
        Ok(())
    }
}

/// Whether the archive itself is to blame, as against the disk that the copy goes to.
fn is_damage(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<StreamError>() {
        Some(StreamError::Fetch { source, .. }) => source.is_damage(),
        Some(StreamError::Length { .. } | StreamError::Digest { .. }) => true,
        _ => false,
    }
}
