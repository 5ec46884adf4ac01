//! One night: pull what is missing, judge it, read a part of what is kept back, keep a plain copy, push, apply the retention rule; a receipt
//! for each step.
//!
//! One archive, Pi or cloud that fails does not stop the others: its failure gets a receipt and the night ends incomplete. Of a job of which
//! something did not arrive at a place tonight nothing is forgotten there, so a broken transfer never costs an old archive, and its packs wait.
//! Everything is derived from the repositories and the journal, so a night that was killed anywhere is finished by the next.

mod attended;
mod judge;
pub(crate) mod loss;
mod plain;
mod preview;
mod pull;
mod push;
pub(crate) mod retain;
mod space;
mod verify;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use offsite_archive::{ArchiveName, JobName};
use offsite_repository::{ArchiveInfo, Repository};

pub use attended::attended;
pub use preview::preview;
pub use pull::MixedJobs;
pub(crate) use space::NoRoom;

use crate::{
    clocks::Clocks,
    config::{Config, PlaceName},
    hint,
    journal::{Fact, Holding, Journal, Outcome, Receipt, Standing, Step},
    live::{self, Phase},
    newest::newest,
    owed::OwedId,
    places::{self, Mac},
    platform,
    state::State,
};

/// What one night works with.
pub(crate) struct Night<'a> {
    config: &'a Config,
    journal: Journal,
    mac: Mac,
    standing: Standing,
    /// Archives of which the journal tells how they came to the Mac.
    receipted: BTreeSet<ArchiveName>,
    /// Archives of which the journal tells how they came to a cloud.
    pushed: BTreeSet<(PlaceName, ArchiveName)>,
    /// What was to be forgotten since the last night that ended: by a killed one, or by this.
    forgot: BTreeSet<(PlaceName, ArchiveName)>,
    /// From which Pi each job came, last.
    origins: BTreeMap<JobName, PlaceName>,
    /// Archives on the Mac that a Pi offers as well, or that came from it tonight: from which, and bytes moved.
    arrived: BTreeMap<ArchiveName, (PlaceName, u64)>,
    failures: usize,
    successes: usize,
    trouble: Trouble,
}

/// What went wrong at the place that is being worked on, as far as forgetting and pruning there must know.
#[derive(Debug, Default)]
struct Trouble {
    /// Jobs of which something did not arrive, or could not be judged: nothing of them is forgotten tonight.
    jobs: BTreeSet<JobName>,
    /// What is lost there could not be found out: nothing is forgotten at all.
    blind: bool,
    /// A transfer did not end: what it brought waits for the next try, and is not pruned.
    partial: bool,
}

/// What is known before a night begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tonight {
    /// The slot that it settles.
    pub owed: Option<OwedId>,
    /// Pis that do not answer: they are left out, which is no failure.
    pub away: BTreeSet<PlaceName>,
    /// Pis that an earlier run of the slot has dealt with: that they are away now lacks nothing.
    pub had: BTreeSet<PlaceName>,
}

impl Tonight {
    /// The Pis without which the slot stays owed.
    pub fn lacking(&self) -> BTreeSet<PlaceName> {
        self.away.difference(&self.had).cloned().collect()
    }
}

/// Plays a night, by what `clocks` shows. Without a Pi that is away it is at best incomplete. The caller holds the lock.
///
/// # Errors
/// When nothing can be begun: the journal or the Mac's repository cannot be opened, or a receipt cannot be written.
async fn play(config: &Config, tonight: &Tonight, clocks: &(dyn Fn() -> Clocks + Sync)) -> anyhow::Result<Outcome> {
    let journal = State::open(&config.state)?.journal();
    let (began, at_first) = (Timestamp::now(), clocks());
    tracing::info!(owed = tonight.owed.map(|owed| owed.to_string()), "begun");
    let result = begin_and_run(config, &journal, tonight).await;
    let outcome = match &result {
        Ok(outcome) => *outcome,
        Err(error) => {
            let fact = failed(Step::Configure, config.repository.display().to_string(), error);
            journal.append(&Receipt { time: Timestamp::now(), fact })?;
            Outcome::Failed
        }
    };
    let slept = outcome != Outcome::Fine && at_first.slept_until(clocks());
    let ran = Fact::Ran { owed: tonight.owed, outcome, began: Some(began), away: tonight.lacking(), slept };
    journal.append(&Receipt { time: Timestamp::now(), fact: ran })?;
    result
}

async fn begin_and_run(config: &Config, journal: &Journal, tonight: &Tonight) -> anyhow::Result<Outcome> {
    let mac = places::mac(config).await?;
    let mut night = Night::new(config, journal, mac);
    night.reread()?;
    night.run(tonight).await
}

impl<'a> Night<'a> {
    fn new(config: &'a Config, journal: &Journal, mac: Mac) -> Self {
        let standing = Standing::default();
        let (receipted, pushed, forgot, origins) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self {
            config,
            journal: journal.clone(),
            mac,
            standing,
            receipted,
            pushed,
            forgot,
            origins,
            arrived: BTreeMap::new(),
            failures: 0,
            successes: 0,
            trouble: Trouble::default(),
        }
    }
}

