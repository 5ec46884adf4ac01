//! What `down` would remove with a container: files that a service keeps in it, because nobody gave their folder a volume. Pure.
//!
//! Only what was added counts, and where programs keep what matters: caches, logs and what lives for one start are left out, or there
//! would be a warning each night that nobody reads. One file is named and none counted: the sentence is the same each night.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    engine::{Container, EngineError},
    ledger::Project,
};

/// The containers that `down` removes with `projects`.
pub(crate) fn removed<'a>(containers: &'a [Container], projects: &[Project]) -> Vec<&'a Container> {
    let goes = |container: &&Container| {
        // Those of `compose run` were made to be thrown away.
        container.compose.as_ref().is_some_and(|compose| !compose.oneoff && projects.iter().any(|project| project.name == compose.project))
    };
    containers.iter().filter(goes).collect()
}

/// What of the paths that each of `containers` has `added` to its image is lost with it: one sentence for each service.
pub(crate) fn lost(containers: &[&Container], added: Vec<Vec<PathBuf>>) -> Vec<String> {
    let mut first: BTreeMap<(&str, &str), PathBuf> = BTreeMap::new();
    for (container, added) in containers.iter().zip(added) {
        let Some(compose) = &container.compose else { continue };
        if let Some(file) = file(container, added) {
            let known = first.entry((&compose.project, &compose.service)).or_insert_with(|| file.clone());
            *known = file.min(std::mem::take(known));
        }
    }
    let says = |((project, service), file): ((&str, &str), PathBuf)| {
        format!(
            "service {service} of project {project} keeps files in its container, {} for one: down removes them; give that folder a volume, or the job quiesce: stop",
            file.display()
        )
    };
    first.into_iter().map(says).collect()
}

/// That nobody can tell, because of `error`: the same sentence each night, whatever the engine said in that one.
pub(crate) fn untold(error: &EngineError) -> String {
    let (operation, why) = match error {
        // All of them together have the time of one question: in whose turn it ends is chance.
        _ if error.is_late() => ("see what containers keep", "the docker command took too long"),
        EngineError::Command { operation, .. } => (operation.as_str(), "the docker command failed"),
        EngineError::Answer { operation, .. } => (operation.as_str(), "the docker command's answer cannot be understood"),
        EngineError::Old { .. } => ("see what containers keep", "docker compose is too old"),
    };
    format!("cannot {operation}, which down removes: {why}; its words are in the log")
}

/// The first file among `added` that looks like data.
fn file(container: &Container, mut added: Vec<PathBuf>) -> Option<PathBuf> {
    added.sort();
    // What lies in a folder follows it, and what is mounted leaves its empty place in the container.
    let is_folder = |at: usize| added.get(at + 1).is_some_and(|next| next.starts_with(&added[at]));
    let mounted = |path: &Path| {
        let targets = container.mounts.iter().map(|mount| &mount.target).chain(&container.memory);
        targets.into_iter().any(|target| path.starts_with(target))
    };
    (0..added.len()).find(|at| !is_folder(*at) && !mounted(&added[*at]) && !is_passing(&added[*at])).map(|at| added[at].clone())
}

/// Whether `path` lies where nobody keeps anything.
fn is_passing(path: &Path) -> bool {
    const FOLDERS: [&str; 10] = ["/tmp", "/run", "/var/run", "/var/tmp", "/var/log", "/var/cache", "/etc", "/dev", "/proc", "/sys"];
    const NAMES: [&str; 2] = [".cache", "__pycache__"];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    FOLDERS.iter().any(|folder| path.starts_with(folder))
        || path.components().any(|part| NAMES.iter().any(|name| part.as_os_str() == *name))
        // The last one is what a shell leaves of whoever looked in.
        || [".pid", ".sock", "_history"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CommandError;

    #[test]
    fn that_nobody_can_tell_is_the_same_sentence_each_night() {
        let failed = |operation: &str, source| untold(&EngineError::Command { operation: operation.into(), source });
        let late = |name: &str, seconds| {
            let source = CommandError::Late { command: format!("docker container diff {name}"), seconds, said: "it said nothing".into() };
            failed(&format!("see what container {name} keeps"), source)
        };
        assert_eq!(
            late("a", 119),
            "cannot see what containers keep, which down removes: the docker command took too long; its words are in the log"
        );
        assert_eq!(late("a", 119), late("b", 3));
        let other = |number| {
            let source = std::io::Error::from_raw_os_error(number);
            failed("see what container a keeps", CommandError::Follow { command: "docker".into(), source })
        };
        assert_eq!(other(1), "cannot see what container a keeps, which down removes: the docker command failed; its words are in the log");
        assert_eq!(other(1), other(5));
    }
}
