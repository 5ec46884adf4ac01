//! The repository of the Pi, as a run uses it: tidy, number, write, publish, keep.
//!
//! Two layouts, as the configuration says. *Plain*: each archive is one file that any `tar` opens. *Packs*: frames lie once for all
//! archives, so a night writes what is new and no more. Invariant: while a run holds the agent's lock nobody else writes here. So what an
//! earlier run left unfinished belongs to nobody, and a frame that lies here now lies here until this run removes it.

mod make;
mod out;
mod packs;
mod plain;
mod room;
mod turn;

use std::{cell::RefCell, collections::HashSet, fs::File, num::NonZeroU32, path::Path, sync::Arc};

use jiff::Timestamp;
use object_store::ObjectStore;
use offsite_archive::{ArchiveName, CacheError, End, FrameId, Head, JobName, Manifest, Stock};
use offsite_repository::{
    Archives, Candidate, LocalStore, PackFacts, PackName, Remembered, Repository, RepositoryError, Standing, archive_path, forget,
    manifest_path, plan_keep,
};
use tokio::runtime::Runtime;

use crate::{
    cancel::Cancel,
    config::{Config, Layout},
    error::RunError,
    journal::{self, Event},
    known,
    modes::settle,
    number,
};

pub use make::Listed;
pub(crate) use make::{agree, archives, make, opened};
pub(crate) use out::Out;
use packs::Packs;
use plain::Plain;
pub(crate) use room::{free, unread};

/// The open repository.
pub(crate) struct Place {
    runtime: Arc<Runtime>,
    local: LocalStore,
    repository: Repository,
    group: Option<String>,
    kind: Kind,
    /// Held as long as this is open: another agent with another state folder has another lock of its own.
    _lock: File,
    /// The packs that were there before the run, of which its archive may be made.
    packs: Vec<PackFacts>,
    /// What was there when it was opened. Reading all manifests takes long with many files, and while we hold the lock nobody else adds
    /// or removes one.
    found: Archives,
    /// What their manifests said.
    remembered: RefCell<Remembered>,
}

/// How frames are kept here, and what that layout has to remember.
enum Kind {
    Plain(Plain),
    Packs(Packs),
}

/// The archive before the one that a run makes.
pub(crate) struct Newest {
    /// Its file, where it has one.
    file: Option<File>,
    pub manifest: Manifest,
}

/// A runtime for one thing after another. Its files are read and written by one thread: each further one would keep megabytes of its own.
pub(crate) fn runtime() -> Result<Runtime, RunError> {
    let built = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build();
    built.map_err(|source| RunError::Runtime { source })
}

impl Place {
    /// Opens the repository of `config`, which must be there and of the layout that it says, and removes what an earlier run left
    /// unfinished.
    pub(crate) fn open(config: &Config) -> Result<Self, RunError> {
        let (root, group) = (config.repository.as_path(), config.group.as_deref());
        let runtime = Arc::new(runtime()?);
        let local = LocalStore::open(root).map_err(RunError::Local)?;
        let store: Arc<dyn ObjectStore> = Arc::new(local.clone());
        let repository = runtime.block_on(Repository::open(store)).map_err(RunError::Repository)?;
        agree(root, repository.layout(), config.layout)?;
        let lock = turn::take(root)?;
        // Before anything is stopped, as all that may fail: the archive to come must not be newer than what opens it without offsite.
        runtime.block_on(repository.renew_recover()).map_err(RunError::Repository)?;
        settle(root, group)?;
        clear(root)?;
        let kind = match config.layout {
            Layout::Plain => Kind::Plain(Plain::tidy(&config.state, &local, &repository, &runtime)?),
            Layout::Packs => Kind::Packs(Packs::tidy(&config.state, root, repository.clone(), runtime.clone())?),
        };
        let mut remembered = known::read(&config.state);
        let found = runtime.block_on(repository.archives_again(&mut remembered)).map_err(RunError::Repository)?;
        let (group, remembered) = (group.map(str::to_owned), RefCell::new(remembered));
        Ok(Self { runtime, local, repository, group, kind, _lock: lock, packs: Vec::new(), found, remembered })
    }

    fn block_on<T>(&self, future: impl Future<Output = Result<T, RepositoryError>>) -> Result<T, RunError> {
        self.runtime.block_on(future).map_err(RunError::Repository)
    }

    /// Looks at what lies here, before anything is stopped. With `full` every frame in packs is read, and what is damaged is set aside, so
    /// that this very run makes it anew. What a person should know goes to `told`, whatever comes of it. Returns whether the look was as
    /// thorough as asked for, and all that it found is out of the way.
    ///
    /// Errors: packs cannot be listed, or [`RunError::Stopped`].
    pub(crate) fn look(&mut self, full: bool, cancel: &Cancel, told: &mut Vec<String>) -> Result<bool, RunError> {
        match &mut self.kind {
            // A frame of a plain archive is checked when it is taken over.
            Kind::Plain(_) => Ok(true),
            Kind::Packs(packs) => {
                let looked = packs.look(full, cancel, told)?;
                self.packs = self.block_on(self.repository.packs())?.0;
                Ok(looked)
            }
        }
    }

