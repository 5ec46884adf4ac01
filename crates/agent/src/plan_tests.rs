use std::num::NonZeroU32;

use super::same::World;
use super::*;
use crate::{
    config::Quiesce,
    engine::{Definition, Image, Mount, Origin},
};

pub(crate) fn job() -> Job {
    Job {
        sources: vec!["/srv/services".into(), "/etc/ssh".into()],
        quiesce: Quiesce::Down,
        scope: crate::config::Scope::All,
        budget: std::time::Duration::from_secs(60),
        health: crate::config::Health::default(),
        snapshot: crate::config::Snapshot::None,
        projects: vec!["/srv/services".into()],
        at: None,
        days: Vec::new(),
        keep: NonZeroU32::MIN,
    }
}

fn container(project: &str, service: &str, number: u32) -> Container {
    Container {
        name: format!("{project}-{service}-{number}"),
        state: State::Running,
        health: None,
        grace: None,
        created: "2026-11-22T08:00:00.1Z".into(),
        compose: Some(Compose {
            project: project.into(),
            service: service.into(),
            oneoff: false,
            folder: format!("/srv/services/{project}").into(),
            files: vec![format!("/srv/services/{project}/compose.yaml").into()],
            environment: Vec::new(),
            hash: "1".into(),
        }),
        mounts: Vec::new(),
        memory: Vec::new(),
        networks: BTreeSet::new(),
        devices: Vec::new(),
        image: Image::default(),
    }
}

fn with(mut container: Container, change: impl FnOnce(&mut Container)) -> Container {
    change(&mut container);
    container
}

fn noted(mut container: Container, change: impl FnOnce(&mut Compose)) -> Container {
    change(container.compose.as_mut().unwrap());
    container
}

fn mount(source: &str, volume: Option<&str>) -> Mount {
    Mount { source: source.into(), volume: volume.map(Into::into), target: "/data".into(), writable: true }
}

fn same(path: &Path) -> PathBuf {
    path.into()
}

fn planned(containers: &[Container]) -> Plan {
    plan(containers, &job(), &same)
}

