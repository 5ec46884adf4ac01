//! Whether what `compose up` would make is what runs: pure, from what the engine said and what is on the disk.
//!
//! A service that would find other data, or lacks what it cannot start without, is a refusal: it would be down, or worse, up and empty,
//! from the first night on. Another image or other settings are a warning: they are what the owner asked for, only not at night. They
//! are not held back, because containers made from ids and files of ours would not be the owner's any more: the next `up` by hand would
//! make all of them anew, and no updater would know them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{
    config::Quiesce,
    engine::{Container, Definition, Mount, Origin, State},
    ledger::{Project, Service},
};

/// What there is.
pub(crate) struct World<'a> {
    pub containers: &'a [Container],
    /// The id of each image by its name; of all names that were asked for.
    pub images: &'a BTreeMap<String, String>,
    /// Resolves a path's symbolic links, or returns it as it is.
    pub real: &'a dyn Fn(&Path) -> PathBuf,
    /// Whether a path is on the disk.
    pub exists: &'a dyn Fn(&Path) -> bool,
}

/// The names of images that `project` would be started from.
pub(crate) fn images(project: &Project, containers: &[Container], configured: &BTreeMap<String, Definition>) -> BTreeSet<String> {
    let of = |service: &Service| {
        let definition = configured.get(&service.name);
        running(project, service, containers).map(move |container| image(container, definition).to_owned()).collect::<Vec<_>>()
    };
    project.services.iter().flat_map(of).filter(|name| !name.is_empty()).collect()
}

/// Compares what ran with what would be started, which is the same containers after `quiesce: stop`. Returns refusals and warnings.
pub(crate) fn compare(
    project: &Project,
    quiesce: Quiesce,
    configured: &BTreeMap<String, Definition>,
    world: &World<'_>,
) -> (Vec<String>, Vec<String>) {
    let (mut refusals, mut warnings) = (BTreeSet::new(), BTreeSet::new());
    for service in &project.services {
        let of = format!("service {} of project {}", service.name, project.name);
        let Some(definition) = configured.get(&service.name) else {
            let folder = project.folder.display();
            let files = project.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
            refusals.insert(format!("{of} runs, but {files} no longer defines it, so nothing could start it again: define it again, or have it removed: cd {folder} && docker compose up -d --remove-orphans"));
            continue;
        };
        let anew = quiesce != Quiesce::Stop;
        for container in running(project, service, world.containers) {
            for path in needs(container, definition, anew).into_iter().filter(|path| !(world.exists)(path)) {
                let path = path.display();
                refusals.insert(format!(
                    "{of} needs {path}, which is not there any more, so nothing could start it again: put it back, or stop the service"
                ));
            }
            if anew {
                let folder = project.folder.display();
                refusals.extend(elsewhere(container, definition, world.real).into_iter().map(|says| {
                    format!("{of} {says}: variables of its compose files belong into an environment file, such as {folder}/.env; then start it as it shall be: cd {folder} && docker compose up -d")
                }));
                let name = image(container, definition.into());
                match world.images.get(name) {
                    None if !name.is_empty() => {
                        refusals.insert(format!("{of} needs the image {name}, which is not on this machine, so nothing could start it again: docker compose pull, or build"));
                    }
                    Some(id) if !container.image.id.is_empty() && *id != container.image.id => {
                        warnings.insert(format!("{of} comes back with another image: {name} was pulled or built anew since it was started; to have it change by day: docker compose up -d"));
                    }
                    _ => {}
                }
                // Without any the answer does not say them.
                if !definition.networks.is_empty() {
                    warnings.extend(container.networks.difference(&definition.networks).map(|network| {
                        format!("{of} comes back without the network {network}, which its compose files do not name: name it there")
                    }));
                }
                if hash(container).is_some_and(|hash| hash != definition.hash) {
                    warnings.insert(format!(
                        "{of} comes back changed: its compose files, environment or secrets are not what it was started with"
                    ));
                }
            }
        }
    }
    (refusals.into_iter().collect(), warnings.into_iter().collect())
}

/// The containers of `service` that run.
fn running<'a>(project: &'a Project, service: &'a Service, containers: &'a [Container]) -> impl Iterator<Item = &'a Container> {
    let is = |container: &&Container| {
        container
            .compose
            .as_ref()
            .is_some_and(|compose| compose.project == project.name && compose.service == service.name && !compose.oneoff)
    };
    containers.iter().filter(is).filter(|container| container.state != State::Stopped)
}

/// The name of the image that `container` would be made from. Compose makes one up where the files name none.
fn image<'a>(container: &'a Container, definition: Option<&'a Definition>) -> &'a str {
    definition.and_then(|definition| definition.image.as_ref()).unwrap_or(&container.image.name)
}

/// The hash of what `container` was made from, where it says something.
fn hash(container: &Container) -> Option<&str> {
    container.compose.as_ref().map(|compose| compose.hash.as_str()).filter(|hash| !hash.is_empty())
}

/// The paths without which `container` could not be started, or one that is made `anew` could not.
fn needs<'a>(container: &'a Container, definition: &'a Definition, anew: bool) -> BTreeSet<&'a Path> {
    let bound = container.mounts.iter().filter(|mount| mount.volume.is_none()).map(|mount| mount.source.as_path());
    let defined = definition.mounts.values().filter(|_| anew).filter_map(|origin| match origin {
        Origin::Path(path) => Some(path.as_path()),
        Origin::Volume(_, folder) => folder.as_deref(),
    });
    bound.chain(defined).chain(container.devices.iter().map(PathBuf::as_path)).collect()
}

/// What a container that is made anew would see somewhere else than `container` does, or not at all.
fn elsewhere(container: &Container, definition: &Definition, real: &dyn Fn(&Path) -> PathBuf) -> Vec<String> {
    let is = |origin: &Origin, mount: &Mount| match origin {
        Origin::Path(path) => mount.volume.is_none() && (*path == mount.source || real(path) == real(&mount.source)),
        Origin::Volume(name, _) => mount.volume.as_ref() == Some(name),
    };
    let mut said = Vec::new();
    // Those without a name are refused as a whole.
    for mount in container.mounts.iter().filter(|mount| !mount.anonymous()) {
        let has = mount.volume.as_ref().map_or_else(|| mount.source.display().to_string(), |name| format!("the volume {name}"));
        let at = mount.target.display();
        match definition.mounts.get(&mount.target) {
            Some(origin) if is(origin, mount) => {}
            Some(Origin::Path(path)) => said.push(format!("has {has} at {at}, and would come back with {} there", path.display())),
            Some(Origin::Volume(name, _)) => said.push(format!("has {has} at {at}, and would come back with the volume {name} there")),
            // Of another service, or the engine's own affair.
            None if definition.borrows || hash(container) == Some(definition.hash.as_str()) => {}
            None => said.push(format!("has {has} at {at}, and would come back without it")),
        }
    }
    said
}
