//! `scope: each`: which projects have to be away together, and which part of the sources belongs to them: pure, but that [`steps`] looks
//! at what is mounted.
//!
//! Invariants: every path below the sources lies in exactly one root; what a running container of a project may write to below the
//! sources lies in a root of that project's group, or in one of a project that is away at the same time. So each root is read while
//! nothing that the job stops can write to it. A compose folder may hold other projects' folders: the deeper claim wins. A folder that is
//! mounted at a second place (a bind mount, a volume with `driver_opts`) is claimed at both; where that cannot be told, all are away.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    config::{Job, Scope},
    engine::{Container, State},
    ledger::Project,
    mounts::Mount,
    sources::{Root, everywhere, mounted},
};

/// Projects that are away together, and what is read meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub projects: Vec<Project>,
    /// By path; empty where nothing of theirs lies below the sources: then they need not be stopped.
    pub roots: Vec<Root>,
}

/// The sources of a job, divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Groups {
    /// In the order of the projects.
    pub groups: Vec<Group>,
    /// What belongs to no project.
    pub rest: Vec<Root>,
}

/// A path below the sources that belongs to a project.
struct Claim {
    path: PathBuf,
    /// Index of the project.
    project: usize,
    /// Whether a container of it may write there; its compose folder is only where its files lie.
    writes: bool,
}

/// What a run of `job` does one after the other: stop these projects, read these roots. Those that stop nothing come first, because
/// nothing depends on when they are read. Also what a person should know.
pub(crate) fn steps(
    job: &Job,
    containers: &[Container],
    projects: &[Project],
    real: &dyn Fn(&Path) -> PathBuf,
) -> (Vec<Group>, Vec<String>) {
    if job.scope == Scope::All || projects.is_empty() {
        return (all(job, projects), Vec::new());
    }
    match mounted() {
        Ok(mounts) => each(job, containers, projects, real, &mounts),
        Err(error) => (all(job, projects), vec![format!("all services are away together: {error}")]),
    }
}

/// One downtime for everything.
fn all(job: &Job, projects: &[Project]) -> Vec<Group> {
    vec![Group { projects: projects.to_vec(), roots: whole(job) }]
}

/// The sources, undivided.
pub(crate) fn whole(job: &Job) -> Vec<Root> {
    let root = |source: &PathBuf| Root { source: source.clone(), path: source.clone(), exclude: Vec::new() };
    job.sources.iter().map(root).collect()
}

fn each(
    job: &Job,
    containers: &[Container],
    projects: &[Project],
    real: &dyn Fn(&Path) -> PathBuf,
    mounts: &[Mount],
) -> (Vec<Group>, Vec<String>) {
    let divided = match groups(containers, projects, &job.sources, real, mounts) {
        Ok(divided) => divided,
        Err(unclear) => return (all(job, projects), vec![unclear]),
    };
    let (mut steps, mut warnings) = (Vec::new(), Vec::new());
    if !divided.rest.is_empty() {
        steps.push(Group { projects: Vec::new(), roots: divided.rest });
    }
    for group in divided.groups {
        let names = group.projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>().join(", ");
        if group.roots.is_empty() {
            warnings.push(format!("nothing of {names} lies below the sources, so nothing of it is stopped"));
            continue;
        }
        if group.projects.len() > 1 {
            warnings.push(format!("{names} are away together, because they write to the same place"));
        }
        steps.push(group);
    }
    (steps, warnings)
}

/// Divides `sources`, none of which lies in another, among `projects`. `real` resolves a path's symbolic links, or returns it as it is.
///
/// Errors: why it cannot be told what a container may write to, as one sentence.
fn groups(
    containers: &[Container],
    projects: &[Project],
    sources: &[PathBuf],
    real: &dyn Fn(&Path) -> PathBuf,
    mounts: &[Mount],
) -> Result<Groups, String> {
    let claims = claims(containers, projects, sources, real, mounts)?;
    let group = together(&claims, projects.len());
    // The owner of each claimed path: at one path all claims are of one group.
    let owners: BTreeMap<&Path, usize> = claims.iter().map(|claim| (claim.path.as_path(), group[claim.project])).collect();
    // A claim below one of its own group adds nothing; what is left are roots, and sources that nobody claims.
    let above = |path: &Path| path.ancestors().skip(1).find_map(|above| owners.get(above).copied());
    let mut roots: BTreeMap<&Path, Option<usize>> = sources.iter().map(|source| (source.as_path(), None)).collect();
    roots.extend(owners.iter().filter(|(path, owner)| above(path) != Some(**owner)).map(|(path, owner)| (*path, Some(*owner))));

    let mut divided = Groups { groups: Vec::new(), rest: Vec::new() };
    let of = |wanted: Option<usize>| {
        let own = roots.iter().filter(|(_, owner)| **owner == wanted);
        own.filter_map(|(path, _)| {
            let source = sources.iter().find(|source| path.starts_with(source))?.clone();
            Some(Root { source, path: path.to_path_buf(), exclude: next_below(path, &roots) })
        })
        .collect::<Vec<_>>()
    };
    for (number, _) in projects.iter().enumerate().filter(|(number, _)| group[*number] == *number) {
        let members = projects.iter().zip(&group).filter(|(_, group)| **group == number);
        divided.groups.push(Group { projects: members.map(|(project, _)| project.clone()).collect(), roots: of(Some(number)) });
    }
    divided.rest = of(None);
    Ok(divided)
}

