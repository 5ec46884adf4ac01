//! Taking the lock from those who hang: a docker command whose agent is dead, an agent that is stopped or waits for a dead disk.
//!
//! They are ended. A process that the kernel cannot end yet will never run again, but keeps its lock: then a new file takes the place of
//! the old one. An agent that lives and owes nothing is never ended from here, however long it takes: only somebody else's SIGKILL says
//! that it hangs.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::{Duration, Instant},
};

use super::{Lock, LockError, Pause, file};
use crate::{
    durable::make_folder,
    holder::{Holder, holders, strike},
};

/// How long a docker command whose agent is dead, or an agent that was killed and cannot end, may keep the lock. Compose kills what does not stop after its grace, mostly 10 s.
pub(crate) const ORPHAN: Duration = Duration::from_secs(3 * 60);
/// How long a process that was struck may take to be gone. Longer takes only one that the kernel cannot end.
const DYING: Duration = Duration::from_secs(5);

/// A lock that was taken from somebody.
#[derive(Debug)]
pub(crate) struct TakenOver {
    /// The lock.
    pub lock: Lock,
    /// Those who held it and were ended.
    pub ended: Vec<Holder>,
    /// Those of them who are not gone yet, and will go without another step of theirs.
    pub lingering: Vec<Holder>,
}

impl Lock {
    /// Ends all who hold the lock of `state`, and takes it, as long as `due` says before each blow that it must be; `None` when it
    /// did not any more. Takes 5 s at most.
    ///
    /// Errors: [`LockError::Busy`] while somebody else takes it over, and where the holder cannot be seen from here; what `due` says.
    pub(crate) fn take_over<E: From<LockError>>(
        state: &Path,
        purpose: &str,
        due: &dyn Fn() -> Result<bool, E>,
    ) -> Result<Option<TakenOver>, E> {
        make_folder(state).map_err(LockError::from)?;
        let path = file(state);
        // Held by one process for seconds, and by none of its children: two must not put a new file in place at the same time.
        let _turn = turn(&state.join("lock.turn"))?;
        let (end, mut pause) = (Instant::now() + DYING, Pause::default());
        let mut struck: BTreeSet<i32> = BTreeSet::new();
        let mut ended: Vec<Holder> = Vec::new();
        loop {
            let busy = match Self::attempt(state, purpose) {
                Ok(lock) => return Ok(Some(TakenOver { lock, ended, lingering: Vec::new() })),
                Err(busy @ LockError::Busy { .. }) => busy,
                Err(error) => return Err(error.into()),
            };
            let holding = holders(&path).map_err(|source| LockError::Holders { path: path.clone(), source })?;
            for holder in holding.iter().filter(|holder| !struck.contains(&holder.process)) {
                if !due()? {
                    return Ok(None);
                }
                tracing::warn!(process = holder.process, program = holder.program, "ending it: it holds the lock for too long");
                strike(holder, &path).map_err(|source| {
                    let (path, program) = (path.clone(), holder.program.clone());
                    LockError::Strike { path, process: holder.process, program, source }
                })?;
            }
            let new = holding.iter().filter(|holder| struck.insert(holder.process));
            ended.extend(new.cloned());
            if Instant::now() >= end {
                if holding.is_empty() {
                    return Err(busy.into());
                }
                let lock = Self::anew(&path, purpose).map_err(|source| LockError::Lock { path, source })?;
                return Ok(Some(TakenOver { lock, ended, lingering: holding }));
            }
            pause.once();
        }
    }

    /// A new lock in the place of one whose holders will never run again.
    fn anew(path: &Path, purpose: &str) -> io::Result<Self> {
        let beside = path.with_extension("new");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.try_lock().map_err(io::Error::from)?;
        let lock = Self(file).noted(purpose);
        std::fs::rename(&beside, path)?;
        Ok(lock)
    }
}

