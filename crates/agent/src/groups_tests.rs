use proptest::prelude::*;

use super::*;
use crate::engine::{Compose, Image, Mount};

fn project(name: &str, folder: &str) -> Project {
    Project { name: name.into(), folder: folder.into(), files: Vec::new(), environment: Vec::new(), services: Vec::new() }
}

fn container(project: &str, mounts: &[(&str, bool)]) -> Container {
    let compose = Compose {
        project: project.into(),
        service: "x".into(),
        oneoff: false,
        folder: "/".into(),
        files: Vec::new(),
        environment: Vec::new(),
        hash: String::new(),
    };
    let mount = |(source, writable): &(&str, bool)| Mount { source: source.into(), volume: None, target: "/d".into(), writable: *writable };
    Container {
        name: format!("{project}-x-1"),
        state: State::Running,
        health: None,
        grace: None,
        created: String::new(),
        compose: Some(compose),
        mounts: mounts.iter().map(mount).collect(),
        memory: Vec::new(),
        networks: Default::default(),
        devices: Vec::new(),
        image: Image::default(),
    }
}

/// Divided where nothing is mounted but the root.
fn groups(containers: &[Container], projects: &[Project], sources: &[PathBuf], real: &dyn Fn(&Path) -> PathBuf) -> Groups {
    super::groups(containers, projects, sources, real, &[]).unwrap()
}

fn mounted(device: &str, root: &str, at: &str, kind: &str) -> crate::mounts::Mount {
    crate::mounts::Mount { id: 0, device: device.into(), root: root.into(), at: at.into(), kind: kind.into() }
}

fn same(path: &Path) -> PathBuf {
    path.into()
}

fn paths(sources: &[&str]) -> Vec<PathBuf> {
    sources.iter().map(PathBuf::from).collect()
}

/// As "a b: /s/a, /s/b - /s/b/x"; the rest comes last.
fn shown(groups: &Groups) -> Vec<String> {
    let root = |root: &Root| {
        let without: String = root.exclude.iter().map(|path| format!(" - {}", path.display())).collect();
        format!("{}{without}", root.path.display())
    };
    let line = |projects: &[Project], roots: &[Root]| {
        let names = projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>().join(" ");
        format!("{names}: {}", roots.iter().map(root).collect::<Vec<_>>().join(", "))
    };
    let groups_shown = groups.groups.iter().map(|group| line(&group.projects, &group.roots));
    groups_shown.chain([line(&[], &groups.rest)]).collect()
}

#[test]
fn each_project_owns_its_folder_and_what_it_writes() {
    let projects = [project("a", "/s/a"), project("b", "/s/b"), project("c", "/opt/c")];
    let containers = [
        container("a", &[("/s/a/data", true), ("/s/media", false)]),
        container("b", &[("/s/media", true), ("/elsewhere", true)]),
        container("c", &[("/s/a/read-only", false)]),
    ];
    let divided = groups(&containers, &projects, &paths(&["/s", "/etc/ssh"]), &same);
    assert_eq!(shown(&divided), ["a: /s/a", "b: /s/b, /s/media", "c: ", ": /etc/ssh, /s - /s/a - /s/b - /s/media"]);
    assert_eq!(divided.rest[1].source, Path::new("/s"));
}

#[test]
fn those_that_write_to_the_same_place_go_together() {
    let projects = [project("a", "/s/a"), project("b", "/s/b"), project("c", "/s/c")];
    let containers = [container("a", &[("/s/shared", true)]), container("b", &[]), container("c", &[("/s/shared/deep", true)])];
    let divided = groups(&containers, &projects, &paths(&["/s"]), &same);
    assert_eq!(shown(&divided), ["a c: /s/a, /s/c, /s/shared", "b: /s/b", ": /s - /s/a - /s/b - /s/c - /s/shared"]);
    // A file manager that may write everywhere leaves nothing to be read beside it, not even from above the source.
    for all in ["/s", "/"] {
        let manager = [container("b", &[(all, true)])];
        assert_eq!(shown(&groups(&manager, &projects, &paths(&["/s"]), &same)), ["a b c: /s", ": "], "{all}");
    }
    // One that is stopped writes nothing.
    let mut stopped = container("c", &[("/s/shared/deep", true)]);
    stopped.state = State::Stopped;
    let divided = groups(&[container("a", &[("/s/shared", true)]), stopped], &projects, &paths(&["/s"]), &same);
    assert_eq!(shown(&divided)[..2], ["a: /s/a, /s/shared", "b: /s/b"]);
}

#[test]
fn a_folder_may_hold_the_folders_of_others() {
    let projects = [project("all", "/s"), project("b", "/s/b"), project("deep", "/s/b/all/deep")];
    let containers = [container("all", &[("/s/b/all", true)])];
    let divided = groups(&containers, &projects, &paths(&["/s"]), &same);
    assert_eq!(shown(&divided), ["all deep: /s - /s/b, /s/b/all", "b: /s/b - /s/b/all", ": "]);
    let twins = [project("a", "/s/x"), project("b", "/s/x")];
    assert_eq!(shown(&groups(&[], &twins, &paths(&["/s"]), &same)), ["a b: /s/x", ": /s - /s/x"]);
}

#[test]
fn links_are_resolved_and_named_as_the_source_is() {
    // The source is a link's target: /data is a link to /mnt/disk.
    let real = |path: &Path| path.strip_prefix("/data").map_or_else(|_| path.to_owned(), |rest| Path::new("/mnt/disk").join(rest));
    let projects = [project("a", "/data/a")];
    let containers = [container("a", &[("/data/a/x", true), ("/mnt/disk/y", true)])];
    for source in ["/mnt/disk", "/data"] {
        let at = |rest: &str| format!("{source}/{rest}");
        let divided = groups(&containers, &projects, &paths(&[source]), &real);
        assert_eq!(shown(&divided), [format!("a: {}, {}", at("a"), at("y")), format!(": {source} - {} - {}", at("a"), at("y"))]);
    }
}

