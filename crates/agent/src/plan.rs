//! What is stopped for a job, and whether that is safe: pure, from what the engine said.
//!
//! Invariant: whatever the plan lets a run stop, the ledger can bring back, as far as asking can tell. So all that `compose down` would
//! destroy and `compose up` would not bring back is a refusal, before anything is touched: here data in volumes without a name,
//! containers of `compose run` and frozen services; in [`same`] services that lack what they start from, or would find other data.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{
    config::{Job, Quiesce},
    engine::{Compose, Container, State},
    ledger::{Project, Service},
};

pub(crate) mod kept;
pub(crate) mod same;

/// What a run is going to stop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    /// The projects that are running, by name.
    pub projects: Vec<Project>,
    /// Why the run must not stop anything; empty where it may.
    pub refusals: Vec<String>,
}

/// Plans the quiesce of `job` among `containers`. `real` resolves a path's symbolic links, or returns it as it is.
pub(crate) fn plan(containers: &[Container], job: &Job, real: &dyn Fn(&Path) -> PathBuf) -> Plan {
    let mut plan = Plan::default();
    for (name, members) in members(containers, job, real) {
        plan.refusals.extend(refusals(name, &members, job.quiesce));
        plan.projects.extend(project(name, &members));
    }
    plan
}

/// The containers of each project of `job` of which anything runs.
fn members<'a>(
    containers: &'a [Container],
    job: &Job,
    real: &dyn Fn(&Path) -> PathBuf,
) -> BTreeMap<&'a str, Vec<(&'a Container, &'a Compose)>> {
    let folders: Vec<PathBuf> = job.projects.iter().flat_map(|folder| [folder.clone(), real(folder)]).collect();
    let below = |path: &Path| folders.iter().any(|folder| path.starts_with(folder) || real(path).starts_with(folder));
    let mut projects: BTreeMap<&str, Vec<(&Container, &Compose)>> = BTreeMap::new();
    for container in containers {
        if let Some(compose) = &container.compose {
            projects.entry(&compose.project).or_default().push((container, compose));
        }
    }
    projects.retain(|_, members| members.iter().any(|(_, compose)| below(&compose.folder) || compose.files.iter().any(|file| below(file))));
    projects.retain(|_, members| members.iter().any(|(container, _)| container.state != State::Stopped));
    projects
}

/// What of one project could not be brought back.
fn refusals(project: &str, members: &[(&Container, &Compose)], quiesce: Quiesce) -> Vec<String> {
    let mut said = Vec::new();
    for (container, compose) in members {
        let name = &container.name;
        if compose.oneoff {
            if container.state != State::Stopped {
                said.push(format!("container {name} of project {project} was made by `docker compose run`, which nothing could repeat: wait until it ends, or stop it"));
            }
            continue;
        }
        if container.state == State::Paused {
            said.push(format!("container {name} of project {project} is paused: unpause or stop it"));
        }
        // A container that is only stopped keeps them.
        for mount in container.mounts.iter().filter(|mount| mount.anonymous() && quiesce != Quiesce::Stop) {
            let target = mount.target.display();
            said.push(format!("container {name} of project {project} keeps {target} in a volume without a name, which would be lost: give it one in the compose file, as `volumes: [\"data:{target}\"]`"));
        }
    }
    let newest = newest(members);
    if newest.is_none_or(|(_, compose)| compose.files.is_empty() || compose.files.iter().any(|file| !file.is_absolute())) {
        said.push(format!("project {project} was not started from compose files on this disk: start it with `docker compose up -d` in a folder that holds its compose.yaml"));
    }
    said
}

