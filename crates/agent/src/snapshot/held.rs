//! The snapshots of one run: tried out beforehand, taken with services away, gone at its end.
//!
//! Invariant: from before the first snapshot until after the last is gone, the note names each. Whatever fails costs the snapshot and
//! never the run: its sources are then read from their own folders, and a warning says why.

use std::path::{Path, PathBuf};

use offsite_archive::ArchiveName;

use super::{
    SnapshotError, Snapshots, Volume,
    note::{self, Noted},
};
use crate::{human::chain, quiesce::real};

/// The snapshots of a run. They are removed when this goes; [`Held::release`] tells what became of that.
pub(crate) struct Held<'a> {
    snapshots: &'a dyn Snapshots,
    state: PathBuf,
    shares: Vec<Share>,
    /// Folders for snapshots, of this run and of earlier ones whose snapshots are still there.
    homes: Vec<PathBuf>,
}

/// One volume, and what is read from it.
struct Share {
    noted: Noted,
    sources: Vec<PathBuf>,
    stage: Stage,
}

enum Stage {
    Offered,
    Refused,
    Taken(PathBuf),
}

impl<'a> Held<'a> {
    /// Looks which of `sources` a snapshot can show, and tries each volume once: takes a snapshot and removes it. That also writes
    /// out what is not yet on the disk, so that taking it again is quick. Services still run; [`leftovers`](super::leftovers) are
    /// gone. Without `sources`, what there is of snapshots is only kept out of the archive. Returns warnings too.
    pub(crate) fn prepare(snapshots: &'a dyn Snapshots, state: &Path, archive: &ArchiveName, sources: &[PathBuf]) -> (Self, Vec<String>) {
        let mut held = Self { snapshots, state: state.into(), shares: Vec::new(), homes: Vec::new() };
        let mut warnings = Vec::new();
        for source in sources {
            match snapshots.offered(source) {
                Ok(None) => {}
                Ok(Some(volume)) => held.add(volume, source),
                Err(error) => warnings.push(without(source, &error)),
            }
        }
        if let Err(error) = held.note(archive) {
            warnings.extend(held.shares.drain(..).flat_map(|share| share.without(&error)));
        }
        for share in &mut held.shares {
            let Noted { volume, name } = &share.noted;
            if let Err(error) = snapshots.take(volume, name).and_then(|_| snapshots.remove(volume, name)) {
                warnings.extend(share.without(&error));
                share.stage = Stage::Refused;
            }
        }
        (held, warnings)
    }

    fn add(&mut self, volume: Volume, source: &Path) {
        if let Some(share) = self.shares.iter_mut().find(|share| share.noted.volume == volume) {
            return share.sources.push(source.into());
        }
        // Named with the others, when it is known which names are taken.
        self.shares.push(Share { noted: Noted { volume, name: String::new() }, sources: vec![source.into()], stage: Stage::Offered });
    }

    fn note(&mut self, archive: &ArchiveName) -> Result<(), SnapshotError> {
        let mut all = note::read(&self.state)?;
        let archive = archive.to_string().replace('/', "-");
        for share in &mut self.shares {
            let free = |name: &String| all.iter().all(|noted| noted.name != *name);
            share.noted.name = (1..).map(|number: u32| format!("{archive}-{number}")).find(free).unwrap_or_default();
            all.push(share.noted.clone());
        }
        self.homes = all.iter().map(|noted| noted.volume.home.clone()).collect();
        if self.shares.is_empty() { Ok(()) } else { note::write(&self.state, &all) }
    }

    fn noted(&self) -> Vec<Noted> {
        self.shares.iter().map(|share| share.noted.clone()).collect()
    }

    /// Whether `path`, a source or below one, is to be read from a snapshot, so that nothing of it needs to be read before services
    /// go down.
    pub(crate) fn offers(&self, path: &Path) -> bool {
        self.share(path).is_some_and(|share| !matches!(share.stage, Stage::Refused))
    }

    fn share(&self, path: &Path) -> Option<&Share> {
        self.shares.iter().find(|share| share.sources.iter().any(|source| path.starts_with(source)))
    }

    /// Takes them. Services are away. Returns warnings, one for each source that must be read from its own folder after all.
    pub(crate) fn take(&mut self) -> Vec<String> {
        let mut warnings = Vec::new();
        for share in &mut self.shares {
            if matches!(share.stage, Stage::Offered) {
                share.stage = match share.take(self.snapshots) {
                    Ok(at) => Stage::Taken(at),
                    Err(error) => {
                        warnings.extend(share.without(&error));
                        Stage::Refused
                    }
                };
            }
        }
        warnings
    }

    /// Where `path`, a source or below one, is read: in a snapshot that was taken, or `None` for its own folder.
    pub(crate) fn at(&self, path: &Path) -> Option<PathBuf> {
        let share = self.share(path)?;
        let Stage::Taken(at) = &share.stage else { return None };
        let real = real(path);
        // What is not in the volume any more is looked for in the snapshot all the same, and missed there: to read it from its own
        // folder, with services up, would go unnoticed.
        let inside = real.strip_prefix(&share.noted.volume.root).or(real.strip_prefix("/")).unwrap_or(path);
        // Collected from components: no slash behind the root itself.
        Some(at.join(inside).components().collect())
    }

    /// What of `path`, a source or below one, is not to be archived: the folder for snapshots, where it lies inside. By its name
    /// below `path`.
    pub(crate) fn exclude(&self, path: &Path) -> Option<PathBuf> {
        let real = real(path);
        self.homes.iter().find_map(|home| home.strip_prefix(&real).ok()).map(|inside| path.join(inside))
    }

    /// Removes them. Returns a warning for each that could not be removed; it stays noted.
    pub(crate) fn release(mut self) -> Vec<String> {
        self.end()
    }

    fn end(&mut self) -> Vec<String> {
        let ours = self.noted();
        self.shares.clear();
        note::remove(self.snapshots, &self.state, &ours)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.shares.is_empty() {
            // The run failed and says why. What stays is noted, and the next run says so too.
            self.end().into_iter().for_each(|warning| tracing::warn!("{warning}"));
        }
    }
}

impl Share {
    fn take(&self, snapshots: &dyn Snapshots) -> Result<PathBuf, SnapshotError> {
        for source in &self.sources {
            // Stopping services may have mounted or unmounted something since.
            if snapshots.offered(source)?.as_ref() != Some(&self.noted.volume) {
                return Err(SnapshotError::Moved { path: source.clone() });
            }
        }
        snapshots.take(&self.noted.volume, &self.noted.name)
    }

    fn without(&self, error: &SnapshotError) -> Vec<String> {
        self.sources.iter().map(|source| without(source, error)).collect()
    }
}

fn without(source: &Path, error: &SnapshotError) -> String {
    format!("{} is read without a snapshot: {}", source.display(), chain(error))
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
