//! The real engine: the docker command with its compose plugin.
//!
//! Each call says everything itself (project, folder, files, environment files, all profiles) and takes nothing from the agent's working
//! folder, and of its environment only what reaches the engine: a stray `COMPOSE_FILE`, or a `DATA_ROOT` that is set in one shell and
//! not in the unit, must not change which services stop and on which data they come back. `PWD` is the project's folder, as it is for
//! an owner who starts it there. All profiles are enabled because compose neither stops nor knows a service of a disabled one.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{CommandError, Container, Definition, Engine, EngineError, command, inspect, model};
use crate::{ledger::Project, lock::Lock};

/// `--profile "*"` enables all profiles from this version on.
const OLDEST: (u32, u32) = (2, 20);
const OLDEST_TEXT: &str = "2.20";
/// A question is answered at once or never.
const PATIENCE: Duration = Duration::from_secs(120);
/// Services may take their time to stop cleanly or to start: so many times as long as an answer.
const CHANGE: u32 = 10;

/// What of the environment a docker command needs to find the engine and to speak its language.
const ENVIRONMENT: [&str; 7] = ["PATH", "HOME", "USER", "TMPDIR", "TZ", "LANG", "SSH_AUTH_SOCK"];
const ENVIRONMENTS: [&str; 3] = ["DOCKER_", "XDG_", "LC_"];

fn is_needed(name: &str) -> bool {
    ENVIRONMENT.contains(&name) || ENVIRONMENTS.iter().any(|begin| name.starts_with(begin)) || name.to_ascii_lowercase().ends_with("_proxy")
}

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
        folder: &Path,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<Vec<u8>, EngineError> {
        let failed = |source| EngineError::Command { operation: operation.to_owned(), source };
        let mut command = Command::new(&self.program);
        let environment = std::env::vars_os().filter(|(name, _)| is_needed(&name.to_string_lossy()));
        command.args(arguments.into_iter().map(Into::into)).current_dir("/").env_clear().envs(environment).env("PWD", folder);
        let input = self.lock.map_or_else(|| Ok(Stdio::null()), Lock::share);
        let input = input.map_err(|source| failed(CommandError::Start { command: self.program.display().to_string(), source }))?;
        command::output(&mut command, input, limit).map_err(failed)
    }

    fn ask(&self, operation: &str, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Vec<u8>, EngineError> {
        self.call(operation, self.patience, Path::new("/"), arguments)
    }

    fn compose(&self, operation: &str, limit: Duration, project: &Project, verb: Vec<OsString>) -> Result<Vec<u8>, EngineError> {
        let mut arguments: Vec<OsString> = ["compose", "--ansi", "never", "--project-name"].map(Into::into).into();
        arguments.push(project.name.clone().into());
        arguments.extend(["--project-directory".into(), project.folder.clone().into()]);
        arguments.extend(project.files.iter().flat_map(|file| ["--file".into(), file.into()]));
        arguments.extend(project.environment.iter().flat_map(|file| ["--env-file".into(), file.into()]));
        arguments.extend(["--profile".into(), "*".into()]);
        arguments.extend(verb);
        self.call(&format!("{operation} project {}", project.name), limit, &project.folder, arguments)
    }
}

