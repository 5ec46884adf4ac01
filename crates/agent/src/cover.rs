//! What services write to that is in no archive: the new service that nobody thought of.
//!
//! Invariant: what is in the sources under another name (a bind mount, a volume with `driver_opts`) counts as archived; what is only
//! memory, or the machine's own, is no data. A warning, and no less of an archive: what it holds is good.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    config::Config,
    engine::{Container, State},
    ledger::Project,
    mounts::Mount,
    quiesce::real,
    sources::{SourceError, origins},
};

/// What `projects` write to that is in the sources of no job of `config`, as one sentence each; `mounted` is what is mounted now.
pub(crate) fn uncovered(
    config: &Config,
    containers: &[Container],
    projects: &[Project],
    mounted: Result<Vec<Mount>, SourceError>,
) -> Vec<String> {
    let mut sources: Vec<PathBuf> = config.jobs.values().flat_map(|job| job.sources.clone()).collect();
    let untold = mounted.map(|mounts| sources.extend(bound(&mounts, &sources))).err();
    let untold =
        untold.map(|error| format!("what is archived under another name is not told from what is not: {}", crate::human::chain(&error)));
    untold.into_iter().chain(beside(containers, projects, &sources, &real)).collect()
}

/// The places of volumes whose data lie in `sources` under another path, and are archived there.
fn bound(mounts: &[Mount], sources: &[PathBuf]) -> Vec<PathBuf> {
    let sources: Vec<PathBuf> = sources.iter().map(|source| real(source)).collect();
    let is_in = |path: &PathBuf| sources.iter().any(|source| path.starts_with(source));
    let volumes = mounts.iter().filter(|mount| mount.volume().is_some());
    volumes.filter(|mount| origins(mounts, mount).iter().any(is_in)).map(|mount| mount.at.clone()).collect()
}

/// The same with all `sources` at hand, under each of their names.
pub(crate) fn beside(containers: &[Container], projects: &[Project], sources: &[PathBuf], real: &dyn Fn(&Path) -> PathBuf) -> Vec<String> {
    const NOT_DATA: [&str; 8] = ["/run", "/var/run", "/dev", "/proc", "/sys", "/tmp", "/etc/localtime", "/etc/timezone"];
    let sources: Vec<PathBuf> = sources.iter().flat_map(|source| [source.clone(), real(source)]).collect();
    let covered = |path: &Path| sources.iter().any(|source| path.starts_with(source) || real(path).starts_with(source));
    let mut said = BTreeSet::new();
    for container in containers.iter().filter(|container| container.state != State::Stopped) {
        let Some(compose) = container.compose.as_ref().filter(|compose| projects.iter().any(|project| project.name == compose.project))
        else {
            continue;
        };
        for mount in container.mounts.iter().filter(|mount| mount.writable && !mount.anonymous() && !covered(&mount.source)) {
            if NOT_DATA.iter().all(|folder| !mount.source.starts_with(folder)) {
                let what = mount.volume.as_ref().map_or_else(|| mount.source.display().to_string(), |name| format!("volume {name}"));
                said.insert(format!(
                    "service {} of project {} writes to {what}, which is in no job's sources",
                    compose.service, compose.project
                ));
            }
        }
    }
    said.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_whose_folder_is_a_source_is_archived() {
        let mount = |root: &str, at: &str| Mount { at: at.into(), device: "8:1".into(), root: root.into(), ..Mount::default() };
        let mounts = [mount("/", "/"), mount("/s/ext", "/v/volumes/ext/_data"), mount("/o", "/v/volumes/o/_data"), mount("/s/x", "/mnt")];
        assert_eq!(bound(&mounts, &["/s".into()]), [Path::new("/v/volumes/ext/_data")]);
    }
}
