//! The retention rule applied to a place: forget, then prune, each with its receipt.

use std::{collections::BTreeSet, num::NonZeroUsize};

use offsite_archive::{ArchiveName, JobName};
use offsite_repository::{
    ArchiveInfo, Candidate, PruneError, PrunePlan, Repository, Standing as Worth, apply_prune, forget, plan_keep, plan_prune,
};

use super::Night;
use crate::{
    config::{Config, PlaceName},
    human,
    journal::{Fact, Standing, Step},
    lock::{Lock, LockError},
    state::State,
};

/// What the rule would forget of `archives` at `place`. `keep` is a cloud's number; the Mac's stands with each job.
pub(super) fn dropped<'a>(
    config: &Config,
    keep: Option<NonZeroUsize>,
    standing: &Standing,
    place: &PlaceName,
    archives: impl Iterator<Item = &'a ArchiveInfo>,
) -> BTreeSet<ArchiveName> {
    let archives: Vec<&ArchiveInfo> = archives.collect();
    let jobs: BTreeSet<_> = archives.iter().map(|info| info.name.job.clone()).collect();
    let mut dropped = BTreeSet::new();
    for job in jobs {
        let own = archives.iter().filter(|info| info.name.job == job);
        let candidates: Vec<Candidate> = own.map(|info| candidate(info, standing, place)).collect();
        let keep = keep.unwrap_or_else(|| config.keep_of(&job)).get();
        dropped.extend(plan_keep(&candidates, keep).forget);
    }
    dropped
}

/// What an archive is worth: one that is suspicious or not whole pushes nothing out.
fn candidate(info: &ArchiveInfo, standing: &Standing, place: &PlaceName) -> Candidate {
    let held = standing.suspicious.contains_key(&info.name) || standing.lost.contains_key(&(place.clone(), info.name.clone()));
    let worth = match (held, info.end.complete) {
        (true, _) => Worth::Held,
        (false, false) => Worth::Incomplete,
        (false, true) => Worth::Good,
    };
    Candidate { name: info.name.clone(), sequence: info.sequence, standing: worth }
}

/// Takes out of `gone` what belongs to jobs with a suspicious archive. The tripwire stops a job's rotation, everywhere, until a person has
/// looked: a good archive that comes after a bad one must not push out the last from before it either.
pub(super) fn freeze(gone: &mut BTreeSet<ArchiveName>, standing: &Standing) {
    gone.retain(|name| !standing.suspicious.keys().any(|held| held.job == name.job));
}

/// More would go at once than a usual night's worth.
#[derive(Debug, thiserror::Error)]
#[error(
    "the rule would forget {all} archives of {job} at once, as many as `keep` holds or more: so many came in one night, or `keep` was lowered; only the oldest {now} went"
)]
pub(crate) struct Flood {
    job: JobName,
    all: usize,
    now: usize,
}

/// The oldest of each job, at most a third of `keep` and at least one, and the jobs of which all would have gone. A Pi that makes ten archives
/// in one night so takes nights, with an alarm in each, to push the good ones out. What a killed night already said it would forget is forgotten
/// first and counts, so that it ends where an undisturbed one does.
pub(super) fn limited(
    gone: &BTreeSet<ArchiveName>,
    said: &BTreeSet<ArchiveName>,
    keep_of: impl Fn(&JobName) -> usize,
) -> (Vec<ArchiveName>, Vec<Flood>) {
    let (mut now, mut floods) = (Vec::new(), Vec::new());
    let jobs: BTreeSet<&JobName> = gone.iter().map(|name| &name.job).collect();
    for job in jobs {
        // A set of names is ordered by time within a job.
        let (begun, fresh): (Vec<&ArchiveName>, Vec<&ArchiveName>) =
            gone.iter().filter(|name| name.job == *job).partition(|name| said.contains(name));
        let spent = said.iter().filter(|name| name.job == *job).count();
        let (keep, all) = (keep_of(job), spent + fresh.len());
        let limit = (keep / 3).max(1);
        now.extend(begun.into_iter().chain(fresh.into_iter().take(limit.saturating_sub(spent))).cloned());
        if all > limit && all >= keep {
            floods.push(Flood { job: job.clone(), all, now: limit });
        }
    }
    (now, floods)
}

/// Whether a place lost so much as the manifest of an archive. What that needs is not known, and its manifest may come back, so nothing is pruned
/// there until it does, or until a person forgets it.
pub(crate) fn unknown_needs(standing: &Standing, place: &PlaceName) -> bool {
    standing.lost.iter().any(|((lost, _), frames)| lost == place && frames.is_none())
}

/// What of `plan` may go. Packs of which nothing was needed already when `before` was made are what a transfer brought that did not end: while
/// they wait, only what became unneeded since goes, full disk or not.
pub(crate) fn since(mut plan: PrunePlan, before: &PrunePlan) -> PrunePlan {
    if before.remove.is_empty() {
        return plan;
    }
    let packs = before.remove.iter().map(|removal| removal.id).chain(before.rewrite.iter().map(|rewrite| rewrite.id));
    let stays: BTreeSet<_> = packs.collect();
    plan.remove.retain(|removal| !stays.contains(&removal.id));
    plan.rewrite.retain(|rewrite| !stays.contains(&rewrite.id));
    plan.relied.retain(|relied| !stays.contains(&relied.pack));
    plan
}

