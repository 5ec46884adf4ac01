//! The passes over packs, archive files and manifests.
//!
//! What grows with the frames is what became of each, 45 bytes, and one manifest: of packs that are not read this time no table is kept, and of
//! frames that no archive lacks no list is made.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::StreamExt;
use object_store::ObjectStoreExt;
use offsite_archive::{ArchiveName, FrameId, FrameRef, Keyed, Known, Manifest, write_tail};

use super::{Damage, Scope, Verified};
use crate::{
    FetchError, Layout, Location, ManifestObject, ObjectId, PackFacts, PackName, Progress, Repository, RepositoryError, Table, TableEntry,
    Unreadable, fetch::fetch_located, pack::store, table::trailer,
};

/// Requests of at most 4 MiB under way, so that the disk reads while frames are decoded.
const IN_FLIGHT: usize = 2;

pub(super) async fn verify(
    repository: &Repository,
    scope: &Scope,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Verified, RepositoryError> {
    let mut work = Work { repository, progress, seen: Progress::default(), found: Verified::default() };
    match (scope, repository.layout()) {
        (Scope::Archive(name), _) => work.one(name).await?,
        (Scope::All, Layout::Plain) => work.files().await?,
        (Scope::All, Layout::Packs | Layout::Sealed) => work.packs(None).await?,
        (Scope::Packs(_), Layout::Plain) => {
            return Err(RepositoryError::NotSupported { operation: "verify single packs", layout: Layout::Plain });
        }
        (Scope::Packs(only), Layout::Packs | Layout::Sealed) => work.packs(Some(only)).await?,
    }
    Ok(work.found)
}

struct Work<'a> {
    repository: &'a Repository,
    progress: &'a (dyn Fn(Progress) + Sync),
    seen: Progress,
    found: Verified,
}

/// A frame, and how long it is raw.
struct Good(FrameId, u32);

impl Keyed for Good {
    type Key = FrameId;

    fn key(&self) -> &FrameId {
        &self.0
    }
}

/// What became of each frame that was looked at.
#[derive(Default)]
struct Frames {
    /// Good in at least one place.
    good: Known<Good>,
    /// Said to be in packs that are not read this time.
    held: Known<Good>,
    /// Bad in at least one place: the first place, and how it shows.
    bad: HashMap<FrameId, (PackName, String)>,
    /// Whether one that is good elsewhere is no help where it is bad.
    each: bool,
}

impl Frames {
    /// How long a frame is raw, if it can be had. What was read is believed before what a table says.
    fn raw(&self, id: &FrameId) -> Option<u32> {
        if self.each && self.bad.contains_key(id) {
            return None;
        }
        [&self.good, &self.held].into_iter().find_map(|frames| frames.find(id).map(|number| frames[number].1))
    }
}

