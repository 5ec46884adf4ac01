//! The repository of the Pi, as a run uses it: tidy, number, stage, publish, keep.
//!
//! Invariant: while a run holds the agent's lock nobody else writes here. So what an earlier run left unfinished belongs to nobody and
//! goes before the new archive needs the room: staged files, and the files of archives that the note in the state folder names. A file
//! without a manifest that no note names stays: perhaps its manifest was lost, and the file itself still holds everything.

use std::{
    collections::HashSet,
    fs::File,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use object_store::ObjectStore;
use offsite_archive::{ArchiveName, JobName, Manifest};
use offsite_repository::{
    Archives, Candidate, Layout, LocalStore, PackName, Repository, RepositoryError, Staged, Standing, archive_path, forget, manifest_path,
    plan_keep, publish,
};
use tokio::runtime::Runtime;

use crate::{
    durable,
    journal::{self, Event},
    modes::settle,
    number,
    run::RunError,
};

/// The open repository.
pub(crate) struct Place {
    runtime: Runtime,
    local: LocalStore,
    repository: Repository,
    group: Option<String>,
    note: PathBuf,
    /// What was there when it was opened. Reading all manifests takes long with many files, and while we hold the lock nobody else adds
    /// or removes one.
    found: Archives,
}

/// The archive before the one that a run makes.
pub(crate) struct Newest {
    pub file: File,
    pub manifest: Manifest,
}

/// A runtime for one thing after another.
pub(crate) fn runtime() -> Result<Runtime, RunError> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|source| RunError::Runtime { source })
}

impl Place {
    /// Opens the plain repository at `root`, which must be there, and removes what an earlier run left unfinished.
    pub(crate) fn open(root: &Path, group: Option<&str>, state: &Path) -> Result<Self, RunError> {
        let runtime = runtime()?;
        let local = LocalStore::open(root).map_err(RunError::Local)?;
        let store: Arc<dyn ObjectStore> = Arc::new(local.clone());
        let repository = runtime.block_on(Repository::open(store)).map_err(RunError::Repository)?;
        if repository.layout() != Layout::Plain {
            return Err(RunError::Layout { path: root.into(), layout: repository.layout() });
        }
        // Before anything is stopped, as all that may fail: the archive to come must not be newer than what opens it without offsite.
        runtime.block_on(repository.renew_recover()).map_err(RunError::Repository)?;
        settle(root, group)?;
        let (group, note) = (group.map(str::to_owned), state.join("unfinished.json"));
        let mut place = Self { runtime, local, repository, group, note, found: Archives::default() };
        place.tidy(root)?;
        place.found = place.block_on(place.repository.archives())?;
        Ok(place)
    }

