//! What came is judged before it may count: is its content what the manifest says, does it look like the ones before, and is what they
//! held still in it?
//!
//! A manifest of version 2 binds its frames, and those were hashed as they came, so nothing is read back for it here; that what was held
//! before can still be read is seen when the plain copy is made, and by `offsite verify`. Of version 1 the whole stream is read.
//!
//! The verdicts' receipts, of all that is judged at once, come before the archives' own. A night killed in between judges all of it again, and
//! says the same.

use std::{collections::BTreeSet, io};

use jiff::Timestamp;
use offsite_archive::ArchiveName;
use offsite_repository::{ArchiveInfo, FetchError, RepositoryError, StreamError, export, holds};

use super::Night;
use crate::{
    config::PlaceName,
    journal::{Fact, Step, Warned},
    newest::is_ahead,
    progress::Bar,
    tripwire::{Change, Expected, Good, LAST, Shape, Why, change::Piece, change::pieces, replaced, suspicion},
};

/// A manifest that was there when archives were listed and cannot be read when two of them are compared.
#[derive(Debug, thiserror::Error)]
#[error("cannot compare {archive} with the ones before it")]
struct NotCompared {
    archive: ArchiveName,
    source: RepositoryError,
}

impl Night<'_> {
    /// Judges every archive on the Mac of which the journal does not tell how it came, oldest first, and of its job each that is later: that was
    /// judged without it. Newest archives arrive first, and a night may be killed, or the line cut, before the older ones do.
    pub(super) async fn judge(&mut self) -> anyhow::Result<()> {
        let archives = match self.mac.repository.archives().await {
            Ok(archives) => archives.good,
            Err(error) => return self.fail(Step::Reach, PlaceName::mac(), &error.into()),
        };
        let (mut jobs, mut came) = (BTreeSet::new(), Vec::new());
        // By name: of each job the oldest first.
        for info in &archives {
            if self.is_lost(&info.name) {
                continue;
            }
            if self.receipted.contains(&info.name) {
                if jobs.contains(&info.name.job) && !self.standing.suspicious.contains_key(&info.name) {
                    self.looks(info, &archives).await?;
                }
            } else if let Some((pi, moved)) = self.origin(&info.name) {
                jobs.insert(info.name.job.clone());
                // Without a verdict there is no receipt, so the next night asks again.
                came.extend(self.verdict(info, &archives).await?.map(|verified| (info, pi, moved, verified)));
            }
        }
        for (info, pi, moved, verified) in came {
            let (archive, sequence, total) = (info.name.clone(), info.sequence, info.end.bytes);
            let before =
                archives.iter().filter(|other| other.name.job == archive.job && other.name < archive).max_by_key(|other| &other.name);
            let warnings = Warned::of(&info.end.warnings, before.map_or(&[], |before| &before.end.warnings));
            self.receipt(Fact::Pulled { pi, archive, sequence, moved, total, verified, complete: Some(info.end.complete), warnings })?;
        }
        self.reread()
    }

    /// From which Pi an archive without receipt is, and what was moved for it: tonight's pull knows, or the job's last one, or there is but one
    /// Pi. Otherwise the Pi that still offers it will tell.
    fn origin(&self, archive: &ArchiveName) -> Option<(PlaceName, u64)> {
        let only = || if let [pi] = &self.config.pis[..] { Some(pi.name.clone()) } else { None };
        let earlier = || self.origins.get(&archive.job).cloned().or_else(only).map(|pi| (pi, 0));
        self.arrived.get(archive).cloned().or_else(earlier)
    }

    /// Whether the archive was read back whole and is what its manifest says; `None` if nothing could be found out. Suspicions get their
    /// receipt.
    async fn verdict(&mut self, info: &ArchiveInfo, archives: &[ArchiveInfo]) -> anyhow::Result<Option<bool>> {
        let read_back = info.head.version == 1;
        let sound = if read_back {
            let bar = Bar::new(&format!("check {}", info.name));
            export(&self.mac.repository, &info.name, &mut io::sink(), &|progress| bar.set(progress)).await.map(drop)
        } else {
            holds(&self.mac.repository, &info.name).await
        };
        if let Err(error) = sound {
            let lies = is_lie(&error);
            self.fail_archive(Step::Verify, &info.name, &PlaceName::mac(), &error.into())?;
            if lies {
                self.suspect(info, Why::Broken)?;
            }
            return Ok(lies.then_some(false));
        }
        Ok(self.looks(info, archives).await?.then_some(read_back))
    }

    /// Whether it could be told if the archive looks like the ones before it. If it does not, that gets its receipt.
    async fn looks(&mut self, info: &ArchiveInfo, archives: &[ArchiveInfo]) -> anyhow::Result<bool> {
        let before = self.before(info, archives);
        let replaced = match self.content(info, &before).await {
            Ok(why) => why,
            Err(error) => return self.fail_archive(Step::Verify, &info.name, &PlaceName::mac(), &error).map(|()| false),
        };
        let ahead = is_ahead(&info.name, Timestamp::now()).then_some(Why::Ahead);
        if let Some(why) = ahead.or_else(|| suspicion(shape(info), &self.measure(&before))).or(replaced) {
            self.suspect(info, why)?;
        }
        Ok(true)
    }

    /// The archives before this one that are a measure for it, oldest first: complete ones; of a job that never was complete, all.
    fn before<'i>(&self, info: &ArchiveInfo, archives: &'i [ArchiveInfo]) -> Vec<&'i ArchiveInfo> {
        let lost = |name: &ArchiveName| self.standing.lost.contains_key(&(PlaceName::mac(), name.clone()));
        let earlier = |other: &&ArchiveInfo| {
            let same = other.name.job == info.name.job && other.name.time() < info.name.time();
            same && !self.standing.suspicious.contains_key(&other.name) && !lost(&other.name)
        };
        let mut before: Vec<&ArchiveInfo> = archives.iter().filter(earlier).collect();
        if before.iter().any(|info| info.end.complete) {
            before.retain(|info| info.end.complete);
        }
        before.sort_by_key(|info| info.name.time());
        before
    }

    fn measure(&self, before: &[&ArchiveInfo]) -> Vec<Good> {
        before.iter().map(|info| Good { shape: shape(info), accepted: self.standing.accepted.contains(&info.name) }).collect()
    }

    /// What is suspicious about the frames that stayed of the archive before. Each comparison gets a receipt, so that none is made twice
    /// and `status` can tell what is usual.
    async fn content(&mut self, info: &ArchiveInfo, before: &[&ArchiveInfo]) -> anyhow::Result<Option<Why>> {
        let Some(last) = before.last() else { return Ok(None) };
        // As with sizes, what came before an archive that a person accepted is no measure any more; its own change is the first.
        let since = before.iter().rposition(|info| self.standing.accepted.contains(&info.name)).unwrap_or(0);
        let since = since.max(before.len().saturating_sub(LAST));
        let mut known: Option<(ArchiveName, Vec<Piece>)> = None;
        let mut usual = Vec::new();
        for at in since..before.len() {
            let earlier = at.checked_sub(1).and_then(|at| before.get(at)).copied();
            usual.extend(self.change(before[at], earlier, &mut known).await?);
        }
        let Some(change) = self.change(info, Some(last), &mut known).await? else { return Ok(None) };
        let times: Vec<_> = before.iter().map(|info| info.name.time()).chain([info.name.time()]).collect();
        Ok(replaced(&change, &Expected::of(&usual, nights(&times[since..]))))
    }

    /// What became of `earlier` in `later`, from its receipt or from both manifests. `known` are the frames of the manifest read last.
    async fn change(
        &mut self,
        later: &ArchiveInfo,
        earlier: Option<&ArchiveInfo>,
        known: &mut Option<(ArchiveName, Vec<Piece>)>,
    ) -> anyhow::Result<Option<Change>> {
        let receipt = self.standing.compared.get(&later.name);
        if let Some(receipt) = receipt.filter(|receipt| earlier.is_none_or(|earlier| receipt.with == earlier.name)) {
            return Ok(Some(receipt.change));
        }
        let Some(earlier) = earlier else { return Ok(None) };
        let with = earlier.name.clone();
        let before = match known.take().filter(|(name, _)| *name == with) {
            Some((_, pieces)) => pieces,
            None => self.pieces(&with).await?,
        };
        let now = self.pieces(&later.name).await?;
        let recut = earlier.head.agent != later.head.agent || earlier.head.chunker != later.head.chunker;
        let change = Change { recut, ..Change::between(&before, &now) };
        *known = Some((later.name.clone(), now));
        self.receipt(Fact::Compared { archive: later.name.clone(), with, change })?;
        self.reread()?;
        Ok(Some(change))
    }

    async fn pieces(&self, name: &ArchiveName) -> Result<Vec<Piece>, NotCompared> {
        let failed = |source| NotCompared { archive: name.clone(), source };
        let bytes = self.mac.repository.manifest(name).await.map_err(failed)?.bytes;
        let object = || offsite_repository::manifest_path(name).to_string();
        pieces(&bytes).map_err(|source| failed(RepositoryError::Manifest { object: object(), source }))
    }

    fn suspect(&mut self, info: &ArchiveInfo, why: Why) -> anyhow::Result<()> {
        if self.standing.accepted.contains(&info.name) || self.standing.suspicious.get(&info.name) == Some(&why) {
            return Ok(());
        }
        self.receipt(Fact::Suspicious { archive: info.name.clone(), why: why.clone() })?;
        alarm!("suspicious: {}: {why}\n  look at it; if it is as it should be: offsite accept {}", info.name, info.name);
        self.reread()
    }
}

