//! Mac to cloud: what the cloud lacks and would keep, newest first, sealed.

use std::time::Instant;

use offsite_archive::ArchiveName;
use offsite_repository::{ArchiveInfo, Copied, CopyOptions, Index, Repository, copy};

use super::{Night, pull::line, retain};
use crate::{
    config::{Cloud, PlaceName},
    journal::{Fact, Step},
    key, places,
    progress::Bar,
};

impl Night<'_> {
    /// Pushes to one cloud; `None` if it could not be opened. Failures are noted, not returned.
    pub(super) async fn push(&mut self, cloud: &Cloud) -> anyhow::Result<Option<Repository>> {
        let fresh = !self.standing.held.contains_key(&cloud.name);
        let repository = match places::cloud(self.config, cloud, fresh).await {
            Ok(repository) => repository,
            Err(error) => return self.fail(Step::Reach, &cloud.name, &error.into()).map(|()| None),
        };
        self.renew_recover(&cloud.name, &repository).await?;
        self.keep_slots(cloud).await?;
        let (theirs, mine) = match (repository.archives().await, self.mac.repository.archives().await) {
            (Ok(theirs), Ok(mine)) => (theirs, mine.good),
            (Err(error), _) | (_, Err(error)) => return self.fail(Step::Push, &cloud.name, &error.into()).map(|()| None),
        };
        // Archives and packs that went away in the cloud are noticed here, and sent again below. What one of the unreadable manifests
        // is is not known, so with such nothing is said to be gone.
        let of_cloud = |(place, archive): &(PlaceName, ArchiveName)| (*place == cloud.name).then(|| archive.clone());
        let expected: Vec<ArchiveName> =
            if theirs.unreadable.is_empty() { self.pushed.iter().filter_map(of_cloud).collect() } else { Vec::new() };
        self.unreadable(&cloud.name, theirs.unreadable)?;
        self.compare(&cloud.name, &repository, &theirs.good, &expected).await?;
        self.adopt(cloud, &theirs.good, &mine)?;
        let wanted = self.missing(cloud, &theirs.good, &mine);
        if wanted.is_empty() {
            self.did();
            return Ok(Some(repository));
        }
        let mut held = match repository.index().await {
            Ok(held) => held,
            Err(error) => return self.fail(Step::Push, &cloud.name, &error.into()).map(|()| None),
        };
        for info in wanted {
            self.push_one(cloud, &repository, &mut held, &info).await?;
        }
        Ok(Some(repository))
    }

    /// Sees to it that the paper opens what lies there.
    async fn keep_slots(&mut self, cloud: &Cloud) -> anyhow::Result<()> {
        let kept = match key::load(self.config) {
            Ok(key) => key::keep(cloud, &key).await,
            Err(error) => Err(error.into()),
        };
        match kept {
            Ok(put) => put.iter().for_each(|kind| report!("put the {kind}'s slot back in {}", cloud.name)),
            Err(error) => self.fail(Step::Configure, format!("slots/ ({})", cloud.name), &error)?,
        }
        Ok(())
    }

    /// Takes the slots of revoked papers away, where that could not be done when they were.
    pub(super) async fn revoke(&mut self) -> anyhow::Result<()> {
        // Where there is no key, each cloud said so.
        let Ok(mut key) = key::load(self.config) else { return Ok(()) };
        if key.revoked.is_empty() {
            return Ok(());
        }
        for (cloud, error) in key::settle(self.config, &mut key).await? {
            self.fail(Step::Configure, format!("revoked papers ({cloud})"), &error)?;
        }
        Ok(())
    }

    /// Gives a receipt to what is whole in the cloud and has none: a night was killed after it arrived.
    fn adopt(&mut self, cloud: &Cloud, theirs: &[ArchiveInfo], mine: &[ArchiveInfo]) -> anyhow::Result<()> {
        let mut adopted = false;
        for info in theirs {
            let key = (cloud.name.clone(), info.name.clone());
            let known = self.pushed.contains(&key) || self.standing.lost.contains_key(&key);
            if known || !mine.iter().any(|own| own.name == info.name) {
                continue;
            }
            let (sequence, total) = (info.sequence, info.end.bytes);
            self.receipt(Fact::Pushed { cloud: key.0, archive: key.1, sequence, moved: 0, total })?;
            adopted = true;
        }
        if adopted { self.reread() } else { Ok(()) }
    }

    /// What to push, newest first. What the Mac itself does not hold whole cannot be pushed, and is told elsewhere.
    pub(super) fn missing(&self, cloud: &Cloud, theirs: &[ArchiveInfo], mine: &[ArchiveInfo]) -> Vec<ArchiveInfo> {
        let there = |name: &ArchiveName| theirs.iter().any(|info| info.name == *name);
        let new: Vec<&ArchiveInfo> = mine.iter().filter(|info| !there(&info.name)).collect();
        let all = theirs.iter().chain(new.iter().copied());
        let drop_at_once = retain::dropped(self.config, Some(cloud.keep), &self.standing, &cloud.name, all);
        let lost = |place: &PlaceName, name: &ArchiveName| self.standing.lost.contains_key(&(place.clone(), name.clone()));
        let whole = |info: &&ArchiveInfo| !lost(&PlaceName::mac(), &info.name);
        let wanted =
            |info: &&ArchiveInfo| if there(&info.name) { lost(&cloud.name, &info.name) } else { !drop_at_once.contains(&info.name) };
        let mut wanted: Vec<ArchiveInfo> = mine.iter().filter(whole).filter(wanted).cloned().collect();
        wanted.sort_by(|a, b| b.name.time().cmp(&a.name.time()).then_with(|| a.name.cmp(&b.name)));
        wanted
    }

    async fn push_one(&mut self, cloud: &Cloud, to: &Repository, held: &mut Index, info: &ArchiveInfo) -> anyhow::Result<()> {
        let bar = Bar::new(&format!("push {}", info.name));
        let began = Instant::now();
        let copied = copy(&self.mac.repository, to, held, &info.name, &CopyOptions::default(), &|progress| bar.set(progress)).await;
        match copied {
            Ok(copied) => {
                bar.line(&line("pushed", &info.name, &cloud.name, &copied, copied.bytes_written));
                let seconds = began.elapsed().as_secs_f64();
                tracing::info!(archive = %info.name, cloud = %cloud.name, bytes = copied.bytes_written, seconds, "sent");
                drop(bar);
                self.did();
                self.pushed(cloud, info, &copied)
            }
            Err(error) => {
                drop(bar);
                self.fail_archive(Step::Push, &info.name, &cloud.name, &error.into())
            }
        }
    }

    fn pushed(&mut self, cloud: &Cloud, info: &ArchiveInfo, copied: &Copied) -> anyhow::Result<()> {
        let (cloud, archive) = (cloud.name.clone(), info.name.clone());
        if copied.already {
            self.receipt(Fact::Healed { place: cloud, archive, from: PlaceName::mac() })?;
        } else {
            let (sequence, moved, total) = (info.sequence, copied.bytes_written, copied.bytes_total);
            self.receipt(Fact::Pushed { cloud, archive, sequence, moved, total })?;
        }
        self.reread()
    }
}
