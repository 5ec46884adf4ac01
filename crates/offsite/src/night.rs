//! One night: pull what is missing, judge it, keep a plain copy, push, apply the retention rule; a receipt for each step.
//!
//! One archive, Pi or cloud that fails does not stop the others: its failure gets a receipt and the night ends incomplete. Nothing is forgotten
//! at a place where something failed this night, so a broken transfer never costs an old archive, and its packs wait for the next try.
//! Everything is derived from the repositories and the journal, so a night that was killed anywhere is finished by the next.

mod judge;
mod plain;
mod preview;
mod pull;
mod push;
mod retain;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use offsite_archive::{ArchiveName, JobName};
use offsite_repository::{ArchiveInfo, Repository};

pub use preview::preview;
pub use pull::MixedJobs;

use crate::{
    config::{Config, PlaceName},
    exit::Exit,
    hint,
    journal::{Fact, Holding, Journal, Outcome, Receipt, Standing, Step},
    owed::OwedId,
    places::{self, Mac},
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
    /// From which Pi each job came, last.
    origins: BTreeMap<JobName, PlaceName>,
    failures: usize,
    successes: usize,
}

/// Plays a night. `owed` is the slot that it settles. The caller holds the lock.
///
/// # Errors
/// When nothing can be begun: the journal or the Mac's repository cannot be opened, or a receipt cannot be written.
pub async fn night(config: &Config, owed: Option<OwedId>) -> anyhow::Result<Outcome> {
    let journal = State::open(&config.state)?.journal();
    let result = begin_and_run(config, &journal).await;
    let outcome = match &result {
        Ok(outcome) => *outcome,
        Err(error) => {
            let fact = failed(Step::Configure, config.repository.display().to_string(), error);
            journal.append(&Receipt { time: Timestamp::now(), fact })?;
            Outcome::Failed
        }
    };
    journal.append(&Receipt { time: Timestamp::now(), fact: Fact::Ran { owed, outcome } })?;
    result
}

async fn begin_and_run(config: &Config, journal: &Journal) -> anyhow::Result<Outcome> {
    let mac = places::mac(config).await?;
    let mut night = Night::new(config, journal, mac);
    night.reread()?;
    night.run().await
}

impl<'a> Night<'a> {
    fn new(config: &'a Config, journal: &Journal, mac: Mac) -> Self {
        let standing = Standing::default();
        let (receipted, pushed, origins) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self { config, journal: journal.clone(), mac, standing, receipted, pushed, origins, failures: 0, successes: 0 }
    }
}

