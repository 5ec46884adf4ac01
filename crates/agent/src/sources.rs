//! A look at each source before anything is stopped.
//!
//! Invariant: what this refuses costs no downtime. A disk that is not mounted, a link in the place of a source (it would give an
//! archive of that link) and a repository inside a source (an archive of archives) are all seen here, with the line of the
//! configuration that names them.

mod absent;
mod gone;
mod mounts;

pub use absent::{Absent, AbsentError, accept_empty};
pub(crate) use absent::{mounted, remember};
pub(crate) use gone::{There, goes_with};
pub(crate) use mounts::{everywhere, origins};

use crate::{
    config::{Config, Job, JobName},
    quiesce,
    run::RunError,
};

/// Looks at the sources of `job`, which is `name` in `config`.
///
/// Errors: the first source that cannot be archived as it is.
pub(crate) fn check_sources(config: &Config, name: &JobName, job: &Job) -> Result<(), RunError> {
    let home = quiesce::real(&config.repository);
    let place = config.place(&["jobs", name.as_str(), "sources"]);
    for path in &job.sources {
        let failed = |source| RunError::Source { path: path.clone(), place: place.clone(), source };
        let found = std::fs::symlink_metadata(path).map_err(failed)?;
        if found.is_symlink() {
            return Err(RunError::Link { path: path.clone(), place, target: quiesce::real(path) });
        }
        if found.is_dir() {
            std::fs::read_dir(path).map_err(failed)?;
        }
        if home.starts_with(quiesce::real(path)) {
            return Err(RunError::Inside { path: path.clone(), place, repository: home });
        }
    }
    Ok(absent::check(config, name, job)?)
}
