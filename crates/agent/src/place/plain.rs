//! Layout *plain*: an archive is a file, and its manifest commits it.
//!
//! Between the two the file is nobody's, and so it is after its manifest was forgotten: a note in the state folder names it meanwhile. A file
//! without a manifest that no note names stays: perhaps its manifest was lost, and the file itself still holds everything.

use std::path::{Path, PathBuf};

use offsite_archive::ArchiveName;
use offsite_repository::{LocalStore, Repository, Staged, forget, manifest_path, publish};
use tokio::runtime::Runtime;

use super::{Place, left};
use crate::{durable, error::RunError};

/// What the layout has to remember.
pub(super) struct Plain {
    note: PathBuf,
}

impl Plain {
    /// Removes the files of archives that were not finished or half forgotten.
    pub(super) fn tidy(state: &Path, local: &LocalStore, repository: &Repository, runtime: &Runtime) -> Result<Self, RunError> {
        let note = state.join("unfinished.json");
        let noted = durable::read(&note)?.unwrap_or_default();
        // A note that cannot be understood names nothing: then nothing is removed.
        let noted: Vec<ArchiveName> = serde_json::from_slice(&noted).unwrap_or_default();
        for name in noted {
            let manifest = local.file(&manifest_path(&name)).map_err(RunError::Local)?;
            if !manifest.try_exists().map_err(|source| left(&manifest, source))? {
                tracing::info!(archive = %name, "removing the file of an archive that was not finished or was forgotten");
                runtime.block_on(forget(repository, &[name])).map_err(RunError::Repository)?;
            }
        }
        durable::remove(&note)?;
        Ok(Self { note })
    }

    /// Does something between the two steps of which the files of `archives` may be left without a manifest.
    pub(super) fn noting<T>(&self, archives: &[ArchiveName], work: impl FnOnce() -> Result<T, RunError>) -> Result<T, RunError> {
        if archives.is_empty() {
            return work();
        }
        let note = serde_json::to_vec(archives).map_err(|source| RunError::Note { source })?;
        durable::replace(&self.note, &note)?;
        let done = work()?;
        durable::remove(&self.note)?;
        Ok(done)
    }

    /// Puts the file, then the manifest. Returns the file's length, in bytes.
    pub(super) fn publish(&self, place: &Place, staged: Staged, name: &ArchiveName, manifest: Vec<u8>) -> Result<u64, RunError> {
        let bytes = staged.len().map_err(RunError::Local)?;
        self.noting(std::slice::from_ref(name), || {
            let put = publish(&place.repository, &place.local, staged, name, manifest.into());
            place.runtime.block_on(put).map_err(RunError::Publish)
        })?;
        Ok(bytes)
    }
}
