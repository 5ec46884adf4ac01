//! An engine for tests: projects that run or not, and a list of what it was asked to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    config::Url,
    engine::{CommandError, Compose, Container, Definition, Engine, EngineError, Health, Image, State},
    health::Probe,
    ledger::{Project, Service},
};

type Hook = Box<dyn FnMut(&str) + Send>;

/// Each of its projects has one service `x` in one container.
#[derive(Default)]
pub(crate) struct Fake {
    running: Mutex<BTreeSet<String>>,
    calls: Mutex<Vec<String>>,
    /// What the containers' health checks say; one after the other, the last for ever. They have none where empty.
    pub health: Mutex<Vec<Health>>,
    /// Calls that fail, as "down a"; they do what they do all the same.
    pub fails: BTreeSet<String>,
    /// Calls that do not end within their limit, and do nothing.
    pub hangs: BTreeSet<String>,
    /// Calls that fail and do nothing, so many times.
    pub refuses: Mutex<BTreeMap<String, u32>>,
    /// How long each `up` might have taken.
    pub limits: Mutex<Vec<Duration>>,
    /// What each container has added to its image; the question fails where `None`.
    pub added: Option<Vec<PathBuf>>,
    /// Told each call after it was done.
    pub hook: Mutex<Option<Hook>>,
    /// Projects that end by themselves after the next list of containers.
    pub ending: Arc<Mutex<Vec<String>>>,
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A project as it ran.
pub(crate) fn project(name: &str) -> Project {
    let service = Service { name: "x".into(), scale: 1, restarting: false };
    Project { name: name.into(), folder: format!("/s/{name}").into(), files: Vec::new(), environment: Vec::new(), services: vec![service] }
}

impl Fake {
    pub(crate) fn new(projects: &[&str]) -> Self {
        Self { running: Mutex::new(projects.iter().map(|name| (*name).to_owned()).collect()), added: Some(Vec::new()), ..Self::default() }
    }

    pub(crate) fn running(&self) -> Vec<String> {
        held(&self.running).iter().cloned().collect()
    }

    /// Somebody stops `project`, by hand.
    pub(crate) fn somebody_stops(&self, project: &str) {
        held(&self.running).remove(project);
    }

    /// Somebody starts `project`, by hand.
    pub(crate) fn somebody_starts(&self, project: &str) {
        held(&self.running).insert(project.to_owned());
    }

    /// What was changed, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        held(&self.calls).clone()
    }

    fn change(&self, verb: &str, project: &Project, limit: Duration) -> Result<(), EngineError> {
        let call = format!("{verb} {}", project.name);
        held(&self.calls).push(call.clone());
        let failed = |source| EngineError::Command { operation: call.clone(), source };
        if self.hangs.contains(&call) {
            std::thread::sleep(limit);
            return Err(failed(CommandError::Late { command: "docker".into(), seconds: limit.as_secs(), said: "nothing".into() }));
        }
        if let Some(times) = held(&self.refuses).get_mut(&call).filter(|times| **times > 0) {
            *times -= 1;
            let source = std::io::Error::other("the engine does not answer");
            return Err(failed(CommandError::Follow { command: "docker".into(), source }));
        }
        if verb == "up" {
            held(&self.running).insert(project.name.clone());
        } else {
            held(&self.running).remove(&project.name);
        }
        if let Some(hook) = held(&self.hook).as_mut() {
            hook(&call);
        }
        let source = || std::io::Error::other("network has active endpoints");
        if self.fails.contains(&call) { Err(failed(CommandError::Follow { command: "docker".into(), source: source() })) } else { Ok(()) }
    }
}

impl Engine for Fake {
    fn version(&self) -> Result<String, EngineError> {
        Ok("fake".into())
    }

    fn containers(&self) -> Result<Vec<Container>, EngineError> {
        let mut health = held(&self.health);
        let now = if health.len() > 1 { Some(health.remove(0)) } else { health.first().copied() };
        let container = |name: &String| Container {
            name: format!("{name}-x-1"),
            state: State::Running,
            health: now,
            grace: Some(Duration::ZERO),
            created: String::new(),
            compose: Some(Compose {
                project: name.clone(),
                service: "x".into(),
                oneoff: false,
                folder: format!("/s/{name}").into(),
                files: vec![format!("/s/{name}/compose.yaml").into()],
                environment: Vec::new(),
                hash: "1".into(),
            }),
            mounts: Vec::new(),
            memory: Vec::new(),
            networks: BTreeSet::new(),
            devices: Vec::new(),
            image: Image::default(),
        };
        let found = held(&self.running).iter().map(container).collect();
        for ended in held(&self.ending).drain(..) {
            held(&self.running).remove(&ended);
        }
        Ok(found)
    }

    fn added(&self, containers: &[&Container]) -> Result<Vec<Vec<PathBuf>>, EngineError> {
        let failed = || EngineError::Answer { operation: "see what containers keep".into(), reason: "nobody knows".into() };
        Ok(vec![self.added.clone().ok_or_else(failed)?; containers.len()])
    }

    fn configured(&self, _: &Project) -> Result<BTreeMap<String, Definition>, EngineError> {
        Ok([("x".to_owned(), Definition { hash: "1".into(), ..Definition::default() })].into())
    }

    fn images(&self, _: &BTreeSet<String>) -> Result<BTreeMap<String, String>, EngineError> {
        Ok(BTreeMap::new())
    }

    fn down(&self, project: &Project, limit: Duration) -> Result<(), EngineError> {
        self.change("down", project, limit)
    }

    fn stop(&self, project: &Project, limit: Duration) -> Result<(), EngineError> {
        self.change("stop", project, limit)
    }

    fn up(&self, project: &Project, limit: Duration) -> Result<(), EngineError> {
        held(&self.limits).push(limit);
        self.change("up", project, limit)
    }
}

/// Answers with what it holds.
pub(crate) struct Answers(pub Result<(), String>);

impl Probe for Answers {
    fn ask(&self, _: &Url, _: Option<&Path>) -> Result<(), String> {
        self.0.clone()
    }

    fn ready(&self, _: Option<&Path>) -> Result<String, String> {
        Ok("fake".into())
    }
}