#[test]
fn a_folder_that_is_mounted_twice_belongs_to_who_writes_to_either() {
    let projects = [project("a", "/s/a"), project("b", "/s/b")];
    let mounts = [mounted("8:1", "/", "/", "ext4"), mounted("8:1", "/s/ext", "/v/volumes/ext/_data", "ext4")];
    // A volume with `driver_opts`, and a part of it.
    for at in ["/v/volumes/ext/_data", "/v"] {
        let containers = [container("a", &[(at, true)]), container("b", &[])];
        let divided = super::groups(&containers, &projects, &paths(&["/s"]), &same, &mounts).unwrap();
        assert_eq!(shown(&divided), ["a: /s/a, /s/ext", "b: /s/b", ": /s - /s/a - /s/b - /s/ext"], "{at}");
    }
    // The source is where it is mounted, and the writer has the original; both at once bring two projects together.
    let containers = [container("a", &[("/s/ext/x", true)]), container("b", &[("/v/volumes/ext/_data", true)])];
    let divided = super::groups(&containers, &projects, &paths(&["/v/volumes"]), &same, &mounts).unwrap();
    assert_eq!(shown(&divided), ["a b: /v/volumes/ext/_data", ": /v/volumes - /v/volumes/ext/_data"]);
}

#[test]
fn where_it_cannot_be_told_what_is_written_all_are_away_together() {
    let projects = [project("a", "/s/a"), project("b", "/s/b")];
    let mut job = crate::plan::tests::job();
    (job.scope, job.sources) = (Scope::Each, paths(&["/s"]));
    let mounts = [mounted("8:1", "/", "/", "ext4"), mounted("0:50", "/", "/pool", "fuse.mergerfs")];
    for (path, together) in [("/pool/x", true), ("/s/x", false)] {
        let (steps, warnings) = each(&job, &[container("a", &[(path, true)])], &projects, &same, &mounts);
        assert_eq!((steps.len() == 1 && steps[0].projects.len() == 2, warnings.len() == 1), (together, together), "{path} {warnings:?}");
        assert_eq!(warnings.iter().any(|says| says.contains("container a-x-1 may write to /pool (fuse.mergerfs)")), together);
    }
}

fn path() -> impl Strategy<Value = PathBuf> {
    proptest::collection::vec(prop_oneof!["a", "b", "c"], 1..5)
        .prop_map(|parts| parts.iter().fold("/".into(), |path: PathBuf, part| path.join(part)))
}

/// Sources that do not lie in each other.
fn sources() -> impl Strategy<Value = Vec<PathBuf>> {
    proptest::collection::vec(path(), 1..4).prop_map(|mut all| {
        all.sort();
        all.dedup();
        let whole = all.clone();
        all.retain(|path| !whole.iter().any(|other| other != path && path.starts_with(other)));
        all
    })
}

fn holds(root: &Root, path: &Path) -> bool {
    path.starts_with(&root.path) && !root.exclude.iter().any(|out| path.starts_with(out))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_path_is_in_one_root_and_no_writer_runs_while_it_is_read(
        sources in sources(),
        made in proptest::collection::vec((path(), proptest::collection::vec((path(), any::<bool>()), 0..3)), 0..5),
        looked_at in proptest::collection::vec(path(), 20),
    ) {
        let projects: Vec<Project> = made.iter().enumerate().map(|(n, (folder, _))| project(&format!("p{n}"), folder.to_str().unwrap())).collect();
        let containers: Vec<Container> = made
            .iter()
            .enumerate()
            .map(|(n, (_, mounts))| {
                container(&format!("p{n}"), &mounts.iter().map(|(path, writable)| (path.to_str().unwrap(), *writable)).collect::<Vec<_>>())
            })
            .collect();
        let divided = groups(&containers, &projects, &sources, &same);

        let names: Vec<&str> = divided.groups.iter().flat_map(|group| &group.projects).map(|project| project.name.as_str()).collect();
        prop_assert_eq!(names.len(), projects.len());
        let all: Vec<(Option<&Group>, &Root)> = divided.groups.iter().flat_map(|group| group.roots.iter().map(move |root| (Some(group), root)))
            .chain(divided.rest.iter().map(|root| (None, root))).collect();
        for (_, root) in &all {
            prop_assert!(root.path.starts_with(&root.source) && sources.contains(&root.source));
            prop_assert!(root.exclude.iter().all(|out| out != &root.path && out.starts_with(&root.path)));
        }
        let interesting = sources.iter().chain(made.iter().flat_map(|(folder, mounts)| std::iter::once(folder).chain(mounts.iter().map(|(path, _)| path))));
        for path in looked_at.iter().chain(interesting) {
            let owners: Vec<_> = all.iter().filter(|(_, root)| holds(root, path)).collect();
            let below = sources.iter().any(|source| path.starts_with(source));
            prop_assert_eq!(owners.len(), usize::from(below), "{} is in {:?}", path.display(), owners);
            let Some((group, _)) = owners.first() else { continue };
            for (n, (_, mounts)) in made.iter().enumerate() {
                if mounts.iter().any(|(mount, writable)| *writable && path.starts_with(mount)) {
                    let away = group.is_some_and(|group| group.projects.iter().any(|project| project.name == format!("p{n}")));
                    prop_assert!(away, "p{} may write to {} while it is read", n, path.display());
                }
            }
        }
    }
}
