//! Stopping what a job needs still, and bringing back exactly that.
//!
//! Invariant: nothing is stopped that is not in a ledger on the disk, and nothing is read before the engine said that nothing of it
//! runs any more. Projects may need each other (a network that another project owns), in an order that no file states: so each round
//! of `down` or `up` goes over all that are left, as long as a round gets any further.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    cancel::Cancel,
    config::{Config, Job, JobName, Quiesce, words},
    cover,
    engine::{Container, Engine, EngineError},
    ledger::{Ledger, LedgerError, Project, Stage},
    plan::{
        self, Plan, kept,
        same::{self, World},
    },
    sources::mounted,
};

/// How often bringing back is tried before it is given up to whoever comes next.
const ATTEMPTS: u32 = 3;
/// Between two attempts.
const PAUSE: Duration = if cfg!(test) { Duration::from_millis(10) } else { Duration::from_secs(2) };

/// Why nothing was stopped, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuiesceError {
    /// The plan says that something could not be brought back. Nothing was stopped.
    #[error(
        "nothing was stopped, because the job's services ({place}) could not be stopped and brought back as they are:{}",
        list(reasons)
    )]
    Refused {
        /// Where the configuration says what the job stops: file and line.
        place: String,
        /// What could not, and why.
        reasons: Vec<String>,
    },
    /// Nobody could tell afterwards whether services are well. Nothing was stopped.
    #[error("nothing was stopped, because nobody could tell whether services come back well: {0}")]
    Unasked(String),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The ledger cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Containers go on running though their projects are down.
    #[error("still running after their projects were stopped: {}", .0.join(", "))]
    StillRunning(Vec<String>),
    /// Stopping alone used up the time that services may be away.
    #[error("stopping took longer than services may be away ({}){}", words(*budget), because(cause.as_ref()))]
    Budget {
        /// How long they may be away.
        budget: Duration,
        /// The command that was cut short.
        cause: Option<EngineError>,
    },
    /// A signal came in between.
    #[error("stopped by a signal")]
    Stopped,
}

impl QuiesceError {
    /// Whether a stop may go on in the engine: its command was cut short, or died in some other way.
    pub(crate) fn may_go_on(&self) -> bool {
        matches!(self, Self::Engine(_) | Self::Budget { cause: Some(_), .. })
    }
}

fn because(cause: Option<&EngineError>) -> String {
    cause.map(|cause| format!(": {cause}")).unwrap_or_default()
}

/// Services that did not come back; the ledger still names them.
#[derive(Debug, thiserror::Error)]
#[error("services did not come back:{}", list(.reasons))]
pub struct NotBack {
    /// What is not running, and what the engine said to it.
    pub reasons: Vec<String>,
    /// The projects that they belong to.
    pub projects: Vec<Project>,
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  - {line}")).collect()
}

/// What a job will stop.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// The projects that are running, by name.
    pub projects: Vec<Project>,
    /// All containers of the engine.
    pub containers: Vec<Container>,
    /// What a person should know; it hinders nothing.
    pub warnings: Vec<String>,
}

/// Looks at what `job` of `config`, which is `name`, will stop, whether all of it can be brought back, and what would be lost.
///
/// Errors: [`QuiesceError::Refused`] with every reason at once; the engine's.
pub(crate) fn prepare(engine: &dyn Engine, config: &Config, name: &JobName, job: &Job) -> Result<Prepared, QuiesceError> {
    engine.version()?;
    let containers = engine.containers()?;
    let Plan { projects, mut refusals } = plan::plan(&containers, job, &real);
    if job.projects != job.sources {
        let gone = job.projects.iter().filter(|folder| !folder.is_dir());
        refusals.extend(gone.map(|folder| format!("\"projects\" names {}, which is no folder of this machine", folder.display())));
    }
    let (mut known, mut names) = (Vec::new(), BTreeSet::new());
    for project in &projects {
        match engine.configured(project) {
            Ok(configured) => {
                names.extend(same::images(project, &containers, &configured));
                known.push((project, configured));
            }
            Err(error) => refusals.push(format!(
                "the compose files of project {} are not usable, so nothing could start it again: {error}{}",
                project.name,
                moved(project)
            )),
        }
    }
    // The same containers go on after a `stop`, whatever became of their images.
    let images = if job.quiesce == Quiesce::Stop { BTreeMap::new() } else { engine.images(&names)? };
    let world = World { containers: &containers, images: &images, real: &real, exists: &exists };
    let mut warnings = Vec::new();
    for (project, configured) in known {
        let (refused, warned) = same::compare(project, job.quiesce, &configured, &world);
        refusals.extend(refused);
        warnings.extend(warned);
    }
    if !refusals.is_empty() {
        return Err(QuiesceError::Refused { place: config.place_of_projects(name, job), reasons: refusals });
    }
    if job.quiesce == Quiesce::Down {
        let removed = kept::removed(&containers, &projects);
        // That nobody can tell hinders nothing either.
        warnings.extend(engine.added(&removed).map_or_else(
            |error| {
                tracing::warn!("{error}");
                vec![kept::untold(&error)]
            },
            |added| kept::lost(&removed, added),
        ));
    }
    warnings.extend(cover::uncovered(config, &containers, &projects, mounted()));
    Ok(Prepared { projects, containers, warnings })
}

/// What to do where the files of `project` lie somewhere else by now, perhaps as another project that runs already.
fn moved(project: &Project) -> String {
    if project.files.iter().all(|file| exists(file)) {
        return String::new();
    }
    format!(
        "; if its folder was renamed or moved, end what runs under the old name (docker compose -p {} down) and start it in its folder (docker compose up -d)",
        project.name
    )
}

