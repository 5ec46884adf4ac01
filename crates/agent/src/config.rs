//! The agent's configuration: read once, checked as a whole, refused as a whole.
//!
//! Invariant: a [`Config`] that exists is safe to run. Each path is absolute and plain, no source contains another or the
//! repository (an archive that contains archives doubles every night), every job has a source. What depends on the machine (a
//! missing folder, no engine) is for `check` and for the run.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, de};

mod nearest;
mod time;
pub mod yaml;

pub use offsite_archive::JobName;
pub use time::{InvalidTime, TimeOfDay};
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
    /// The folder of ledger, journal and lock; on a disk, not in memory.
    pub state: PathBuf,
    /// The docker command: a name to be found in PATH or an absolute path.
    pub docker: PathBuf,
    /// The group that may read the repository: a name or a number.
    pub group: Option<String>,
    /// The jobs by name.
    pub jobs: BTreeMap<JobName, Job>,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What is archived: absolute paths, none inside another.
    pub sources: Vec<PathBuf>,
    /// How services are made consistent first.
    pub quiesce: Quiesce,
    /// Folders below which a compose project belongs to this job.
    pub projects: Vec<PathBuf>,
    /// When the timer starts it; no timer where absent.
    pub at: Option<TimeOfDay>,
    /// On which days; every day where empty.
    pub days: Vec<Day>,
    /// How many archives stay.
    pub keep: NonZeroU32,
}

/// How services are made consistent before their files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quiesce {
    /// `docker compose down`, and up again after reading. A plain stop has corrupted databases.
    #[default]
    Down,
    /// Nothing is stopped; the engine is not asked for anything.
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

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    repository: Absolute,
    #[serde(default = "three")]
    keep: Keep,
    state: Option<Absolute>,
    docker: Option<Docker>,
    group: Option<Group>,
    jobs: Jobs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileJob {
    sources: Vec<Absolute>,
    #[serde(default)]
    quiesce: Quiesce,
    projects: Option<Absolute>,
    at: Option<TimeOfDay>,
    #[serde(default)]
    days: Vec<Day>,
    keep: Option<Keep>,
}

fn three() -> Keep {
    Keep(NonZeroU32::MIN.saturating_add(2))
}

/// An absolute path without `.` or `..`, so that "inside" can be told from the text.
struct Absolute(PathBuf);

impl FromStr for Absolute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.starts_with('/') && !text.contains('\0') && text.split('/').all(|part| part != "." && part != "..");
        // Collected from components: no doubled or trailing slash.
        plain
            .then(|| Self(Path::new(text).components().collect()))
            .ok_or_else(|| format!("\"{text}\" is not an absolute path without \".\" and \"..\""))
    }
}

impl<'de> Deserialize<'de> for Absolute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        yaml::text(deserializer)
    }
}

#[derive(Clone, Copy)]
struct Keep(NonZeroU32);

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Keep;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of archives")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Keep, E> {
                let number = u32::try_from(number).map_err(|_| E::custom(format!("{number} archives are too many")))?;
                NonZeroU32::new(number).map(Keep).ok_or_else(|| E::custom("0 would keep no archive; the least is 1"))
            }
        }
        deserializer.deserialize_u64(Visitor)
    }
}

struct Docker(PathBuf);

impl FromStr for Docker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || (text.contains('/') && !text.starts_with('/')) {
            return Err(format!("\"{text}\" is neither a command's name nor an absolute path"));
        }
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for Docker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        yaml::text(deserializer)
    }
}

