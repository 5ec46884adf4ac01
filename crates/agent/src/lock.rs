//! One agent at a time: a kernel lock on a file in the state folder.
//!
//! Invariant: no lock outlives those who hold it, because the kernel drops it with the last descriptor; what the file says is only for
//! people. Each docker command gets the lock as its standard input: when the agent is killed in the middle of a `down`, a resume waits
//! until that `down` has ended too, instead of starting services that are then stopped behind its back.
//!
//! Those who hold it can hang for ever: a docker command whose agent is dead, an agent that is stopped or waits for a dead disk. They
//! are ended ([`Lock::take_over`]). A process that the kernel cannot end yet will never run again, but keeps its lock: then a new file
//! takes the place of the old one. So whoever got a lock looks whether its file still is the one that has the name. An agent that lives
//! and owes nothing is never ended from here, however long it takes: only somebody else's SIGKILL says that it hangs.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    cancel::Cancel,
    durable::{DurableError, make_folder},
    holder::{Holder, holders, strike},
};

/// How long a docker command whose agent is dead, or an agent that was killed and cannot end, may keep the lock. Compose kills what does not stop after its grace, mostly 10 s.
pub(crate) const ORPHAN: Duration = Duration::from_secs(3 * 60);
/// How long a process that was struck may take to be gone. Longer takes only one that the kernel cannot end.
const DYING: Duration = Duration::from_secs(5);
/// Between two looks: short at first, because most locks are held for a moment.
const LOOK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The lock, held until dropped by us and by every docker command that was started under it.
#[derive(Debug)]
pub struct Lock(File);

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody holds it.
    #[error("another offsite-agent is at work: {holder}")]
    Busy {
        /// What the holder wrote into the file.
        holder: String,
    },
    /// A signal came while another agent held it.
    #[error("stopped by a signal while waiting for another offsite-agent: {holder}")]
    Stopped {
        /// What the holder wrote into the file.
        holder: String,
    },
    /// The file cannot be opened or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Those who hold it cannot be found.
    #[error("cannot find who holds {}: {source}", path.display())]
    Holders {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One who holds it cannot be ended.
    #[error("cannot end process {process} ({program}), which holds {}: {source}", path.display())]
    Strike {
        /// The file.
        path: PathBuf,
        /// The process.
        process: i32,
        /// Its program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is no state folder.
    #[error(transparent)]
    Folder(#[from] DurableError),
}

fn file(state: &Path) -> PathBuf {
    state.join("lock")
}

impl Lock {
    /// Takes the lock of the state folder `state`, which is made where it is missing. `purpose` tells others what for, as "run of
    /// services". With `wait`, returns only when the lock is ours: waits for an agent for as long as it lives, and for a docker command
    /// whose agent is dead for 3 minutes, after which that command is ended.
    ///
    /// Errors: [`LockError::Busy`] without `wait`.
    pub fn take(state: &Path, purpose: &str, wait: bool) -> Result<Self, LockError> {
        if wait { Self::wait(state, purpose, &Cancel::default()) } else { Self::attempt(state, purpose) }
    }

    /// As [`Lock::take`] with `wait`, until somebody wants us to stop.
    ///
    /// Errors: [`LockError::Stopped`] within about a second of that, if the lock is not ours by then.
    pub fn wait(state: &Path, purpose: &str, cancel: &Cancel) -> Result<Self, LockError> {
        Self::wait_for(state, purpose, ORPHAN, cancel)
    }

    /// Waits for agents, and `patience` at most for commands whose agent is dead.
    fn wait_for(state: &Path, purpose: &str, patience: Duration, cancel: &Cancel) -> Result<Self, LockError> {
        let (mut pause, mut orphans) = (Pause::default(), Orphans::default());
        loop {
            match Self::attempt(state, purpose) {
                Err(LockError::Busy { holder }) if cancel.is_set() => return Err(LockError::Stopped { holder }),
                Err(LockError::Busy { .. }) => {}
                done => return done,
            }
            if orphans.since(state).is_some_and(|since| since.elapsed() >= patience) {
                match Self::take_over(state, purpose, &|| Ok(Orphans::default().since(state).is_some())) {
                    Ok(Some(taken)) => return Ok(taken.lock),
                    // Somebody else is about it, or it became free.
                    Ok(None) | Err(LockError::Busy { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            pause.once();
        }
    }

    /// One try. What it locked may have lost its name to a new file meanwhile: then once more.
    fn attempt(state: &Path, purpose: &str) -> Result<Self, LockError> {
        make_folder(state)?;
        let path = file(state);
        let failed = |source| LockError::Lock { path: path.clone(), source };
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(busy(&file)),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            let ours = file.metadata().map_err(failed)?;
            if std::fs::metadata(&path).is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
                return Ok(Self(file).noted(purpose));
            }
        }
    }

    /// Writes who holds it, for people.
    fn noted(mut self, purpose: &str) -> Self {
        let note = format!("{purpose}, process {}\n", std::process::id());
        if let Err(error) = self.0.set_len(0).and_then(|()| self.0.rewind()).and_then(|()| self.0.write_all(note.as_bytes())) {
            // Only people read it, and nothing is decided by it: on a full disk it must not keep services down.
            tracing::warn!("the lock is held, but its file cannot say by whom: {error}");
        }
        self
    }

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

    /// The lock for a child's standard input: the child shares it, and reads nothing, for the file is at its end.
    ///
    /// Errors: what the system says when no descriptor is left.
    pub(crate) fn share(&self) -> io::Result<Stdio> {
        Ok(Stdio::from(self.0.try_clone()?))
    }
}

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

/// The error for a lock that somebody holds, with what the holder wrote.
fn busy(file: &File) -> LockError {
    let mut holder = String::new();
    // Only for the message: an unreadable note changes nothing.
    let known = file.take(200).read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
    LockError::Busy { holder: if known { holder.trim().to_owned() } else { "its purpose is unknown".into() } }
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

/// Between two looks at the lock.
#[derive(Debug)]
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(LOOK.0)
    }
}

impl Pause {
    /// Sleeps, longer each time.
    pub(crate) fn once(&mut self) {
        std::thread::sleep(self.0);
        self.0 = (self.0 * 2).min(LOOK.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_says_who() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        let first = Lock::take(&state, "run of services", false).unwrap();
        let busy = Lock::take(&state, "resume", false).unwrap_err().to_string();
        assert_eq!(busy, format!("another offsite-agent is at work: run of services, process {}", std::process::id()));
        drop(first);
        // Waiting, because a child that another test forks just now holds every descriptor until its exec.
        Lock::take(&state, "resume", true).unwrap();
    }

    /// A child that holds the lock and does nothing for ever.
    fn child(lock: &Lock) -> std::process::Child {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "kill -STOP $$"]).stdin(lock.share().unwrap()).stdout(Stdio::piped());
        command.spawn().unwrap()
    }

    #[test]
    fn a_child_that_shares_it_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path(), "run", false).unwrap();
        let mut child = child(&lock);
        drop(lock);
        assert!(matches!(Lock::take(dir.path(), "resume", false), Err(LockError::Busy { .. })));
        child.kill().unwrap();
        child.wait().unwrap();
        Lock::take(dir.path(), "resume", true).unwrap();
    }

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
        Lock::wait_for(dir.path(), "run", Duration::ZERO, &Cancel::default()).unwrap();
        assert!(was_struck(child));
    }

    #[test]
    fn a_wish_to_stop_ends_the_wait_and_a_free_lock_is_taken_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        cancel.set();
        let lock = Lock::take(dir.path(), "run of services", false).unwrap();
        let error = Lock::wait(dir.path(), "run", &cancel).unwrap_err();
        assert!(matches!(&error, LockError::Stopped { holder } if holder.starts_with("run of services")), "{error}");
        assert!(error.to_string().starts_with("stopped by a signal while waiting for another offsite-agent: run of services"), "{error}");
        drop(lock);
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
    #[cfg(target_os = "linux")]
    fn a_full_disk_keeps_nobody_from_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        // Can be opened and locked, and nothing can be written to it.
        std::os::unix::fs::symlink("/dev/full", file(dir.path())).unwrap();
        Lock::take(dir.path(), "resume", true).unwrap();
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