    /// Frames in place were not touched since the run began, perhaps hours ago: what holds them must still be there.
    fn still_there(&self) -> Result<(), RunError> {
        let now = self.block_on(self.repository.packs())?.0;
        // Both are in the order of their names, and new ones came between.
        let mut now = now.iter();
        match self.packs.iter().find(|pack| !now.any(|there| there == *pack)) {
            None => Ok(()),
            Some(pack) => Err(RunError::Vanished { path: self.local.root().join(pack.name.to_string()) }),
        }
    }

    /// Name and number of the next archive of `job`.
    pub(crate) fn next(&self, job: &JobName, state: &Path, now: Timestamp) -> Result<(ArchiveName, u64), RunError> {
        let found = &self.found;
        let noted = journal::read(state)?;
        let noted =
            noted.into_iter().filter_map(|record| if let Event::Made { sequence, .. } = record.event { Some(sequence) } else { None });
        let last = found.good.iter().map(|info| info.sequence).chain(noted).max();
        // A file that lost its manifest, and a manifest that cannot be read, hold their names all the same.
        let files = match &self.kind {
            Kind::Plain(_) => self.block_on(self.repository.packs())?.0,
            Kind::Packs(_) => Vec::new(),
        };
        let files = files.into_iter().filter_map(|pack| if let PackName::Archive(name) = pack.name { Some(name) } else { None });
        let mut taken: HashSet<ArchiveName> = found.good.iter().map(|info| info.name.clone()).chain(files).collect();
        loop {
            let name = number::name(job, now, &taken);
            let object = manifest_path(&name).to_string();
            if found.unreadable.iter().all(|bad| bad.object != object) {
                return Ok((name, number::sequence(last, now)));
            }
            taken.insert(name);
        }
    }

    /// Where the archive's frames go; what is not published by [`Place::publish`] is no archive.
    pub(crate) fn out(&self) -> Result<Out, RunError> {
        match &self.kind {
            Kind::Plain(_) => self.local.stage().map(Out::Plain).map_err(RunError::Local),
            Kind::Packs(packs) => Ok(Out::Packs(packs.out())),
        }
    }

    /// A stock with all frames that lie in place here, and an empty scratch file.
    pub(crate) fn stock(&self) -> Result<Stock, RunError> {
        let mut stock = Stock::new(self.scratch()?);
        if let Kind::Packs(packs) = &self.kind {
            packs.offer(&mut stock)?;
        }
        Ok(stock)
    }

    /// A file without a name for what is only needed until the archive is written. Beside the archives, because there is room.
    fn scratch(&self) -> Result<File, RunError> {
        let folder = self.local.root();
        tempfile::tempfile_in(folder).map_err(|source| RunError::File { operation: "make a scratch file in", path: folder.into(), source })
    }

    /// The newest archive of `job` that can be read; `None` where there is none.
    ///
    /// Errors: its file or manifest cannot be read after all.
    pub(crate) fn newest(&self, job: &JobName) -> Result<Option<Newest>, RunError> {
        let Some(info) = self.found.good.iter().filter(|info| info.name.job == *job).max_by_key(|info| info.sequence) else {
            return Ok(None);
        };
        let file = match &self.kind {
            Kind::Plain(_) => {
                let path = self.local.file(&archive_path(&info.name)).map_err(RunError::Local)?;
                Some(File::open(&path).map_err(|source| RunError::File { operation: "open", path, source })?)
            }
            Kind::Packs(_) => None,
        };
        let manifest = self.block_on(self.repository.manifest(&info.name))?.manifest;
        Ok(Some(Newest { file, manifest }))
    }

    /// Takes into `stock`, which [`Place::stock`] gave, what is known of `newest`. Also returns what a person should know.
    ///
    /// Errors: frames of `newest` are gone, and that cannot be noted.
    pub(crate) fn take_over(
        &self,
        newest: Newest,
        stock: &mut Stock,
        cache: Option<&[u8]>,
    ) -> Result<(Result<(), CacheError>, Option<String>), RunError> {
        let Newest { file, manifest } = newest;
        Ok(match (file, &self.kind) {
            (Some(file), _) => (stock.add(file, &manifest, cache), None),
            (None, Kind::Plain(_)) => (Ok(()), None),
            (None, Kind::Packs(packs)) => {
                let absent = packs.miss(&manifest, stock)?;
                (cache.map_or(Ok(()), |cache| stock.recall(&manifest, cache)), absent)
            }
        })
    }