impl Night<'_> {
    /// Has the Mac's repository alone, so that something may go. Where it is being read nothing does tonight, which is no failure.
    pub(super) fn alone(&mut self) -> anyhow::Result<Option<Lock>> {
        match State::at(&self.config.state).alone() {
            Ok(alone) => Ok(Some(alone)),
            Err(LockError::Read) => {
                tracing::info!("nothing forgotten and nothing pruned on this Mac: it is being read");
                report!("nothing was forgotten on this Mac: a restore was reading it; the next sync does it");
                Ok(None)
            }
            Err(error) => self.fail(Step::Keep, PlaceName::mac(), &error.into()).map(|()| None),
        }
    }

    /// Forgets what the rule lets go at `place`, and prunes what nobody needs then. What went wrong there tonight holds both back.
    pub(super) async fn retain(&mut self, place: &PlaceName, repository: &Repository, keep: Option<NonZeroUsize>) -> anyhow::Result<()> {
        if self.trouble.blind {
            return Ok(());
        }
        let alone = if *place == PlaceName::mac() { self.alone()?.map(Some) } else { Some(None) };
        let Some(_alone) = alone else { return Ok(()) };
        self.reread()?;
        let archives = match repository.archives().await {
            Ok(archives) => archives,
            Err(error) => return self.fail(Step::Keep, place, &error.into()),
        };
        let mut gone = dropped(self.config, keep, &self.standing, place, archives.good.iter());
        gone.retain(|name| !self.trouble.jobs.contains(&name.job));
        freeze(&mut gone, &self.standing);
        let said = self.forgot.iter().filter(|(at, _)| at == place).map(|(_, archive)| archive.clone()).collect();
        let (gone, floods) = limited(&gone, &said, |job| keep.unwrap_or_else(|| self.config.keep_of(job)).get());
        for flood in floods {
            self.fail(Step::Keep, format!("{} ({place})", flood.job), &flood.into())?;
        }
        // Asked before anything is forgotten, and only where it makes a difference.
        let before = if self.trouble.partial { plan_prune(repository).await } else { Ok(PrunePlan::default()) };
        if !gone.is_empty() {
            // The receipt first: an archive that is there without one is found and judged by the next night; one that is gone while the
            // journal expects it would be an alarm for ever.
            self.receipt(Fact::Forgot { place: place.clone(), archives: gone.clone(), by_hand: false })?;
            if let Err(error) = forget(repository, &gone).await {
                return self.fail(Step::Keep, place, &error.into());
            }
            gone.iter().for_each(|archive| report!("forgot {archive} ({place})"));
        }
        self.reread()?;
        // What a vanished manifest needs may be nowhere else.
        if !unknown_needs(&self.standing, place) {
            let plan = async { Ok(since(plan_prune(repository).await?, &before?)) };
            self.prune(place, repository, plan.await).await?;
        }
        self.reread()
    }

    /// Does what was planned. That it cannot be is noted.
    pub(super) async fn prune(
        &mut self,
        place: &PlaceName,
        repository: &Repository,
        plan: Result<PrunePlan, PruneError>,
    ) -> anyhow::Result<()> {
        let pruned = async { apply_prune(repository, &plan?).await };
        match pruned.await {
            Ok(pruned) => {
                if pruned.stayed > 0 {
                    let packs = human::count(pruned.stayed, "pack that is", "packs that are");
                    tracing::info!(%place, packs = pruned.stayed, "not pruned: there twice, and frames in the other could not be read or are bad");
                    alarm!(
                        "not pruned in {place}: {packs} there twice, because frames in the other one could not be read or are bad (offsite verify)"
                    );
                }
                tracing::info!(%place, bytes = pruned.freed, "pruned");
                if pruned.freed > 0 {
                    report!("pruned {place}: {} freed", human::size(pruned.freed));
                }
            }
            Err(error) => self.fail(Step::Keep, place, &error.into())?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(days: std::ops::RangeInclusive<u32>) -> BTreeSet<ArchiveName> {
        days.map(|day| format!("services/2026-11-{day:02}T040000Z").parse().unwrap()).collect()
    }

    #[test]
    fn a_usual_nights_worth_goes() {
        let (now, floods) = limited(&names(1..=3), &BTreeSet::new(), |_| 10);
        assert_eq!((now.len(), floods.len()), (3, 0));
    }

    #[test]
    fn a_suspicious_archive_stops_the_rotation_of_its_job_and_of_no_other() {
        let (odd, other): (ArchiveName, ArchiveName) =
            ("services/2026-11-20T040000Z".parse().unwrap(), "photos/2026-11-01T040000Z".parse().unwrap());
        let mut standing = Standing::default();
        let all = || names(1..=3).into_iter().chain([other.clone()]).collect::<BTreeSet<_>>();
        let left = |standing: &Standing| {
            let mut gone = all();
            freeze(&mut gone, standing);
            gone
        };
        assert_eq!(left(&standing), all());
        standing.suspicious.insert(odd, crate::tripwire::Why::Empty);
        assert_eq!(left(&standing), [other.clone()].into());
    }

    #[test]
    fn a_flood_takes_the_oldest_only_and_is_told() {
        let (now, floods) = limited(&names(1..=10), &BTreeSet::new(), |_| 10);
        assert_eq!(now, names(1..=3).into_iter().collect::<Vec<_>>());
        assert_eq!((floods[0].all, floods[0].now), (10, 3));
    }

    #[test]
    fn a_killed_night_is_finished_and_not_given_a_second_allowance() {
        // Three of ten were said to go; one of them is gone, two are still there.
        let (now, _) = limited(&names(2..=10), &names(1..=3), |_| 10);
        assert_eq!(now, names(2..=3).into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_small_number_still_moves_on() {
        assert_eq!(limited(&names(1..=1), &BTreeSet::new(), |_| 1).0.len(), 1);
        assert_eq!(limited(&names(1..=2), &BTreeSet::new(), |_| 3).0.len(), 1);
    }
}
