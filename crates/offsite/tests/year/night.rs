//! What a night does in the household: archives come, go on to the cloud, and the oldest go; or something is in the way of it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use offsite::{
    config::{Config, Pi, PlaceName},
    daemon::World as _,
    journal::{Fact, Holding, Outcome, Receipt, Step},
    night::Tonight,
    tripwire::Why,
};
use offsite_archive::{ArchiveName, JobName};

use super::{house::House, script::within};

impl House {
    fn note(&self, fact: Fact) {
        self.state().journal().append(&Receipt { time: self.wall(self.now()), fact }).unwrap();
    }

    fn fail(&self, step: Step, object: &str, message: &str, failures: &mut usize) {
        *failures += 1;
        self.note(Fact::Failed { step, object: object.to_owned(), message: message.to_owned(), hint: None });
    }

    fn seen(&self, place: &PlaceName, names: &[ArchiveName]) {
        let mut jobs: BTreeMap<JobName, Holding> = BTreeMap::new();
        for name in names {
            let holding = jobs.entry(name.job.clone()).or_insert_with(|| Holding { count: 0, newest: name.clone() });
            holding.count += 1;
            holding.newest = holding.newest.clone().max(name.clone());
        }
        self.note(Fact::Seen { place: place.clone(), jobs });
    }

    /// Ten of each job stay, and all of one of which something is suspicious.
    fn retain(&self, place: &PlaceName, held: &RefCell<BTreeSet<ArchiveName>>) {
        let mut archives = Vec::new();
        let jobs: BTreeSet<JobName> = held.borrow().iter().map(|name| name.job.clone()).collect();
        let doubted = |job: &&JobName| self.doubted.borrow().iter().any(|name| name.job == **job);
        for job in jobs.iter().filter(|job| !doubted(job)) {
            let of_job: Vec<ArchiveName> = held.borrow().iter().filter(|name| name.job == *job).cloned().collect();
            archives.extend(of_job.iter().take(of_job.len().saturating_sub(10)).cloned());
        }
        held.borrow_mut().retain(|name| !archives.contains(name));
        if !archives.is_empty() {
            self.note(Fact::Forgot { place: place.clone(), archives, by_hand: false });
        }
        let names: Vec<ArchiveName> = held.borrow().iter().cloned().collect();
        self.seen(place, &names);
    }

    /// One Pi of a night.
    async fn pull(&self, index: usize, pi: &Pi, failures: &mut usize) {
        self.spend(5).await;
        if !self.home(index, self.now()) {
            return self.fail(Step::Reach, pi.name.as_str(), "no answer", failures);
        }
        let offers = self.offers(index, self.now());
        self.seen(&pi.name, &offers);
        for archive in offers {
            if self.mac.borrow().contains(&archive) {
                continue;
            }
            let (sleeps, length) = (self.sleeps.get(), self.die.borrow_mut().between(20, 400));
            self.spend(length).await;
            if self.sleeps.get() > sleeps || !self.home(index, self.now()) {
                self.fail(Step::Pull, &archive.to_string(), "the link is lost", failures);
                continue;
            }
            self.mac.borrow_mut().insert(archive.clone());
            if self.is_tampered_with(&archive) {
                self.doubted.borrow_mut().insert(archive.clone());
                self.note(Fact::Suspicious { archive: archive.clone(), why: Why::Smaller { now: 1, usual: 9 } });
            }
            self.note(Fact::Pulled {
                pi: pi.name.clone(),
                archive,
                sequence: 1,
                moved: 1,
                total: 1,
                verified: true,
                complete: Some(true),
                warnings: Default::default(),
            });
        }
    }

    fn is_tampered_with(&self, archive: &ArchiveName) -> bool {
        within(&self.script.tampered, archive.time().duration_since(self.wall(0)).as_secs()).is_some()
    }

    /// The owner sees to it when nobody meddles any more.
    pub(super) fn accept(&self) {
        if within(&self.script.tampered, self.now()).is_none() {
            let doubted = self.doubted.take();
            doubted.into_iter().for_each(|archive| self.note(Fact::Accepted { archive }));
        }
    }

    async fn push(&self, failures: &mut usize) {
        let cold = &self.config.clouds[0].name;
        let fails = || within(&self.script.storm, self.now()).is_some() || within(&self.script.offline, self.now()).is_some();
        self.spend(10).await;
        if fails() {
            return self.fail(Step::Reach, cold.as_str(), "503", failures);
        }
        let newest = |name: &&ArchiveName| self.cloud.borrow().iter().rfind(|other| other.job == name.job).is_none_or(|last| last < name);
        let lacking: Vec<ArchiveName> = self.mac.borrow().iter().filter(newest).cloned().collect();
        for archive in lacking {
            let sleeps = self.sleeps.get();
            self.spend(40).await;
            if self.sleeps.get() > sleeps || fails() {
                self.fail(Step::Push, &archive.to_string(), "the link is lost", failures);
                continue;
            }
            self.cloud.borrow_mut().insert(archive.clone());
            self.note(Fact::Pushed { cloud: cold.clone(), archive, sequence: 1, moved: 1, total: 1 });
        }
        self.retain(cold, &self.cloud);
    }

    /// All of it.
    pub async fn night(&self, config: &Config, tonight: &Tonight) -> anyhow::Result<Outcome> {
        anyhow::ensure!(within(&self.script.full, self.now()).is_none(), "no space left");
        let clocks = self.clocks();
        let mut failures = 0;
        for (index, pi) in config.pis.iter().enumerate().filter(|(_, pi)| !tonight.away.contains(&pi.name)) {
            self.pull(index, pi, &mut failures).await;
        }
        self.retain(&PlaceName::mac(), &self.mac);
        self.push(&mut failures).await;
        let outcome = if failures == 0 && tonight.lacking().is_empty() { Outcome::Fine } else { Outcome::Incomplete };
        let slept = outcome != Outcome::Fine && clocks.slept_until(self.clocks());
        self.note(Fact::Ran { owed: tonight.owed, outcome, began: Some(clocks.wall), away: tonight.lacking(), slept });
        self.spend(0).await;
        Ok(outcome)
    }
}
