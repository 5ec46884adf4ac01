//! The file's writer: takes news at any rate, writes them once a second, by a thread of its own.
//!
//! A thread, because the work itself may be silent for minutes (a server that does not answer) and what was said last must be on the
//! screen all the same.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use offsite_repository::Progress;

use super::{Now, Phase, beside};

const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    news: Mutex<News>,
    stopped: Mutex<bool>,
    wake: Condvar,
}

#[derive(Debug)]
struct News {
    now: Now,
    written: Option<Now>,
    speed: Speed,
}

impl Writer {
    pub(super) fn new(path: PathBuf, verb: &str, since: Timestamp) -> Self {
        let now = Now {
            pid: std::process::id(),
            verb: verb.to_owned(),
            since,
            time: since,
            phase: Phase::Work,
            object: String::new(),
            done: 0,
            total: 0,
            rate: 0,
        };
        let news = News { now, written: None, speed: Speed::default() };
        Self { path, news: Mutex::new(news), stopped: Mutex::new(false), wake: Condvar::new() }
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self, phase: Phase, object: String) {
        let mut news = self.news();
        if news.now.phase != phase {
            news.speed = Speed::default();
        }
        let now = &mut news.now;
        (now.phase, now.object, now.done, now.total) = (phase, object, 0, 0);
        news.speed.restart();
    }

    pub(super) fn progress(&self, progress: Progress) {
        let mut news = self.news();
        (news.now.done, news.now.total) = (progress.done, progress.total);
    }

    pub(super) fn tick(&self, time: Timestamp) {
        let now = {
            let mut news = self.news();
            let done = news.now.done;
            news.now.rate = news.speed.rate(done, Instant::now());
            if news.written.as_ref().is_some_and(|written| *written == Now { time: written.time, ..news.now.clone() }) {
                return;
            }
            news.now.time = time;
            news.written = Some(news.now.clone());
            news.now.clone()
        };
        // News that cannot be written are none; the next second tries again.
        if self.write(&now).is_err() {
            self.news().written = None;
        }
    }

    fn write(&self, now: &Now) -> io::Result<()> {
        let new = beside(&self.path);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(now)?)?;
        fs::rename(new, &self.path)
    }

    pub(super) fn keep(&self) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            stopped = self.wake.wait_timeout_while(stopped, EVERY, |stopped| !*stopped).unwrap_or_else(PoisonError::into_inner).0;
            if *stopped {
                return;
            }
            self.tick(Timestamp::now());
        }
    }

    pub(super) fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    /// Nobody is at work any more. What cannot be removed is not believed, since nobody holds the lock.
    pub(super) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(beside(&self.path));
    }
}

/// How fast it goes: the mean of the last few seconds, the latest counting most.
#[derive(Debug, Default)]
struct Speed {
    last: Option<(u64, Instant)>,
    rate: Option<f64>,
}

impl Speed {
    /// The count begins again, at the same speed.
    fn restart(&mut self) {
        self.last = None;
    }

    /// Bytes per second, once `done` bytes are done at `time`.
    fn rate(&mut self, done: u64, time: Instant) -> u64 {
        match self.last {
            Some((before, then)) if done >= before => {
                let seconds = time.duration_since(then).as_secs_f64();
                // Two looks at almost the same moment tell nothing.
                if seconds >= 0.2 {
                    let rate = (done - before) as f64 / seconds;
                    self.rate = Some(self.rate.map_or(rate, |usual| usual * 0.7 + rate * 0.3));
                    self.last = Some((done, time));
                }
            }
            _ => self.last = Some((done, time)),
        }
        self.rate.unwrap_or(0.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_and_does_not_jump() {
        let start = Instant::now();
        let second = |seconds| start + Duration::from_secs(seconds);
        let mut speed = Speed::default();
        assert_eq!(speed.rate(0, second(0)), 0);
        assert_eq!(speed.rate(1000, second(1)), 1000);
        assert_eq!(speed.rate(1000, second(2)), 700, "a second of silence");
        speed.restart();
        assert_eq!(speed.rate(50, second(3)), 700, "the next archive");
        assert_eq!(speed.rate(750, second(4)), 700);
        assert_eq!(speed.rate(9, second(5)), 700, "a count that began again without a word");
        assert_eq!(speed.rate(9, second(5)), 700, "twice in one moment");
    }

    #[test]
    fn what_is_no_news_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live.json");
        let writer = Writer::new(path.clone(), "sync", Timestamp::UNIX_EPOCH);
        writer.tick(Timestamp::UNIX_EPOCH);
        std::fs::remove_file(&path).unwrap();
        writer.tick(Timestamp::from_second(9).unwrap());
        assert!(!path.exists());
        writer.phase(Phase::Keep, "mac".into());
        writer.tick(Timestamp::from_second(10).unwrap());
        assert!(path.exists());
    }
}