/// The right to take the lock over, until dropped.
fn turn(path: &Path) -> Result<File, LockError> {
    let failed = |source| LockError::Lock { path: path.into(), source };
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LockError::Busy { holder: "it takes the lock over from one that hangs".into() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Since when the lock has been held only by commands whose agent is dead, or by agents that were killed and cannot end.
#[derive(Debug, Default)]
pub(crate) struct Orphans(Option<Instant>);

impl Orphans {
    /// Looks again; `None` where an agent that may still act holds the lock, or nobody that can be seen.
    pub(crate) fn since(&mut self, state: &Path) -> Option<Instant> {
        // Who cannot be seen is taken for alive: then nobody is ended.
        let holding = holders(&file(state)).unwrap_or_default();
        self.0 = nobody_acts(&holding).then(|| self.0.unwrap_or_else(Instant::now));
        self.0
    }
}

/// Whether nobody of `holding` is an agent that may still act, and there is somebody: pure.
fn nobody_acts(holding: &[Holder]) -> bool {
    !holding.is_empty() && !holding.iter().any(|holder| holder.is_agent() && !holder.killed)
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use super::super::tests::child;
    use super::*;

    fn always() -> Result<bool, LockError> {
        Ok(true)
    }

    /// A lock that only a child holds, which does nothing for ever, and that child.
    #[cfg(target_os = "linux")]
    fn orphaned(state: &Path) -> std::process::Child {
        let lock = Lock::take(state, "run", false).unwrap();
        let child = child(&lock);
        drop(lock);
        // A child forked by another test holds it for a moment too: the one that stays is ours.
        while holders(&file(state)).unwrap().iter().map(|holder| holder.process).collect::<Vec<_>>() != [number(&child)] {
            std::thread::yield_now();
        }
        child
    }

    #[cfg(target_os = "linux")]
    fn number(child: &std::process::Child) -> i32 {
        i32::try_from(child.id()).unwrap()
    }

    #[cfg(target_os = "linux")]
    fn was_struck(mut child: std::process::Child) -> bool {
        std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()) == Some(9)
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_that_hangs_is_ended_if_it_is_due_and_not_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = orphaned(dir.path());
        assert!(Orphans::default().since(dir.path()).is_some());
        assert!(Lock::take_over(dir.path(), "resume", &|| Ok::<_, LockError>(false)).unwrap().is_none());
        assert_eq!(child.try_wait().unwrap(), None);
        let taken = Lock::take_over(dir.path(), "resume", &always).unwrap().unwrap();
        assert!(taken.ended.iter().any(|holder| holder.process == number(&child)) && taken.lingering.is_empty(), "{taken:?}");
        assert!(was_struck(child));
        assert!(matches!(Lock::take(dir.path(), "run", false), Err(LockError::Busy { .. })));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn whoever_waits_ends_a_command_whose_agent_is_long_dead() {
        let dir = tempfile::tempdir().unwrap();
        let child = orphaned(dir.path());
        Lock::wait_for(dir.path(), "run", Duration::ZERO, &crate::cancel::Cancel::default()).unwrap();
        assert!(was_struck(child));
    }

    #[test]
    fn only_an_agent_that_may_still_act_is_waited_for() {
        let holder = |program: &str, killed| Holder { process: 7, program: program.into(), killed };
        let (agent, docker) = (holder("offsite-agent", false), holder("docker", false));
        // One that was killed and waits for a dead disk never returns to its program.
        let dying = holder("offsite-agent", true);
        let said = [vec![], vec![&agent], vec![&dying, &agent], vec![&docker, &agent], vec![&docker], vec![&dying], vec![&dying, &docker]]
            .map(|holding| nobody_acts(&holding.into_iter().cloned().collect::<Vec<_>>()));
        assert_eq!(said, [false, false, false, false, true, true, true]);
    }

    #[test]
    fn a_new_file_takes_the_place_of_one_that_is_never_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let dead = Lock::take(dir.path(), "run", false).unwrap();
        let opened_before = OpenOptions::new().read(true).write(true).open(file(dir.path())).unwrap();
        let new = Lock::anew(&file(dir.path()), "resume").unwrap();
        let busy = Lock::take(dir.path(), "run", false).unwrap_err().to_string();
        assert!(busy.contains("at work: resume, process "), "{busy}");
        drop((new, dead));
        // A lock on the old file is worth nothing: only the one that has the name counts.
        opened_before.lock().unwrap();
        Lock::take(dir.path(), "run", true).unwrap();
    }

    #[test]
    fn one_takes_it_over_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let _turn = turn(&dir.path().join("lock.turn")).unwrap();
        let refused = Lock::take_over(dir.path(), "resume", &always).unwrap_err();
        assert!(matches!(refused, LockError::Busy { .. }), "{refused}");
    }
}
