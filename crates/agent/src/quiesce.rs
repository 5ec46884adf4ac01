//! Stopping what a job needs still, and bringing back exactly that.
//!
//! Invariant: nothing is stopped that is not in a ledger on the disk, and nothing is read before the engine said that nothing of it
//! runs any more. Projects may need each other (a network that another project owns), in an order that no file states: so each round
//! of `down` or `up` goes over all that are left, as long as a round gets any further.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    cancel::Cancel,
    config::Job,
    engine::{Engine, EngineError},
    ledger::{Ledger, LedgerError, Project, Stage},
    plan,
};

/// How often bringing back is tried before it is given up to whoever comes next.
const ATTEMPTS: u32 = 3;
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// Why nothing was stopped, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuiesceError {
    /// The plan says that something could not be brought back. Nothing was stopped.
    #[error("nothing was stopped, because it could not be brought back as it is:{}", list(.0))]
    Refused(Vec<String>),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The ledger cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Containers go on running though their projects are down.
    #[error("still running after their projects were stopped: {}", .0.join(", "))]
    StillRunning(Vec<String>),
    /// A signal came in between.
    #[error("stopped by a signal")]
    Stopped,
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

/// What a job will stop, and what a person should know about it.
///
/// Errors: [`QuiesceError::Refused`] with every reason at once; the engine's.
pub(crate) fn prepare(engine: &dyn Engine, job: &Job) -> Result<(Vec<Project>, Vec<String>), QuiesceError> {
    engine.version()?;
    let containers = engine.containers()?;
    let mut plan = plan::plan(&containers, job, &real);
    for project in &plan.projects {
        match engine.configured(project) {
            Ok(configured) => {
                let (refusals, warnings) = plan::compare(project, &containers, &configured);
                plan.refusals.extend(refusals);
                plan.warnings.extend(warnings);
            }
            Err(error) => plan
                .refusals
                .push(format!("the compose files of project {} are not usable, so nothing could start it again: {error}", project.name)),
        }
    }
    if plan.refusals.is_empty() { Ok((plan.projects, plan.warnings)) } else { Err(QuiesceError::Refused(plan.refusals)) }
}

/// `path` without symbolic links, or as it is where that cannot be told.
pub(crate) fn real(path: &Path) -> std::path::PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.into())
}

/// Since when each project has been away, by its name.
pub(crate) type Away = Vec<(String, Instant)>;

/// Writes `ledger` to `state` and stops its projects. `away` gets each project before it is touched, also on error.
pub(crate) fn stop(engine: &dyn Engine, ledger: &mut Ledger, state: &Path, cancel: &Cancel, away: &mut Away) -> Result<(), QuiesceError> {
    ledger.advance(state, Stage::Stopping)?;
    let mut left: Vec<&Project> = ledger.projects.iter().collect();
    while !left.is_empty() {
        let (before, mut error) = (left.len(), None);
        let mut stuck = Vec::new();
        for project in left {
            if cancel.is_set() {
                return Err(QuiesceError::Stopped);
            }
            tracing::info!(project = project.name, "stopping");
            if away.iter().all(|(name, _)| *name != project.name) {
                away.push((project.name.clone(), Instant::now()));
            }
            if let Err(failed) = engine.down(project) {
                error = Some(failed);
                stuck.push(project);
            }
        }
        if let Some(error) = error.filter(|_| stuck.len() == before) {
            return Err(error.into());
        }
        left = stuck;
    }
    let running = plan::still_running(&ledger.projects, &engine.containers()?);
    if !running.is_empty() {
        return Err(QuiesceError::StillRunning(running));
    }
    Ok(ledger.advance(state, Stage::Reading)?)
}

/// Starts `projects` and sees them run. Returns when each was seen running, by its name.
pub(crate) fn bring_back(engine: &dyn Engine, projects: &[Project]) -> Result<Away, NotBack> {
    let mut back = Away::new();
    // Stopped last, started first.
    let mut left: Vec<&Project> = projects.iter().rev().collect();
    let mut attempt = 1;
    loop {
        let mut reasons = start(engine, &left);
        match engine.containers() {
            Ok(containers) => left.retain(|project| {
                let lacking = plan::lacking(project, &containers);
                let is_back = lacking.is_empty();
                if is_back {
                    back.push((project.name.clone(), Instant::now()));
                    // `up` may complain of what does not matter here: running as recorded is what counts.
                    reasons.retain(|(name, _)| *name != project.name);
                }
                reasons.extend(lacking.into_iter().map(|reason| (project.name.clone(), reason)));
                !is_back
            }),
            Err(error) => reasons.push((String::new(), error.to_string())),
        }
        if left.is_empty() {
            return Ok(back);
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

/// `up` for all, again and again while that gets further. Returns what the last round's failures said, by project.
fn start(engine: &dyn Engine, projects: &[&Project]) -> Vec<(String, String)> {
    let mut left: Vec<&Project> = projects.to_vec();
    loop {
        let before = left.len();
        let mut failed = Vec::new();
        left.retain(|project| {
            tracing::info!(project = project.name, "starting");
            let result = engine.up(project);
            result.map_err(|error| failed.push((project.name.clone(), error.to_string()))).is_err()
        });
        if left.is_empty() || left.len() == before {
            return failed;
        }
    }
}
