//! The files: one a day, the oldest removed, and a failure said once.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

use jiff::civil::Date;

use crate::config::{LogFormat, LogRules};

const BEGINS: &str = "offsite-";

/// The files of a folder. Nothing is made before the first line.
#[derive(Debug)]
pub(super) struct Days {
    folder: PathBuf,
    rules: LogRules,
    open: Option<(Date, File)>,
    failed: bool,
}

impl Days {
    pub(super) fn at(folder: PathBuf, rules: LogRules) -> Self {
        Self { folder, rules, open: None, failed: false }
    }

    /// Adds a line. What fails is said once, and tried again with the next line: a disk that was full may have room then.
    pub(super) fn write(&mut self, day: Date, line: &str) {
        if let Err(error) = self.try_write(day, line) {
            self.open = None;
            if !self.failed {
                self.failed = true;
                // What it has not is not kept from the screen.
                crate::say::logged(false);
                note!("cannot write the log in {}: {error}; the run goes on without", self.folder.display());
            }
        }
    }

    fn try_write(&mut self, day: Date, line: &str) -> io::Result<()> {
        let file = match &mut self.open {
            Some((open, file)) if *open == day => file,
            _ => {
                let file = self.open(day)?;
                self.turn_over(day);
                &mut self.open.insert((day, file)).1
            }
        };
        // In one piece: another process may write here as well.
        let before = file.metadata()?.len();
        let written = file.write(line.as_bytes())?;
        if written == line.len() {
            return Ok(());
        }
        // Half a line on a full disk would spoil the next one, too; unless somebody wrote after it.
        if file.metadata()?.len() == before + written as u64 {
            file.set_len(before)?;
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    fn ends(&self) -> &'static str {
        match self.rules.format {
            LogFormat::Human => ".log",
            LogFormat::Json => ".jsonl",
        }
    }

    /// The owner's alone: a log names files and hosts.
    fn open(&self, day: Date) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        OpenOptions::new().append(true).create(true).mode(0o600).open(self.folder.join(format!("{BEGINS}{day}{}", self.ends())))
    }

    /// Removes the oldest days beyond those that are kept, never `today`, whatever a clock that was ahead has left. One that cannot be removed is tried again tomorrow.
    fn turn_over(&self, today: Date) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut ours: Vec<(Date, PathBuf)> =
            entries.flatten().filter_map(|entry| Some((day_of(entry.file_name().to_str()?)?, entry.path()))).collect();
        ours.retain(|(day, _)| *day != today);
        ours.sort();
        let many = (ours.len() + 1).saturating_sub(self.rules.keep.get());
        for (_, path) in ours.into_iter().take(many) {
            if let Err(error) = fs::remove_file(&path) {
                // Not an event: that would come back here.
                note!("cannot remove the old log {}: {error}", path.display());
            }
        }
    }
}

fn day_of(name: &str) -> Option<Date> {
    let rest = name.strip_prefix(BEGINS)?;
    rest.strip_suffix(".log").or_else(|| rest.strip_suffix(".jsonl"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(dir: &std::path::Path) -> Days {
        Days::at(dir.join("log"), LogRules::default())
    }

    #[test]
    fn only_days_are_ours() {
        assert_eq!(day_of("offsite-2026-11-22.log"), Some(jiff::civil::date(2026, 11, 22)));
        assert_eq!(day_of("offsite-2026-11-22.jsonl"), day_of("offsite-2026-11-22.log"));
        for name in ["offsite-2026-11-22", "offsite-notes.log", "launchd.log", "offsite-2026-13-01.log"] {
            assert_eq!(day_of(name), None, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_written_stops_nothing_and_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        // A file stands where the folder should be.
        fs::write(dir.path().join("log"), "").unwrap();
        let (mut days, day) = (days(dir.path()), jiff::civil::date(2026, 11, 22));
        days.write(day, "a\n");
        assert!(days.failed);
        fs::remove_file(dir.path().join("log")).unwrap();
        days.write(day, "b\n");
        assert_eq!(fs::read_to_string(dir.path().join("log/offsite-2026-11-22.log")).unwrap(), "b\n");
    }

    #[test]
    fn the_day_that_is_written_stays_although_a_clock_was_ahead() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        let (today, ahead) = (dir.path().join("log/offsite-2026-11-22.log"), dir.path().join("log/offsite-2031-01-01.log"));
        fs::write(&ahead, "").unwrap();
        let rules = LogRules { keep: std::num::NonZeroUsize::MIN, ..LogRules::default() };
        Days::at(dir.path().join("log"), rules).write(jiff::civil::date(2026, 11, 22), "a\n");
        assert_eq!((fs::read_to_string(today).unwrap().as_str(), ahead.exists()), ("a\n", false));
    }

    #[test]
    fn a_full_disk_stops_nothing() {
        if !std::path::Path::new("/dev/full").exists() {
            eprintln!("skipped: this system has no disk that is always full");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("log/offsite-2026-11-22.log")).unwrap();
        let (mut days, day) = (days(dir.path()), jiff::civil::date(2026, 11, 22));
        days.write(day, "a\n");
        assert!(days.failed && days.open.is_none());
    }
}
