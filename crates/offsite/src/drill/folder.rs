//! The folder of a drill: on a disk with room, new, the owner's alone, and gone afterwards.
//!
//! Its name is written down before it is made. So one that was killed, by whatever, leaves a folder that the next drill or night finds and
//! removes, on whichever disk it is, and once that disk is there; and nothing is ever removed that is not called as only a drill calls it.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use offsite_archive::ArchiveName;

use super::DrillError;
use crate::{
    platform,
    restore::{self, from::Opened, target},
    state::{self, State},
};

pub(super) const PREFIX: &str = "offsite-drill-";

#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes a folder for `raw` bytes of a tar stream: in `into`, or where there is room.
    pub(super) fn make(opened: &Opened, state: &State, into: Option<&Path>, archive: &ArchiveName, raw: u64) -> anyhow::Result<Self> {
        let above = above(opened, into, archive, raw)?;
        let path = above.join(format!("{PREFIX}{:016x}", getrandom::u64()?));
        let path = target::check(&path, &restore::own_folders(opened), false)?;
        remember(state, &path).map_err(|source| failed("remember", &path, source))?;
        // Only its name: a folder that was put there by others is not taken over.
        DirBuilder::new().mode(0o700).create(&path).map_err(|source| failed("make", &path, source))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn remove(self, state: &State) -> Result<(), DrillError> {
        remove(&self.0).and_then(|()| forget(state, &self.0)).map_err(|source| failed("remove", &self.0, source))
    }
}

#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) removed: Vec<PathBuf>,
    /// Folders on a disk that is away; they are remembered.
    pub(super) away: Vec<PathBuf>,
    /// Folders that cannot be removed; they are remembered.
    pub(super) stuck: Vec<anyhow::Error>,
}

/// Removes what drills left that did not end. The caller holds the lock, so nobody uses it.
///
/// # Errors
/// If the memory cannot be read or written. A folder that cannot be removed is none: it must not stand in the way of the next drill.
pub(super) fn remove_left(state: &State) -> Result<Left, DrillError> {
    remove_left_by(state, remove)
}

fn remove_left_by(state: &State, remove: impl Fn(&Path) -> io::Result<()>) -> Result<Left, DrillError> {
    let memory = memory(state);
    let mut left = Left::default();
    let Some(paths) = recall(state).map_err(|source| failed("read the memory of", &memory, source))? else { return Ok(left) };
    let (mut kept, before) = (Vec::new(), paths.len());
    for path in paths {
        match look(&path).and_then(|found| if found == Found::Ours { remove(&path).map(|()| found) } else { Ok(found) }) {
            Ok(Found::Ours) => left.removed.push(path),
            Ok(Found::Nothing) => {}
            Ok(Found::Away) => {
                left.away.push(path.clone());
                kept.push(path);
            }
            Err(source) => {
                left.stuck.push(failed("remove", &path, source).into());
                kept.push(path);
            }
        }
    }
    if kept.len() < before || before == 0 {
        write(state, &kept).map_err(|source| failed("forget", &memory, source))?;
    }
    Ok(left)
}

/// What drills left that did not end, or may have left on a disk that is away. Nothing is changed. Only for who knows that no drill runs.
pub(super) fn left(state: &State) -> io::Result<Vec<PathBuf>> {
    let paths = recall(state)?;
    if paths.as_ref().is_some_and(Vec::is_empty) {
        // An empty one is never written.
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no list of folders"));
    }
    Ok(paths.unwrap_or_default().into_iter().filter(|path| !look(path).is_ok_and(|found| found == Found::Nothing)).collect())
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> DrillError {
    DrillError::Folder { operation, path: path.to_owned(), source }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A folder, called as we call them, and this account's.
    Ours,
    Nothing,
    /// Nobody can tell: the folder that it was made in is not there, as on a disk that is not mounted.
    Away,
}

fn look(path: &Path) -> io::Result<Found> {
    let named = path.is_absolute() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    if !named {
        return Ok(Found::Nothing);
    }
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() => Ok(Found::Ours),
        Ok(_) => Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.parent().is_some_and(Path::is_dir) => Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Away),
        Err(error) => Err(error),
    }
}

