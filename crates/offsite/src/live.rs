//! What an offsite does right now, for whoever looks: `state/live.json`, which lives as long as its process works.
//!
//! It is news and no memory: never synced, never needed, and failing to write it fails nothing. Whether it is true is told by a kernel
//! lock on a file beside it, which ends with its process however that ends; so what a killed one left behind is never taken for work. The
//! state folder's own lock is not asked, because whoever tries that one, even for a moment, can make a run that starts just then believe
//! that another is at work.

mod now;
mod writer;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::Read as _,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread::JoinHandle,
    time::Duration,
};

use jiff::Timestamp;
use offsite_repository::Progress;

pub use self::now::{Now, Phase};
use self::writer::Writer;
use crate::state::State;

/// No live file is longer; more is not ours.
const LONGEST: u64 = 64 * 1024;
/// A reader holds the lock for the time of one system call, so this many tries, a millisecond apart, mean a second writer.
const TRIES: usize = 20;

/// The one whose news the bars of this process feed.
static CURRENT: Mutex<Weak<Writer>> = Mutex::new(Weak::new());

/// Keeps the file as long as it lives. Of two at the same time the second says nothing.
#[derive(Debug)]
pub struct Live {
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    writer: Arc<Writer>,
    thread: Option<JoinHandle<()>>,
    _lock: File,
}

impl Live {
    pub fn begin(state: &State, verb: &str, now: Timestamp) -> Self {
        let held = Held::begin(state, verb, now);
        if let Some(held) = &held {
            *current() = Arc::downgrade(&held.writer);
        }
        Self { held }
    }

    pub fn phase(&self, phase: Phase, object: impl ToString) {
        if let Some(held) = &self.held {
            held.writer.phase(phase, object.to_string());
        }
    }
}

impl Held {
    fn begin(state: &State, verb: &str, now: Timestamp) -> Option<Self> {
        let lock = take(&state.live_lock())?;
        let writer = Arc::new(Writer::new(state.live(), verb, now));
        writer.tick(now);
        let thread = std::thread::Builder::new().name("live".to_owned()).spawn({
            let writer = writer.clone();
            move || writer.keep()
        });
        Some(Self { writer, thread: thread.ok(), _lock: lock })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.writer.stop();
        if let Some(thread) = self.thread.take() {
            // It only writes news; had it panicked, there would be none.
            let _ = thread.join();
        }
        self.writer.remove();
    }
}

fn take(path: &Path) -> Option<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).ok()?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

fn current() -> MutexGuard<'static, Weak<Writer>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this process does now, and on what, if it tells anybody.
pub fn phase(phase: Phase, object: impl ToString) {
    if let Some(writer) = current().upgrade() {
        writer.phase(phase, object.to_string());
    }
}

/// The same from a bar's label, as `pull services/2026-11-22T030000Z`.
pub(crate) fn label(label: &str) {
    let (now, object) = Phase::of_label(label);
    phase(now, object);
}

/// How far that has come, in bytes.
pub fn progress(progress: Progress) {
    if let Some(writer) = current().upgrade() {
        writer.progress(progress);
    }
}

/// What an offsite does now; `None` if none is at work, or it does not tell.
pub fn read(state: &State) -> Option<Now> {
    let lock = File::open(state.live_lock()).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        Ok(()) | Err(TryLockError::Error(_)) => return None,
    }
    let mut text = String::new();
    File::open(state.live()).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Where a file is written before it takes the place of `path`.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn one_tells_the_second_does_not_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path());
        assert_eq!(read(&state), None);
        let first = Held::begin(&state, "daemon", at(1)).unwrap();
        first.writer.phase(Phase::Pull, "services/2026-11-22T030000Z".to_owned());
        first.writer.progress(Progress { done: 5, total: 10 });
        first.writer.tick(at(2));
        let now = read(&state).unwrap();
        assert_eq!((now.verb.as_str(), now.pid, now.since, now.time), ("daemon", std::process::id(), at(1), at(2)));
        assert_eq!((now.phase, now.object.as_str(), now.done, now.total), (Phase::Pull, "services/2026-11-22T030000Z", 5, 10));
        assert!(Held::begin(&state, "restore", at(3)).is_none());
        assert_eq!(read(&state).unwrap().verb, "daemon", "the second changes nothing");
        drop(first);
        assert_eq!(read(&state), None);
        assert!(!state.live().exists());
    }

    #[test]
    fn what_a_killed_one_left_is_no_work() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path());
        let text = r#"{"pid":1,"verb":"daemon","since":"2026-11-22T03:30:00Z","time":"2026-11-22T03:30:00Z","phase":"pull","object":"x","done":1,"total":2,"rate":0}"#;
        std::fs::write(state.live(), text).unwrap();
        assert_eq!(read(&state), None, "no lock at all");
        std::fs::write(state.live_lock(), "").unwrap();
        assert_eq!(read(&state), None, "a lock that nobody holds");
        let lock = take(&state.live_lock()).unwrap();
        assert_eq!(read(&state).unwrap().object, "x");
        std::fs::write(state.live(), "{").unwrap();
        assert_eq!(read(&state), None);
        drop(lock);
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(&dir.path().join("none"));
        let live = Live { held: Held::begin(&state, "sync", at(1)) };
        live.phase(Phase::Push, "x");
        assert!(live.held.is_none() && read(&state).is_none());
    }
}
