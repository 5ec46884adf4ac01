//! The folder of a drill: on a disk with room, new, the owner's alone, and gone afterwards.
//!
//! Its name is written down before it is made. So one that was killed, by whatever, leaves a folder that the next drill finds and removes, on
//! whichever disk it is; and nothing is ever removed that is not called as only a drill calls it.

use std::{
    fs::{self, DirBuilder, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use offsite_archive::ArchiveName;

use super::DrillError;
use crate::{
    platform,
    restore::{self, from::Opened, target},
    state::State,
};

const PREFIX: &str = "offsite-drill-";

/// The folder, made.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes a folder for `raw` bytes of a tar stream: in `into`, or where there is room.
    pub(super) fn make(opened: &Opened, state: &State, into: Option<&Path>, archive: &ArchiveName, raw: u64) -> anyhow::Result<Self> {
        let above = above(opened, into, archive, raw)?;
        let path = above.join(format!("{PREFIX}{:016x}", getrandom::u64()?));
        let path = target::check(&path, &restore::own_folders(opened), false)?;
        let failed = |operation| {
            let path = path.clone();
            move |source| DrillError::Folder { operation, path, source }
        };
        remember(state, &path).map_err(failed("remember"))?;
        // Only its name: a folder that was put there by others is not taken over.
        DirBuilder::new().mode(0o700).create(&path).map_err(failed("make"))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes it, and the memory of it.
    pub(super) fn remove(self, state: &State) -> Result<(), DrillError> {
        remove(&self.0).and_then(|()| forget(state)).map_err(|source| DrillError::Folder { operation: "remove", path: self.0, source })
    }
}

/// Removes what a drill left that did not end. The caller holds the lock, so nobody uses it. Gives the folder, if there was one.
pub(super) fn remove_left(state: &State) -> Result<Option<PathBuf>, DrillError> {
    let memory = memory(state);
    let failed = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| DrillError::Folder { operation, path, source }
    };
    let text = match fs::read_to_string(&memory) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read the memory of", &memory)(error)),
    };
    let path = serde_json::from_str::<PathBuf>(&text).ok().filter(|path| is_ours(path));
    if let Some(path) = &path {
        remove(path).map_err(failed("remove", path))?;
    }
    forget(state).map_err(failed("forget", &memory))?;
    Ok(path)
}

/// Whether it is a folder, called as we call them, and this account's.
fn is_ours(path: &Path) -> bool {
    let named = path.is_absolute() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    named && fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw())
}

fn memory(state: &State) -> PathBuf {
    state.folder().join("drill.json")
}

fn remember(state: &State, path: &Path) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(state.folder())?;
    serde_json::to_writer(&mut file, path)?;
    file.flush()?;
    file.as_file().sync_all()?;
    file.persist(memory(state)).map(drop).map_err(|error| error.error)
}

fn forget(state: &State) -> io::Result<()> {
    fs::remove_file(memory(state))
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

    #[test]
    fn what_a_killed_drill_left_is_removed_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        assert_eq!(remove_left(&state).unwrap(), None);
        let left = dir.path().join(format!("{PREFIX}0123"));
        fs::create_dir_all(left.join("srv/closed/in")).unwrap();
        fs::write(left.join("srv/closed/in/file"), "x").unwrap();
        fs::set_permissions(left.join("srv/closed"), Permissions::from_mode(0o000)).unwrap();
        remember(&state, &left).unwrap();
        assert_eq!(remove_left(&state).unwrap(), Some(left.clone()));
        assert!(!left.exists() && !memory(&state).exists());
        // Said and not made, or gone already.
        remember(&state, &left).unwrap();
        assert_eq!(remove_left(&state).unwrap(), None);
        // A memory that somebody meddled with removes nothing.
        let precious = dir.path().join("precious");
        fs::create_dir(&precious).unwrap();
        std::os::unix::fs::symlink(&precious, &left).unwrap();
        for path in [&precious, &left] {
            remember(&state, path).unwrap();
            assert_eq!(remove_left(&state).unwrap(), None);
            assert!(precious.exists() && !memory(&state).exists());
        }
    }
}
