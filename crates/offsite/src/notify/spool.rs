//! `notices/` in the state folder: what a process without a screen leaves for one that has it.
//!
//! A notice is a file of its own, written aside and renamed, so none is ever half there and two writers lose nothing. It goes when it was
//! shown, or when it is too old to mean anything; `offsite status` says what holds now.

use std::{
    fs::{DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a notice waits for somebody to come home.
pub(super) const EXPIRES: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A notice that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// When it was written.
    pub(crate) time: Timestamp,
    /// One line.
    pub(crate) title: String,
    /// A few lines.
    pub(crate) text: String,
}

/// Leaves a notice in `folder`, which is made if need be.
pub(super) fn leave(folder: &Path, notice: &Notice) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // A dot before the name: nobody shows what is not whole.
    let mut file = tempfile::Builder::new().prefix(".notice").tempfile_in(folder)?;
    file.write_all(&serde_json::to_vec(notice)?)?;
    file.as_file().sync_data()?;
    for n in 0.. {
        let name = format!("{:014}-{n}.json", notice.time.as_millisecond());
        match file.persist_noclobber(folder.join(name)) {
            Ok(_) => break,
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => file = error.file,
            Err(error) => return Err(error.error),
        }
    }
    Ok(())
}

/// The notices in `folder`, oldest first, with their files: those that have expired, or that cannot be read, without a text.
pub(crate) fn waiting(folder: &Path, now: Timestamp) -> io::Result<Vec<(PathBuf, Option<Notice>)>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && name.ends_with(".json")
    });
    files.sort();
    let read = |path: PathBuf| {
        let notice: Option<Notice> = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let notice = notice.filter(|notice| now.duration_since(notice.time) < EXPIRES);
        (path, notice)
    };
    Ok(files.into_iter().map(read).collect())
}

/// The right to show what is in `folder`, or `None` while another shows it. The kernel's lock on the folder itself: no file of ours wakes
/// whoever watches it.
pub(crate) fn claim(folder: &Path) -> io::Result<Option<File>> {
    let file = File::open(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(second: i64, title: &str) -> Notice {
        Notice { time: Timestamp::from_second(second).unwrap(), title: title.into(), text: "x".into() }
    }

    #[test]
    fn writers_at_the_same_moment_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("notices");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let folder = &folder;
                scope.spawn(move || (0..10).for_each(|n| leave(folder, &notice(7, &format!("{writer} {n}"))).unwrap()));
            }
        });
        let waiting = waiting(&folder, Timestamp::from_second(8).unwrap()).unwrap();
        let titles: std::collections::BTreeSet<String> = waiting.into_iter().map(|(_, notice)| notice.unwrap().title).collect();
        assert_eq!(titles.len(), 40);
    }

    #[test]
    fn they_come_in_order_and_old_or_torn_ones_have_no_text() {
        let dir = tempfile::tempdir().unwrap();
        let week = EXPIRES.as_secs();
        for second in [9, 1, week + 1] {
            leave(dir.path(), &notice(second, &second.to_string())).unwrap();
        }
        std::fs::write(dir.path().join("99999999999999-0.json"), "{").unwrap();
        std::fs::write(dir.path().join(".notice-half"), "{").unwrap();
        let found = waiting(dir.path(), Timestamp::from_second(week + 1).unwrap()).unwrap();
        let titles: Vec<Option<String>> = found.into_iter().map(|(_, notice)| Some(notice?.title)).collect();
        assert_eq!(titles, [None, Some("9".into()), Some((week + 1).to_string()), None]);
        assert!(waiting(&dir.path().join("gone"), Timestamp::UNIX_EPOCH).unwrap().is_empty());
    }
}