impl Night<'_> {
    async fn run(&mut self, tonight: &Tonight) -> anyhow::Result<Outcome> {
        if let Some(advice) = platform::leave_out(&self.config.repository) {
            tracing::info!(advice, "not left out of the system's own backup");
        }
        // The caller holds the lock, so what is half written here nobody writes any more; it would count as room that is taken.
        if let Err(error) = self.mac.local.clean() {
            self.fail(Step::Configure, PlaceName::mac(), &error.into())?;
        }
        crate::drill::clean(&State::at(&self.config.state));
        // The line takes as long as the look, and they have nothing to do with each other.
        let first = self.config.pis.iter().find(|pi| !tonight.away.contains(&pi.name));
        let mut reaching = first.map(|pi| (&pi.name, self.reach(pi)));
        live::phase(Phase::Check, "what this Mac holds");
        self.note_losses().await?;
        let mac = self.mac.repository.clone();
        self.renew_recover(&PlaceName::mac(), &mac).await?;
        for pi in &self.config.pis {
            live::phase(Phase::Reach, &pi.name);
            if tonight.away.contains(&pi.name) {
                self.leave_out(pi);
                continue;
            }
            let reaching = match reaching.take_if(|(name, _)| **name == pi.name) {
                Some((_, reaching)) => reaching,
                None => self.reach(pi),
            };
            self.pull(pi, reaching).await?;
        }
        // Also where no Pi answered: a killed night may have left something without receipt.
        self.judge().await?;
        self.note_return().await?;
        self.read_back().await?;
        self.plain_copies().await?;
        live::phase(Phase::Keep, PlaceName::mac());
        let repository = self.mac.repository.clone();
        self.retain(&PlaceName::mac(), &repository, None).await?;
        self.seen(&PlaceName::mac(), &repository).await?;
        for cloud in &self.config.clouds {
            self.trouble = Trouble::default();
            live::phase(Phase::Reach, &cloud.name);
            let Some(repository) = self.push(cloud).await? else { continue };
            live::phase(Phase::Keep, &cloud.name);
            self.retain(&cloud.name, &repository, Some(cloud.keep)).await?;
            self.seen(&cloud.name, &repository).await?;
        }
        self.revoke().await?;
        Ok(match (self.failures, self.successes) {
            (0, _) if tonight.lacking().is_empty() => Outcome::Fine,
            (0, _) => Outcome::Incomplete,
            (_, 0) => Outcome::Failed,
            _ => Outcome::Incomplete,
        })
    }

    /// Sees to it that what comes tonight can be opened without offsite, too. That it cannot be is a failure, and no reason to keep the
    /// data out.
    async fn renew_recover(&mut self, place: &PlaceName, repository: &Repository) -> anyhow::Result<()> {
        match repository.renew_recover().await {
            Ok(_) => Ok(()),
            Err(error) => self.fail(Step::Configure, format!("recover/ ({place})"), &error.into()),
        }
    }

    /// Looks into the journal again, after receipts were added.
    fn reread(&mut self) -> anyhow::Result<()> {
        self.standing = self.journal.standing()?.standing;
        (self.receipted, self.pushed) = came(&self.standing);
        (self.forgot, self.origins) = (self.standing.forgot.clone(), self.standing.origins.clone());
        Ok(())
    }

    fn receipt(&self, fact: Fact) -> anyhow::Result<()> {
        Ok(self.journal.append(&Receipt { time: Timestamp::now(), fact })?)
    }

    /// Notes a failure, in the journal and on the screen, and goes on.
    fn fail(&mut self, step: Step, object: impl ToString, error: &anyhow::Error) -> anyhow::Result<()> {
        self.failures += 1;
        // The receipt first: what is said after it may go nowhere.
        self.receipt(failed(step, object.to_string(), error))?;
        alarm!("{}: {}\n{}", step, object.to_string(), hint::render(error));
        Ok(())
    }

    /// Notes that an archive did not get to where it should be; its job is left alone there tonight.
    fn fail_archive(&mut self, step: Step, archive: &ArchiveName, place: &PlaceName, error: &anyhow::Error) -> anyhow::Result<()> {
        self.trouble.jobs.insert(archive.job.clone());
        self.trouble.partial = true;
        self.fail(step, format!("{archive} ({place})"), error)
    }

    /// A step that moved something, or found that nothing had to be moved.
    fn did(&mut self) {
        self.successes += 1;
    }

    /// What a place holds now, for `status`.
    async fn seen(&mut self, place: &PlaceName, repository: &Repository) -> anyhow::Result<()> {
        match repository.archives().await {
            Ok(archives) => self.receipt(Fact::Seen { place: place.clone(), jobs: holdings(&archives.good) }),
            Err(error) => self.fail(Step::Reach, place, &error.into()),
        }
    }
}

/// Of which archives the journal tells how they came to the Mac, and of which to which cloud.
fn came(standing: &Standing) -> (BTreeSet<ArchiveName>, BTreeSet<(PlaceName, ArchiveName)>) {
    let (mut here, mut there) = (BTreeSet::new(), BTreeSet::new());
    for (archive, places) in &standing.places {
        for place in places {
            if *place == PlaceName::mac() {
                here.insert(archive.clone());
            } else {
                there.insert((place.clone(), archive.clone()));
            }
        }
    }
    (here, there)
}

fn failed(step: Step, object: String, error: &anyhow::Error) -> Fact {
    Fact::Failed { step, object, message: hint::message(error), hint: hint::hint(error) }
}

/// How many archives of each job there are, and the newest.
fn holdings(archives: &[ArchiveInfo]) -> BTreeMap<JobName, Holding> {
    let mut jobs: BTreeMap<JobName, Vec<&ArchiveName>> = BTreeMap::new();
    for info in archives {
        jobs.entry(info.name.job.clone()).or_default().push(&info.name);
    }
    let now = Timestamp::now();
    let holding = |names: Vec<&ArchiveName>| Some(Holding { count: names.len() as u64, newest: newest(names, now)?.clone() });
    jobs.into_iter().filter_map(|(job, names)| Some((job, holding(names)?))).collect()
}