/// The roots right below `path`: with no other root in between.
fn next_below(path: &Path, roots: &BTreeMap<&Path, Option<usize>>) -> Vec<PathBuf> {
    let nearest = |below: &Path| below.ancestors().skip(1).find(|above| roots.contains_key(above)) == Some(path);
    roots.keys().filter(|below| below.starts_with(path) && nearest(below)).map(|below| below.to_path_buf()).collect()
}

fn claims(
    containers: &[Container],
    projects: &[Project],
    sources: &[PathBuf],
    real: &dyn Fn(&Path) -> PathBuf,
    mounts: &[Mount],
) -> Result<Vec<Claim>, String> {
    let places: Vec<PathBuf> = sources.iter().map(|source| real(source)).collect();
    let sources: Vec<(&PathBuf, PathBuf)> = sources.iter().map(|source| (source, real(source))).collect();
    // As the walk of the sources sees it: links are resolved, and then the path begins with the source as it is written.
    let inside = |path: &Path| -> Option<PathBuf> {
        let path = real(path);
        let (source, rest) = sources.iter().find_map(|(source, at)| Some((source, path.strip_prefix(at).ok()?.to_path_buf())))?;
        // Joined with nothing, a path would get a slash at its end.
        Some(if rest.as_os_str().is_empty() { source.to_path_buf() } else { source.join(rest) })
    };
    let around = |path: &Path| {
        let path = real(path);
        sources.iter().filter(|(_, at)| *at != path && at.starts_with(&path)).map(|(source, _)| source.to_path_buf()).collect::<Vec<_>>()
    };
    let mut claims = Vec::new();
    for (number, project) in projects.iter().enumerate() {
        // A folder above the sources says nothing about them; what is written to from above may be all of them.
        claims.extend(inside(&project.folder).map(|path| Claim { path, project: number, writes: false }));
        let members = containers.iter().filter(|container| {
            container.state != State::Stopped && container.compose.as_ref().is_some_and(|compose| compose.project == project.name)
        });
        for (container, mount) in members.flat_map(|container| container.mounts.iter().map(move |mount| (container, mount))) {
            if !mount.writable {
                continue;
            }
            let written = everywhere(mounts, &real(&mount.source), &places).map_err(|unclear| {
                format!(
                    "all services are away together, because container {} may write to {} ({}), and nothing tells whether that is a part of the sources too",
                    container.name,
                    unclear.at.display(),
                    unclear.kind
                )
            })?;
            let written = written.iter().flat_map(|path| inside(path).into_iter().chain(around(path)));
            claims.extend(written.map(|path| Claim { path, project: number, writes: true }));
        }
    }
    Ok(claims)
}

/// For each project the first one of its group.
fn together(claims: &[Claim], projects: usize) -> Vec<usize> {
    let mut group: Vec<usize> = (0..projects).collect();
    for (at, one) in claims.iter().enumerate() {
        for other in &claims[at + 1..] {
            let (one_above, other_above) = (other.path.starts_with(&one.path), one.path.starts_with(&other.path));
            // What one may write to belongs to the other too; folders of files alone may lie in each other, but not be the same.
            let shared = one_above && (other_above || one.writes) || other_above && other.writes;
            let (a, b) = (group[one.project], group[other.project]);
            if shared && a != b {
                let (first, second) = (a.min(b), a.max(b));
                group.iter_mut().filter(|group| **group == second).for_each(|group| *group = first);
            }
        }
    }
    group
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
