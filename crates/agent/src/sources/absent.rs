//! A disk that is not there: an empty mount point must not become an empty archive, nor push out the good ones.
//!
//! Seen before anything is stopped, by what /etc/fstab wants and by what was there at the last run. The latter is the
//! one thing to remember, a small file in the state folder: which disks were mounted in each source, and which sources had something
//! in them. Losing it costs one night's watchfulness and nothing else. What the owner accepts (`run --accept-empty`) stays accepted
//! until the disk has been there again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Absent, SourceError, mounts::wanted};
use crate::{
    cancel::Cancel,
    config::{Config, Job, JobName},
    durable,
    lock::Lock,
    mounts::{self, Mount},
    quiesce::real,
};

/// What is remembered of one job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    /// Where disks were mounted, in its sources and above them.
    mounts: BTreeSet<PathBuf>,
    /// The sources that were not empty.
    filled: BTreeSet<PathBuf>,
    /// What is not there and need not be.
    accepted: BTreeSet<PathBuf>,
}

/// `at` may come from /etc/fstab or from what is remembered.
fn is_mounted(mounts: &[Mount], at: &Path) -> bool {
    mounts.iter().any(|mount| mount.at == at || remembered(&mount.at) == at)
}

/// A mount point as it is remembered: in JSON, which holds text and no other bytes.
fn remembered(at: &Path) -> PathBuf {
    at.to_string_lossy().into_owned().into()
}

/// What is to be mounted at every start.
const FSTAB: &str = "/etc/fstab";

/// What is there now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Now {
    /// The mount points of /etc/fstab, in the sources and above them.
    wanted: BTreeSet<PathBuf>,
    /// All that is mounted.
    mounts: Vec<Mount>,
    /// The sources, without symbolic links, and whether each is an empty folder.
    sources: BTreeMap<PathBuf, bool>,
}

/// What `read` gives for the file of the system at `path`. On a machine without it nothing is mounted but the root.
fn of_system<T: Default>(path: &str, read: impl FnOnce() -> io::Result<T>) -> Result<T, SourceError> {
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        read => read.map_err(|source| SourceError::Look { path: path.into(), source }),
    }
}

/// All that is mounted now.
///
/// Errors: [`SourceError::Look`].
pub(crate) fn mounted() -> Result<Vec<Mount>, SourceError> {
    of_system(mounts::FILE, mounts::read)
}

fn fstab() -> Result<Vec<PathBuf>, SourceError> {
    let fstab = of_system(FSTAB, || std::fs::read(FSTAB))?;
    Ok(wanted(&String::from_utf8_lossy(&fstab)).into_iter().map(|path| real(&path)).collect())
}

/// Where a disk is to be mounted that is not there, so that what is written to `path` would go to another one.
///
/// Errors: [`SourceError::Look`].
pub(crate) fn unmounted(path: &Path) -> Result<Option<PathBuf>, SourceError> {
    // It need not be there yet.
    let path = path.parent().zip(path.file_name()).map_or_else(|| real(path), |(above, name)| real(&real(above).join(name)));
    Ok(lacking_for(&path, fstab()?, &mounted()?))
}

fn lacking_for(path: &Path, wanted: Vec<PathBuf>, mounts: &[Mount]) -> Option<PathBuf> {
    let there = |at: &Path| mounts.iter().any(|mount| path.starts_with(&mount.at) && mount.at.starts_with(at));
    wanted.into_iter().find(|at| path.starts_with(at) && at != Path::new("/") && !there(at))
}

impl Now {
    fn look(job: &Job) -> Result<Self, SourceError> {
        let sources = job.sources.iter().map(|path| {
            let path = real(path);
            let is_empty = match std::fs::read_dir(&path) {
                Ok(mut entries) => entries.next().is_none(),
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => false,
                Err(source) => return Err(SourceError::Look { path, source }),
            };
            Ok((path, is_empty))
        });
        let sources = sources.collect::<Result<BTreeMap<_, _>, _>>()?;
        let mut now = Self { wanted: BTreeSet::new(), mounts: mounted()?, sources };
        now.wanted = fstab()?.into_iter().filter(|path| now.concerns(path)).collect();
        Ok(now)
    }

