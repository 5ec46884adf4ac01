//! Why a run made no archive, and what state it left: each variant says whether services are back.

use std::path::PathBuf;

use offsite_archive::{CaptureError, JobName};
use offsite_repository::{Layout, LocalError, PublishError, RepositoryError};

use crate::{
    durable::DurableError, ledger::LedgerError, lock::LockError, modes::ModesError, quiesce::QuiesceError, resume::ResumeError,
    sources::AbsentError,
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
    /// It cannot be found out whether another agent is at work in the repository. Nothing was stopped.
    #[error("cannot lock {}: {source}", path.display())]
    Turn {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A pack of which the archive was to be made went away, or changed its length, while it was made. Services are back.
    #[error("{} went away while the archive was made, and held frames that it may need; there is no archive of this run", path.display())]
    Vanished {
        /// The pack.
        path: PathBuf,
    },
    /// A source cannot be read; nothing was stopped.
    #[error("cannot read source {}{}: {source}", path.display(), named(place))]
    Source {
        /// The source.
        path: PathBuf,
        /// Where the configuration names it: file and line, or empty.
        place: String,
        /// What the system said.
        source: std::io::Error,
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
    /// A disk of a source is not there, or that cannot be told; nothing was stopped.
    #[error(transparent)]
    Absent(#[from] AbsentError),
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
    /// The names of packs that an interrupted run made cannot be made durable.
    #[error("cannot sync the folder {}: {source}", path.display())]
    Sync {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no room, or no right, to keep what is new until the archive is written.
    #[error("cannot make a scratch file in {}: {source}", folder.display())]
    Scratch {
        /// The repository's folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The archive before cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Newest {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What an earlier run left unfinished cannot be removed.
    #[error("cannot remove what an earlier run left unfinished, {}: {source}", path.display())]
    Tidy {
        /// The file, or the folder that holds it.
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

fn named(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" ({place})") }
}

fn also(after: Option<&RunError>) -> String {
    after.map(|error| format!("\nbefore that: {}", crate::chain(error))).unwrap_or_default()
}