impl Engine for Docker<'_> {
    fn version(&self) -> Result<String, EngineError> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        let engine = text(self.ask("reach the container engine", ["version", "--format", "{{.Server.Version}}"])?);
        let compose = text(self.ask("find docker compose", ["compose", "version", "--short"])?);
        match inspect::at_least(&compose, OLDEST) {
            Some(true) => Ok(format!("docker {engine}, compose {compose}")),
            _ => Err(EngineError::Old { found: compose, needed: OLDEST_TEXT }),
        }
    }

    fn containers(&self) -> Result<Vec<Container>, EngineError> {
        let operation = "list the containers";
        let answer = |reason| EngineError::Answer { operation: operation.into(), reason };
        let list = self.ask(operation, ["container", "ls", "--all", "--quiet", "--no-trunc"])?;
        let list = String::from_utf8(list).map_err(|error| answer(error.to_string()))?;
        let ids: Vec<&str> = list.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inspected = match self.ask(operation, ["container", "inspect"].into_iter().chain(ids)) {
            // Some went away between the two questions; the answer holds the others.
            Err(EngineError::Command { source: CommandError::Failed { errors, output, .. }, .. })
                if inspect::only_gone("container", &errors) =>
            {
                output
            }
            answered => answered?,
        };
        inspect::containers(&inspected).map_err(answer)
    }

    fn added(&self, containers: &[&Container]) -> Result<Vec<Vec<PathBuf>>, EngineError> {
        let end = Instant::now() + self.patience;
        let one = |container: &&Container| {
            let operation = format!("see what container {} keeps", container.name);
            let time = end.saturating_duration_since(Instant::now());
            match self.call(&operation, time, Path::new("/"), ["container", "diff", &container.name]) {
                Ok(answer) => Ok(inspect::added(&answer)),
                Err(EngineError::Command { source: CommandError::Failed { errors, .. }, .. })
                    if inspect::only_gone("container", &errors) =>
                {
                    Ok(Vec::new())
                }
                Err(error) => Err(error),
            }
        };
        containers.iter().map(one).collect()
    }

    fn configured(&self, project: &Project) -> Result<BTreeMap<String, Definition>, EngineError> {
        let operation = "read the compose files of";
        let config =
            |option: &str, value: &str| self.compose(operation, self.patience, project, ["config", option, value].map(Into::into).into());
        let (hashes, model) = (config("--hash", "*")?, config("--format", "json")?);
        model::definitions(&hashes, &model)
            .map_err(|reason| EngineError::Answer { operation: format!("{operation} project {}", project.name), reason })
    }

    fn images(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>, EngineError> {
        let inspect = |names: &mut dyn Iterator<Item = &String>| {
            self.ask("look for images", ["image", "inspect", "--format", "{{.Id}}"].into_iter().chain(names.map(String::as_str)))
        };
        let gone = |error: &EngineError| matches!(error, EngineError::Command { source: CommandError::Failed { errors, .. }, .. } if inspect::only_gone("image", errors));
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        match inspect(&mut names.iter()) {
            Ok(ids) => Ok(names.iter().cloned().zip(String::from_utf8_lossy(&ids).split_whitespace().map(str::to_owned)).collect()),
            Err(error) if !gone(&error) => Err(error),
            Err(_) if names.len() == 1 => Ok(BTreeMap::new()),
            // The answer does not name the images, so which of them is lacking has to be asked one by one.
            Err(_) => {
                let each = names.iter().map(|name| self.images(&BTreeSet::from([name.clone()])));
                Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            }
        }
    }

    fn down(&self, project: &Project, limit: Duration) -> Result<(), EngineError> {
        // Never with --volumes: this verb must not be able to delete data.
        self.compose("stop", self.change().min(limit), project, vec!["down".into()]).map(drop)
    }

    fn stop(&self, project: &Project, limit: Duration) -> Result<(), EngineError> {
        self.compose("stop", self.change().min(limit), project, vec!["stop".into()]).map(drop)
    }

    fn up(&self, project: &Project, limit: Duration) -> Result<(), EngineError> {
        // --no-deps: what was stopped stays stopped, even where a running service depends on it; compose still keeps the order among
        // those named. --pull missing: a `pull_policy: always` must neither fail without a network nor bring a new version at night.
        let mut verb: Vec<OsString> = ["up", "--detach", "--no-recreate", "--no-deps", "--pull", "missing"].map(Into::into).into();
        verb.extend(project.services.iter().flat_map(|service| ["--scale".into(), format!("{}={}", service.name, service.scale).into()]));
        verb.extend(project.services.iter().map(|service| service.name.clone().into()));
        self.compose("start", self.change().min(limit.max(self.patience)), project, verb).map(drop)
    }
}
