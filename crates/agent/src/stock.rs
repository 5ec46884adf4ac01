//! What a run need not do again: the newest archive's frames, and the cache that says which files they hold.
//!
//! Invariant: nothing here can make an archive wrong. The cache is only believed about the archive it was written for, and only while
//! file times prove something: not across a clock that went back, nor across a boot or a disk that was plugged in again, because a power
//! cut can keep what was written to a file and lose its new times. An archive that cannot be read merely gives nothing. All of it
//! may be deleted at any time.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use offsite_archive::{CacheError, JobName, Stock};

use crate::{
    durable::{self, DurableError},
    error::RunError,
    human::chain,
    place::Place,
};

fn path(state: &Path, job: &JobName) -> PathBuf {
    state.join("cache").join(job.as_str())
}

/// The stock that a run of `job` begins with, and what a person should know of it. With `full`, no file is known to be unchanged; frames
/// that were made before are still not made again.
///
/// Errors: there is no room for what is new, or for a note of what is lost.
pub(crate) fn open(place: &Place, state: &Path, job: &JobName, full: bool, now: Timestamp) -> Result<(Stock, Vec<String>), RunError> {
    let mut stock = place.stock()?;
    let mut warnings = Vec::new();
    let newest = match place.newest(job) {
        Ok(Some(newest)) => newest,
        Ok(None) => return Ok((stock, warnings)),
        Err(error) => {
            warnings.push(format!("the archive before cannot be used, so nothing is taken over from it: {}", chain(&error)));
            return Ok((stock, warnings));
        }
    };
    let back = newest.manifest.end.finished > now;
    if back {
        warnings.push(format!(
            "the clock went back since the archive before was made ({}), so file times prove nothing and everything is read again",
            newest.manifest.end.finished
        ));
    }
    let cache = if full || back { None } else { read(&path(state, job), &mut warnings) };
    let (known, absent) = place.take_over(newest, &mut stock, cache.as_deref())?;
    warnings.extend(absent);
    match known {
        Err(CacheError::Damaged) => {
            warnings.push(format!("{} is damaged, so everything is read again", path(state, job).display()));
        }
        // A run that ended between publishing and noting leaves the cache of the one before.
        Err(error) => tracing::info!(%error, "everything is read again"),
        Ok(()) => {}
    }
    Ok((stock, warnings))
}

/// The cache at `path`, if it is of this epoch. That it cannot be read costs time, and is told.
fn read(path: &Path, warnings: &mut Vec<String>) -> Option<Vec<u8>> {
    let mut bytes = match durable::read(path) {
        Ok(bytes) => bytes?,
        Err(error) => {
            warnings.push(format!("{}, so everything is read again", chain(&error)));
            return None;
        }
    };
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    match epoch() {
        // What has no such line is damaged, and is found to be that.
        Some(epoch) if bytes[..line] == *epoch.as_bytes() => {
            bytes.drain(..(line + 1).min(bytes.len()));
            Some(bytes)
        }
        _ if !bytes.starts_with(EPOCH.as_bytes()) => Some(Vec::new()),
        _ => {
            tracing::info!("this machine was started anew, or a disk was plugged in, since the last run: everything is read again");
            None
        }
    }
}

const EPOCH: &str = "epoch ";

/// For how long file times prove something, as one line: this boot, and the disks that have been there all the time. `None` where the
/// system does not say.
pub(crate) fn epoch() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let mut disks = Vec::new();
    for entry in std::fs::read_dir("/sys/block").ok()? {
        let name = entry.ok()?.file_name().into_string().ok()?;
        // Images and memory come and go, and none of them is pulled out.
        if ["loop", "ram", "zram"].iter().any(|kind| name.starts_with(kind)) {
            continue;
        }
        // Counts each time that a disk appears; older kernels do not count, and a disk is then known by its name only.
        let number = std::fs::read_to_string(format!("/sys/block/{name}/diskseq")).unwrap_or_default();
        disks.push(format!("{name}={}", number.trim()));
    }
    disks.sort();
    Some(format!("{EPOCH}{} {}", boot.trim(), disks.join(" ")))
}

/// Keeps what the next run may know, which `write` writes. `epoch` is that of before anything was read: a disk that was plugged in again since ends it.
///
/// Errors: it cannot be written; then the next run reads everything.
pub(crate) fn save(
    state: &Path,
    job: &JobName,
    epoch: Option<&str>,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), DurableError> {
    let Some(epoch) = epoch else { return forget(state, job) };
    durable::make_folder(&state.join("cache"))?;
    durable::replace_with(&path(state, job), |file| {
        file.write_all(epoch.as_bytes())?;
        file.write_all(b"\n")?;
        write(file)
    })
}

/// Forgets it: it led to something that is not so.
///
/// Errors: it cannot be removed.
pub(crate) fn forget(state: &Path, job: &JobName) -> Result<(), DurableError> {
    if path(state, job).exists() { durable::remove(&path(state, job)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_counts_for_one_boot_only() {
        let dir = tempfile::tempdir().unwrap();
        let (state, job) = (dir.path(), "s".parse().unwrap());
        let mut warnings = Vec::new();
        assert_eq!(read(&path(state, &job), &mut warnings), None);
        let known = |file: &mut File| file.write_all(b"what is\nknown");
        save(state, &job, epoch().as_deref(), known).unwrap();
        let Some(epoch) = epoch() else {
            println!("skipped: this system does not tell its boots apart, so no cache is kept");
            return;
        };
        assert_eq!(read(&path(state, &job), &mut warnings).as_deref(), Some(&b"what is\nknown"[..]));
        let other = epoch.replace('0', "1").replace('2', "3") + "x";
        std::fs::write(path(state, &job), format!("{other}\nwhat is\nknown")).unwrap();
        assert_eq!((read(&path(state, &job), &mut warnings), warnings.len()), (None, 0));
        // A disk was plugged in again while the archive was written: what was read before proves nothing now.
        save(state, &job, Some(&other), known).unwrap();
        assert_eq!(read(&path(state, &job), &mut warnings), None);
        // What is no cache at all is handed on, to be found damaged.
        std::fs::write(path(state, &job), "no cache").unwrap();
        assert_eq!(read(&path(state, &job), &mut warnings).as_deref(), Some(&b""[..]));
    }
}
