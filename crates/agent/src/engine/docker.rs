//! The real engine: the docker command with its compose plugin.
//!
//! Each call says everything itself (project, folder, files, environment files, all profiles) and takes nothing from the agent's own
//! environment or working folder: a stray `COMPOSE_FILE` or a `compose.yaml` beside the agent must not change which services stop.
//! All profiles are enabled because compose neither stops nor knows a service of a disabled one.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{CommandError, Container, Engine, EngineError, command, inspect};
use crate::{ledger::Project, lock::Lock};

/// `--profile "*"` enables all profiles from this version on.
const OLDEST: (u32, u32) = (2, 20);
const OLDEST_TEXT: &str = "2.20";
/// A question is answered at once or never.
const PATIENCE: Duration = Duration::from_secs(120);
/// Services may take their time to stop cleanly or to start: so many times as long as an answer.
const CHANGE: u32 = 10;

/// The docker command.
#[derive(Debug)]
pub(crate) struct Docker<'a> {
    program: PathBuf,
    patience: Duration,
    lock: Option<&'a Lock>,
}

impl<'a> Docker<'a> {
    /// The command `program`. With `lock`, each call holds the lock too, for as long as it runs.
    pub(crate) fn new(program: &Path, lock: Option<&'a Lock>) -> Self {
        Self { program: program.into(), patience: PATIENCE, lock }
    }

    /// With another limit for the answer to a question; a change may take ten times as long.
    pub(crate) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    fn change(&self) -> Duration {
        self.patience.saturating_mul(CHANGE)
    }

    fn call(
        &self,
        operation: &str,
        limit: Duration,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<Vec<u8>, EngineError> {
        let failed = |source| EngineError::Command { operation: operation.to_owned(), source };
        let mut command = Command::new(&self.program);
        command.args(arguments.into_iter().map(Into::into)).current_dir("/");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("COMPOSE_")) {
            command.env_remove(name);
        }
        let input = self.lock.map_or_else(|| Ok(Stdio::null()), Lock::share);
        let input = input.map_err(|source| failed(CommandError::Start { command: self.program.display().to_string(), source }))?;
        command::output(&mut command, input, limit).map_err(failed)
    }

    fn compose(&self, operation: &str, limit: Duration, project: &Project, verb: Vec<OsString>) -> Result<Vec<u8>, EngineError> {
        let mut arguments: Vec<OsString> = ["compose", "--ansi", "never", "--project-name"].map(Into::into).into();
        arguments.push(project.name.clone().into());
        arguments.extend(["--project-directory".into(), project.folder.clone().into()]);
        arguments.extend(project.files.iter().flat_map(|file| ["--file".into(), file.into()]));
        arguments.extend(project.environment.iter().flat_map(|file| ["--env-file".into(), file.into()]));
        arguments.extend(["--profile".into(), "*".into()]);
        arguments.extend(verb);
        self.call(&format!("{operation} project {}", project.name), limit, arguments)
    }
}

impl Engine for Docker<'_> {
    fn version(&self) -> Result<String, EngineError> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        let engine = text(self.call("reach the container engine", self.patience, ["version", "--format", "{{.Server.Version}}"])?);
        let compose = text(self.call("find docker compose", self.patience, ["compose", "version", "--short"])?);
        match inspect::at_least(&compose, OLDEST) {
            Some(true) => Ok(format!("docker {engine}, compose {compose}")),
            _ => Err(EngineError::Old { found: compose, needed: OLDEST_TEXT }),
        }
    }

    fn containers(&self) -> Result<Vec<Container>, EngineError> {
        let operation = "list the containers";
        let answer = |reason| EngineError::Answer { operation: operation.into(), reason };
        let list = self.call(operation, self.patience, ["container", "ls", "--all", "--quiet", "--no-trunc"])?;
        let list = String::from_utf8(list).map_err(|error| answer(error.to_string()))?;
        let ids: Vec<&str> = list.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inspected = match self.call(operation, self.patience, ["container", "inspect"].into_iter().chain(ids)) {
            // Some went away between the two questions; the answer holds the others.
            Err(EngineError::Command { source: CommandError::Failed { errors, output, .. }, .. }) if inspect::only_gone(&errors) => output,
            answered => answered?,
        };
        inspect::containers(&inspected).map_err(answer)
    }

    fn configured(&self, project: &Project) -> Result<BTreeMap<String, String>, EngineError> {
        let operation = "read the compose files of";
        let text = self.compose(operation, self.patience, project, ["config", "--hash", "*"].map(Into::into).into())?;
        inspect::hashes(&text).map_err(|reason| EngineError::Answer { operation: format!("{operation} project {}", project.name), reason })
    }

    fn down(&self, project: &Project, limit: Duration) -> Result<(), EngineError> {
        // Never with --volumes: this verb must not be able to delete data.
        self.compose("stop", self.change().min(limit), project, vec!["down".into()]).map(drop)
    }

    fn stop(&self, project: &Project, limit: Duration) -> Result<(), EngineError> {
        self.compose("stop", self.change().min(limit), project, vec!["stop".into()]).map(drop)
    }

    fn up(&self, project: &Project) -> Result<(), EngineError> {
        // --no-deps: what was stopped stays stopped, even where a running service depends on it; compose still keeps the order among
        // those named. --pull missing: a `pull_policy: always` must neither fail without a network nor bring a new version at night.
        let mut verb: Vec<OsString> = ["up", "--detach", "--no-recreate", "--no-deps", "--pull", "missing"].map(Into::into).into();
        verb.extend(project.services.iter().flat_map(|service| ["--scale".into(), format!("{}={}", service.name, service.scale).into()]));
        verb.extend(project.services.iter().map(|service| service.name.clone().into()));
        self.compose("start", self.change(), project, verb).map(drop)
    }
}
