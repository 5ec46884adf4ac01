//! The agent's configuration: read once, checked as a whole, refused as a whole.
//!
//! Invariant: a [`Config`] that exists is safe to run. Each path is absolute and plain, no source contains another, the
//! repository (an archive that contains archives doubles every night) or the state folder, every job has a source. What depends on the machine (a
//! missing folder, no engine) is for `check` and for the run.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use file::File;
use serde::Deserialize;

mod file;
mod nearest;
mod span;
mod time;
mod url;
mod words;
pub mod yaml;

pub use nearest::distance;
pub use offsite_archive::JobName;
pub(crate) use span::words;
pub use time::{InvalidTime, TimeOfDay};
pub use url::Url;
pub use yaml::ConfigError;

/// Where the configuration is when nothing else is said.
pub const DEFAULT_CONFIG: &str = "/etc/offsite/agent.yaml";
/// Where the agent keeps its ledger, journal and lock when nothing else is said.
pub const DEFAULT_STATE: &str = "/var/lib/offsite";
/// The commented example that `init` writes.
pub const EXAMPLE: &str = include_str!("../../../packaging/agent.example.yaml");

/// What the agent is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file this was read from, absolute where it could be found out.
    pub path: PathBuf,
    /// The folder that holds the archives.
    pub repository: PathBuf,
    /// How frames are kept there.
    pub layout: Layout,
    /// The folder of ledger, journal and lock; on a disk, not in memory.
    pub state: PathBuf,
    /// The docker command: a name to be found in PATH or an absolute path.
    pub docker: PathBuf,
    /// How long a docker command that only asks may take; one that stops or starts may take ten times as long.
    pub docker_patience: Duration,
    /// The group that may read the repository: a name or a number.
    pub group: Option<String>,
    /// The jobs by name.
    pub jobs: BTreeMap<JobName, Job>,
    /// What stands in the file, for the lines of what turns out to be wrong later.
    text: String,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What is archived: absolute paths, none inside another.
    pub sources: Vec<PathBuf>,
    /// How services are made consistent first.
    pub quiesce: Quiesce,
    /// Whether sources are read from a snapshot where their file system offers one.
    pub snapshot: Snapshot,
    /// Whether all projects are away at once, or one after the other.
    pub scope: Scope,
    /// How long services may be away; then they come back, whatever was read.
    pub budget: Duration,
    /// When services that are back count as well.
    pub health: Health,
    /// Folders below which a compose project belongs to this job.
    pub projects: Vec<PathBuf>,
    /// When the timer starts it; no timer where absent.
    pub at: Option<TimeOfDay>,
    /// On which days; every day where empty.
    pub days: Vec<Day>,
    /// How many archives stay.
    pub keep: NonZeroU32,
}

/// How the Pi's repository keeps the frames of its archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Each archive is one file, which any `tar` opens.
    #[default]
    Plain,
    /// Frames lie once for all archives: a night writes what is new.
    Packs,
}

impl From<Layout> for offsite_repository::Layout {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Plain => Self::Plain,
            Layout::Packs => Self::Packs,
        }
    }
}

/// How services are made consistent before their files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quiesce {
    /// `docker compose down`, and up again after reading. A plain stop has corrupted databases.
    #[default]
    Down,
    /// `docker compose stop`, and up again after reading: quicker, but networks and containers stay as they are.
    Stop,
    /// Nothing is stopped; the engine is not asked for anything.
    None,
}

/// How many projects are away at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All of the job's: what they hold together is of one moment.
    #[default]
    All,
    /// One after the other; those that write to the same place go together.
    Each,
}

/// When services that are back count as well, besides the health checks of their compose files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Each of them has to answer with success.
    pub urls: Vec<Url>,
    /// The certificate of an authority of one's own, in PEM, which https:// may be signed by.
    pub ca: Option<PathBuf>,
    /// How long it is waited for.
    pub wait: Duration,
}

/// Whether sources are read from a snapshot of their file system, with the services up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Snapshot {
    /// Where the file system offers one; from the folders themselves where not.
    Auto,
    /// Always from the folders themselves.
    #[default]
    None,
}

/// A day of the week, as systemd abbreviates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the days")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// Services that may be away for half an hour: enough for a first archive on a small machine, and little enough to be back at breakfast.
const BUDGET: Duration = Duration::from_secs(30 * 60);
/// A database that replays its log takes minutes.
const HEALTH_WAIT: Duration = Duration::from_secs(5 * 60);