/// Whether all frames are there and yet do not make the archive, as against a disk or a link that failed.
fn is_lie(error: &StreamError) -> bool {
    match error {
        StreamError::Digest { .. } | StreamError::Length { .. } => true,
        StreamError::Fetch { source, .. } => matches!(source, FetchError::Damaged { .. }),
        _ => false,
    }
}

fn shape(info: &ArchiveInfo) -> Shape {
    Shape { raw: info.end.raw, entries: info.end.entries, sources: info.head.sources.len() as u64 }
}

/// How many of the usual pauses between archives the last pause was; `times` ascend.
fn nights(times: &[Timestamp]) -> u32 {
    let mut pauses: Vec<i64> = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs().max(1)).collect();
    let Some(last) = pauses.pop() else { return 1 };
    let usual = crate::tripwire::median(pauses.iter().map(|pause| pause.unsigned_abs())).unwrap_or(last.unsigned_abs());
    // Half a pause more or less is the same night.
    u32::try_from((last.unsigned_abs() + usual / 2) / usual).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(hours: &[i64]) -> u32 {
        nights(&hours.iter().map(|hour| Timestamp::from_second(hour * 3600).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn a_pause_is_counted_in_the_jobs_own_nights() {
        assert_eq!([after(&[0]), after(&[0, 900]), after(&[0, 24, 48]), after(&[0, 24, 40]), after(&[0, 168, 336])], [1; 5]);
        assert_eq!([after(&[0, 24, 96]), after(&[0, 168, 504]), after(&[0, 24, 48, 72, 240])], [3, 2, 7]);
        assert_eq!(after(&[0, 0, 0]), 1);
    }
}
