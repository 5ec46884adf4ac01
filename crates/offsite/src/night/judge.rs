//! The tripwire applied to what came: a suspicious archive gets its receipt before it can count for anything.

use offsite_repository::ArchiveInfo;

use super::Night;
use crate::{
    config::PlaceName,
    journal::{Fact, Step},
    tripwire::{Good, Shape, suspicion},
};

impl Night<'_> {
    /// Judges every archive on the Mac of which the journal does not tell how it came: a night was killed after it arrived.
    pub(super) async fn judge(&mut self) -> anyhow::Result<()> {
        let archives = match self.mac.repository.archives().await {
            Ok(archives) => archives.good,
            Err(error) => return self.fail(Step::Reach, PlaceName::mac(), &error.into()),
        };
        for info in archives.iter().filter(|info| !self.receipted.contains(&info.name)).cloned().collect::<Vec<_>>() {
            self.judge_among(&info, &archives)?;
            // Whose it was is told by the job's last pull; one that never had any belongs to the only Pi there is.
            let only = self.config.pis.first().map(|pi| pi.name.clone());
            if let Some(pi) = self.origins.get(&info.name.job).cloned().or(only) {
                let (archive, sequence, total) = (info.name.clone(), info.sequence, info.end.bytes);
                self.receipt(Fact::Pulled { pi, archive, sequence, moved: 0, total, verified: true })?;
                self.reread()?;
            }
        }
        Ok(())
    }

    /// Judges an archive that has just come.
    pub(super) async fn judge_one(&mut self, info: &ArchiveInfo) -> anyhow::Result<()> {
        match self.mac.repository.archives().await {
            Ok(archives) => self.judge_among(info, &archives.good),
            Err(error) => self.fail(Step::Reach, PlaceName::mac(), &error.into()),
        }
    }

    fn judge_among(&mut self, info: &ArchiveInfo, archives: &[ArchiveInfo]) -> anyhow::Result<()> {
        let good = |other: &&ArchiveInfo| {
            other.name.job == info.name.job
                && other.name.time() < info.name.time()
                && other.end.complete
                && !self.standing.suspicious.contains_key(&other.name)
        };
        let mut before: Vec<&ArchiveInfo> = archives.iter().filter(good).collect();
        before.sort_by_key(|info| info.name.time());
        let before: Vec<Good> =
            before.iter().map(|info| Good { shape: shape(info), accepted: self.standing.accepted.contains(&info.name) }).collect();
        let Some(why) = suspicion(shape(info), &before) else { return Ok(()) };
        if self.standing.accepted.contains(&info.name) {
            return Ok(());
        }
        eprintln!("suspicious: {}: {why}\n  look at it; if it is as it should be: offsite accept {}", info.name, info.name);
        self.receipt(Fact::Suspicious { archive: info.name.clone(), why })?;
        self.reread()
    }
}

fn shape(info: &ArchiveInfo) -> Shape {
    Shape { raw: info.end.raw, entries: info.end.entries, sources: info.head.sources.len() as u64 }
}