/// A group's name or number; YAML reads digits as a number, so both kinds are taken.
struct Group(String);

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Group;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a group's name or number")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Group, E> {
                Ok(Group(number.to_string()))
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Group, E> {
                if name.is_empty() { Err(E::custom("a group's name is not empty")) } else { Ok(Group(name.to_owned())) }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Jobs by name; a name that stands twice is refused, where a plain map would silently take the last.
struct Jobs(BTreeMap<JobName, FileJob>);

impl<'de> Deserialize<'de> for Jobs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Jobs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("jobs by name")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Jobs, A::Error> {
                let mut jobs = BTreeMap::new();
                while let Some(name) = map.next_key::<JobName>()? {
                    if jobs.contains_key(&name) {
                        return Err(de::Error::custom(format!("job \"{name}\" stands twice")));
                    }
                    jobs.insert(name, map.next_value()?);
                }
                Ok(Jobs(jobs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl Config {
    /// Reads and checks the configuration at `path`.
    ///
    /// Errors: the first thing that is not valid, with file, line and key.
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
        if state == repository || state.starts_with(&repository) {
            let problem = "lies in the repository, which another machine reads; ledger and journal are not for it";
            return Err(ConfigError::at(path, text, &["state"], problem));
        }
        if file.jobs.0.is_empty() {
            return Err(ConfigError::at(path, text, &["jobs"], "there is no job"));
        }
        let mut jobs = BTreeMap::new();
        for (name, job) in file.jobs.0 {
            let invalid = |key: &str, problem: String| ConfigError::at(path, text, &["jobs", name.as_str(), key], problem);
            let sources: Vec<PathBuf> = job.sources.into_iter().map(|source| source.0).collect();
            check_sources(&sources, &repository).map_err(|problem| invalid("sources", problem))?;
            if !job.days.is_empty() && job.at.is_none() {
                return Err(invalid("days", "needs \"at\" beside it".into()));
            }
            if job.quiesce == Quiesce::None && job.projects.is_some() {
                return Err(invalid("projects", "has no meaning where \"quiesce\" is \"none\"".into()));
            }
            let projects = job.projects.map_or_else(|| sources.clone(), |folder| vec![folder.0]);
            let keep = job.keep.unwrap_or(file.keep).0;
            jobs.insert(name, Job { sources, quiesce: job.quiesce, projects, at: job.at, days: job.days, keep });
        }
        let docker = file.docker.map_or_else(|| "docker".into(), |docker| docker.0);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        Ok(Self { path, repository, state, docker, group: file.group.map(|group| group.0), jobs })
    }
}

fn check_sources(sources: &[PathBuf], repository: &Path) -> Result<(), String> {
    if sources.is_empty() {
        return Err("there is no source".into());
    }
    for (number, source) in sources.iter().enumerate() {
        if repository.starts_with(source) {
            return Err(format!(
                "{} contains the repository {}: every archive would contain the ones before",
                source.display(),
                repository.display()
            ));
        }
        if source.starts_with(repository) {
            return Err(format!("{} lies in the repository {}", source.display(), repository.display()));
        }
        if let Some(other) =
            sources.iter().enumerate().find(|(at, other)| *at != number && source.starts_with(other)).map(|(_, other)| other)
        {
            return Err(format!("{} lies in {} and would be archived twice", source.display(), other.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "repository: /srv/backup/offsite\nkeep: 3\njobs:\n  services:\n    sources: [/srv/services/, /etc/ssh]\n    quiesce: down\n    projects: /srv/services\n    at: \"04:00\"\n";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/etc/agent.yaml"), text).map_err(|error| error.to_string())
    }

    fn refused(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        parse(&GOOD.replace(from, to)).unwrap_err()
    }

    #[test]
    fn reads_what_is_written() {
        let config = parse(GOOD).unwrap();
        assert_eq!(config.repository, Path::new("/srv/backup/offsite"));
        assert_eq!(
            (config.state.as_path(), config.docker.as_path(), &config.group),
            (Path::new(DEFAULT_STATE), Path::new("docker"), &None)
        );
        let job = &config.jobs[&"services".parse().unwrap()];
        assert_eq!(job.sources, [Path::new("/srv/services"), Path::new("/etc/ssh")]);
        assert_eq!((job.quiesce, job.keep.get(), job.at.map(|at| at.to_string())), (Quiesce::Down, 3, Some("04:00".into())));
        assert_eq!(job.projects, [Path::new("/srv/services")]);
    }

    #[test]
    fn a_short_file_gets_the_defaults() {
        let config = parse("repository: /b\ngroup: 33\njobs:\n  x: {sources: [/a]}\n").unwrap();
        let job = &config.jobs[&"x".parse().unwrap()];
        assert_eq!(
            (job.keep.get(), job.quiesce, job.at, job.projects.as_slice()),
            (3, Quiesce::Down, None, [PathBuf::from("/a")].as_slice())
        );
        assert_eq!(config.group.as_deref(), Some("33"));
    }

    #[test]
    fn the_example_is_valid_and_shows_the_defaults() {
        let config = parse(EXAMPLE).unwrap();
        assert_eq!(config.state, Path::new(DEFAULT_STATE));
        assert_eq!(config.jobs.len(), 1);
        // Each key that is shown commented out must be one that exists.
        let all: String = EXAMPLE.lines().map(|line| line.replacen("#: ", "", 1) + "\n").collect();
        parse(&all).unwrap();
        assert!(all.contains("\ngroup:") && all.contains("\nstate:") && all.contains("\ndocker:") && all.contains("days:"), "{all}");
    }

    #[test]
    fn says_where_and_what_is_wrong() {
        let file = "/etc/agent.yaml";
        for (from, to, said) in [
            ("quiesce: down", "quiesce: dwon", ":6: jobs.services.quiesce: unknown value \"dwon\"; did you mean \"down\"?"),
            ("sources:", "sorces:", ":5: jobs.services: unknown key \"sorces\"; did you mean \"sources\"?"),
            ("\"04:00\"", "\"4 am\"", ":8: jobs.services.at: a time of day is \"HH:MM\" from \"00:00\" to \"23:59\", not \"4 am\""),
            ("\"04:00\"", "\"24:00\"", ":8: jobs.services.at: a time of day is \"HH:MM\" from \"00:00\" to \"23:59\", not \"24:00\""),
            ("keep: 3", "keep: 0", ":2: keep: 0 would keep no archive; the least is 1"),
            ("keep: 3", "keep: many", ":2: keep: invalid type: string \"many\", expected a number of archives"),
            ("/etc/ssh", "etc/ssh", ":5: jobs.services.sources[1]: \"etc/ssh\" is not an absolute path without \".\" and \"..\""),
            (
                "[/srv/services/, /etc/ssh]",
                "[/srv]",
                ":5: jobs.services.sources: /srv contains the repository /srv/backup/offsite: every archive would contain the ones before",
            ),
            ("/etc/ssh", "/srv/services/x", ":5: jobs.services.sources: /srv/services/x lies in /srv/services and would be archived twice"),
            ("/etc/ssh", "/srv/services", ":5: jobs.services.sources: /srv/services lies in /srv/services and would be archived twice"),
            (
                "/etc/ssh",
                "/srv/backup/offsite/x",
                ":5: jobs.services.sources: /srv/backup/offsite/x lies in the repository /srv/backup/offsite",
            ),
            ("[/srv/services/, /etc/ssh]", "[]", ":5: jobs.services.sources: there is no source"),
            ("down", "none", ":7: jobs.services.projects: has no meaning where \"quiesce\" is \"none\""),
            (
                "keep: 3",
                "state: /srv/backup/offsite/state",
                ":2: state: lies in the repository, which another machine reads; ledger and journal are not for it",
            ),
            ("  services:\n", "  Services:\n", ":4: jobs: "),
        ] {
            let found = refused(from, to);
            assert!(found.starts_with(&format!("{file}{said}")), "{from} -> {to}: {found}");
        }
        assert!(refused("    at:", "  services:\n    sources: [/x]\n    at:").contains("job \"services\" stands twice"));
        assert!(parse("repository: /b\njobs: {}\n").unwrap_err().ends_with(":2: jobs: there is no job"));
    }
}