    /// Commits the archive and opens it to those who may read it. Returns its length, in bytes: of its file, or of its frames in packs,
    /// most of which are others' too.
    pub(crate) fn publish(&self, out: Out, name: &ArchiveName, manifest: Vec<u8>) -> Result<u64, RunError> {
        let root = self.local.root();
        let bytes = match (out, &self.kind) {
            (Out::Plain(staged), Kind::Plain(plain)) => plain.publish(self, staged, name, manifest)?,
            (Out::Packs(written), _) => {
                if written.wrote() {
                    // Before the manifest says that they are there: the Mac may come at any moment.
                    settle(root, self.group.as_deref())?;
                }
                let bytes = written.bytes();
                self.still_there()?;
                self.block_on(self.repository.put_manifest(name, manifest.into()))?;
                bytes
            }
            (Out::Plain(_), Kind::Packs(_)) => {
                return Err(RunError::Layout {
                    path: root.into(),
                    layout: offsite_repository::Layout::Packs,
                    wanted: offsite_repository::Layout::Plain,
                });
            }
        };
        settle(root, self.group.as_deref())?;
        Ok(bytes)
    }

    /// Remembers for the next run what the manifests said, and what the one of hash `manifest` says, which was published just
    /// now. Returns what went wrong.
    pub(crate) fn remember(&self, state: &Path, manifest: FrameId, head: &Head, end: &End) -> Option<String> {
        let mut remembered = self.remembered.borrow_mut();
        remembered.note(manifest, head, end);
        known::save(state, &remembered)
    }

    /// Applies the retention rule to the job of `new`, which was published just now with the number `sequence`. Returns how many archives
    /// stay, and which went.
    pub(crate) fn keep(
        &self,
        new: &ArchiveName,
        sequence: u64,
        end: &End,
        keep: NonZeroU32,
    ) -> Result<(usize, Vec<ArchiveName>), RunError> {
        let ours = self.found.good.iter().filter(|info| info.name.job == new.job);
        let lossy = if let Kind::Packs(packs) = &self.kind { packs.lossy() } else { Some(HashSet::new()) };
        let Some(lossy) = lossy else { return Ok((ours.count() + 1, Vec::new())) };
        let standing = |name, complete: bool| if complete && !lossy.contains(name) { Standing::Good } else { Standing::Incomplete };
        let before = ours.map(|info| Candidate {
            standing: standing(&info.name, info.end.complete),
            name: info.name.clone(),
            sequence: info.sequence,
        });
        let new = Candidate { standing: standing(new, end.complete), name: new.clone(), sequence };
        let plan = plan_keep(&before.chain([new]).collect::<Vec<_>>(), keep.get() as usize);
        let goes = || self.block_on(forget(&self.repository, &plan.forget));
        match &self.kind {
            Kind::Plain(plain) => plain.noting(&plan.forget, goes)?,
            Kind::Packs(packs) => {
                let (gone, stay): (Vec<_>, Vec<_>) = self.found.good.iter().partition(|info| plan.forget.contains(&info.name));
                // The digest binds the list of frames: whose digest stays has no frame that nobody else needs.
                let stay: HashSet<_> = stay.iter().map(|info| info.end.digest).chain([end.digest]).collect();
                if gone.iter().any(|info| !stay.contains(&info.end.digest)) {
                    packs.note()?;
                }
                goes()?;
            }
        }
        Ok((plan.keep.len(), plan.forget))
    }

    /// As [`Place::give_back`], after a good run. Also returns what archives have lost for good.
    pub(crate) fn prune(&self) -> Vec<String> {
        let lost = if let Kind::Packs(packs) = &self.kind { packs.lost() } else { Vec::new() };
        [lost, self.give_back()].concat()
    }

    /// Gives back the room of what no archive needs any more. What goes wrong costs room and not the archive, so it is told and no error.
    pub(crate) fn give_back(&self) -> Vec<String> {
        let Kind::Packs(packs) = &self.kind else { return Vec::new() };
        match packs.prune() {
            // Packs that were rewritten are new.
            Ok(true) => {
                settle(self.local.root(), self.group.as_deref()).err().map(|error| crate::human::chain(&error)).into_iter().collect()
            }
            Ok(false) => Vec::new(),
            Err(failed) => vec![failed],
        }
    }
}

/// Why what an earlier run left unfinished is still there.
fn left(path: &Path, source: std::io::Error) -> RunError {
    RunError::File { operation: "remove what an earlier run left unfinished,", path: path.into(), source }
}

/// Removes files that were staged and not put in place.
fn clear(root: &Path) -> Result<(), RunError> {
    for entry in std::fs::read_dir(root).map_err(|source| left(root, source))? {
        let entry = entry.map_err(|source| left(root, source))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".tmp-") {
            std::fs::remove_file(entry.path()).map_err(|source| left(&entry.path(), source))?;
        }
    }
    Ok(())
}