pub(super) fn memory(state: &State) -> PathBuf {
    state.folder().join("drill.json")
}

/// The remembered paths; `None` if there is no memory. One that cannot be understood holds none.
fn recall(state: &State) -> io::Result<Option<Vec<PathBuf>>> {
    /// A list; before there were lists, a path.
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Memory {
        Many(Vec<PathBuf>),
        One(PathBuf),
    }
    let text = match fs::read_to_string(memory(state)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(match serde_json::from_str(&text) {
        Ok(Memory::Many(paths)) => paths,
        Ok(Memory::One(path)) => vec![path],
        Err(_) => Vec::new(),
    }))
}

fn remember(state: &State, path: &Path) -> io::Result<()> {
    let mut paths = recall(state)?.unwrap_or_default();
    paths.push(path.to_owned());
    write(state, &paths)
}

fn forget(state: &State, path: &Path) -> io::Result<()> {
    let mut paths = recall(state)?.unwrap_or_default();
    paths.retain(|other| other != path);
    write(state, &paths)
}

fn write(state: &State, paths: &[PathBuf]) -> io::Result<()> {
    if paths.is_empty() {
        return match fs::remove_file(memory(state)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        };
    }
    state::replace(&memory(state), &serde_json::to_vec(paths)?)
}

/// Removes a tree, also where folders in it are closed to their owner, as they were on the Pi.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock(path)?;
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn unlock(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unlock(&entry.path())?;
        }
    }
    Ok(())
}

/// The folder to make it in.
fn above(opened: &Opened, into: Option<&Path>, archive: &ArchiveName, raw: u64) -> Result<PathBuf, DrillError> {
    // File systems round up, and folders take room too.
    let need = raw.saturating_add(raw / 8);
    let candidates: Vec<PathBuf> = match into {
        Some(folder) => vec![folder.to_owned()],
        None => {
            let beside = opened.config.as_ref().and_then(|config| config.repository.parent());
            [Some(std::env::temp_dir()), beside.map(Path::to_owned)].into_iter().flatten().collect()
        }
    };
    choose(&candidates, need, archive, platform::free)
}

