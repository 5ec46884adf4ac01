//! What disappears from the sources together with the services.
//!
//! A volume with `driver_opts` (a bound folder, a share, a disk of its own) is mounted by the engine for its containers, and unmounted
//! when the last of them stops, for `stop` as for `down`. So it can be read only while its service runs: what is found at its place in a
//! downtime is an empty folder, which must not pass for its content.

use std::path::{Path, PathBuf};

use super::{Root, SourceError, mounted};
use crate::{
    engine::{Container, State},
    ledger::Project,
    mounts::Mount,
    quiesce::real,
};

/// What was mounted in roots and above them.
pub(crate) struct There(Vec<Mount>);

impl There {
    /// Looks at `roots`, while services still run.
    ///
    /// Errors: [`SourceError::Look`].
    pub(crate) fn look(roots: &[Root]) -> Result<Self, SourceError> {
        Ok(Self(concerned(mounted()?, roots)))
    }

    /// Why what can be read now is not what was there: each thing that is no longer mounted, in one sentence.
    ///
    /// Errors: [`SourceError::Look`].
    pub(crate) fn gone(&self) -> Result<Option<String>, SourceError> {
        Ok(says(&self.0, &mounted()?))
    }
}

/// Those of `mounts` that hold something of `roots`.
fn concerned(mounts: Vec<Mount>, roots: &[Root]) -> Vec<Mount> {
    let roots: Vec<(PathBuf, Vec<PathBuf>)> =
        roots.iter().map(|root| (real(&root.path), root.exclude.iter().map(|out| real(out)).collect())).collect();
    let holds = |at: &Path| {
        let of = |(root, exclude): &(PathBuf, Vec<PathBuf>)| {
            root.starts_with(at) || at.starts_with(root) && !exclude.iter().any(|out| at.starts_with(out))
        };
        at != Path::new("/") && roots.iter().any(of)
    };
    // A volume may be an overlay too; other overlays are the roots of containers.
    mounts
        .into_iter()
        .filter(|mount| (mount.is_lasting() || mount.kind == "overlay" && mount.volume().is_some()) && holds(&mount.at))
        .collect()
}

fn says(before: &[Mount], now: &[Mount]) -> Option<String> {
    let name = |mount: &Mount| {
        let at = mount.at.display();
        mount.volume().map_or_else(|| at.to_string(), |volume| format!("volume {volume} ({at})"))
    };
    let mut gone: Vec<String> = before.iter().filter(|mount| now.iter().all(|other| other.at != mount.at)).map(name).collect();
    gone.dedup();
    (!gone.is_empty()).then(|| {
        format!(
            "not mounted while services were away, so what is in it was not read and this archive replaces no good one: {}",
            gone.join(", ")
        )
    })
}

/// The volumes of running containers of `projects` that lie in `sources` and are mounted as long as their service runs only, one sentence
/// for each. Pure.
pub(crate) fn goes_with(
    mounts: &[Mount],
    containers: &[Container],
    projects: &[Project],
    sources: &[PathBuf],
    real: &dyn Fn(&Path) -> PathBuf,
) -> Vec<String> {
    let sources: Vec<PathBuf> = sources.iter().map(|source| real(source)).collect();
    let is_stopped = |container: &Container| {
        container.compose.as_ref().is_some_and(|compose| projects.iter().any(|project| project.name == compose.project))
    };
    let running = || containers.iter().filter(|container| container.state != State::Stopped);
    let uses = |container: &Container, path: &Path| container.mounts.iter().any(|mount| mount.source == path);
    let mut said: Vec<String> = Vec::new();
    for mount in running().filter(|container| is_stopped(container)).flat_map(|container| &container.mounts) {
        let Some(volume) = &mount.volume else { continue };
        let at = real(&mount.source);
        let is_kept = running().any(|container| !is_stopped(container) && uses(container, &mount.source));
        let is_read = sources.iter().any(|source| source.starts_with(&at) || at.starts_with(source));
        if is_read && !is_kept && mounts.iter().any(|one| one.at == at && (one.is_lasting() || one.kind == "overlay")) {
            said.push(format!(
                "volume {volume} is mounted only while its service runs, so its data cannot be read while that is away, and no archive is \
                 complete: name the folder or disk behind it (its driver_opts) as a source, and not {}",
                at.display()
            ));
        }
    }
    said.sort();
    said.dedup();
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Engine, Mount as Piece},
        fake::{Fake, project},
    };

    fn disk(at: &str) -> Mount {
        Mount { at: at.into(), kind: "ext4".into(), ..Mount::default() }
    }

    fn root(path: &str, exclude: &[&str]) -> Root {
        Root { source: path.into(), path: path.into(), exclude: exclude.iter().map(PathBuf::from).collect() }
    }

    #[test]
    fn what_is_unmounted_with_a_service_is_named() {
        let volume = "/v/volumes/p_ext/_data";
        let all = || vec![disk("/"), disk("/v"), disk(volume), disk("/other"), Mount { kind: "tmpfs".into(), ..disk("/v/shm") }];
        let seen = |roots: &[Root]| concerned(all(), roots).into_iter().map(|mount| mount.at).collect::<Vec<_>>();
        assert_eq!(seen(&[root("/v/volumes", &[])]), [Path::new("/v"), Path::new(volume)]);
        assert_eq!(seen(&[root("/v/volumes/p_ext/_data/deep", &[])]), [Path::new("/v"), Path::new(volume)]);
        assert_eq!(seen(&[root("/v/volumes", &["/v/volumes/p_ext"])]), [Path::new("/v")]);
        let before = concerned(all(), &[root("/v/volumes", &[])]);
        assert_eq!(says(&before, &all()), None);
        let reason = says(&before, &[disk("/"), disk("/v")]).unwrap();
        assert!(reason.ends_with(&format!("no good one: volume p_ext ({volume})")), "{reason}");
        // A share that its automount took away comes again by itself.
        assert_eq!(says(&before, &[disk("/v"), Mount { kind: "autofs".into(), ..disk(volume) }]), None);
    }

    #[test]
    fn a_volume_that_is_mounted_for_a_service_only_is_told_beforehand() {
        let volume = "/v/volumes/p_ext/_data";
        let mut containers = Fake::new(&["a", "b"]).containers().unwrap();
        containers[0].mounts = vec![Piece { source: volume.into(), volume: Some("p_ext".into()), target: "/d".into(), writable: true }];
        let same = |path: &Path| path.to_path_buf();
        let says = |mounts: &[Mount], containers: &[Container], source: &str| {
            goes_with(mounts, containers, &[project("a")], &[source.into()], &same)
        };
        let mounts = [disk("/"), disk(volume)];
        let said = says(&mounts, &containers, "/v/volumes");
        assert!(said.len() == 1 && said[0].starts_with("volume p_ext is mounted only while its service runs"), "{said:?}");
        assert_eq!(says(&mounts, &containers, "/srv"), [""; 0]);
        assert_eq!(says(&mounts[..1], &containers, "/v/volumes"), [""; 0]);
        // Another container keeps it.
        containers[1].mounts = containers[0].mounts.clone();
        assert_eq!(says(&mounts, &containers, "/v/volumes"), [""; 0]);
    }
}
