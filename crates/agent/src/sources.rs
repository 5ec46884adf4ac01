//! A look at each source before anything is stopped.
//!
//! Invariant: what this refuses costs no downtime. A disk that is not mounted, a link in the place of a source (it would give an
//! archive of that link) and what only links hide from the configuration, a repository inside a source (an archive of archives) or
//! a source inside another, are all seen here, with the line of the configuration that names them.

mod absent;
mod error;
mod gone;
mod mounts;

pub use absent::accept_empty;
pub(crate) use absent::{empty, mounted, remember, unmounted};
pub use error::{Absent, SourceError};
pub(crate) use gone::{There, goes_with};
pub(crate) use mounts::{everywhere, origins};

use std::path::{Path, PathBuf};

use crate::{
    config::{Config, Job, JobName, problems},
    quiesce,
};

/// A part of the sources: `path` and everything below it, without what is at or below one of `exclude`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Root {
    /// The source that it is a part of.
    pub source: PathBuf,
    pub path: PathBuf,
    pub exclude: Vec<PathBuf>,
}

/// Looks at the sources of `job`, which is `name` in `config`. Returns why each of those that cannot be archived as it is cannot.
pub(crate) fn check_sources(config: &Config, name: &JobName, job: &Job) -> Vec<SourceError> {
    let place = |path: &Path| config.place(&["jobs", name.as_str(), "sources", &path.to_string_lossy()]);
    let wrong: Vec<SourceError> = job.sources.iter().filter_map(|path| look(path, || place(path)).err()).collect();
    if !wrong.is_empty() {
        return wrong;
    }
    let real = |paths: &[PathBuf]| paths.iter().map(|path| quiesce::real(path)).collect::<Vec<_>>();
    let others = config.jobs.iter().filter(|(other, _)| *other != name).map(|(other, job)| (other, real(&job.sources))).collect::<Vec<_>>();
    let overlaps = problems(&real(&job.sources), &quiesce::real(&config.repository), &quiesce::real(&config.state), &others);
    let overlap = |(number, problem): (usize, String)| {
        let path: &PathBuf = &job.sources[number];
        SourceError::Overlap { path: path.clone(), place: place(path), problem }
    };
    let absent = || absent::check(config, name, job).err().into_iter().collect();
    if overlaps.is_empty() { absent() } else { overlaps.into_iter().map(overlap).collect() }
}

fn look(path: &Path, place: impl Fn() -> String) -> Result<(), SourceError> {
    let failed = |source| SourceError::Read { path: path.into(), place: place(), source };
    let found = std::fs::symlink_metadata(path).map_err(failed)?;
    if found.is_symlink() {
        return Err(SourceError::Link { path: path.into(), place: place(), target: quiesce::real(path) });
    }
    if found.is_dir() {
        std::fs::read_dir(path).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    /// The first line of what is wrong with each source of each job; all are below a folder of one's own, which is shown as `D`.
    fn wrong(dir: &Path, jobs: &str) -> Vec<String> {
        let text = format!("repository: D/repository\nstate: D/state\njobs:\n{jobs}").replace('D', &dir.display().to_string());
        let config = Config::parse(Path::new("/a.yaml"), &text).unwrap();
        let all = config.jobs.iter().flat_map(|(name, job)| check_sources(&config, name, job));
        all.map(|error| error.to_string().replace(&dir.display().to_string(), "D")).collect()
    }

    #[test]
    fn what_links_hide_from_the_configuration_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for folder in ["repository/archives", "state/kept", "real/data"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        symlink(&dir, dir.join("link")).unwrap();
        let one = |source: &str| wrong(&dir, &format!("  one: {{sources: [{source}], quiesce: none}}\n"));
        let none: [&str; 0] = [];
        assert_eq!(one("D/real"), none);
        assert_eq!(one("D/link/real"), none);
        let begins = "source D/link/state/kept (/a.yaml:4) without symbolic links: D/state/kept lies in the state folder D/state";
        assert_eq!(one("D/link/state/kept"), [begins]);
        assert!(one("D/link/repository")[0].contains("D/repository contains the repository D/repository: every archive"));
        // Or the configuration names the two folders by way of a link.
        for (name, aside) in [("repository", "store"), ("state", "aside")] {
            fs::rename(dir.join(name), dir.join(aside)).unwrap();
            symlink(dir.join(aside), dir.join(name)).unwrap();
        }
        assert!(one("D/store")[0].contains("D/store contains the repository D/store: every archive"));
        assert!(one("D/aside/kept")[0].contains("D/aside/kept lies in the state folder D/aside"));
        let two = wrong(&dir, "  a: {sources: [D/real], quiesce: none}\n  b: {sources: [D/link/real/data], quiesce: none}\n");
        assert_eq!(
            two,
            [
                "source D/real (/a.yaml:4) without symbolic links: D/real contains D/real/data of job \"b\" and would be archived twice",
                "source D/link/real/data (/a.yaml:5) without symbolic links: D/real/data lies in D/real of job \"a\" and would be archived twice",
            ]
        );
    }
}
