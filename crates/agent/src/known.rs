//! What the repository's manifests said when they were read last, so that a run need not read them whole again.
//!
//! Kept in the state folder, and only a convenience: it may be deleted at any time, and torn or damaged it says nothing. So it is not
//! synced, and that it cannot be written costs the next run a moment and nothing else.

use std::path::{Path, PathBuf};

use offsite_repository::Remembered;

fn path(state: &Path) -> PathBuf {
    state.join("manifests")
}

/// What is remembered; nothing where that cannot be read.
pub(crate) fn read(state: &Path) -> Remembered {
    std::fs::read(path(state)).map(|bytes| Remembered::from_bytes(&bytes)).unwrap_or_default()
}

/// Keeps it for the next run. Returns what went wrong, as a sentence.
pub(crate) fn save(state: &Path, remembered: &Remembered) -> Option<String> {
    let path = path(state);
    let failed = |cause: std::io::Error| format!("cannot write {}, so the next run reads all manifests: {cause}", path.display());
    match remembered.to_bytes() {
        Ok(None) => None,
        Ok(Some(bytes)) => std::fs::write(&path, bytes).err().map(failed),
        Err(cause) => Some(failed(cause.into())),
    }
}
