//! What came is judged before it may count: is its content what the manifest says, and does it look like the ones before?
//!
//! A manifest of version 2 binds its frames, and those were hashed as they came, so nothing is read back for it here; that what was held
//! before can still be read is seen when the plain copy is made, and by `offsite verify`. Of version 1 the whole stream is read.
//!
//! The verdict's receipt comes before the archive's own. A night killed between the two judges again, and says the same.

use std::io;

use jiff::Timestamp;
use offsite_repository::{ArchiveInfo, FetchError, StreamError, export, holds};

use super::{Night, is_ahead};
use crate::{
    config::PlaceName,
    journal::{Fact, Step},
    progress::Bar,
    tripwire::{Good, Shape, Why, suspicion},
};

impl Night<'_> {
    /// Judges every archive on the Mac of which the journal does not tell how it came: a night was killed after it arrived.
    pub(super) async fn judge(&mut self) -> anyhow::Result<()> {
        let archives = match self.mac.repository.archives().await {
            Ok(archives) => archives.good,
            Err(error) => return self.fail(Step::Reach, PlaceName::mac(), &error.into()),
        };
        for info in archives {
            // Whose it was is told by the job's last pull, or there is but one Pi; otherwise the Pi that still offers it tells.
            let only = if let [pi] = &self.config.pis[..] { Some(pi.name.clone()) } else { None };
            if let Some(pi) = self.origins.get(&info.name.job).cloned().or(only) {
                self.adopt_pulled(&pi, &info).await?;
            }
        }
        Ok(())
    }

    /// Gives an archive on the Mac its receipt, if it has none.
    pub(super) async fn adopt_pulled(&mut self, pi: &PlaceName, info: &ArchiveInfo) -> anyhow::Result<()> {
        if self.receipted.contains(&info.name) || self.standing.lost.contains_key(&(PlaceName::mac(), info.name.clone())) {
            return Ok(());
        }
        self.judge_and_receipt(pi, info, 0).await
    }

    /// Judges an archive that is on the Mac, and writes the receipt of its pull, which moved that many bytes.
    pub(super) async fn judge_and_receipt(&mut self, pi: &PlaceName, info: &ArchiveInfo, moved: u64) -> anyhow::Result<()> {
        // Without a verdict there is no receipt, so the next night asks again.
        let Some(verified) = self.verdict(info).await? else { return Ok(()) };
        let (archive, sequence, total) = (info.name.clone(), info.sequence, info.end.bytes);
        self.receipt(Fact::Pulled { pi: pi.clone(), archive, sequence, moved, total, verified })?;
        self.reread()
    }

    /// Whether the archive was read back whole and is what its manifest says; `None` if nothing could be found out. Suspicions get their
    /// receipt.
    async fn verdict(&mut self, info: &ArchiveInfo) -> anyhow::Result<Option<bool>> {
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
        let archives = match self.mac.repository.archives().await {
            Ok(archives) => archives.good,
            Err(error) => return self.fail_archive(Step::Verify, &info.name, &PlaceName::mac(), &error.into()).map(|()| None),
        };
        if is_ahead(&info.name, Timestamp::now()) {
            self.suspect(info, Why::Ahead)?;
        } else if let Some(why) = suspicion(shape(info), &self.measure(info, &archives)) {
            self.suspect(info, why)?;
        }
        Ok(Some(read_back))
    }

    /// The archives before this one that are a measure for it: complete ones; of a job that never was complete, all.
    fn measure(&self, info: &ArchiveInfo, archives: &[ArchiveInfo]) -> Vec<Good> {
        let earlier = |other: &&ArchiveInfo| {
            let same = other.name.job == info.name.job && other.name.time() < info.name.time();
            same && !self.standing.suspicious.contains_key(&other.name)
        };
        let mut before: Vec<&ArchiveInfo> = archives.iter().filter(earlier).collect();
        if before.iter().any(|info| info.end.complete) {
            before.retain(|info| info.end.complete);
        }
        before.sort_by_key(|info| info.name.time());
        before.iter().map(|info| Good { shape: shape(info), accepted: self.standing.accepted.contains(&info.name) }).collect()
    }

    fn suspect(&mut self, info: &ArchiveInfo, why: Why) -> anyhow::Result<()> {
        if self.standing.accepted.contains(&info.name) || self.standing.suspicious.get(&info.name) == Some(&why) {
            return Ok(());
        }
        eprintln!("suspicious: {}: {why}\n  look at it; if it is as it should be: offsite accept {}", info.name, info.name);
        self.receipt(Fact::Suspicious { archive: info.name.clone(), why })?;
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
