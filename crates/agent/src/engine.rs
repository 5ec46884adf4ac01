//! The container engine: what runs, stop a project, bring services back.
//!
//! [`Engine`] names this outside world; [`Docker`] is the docker command. Everything that is decided from the answers lies in
//! `plan` and knows no engine. The command and not the socket's protocol, because compose projects exist only in the command: their
//! files, profiles, order and names are its business.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use crate::ledger::Project;

mod command;
mod docker;
mod inspect;
mod model;

pub use command::CommandError;
pub(crate) use command::output;
pub(crate) use docker::Docker;

/// What the agent asks of a container engine. May be asked from any thread: bringing back does not wait for a reader that hangs.
pub(crate) trait Engine: Sync {
    /// The versions of engine and compose as one text.
    ///
    /// Errors: no engine answers, or compose is missing or too old.
    fn version(&self) -> Result<String, EngineError>;

    /// Each container there is, running or not, of compose or not.
    ///
    /// Errors: the engine does not answer, or not as expected.
    fn containers(&self) -> Result<Vec<Container>, EngineError>;

    /// The paths that each of `containers` has added to its image. All of them may take as long as one question.
    ///
    /// Errors: as [`Engine::containers`]; one that is no more has added nothing.
    fn added(&self, containers: &[&Container]) -> Result<Vec<Vec<PathBuf>>, EngineError>;

    /// The services that the project's files define now, as the agent would start them.
    ///
    /// Errors: the files are missing or invalid: then nothing of the project could be started again.
    fn configured(&self, project: &Project) -> Result<BTreeMap<String, Definition>, EngineError>;

    /// The id of each image of `names` that is on this machine, by that name.
    ///
    /// Errors: as [`Engine::containers`].
    fn images(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>, EngineError>;

    /// Stops and removes all of the project's containers, keeps its volumes. Cut short after `limit`.
    ///
    /// Errors: some may still run, and where it was cut short, may end only later.
    fn down(&self, project: &Project, limit: Duration) -> Result<(), EngineError>;

    /// Stops all of the project's containers and keeps them. Cut short after `limit`.
    ///
    /// Errors: as [`Engine::down`].
    fn stop(&self, project: &Project, limit: Duration) -> Result<(), EngineError>;

    /// Starts exactly the project's recorded services in the recorded numbers; leaves alone what runs. Cut short after `limit`, but not
    /// sooner than an answer to a question would be.
    ///
    /// Errors: some may not run.
    fn up(&self, project: &Project, limit: Duration) -> Result<(), EngineError>;
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    /// Its name, without a leading slash.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// What its health check says; `None` where it has none.
    pub health: Option<Health>,
    /// How long the engine lets it end by itself; the engine's own 10 s where `None`.
    pub grace: Option<Duration>,
    /// When it was made, as the engine writes it: sorts by time.
    pub created: String,
    /// What compose noted on it; `None` for a container of its own.
    pub compose: Option<Compose>,
    /// What of the machine it sees.
    pub mounts: Vec<Mount>,
    /// Where it sees memory (tmpfs).
    pub memory: Vec<PathBuf>,
    /// The networks that it is in; the mode where it has none of its own, as `host`.
    pub networks: BTreeSet<String>,
    /// Devices of the machine that it was given.
    pub devices: Vec<PathBuf>,
    /// What it was made of.
    pub image: Image,
}

/// The image of a container; both are empty where the engine does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Image {
    /// What it was asked for by: another image may have that name since.
    pub name: String,
    /// The image itself.
    pub id: String,
}

/// A service as its project's files define it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Definition {
    /// Hash of its configuration.
    pub hash: String,
    /// Its image's name; `None` where compose makes one up from the service's.
    pub image: Option<String>,
    /// What it sees where, its secrets and configurations included.
    pub mounts: BTreeMap<PathBuf, Origin>,
    /// The networks that it will be in, or its mode, as `host`.
    pub networks: BTreeSet<String>,
    /// Whether it sees what other containers see too (`volumes_from`), which `mounts` does not hold.
    pub borrows: bool,
}

/// Where a mount's data are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// In a folder or file of the machine.
    Path(PathBuf),
    /// In the volume of this name; kept in a folder of the machine where its options say so.
    Volume(String, Option<PathBuf>),
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It ended and is about to be started again by the engine.
    Restarting,
    /// It does not run: made and never started, ended, dead, being removed.
    Stopped,
}

/// What a container's health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It has not decided yet.
    Starting,
    /// All is well.
    Healthy,
    /// It is not.
    Unhealthy,
}

/// What compose noted on a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compose {
    /// The project's name.
    pub project: String,
    /// The service's name.
    pub service: String,
    /// Made by `compose run`, not by `compose up`.
    pub oneoff: bool,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    /// The compose files, in order.
    pub files: Vec<PathBuf>,
    /// The environment files, in order.
    pub environment: Vec<PathBuf>,
    /// Hash of the service's configuration when the container was made; empty where that says nothing, because it counts in the
    /// container whose network or volumes this one shares.
    pub hash: String,
}

/// A piece of the machine's disk in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Where it lies on the machine.
    pub source: PathBuf,
    /// The volume's name; `None` for a folder or file.
    pub volume: Option<String>,
    /// Where the container sees it.
    pub target: PathBuf,
    /// Whether the container may write to it.
    pub writable: bool,
}

impl Mount {
    /// Whether this is a volume that nobody named: `compose up` makes a new, empty one for a new container.
    pub(crate) fn anonymous(&self) -> bool {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        self.volume.as_ref().is_some_and(|name| name.len() == 64 && name.bytes().all(hex))
    }
}

impl EngineError {
    /// Whether a command was cut short, so that what it began may go on in the engine.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self, Self::Command { source: CommandError::Late { .. }, .. })
    }
}

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The docker command could not be run, failed, or did not end.
    #[error("cannot {operation}: {source}")]
    Command {
        /// What was to be done.
        operation: String,
        /// What became of the command.
        source: CommandError,
    },
    /// The command's answer is not what this agent understands.
    #[error("cannot {operation}: the answer of the docker command cannot be understood: {reason}")]
    Answer {
        /// What was to be done.
        operation: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// There is no `docker compose`, or one that is too old.
    #[error("docker compose {found} is too old: at least {needed} is needed")]
    Old {
        /// What it says it is.
        found: String,
        /// The oldest that will do.
        needed: &'static str,
    },
}