    fn tidy(&self, root: &Path) -> Result<(), RunError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Tidy { path, source }
        };
        for entry in std::fs::read_dir(root).map_err(failed(root))? {
            let entry = entry.map_err(failed(root))?;
            if entry.file_name().as_encoded_bytes().starts_with(b".tmp-") {
                std::fs::remove_file(entry.path()).map_err(failed(&entry.path()))?;
            }
        }
        let noted = durable::read(&self.note)?.unwrap_or_default();
        // A note that cannot be understood names nothing: then nothing is removed.
        let noted: Vec<ArchiveName> = serde_json::from_slice(&noted).unwrap_or_default();
        for name in noted {
            let manifest = self.local.file(&manifest_path(&name)).map_err(RunError::Local)?;
            if !manifest.try_exists().map_err(failed(&manifest))? {
                tracing::info!(archive = %name, "removing the file of an archive that was not finished or was forgotten");
                self.block_on(forget(&self.repository, &[name]))?;
            }
        }
        Ok(durable::remove(&self.note)?)
    }

    fn block_on<T>(&self, future: impl Future<Output = Result<T, RepositoryError>>) -> Result<T, RunError> {
        self.runtime.block_on(future).map_err(RunError::Repository)
    }

    /// Does something between the two steps of which the files of `archives` may be left without a manifest.
    fn noting<T>(&self, archives: &[ArchiveName], work: impl FnOnce() -> Result<T, RunError>) -> Result<T, RunError> {
        if archives.is_empty() {
            return work();
        }
        let note = serde_json::to_vec(archives).map_err(|source| RunError::Note { source })?;
        durable::replace(&self.note, &note)?;
        let done = work()?;
        durable::remove(&self.note)?;
        Ok(done)
    }

    /// Name and number of the next archive of `job`.
    pub(crate) fn next(&self, job: &JobName, state: &Path, now: Timestamp) -> Result<(ArchiveName, u64), RunError> {
        let found = &self.found;
        let noted = journal::read(state)?;
        let noted =
            noted.into_iter().filter_map(|record| if let Event::Made { sequence, .. } = record.event { Some(sequence) } else { None });
        let last = found.good.iter().map(|info| info.sequence).chain(noted).max();
        // A file that lost its manifest, and a manifest that cannot be read, hold their names all the same.
        let files = self
            .block_on(self.repository.packs())?
            .0
            .into_iter()
            .filter_map(|pack| if let PackName::Archive(name) = pack.name { Some(name) } else { None });
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

    /// A file to write the archive to; it goes away unless it is published.
    pub(crate) fn stage(&self) -> Result<Staged, RunError> {
        self.local.stage().map_err(RunError::Local)
    }

    /// A file without a name for what is only needed until the archive is written. Beside the archives, because there is room.
    pub(crate) fn scratch(&self) -> Result<File, RunError> {
        let folder = self.local.root();
        tempfile::tempfile_in(folder).map_err(|source| RunError::Scratch { folder: folder.into(), source })
    }

    /// The newest archive of `job` that can be read; `None` where there is none.
    ///
    /// Errors: its file or manifest cannot be read after all.
    pub(crate) fn newest(&self, job: &JobName) -> Result<Option<Newest>, RunError> {
        let Some(info) = self.found.good.iter().filter(|info| info.name.job == *job).max_by_key(|info| info.sequence) else {
            return Ok(None);
        };
        let path = self.local.file(&archive_path(&info.name)).map_err(RunError::Local)?;
        let file = File::open(&path).map_err(|source| RunError::Newest { path, source })?;
        let manifest = self.block_on(self.repository.manifest(&info.name))?.manifest;
        Ok(Some(Newest { file, manifest }))
    }

    /// Commits the archive and opens it to those who may read it. Returns the length of its file, in bytes.
    pub(crate) fn publish(&self, staged: Staged, name: &ArchiveName, manifest: Vec<u8>) -> Result<u64, RunError> {
        let bytes = staged.len().map_err(RunError::Local)?;
        self.noting(std::slice::from_ref(name), || {
            self.runtime.block_on(publish(&self.repository, &self.local, staged, name, manifest.into())).map_err(RunError::Publish)
        })?;
        settle(self.local.root(), self.group.as_deref())?;
        Ok(bytes)
    }

    /// Applies the retention rule to the job of `new`, which was published just now with the number `sequence`. Returns how many archives
    /// stay, and which went.
    pub(crate) fn keep(
        &self,
        new: &ArchiveName,
        sequence: u64,
        complete: bool,
        keep: NonZeroU32,
    ) -> Result<(usize, Vec<ArchiveName>), RunError> {
        let standing = |complete| if complete { Standing::Good } else { Standing::Incomplete };
        let ours = self.found.good.iter().filter(|info| info.name.job == new.job);
        let before = ours.map(|info| Candidate { standing: standing(info.end.complete), name: info.name.clone(), sequence: info.sequence });
        let new = Candidate { standing: standing(complete), name: new.clone(), sequence };
        let plan = plan_keep(&before.chain([new]).collect::<Vec<_>>(), keep.get() as usize);
        self.noting(&plan.forget, || self.block_on(forget(&self.repository, &plan.forget)))?;
        Ok((plan.keep.len(), plan.forget))
    }
}

/// Makes a plain repository at `root`, or opens the one that is there, with the right modes. Returns whether it was made.
pub(crate) fn make(root: &Path, group: Option<&str>) -> Result<bool, RunError> {
    let local = LocalStore::create(root).map_err(RunError::Local)?;
    let store: Arc<dyn ObjectStore> = Arc::new(local);
    let runtime = runtime()?;
    let made = match runtime.block_on(Repository::open(store.clone())) {
        Ok(found) if found.layout() == Layout::Plain => Ok(false),
        Ok(found) => return Err(RunError::Layout { path: root.into(), layout: found.layout() }),
        Err(RepositoryError::NotARepository { .. }) => runtime.block_on(Repository::create(store, Layout::Plain)).map(|_| true),
        Err(error) => Err(error),
    };
    let made = made.map_err(RunError::Repository)?;
    settle(root, group)?;
    Ok(made)
}

/// The archives in the repository at `root`.
pub(crate) fn archives(root: &Path) -> Result<offsite_repository::Archives, RunError> {
    let local = LocalStore::open(root).map_err(RunError::Local)?;
    let store: Arc<dyn ObjectStore> = Arc::new(local);
    runtime()?.block_on(async { Repository::open(store).await?.archives().await }).map_err(RunError::Repository)
}
