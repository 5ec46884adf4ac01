//! All archives of a place, by their manifests.
//!
//! An archive exists exactly when its manifest does. Whatever is listed is read defensively: a manifest that is damaged, lies or has a strange
//! name is reported beside the good ones and hides none of them. Invariant: what a listing takes of memory is bounded, whatever the place
//! says; manifests of one size can say a thousand times more of themselves than others.

use std::{
    collections::BTreeMap,
    mem::size_of,
    sync::{MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use futures::{StreamExt, stream};
use object_store::{ObjectMeta, path::Path};
use offsite_archive::{ArchiveName, End, Head};

use super::{AT_ONCE, ManifestObject, Repository};
use crate::{Layout, RepositoryError, Unreadable};

/// What heads and ends of the archives in one listing that say much may take together, in bytes of memory.
const MAX_WEIGHT: usize = 64 << 20;
/// What every archive may take, in bytes of memory: usually it is one or two KiB. So those that say much cannot push out others.
const LIGHT: usize = 4 << 10;
/// What each string takes besides its text, in bytes.
const STRING: usize = 48;
/// Clocks of stores tick once a second, or in two.
const SETTLED: Duration = Duration::from_secs(3);

/// An archive, by its manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveInfo {
    /// Its name.
    pub name: ArchiveName,
    /// Its number.
    pub sequence: u64,
    /// What was known before the run.
    pub head: Head,
    /// What was known after it.
    pub end: End,
    /// Length of the manifest object, in bytes.
    pub manifest_bytes: u64,
}

/// All archives of a repository.
#[derive(Debug, Default)]
pub struct Archives {
    /// Those whose manifest is good, by name.
    pub good: Vec<ArchiveInfo>,
    /// Manifests that cannot be read or understood.
    pub unreadable: Vec<Unreadable>,
}
impl ArchiveInfo {
    /// About what it takes of what those that say much share, in bytes of memory.
    fn weight(&self) -> usize {
        let Self { head, end, .. } = self;
        let sources = head.sources.iter().map(|source| source.0.len());
        let projects = end.quiesced.iter().map(|quiesced| quiesced.project.len());
        let lists = sources.chain(projects).chain(end.warnings.iter().map(String::len)).map(|text| text + STRING);
        let all = size_of::<Self>() + head.host.len() + head.agent.len() + head.chunker.id.len() + lists.sum::<usize>();
        if all > LIGHT { all } else { 0 }
    }
}

/// What manifests were when they were read, with what they were listed as.
#[derive(Debug, Default)]
pub(super) struct Known {
    infos: BTreeMap<Path, (ObjectMeta, ArchiveInfo)>,
    weight: usize,
}

impl Known {
    /// Notes one, if there is room. Nothing is ever taken out again but by another of the same name.
    fn note(&mut self, object: &ObjectMeta, info: &ArchiveInfo) {
        let weight = self.weight + info.weight();
        if weight <= MAX_WEIGHT {
            let before = self.infos.insert(object.location.clone(), (object.clone(), info.clone()));
            self.weight = weight - before.map_or(0, |(_, before)| before.weight());
        }
    }
}

/// A listing under way.
#[derive(Default)]
pub(super) struct Listing {
    archives: Archives,
    weight: usize,
}

impl Listing {
    /// Takes what the manifest `object` turned out to be; one that went away in between is nothing.
    pub(super) fn add(&mut self, object: &Path, info: Result<Option<ArchiveInfo>, RepositoryError>) {
        self.add_below(MAX_WEIGHT, object, info);
    }

    fn add_below(&mut self, limit: usize, object: &Path, info: Result<Option<ArchiveInfo>, RepositoryError>) {
        let error = match info {
            Ok(None) => return,
            Ok(Some(info)) if self.weight + info.weight() <= limit => {
                self.weight += info.weight();
                return self.archives.good.push(info);
            }
            Ok(Some(_)) => RepositoryError::TooMuchSaid { object: object.to_string(), limit },
            Err(error) => error,
        };
        self.archives.unreadable.push(Unreadable { object: object.to_string(), error });
    }

    /// The archives in order, unless nothing at all could be read because the way to the store is cut.
    pub(super) fn settled(self) -> Result<Archives, RepositoryError> {
        let mut archives = self.archives;
        let cut = archives.unreadable.iter().position(|unreadable| !unreadable.error.is_damage());
        if let (true, Some(cut)) = (archives.good.is_empty(), cut) {
            return Err(archives.unreadable.swap_remove(cut).error);
        }
        archives.good.sort_by(|a, b| a.name.cmp(&b.name));
        // The same archive may have been pushed twice under two random names; a crash does that, and it harms nothing.
        archives.good.dedup_by(|a, b| a.name == b.name);
        Ok(archives)
    }
}

impl Repository {
    /// All archives, by name. Every manifest is read whole and checked. A manifest that cannot be read for whatever reason is
    /// reported; one that went away in between is not.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if the manifests cannot be listed, or none at all can be read because the way to the store is cut.
    pub async fn archives(&self) -> Result<Archives, RepositoryError> {
        let mut listing = Listing::default();
        let mut found = stream::iter(self.manifests().await?).map(|object| self.info(object)).buffered(AT_ONCE);
        while let Some((path, info)) = found.next().await {
            listing.add(&path, info);
        }
        listing.settled()
    }

    pub(super) async fn info(&self, object: ObjectMeta) -> (Path, Result<Option<ArchiveInfo>, RepositoryError>) {
        // Sealed objects never change; what else a store says of them may.
        let same = |then: &ObjectMeta| self.layout == Layout::Sealed || *then == object;
        let known = self.known().infos.get(&object.location).filter(|(then, _)| same(then)).map(|(_, info)| info.clone());
        if known.is_some() {
            return (object.location, Ok(known));
        }
        let info = self.read_manifest(&object.location).await.map(|read| read.as_ref().map(ManifestObject::info));
        if let Ok(Some(info)) = &info
            && (self.layout == Layout::Sealed || is_settled(&object, SystemTime::now()))
        {
            self.known().note(&object, info);
        }
        (object.location, info)
    }
    fn known(&self) -> MutexGuard<'_, Known> {
        // What is in there is written in one step, so a panic elsewhere leaves it whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an object that changes from now on will be listed with another time: what was written just now may change within one tick of the
/// store's clock.
fn is_settled(object: &ObjectMeta, now: SystemTime) -> bool {
    now.duration_since(object.last_modified.into()).is_ok_and(|age| age > SETTLED)
}

#[cfg(test)]
mod tests {
    use offsite_archive::{Manifest, PathText};

    use super::*;
    use crate::repository::manifest::tests::repeating;

    fn info(name: &str, warnings: usize) -> ArchiveInfo {
        let Manifest { mut head, mut end, .. } = Manifest::read(&repeating(1)).unwrap();
        head.archive = name.parse().unwrap();
        head.sources = vec![PathText(b"/".to_vec())];
        end.warnings = vec![String::new(); warnings];
        ArchiveInfo { name: head.archive.clone(), sequence: 1, head, end, manifest_bytes: 1 }
    }

    #[test]
    fn what_says_too_much_of_itself_is_named_and_those_after_it_are_taken() {
        let heavy = ["20", "21", "22"].map(|day| info(&format!("a/2026-11-{day}T040000Z"), 100));
        let light = ["18", "23", "24"].map(|day| info(&format!("b/2026-11-{day}T040000Z"), 0));
        assert!(heavy[0].weight() > 100 * STRING && light[0].weight() == 0);
        let mut listing = Listing::default();
        for info in heavy.iter().chain(&light) {
            listing.add_below(2 * heavy[0].weight(), &Path::from(info.name.to_string()), Ok(Some(info.clone())));
        }
        let found = listing.settled().unwrap();
        assert_eq!(found.good, [&heavy[..2], &light].concat());
        let [refused] = &found.unreadable[..] else { panic!("{:?}", found.unreadable) };
        assert!(matches!(refused.error, RepositoryError::TooMuchSaid { .. }) && refused.object == heavy[2].name.to_string());
    }

    #[test]
    fn what_is_remembered_of_manifests_does_not_grow_for_ever() {
        let object =
            |name: &str| ObjectMeta { location: Path::from(name), last_modified: Default::default(), size: 1, e_tag: None, version: None };
        let mut info = info("a/2026-11-20T040000Z", 1);
        info.end.warnings[0] = "w".repeat(MAX_WEIGHT / 3);
        let mut known = Known::default();
        for name in ["a", "a", "b", "b", "c", "a"] {
            known.note(&object(name), &info);
        }
        assert_eq!(known.infos.keys().map(Path::as_ref).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(known.weight, 2 * info.weight());
    }
}
