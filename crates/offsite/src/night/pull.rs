//! Pi to Mac: what the Mac lacks and would keep, newest first, so that the best copy arrives first.

use std::time::Instant;

use offsite_archive::ArchiveName;
use offsite_repository::{ArchiveInfo, Copied, CopyError, CopyOptions, Index, Repository, copy, recover_arrivals};

use super::{Night, holdings, retain};
use crate::{
    config::{Pi, PlaceName},
    human,
    journal::{Fact, Step},
    live::{self, Phase},
    places::{self, PlaceError, Reached},
    progress::Bar,
};

/// A Pi that is being connected to.
pub(super) type Reaching = tokio::task::JoinHandle<Result<Reached, PlaceError>>;

/// A job that came from another Pi until now.
#[derive(Debug, thiserror::Error)]
#[error("the job {job} came from {known} until now, so {pi} may not add to it: name one of the two jobs otherwise")]
pub struct MixedJobs {
    job: String,
    known: PlaceName,
    pi: PlaceName,
}

impl Night<'_> {
    /// Begins to connect to a Pi.
    pub(super) fn reach(&self, pi: &Pi) -> Reaching {
        let (config, pi) = (self.config.clone(), pi.clone());
        let jobs: Vec<_> = self.origins.iter().filter(|(_, from)| **from == pi.name).map(|(job, _)| job.clone()).collect();
        tokio::spawn(async move { places::pi(&config, &pi, &jobs).await })
    }

    /// Pulls from one Pi. Failures are noted, not returned.
    pub(super) async fn pull(&mut self, pi: &Pi, reaching: Reaching) -> anyhow::Result<()> {
        let ended = self.try_pull(pi, reaching).await?;
        self.trouble.partial |= !ended;
        // When all has come that comes: the newest came first, and the older ones are its measure.
        live::phase(Phase::Check, "what came");
        self.judge().await
    }

    /// A Pi that is not at home: what an earlier pull of it brought stays for the next.
    pub(super) fn leave_out(&mut self, pi: &Pi) {
        tracing::info!(pi = %pi.name, "not at home");
        self.trouble.partial = true;
    }

    /// Whether every archive that is wanted had its turn.
    async fn try_pull(&mut self, pi: &Pi, reaching: Reaching) -> anyhow::Result<bool> {
        // What this Mac has is read while the line is waited for.
        let here = self.mac.repository.clone();
        let mine = tokio::spawn(async move { here.archives().await });
        let reached = match reaching.await? {
            Ok(reached) => reached,
            Err(error) => return self.fail(Step::Reach, &pi.name, &error.into()).map(|()| false),
        };
        reached.remember(self.config, pi);
        tracing::info!(pi = %pi.name, "reached");
        let repository = reached.repository;
        let mine = match mine.await? {
            Ok(mine) => mine.good,
            Err(error) => return self.fail(Step::Pull, PlaceName::mac(), &error.into()).map(|()| false),
        };
        let (local, here) = (self.mac.local.clone(), self.mac.repository.clone());
        // What a killed night had fetched; before the index is read, which then has it.
        let held = tokio::spawn(async move { (recover_arrivals(&local).await, here.index().await) });
        let theirs = repository.archives_beside(&mine).await;
        // Also where there is nothing to pull: nobody else may work on the packs meanwhile.
        let (recovered, held) = held.await?;
        let theirs = match theirs {
            Ok(theirs) => theirs,
            Err(error) => return self.fail(Step::Reach, &pi.name, &error.into()).map(|()| false),
        };
        if let Err(error) = recovered {
            self.fail(Step::Pull, PlaceName::mac(), &error.into())?;
        }
        self.unreadable(&pi.name, theirs.unreadable)?;
        let offered = self.own_jobs(pi, theirs.good)?;
        let offered = self.not_refused(offered, &mine);
        self.receipt(Fact::Seen { place: pi.name.clone(), jobs: holdings(&offered) })?;
        for info in offered.iter().filter(|info| mine.iter().any(|own| own.name == info.name)) {
            self.arrived.entry(info.name.clone()).or_insert_with(|| (pi.name.clone(), 0));
        }
        let wanted = self.wanted(&offered, &mine);
        if wanted.is_empty() {
            self.did();
            return Ok(true);
        }
        let mut held = match held {
            Ok(held) => held,
            Err(error) => return self.fail(Step::Pull, PlaceName::mac(), &error.into()).map(|()| false),
        };
        let mut coming = Some(&wanted[..]);
        for info in &wanted {
            if self.has_room(&pi.name, &repository, &mut held, info, &mut coming).await? {
                self.pull_one(pi, &repository, &mut held, info).await?;
            }
        }
        Ok(true)
    }

    /// The archives of jobs that are this Pi's; another configured Pi's job is refused, since retention would mix the two.
    fn own_jobs(&mut self, pi: &Pi, offered: Vec<ArchiveInfo>) -> anyhow::Result<Vec<ArchiveInfo>> {
        let config = self.config;
        let is_pi = |place: &PlaceName| config.pis.iter().any(|pi| pi.name == *place);
        let mut own = Vec::new();
        let mut refused = std::collections::BTreeSet::new();
        for info in offered {
            let job = &info.name.job;
            // Of a first pull that was killed only what was offered is known.
            let offers = || self.standing.held.iter().find(|(place, jobs)| is_pi(place) && jobs.contains_key(job)).map(|(place, _)| place);
            match self.origins.get(job).or_else(offers) {
                Some(known) if *known != pi.name && is_pi(known) => {
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

    /// Without what a person forgot here: the Pi may keep it for long, and as far as this Mac goes it is not there.
    pub(super) fn not_refused(&self, mut offered: Vec<ArchiveInfo>, mine: &[ArchiveInfo]) -> Vec<ArchiveInfo> {
        let here = |name: &ArchiveName| mine.iter().any(|own| own.name == *name);
        offered.retain(|info| !self.standing.refused.contains(&info.name) || here(&info.name));
        offered
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
                self.arrived.insert(info.name.clone(), (pi.name.clone(), copied.bytes_moved));
                Ok(())
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