impl Night<'_> {
    async fn run(&mut self) -> anyhow::Result<Outcome> {
        self.note_losses().await?;
        // What a killed night left without receipt is judged before anything new comes.
        self.judge().await?;
        let before = self.failures;
        for pi in &self.config.pis {
            self.pull(pi).await?;
        }
        self.judge().await?;
        let pulled = self.failures == before;
        self.plain_copies().await?;
        let repository = self.mac.repository.clone();
        if pulled {
            self.retain(&PlaceName::mac(), &repository, None).await?;
        }
        self.seen(&PlaceName::mac(), &repository).await?;
        for cloud in &self.config.clouds {
            let before = self.failures;
            let Some(repository) = self.push(cloud).await? else { continue };
            if pulled && self.failures == before {
                self.retain(&cloud.name, &repository, Some(cloud.keep)).await?;
            }
            self.seen(&cloud.name, &repository).await?;
        }
        Ok(match (self.failures, self.successes) {
            (0, _) => Outcome::Fine,
            (_, 0) => Outcome::Failed,
            _ => Outcome::Incomplete,
        })
    }

    /// Reads the journal again, after receipts were added.
    fn reread(&mut self) -> anyhow::Result<()> {
        let read = self.journal.read()?;
        for receipt in &read.receipts {
            match &receipt.fact {
                Fact::Pulled { pi, archive, .. } => {
                    self.receipted.insert(archive.clone());
                    self.origins.insert(archive.job.clone(), pi.clone());
                }
                Fact::Pushed { cloud, archive, .. } => drop(self.pushed.insert((cloud.clone(), archive.clone()))),
                Fact::Forgot { place, archives } if *place == PlaceName::mac() => {
                    self.receipted.retain(|name| !archives.contains(name));
                }
                Fact::Forgot { place, archives } => self.pushed.retain(|(cloud, name)| cloud != place || !archives.contains(name)),
                _ => {}
            }
        }
        self.standing = Standing::of(&read.receipts);
        Ok(())
    }

    fn receipt(&self, fact: Fact) -> anyhow::Result<()> {
        Ok(self.journal.append(&Receipt { time: Timestamp::now(), fact })?)
    }

    /// Notes a failure, in the journal and on the screen, and goes on.
    fn fail(&mut self, step: Step, object: impl ToString, error: &anyhow::Error) -> anyhow::Result<()> {
        self.failures += 1;
        eprintln!("{}: {}\n{}", step, object.to_string(), hint::render(error));
        tracing::error!(%step, object = object.to_string(), error = hint::message(error), "step failed");
        self.receipt(failed(step, object.to_string(), error))
    }

    /// A step that moved or confirmed something.
    fn did(&mut self) {
        self.successes += 1;
    }

    /// What a place holds now, for `status`.
    async fn seen(&mut self, place: &PlaceName, repository: &Repository) -> anyhow::Result<()> {
        match repository.archives().await {
            Ok(archives) => {
                self.did();
                self.receipt(Fact::Seen { place: place.clone(), jobs: holdings(&archives.good) })
            }
            Err(error) => self.fail(Step::Reach, place, &error.into()),
        }
    }

    /// Archives that the Mac should hold and does not, whole: from the manifests and listings alone.
    async fn note_losses(&mut self) -> anyhow::Result<()> {
        let (mac, repository) = (PlaceName::mac(), self.mac.repository.clone());
        // A night that was killed between a pack and its index object left the pack without: it costs nothing to write it now.
        if let Err(error) = offsite_repository::mend_index(&repository).await {
            self.fail(Step::Verify, &mac, &error.into())?;
        }
        let archives = match repository.archives().await {
            Ok(archives) => archives,
            Err(error) => return self.fail(Step::Reach, &mac, &error.into()),
        };
        for bad in archives.unreadable {
            self.fail(Step::Verify, bad.object, &bad.error.into())?;
        }
        let there: BTreeSet<&ArchiveName> = archives.good.iter().map(|info| &info.name).collect();
        let gone: Vec<ArchiveName> = self.receipted.iter().filter(|name| !there.contains(name)).cloned().collect();
        for archive in gone {
            self.lost(&mac, archive, None)?;
        }
        match offsite_repository::lacking(&repository).await {
            Ok(lacking) => lacking.into_iter().try_for_each(|(archive, frames)| self.lost(&mac, archive, Some(frames as u64)))?,
            Err(error) => self.fail(Step::Verify, &mac, &error.into())?,
        }
        self.reread()
    }

    fn lost(&self, place: &PlaceName, archive: ArchiveName, frames: Option<u64>) -> anyhow::Result<()> {
        let key = (place.clone(), archive);
        if self.standing.lost.get(&key) == Some(&frames) {
            return Ok(());
        }
        tracing::warn!(%place, archive = %key.1, ?frames, "not whole any more");
        self.receipt(Fact::Lost { place: key.0, archive: key.1, frames })
    }
}

fn failed(step: Step, object: String, error: &anyhow::Error) -> Fact {
    Fact::Failed { step, object, message: hint::message(error), hint: hint::hint(error) }
}

/// How many archives of each job there are, and the newest.
fn holdings(archives: &[ArchiveInfo]) -> BTreeMap<JobName, Holding> {
    let mut jobs: BTreeMap<JobName, Holding> = BTreeMap::new();
    for info in archives {
        let holding = jobs.entry(info.name.job.clone()).or_insert_with(|| Holding { count: 0, newest: info.name.clone() });
        holding.count += 1;
        holding.newest = holding.newest.clone().max(info.name.clone());
    }
    jobs
}

/// How the program ends after a night.
pub fn exit(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Fine => Exit::Fine,
        Outcome::Incomplete => Exit::Incomplete,
        Outcome::Failed => Exit::Failed,
    }
}
