//! Pi to Mac: what the Mac lacks and would keep, newest first, so that the best copy arrives first.

use std::time::Instant;

use offsite_archive::ArchiveName;
use offsite_repository::{ArchiveInfo, Copied, CopyError, CopyOptions, Index, Repository, copy, plan_prune, recover_arrivals};

use super::{Night, holdings, retain};
use crate::{
    config::{Pi, PlaceName},
    human,
    journal::{Fact, Step},
    places,
    progress::Bar,
};

/// A job that came from another Pi until now.
#[derive(Debug, thiserror::Error)]
#[error("the job {job} came from {known} until now, so {pi} may not add to it: name one of the two jobs otherwise")]
pub struct MixedJobs {
    job: String,
    known: PlaceName,
    pi: PlaceName,
}

impl Night<'_> {
    /// Pulls from one Pi. Failures are noted, not returned.
    pub(super) async fn pull(&mut self, pi: &Pi) -> anyhow::Result<()> {
        let ended = self.try_pull(pi).await?;
        if !ended && self.something_waits().await {
            self.trouble.partial = true;
        }
        Ok(())
    }

    /// A Pi that is not at home: what an earlier pull of it brought stays for the next.
    pub(super) async fn leave_out(&mut self, pi: &Pi) {
        tracing::info!(pi = %pi.name, "not at home");
        self.trouble.partial |= self.something_waits().await;
    }

    /// Whether packs lie there that no archive needs. Before anything was forgotten that is what an earlier pull brought that did not end: a
    /// night that ends leaves none.
    async fn something_waits(&self) -> bool {
        !plan_prune(&self.mac.repository).await.is_ok_and(|plan| plan.is_empty())
    }

    /// Whether every archive that is wanted had its turn.
    async fn try_pull(&mut self, pi: &Pi) -> anyhow::Result<bool> {
        let reached = match places::pi(self.config, pi).await {
            Ok(reached) => reached,
            Err(error) => return self.fail(Step::Reach, &pi.name, &error.into()).map(|()| false),
        };
        reached.remember(self.config, pi);
        tracing::info!(pi = %pi.name, "reached");
        let repository = reached.repository;
        let mine = match self.mac.repository.archives().await {
            Ok(mine) => mine.good,
            Err(error) => return self.fail(Step::Pull, PlaceName::mac(), &error.into()).map(|()| false),
        };
        let theirs = match repository.archives_beside(&mine).await {
            Ok(theirs) => theirs,
            Err(error) => return self.fail(Step::Reach, &pi.name, &error.into()).map(|()| false),
        };
        // What a killed night had fetched; before the index is read, which then has it.
        if let Err(error) = recover_arrivals(&self.mac.local).await {
            self.fail(Step::Pull, PlaceName::mac(), &error.into())?;
        }
        self.unreadable(&pi.name, theirs.unreadable)?;
        self.receipt(Fact::Seen { place: pi.name.clone(), jobs: holdings(&theirs.good) })?;
        let offered = self.own_jobs(pi, theirs.good)?;
        for info in offered.iter().filter(|info| mine.iter().any(|own| own.name == info.name)) {
            self.adopt_pulled(&pi.name, info).await?;
        }
        let wanted = self.wanted(&offered, &mine);
        if wanted.is_empty() {
            self.did();
            return Ok(true);
        }
        let mut held = match self.mac.repository.index().await {
            Ok(held) => held,
            Err(error) => return self.fail(Step::Pull, PlaceName::mac(), &error.into()).map(|()| false),
        };
        for info in wanted {
            self.pull_one(pi, &repository, &mut held, &info).await?;
        }
        Ok(true)
    }

    /// The archives of jobs that are this Pi's; another configured Pi's job is refused, since retention would mix the two.
    fn own_jobs(&mut self, pi: &Pi, offered: Vec<ArchiveInfo>) -> anyhow::Result<Vec<ArchiveInfo>> {
        let mut own = Vec::new();
        let mut refused = std::collections::BTreeSet::new();
        for info in offered {
            let job = &info.name.job;
            match self.origins.get(job) {
                Some(known) if *known != pi.name && self.config.pis.iter().any(|other| other.name == *known) => {
                    if refused.insert(job.clone()) {
                        let error = MixedJobs { job: job.to_string(), known: known.clone(), pi: pi.name.clone() };
                        self.fail(Step::Pull, format!("{job} on {}", pi.name), &error.into())?;
                    }
                }
                _ => own.push(info),
            }
        }
        Ok(own)
    }

    /// What to copy, newest first: what the Mac lacks and the retention rule would not drop at once, and what needs healing.
    pub(super) fn wanted(&self, offered: &[ArchiveInfo], mine: &[ArchiveInfo]) -> Vec<ArchiveInfo> {
        let there = |name: &ArchiveName| mine.iter().any(|info| info.name == *name);
        let new: Vec<&ArchiveInfo> = offered.iter().filter(|info| !there(&info.name)).collect();
        let drop_at_once = retain::dropped(self.config, None, &self.standing, &PlaceName::mac(), mine.iter().chain(new.iter().copied()));
        let lost = |name: &ArchiveName| self.standing.lost.contains_key(&(PlaceName::mac(), name.clone()));
        let wanted = |info: &&ArchiveInfo| if there(&info.name) { lost(&info.name) } else { !drop_at_once.contains(&info.name) };
        let mut wanted: Vec<ArchiveInfo> = offered.iter().filter(wanted).cloned().collect();
        wanted.sort_by(|a, b| b.name.time().cmp(&a.name.time()).then_with(|| a.name.cmp(&b.name)));
        wanted
    }

    async fn pull_one(&mut self, pi: &Pi, from: &Repository, held: &mut Index, info: &ArchiveInfo) -> anyhow::Result<()> {
        if !self.has_room(&pi.name, from, held, info).await? {
            return Ok(());
        }
        let bar = Bar::new(&format!("pull {}", info.name));
        let options = CopyOptions { folder: Some(self.mac.local.clone()), prove: true, ..CopyOptions::default() };
        let began = Instant::now();
        let copied = copy(from, &self.mac.repository, held, &info.name, &options, &|progress| bar.set(progress)).await;
        match copied {
            Ok(copied) => {
                bar.line(&line("pulled", &info.name, &pi.name, &copied, copied.bytes_moved));
                let seconds = began.elapsed().as_secs_f64();
                tracing::info!(archive = %info.name, pi = %pi.name, bytes = copied.bytes_moved, seconds, "fetched");
                drop(bar);
                self.did();
                if copied.already {
                    // Where nothing moved, the frames came with another archive; that it is whole again is noted when all have come.
                    if copied.healed() {
                        let (place, archive) = (PlaceName::mac(), info.name.clone());
                        self.receipt(Fact::Healed { place, archive, from: pi.name.clone() })?;
                    }
                    return self.reread();
                }
                self.judge_and_receipt(&pi.name, info, copied.bytes_moved).await
            }
            // The Pi keeps three and forgets when it likes; what it forgot is not a failure of ours.
            Err(CopyError::Gone { archive }) => {
                tracing::info!(%archive, pi = %pi.name, "forgotten by the Pi before it was pulled");
                Ok(())
            }
            Err(error) => {
                drop(bar);
                self.fail_archive(Step::Pull, &info.name, &pi.name, &error.into())
            }
        }
    }
}

/// One line about a transfer, for a person who watches.
pub(super) fn line(verb: &str, archive: &ArchiveName, place: &PlaceName, copied: &Copied, moved: u64) -> String {
    let share = human::percent(moved, copied.bytes_total);
    let healed = if copied.healed() { ", healed" } else { "" };
    format!("{verb} {archive} ({place}): {} of {} moved ({share}){healed}", human::size(moved), human::size(copied.bytes_total))
}
