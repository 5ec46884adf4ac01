//! What a run would stop, in which steps, and whether all of it would be back and well: asked, and nothing changed.

use std::{collections::BTreeMap, path::Path};

use offsite_archive::JobName;

use super::{Findings, Level};
use crate::{
    config::{Config, Job, Quiesce, Scope},
    engine::{Container, Docker, Engine},
    groups,
    health::{Curl, Probe, unwell},
    human::chain,
    plan::unstopped,
    quiesce::{Prepared, QuiesceError, prepare, real},
    sources::{goes_with, mounted},
};

pub(super) fn services(config: &Config, found: &mut Findings) {
    let engine = Docker::new(&config.docker, None).patient(config.docker_patience);
    match engine.version() {
        Ok(version) => found.add(Level::Ok, "engine", version),
        Err(error) => return found.add(Level::Bad, "engine", chain(&error)),
    }
    let mut stopped: BTreeMap<String, &JobName> = BTreeMap::new();
    for (name, job) in config.jobs.iter().filter(|(_, job)| job.quiesce != Quiesce::None) {
        let what = format!("job {name}");
        match prepare(&engine, config, name, job) {
            Ok(prepared) => {
                stops(job, &prepared, &what, found);
                for project in prepared.projects {
                    if let Some(other) = stopped.insert(project.name.clone(), name) {
                        let place = config.place_of_projects(name, job);
                        found.add(
                            Level::Warning,
                            &what,
                            format!("stops project {} as job {other} does: it is away twice ({place})", project.name),
                        );
                    }
                }
            }
            Err(QuiesceError::Refused { place, reasons }) => {
                reasons.into_iter().for_each(|reason| found.add(Level::Bad, &what, format!("{reason} ({place})")))
            }
            Err(error) => found.add(Level::Bad, &what, chain(&error)),
        }
        addresses(config, name, job, found);
    }
    if let Ok(containers) = engine.containers() {
        for (name, job) in &config.jobs {
            for source in job.sources.iter().filter(|source| std::fs::symlink_metadata(source).is_err()) {
                if let Some(says) = inside(source, &containers) {
                    let place = config.place(&["jobs", name.as_str(), "sources", &source.to_string_lossy()]);
                    found.add(Level::Bad, &format!("job {name}"), format!("{says} ({place})"));
                }
            }
        }
    }
}

/// The downtimes of a run, and what would come back unwell.
fn stops(job: &Job, prepared: &Prepared, what: &str, found: &mut Findings) {
    let Prepared { projects, containers, warnings } = prepared;
    for project in projects {
        let services = project.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ");
        found.add(Level::Ok, what, format!("stops and brings back project {}: {services}", project.name));
    }
    if projects.is_empty() {
        found.add(Level::Warning, what, "no compose project of its folders is running, so nothing is stopped");
    }
    warnings.iter().for_each(|warning| found.add(Level::Warning, what, warning));
    for says in unstopped(containers, job, &real) {
        found.add(Level::Warning, what, format!("{says}: an archive of that replaces no good one; stop it with a job (its compose files below \"projects\"), or have what it writes to archived by a job with \"quiesce: none\""));
    }
    if job.scope == Scope::Each {
        let (_, warnings) = groups::steps(job, containers, projects, &real);
        warnings.into_iter().for_each(|warning| found.add(Level::Warning, what, warning));
    }
    match mounted() {
        Ok(mounts) => {
            let said = goes_with(&mounts, containers, projects, &job.sources, &real);
            said.into_iter().for_each(|says| found.add(Level::Warning, what, says));
        }
        Err(error) => found.add(Level::Warning, what, chain(&error)),
    }
    for says in unwell(projects, containers) {
        found.add(Level::Warning, what, format!("{says}: an archive after which it is still so would replace no good one"));
    }
}

/// Whether the addresses of `job` can be asked, and what they say now.
fn addresses(config: &Config, name: &JobName, job: &Job, found: &mut Findings) {
    if job.health.urls.is_empty() {
        return;
    }
    let what = format!("job {name}");
    let place = |key| config.place(&["jobs", name.as_str(), key]);
    match Curl.ready(job.health.ca.as_deref()) {
        Ok(version) => found.add(Level::Ok, &what, format!("asks its addresses with {version}")),
        Err(reason) => return found.add(Level::Bad, &what, format!("{reason} ({})", place("health"))),
    }
    for url in &job.health.urls {
        match Curl.ask(url, job.health.ca.as_deref()) {
            Ok(()) => found.add(Level::Ok, &what, format!("{url} answers")),
            Err(reason) => found.add(Level::Warning, &what, format!("{reason} ({})", place("health"))),
        }
    }
}

/// What somebody probably meant who named a path that is only inside a container.
fn inside(source: &Path, containers: &[Container]) -> Option<String> {
    let (container, mount, rest) = containers.iter().find_map(|container| {
        let mount = container.mounts.iter().find(|mount| mount.target != Path::new("/") && source.starts_with(&mount.target))?;
        Some((container, mount, source.strip_prefix(&mount.target).ok()?))
    })?;
    let here = if rest.as_os_str().is_empty() { mount.source.clone() } else { mount.source.join(rest) };
    Some(format!("{} is a path inside container {}; on this machine it is {}", source.display(), container.name, here.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine, fake::Fake};

    #[test]
    fn a_path_of_a_container_is_told_from_one_that_is_missing() {
        let mut containers = Fake::new(&["a"]).containers().unwrap();
        let mount =
            |source: &str, target: &str| engine::Mount { source: source.into(), volume: None, target: target.into(), writable: true };
        containers[0].mounts = vec![mount("/srv/a/data", "/var/lib/data"), mount("/", "/")];
        let says = |source: &str| inside(Path::new(source), &containers);
        assert_eq!(says("/var/lib/data").unwrap(), "/var/lib/data is a path inside container a-x-1; on this machine it is /srv/a/data");
        assert!(says("/var/lib/data/x").unwrap().ends_with("it is /srv/a/data/x"));
        assert_eq!(says("/var/lib/other"), None);
    }
}