#[test]
fn records_exactly_what_runs() {
    let found = planned(&[
        container("b", "web", 1),
        container("b", "web", 2),
        with(container("b", "web", 3), |c| c.state = State::Stopped),
        with(container("b", "off", 1), |c| c.state = State::Stopped),
        with(container("b", "sick", 1), |c| c.state = State::Restarting),
        container("a", "db", 1),
        with(container("sleeping", "x", 1), |c| c.state = State::Stopped),
    ]);
    let service = |name: &str, scale, restarting| Service { name: name.into(), scale, restarting };
    assert_eq!(found.projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(found.projects[1].services, [service("sick", 1, true), service("web", 2, false)]);
    assert_eq!(found.refusals, Vec::<String>::new());
}

#[test]
fn takes_only_projects_of_its_folders() {
    let elsewhere = |project: &str, folder: &str, file: &str| {
        noted(container(project, "x", 1), |c| (c.folder, c.files) = (folder.into(), vec![file.into()]))
    };
    let found = planned(&[
        elsewhere("far", "/opt/far", "/opt/far/compose.yaml"),
        elsewhere("neighbour", "/srv/services-old", "/srv/services-old/compose.yaml"),
        elsewhere("byfile", "/opt", "/srv/services/byfile.yaml"),
        elsewhere("byfolder", "/srv/services/byfolder", "/opt/compose.yaml"),
    ]);
    assert_eq!(found.projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>(), ["byfile", "byfolder"]);
}

#[test]
fn sees_through_symbolic_links_either_way() {
    let real = |path: &Path| path.strip_prefix("/srv").map_or_else(|_| path.into(), |rest| Path::new("/mnt/disk").join(rest));
    let disk = noted(container("p", "x", 1), |c| {
        (c.folder, c.files) = ("/mnt/disk/services/p".into(), vec!["/mnt/disk/services/p/c.yaml".into()])
    });
    assert_eq!(plan(&[disk], &job(), &real).projects.len(), 1);
    let mut to_disk = job();
    to_disk.projects = vec!["/mnt/disk/services".into()];
    assert_eq!(plan(&[container("p", "x", 1)], &to_disk, &real).projects.len(), 1);
}

#[test]
fn the_newest_container_knows_the_files() {
    let old = noted(container("p", "old", 1), |c| c.files = vec!["/srv/services/p/gone.yaml".into()]);
    let new = with(container("p", "new", 1), |c| c.created = "2026-11-22T09:00:00Z".into());
    let project = planned(&[new.clone(), old.clone()]).projects.remove(0);
    assert_eq!(project, planned(&[old, new]).projects.remove(0));
    assert_eq!(project.files, [Path::new("/srv/services/p/compose.yaml")]);
}

#[test]
fn refuses_what_could_not_be_brought_back() {
    let hash = "c4beb057246424d62cf255a3bb839e7c2a1da5336ddd71a8b7eaada0b0a9d8e1";
    for (container, said) in [
        (with(container("p", "x", 1), |c| c.mounts.push(mount("/var/lib/docker/volumes/c/_data", Some(hash)))), "a volume without a name"),
        (with(container("p", "x", 1), |c| c.state = State::Paused), "is paused"),
        (noted(container("p", "x", 1), |c| c.oneoff = true), "`docker compose run`"),
        (noted(container("p", "x", 1), |c| c.files = vec!["-".into()]), "not started from compose files"),
        (noted(container("p", "x", 1), |c| c.files.clear()), "not started from compose files"),
    ] {
        let refusals = planned(&[super::tests::container("p", "y", 1), container]).refusals;
        let file_trouble = said.starts_with("not started");
        // The files of the newest container count; x and y are of one age, and the later name decides.
        assert_eq!(refusals.iter().any(|refusal| refusal.contains(said)), !file_trouble, "{said}: {refusals:?}");
    }
    for files in [vec![], vec![PathBuf::from("-")]] {
        let refusals = planned(&[noted(container("p", "x", 1), |c| c.files = files)]).refusals;
        assert!(refusals[0].contains("not started from compose files"), "{refusals:?}");
    }
}

#[test]
fn a_stopped_container_with_an_unnamed_volume_is_refused_too_but_a_named_one_is_not() {
    let hash = "c4beb057246424d62cf255a3bb839e7c2a1da5336ddd71a8b7eaada0b0a9d8e1";
    let stopped = |volume| {
        with(container("p", "off", 1), |c| {
            c.state = State::Stopped;
            c.mounts.push(mount("/var/lib/docker/volumes/x/_data", Some(volume)));
        })
    };
    assert_eq!(planned(&[container("p", "x", 1), stopped(hash)]).refusals.len(), 1);
    assert_eq!(planned(&[container("p", "x", 1), stopped("p_data")]).refusals.len(), 0);
    // An ended one-off was made to be thrown away.
    assert_eq!(planned(&[container("p", "x", 1), noted(stopped(hash), |c| c.oneoff = true)]).refusals.len(), 0);
}

#[test]
fn names_those_who_go_on_writing() {
    let lone = Container { name: "lone".into(), compose: None, ..container("x", "x", 1) };
    let other = noted(container("other", "x", 1), |c| (c.folder, c.files) = ("/opt".into(), vec!["/opt/compose.yaml".into()]));
    let writes = |c: &mut Container| c.mounts.push(mount("/srv/services/db/data", None));
    let containers = [
        with(lone.clone(), writes),
        with(other, writes),
        with(lone.clone(), |c| (c.name, c.mounts) = ("reader".into(), vec![Mount { writable: false, ..mount("/srv/services/db", None) }])),
        with(lone.clone(), |c| (c.name, c.mounts) = ("elsewhere".into(), vec![mount("/srv/other", None)])),
        with(lone, |c| (c.name, c.state, c.mounts) = ("ended".into(), State::Stopped, vec![mount("/srv/services/db", None)])),
        with(container("ours", "x", 1), writes),
    ];
    assert_eq!(
        unstopped(&containers, &job(), &same),
        [
            "container lone is not stopped by this job and may write to /srv/services/db/data",
            "container other-x-1 of project other is not stopped by this job and may write to /srv/services/db/data",
        ]
    );
}

/// Compared where `app:1` is the image `new`, and nothing whose name ends with `gone` exists.
fn compared(
    project: &Project,
    quiesce: Quiesce,
    containers: &[Container],
    configured: &BTreeMap<String, Definition>,
) -> (Vec<String>, Vec<String>) {
    let images = BTreeMap::from([("app:1".to_owned(), "new".to_owned())]);
    let exists = |path: &Path| !path.ends_with("gone");
    super::same::compare(project, quiesce, configured, &World { containers, images: &images, real: &same, exists: &exists })
}

/// What is said of the service `x` of a project `p` that ran as `container` and is defined as `definition`, with `down` and with `stop`.
fn said(container: Container, definition: Definition) -> [(Vec<String>, Vec<String>); 2] {
    let project = planned(std::slice::from_ref(&container)).projects.remove(0);
    let hash = if definition.hash.is_empty() { "1".into() } else { definition.hash.clone() };
    let configured = [("x".to_owned(), Definition { hash, ..definition })].into();
    [Quiesce::Down, Quiesce::Stop].map(|quiesce| compared(&project, quiesce, std::slice::from_ref(&container), &configured))
}

fn sees(mounts: &[(&str, Origin)]) -> Definition {
    Definition { mounts: mounts.iter().map(|(at, origin)| (PathBuf::from(at), origin.clone())).collect(), ..Definition::default() }
}

#[test]
fn refuses_what_would_come_back_on_other_data() {
    let (folder, volume) = (|path: &str| Origin::Path(path.into()), |name: &str| Origin::Volume(name.into(), None));
    let ran = |mounted: Mount| with(container("p", "x", 1), |c| c.mounts.push(mounted));
    let bound = || ran(mount("/srv/data", None));
    let named = || ran(mount("/var/lib/docker/volumes/p_data/_data", Some("p_data")));
    for (ran, defined, says) in [
        (bound(), sees(&[("/data", folder("/data"))]), Some("has /srv/data at /data, and would come back with /data there")),
        (bound(), sees(&[("/data", volume("p_data"))]), Some("has /srv/data at /data, and would come back with the volume p_data there")),
        // The engine's own, in an unchanged service.
        (bound(), sees(&[("/other", folder("/srv/data"))]), None),
        (
            named(),
            sees(&[("/data", volume("p_new"))]),
            Some("has the volume p_data at /data, and would come back with the volume p_new there"),
        ),
        (bound(), sees(&[("/data", folder("/srv/data"))]), None),
        (named(), sees(&[("/data", volume("p_data"))]), None),
        // Another service's definition says it.
        (bound(), Definition { borrows: true, ..Definition::default() }, None),
    ] {
        let [down, stop] = said(ran, defined);
        assert_eq!(down.0.len(), usize::from(says.is_some()), "{down:?}");
        assert!(
            down.0.iter().all(|refusal| refusal.starts_with(&format!("service x of project p {}", says.unwrap_or_default()))),
            "{down:?}"
        );
        assert!(down.0.iter().all(|refusal| refusal.ends_with("cd /srv/services/p && docker compose up -d")), "{down:?}");
        assert_eq!((down.1, stop), (vec![], (vec![], vec![])));
    }
    let [down, stop] = said(bound(), Definition { hash: "2".into(), ..Definition::default() });
    assert!(down.0[0].contains("has /srv/data at /data, and would come back without it: "), "{down:?}");
    assert_eq!((down.0.len(), stop), (1, (vec![], vec![])));
}

#[test]
fn refuses_what_lacks_something_that_it_starts_with() {
    let bound = || with(container("p", "x", 1), |c| c.mounts.push(mount("/srv/gone", None)));
    let device = || with(container("p", "x", 1), |c| c.devices.push("/dev/gone".into()));
    let volume = || with(container("p", "x", 1), |c| c.mounts.push(mount("/var/lib/docker/volumes/p_v/_data", Some("p_v"))));
    let secret = sees(&[("/run/secrets/pw", Origin::Path("/srv/pw/gone".into()))]);
    for (ran, defined, path, also_stopped) in [
        (bound(), sees(&[("/data", Origin::Path("/srv/gone".into()))]), "/srv/gone", true),
        (device(), Definition::default(), "/dev/gone", true),
        (container("p", "x", 1), secret, "/srv/pw/gone", false),
        (volume(), sees(&[("/data", Origin::Volume("p_v".into(), Some("/disk/gone".into())))]), "/disk/gone", false),
    ] {
        let refusal = format!(
            "service x of project p needs {path}, which is not there any more, so nothing could start it again: put it back, or stop the service"
        );
        let [down, stop] = said(ran, defined);
        assert_eq!(down, (vec![refusal.clone()], vec![]));
        assert_eq!(stop.0, if also_stopped { vec![refusal] } else { vec![] });
    }
}

#[test]
fn tells_of_another_image_and_refuses_where_there_is_none() {
    let ran = |name: &str, id: &str| with(container("p", "x", 1), |c| c.image = Image { name: name.into(), id: id.into() });
    let asks = |image: &str| Definition { image: Some(image.into()), ..Definition::default() };
    let nothing = (vec![], vec![]);
    assert_eq!(said(ran("app:1", "new"), asks("app:1")), [nothing.clone(), nothing.clone()]);
    assert_eq!(said(ran("app:1", "new"), Definition::default()), [nothing.clone(), nothing.clone()]);
    let [down, stop] = said(ran("app:1", "old"), asks("app:1"));
    assert!(
        down.0.is_empty() && down.1[0].starts_with("service x of project p comes back with another image: app:1 was pulled"),
        "{down:?}"
    );
    assert_eq!(stop, nothing);
    // What the files ask for now counts.
    for (ran, defined, name) in [(ran("app:1", "new"), asks("app:2"), "app:2"), (ran("made-up", "x"), Definition::default(), "made-up")] {
        let [down, stop] = said(ran, defined);
        assert!(down.0[0].starts_with(&format!("service x of project p needs the image {name}, which is not on this machine")), "{down:?}");
        assert_eq!((down.1, stop), (vec![], nothing.clone()));
    }
}

#[test]
fn compares_with_what_the_files_say_now() {
    let containers = [container("p", "same", 1), container("p", "changed", 1), container("p", "gone", 1)];
    let project = planned(&containers).projects.remove(0);
    let defined = |(name, hash): (&str, &str)| (name.to_owned(), Definition { hash: hash.into(), ..Definition::default() });
    let configured = [("same", "1"), ("changed", "2"), ("new", "3")].map(defined).into();
    let (refusals, warnings) = compared(&project, Quiesce::Down, &containers, &configured);
    assert_eq!(
        refusals,
        [
            "service gone of project p runs, but /srv/services/p/compose.yaml no longer defines it, so nothing could start it again: define it again, or have it removed: cd /srv/services/p && docker compose up -d --remove-orphans"
        ]
    );
    assert_eq!(
        warnings,
        ["service changed of project p comes back changed: its compose files, environment or secrets are not what it was started with"]
    );
}

#[test]
fn knows_what_is_missing_and_what_still_runs() {
    let containers = [container("p", "web", 1), container("p", "web", 2), with(container("p", "sick", 1), |c| c.state = State::Restarting)];
    let projects = planned(&containers).projects;
    assert_eq!(lacking(&projects[0], &containers), Vec::<String>::new());
    assert_eq!(lacking(&projects[0], &containers[..1]), ["service web of project p runs 1 of 2 containers"]);
    let crashed = [container("p", "web", 1), with(container("p", "web", 2), |c| c.state = State::Restarting)];
    assert_eq!(lacking(&projects[0], &crashed), ["service web of project p runs 1 of 2 containers"]);
    assert_eq!(still_running(&projects, &containers), ["p-web-1", "p-web-2", "p-sick-1"]);
    assert_eq!(
        still_running(&projects, &[container("q", "web", 1), with(container("p", "web", 1), |c| c.state = State::Stopped)]),
        Vec::<String>::new()
    );
}

#[test]
fn names_data_that_no_source_covers() {
    let containers = [with(container("p", "db", 1), |c| {
        c.mounts = vec![
            mount("/srv/services/p/data", None),
            mount("/var/lib/docker/volumes/p_db/_data", Some("p_db")),
            mount("/var/run/docker.sock", None),
            mount("/etc/localtime", None),
            mount("/opt/photos", None),
            Mount { writable: false, ..mount("/opt/music", None) },
        ];
    })];
    let found = crate::cover::beside(&containers, &planned(&containers).projects, &job().sources, &same);
    assert_eq!(
        found,
        [
            "service db of project p writes to /opt/photos, which is in no job's sources",
            "service db of project p writes to volume p_db, which is in no job's sources"
        ]
    );
}

#[test]
fn names_a_file_that_would_be_lost_with_its_container() {
    let holds = with(container("p", "x", 1), |c| {
        c.mounts.push(mount("/srv/services/p/data", None));
        c.memory.push("/scratch".into());
    });
    let lost = |added: &[&str]| {
        let paths = added.iter().map(PathBuf::from).collect();
        super::kept::lost(&[&holds], vec![paths])
    };
    // Folders alone, what is mounted, and what lives for one start.
    for passing in [
        &["/data", "/scratch"][..],
        &["/var/log/x.log", "/tmp/a", "/etc/app.conf", "/run/x", "/var/cache/y/z"],
        &["/opt", "/opt/.cache", "/opt/.cache/a", "/opt/.ash_history"],
        &["/app", "/app/__pycache__", "/app/__pycache__/m.pyc", "/app/x.pid", "/app/x.sock"],
    ] {
        assert_eq!(lost(passing), [""; 0], "{passing:?}");
    }
    let says = |file: &str| {
        format!(
            "service x of project p keeps files in its container, {file} for one: down removes them; give that folder a volume, or the job quiesce: stop"
        )
    };
    assert_eq!(lost(&["/var/lib/app", "/var/lib/app/settings.db", "/var/lib/app/z"]), [says("/var/lib/app/settings.db")]);
    assert_eq!(lost(&["/data2/a", "/database"]), [says("/data2/a")]);
    // Two of one service say it once, and always the same.
    let added = |file: &str| vec![PathBuf::from(file)];
    for files in [["/b", "/a"], ["/a", "/b"]] {
        assert_eq!(super::kept::lost(&[&holds, &container("p", "x", 2)], files.map(added).into()), [says("/a")]);
    }
    // Those that do not run go as well.
    let containers = [
        with(container("p", "off", 1), |c| c.state = State::Stopped),
        noted(container("p", "x", 1), |c| c.oneoff = true),
        container("q", "x", 1),
        container("p", "x", 1),
    ];
    let projects = planned(&containers[3..]).projects;
    assert_eq!(super::kept::removed(&containers, &projects).iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["p-off-1", "p-x-1"]);
}

#[test]
fn tells_of_a_network_that_no_file_names() {
    let is_in = |networks: &[&str]| with(container("p", "x", 1), |c| c.networks = networks.iter().map(ToString::to_string).collect());
    let named = |networks: &[&str]| Definition { networks: networks.iter().map(ToString::to_string).collect(), ..Definition::default() };
    let says = "service x of project p comes back without the network web, which its compose files do not name: name it there";
    for (ran, defined, warnings) in [
        (&["p_default", "web"][..], &["p_default"][..], &[says][..]),
        (&["p_default", "web"], &["p_default", "web", "new"], &[]),
        (&["host"], &["host"], &[]),
        // What shares another one's is in none.
        (&[], &["service:vpn"], &[]),
        (&["web"], &[], &[]),
    ] {
        let [down, stop] = said(is_in(ran), named(defined));
        assert_eq!((down.0, down.1), (vec![], warnings.iter().map(ToString::to_string).collect()));
        assert_eq!(stop, (vec![], vec![]));
    }
}