/// The member made last: its notes are of the newest `up`, while containers that did not change keep those of older ones.
fn newest<'a, 'b>(members: &'a [(&'b Container, &'b Compose)]) -> Option<&'a (&'b Container, &'b Compose)> {
    members.iter().filter(|(_, compose)| !compose.oneoff).max_by_key(|(container, _)| (&container.created, &container.name))
}

fn project(name: &str, members: &[(&Container, &Compose)]) -> Option<Project> {
    let (_, compose) = newest(members)?;
    let mut services: BTreeMap<&str, Service> = BTreeMap::new();
    for (container, compose) in members.iter().filter(|(container, compose)| !compose.oneoff && container.state != State::Stopped) {
        let service =
            services.entry(&compose.service).or_insert_with(|| Service { name: compose.service.clone(), scale: 0, restarting: false });
        service.scale += 1;
        service.restarting |= container.state == State::Restarting;
    }
    let services: Vec<Service> = services.into_values().collect();
    (!services.is_empty()).then(|| Project {
        name: name.to_owned(),
        folder: compose.folder.clone(),
        files: compose.files.clone(),
        environment: compose.environment.clone(),
        services,
    })
}

/// Containers that go on writing into the sources while they are read, because `job` does not stop them: each as one sentence.
pub(crate) fn unstopped(containers: &[Container], job: &Job, real: &dyn Fn(&Path) -> PathBuf) -> Vec<String> {
    let inside = members(containers, job, real);
    let sources: Vec<PathBuf> = job.sources.iter().flat_map(|source| [source.clone(), real(source)]).collect();
    let ours = |container: &Container| container.compose.as_ref().is_some_and(|compose| inside.contains_key(compose.project.as_str()));
    let mut said = BTreeSet::new();
    for container in containers.iter().filter(|container| container.state != State::Stopped && !ours(container)) {
        let writes = container.mounts.iter().find(|mount| mount.writable && sources.iter().any(|source| mount.source.starts_with(source)));
        if let Some(mount) = writes {
            let of = container.compose.as_ref().map_or_else(String::new, |compose| format!(" of project {}", compose.project));
            said.insert(format!("container {}{of} is not stopped by this job and may write to {}", container.name, mount.source.display()));
        }
    }
    said.into_iter().collect()
}

/// The services of `project` that do not run as recorded, each as one sentence.
pub(crate) fn lacking(project: &Project, containers: &[Container]) -> Vec<String> {
    let running = |service: &Service| {
        let is = |container: &&Container| {
            container
                .compose
                .as_ref()
                .is_some_and(|compose| compose.project == project.name && compose.service == service.name && !compose.oneoff)
        };
        containers.iter().filter(is).filter(|container| container.state == State::Running).count()
    };
    let owed = project.services.iter().filter(|service| !service.restarting && running(service) < service.scale as usize);
    owed.map(|service| {
        format!("service {} of project {} runs {} of {} containers", service.name, project.name, running(service), service.scale)
    })
    .collect()
}

/// The containers of `projects` that still run, by name.
pub(crate) fn still_running(projects: &[Project], containers: &[Container]) -> Vec<String> {
    let member = |container: &&Container| {
        container.compose.as_ref().is_some_and(|compose| !compose.oneoff && projects.iter().any(|project| project.name == compose.project))
    };
    containers.iter().filter(member).filter(|container| container.state != State::Stopped).map(|container| container.name.clone()).collect()
}

/// Who was woken while files were read: containers of `away` that run, those of `compose run` included, and those of projects
/// of `job` that are not `known` to have run when it was planned.
pub(crate) fn woken(
    away: &[Project],
    known: &BTreeSet<String>,
    job: &Job,
    containers: &[Container],
    real: &dyn Fn(&Path) -> PathBuf,
) -> Vec<String> {
    let of = |container: &Container| container.compose.as_ref().map(|compose| compose.project.clone());
    let new: BTreeSet<String> =
        members(containers, job, real).into_keys().filter(|name| !known.contains(*name)).map(str::to_owned).collect();
    let is = |name: &String| new.contains(name) || away.iter().any(|project| project.name == *name);
    let running = containers.iter().filter(|container| container.state != State::Stopped && of(container).as_ref().is_some_and(is));
    running.map(|container| container.name.clone()).collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
pub(crate) mod tests;