impl Config {
    /// Reads and checks the configuration at `path`.
    ///
    /// Errors: what is not valid, with file, line and key: the first thing that is no such file at all, or else all that such a file
    /// must not say.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(path, &text)
    }

    /// Checks `text`, which was read from `path`.
    ///
    /// Errors: as [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file: File = yaml::parse(path, text)?;
        let repository = file.repository.0;
        let state = file.state.map_or_else(|| DEFAULT_STATE.into(), |state| state.0);
        let mut wrong = Vec::new();
        if state == repository || state.starts_with(&repository) {
            let problem = "lies in the repository, which another machine reads; ledger and journal are not for it";
            wrong.push(ConfigError::at(path, text, &["state"], problem));
        }
        if file.jobs.0.is_empty() {
            wrong.push(ConfigError::at(path, text, &["jobs"], "there is no job"));
        }
        let mut jobs = BTreeMap::new();
        for (name, job) in file.jobs.0 {
            let sources: Vec<PathBuf> = job.sources.into_iter().map(|source| source.0).collect();
            let others: Vec<_> = jobs.iter().map(|(name, job): (&JobName, &Job)| (name, job.sources.clone())).collect();
            for (number, problem) in problems(&sources, &repository, &state, &others) {
                let keys = ["jobs", name.as_str(), "sources"];
                wrong.push(ConfigError::in_list(path, text, &keys, &sources[number].to_string_lossy(), problem));
            }
            let mut invalid = |key: &str, problem: &str| wrong.push(ConfigError::at(path, text, &["jobs", name.as_str(), key], problem));
            if sources.is_empty() {
                invalid("sources", "there is no source");
            }
            if !job.days.is_empty() && job.at.is_none() {
                invalid("days", "needs \"at\" beside it");
            }
            let of_stopping = [
                ("projects", job.projects.is_some()),
                ("scope", job.scope.is_some()),
                ("budget", job.budget.is_some()),
                ("health", !job.health.is_empty()),
                ("health_wait", job.health_wait.is_some()),
            ];
            for (key, _) in of_stopping.into_iter().filter(|(_, said)| *said && job.quiesce == Quiesce::None) {
                invalid(key, "has no meaning where \"quiesce\" is \"none\"");
            }
            if job.ca.is_some() && !job.health.iter().any(Url::is_https) {
                invalid("ca", "has no meaning without a \"health\" that begins with https://");
            }
            let health = Health { urls: job.health, ca: job.ca.map(|ca| ca.0), wait: job.health_wait.map_or(HEALTH_WAIT, |wait| wait.0) };
            let (scope, budget) = (job.scope.unwrap_or_default(), job.budget.map_or(BUDGET, |budget| budget.0));
            let projects = job.projects.map_or_else(|| sources.clone(), |folder| vec![folder.0]);
            let keep = job.keep.unwrap_or(file.keep).0;
            let (quiesce, snapshot, at, days) = (job.quiesce, job.snapshot, job.at, job.days);
            jobs.insert(name, Job { sources, quiesce, scope, budget, health, snapshot, projects, at, days, keep });
        }
        ConfigError::all(wrong)?;
        let docker = file.docker.map_or_else(|| "docker".into(), |docker| docker.0);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let docker_patience = file.docker_patience.0;
        let (layout, group) = (file.layout, file.group.map(|group| group.0));
        Ok(Self { path, repository, layout, state, docker, docker_patience, group, jobs, text: text.to_owned() })
    }
}

impl Config {
    /// Where the key, or the path in a list, at the end of `keys` stands, as "/etc/offsite/agent.yaml:5"; without the line where it
    /// cannot be told.
    pub fn place(&self, keys: &[&str]) -> String {
        let line = yaml::line_of(&self.text, keys).map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}", self.path.display())
    }

    /// Where it is said which projects are those of `job`, which is `name`: as [`Config::place`].
    pub(crate) fn place_of_projects(&self, name: &JobName, job: &Job) -> String {
        self.place(&["jobs", name.as_str(), if job.projects == job.sources { "sources" } else { "projects" }])
    }
}

/// What is wrong with each of `sources`, by its number: beside the repository, the state folder, each other and those of `others`.
pub(crate) fn problems(sources: &[PathBuf], repository: &Path, state: &Path, others: &[(&JobName, Vec<PathBuf>)]) -> Vec<(usize, String)> {
    let ours = [
        ("repository", repository, "every archive would contain the ones before"),
        ("state folder", state, "who unpacks it would make services owed that run; name what lies beside it, or put \"state\" elsewhere"),
    ];
    let mut found = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let shown = source.display();
        for (what, folder, because) in ours {
            if folder.starts_with(source) {
                found.push((number, format!("{shown} contains the {what} {}: {because}", folder.display())));
            } else if source.starts_with(folder) {
                found.push((number, format!("{shown} lies in the {what} {}", folder.display())));
            }
        }
        if let Some((_, other)) = sources.iter().enumerate().find(|(at, other)| *at != number && source.starts_with(other)) {
            found.push((number, format!("{shown} lies in {} and would be archived twice", other.display())));
        }
        for (job, other) in others.iter().flat_map(|(job, theirs)| theirs.iter().map(move |other| (job, other))) {
            let how = match (source.starts_with(other), other.starts_with(source)) {
                (true, _) => "lies in",
                (_, true) => "contains",
                _ => continue,
            };
            found.push((number, format!("{shown} {how} {} of job \"{job}\" and would be archived twice", other.display())));
        }
    }
    found
}

#[cfg(test)]
mod tests;
