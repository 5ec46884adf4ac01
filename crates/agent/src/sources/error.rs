//! Why a source is not archived, each with the line of the configuration that names it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::{durable::DurableError, lock::LockError};

/// Why sources are not archived: they cannot be as they are, or it cannot be relied on that all their disks are there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A source cannot be read; nothing was stopped.
    #[error("cannot read source {}{}: {source}", path.display(), named(place))]
    Read {
        /// The source.
        path: PathBuf,
        /// Where the configuration names it: file and line, or empty.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// A source is a symbolic link; nothing was stopped.
    #[error("source {}{} is a symbolic link, and only the link would be archived: name {} instead", path.display(), named(place), target.display())]
    Link {
        /// The source.
        path: PathBuf,
        /// Where the configuration names it: file and line, or empty.
        place: String,
        /// Where it leads.
        target: PathBuf,
    },
    /// A source overlaps another, the repository or the state folder, by way of a symbolic link; nothing was stopped.
    #[error("source {}{} without symbolic links: {problem}", path.display(), named(place))]
    Overlap {
        /// The source.
        path: PathBuf,
        /// Where the configuration names it: file and line, or empty.
        place: String,
        /// With what, and what would come of it.
        problem: String,
    },
    /// Some are not there; nothing was stopped.
    #[error("a disk is not there:{}", list(.0))]
    Absent(Vec<Absent>),
    /// The system does not say what is mounted, or not what is in a source.
    #[error("cannot look at {}: {source}", path.display())]
    Look {
        /// What was looked at.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is remembered of the last archive cannot be read or kept.
    #[error(transparent)]
    Memory(#[from] DurableError),
    /// It cannot be written down.
    #[error("cannot write down what is mounted in the sources: {0}")]
    Describe(#[source] serde_json::Error),
    /// Another agent is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
}

fn named(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" ({place})") }
}

/// One thing that is missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Absent {
    /// /etc/fstab names a mount point at which nothing is mounted.
    Wanted(PathBuf),
    /// Something was mounted here at the last run.
    Was(PathBuf),
    /// A source that had something in it then is empty.
    Empty(PathBuf),
}

impl Absent {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Wanted(path) | Self::Was(path) | Self::Empty(path) => path,
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            Self::Wanted(_) => write!(f, "nothing is mounted at {path}, and /etc/fstab says that a disk belongs there"),
            Self::Was(_) => write!(f, "nothing is mounted at {path}, where a disk was at the last run"),
            Self::Empty(_) => write!(f, "source {path} is empty, and it was not at the last run"),
        }
    }
}

fn list(absent: &[Absent]) -> String {
    absent.iter().map(|absent| format!("\n  - {absent}")).collect()
}
