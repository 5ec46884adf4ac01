//! The retention rule applied to a place: forget, then prune, each with its receipt.

use std::{collections::BTreeSet, num::NonZeroUsize};

use offsite_archive::ArchiveName;
use offsite_repository::{ArchiveInfo, Candidate, Repository, Standing as Worth, apply_prune, forget, plan_keep, plan_prune};

use super::Night;
use crate::{
    config::{Config, PlaceName},
    human,
    journal::{Fact, Standing, Step},
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

impl Night<'_> {
    /// Forgets what the rule lets go at `place`, and prunes what nobody needs then.
    pub(super) async fn retain(&mut self, place: &PlaceName, repository: &Repository, keep: Option<NonZeroUsize>) -> anyhow::Result<()> {
        self.reread()?;
        let archives = match repository.archives().await {
            Ok(archives) => archives,
            Err(error) => return self.fail(Step::Keep, place, &error.into()),
        };
        let gone: Vec<ArchiveName> = dropped(self.config, keep, &self.standing, place, archives.good.iter()).into_iter().collect();
        if !gone.is_empty() {
            if let Err(error) = forget(repository, &gone).await {
                return self.fail(Step::Keep, place, &error.into());
            }
            gone.iter().for_each(|archive| println!("forgot {archive} ({place})"));
            self.receipt(Fact::Forgot { place: place.clone(), archives: gone })?;
        }
        let pruned = match plan_prune(repository).await {
            Ok(plan) => apply_prune(repository, &plan).await,
            Err(error) => Err(error),
        };
        match pruned {
            Ok(pruned) if pruned.freed > 0 => println!("pruned {place}: {} free", human::size(pruned.freed)),
            Ok(_) => {}
            Err(error) => self.fail(Step::Keep, place, &error.into())?,
        }
        self.reread()
    }
}