/// The first with room. One that cannot be asked has none, and if none can, the error is the first one's.
fn choose(
    candidates: &[PathBuf],
    need: u64,
    archive: &ArchiveName,
    free: impl Fn(&Path) -> io::Result<u64>,
) -> Result<PathBuf, DrillError> {
    let (mut lacking, mut unasked) = (None, None);
    for folder in candidates {
        match free(folder) {
            Ok(free) if free >= need => return Ok(folder.clone()),
            Ok(free) => lacking = Some(DrillError::NoRoom { archive: archive.clone(), folder: folder.clone(), need, free }),
            Err(source) => unasked = unasked.or(Some(DrillError::Folder { operation: "make room for", path: folder.clone(), source })),
        }
    }
    let none = || DrillError::NoRoom { archive: archive.clone(), folder: PathBuf::new(), need, free: 0 };
    Err(lacking.or(unasked).unwrap_or_else(none))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_with_room_is_taken_and_none_is_said_with_figures() {
        let archive: ArchiveName = "services/2026-11-22T040000Z".parse().unwrap();
        let folders = [PathBuf::from("/small"), PathBuf::from("/gone"), PathBuf::from("/large")];
        let free = |folder: &Path| match folder.to_str() {
            Some("/small") => Ok(10),
            Some("/large") => Ok(1000),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let of = |need| choose(&folders, need, &archive, free);
        assert_eq!((of(10).unwrap(), of(11).unwrap()), (PathBuf::from("/small"), PathBuf::from("/large")));
        assert_eq!(
            of(1001).unwrap_err().to_string(),
            "there is no room for a drill of services/2026-11-22T040000Z in /large: it needs 1.0 kB and 1.0 kB are free"
        );
        assert!(matches!(choose(&folders[1..2], 1, &archive, free), Err(DrillError::Folder { .. })));
    }

    /// What `remove_left` removed; nothing else is there.
    fn removed(state: &State) -> Vec<PathBuf> {
        let left = remove_left(state).unwrap();
        assert!(left.away.is_empty() && left.stuck.is_empty(), "{left:?}");
        left.removed
    }

    #[test]
    fn what_a_killed_drill_left_is_removed_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        assert_eq!(removed(&state).len(), 0);
        let left = dir.path().join(format!("{PREFIX}0123"));
        fs::create_dir_all(left.join("srv/closed/in")).unwrap();
        fs::write(left.join("srv/closed/in/file"), "x").unwrap();
        fs::set_permissions(left.join("srv/closed"), Permissions::from_mode(0o000)).unwrap();
        remember(&state, &left).unwrap();
        assert_eq!(super::left(&state).unwrap(), std::slice::from_ref(&left));
        assert_eq!(removed(&state), std::slice::from_ref(&left));
        assert!(!left.exists() && !memory(&state).exists());
        // As it was written before there were lists.
        fs::create_dir(&left).unwrap();
        fs::write(memory(&state), serde_json::to_vec(&left).unwrap()).unwrap();
        assert_eq!(removed(&state), std::slice::from_ref(&left));
        // Said and not made, or gone already.
        remember(&state, &left).unwrap();
        assert_eq!(super::left(&state).unwrap().len(), 0);
        assert_eq!(removed(&state).len(), 0);
        // A memory that somebody meddled with removes nothing.
        let precious = dir.path().join("precious");
        fs::create_dir(&precious).unwrap();
        std::os::unix::fs::symlink(&precious, &left).unwrap();
        for path in [&precious, &left] {
            remember(&state, path).unwrap();
            assert_eq!(removed(&state).len(), 0);
            assert!(precious.exists() && !memory(&state).exists());
        }
    }

    #[test]
    fn a_memory_that_cannot_be_read_is_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        assert_eq!(crate::drill::left(&state), []);
        fs::write(memory(&state), "{").unwrap();
        let said = crate::drill::left(&state).remove(0);
        assert!(said.0.contains("is not known: cannot read ") && said.1.contains("offsite-drill-…"), "{said:?}");
        fs::remove_file(memory(&state)).unwrap();
        fs::create_dir(memory(&state)).unwrap();
        assert_eq!(crate::drill::left(&state).len(), 1);
    }

    #[test]
    fn what_is_on_a_disk_that_is_away_is_remembered_until_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        let (disk, here) = (dir.path().join("disk"), dir.path().join(format!("{PREFIX}02")));
        let left = disk.join(format!("{PREFIX}01"));
        remember(&state, &left).unwrap();
        assert_eq!(remove_left(&state).unwrap().away, std::slice::from_ref(&left));
        // Another drill comes and goes.
        remember(&state, &here).unwrap();
        fs::create_dir(&here).unwrap();
        Folder(here.clone()).remove(&state).unwrap();
        assert!(!here.exists());
        assert_eq!(super::left(&state).unwrap(), std::slice::from_ref(&left));
        fs::create_dir_all(&left).unwrap();
        assert_eq!(removed(&state), [left]);
        assert!(!memory(&state).exists());
    }

    #[test]
    fn what_cannot_be_removed_stays_remembered_and_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        let [one, two] = ["1", "2"].map(|end| dir.path().join(format!("{PREFIX}{end}")));
        for path in [&one, &two] {
            fs::create_dir(path).unwrap();
            remember(&state, path).unwrap();
        }
        let held = |path: &Path| if path == one { Err(io::ErrorKind::ResourceBusy.into()) } else { remove(path) };
        let left = remove_left_by(&state, held).unwrap();
        assert_eq!((left.removed, left.stuck.len()), (vec![two], 1));
        assert_eq!(removed(&state), [one]);
    }
}
