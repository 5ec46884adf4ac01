//! The newest archive of each job as a plain `.tar.zst` beside the packs, for Finder and tar.
//!
//! A convenience, never a source: it is written whole before the older one goes, and its lack costs nothing but that convenience.
//!
//! Making it reads every frame of the archive back, also those that came long ago: that is what the night knows of the disk it keeps them
//! on. So it leaves the receipt of a verification, and a copy that finds damage keeps the job's older archives from being forgotten.

use std::collections::{BTreeMap, BTreeSet};

use offsite_archive::{ArchiveName, JobName};
use offsite_repository::{ArchiveInfo, StreamError, export, plain_copies, plain_path};

use super::Night;
use crate::{
    config::PlaceName,
    journal::{Fact, Step},
    progress::Bar,
};

impl Night<'_> {
    /// Makes the plain copies that lack, then removes those of older archives.
    pub(super) async fn plain_copies(&mut self) -> anyhow::Result<()> {
        let (archives, there) = match (self.mac.repository.archives().await, plain_copies(&self.mac.repository).await) {
            (Ok(archives), Ok(there)) => (archives.good, there),
            (Err(error), _) | (_, Err(error)) => return self.fail(Step::Plain, PlaceName::mac(), &error.into()),
        };
        let newest = self.newest(&archives);
        let mut made = BTreeSet::new();
        for archive in newest.values() {
            if there.contains(archive) {
                made.insert(archive.job.clone());
                continue;
            }
            match self.write_plain(archive).await {
                Ok(()) => {
                    made.insert(archive.job.clone());
                    self.receipt(Fact::Verified { place: PlaceName::mac(), archive: archive.clone() })?;
                }
                Err(error) if is_damage(&error) => self.fail_archive(Step::Plain, archive, &PlaceName::mac(), &error)?,
                Err(error) => self.fail(Step::Plain, archive, &error)?,
            }
        }
        let old = |archive: &&ArchiveName| made.contains(&archive.job) && newest.get(&archive.job) != Some(archive);
        for archive in there.iter().filter(old) {
            if let Err(error) = self.remove_plain(archive).await {
                self.fail(Step::Plain, archive, &error)?;
            }
        }
        Ok(())
    }

    /// The archive of each job that a person would want: the newest that is not suspicious and is whole.
    fn newest(&self, archives: &[ArchiveInfo]) -> BTreeMap<JobName, ArchiveName> {
        let mut newest = BTreeMap::new();
        let mut sorted: Vec<&ArchiveInfo> = archives.iter().collect();
        sorted.sort_by_key(|info| (info.sequence, info.name.time()));
        for info in sorted {
            let lost = self.standing.lost.contains_key(&(PlaceName::mac(), info.name.clone()));
            if !lost && !self.standing.suspicious.contains_key(&info.name) {
                newest.insert(info.name.job.clone(), info.name.clone());
            }
        }
        newest
    }

    async fn write_plain(&self, archive: &ArchiveName) -> anyhow::Result<()> {
        let bar = Bar::new(&format!("plain copy {archive}"));
        let mut staged = self.mac.local.stage()?;
        export(&self.mac.repository, archive, &mut staged, &|progress| bar.set(progress)).await?;
        self.mac.local.publish(staged, &plain_path(archive))?;
        Ok(())
    }

    async fn remove_plain(&self, archive: &ArchiveName) -> anyhow::Result<()> {
        use object_store::ObjectStoreExt;
        match self.mac.repository.store().delete(&plain_path(archive)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
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