    /// Whether a mount point lies in a source or above one. The root is always there.
    fn concerns(&self, at: &Path) -> bool {
        at != Path::new("/") && self.sources.keys().any(|source| at.starts_with(source) || source.starts_with(at))
    }

    fn is_mounted(&self, at: &Path) -> bool {
        is_mounted(&self.mounts, at)
    }

    /// What is not there, and nobody accepted that.
    fn lacks(&self, memory: &Memory) -> Vec<Absent> {
        let gone = |path: &&PathBuf| !self.is_mounted(path);
        let wanted = self.wanted.iter().filter(gone).cloned().map(Absent::Wanted);
        let was = memory.mounts.difference(&self.wanted).filter(|path| self.concerns(path)).filter(gone).cloned().map(Absent::Was);
        let found: Vec<Absent> = wanted.chain(was).collect();
        // One cause, one sentence.
        let explained = |source: &Path| found.iter().any(|absent| absent.path() == source);
        let empty = memory.filled.iter().filter(|source| self.sources.get(*source) == Some(&true) && !explained(source));
        let empty: Vec<Absent> = empty.cloned().map(Absent::Empty).collect();
        found.into_iter().chain(empty).filter(|absent| !memory.accepted.contains(absent.path())).collect()
    }

    fn empty(&self) -> impl Iterator<Item = &PathBuf> {
        self.sources.iter().filter(|(_, is_empty)| **is_empty).map(|(source, _)| source)
    }

    /// What the next run is to know.
    fn to_remember(&self, before: &Memory) -> Memory {
        let still_gone = |path: &&PathBuf| match self.sources.get(*path) {
            Some(is_empty) => *is_empty || !self.is_mounted(path) && self.wanted.contains(*path),
            None => !self.is_mounted(path) && self.concerns(path),
        };
        Memory {
            // What the engine mounts goes with its service, which may be for good.
            mounts: self
                .mounts
                .iter()
                .filter(|mount| mount.is_lasting() && !mount.is_of_engine() && self.concerns(&mount.at))
                .map(|mount| remembered(&mount.at))
                .collect(),
            filled: self.sources.iter().filter(|(_, is_empty)| !**is_empty).map(|(source, _)| source.clone()).collect(),
            accepted: before.accepted.iter().filter(still_gone).cloned().collect(),
        }
    }
}

type Memories = BTreeMap<JobName, Memory>;

fn file(state: &Path) -> PathBuf {
    state.join("sources.json")
}

