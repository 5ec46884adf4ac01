//! One run of one job: quiesce, archive, resume, publish, keep.
//!
//! Invariants: services are away only while sources are read, and are brought back on every way out; an archive that could not be
//! finished leaves nothing; older archives go only after the new one is published. The rest of the run (the tail of the archive,
//! publishing, keeping) happens while the services are up again.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use offsite_archive::{
    ArchiveName, Capture, CaptureError, CaptureOptions, Chunker, End, Head, JobName, PathText, Progress, Quiesced, RunFacts,
};
use offsite_repository::{Layout, LocalError, PublishError, RepositoryError, Staged};

use crate::{
    cancel::{Cancel, Stoppable},
    config::{Config, Job, Quiesce},
    durable::DurableError,
    engine::{Docker, Engine},
    journal::{self, Event, Record},
    ledger::{Ledger, LedgerError, Project, Stage},
    lock::{Lock, LockError},
    modes::ModesError,
    place::Place,
    plan,
    quiesce::{self, Away, NotBack, QuiesceError, bring_back},
    resume::{ResumeError, leftovers},
};

/// What a caller brings to a run.
pub struct RunOptions<'a> {
    /// Whether to wait for another agent to end, instead of being refused.
    pub wait: bool,
    /// The wish to stop.
    pub cancel: Cancel,
    /// What time it is.
    pub clock: &'a dyn Fn() -> Timestamp,
    /// Told while sources are read.
    pub progress: &'a mut dyn FnMut(Progress<'_>),
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The archive.
    pub archive: ArchiveName,
    /// Its number.
    pub sequence: u64,
    /// Its manifest's last line: counts, what was stopped, warnings, whether it is complete.
    pub end: End,
    /// Length of its file, in bytes.
    pub bytes: u64,
    /// How many archives of the job there are now.
    pub kept: usize,
    /// Archives that went.
    pub forgotten: Vec<ArchiveName>,
    /// Services that were back and do not run any more.
    pub died: Vec<String>,
}

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
    /// What an earlier run left stopped cannot be brought back.
    #[error("what an earlier run left stopped is not back")]
    Leftovers(#[source] ResumeError),
    /// A source cannot be read; nothing was stopped.
    #[error("cannot read source {}: {source}", path.display())]
    Source {
        /// The source.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A source is a symbolic link; nothing was stopped.
    #[error("source {} is a symbolic link, and only the link would be archived: name {} instead", path.display(), target.display())]
    Link {
        /// The source.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// The repository lies in a source, by way of a symbolic link; nothing was stopped.
    #[error("source {} contains the repository {}: every archive would contain the ones before", path.display(), repository.display())]
    Inside {
        /// The source.
        path: PathBuf,
        /// Where the repository really is.
        repository: PathBuf,
    },
    /// The repository's folder cannot be used.
    #[error("cannot use the repository")]
    Local(#[source] LocalError),
    /// The repository cannot be used.
    #[error("cannot use the repository")]
    Repository(#[source] RepositoryError),
    /// It is a repository of another kind.
    #[error("the repository in {} has the layout \"{layout}\"; the agent writes only \"plain\" ones", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// Its layout.
        layout: Layout,
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
    #[error("{not_back}{}", also(after.as_deref()))]
    NotBack {
        /// What does not run.
        not_back: NotBack,
        /// What went wrong before that.
        after: Option<Box<RunError>>,
    },
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
    after.map(|error| format!("\nbefore that: {}", crate::chain(error))).unwrap_or_default()
}

/// Runs the job `name` of `config` once, and writes down in the journal what became of it.
///
/// Errors: there is no archive of this run, unless the error is about what follows publishing. Services run as before unless it is
/// [`RunError::NotBack`].
pub fn run(config: &Config, name: &JobName, options: RunOptions<'_>) -> Result<Made, RunError> {
    let Some(job) = config.jobs.get(name) else {
        let known = config.jobs.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(RunError::UnknownJob { job: name.clone(), path: config.path.clone(), known });
    };
    let lock = Lock::take(&config.state, &format!("run of {name}"), options.wait)?;
    let clock = options.clock;
    let result = Run { config, name, job, lock: &lock }.run(options);
    let event = match &result {
        Ok(made) => made.event(),
        Err(error) => Event::Failed { error: crate::chain(error) },
    };
    match (journal::append(&config.state, &Record { time: clock(), job: name.clone(), event }), result) {
        (Ok(()), result) => result,
        (Err(source), result) => Err(RunError::Journal { source, after: result.err().map(Box::new) }),
    }
}

impl Made {
    fn event(&self) -> Event {
        Event::Made {
            archive: self.archive.clone(),
            sequence: self.sequence,
            complete: self.end.complete,
            entries: self.end.entries,
            raw: self.end.raw,
            bytes: self.bytes,
            quiesced: self.end.quiesced.clone(),
            warnings: self.end.warnings.len() as u64,
            died: self.died.clone(),
            forgotten: self.forgotten.clone(),
        }
    }
}

struct Run<'a> {
    config: &'a Config,
    name: &'a JobName,
    job: &'a Job,
    lock: &'a Lock,
}

type Archive = Capture<Stoppable<Staged>>;

impl Run<'_> {
    fn run(&self, options: RunOptions<'_>) -> Result<Made, RunError> {
        let RunOptions { cancel, clock, progress, .. } = options;
        leftovers(&self.config.state, self.lock).map_err(RunError::Leftovers)?;
        check_sources(self.job, &self.config.repository)?;
        let started = clock();
        let place = Place::open(&self.config.repository, self.config.group.as_deref(), &self.config.state)?;
        let (archive, sequence) = place.next(self.name, &self.config.state, started)?;
        let staged = place.stage()?;
        let head = self.head(&archive, sequence);
        let mut capture =
            Capture::new(Stoppable::new(staged, cancel.clone()), head, CaptureOptions::default()).map_err(RunError::Capture)?;

        let engine = Docker::new(&self.config.docker, Some(self.lock));
        let (projects, mut warnings) = match self.job.quiesce {
            Quiesce::Down => quiesce::prepare(&engine, self.job)?,
            Quiesce::None => (Vec::new(), Vec::new()),
        };
        let quiesced = self.read(&engine, &projects, started, &cancel, &mut capture, progress, &mut warnings)?;
        if cancel.is_set() {
            return Err(RunError::Stopped);
        }

        let facts = RunFacts { finished: clock(), quiesced, warnings };
        let captured = capture.finish(facts).map_err(|error| self.unless_stopped(&cancel, error))?;
        let (end, bytes) = (captured.end, place.publish(captured.out.into_inner(), &archive, captured.manifest)?);
        let (kept, forgotten) = place.keep(self.name, self.job.keep)?;
        let died = died(&engine, &projects);
        Ok(Made { archive, sequence, end, bytes, kept, forgotten, died })
    }

    fn head(&self, archive: &ArchiveName, sequence: u64) -> Head {
        use std::os::unix::ffi::OsStrExt;
        let sources = self.job.sources.iter().map(|source| PathText(source.as_os_str().as_bytes().to_vec())).collect();
        Head {
            version: 1,
            archive: archive.clone(),
            sequence,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            agent: env!("CARGO_PKG_VERSION").into(),
            sources,
            chunker: Chunker::files_1(),
        }
    }

    /// The part with services away: stop, read, bring back. Returns what was away and for how long.
    #[expect(clippy::too_many_arguments, reason = "the one place where everything meets")]
    fn read(
        &self,
        engine: &dyn Engine,
        projects: &[Project],
        started: Timestamp,
        cancel: &Cancel,
        capture: &mut Archive,
        progress: &mut dyn FnMut(Progress<'_>),
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Quiesced>, RunError> {
        let state = &self.config.state;
        let mut sources = || {
            self.job
                .sources
                .iter()
                .try_for_each(|source| capture.source(source, progress))
                .map_err(|error| self.unless_stopped(cancel, error))
        };
        if projects.is_empty() {
            sources()?;
            return Ok(Vec::new());
        }
        let docker = self.config.docker.clone();
        let mut ledger =
            Ledger { version: 1, job: self.name.clone(), started, stage: Stage::Stopping, docker, projects: projects.to_vec() };
        let mut away = Away::new();
        // Even a defect of ours must not leave services down: a panic goes on only after they are back.
        let read = catch_unwind(AssertUnwindSafe(|| {
            quiesce::stop(engine, &mut ledger, state, cancel, &mut away)?;
            sources()
        }));
        if let Err(error) = ledger.advance(state, Stage::Starting) {
            // The ledger on the disk names the same services at an earlier stage: good enough to go on.
            warnings.push(error.to_string());
        }
        let back = bring_back(engine, projects);
        let back = match (back, &read) {
            (Ok(back), _) => back,
            (Err(not_back), Ok(Err(_)) | Err(_)) => {
                let after = read.ok().and_then(Result::err).map(Box::new);
                return Err(RunError::NotBack { not_back, after });
            }
            (Err(not_back), Ok(Ok(()))) => return Err(RunError::NotBack { not_back, after: None }),
        };
        let cleared = Ledger::clear(state);
        read.unwrap_or_else(|panic| resume_unwind(panic))?;
        cleared?;
        let seconds = |(project, since): (String, std::time::Instant)| {
            let until = back.iter().find(|(name, _)| *name == project).map_or_else(std::time::Instant::now, |(_, until)| *until);
            // To the millisecond: more would be noise in every manifest.
            Quiesced { project, seconds: (until.saturating_duration_since(since).as_secs_f64() * 1000.0).round() / 1000.0 }
        };
        Ok(away.into_iter().map(seconds).collect())
    }

    /// A write that failed because a signal came is not the disk's fault.
    fn unless_stopped(&self, cancel: &Cancel, error: CaptureError) -> RunError {
        if cancel.is_set() { RunError::Stopped } else { RunError::Capture(error) }
    }
}

/// Looks at each source before anything is stopped: a disk that is not mounted must not cost a downtime, a link in the place of a
/// source would give an archive of that link, and a repository inside a source an archive of archives.
pub(crate) fn check_sources(job: &Job, repository: &Path) -> Result<(), RunError> {
    let home = quiesce::real(repository);
    for path in &job.sources {
        let failed = |source| RunError::Source { path: path.clone(), source };
        let found = std::fs::symlink_metadata(path).map_err(failed)?;
        if found.is_symlink() {
            return Err(RunError::Link { path: path.clone(), target: quiesce::real(path) });
        }
        if found.is_dir() {
            std::fs::read_dir(path).map_err(failed)?;
        }
        if home.starts_with(quiesce::real(path)) {
            return Err(RunError::Inside { path: path.clone(), repository: home });
        }
    }
    Ok(())
}

/// A second look, after all the rest: services that started and ended again.
fn died(engine: &dyn Engine, projects: &[Project]) -> Vec<String> {
    if projects.is_empty() {
        return Vec::new();
    }
    match engine.containers() {
        Ok(containers) => projects.iter().flat_map(|project| plan::lacking(project, &containers)).collect(),
        Err(error) => vec![format!("it is not known whether services still run: {error}")],
    }
}
