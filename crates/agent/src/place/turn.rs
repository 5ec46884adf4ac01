//! One agent at a time in a repository: a kernel lock on `repository.json`.
//!
//! The agent's own lock lies in the state folder, and two configurations may name one repository and two such folders: then each would
//! remove as unfinished what the other is writing. Invariant: nothing stale blocks a night. The kernel drops the lock with the process, and
//! one that was killed and cannot end yet, because a disk does not answer, never writes again, so it is passed by.

use std::{
    fs::{File, TryLockError},
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    error::RunError,
    holder::{Holder, holders},
    lock::Pause,
};

/// How long a process that is just ending may take.
const ENDING: Duration = Duration::from_secs(3);

/// The right to write into the repository at `root`, until dropped.
pub(super) fn take(root: &Path) -> Result<File, RunError> {
    let path = root.join("repository.json");
    let failed = |source| RunError::File { operation: "lock", path: path.clone(), source };
    let file = File::open(&path).map_err(failed)?;
    let (end, mut pause) = (Instant::now() + ENDING, Pause::default());
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) if Instant::now() < end => pause.once(),
            Err(TryLockError::WouldBlock) => {
                let holding = holders(&path).map_err(failed)?;
                return if acts(&holding) { Err(RunError::InUse { root: root.into(), holder: told(&holding) }) } else { Ok(file) };
            }
        }
    }
}

/// Whether one of them may still write; who cannot be seen may.
fn acts(holding: &[Holder]) -> bool {
    holding.is_empty() || holding.iter().any(|holder| !holder.killed)
}

fn told(holding: &[Holder]) -> String {
    let one = |holder: &Holder| format!("process {} ({})", holder.process, holder.program);
    match holding.iter().find(|holder| !holder.killed) {
        Some(holder) => one(holder),
        None => "a process that cannot be seen from here".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_never_runs_again_is_passed_by() {
        let holder = |killed| Holder { process: 7, program: "offsite-agent".into(), killed };
        assert!(acts(&[]) && acts(&[holder(false)]) && acts(&[holder(true), holder(false)]));
        assert!(!acts(&[holder(true)]));
        assert_eq!(told(&[holder(true), holder(false)]), "process 7 (offsite-agent)");
    }

    #[test]
    fn it_is_free_again_when_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("repository.json"), "{}").unwrap();
        drop(take(dir.path()).unwrap());
        drop(take(dir.path()).unwrap());
    }
}
