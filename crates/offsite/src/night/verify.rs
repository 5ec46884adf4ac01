//! A part of what the Mac holds is read back each night, what was not for longest first; what is damaged is named, and healed the same
//! night from the Pi that still has it, or from a cloud that can be read at once.
//!
//! Packs and plain copies have their turns together. Healing is the pull's own copy. A cloud of a cold class is a person's decision, because
//! it costs hours and money: `offsite verify --heal-from`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use jiff::Timestamp;
use offsite_archive::ArchiveName;
use offsite_repository::{ObjectId, PackName, PlainState, Repository, Scope, Verified, plain_copies, plain_path, verify};

use super::Night;
use crate::{
    config::{Cloud, CloudUrl, PlaceName, VerifyPart},
    human::{count, size},
    journal::{Fact, Step},
    progress::Bar,
    state::State,
    verify::{Checked, Report, Rounds, heal, plain::look, rounds::Item, settle, whole},
};

/// What has turns, and what it is.
#[derive(Default)]
struct Turns {
    items: Vec<Item>,
    packs: BTreeMap<String, ObjectId>,
    copies: BTreeMap<String, ArchiveName>,
}

impl Night<'_> {
    /// Reads back tonight's part. What goes wrong with that is a failure of the night, and no reason not to go on.
    pub(super) async fn read_back(&mut self) -> anyhow::Result<()> {
        if self.config.verify == VerifyPart::None {
            return Ok(());
        }
        let now = Timestamp::now();
        let (turns, mut rounds) = match self.turns().await {
            Ok(found) => found,
            Err(error) => return self.not_known(&error),
        };
        rounds.see(&turns.items, now);
        let budget = self.config.verify.of(turns.items.iter().map(|item| item.bytes.max(1)).sum());
        let next: Vec<String> = rounds.next(&turns.items, budget, now).into_iter().map(|item| item.path.clone()).collect();
        let packs: BTreeSet<ObjectId> = next.iter().filter_map(|path| turns.packs.get(path).copied()).collect();
        if !packs.is_empty() {
            match self.packs(packs).await {
                Ok((read, report)) => {
                    read.iter().for_each(|path| rounds.read(path, now));
                    self.told(report).await?;
                }
                Err(error) => self.not_known(&error)?,
            }
        }
        for (path, archive) in next.iter().filter_map(|path| Some((path, turns.copies.get(path)?))) {
            match self.copy_is_good(archive).await {
                Ok(true) => rounds.read(path, now),
                Ok(false) => {}
                Err(error) => self.fail(Step::Verify, format!("plain copy {archive}"), &error)?,
            }
        }
        if let Err(error) = self.complete(&rounds).await {
            self.not_known(&error)?;
        }
        let path = State::at(&self.config.state).rounds();
        match rounds.save(&path).with_context(|| format!("cannot note in {} what was read back", path.display())) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(Step::Verify, PlaceName::mac(), &error),
        }
    }

    /// What of the Mac is damaged could not be found out: nothing is forgotten there tonight.
    fn not_known(&mut self, error: &anyhow::Error) -> anyhow::Result<()> {
        self.trouble.blind = true;
        self.fail(Step::Verify, PlaceName::mac(), error)
    }

    async fn turns(&self) -> anyhow::Result<(Turns, Rounds)> {
        let (repository, local) = (&self.mac.repository, &self.mac.local);
        let mut turns = Turns::default();
        for facts in repository.packs().await?.0 {
            let PackName::Object(id) = facts.name else { continue };
            let path = facts.name.to_string();
            turns.packs.insert(path.clone(), id);
            turns.items.push(Item { path, bytes: facts.bytes });
        }
        for archive in plain_copies(repository).await? {
            let path = plain_path(&archive);
            let file = local.file(&path)?;
            // One that goes away now is made again anyway.
            let Ok(meta) = std::fs::symlink_metadata(&file) else { continue };
            turns.copies.insert(path.to_string(), archive);
            turns.items.push(Item { path: path.to_string(), bytes: meta.len() });
        }
        let path = State::at(&self.config.state).rounds();
        let rounds = Rounds::load(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((turns, rounds))
    }

    /// Reads `packs`, sets damaged ones aside, and gives the paths of the others and what is lost.
    async fn packs(&self, packs: BTreeSet<ObjectId>) -> anyhow::Result<(Vec<String>, Report)> {
        let repository = &self.mac.repository;
        let bar = Bar::new("verify");
        let found: Verified = verify(repository, &Scope::Packs(packs.clone()), &|progress| bar.set(progress)).await?;
        drop(bar);
        let bad = found.damaged_packs.clone();
        tracing::info!(packs = packs.len(), bytes = found.bytes, "read back");
        report!("verified {}, {}", count(packs.len() as u64, "pack", "packs"), size(found.bytes));
        let report = settle(&State::at(&self.config.state), repository, found, None, &BTreeSet::new()).await?;
        // One that stays because there is no room has had its turn: it must not keep the others waiting. Unless its rot still counts as good.
        let stays = |pack: &ObjectId| !report.offered && !report.set_aside.contains(&pack.to_string());
        let read = packs.iter().filter(|pack| !bad.contains(pack) || stays(pack)).map(|pack| PackName::Object(*pack).to_string()).collect();
        Ok((read, report))
    }

    /// Reads back an archive of which something was found damaged, and heals it. Whether it is whole then.
    pub(super) async fn mend(&mut self, archive: &ArchiveName) -> anyhow::Result<bool> {
        let repository = self.mac.repository.clone();
        let found = async {
            let found = verify(&repository, &Scope::Archive(archive.clone()), &|_| ()).await?;
            settle(&State::at(&self.config.state), &repository, found, None, &BTreeSet::new()).await
        };
        match found.await {
            Ok(report) => self.told(report).await?,
            Err(error) => {
                self.trouble.blind = true;
                self.fail(Step::Verify, archive, &error)?;
            }
        }
        Ok(!self.standing.lost.contains_key(&(PlaceName::mac(), archive.clone())))
    }

    /// Gives what is lost its receipts, and brings it back.
    async fn told(&mut self, mut report: Report) -> anyhow::Result<()> {
        for pack in &report.set_aside {
            tracing::info!(%pack, "damaged, and set aside");
            alarm!("damaged: packs/{pack}; set aside, in {}", self.config.repository.join("damaged").display());
        }
        // Until the bad frames are disowned, a lost archive would be said to be whole again by whoever asks what lacks.
        self.trouble.blind |= report.offered;
        // Manifests that cannot be read were told when losses were.
        for (object, error) in report.unreadable.iter().filter(|(object, _)| !object.starts_with("manifests/")) {
            let error = anyhow::anyhow!("{error}");
            self.fail(Step::Verify, format!("{object} (mac)"), &error)?;
        }
        for archive in report.archives.iter().filter(|archive| archive.is_lost()) {
            if let Some(Some(frames)) = archive.lost {
                self.lost(&PlaceName::mac(), archive.archive.clone(), Some(frames))?;
            }
        }
        self.reread()?;
        if !report.archives.iter().any(Checked::is_lost) {
            return Ok(());
        }
        for pi in &self.config.pis {
            self.pull(pi, self.reach(pi)).await?;
            self.came_back(&mut report, &pi.name).await?;
        }
        for cloud in self.config.clouds.iter().filter(|cloud| is_warm(cloud)) {
            if report.archives.iter().any(Checked::is_lost) {
                let (config, repository, journal) = (self.config, self.mac.repository.clone(), self.journal.clone());
                if let Err(error) = heal(config, cloud, &repository, &journal, &mut report).await {
                    self.fail(Step::Heal, format!("mac from {}", cloud.name), &error)?;
                }
            }
        }
        for archive in &report.archives {
            match (archive.healed, archive.is_lost()) {
                (true, _) => report!("healed: {} is whole again", archive.archive),
                (_, true) => alarm!("lost: {} is not whole: offsite verify --heal-from CLOUD", archive.archive),
                _ => {}
            }
        }
        self.reread()
    }

    /// Notes which of the archives in `report` are whole again.
    async fn came_back(&mut self, report: &mut Report, from: &PlaceName) -> anyhow::Result<()> {
        let whole = match whole(&self.mac.repository).await {
            Ok(whole) => whole,
            Err(error) => return self.fail(Step::Heal, PlaceName::mac(), &error.into()),
        };
        for archive in report.archives.iter_mut().filter(|archive| archive.is_lost() && archive.curable) {
            if whole.contains(&archive.archive) {
                archive.healed = true;
                // The pull gave one to an archive for which frames came; others were healed by the same frames.
                if self.standing.lost.contains_key(&(PlaceName::mac(), archive.archive.clone())) {
                    self.receipt(Fact::Healed { place: PlaceName::mac(), archive: archive.archive.clone(), from: from.clone() })?;
                }
            }
        }
        self.reread()
    }

    /// Whether a plain copy needs no more reading this round. One that is damaged is made again like any that lacks.
    async fn copy_is_good(&self, archive: &ArchiveName) -> anyhow::Result<bool> {
        let lost = self.is_lost(archive);
        let state = look(&self.mac, archive, lost).await?;
        if let PlainState::Damaged(why) = &state {
            alarm!("damaged: the plain copy of {archive}{}: {why}", if lost { ", which is lost" } else { "; it is made again" });
        }
        Ok(state == PlainState::Good || (lost && state != PlainState::Gone))
    }

    /// Archives of which every frame was read back since they last were said to be verified get their receipt: one for each round.
    async fn complete(&mut self, rounds: &Rounds) -> anyhow::Result<()> {
        let repository: Repository = self.mac.repository.clone();
        let index = repository.index().await?;
        let mut whole: Vec<(ArchiveName, BTreeSet<u32>)> = Vec::new();
        repository
            .each_manifest(|object| {
                let packs: Option<BTreeSet<u32>> =
                    object.manifest.frames.iter().map(|frame| index.locate(&frame.id).map(|location| location.pack)).collect();
                whole.extend(packs.map(|packs| (object.manifest.head.archive, packs)));
            })
            .await?;
        for (archive, packs) in whole {
            let key = (PlaceName::mac(), archive);
            let paths: Vec<String> =
                packs.iter().filter_map(|pack| index.packs().get(*pack as usize)).map(|facts| facts.name.to_string()).collect();
            let Some(since) = rounds.since(paths.iter().map(String::as_str)) else { continue };
            // Lengths that a manifest lies about are a loss that no reading ends.
            let news = self.standing.verified.get(&key).is_none_or(|last| *last < since) && !self.standing.lost.contains_key(&key);
            if news {
                self.receipt(Fact::Verified { place: key.0, archive: key.1, since: Some(since) })?;
            }
        }
        self.reread()
    }
}

/// Whether a cloud's packs can be read at once, as far as its class tells.
fn is_warm(cloud: &Cloud) -> bool {
    match (&cloud.url, &cloud.class) {
        (CloudUrl::File(_), _) | (_, None) => true,
        (_, Some(class)) => class.as_str() == "STANDARD",
    }
}