/// Whether `path` leads to something; also where that cannot be told.
fn exists(path: &Path) -> bool {
    !matches!(std::fs::metadata(path), Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// `path` without symbolic links, or as it is where that cannot be told.
pub(crate) fn real(path: &Path) -> std::path::PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.into())
}

/// Since when each project has been away, by its name.
pub(crate) type Away = Vec<(String, Instant)>;

/// Writes `ledger` to `state` and stops its projects as `job` says, until `limit` at most. `away` gets each project before it is touched,
/// also on error. Returns what a person should know.
pub(crate) fn stop(
    engine: &dyn Engine,
    ledger: &mut Ledger,
    state: &Path,
    cancel: &Cancel,
    job: &Job,
    limit: Instant,
    away: &mut Away,
) -> Result<Vec<String>, QuiesceError> {
    ledger.advance(state, Stage::Stopping)?;
    let over = |cause| QuiesceError::Budget { budget: job.budget, cause };
    let mut left: Vec<&Project> = ledger.projects.iter().collect();
    let mut warnings = Vec::new();
    while !left.is_empty() {
        let (before, mut error) = (left.len(), None);
        let mut stuck = Vec::new();
        for project in left {
            if cancel.is_set() {
                return Err(QuiesceError::Stopped);
            }
            let time = limit.saturating_duration_since(Instant::now());
            if time.is_zero() {
                return Err(over(error));
            }
            tracing::info!(project = project.name, "stopping");
            if away.iter().all(|(name, _)| *name != project.name) {
                away.push((project.name.clone(), Instant::now()));
            }
            let stopped = if job.quiesce == Quiesce::Stop { engine.stop(project, time) } else { engine.down(project, time) };
            if let Err(failed) = stopped {
                if failed.is_late() && Instant::now() >= limit {
                    return Err(over(Some(failed)));
                }
                error = Some(failed);
                stuck.push(project);
            }
        }
        if let Some(error) = error.filter(|_| stuck.len() == before) {
            let names: Vec<Project> = stuck.into_iter().cloned().collect();
            // What a network or volume in use elsewhere made fail, has stopped the containers all the same; what was cut short may not.
            if error.is_late() || !plan::still_running(&names, &engine.containers()?).is_empty() {
                return Err(error.into());
            }
            warnings.push(format!("all of it was stopped, though: {error}"));
            break;
        }
        left = stuck;
    }
    let running = plan::still_running(&ledger.projects, &engine.containers()?);
    if !running.is_empty() {
        return Err(QuiesceError::StillRunning(running));
    }
    if Instant::now() >= limit {
        return Err(over(None));
    }
    ledger.advance(state, Stage::Reading)?;
    Ok(warnings)
}

/// Projects that run again.
pub(crate) struct Started {
    /// When each was seen running, by its name.
    pub running: Away,
    /// All containers of the engine, when the last of them was.
    pub containers: Vec<Container>,
}

/// Starts `projects` and sees them run. The first attempt's commands are cut short after `limit`: one that hangs must not use up the time
/// in which another one would do. The last attempt goes service by service, so that one which cannot start keeps no other one down:
/// compose starts nothing of a project of which it cannot make all containers.
pub(crate) fn bring_back(engine: &dyn Engine, projects: &[Project], limit: Duration) -> Result<Started, NotBack> {
    let mut running = Away::new();
    let mut seen = Vec::new();
    // Stopped last, started first.
    let mut left: Vec<&Project> = projects.iter().rev().collect();
    let mut attempt = 1;
    loop {
        let mut reasons = match attempt {
            1 => start(engine, left.iter().map(|project| (*project).clone()).collect(), limit),
            // One service starts quickly, or not at all.
            ATTEMPTS => start(engine, left.iter().flat_map(|project| apart(project)).collect(), Duration::ZERO),
            _ => start(engine, left.iter().map(|project| (*project).clone()).collect(), Duration::MAX),
        };
        match engine.containers() {
            Ok(containers) => {
                left.retain(|project| {
                    let lacking = plan::lacking(project, &containers);
                    let is_back = lacking.is_empty();
                    if is_back {
                        running.push((project.name.clone(), Instant::now()));
                        // `up` may complain of what does not matter here: running as recorded is what counts.
                        reasons.retain(|(name, _)| *name != project.name);
                    }
                    reasons.extend(lacking.into_iter().map(|reason| (project.name.clone(), reason)));
                    !is_back
                });
                seen = containers;
            }
            Err(error) => reasons.push((String::new(), error.to_string())),
        }
        if left.is_empty() {
            return Ok(Started { running, containers: seen });
        }
        if attempt == ATTEMPTS {
            return Err(NotBack {
                reasons: reasons.into_iter().map(|(_, reason)| reason).collect(),
                projects: left.into_iter().cloned().collect(),
            });
        }
        attempt += 1;
        std::thread::sleep(PAUSE);
    }
}

/// `project` once for each of its services.
fn apart(project: &Project) -> impl Iterator<Item = Project> {
    project.services.iter().map(|service| Project { services: vec![service.clone()], ..project.clone() })
}

/// `up` for all, again and again while that gets further. Returns what the last round's failures said, by project.
fn start(engine: &dyn Engine, mut left: Vec<Project>, limit: Duration) -> Vec<(String, String)> {
    loop {
        let before = left.len();
        let mut failed = Vec::new();
        left.retain(|project| {
            tracing::info!(project = project.name, "starting");
            let result = engine.up(project, limit);
            result.map_err(|error| failed.push((project.name.clone(), error.to_string()))).is_err()
        });
        if left.is_empty() || left.len() == before {
            return failed;
        }
    }
}
