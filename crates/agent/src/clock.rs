//! Right after a boot: is the clock right, and are the services up that a run is to stop and bring back?
//!
//! A Pi has no clock of its own: until a time server answered it lives in the past, and an archive made then has a wrong name (its number
//! still follows the others, see `number`). And a run that begins while services are still starting would find only half of them
//! running, and bring back only that half. So a run that was made up for at boot waits for both, with a limit, because a clock that
//! is never set and a service that never gets healthy must not cost the night. Later than at boot nothing is waited for.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use offsite_archive::JobName;

use crate::{
    cancel::Cancel,
    config::{Config, Job, Quiesce},
    engine::{Container, Docker, Engine, Health, State, output},
    plan,
    quiesce::real,
};

/// A machine that has been up for so long has settled, or never will.
const BOOT: Duration = Duration::from_secs(15 * 60);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the question for the clock may take.
const ASK: Duration = Duration::from_secs(30);
/// Written by systemd-timesyncd when the clock was set. Others are asked for by way of timedatectl.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// What a look found missing, each as the end of a sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Missing(Vec<String>);

/// Waits, right after a boot, until the clock is right and the services are up; until the machine has been up for 15 minutes at most, or
/// until `cancel` is set. Returns what is still missing then, as warnings for the manifest.
pub(crate) fn settle(config: &Config, job: &JobName, cancel: &Cancel) -> Vec<String> {
    let job = config.jobs.get(job).filter(|job| job.quiesce != Quiesce::None);
    let engine = Docker::new(&config.docker, None);
    let look = || {
        let containers = job.map(|job| match engine.containers() {
            Ok(containers) => Ok(stopped_by(job, containers)),
            Err(error) => Err(error.to_string()),
        });
        missing(synchronised(), containers)
    };
    wait(|| uptime().filter(|_| !cancel.is_set()), look, || std::thread::sleep(PAUSE))
}

/// Looks again and again while `up` says that the machine was started a moment ago, until nothing is missing.
fn wait(up: impl Fn() -> Option<Duration>, look: impl Fn() -> Missing, pause: impl Fn()) -> Vec<String> {
    let mut said = Missing::default();
    while up().is_some_and(|up| up < BOOT) {
        let missing = look();
        if missing.0.is_empty() {
            return Vec::new();
        }
        if missing != said {
            tracing::info!("the machine has just started; waiting: {}", missing.0.join("; "));
            said = missing;
        }
        pause();
    }
    said.0.iter().map(|what| format!("{what}, {} minutes after the machine was started", BOOT.as_secs() / 60)).collect()
}

/// Those of the containers that the job stops.
fn stopped_by(job: &Job, containers: Vec<Container>) -> Vec<Container> {
    let projects = plan::plan(&containers, job, &real).projects;
    let wanted = |container: &Container| {
        container.compose.as_ref().is_some_and(|compose| projects.iter().any(|project| project.name == compose.project))
    };
    containers.into_iter().filter(wanted).collect()
}

/// What is not as it should be. An unknown clock is taken for right: not every machine can tell. `containers` is `None` where the run
/// stops nothing.
fn missing(synchronised: Option<bool>, containers: Option<Result<Vec<Container>, String>>) -> Missing {
    let mut missing = Vec::new();
    if synchronised == Some(false) {
        missing.push("the clock has not been set by a time server".into());
    }
    match containers {
        None => {}
        Some(Err(error)) => missing.push(format!("the container engine does not answer ({error})")),
        // The engine starts what has a restart policy before it answers anybody; what is not through then shows here.
        Some(Ok(containers)) => {
            for container in containers {
                if container.state == State::Restarting {
                    missing.push(format!("container {} is being restarted", container.name));
                } else if container.state == State::Running && container.health == Some(Health::Starting) {
                    missing.push(format!("container {} is not healthy yet", container.name));
                }
            }
        }
    }
    Missing(missing)
}

/// How long ago this machine was started; `None` where it does not say.
fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    parse_uptime(&text)
}