fn memories(state: &Path) -> Result<Memories, SourceError> {
    let bytes = durable::read(&file(state))?.unwrap_or_default();
    // Only a memory: what cannot be understood is as if it were not there, and is written anew after the next archive.
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

fn keep(state: &Path, memories: &Memories) -> Result<(), SourceError> {
    let bytes = serde_json::to_vec(memories).map_err(SourceError::Describe)?;
    Ok(durable::replace(&file(state), &bytes)?)
}

/// Looks whether the disks of `job`, which is `name` in `config`, are there.
///
/// Errors: [`SourceError::Absent`] with all that are not.
pub(super) fn check(config: &Config, name: &JobName, job: &Job) -> Result<(), SourceError> {
    let memory = memories(&config.state)?.remove(name).unwrap_or_default();
    let lacks = Now::look(job)?.lacks(&memory);
    if lacks.is_empty() { Ok(()) } else { Err(SourceError::Absent(lacks)) }
}

/// The sources of `job`, which is `name` in `config`, that are empty though nobody said so, each as one sentence: where a disk was
/// not mounted on the very first night, nothing else can tell.
pub(crate) fn empty(config: &Config, name: &JobName, job: &Job) -> Result<Vec<String>, SourceError> {
    let memory = memories(&config.state)?.remove(name).unwrap_or_default();
    let says = |source: &PathBuf| {
        let source = source.display();
        format!("source {source} is empty: if a disk belongs there, mount it; if not, say so: offsite-agent run {name} --accept-empty")
    };
    Ok(Now::look(job)?.empty().filter(|source| !memory.accepted.contains(*source)).map(says).collect())
}

/// Remembers what is there, for a run that is about to begin: what was looked at is what counts, also if the run fails or the disk
/// goes while it is read.
pub(crate) fn remember(config: &Config, name: &JobName, job: &Job) -> Result<(), SourceError> {
    let before = memories(&config.state)?;
    let mut memories = before.clone();
    let memory = Now::look(job)?.to_remember(&memories.remove(name).unwrap_or_default());
    memories.insert(name.clone(), memory);
    // Jobs that are no more.
    memories.retain(|name, _| config.jobs.contains_key(name));
    if memories == before { Ok(()) } else { keep(&config.state, &memories) }
}

/// Accepts that what is not there in the sources of the job `name` need not be; a job that is not in `config` has nothing to accept.
/// Returns it. With `wait`, waits for another agent to end, until that says that somebody wants us to stop.
pub fn accept_empty(config: &Config, name: &JobName, wait: Option<&Cancel>) -> Result<Vec<Absent>, SourceError> {
    let Some(job) = config.jobs.get(name) else { return Ok(Vec::new()) };
    let purpose = format!("run of {name}");
    let _lock = wait.map_or_else(|| Lock::take(&config.state, &purpose, false), |cancel| Lock::wait(&config.state, &purpose, cancel))?;
    let mut memories = memories(&config.state)?;
    let memory = memories.entry(name.clone()).or_default();
    let now = Now::look(job)?;
    let lacks = now.lacks(memory);
    memory.accepted.extend(lacks.iter().map(|absent| absent.path().to_owned()).chain(now.empty().cloned()));
    keep(&config.state, &memories)?;
    Ok(lacks)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use super::*;

    fn paths(paths: &[&str]) -> BTreeSet<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    fn now(wanted: &[&str], mounted: &[&str], sources: &[(&str, bool)]) -> Now {
        let mount = |at: &&str| Mount { at: at.into(), ..Mount::default() };
        Now {
            wanted: paths(wanted),
            mounts: mounted.iter().map(mount).collect(),
            sources: sources.iter().map(|(source, is_empty)| (source.into(), *is_empty)).collect(),
        }
    }

    #[test]
    fn what_would_go_to_another_disk_is_told_by_the_deepest_mount() {
        let lacking = |path: &str, wanted: &[&str], mounted: &[&str]| {
            let mounts: Vec<Mount> = mounted.iter().map(|at| Mount { at: at.into(), ..Mount::default() }).collect();
            lacking_for(Path::new(path), wanted.iter().map(PathBuf::from).collect(), &mounts)
        };
        let usb = Some(PathBuf::from("/mnt/usb"));
        assert_eq!(lacking("/mnt/usb/offsite", &["/", "/mnt/usb"], &["/"]), usb);
        assert_eq!(lacking("/mnt/usb", &["/mnt/usb"], &["/", "/mnt/usbb"]), usb);
        assert_eq!(lacking("/mnt/usb/offsite", &["/mnt/usb"], &["/", "/mnt/usb"]), None);
        // By hand, another disk lies in the place of the one that is not there; and what others lack is not ours.
        assert_eq!(lacking("/mnt/usb/a/b", &["/mnt/usb"], &["/", "/mnt/usb/a"]), None);
        assert_eq!(lacking("/srv/offsite", &["/mnt/usb", "/srv/offsite/in"], &["/"]), None);
    }

    #[test]
    fn a_disk_that_fstab_names_or_that_was_there_is_missed() {
        let (source, at) = ("/srv", "/srv/photos");
        let fresh = Memory::default();
        assert_eq!(now(&[at], &["/", at], &[(source, false)]).lacks(&fresh), []);
        assert_eq!(now(&[at], &["/"], &[(source, false)]).lacks(&fresh), [Absent::Wanted(at.into())]);
        let there = now(&[], &["/", at, "/other"], &[(source, false)]);
        let memory = there.to_remember(&fresh);
        assert_eq!((&memory.mounts, &memory.filled), (&paths(&[at]), &paths(&[source])));
        assert_eq!(there.lacks(&memory), []);
        assert_eq!(now(&[], &["/"], &[(source, false)]).lacks(&memory), [Absent::Was(at.into())]);
        // Both know of it: one sentence. A source that is no more takes its disks with it.
        assert_eq!(now(&[at], &["/"], &[(source, false)]).lacks(&memory), [Absent::Wanted(at.into())]);
        assert_eq!(now(&[], &["/"], &[("/etc", false)]).lacks(&memory), []);
    }

    #[test]
    fn a_disk_whose_mount_point_is_no_text_is_remembered_and_missed() {
        let odd = Mount { at: OsStr::from_bytes(b"/srv/caf\xe9").into(), ..Mount::default() };
        let with = |mount: &Mount| Now { mounts: vec![mount.clone()], ..now(&[], &[], &[("/srv", false)]) };
        let dir = tempfile::tempdir().unwrap();
        let job: JobName = "services".parse().unwrap();
        keep(dir.path(), &Memories::from([(job.clone(), with(&odd).to_remember(&Memory::default()))])).unwrap();
        let memory = memories(dir.path()).unwrap().remove(&job).unwrap();
        assert_eq!(with(&odd).lacks(&memory), []);
        assert_eq!(with(&Mount::default()).lacks(&memory), [Absent::Was("/srv/caf\u{fffd}".into())]);
        // As /etc/fstab is read.
        assert_eq!(Now { wanted: paths(&["/srv/caf\u{fffd}"]), ..with(&odd) }.lacks(&Memory::default()), []);
    }

    #[test]
    fn what_the_engine_mounts_for_a_service_goes_with_it() {
        let (source, volume) = ("/var/lib/docker/volumes", "/var/lib/docker/volumes/p_media/_data");
        let memory =
            now(&[], &["/", source, volume, "/var/lib/docker/overlay2/0/merged"], &[(source, false)]).to_remember(&Memory::default());
        assert_eq!(memory.mounts, paths(&[source]));
        assert_eq!(now(&[], &["/", source], &[(source, false)]).lacks(&memory), []);
        // The owner's own word counts.
        assert_eq!(now(&[volume], &["/", source], &[(source, false)]).lacks(&memory), [Absent::Wanted(volume.into())]);
    }

    #[test]
    fn an_empty_source_is_missed_where_it_was_filled() {
        let (full, empty) = (now(&[], &["/"], &[("/a", false), ("/b", true)]), now(&[], &["/"], &[("/a", true), ("/b", true)]));
        assert_eq!(empty.lacks(&Memory::default()), []);
        let memory = full.to_remember(&Memory::default());
        assert_eq!(empty.lacks(&memory), [Absent::Empty("/a".into())]);
        // The mount point itself is the source: said once.
        let memory = now(&[], &["/", "/a"], &[("/a", false)]).to_remember(&Memory::default());
        assert_eq!(now(&[], &["/"], &[("/a", true)]).lacks(&memory), [Absent::Was("/a".into())]);
    }

    #[test]
    fn what_was_accepted_stays_so_until_it_was_there_again() {
        let (there, gone) = (now(&["/a"], &["/", "/a"], &[("/a", false)]), now(&["/a"], &["/"], &[("/a", true)]));
        let mut memory = there.to_remember(&Memory::default());
        assert_eq!(gone.lacks(&memory), [Absent::Wanted("/a".into())]);
        memory.accepted = paths(&["/a"]);
        assert_eq!(gone.lacks(&memory), []);
        let night = gone.to_remember(&memory);
        assert_eq!(gone.lacks(&night), []);
        let night = there.to_remember(&night);
        assert_eq!(night.accepted, paths(&[]));
        assert_eq!(gone.lacks(&night), [Absent::Wanted("/a".into())]);
    }
}