impl Work<'_> {
    /// Every pack, or `only` these, then what that means for every archive.
    async fn packs(&mut self, only: Option<&BTreeSet<ObjectId>>) -> Result<(), RepositoryError> {
        let asked = |facts: &PackFacts| only.is_none_or(|only| id_of(facts).is_some_and(|id| only.contains(&id)));
        let (mut frames, mut to_read, mut unknown) = (Frames::default(), Vec::new(), Vec::new());
        let each = |facts: PackFacts, table: Option<Table>| match table {
            Some(table) if asked(&facts) => to_read.push((facts, table)),
            // Held, and no more is asked of them this time.
            Some(table) => {
                for entry in table.entries() {
                    frames.held.add(Good(entry.id, entry.raw));
                }
            }
            None => unknown.extend(id_of(&facts)),
        };
        self.found.unreadable = self.repository.each_table(each).await?;
        self.seen.total = to_read.iter().map(|(facts, _)| facts.bytes).sum();
        if self.repository.layout() == Layout::Packs {
            // Neither index object nor pack knows what is in it. A sealed pack was not asked.
            self.found.damaged_packs = unknown;
        }
        for (facts, table) in to_read {
            let place = |entry: &TableEntry| (entry.id, Location { pack: 0, offset: entry.offset, len: entry.len, raw: entry.raw });
            let located: Vec<_> = table.entries().iter().map(place).collect();
            let whole = self.frames(&facts, &located, &mut frames).await?;
            if !(self.ending(&facts, &table).await? && whole) {
                self.found.damaged_packs.extend(id_of(&facts));
            }
        }
        let repository = self.repository;
        let each = |ManifestObject { manifest, .. }| {
            let damages = judge(&manifest, &frames);
            self.report(manifest.head.archive, damages);
        };
        let unreadable = repository.each_manifest(each).await?;
        self.found.unreadable.extend(unreadable);
        Ok(())
    }

    /// Every archive's file of a plain repository.
    async fn files(&mut self) -> Result<(), RepositoryError> {
        let (packs, strays) = self.repository.packs().await?;
        self.found.unreadable = strays;
        self.seen.total = packs.iter().map(|facts| facts.bytes).sum();
        let files: HashMap<PackName, PackFacts> = packs.into_iter().map(|facts| (facts.name.clone(), facts)).collect();
        for object in self.repository.manifests().await? {
            match self.repository.read_manifest(&object.location).await {
                Ok(Some(object)) => {
                    let name = PackName::Archive(object.manifest.head.archive.clone());
                    // No file: as one of no bytes.
                    let facts = files.get(&name).cloned();
                    self.file(facts, object).await?;
                }
                other => self.strange(object.location.to_string(), other)?,
            }
        }
        Ok(())
    }

    /// One archive: the frames that it needs, each once.
    async fn one(&mut self, name: &ArchiveName) -> Result<(), RepositoryError> {
        let object = self.repository.manifest(name).await?;
        let index = self.repository.index_of(&object.manifest).await?;
        if self.repository.layout() == Layout::Plain {
            let facts = index.packs().first().cloned();
            self.seen.total = facts.as_ref().map_or(0, |facts| facts.bytes);
            return self.file(facts, object).await;
        }
        let manifest = object.manifest;
        let mut located: Vec<_> = manifest.frames.iter().filter_map(|frame| Some((frame.id, index.locate(&frame.id)?))).collect();
        located.sort_unstable_by_key(|(_, location)| (location.pack, location.offset));
        located.dedup_by_key(|(id, _)| *id);
        self.seen.total = located.iter().map(|(_, location)| u64::from(location.len)).sum();
        let mut frames = Frames::default();
        for pack in located.chunk_by(|a, b| a.1.pack == b.1.pack) {
            let Some(facts) = pack.first().and_then(|(_, location)| index.pack_of(location)) else { continue };
            let located: Vec<_> = pack.iter().map(|(id, location)| (*id, Location { pack: 0, ..*location })).collect();
            if !self.frames(facts, &located, &mut frames).await? {
                self.found.damaged_packs.extend(id_of(facts));
            }
        }
        self.found.archives.push((name.clone(), judge(&manifest, &frames)));
        Ok(())
    }

    /// An archive's file: every frame where the manifest says, even one that is there twice, and the tail behind them.
    async fn file(&mut self, facts: Option<PackFacts>, object: ManifestObject) -> Result<(), RepositoryError> {
        let ManifestObject { manifest, bytes } = object;
        let name = manifest.head.archive.clone();
        let facts = facts.unwrap_or(PackFacts { name: PackName::Archive(name.clone()), bytes: 0 });
        let place = |(offset, frame): (u64, &FrameRef)| (frame.id, Location { pack: 0, offset, len: frame.len, raw: frame.raw });
        let located: Vec<_> = manifest.frame_offsets().zip(&manifest.frames).map(place).collect();
        // A frame that is good in one place of the file is no help where `tar` meets the bad one.
        let mut frames = Frames { each: true, ..Frames::default() };
        let whole = self.frames(&facts, &located, &mut frames).await?;
        let mut damages = judge(&manifest, &frames);
        let mut tail = Vec::new();
        let lens = manifest.frames.iter().map(|frame| (frame.len, frame.raw));
        let written = write_tail(&mut tail, lens, &bytes);
        if whole && (written.is_err() || !self.equals(&facts, manifest.end.bytes, &tail, true).await?) {
            damages.push(Damage::Tail { pack: facts.name });
        }
        self.report(name, damages);
        Ok(())
    }

    /// Reads frames of one pack in the order given and notes what becomes of each. Whether all are good.
    async fn frames(&mut self, facts: &PackFacts, located: &[(FrameId, Location)], frames: &mut Frames) -> Result<bool, RepositoryError> {
        let mut whole = true;
        let wanted = located.iter().map(|(id, location)| (*id, Some(*location)));
        let mut fetched = std::pin::pin!(fetch_located(self.repository, std::slice::from_ref(facts), wanted, IN_FLIGHT));
        for &(id, location) in located {
            match fetched.next().await {
                Some(Ok(frame)) => {
                    self.found.frames += 1;
                    self.found.bytes += frame.encoded.len() as u64;
                    frames.good.add(Good(id, location.raw));
                }
                // Someone removed the pack after it was listed: as if it had not been there.
                Some(Err(FetchError::Gone { .. })) | None => return Ok(true),
                Some(Err(error)) if error.is_damage() => {
                    whole = false;
                    self.found.bad.extend(id_of(facts).map(|pack| (pack, id)));
                    frames.bad.entry(id).or_insert_with(|| (facts.name.clone(), in_full(&error)));
                }
                Some(Err(FetchError::Read { source, .. })) => return Err(store("read", &facts.name.path(), source)),
                // No other is left that is not damage.
                Some(Err(_)) => return Ok(false),
            }
            self.seen.done += u64::from(location.len);
            (self.progress)(self.seen);
        }
        Ok(whole)
    }

    /// Whether a pack ends with its table and the trailer, and nothing else.
    async fn ending(&mut self, facts: &PackFacts, table: &Table) -> Result<bool, RepositoryError> {
        let mut expected = table.encode();
        expected.extend_from_slice(&trailer(expected.len()));
        // The listed size of a sealed pack is not that of what is in it.
        self.equals(facts, table.end(), &expected, self.repository.layout() == Layout::Packs).await
    }

    /// Whether `expected` stands at `at` in the pack, and, if `last`, nothing behind it.
    async fn equals(&mut self, facts: &PackFacts, at: u64, expected: &[u8], last: bool) -> Result<bool, RepositoryError> {
        let end = at.saturating_add(expected.len() as u64);
        if end > facts.bytes || last && end != facts.bytes {
            return Ok(false);
        }
        let path = facts.name.path();
        match self.repository.store().get_range(&path, at..end).await {
            Ok(bytes) => {
                self.found.bytes += bytes.len() as u64;
                self.seen.done += bytes.len() as u64;
                (self.progress)(self.seen);
                Ok(bytes == expected)
            }
            Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(source) => match store("read", &path, source) {
                error if error.is_damage() => Ok(false),
                error => Err(error),
            },
        }
    }

    fn report(&mut self, name: ArchiveName, damages: Vec<Damage>) {
        // An archive pushed twice has two manifests, which say the same.
        if !self.found.archives.iter().any(|(known, _)| *known == name) {
            self.found.archives.push((name, damages));
        }
    }

    /// A manifest that is gone, damaged or out of reach.
    fn strange(&mut self, object: String, read: Result<Option<ManifestObject>, RepositoryError>) -> Result<(), RepositoryError> {
        match read {
            Ok(_) => Ok(()),
            Err(error) if error.is_damage() => {
                self.found.unreadable.push(Unreadable { object, error });
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn id_of(facts: &PackFacts) -> Option<ObjectId> {
    match &facts.name {
        PackName::Object(id) => Some(*id),
        PackName::Archive(_) => None,
    }
}

/// What is wrong with an archive, each frame named once.
fn judge(manifest: &Manifest, frames: &Frames) -> Vec<Damage> {
    let mut judged = HashSet::new();
    let damage = |frame: &FrameRef| {
        let (id, expected) = (frame.id, frame.raw);
        let damage = match (frames.raw(&id), frames.bad.get(&id)) {
            (Some(found), _) if found == expected => return None,
            (Some(found), _) => Damage::Length { frame: id, expected, found },
            (None, Some((pack, cause))) => Damage::Frame { frame: id, pack: pack.clone(), cause: cause.clone() },
            (None, None) => Damage::Lacking { frame: id },
        };
        judged.insert(id).then_some(damage)
    };
    manifest.frames.iter().filter_map(damage).collect()
}

/// An error with all its causes, on one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