fn parse_uptime(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

/// Whether a time server has set the clock since the boot; `None` where nobody knows. timedatectl asks the kernel, to which chrony and
/// ntpd tell it too.
fn synchronised() -> Option<bool> {
    if Path::new(SYNCHRONISED).exists() {
        return Some(true);
    }
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]);
    match output(&mut command, Stdio::null(), ASK).ok()?.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::engine::Compose;

    fn container(name: &str, state: State, health: Option<Health>) -> Container {
        Container {
            name: name.into(),
            state,
            health,
            grace: None,
            created: String::new(),
            compose: None,
            mounts: Vec::new(),
            memory: Vec::new(),
            networks: Default::default(),
            devices: Vec::new(),
            image: crate::engine::Image::default(),
        }
    }

    #[test]
    fn only_services_that_the_job_stops_are_waited_for() {
        let config = Config::parse(Path::new("/a.yaml"), "repository: /b\njobs:\n  services: {sources: [/srv]}\n").unwrap();
        let of = |project: &str, folder: &str| Container {
            compose: Some(Compose {
                project: project.into(),
                service: "s".into(),
                oneoff: false,
                folder: folder.into(),
                files: vec![Path::new(folder).join("compose.yaml")],
                environment: Vec::new(),
                hash: String::new(),
            }),
            ..container(project, State::Restarting, None)
        };
        let all = vec![of("ours", "/srv/ours"), of("other", "/opt/other"), container("alone", State::Restarting, None)];
        let found: Vec<String> = stopped_by(&config.jobs[&"services".parse().unwrap()], all).into_iter().map(|found| found.name).collect();
        assert_eq!(found, ["ours"]);
    }

    #[test]
    fn a_machine_that_has_settled_is_not_waited_for() {
        let containers = [
            ("a", State::Running, None),
            ("b", State::Running, Some(Health::Healthy)),
            // Not well, but not on its way either: waiting would change nothing.
            ("c", State::Running, Some(Health::Unhealthy)),
            ("d", State::Stopped, Some(Health::Starting)),
            ("e", State::Paused, None),
        ];
        let containers = containers.map(|(name, state, health)| container(name, state, health)).to_vec();
        for clock in [Some(true), None] {
            let missing = missing(clock, Some(Ok(containers.clone())));
            assert_eq!(missing, Missing::default());
        }
        assert_eq!(missing(None, None), Missing::default());
    }

    #[test]
    fn what_is_on_its_way_is_waited_for_and_then_told() {
        let starting = [container("a", State::Restarting, None), container("b", State::Running, Some(Health::Starting))].to_vec();
        let cases = [
            (missing(Some(false), None), vec!["the clock has not been set by a time server"]),
            (missing(None, Some(Err("it is dead".into()))), vec!["the container engine does not answer (it is dead)"]),
            (missing(None, Some(Ok(starting))), vec!["container a is being restarted", "container b is not healthy yet"]),
        ];
        for (missing, expected) in cases {
            assert_eq!(missing.0, expected);
            let minutes = Cell::new(13);
            let told = wait(|| Some(Duration::from_secs(minutes.get() * 60)), || missing.clone(), || minutes.set(minutes.get() + 1));
            assert_eq!(told, expected.iter().map(|what| format!("{what}, 15 minutes after the machine was started")).collect::<Vec<_>>());
            assert_eq!(minutes.get(), 15);
        }
    }

    #[test]
    fn a_machine_that_is_up_for_long_is_not_looked_at_and_one_that_settles_is_done() {
        let never = || -> Missing { panic!("looked") };
        assert_eq!([None, Some(BOOT)].map(|up| wait(|| up, never, || ())), [[""; 0]; 2]);
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            missing(Some(looks.get() > 2), None)
        };
        assert_eq!((wait(|| Some(Duration::ZERO), look, || ()), looks.get()), (Vec::new(), 3));
    }

    #[test]
    fn reads_how_long_the_machine_is_up() {
        assert_eq!(parse_uptime("12670.25 8667.17\n"), Some(Duration::from_millis(12_670_250)));
        assert_eq!([parse_uptime(""), parse_uptime("-1 2"), parse_uptime("x")], [None; 3]);
    }
}
