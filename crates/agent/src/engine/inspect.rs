//! The answers of the docker command, read into our values. Pure: text in, values out.
//!
//! What is asked for is looked for by name and the rest ignored, because each version of the engine adds more; what is needed and not
//! there is an error, because a container that is overlooked is a service that does not come back.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;

use super::{Compose, Container, Health, Image, Mount, State};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    name: String,
    created: String,
    state: InspectedState,
    config: InspectedConfig,
    #[serde(default)]
    mounts: Vec<InspectedMount>,
    #[serde(default)]
    image: String,
    #[serde(default)]
    host_config: InspectedHost,
    #[serde(default)]
    network_settings: InspectedNetworks,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedNetworks {
    networks: Option<BTreeMap<String, serde::de::IgnoredAny>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedHost {
    network_mode: String,
    ipc_mode: String,
    pid_mode: String,
    volumes_from: Option<Vec<String>>,
    devices: Option<Vec<InspectedDevice>>,
    tmpfs: Option<BTreeMap<PathBuf, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedDevice {
    path_on_host: PathBuf,
}

impl InspectedHost {
    /// Whether the container shares something of another one.
    fn shares(&self) -> bool {
        let modes = [&self.network_mode, &self.ipc_mode, &self.pid_mode];
        modes.iter().any(|mode| mode.starts_with("container:")) || self.volumes_from.as_ref().is_some_and(|from| !from.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    status: String,
    health: Option<InspectedHealth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedHealth {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedConfig {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    image: String,
    /// Seconds; -1 for ever.
    stop_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedMount {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    source: String,
    destination: String,
    #[serde(default, rename = "RW")]
    writable: bool,
}

/// Reads the answer of `docker inspect` for containers.
pub(super) fn containers(answer: &[u8]) -> Result<Vec<Container>, String> {
    let inspected: Vec<Inspected> = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    inspected.into_iter().map(container).collect()
}

fn container(inspected: Inspected) -> Result<Container, String> {
    let name = inspected.name.trim_start_matches('/').to_owned();
    let state = match inspected.state.status.as_str() {
        "running" => State::Running,
        "paused" => State::Paused,
        "restarting" => State::Restarting,
        "created" | "exited" | "dead" | "removing" => State::Stopped,
        other => return Err(format!("container {name} is \"{other}\"")),
    };
    let health = match inspected.state.health.as_ref().map(|health| health.status.as_str()) {
        None | Some("" | "none") => None,
        Some("starting") => Some(Health::Starting),
        Some("healthy") => Some(Health::Healthy),
        Some("unhealthy") => Some(Health::Unhealthy),
        Some(other) => return Err(format!("the health of container {name} is \"{other}\"")),
    };
    let grace = inspected.config.stop_timeout.map(|seconds| u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs));
    let host = inspected.host_config;
    let mut compose = compose(&name, &inspected.config.labels.unwrap_or_default())?;
    if let Some(compose) = compose.as_mut().filter(|_| host.shares()) {
        // Compose puts the other container's id into it, which is another one after each start.
        compose.hash.clear();
    }
    let (kept, other): (Vec<_>, Vec<_>) = inspected.mounts.into_iter().partition(|mount| mount.kind == "bind" || mount.kind == "volume");
    let memory = other.into_iter().map(|mount| mount.destination.into()).chain(host.tmpfs.unwrap_or_default().into_keys()).collect();
    let networks: BTreeSet<String> = inspected.network_settings.networks.unwrap_or_default().into_keys().collect();
    let mounts = kept.into_iter().map(|mount| Mount {
        volume: (mount.kind == "volume").then_some(mount.name),
        source: mount.source.into(),
        target: mount.destination.into(),
        writable: mount.writable,
    });
    let devices = host.devices.unwrap_or_default().into_iter().map(|device| device.path_on_host).collect();
    let image = Image { name: inspected.config.image, id: inspected.image };
    Ok(Container {
        name,
        state,
        health,
        grace,
        created: inspected.created,
        compose,
        mounts: mounts.collect(),
        memory,
        networks,
        devices,
        image,
    })
}

fn compose(name: &str, labels: &BTreeMap<String, String>) -> Result<Option<Compose>, String> {
    let label = |key: &str| labels.get(&format!("com.docker.compose.{key}")).map(String::as_str).filter(|value| !value.is_empty());
    let Some(project) = label("project") else { return Ok(None) };
    let needed = |key: &str| {
        label(key).map(str::to_owned).ok_or_else(|| format!("container {name} of project {project} has no label com.docker.compose.{key}"))
    };
    let paths = |key: &str| label(key).unwrap_or_default().split(',').filter(|path| !path.is_empty()).map(Into::into).collect();
    Ok(Some(Compose {
        project: project.to_owned(),
        service: needed("service")?,
        oneoff: label("oneoff").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        folder: label("project.working_dir").unwrap_or_default().into(),
        files: paths("project.config_files"),
        environment: paths("project.environment_file"),
        hash: label("config-hash").unwrap_or_default().to_owned(),
    }))
}

/// The paths that `docker container diff` says were added.
pub(super) fn added(answer: &[u8]) -> Vec<PathBuf> {
    let paths = answer.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"A "));
    paths.map(|path| OsString::from_vec(path.to_vec()).into()).collect()
}

/// Whether `docker inspect` complains of nothing but a `kind` ("container", "image") that is no more.
pub(super) fn only_gone(kind: &str, errors: &[u8]) -> bool {
    let text = String::from_utf8_lossy(errors).to_lowercase();
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    lines.peek().is_some() && lines.all(|line| line.contains(&format!("no such {kind}")))
}

/// Whether `found`, as "2.26.1-4" or "v2.40.3", is at least `needed`; `None` where it is no version.
pub(super) fn at_least(found: &str, needed: (u32, u32)) -> Option<bool> {
    let mut parts = found.trim().trim_start_matches('v').split('.');
    let mut number = || parts.next()?.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok();
    Some((number()?, number()?) >= needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = include_str!("inspect.json");

    #[test]
    fn reads_what_an_engine_said() {
        let found = containers(RECORDED.as_bytes()).unwrap();
        let seen: Vec<_> =
            found.iter().map(|c| (c.name.as_str(), c.state, c.compose.as_ref().map(|c| (c.service.as_str(), c.oneoff)))).collect();
        assert_eq!(
            seen,
            [
                ("home-web-1", State::Running, Some(("web", false))),
                ("home-db-1", State::Running, Some(("db", false))),
                ("home-off-1", State::Stopped, Some(("off", false))),
                ("home-off-run-8f6ca0c0bac2", State::Running, Some(("off", true))),
                ("lone", State::Running, None),
            ]
        );
        let db = found[1].compose.clone().unwrap();
        assert_eq!((db.project.as_str(), db.folder.to_str(), db.hash.len()), ("home", Some("/srv/services/home"), 64));
        assert_eq!(db.files, ["/srv/services/home/compose.yaml", "/srv/services/home/more.yaml"].map(std::path::PathBuf::from));
        assert_eq!(db.environment, ["/srv/services/home/.env"].map(std::path::PathBuf::from));
        assert_eq!(found[1].mounts.iter().map(Mount::anonymous).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(found[1].mounts[0].volume, None);
        assert_eq!((found[1].memory.as_slice(), &found[1].networks), (["/t".into()].as_slice(), &["home_default".to_owned()].into()));
    }

    #[test]
    fn reads_health_and_how_long_a_container_may_take_to_end() {
        let with = |health: &str| {
            let text = format!(
                r#"[{{"Name":"/a","Created":"x","State":{{"Status":"running"{health}}},"Config":{{"Labels":{{}},"StopTimeout":60}}}}]"#
            );
            containers(text.as_bytes()).map(|found| (found[0].health, found[0].grace))
        };
        let grace = Some(Duration::from_secs(60));
        assert_eq!(with(""), Ok((None, grace)));
        let for_ever = r#"[{"Name":"/a","Created":"x","State":{"Status":"running"},"Config":{"Labels":{},"StopTimeout":-1}}]"#;
        assert_eq!(containers(for_ever.as_bytes()).unwrap()[0].grace, Some(Duration::MAX));
        for (status, health) in [
            ("none", None),
            ("starting", Some(Health::Starting)),
            ("healthy", Some(Health::Healthy)),
            ("unhealthy", Some(Health::Unhealthy)),
        ] {
            assert_eq!(with(&format!(r#","Health":{{"Status":"{status}","Log":[]}}"#)), Ok((health, grace)), "{status}");
        }
        assert!(with(r#","Health":{"Status":"ill"}"#).unwrap_err().contains("\"ill\""));
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for (from, to) in [("\"exited\"", "\"dreaming\""), ("com.docker.compose.service\": \"web\"", "x\": \"web\""), ("[\n", "{\n")] {
            assert!(RECORDED.contains(from), "{from}");
            assert!(containers(RECORDED.replacen(from, to, 1).as_bytes()).is_err(), "{from}");
        }
    }

    #[test]
    fn tells_containers_that_went_away_from_real_trouble() {
        let gone = "Error response from daemon: No such container: 3628a65cc979\n";
        assert!(only_gone("container", gone.repeat(2).as_bytes()));
        assert!(!only_gone("image", gone.as_bytes()));
        assert!(!only_gone("container", b""));
        assert!(!only_gone("container", format!("{gone}Cannot connect to the Docker daemon\n").as_bytes()));
    }

    #[test]
    fn reads_what_was_added_and_where_memory_is() {
        let said = b"C /var\nA /var/lib/a b\nD /gone\nA /caf\xe9\n";
        assert_eq!(added(said), [PathBuf::from("/var/lib/a b"), OsString::from_vec(b"/caf\xe9".to_vec()).into()]);
        let with = RECORDED.replacen("\"Mounts\": []", "\"HostConfig\": {\"Tmpfs\": {\"/m\": \"\"}}, \"Mounts\": []", 1);
        assert_eq!(containers(with.as_bytes()).unwrap()[0].memory, [PathBuf::from("/m")]);
    }

    #[test]
    fn reads_versions() {
        for (found, enough) in [
            ("2.26.1-4\n", Some(true)),
            ("v2.20.0", Some(true)),
            ("2.19.1", Some(false)),
            ("1.29.2", Some(false)),
            ("5.0", Some(true)),
            ("", None),
            ("next", None),
        ] {
            assert_eq!(at_least(found, (2, 20)), enough, "{found}");
        }
    }
}
