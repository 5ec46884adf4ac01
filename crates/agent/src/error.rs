//! Why a run made no archive, and what state it left: each variant says whether services are back.

use std::path::PathBuf;

use offsite_archive::{CaptureError, JobName};
use offsite_repository::{Layout, LocalError, PublishError, RepositoryError};

use crate::{
    durable::DurableError,
    human::{chain, size},
    ledger::LedgerError,
    lock::LockError,
    modes::ModesError,
    quiesce::QuiesceError,
    resume::ResumeError,
    sources::SourceError,
};

/// Why a run made no archive, or not all of what follows one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration has no such job.
    #[error("there is no job \"{job}\" in {}; there is: {known}", path.display())]
    UnknownJob {
        /// The name asked for.
        job: JobName,
        /// The configuration.
        path: PathBuf,
        /// Those that there are.
        known: String,
    },
    /// Another agent is at work, or the lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It is not known whether what an earlier run left stopped is back.
    #[error("what an earlier run left stopped may not be back")]
    Leftovers(#[source] ResumeError),
    /// An agent with another state folder is at work in the repository. Nothing was stopped.
    #[error("another agent is at work in the repository {}: {holder}", root.display())]
    InUse {
        /// The repository's folder.
        root: PathBuf,
        /// Who it is.
        holder: String,
    },
    /// A pack of which the archive was to be made went away, or changed its length, while it was made. Services are back.
    #[error("{} went away while the archive was made, and held frames that it may need; there is no archive of this run", path.display())]
    Vanished {
        /// The pack.
        path: PathBuf,
    },
    /// A source cannot be archived as it is; nothing was stopped.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The repository's folder cannot be used.
    #[error("cannot use the repository")]
    Local(#[source] LocalError),
    /// The repository cannot be used.
    #[error("cannot use the repository")]
    Repository(#[source] RepositoryError),
    /// It is a repository of another layout than the configuration says. Nothing was stopped, and nothing is ever converted.
    #[error("the repository in {} has the layout \"{layout}\", and the configuration says \"{wanted}\"", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// Its layout.
        layout: Layout,
        /// That of the configuration.
        wanted: Layout,
    },
    /// The archive to come has no room, whatever else happens. Nothing was stopped.
    #[error("there is no room in {}: the archive needs {} more, and {} are free", path.display(), size(*needed), size(*free))]
    Room {
        /// The repository's folder.
        path: PathBuf,
        /// Bytes that are still to be written, at least.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The folder in which the repository is to be made is not there.
    #[error("there is no folder {} to make the repository in (is its disk mounted?)", above.display())]
    Above {
        /// The folder.
        above: PathBuf,
    },
    /// The repository's disk is named in /etc/fstab and is not there: another disk would be filled.
    #[error("{} is not mounted, and /etc/fstab wants a disk there: the repository {} would lie on another one", at.display(), root.display())]
    Unmounted {
        /// Where the disk belongs.
        at: PathBuf,
        /// The repository's folder.
        root: PathBuf,
    },
    /// A file or folder of the repository cannot be used. Services run.
    #[error("cannot {operation} {}: {source}", path.display())]
    File {
        /// What was to be done with it.
        operation: &'static str,
        /// Which it is.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file in the state folder cannot be kept.
    #[error(transparent)]
    State(#[from] DurableError),
    /// What is about to be unfinished cannot be noted.
    #[error("cannot note which archive is being finished: {source}")]
    Note {
        /// What the serialiser said.
        source: serde_json::Error,
    },
    /// The system gives no runtime.
    #[error("cannot set up the runtime: {source}")]
    Runtime {
        /// What the system said.
        source: std::io::Error,
    },
    /// Its modes cannot be set, so the Mac could not read it, or others could.
    #[error(transparent)]
    Modes(#[from] ModesError),
    /// Nobody could watch how long services are away. Nothing was stopped.
    #[error("cannot watch the time that services are away: {source}")]
    Watch {
        /// What the system said.
        source: std::io::Error,
    },
    /// Services could not be stopped safely. What was stopped is back.
    #[error(transparent)]
    Quiesce(#[from] QuiesceError),
    /// The archive could not be made. Services are back.
    #[error("cannot make the archive")]
    Capture(#[source] CaptureError),
    /// The archive was made but could not be published.
    #[error("cannot publish the archive")]
    Publish(#[source] PublishError),
    /// Services are away; the ledger names them.
    #[error("{owed}{}", also(Some(after)))]
    NotBack {
        /// What does not run, and why.
        owed: String,
        /// Why there is no archive either.
        after: Box<RunError>,
    },
    /// The run panicked. Services are back.
    #[error("stopped by {0}; no archive was made")]
    Defect(String),
    /// The ledger cannot be kept or cleared.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A signal came. Services are back and there is no archive of this run.
    #[error("stopped by a signal; no archive was made")]
    Stopped,
    /// The run is over, but the journal cannot be written.
    #[error("{source}{}", also(after.as_deref()))]
    Journal {
        /// Why not.
        source: DurableError,
        /// What went wrong before that.
        after: Option<Box<RunError>>,
    },
}

fn also(after: Option<&RunError>) -> String {
    after.map(|error| format!("\nbefore that: {}", chain(error))).unwrap_or_default()
}
