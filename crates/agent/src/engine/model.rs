//! What a project's files define, read from the answers of `docker compose config`. Pure: text in, values out.
//!
//! The model is read for one question only: would a new container see the same data as the one that runs? So secrets and configurations
//! that are files stand beside the volumes, at the places where the container sees them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Definition, Origin};

/// Where compose puts a secret, and a configuration, that names no place or a relative one.
const SECRETS: &str = "/run/secrets";
const CONFIGS: &str = "/";

#[derive(Deserialize)]
struct Model {
    services: BTreeMap<String, Service>,
    #[serde(default)]
    volumes: Option<BTreeMap<String, Option<Volume>>>,
    #[serde(default)]
    secrets: Option<BTreeMap<String, File>>,
    #[serde(default)]
    configs: Option<BTreeMap<String, File>>,
    #[serde(default)]
    networks: Option<BTreeMap<String, Option<Network>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Service {
    image: Option<String>,
    volumes: Option<Vec<Mount>>,
    secrets: Option<Vec<Use>>,
    configs: Option<Vec<Use>>,
    volumes_from: Option<Vec<String>>,
    networks: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    network_mode: Option<String>,
}

#[derive(Deserialize)]
struct Mount {
    #[serde(rename = "type")]
    kind: String,
    source: Option<String>,
    target: PathBuf,
}

#[derive(Deserialize)]
struct Use {
    source: String,
    target: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Volume {
    name: Option<String>,
    driver_opts: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Network {
    name: Option<String>,
}

#[derive(Deserialize)]
struct File {
    file: Option<PathBuf>,
}

/// Reads the answers of `docker compose config` to `--hash '*'` and to `--format json`.
pub(super) fn definitions(hashes: &[u8], model: &[u8]) -> Result<BTreeMap<String, Definition>, String> {
    let model: Model = serde_json::from_slice(model).map_err(|error| error.to_string())?;
    let (volumes, secrets, configs) =
        (model.volumes.unwrap_or_default(), model.secrets.unwrap_or_default(), model.configs.unwrap_or_default());
    let named = model.networks.unwrap_or_default();
    let mut services = model.services;
    let definition = |(name, hash): (String, String)| {
        let service = services.remove(&name).ok_or_else(|| format!("service {name} has a hash and is not defined"))?;
        let mut mounts: BTreeMap<PathBuf, Origin> = BTreeMap::new();
        for mount in service.volumes.unwrap_or_default() {
            let origin = match (mount.kind.as_str(), mount.source) {
                ("bind", Some(source)) => Origin::Path(source.into()),
                ("volume", Some(source)) => volume(&source, volumes.get(&source)),
                _ => continue,
            };
            mounts.insert(mount.target, origin);
        }
        for (uses, files, folder) in [(service.secrets, &secrets, SECRETS), (service.configs, &configs, CONFIGS)] {
            for one in uses.unwrap_or_default() {
                if let Some(file) = files.get(&one.source).and_then(|file| file.file.clone()) {
                    let target = one.target.unwrap_or_else(|| one.source.into());
                    mounts.insert(Path::new(folder).join(target), Origin::Path(file));
                }
            }
        }
        let network = |key: String| named.get(&key).and_then(|network| network.as_ref()?.name.clone()).unwrap_or(key);
        // What the engine makes of it.
        let mode = service.network_mode.map(|mode| if mode == "default" { "bridge".into() } else { mode });
        let networks: BTreeSet<String> = service.networks.unwrap_or_default().into_keys().map(network).chain(mode).collect();
        let borrows = service.volumes_from.is_some_and(|from| !from.is_empty());
        Ok((name, Definition { hash, image: service.image, mounts, networks, borrows }))
    };
    pairs(hashes)?.into_iter().map(definition).collect()
}

fn volume(key: &str, volume: Option<&Option<Volume>>) -> Origin {
    let volume = volume.and_then(Option::as_ref);
    let option = |name: &str| volume?.driver_opts.as_ref()?.get(name);
    let bound = option("o").is_some_and(|options| options.split(',').any(|option| option == "bind" || option == "rbind"));
    let folder = option("device").filter(|_| bound).map(Into::into);
    Origin::Volume(volume.and_then(|volume| volume.name.clone()).unwrap_or_else(|| key.to_owned()), folder)
}

/// A service and its hash on each line.
fn pairs(hashes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(hashes).map_err(|error| error.to_string())?;
    let pair = |line: &str| {
        line.split_once(' ')
            .map(|(service, hash)| (service.to_owned(), hash.trim().to_owned()))
            .ok_or_else(|| format!("\"{line}\" is not a service and its hash"))
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_service_sees_and_where_that_lies() {
        // As compose 2.26 says it.
        let model = r#"{"name": "home",
            "configs": {"c": {"name": "home_c", "file": "/srv/c.conf"}, "inline": {"content": "x"}},
            "secrets": {"pw": {"name": "home_pw", "file": "/srv/pw.txt"}},
            "volumes": {"named": {"name": "home_named"}, "own": {"name": "home_own", "driver_opts": {"type": "none", "o": "bind", "device": "/disk"}}},
            "services": {
                "db": {"image": "postgres:15", "entrypoint": null, "networks": {"default": null, "proxy": {"aliases": ["db"]}},
                    "configs": [{"source": "c"}, {"source": "inline"}], "secrets": [{"source": "pw", "target": "/run/secrets/pw"}],
                    "volumes": [
                        {"type": "bind", "source": "/srv/db/data", "target": "/data", "bind": {"create_host_path": true}},
                        {"type": "volume", "source": "named", "target": "/n", "volume": {}},
                        {"type": "volume", "source": "own", "target": "/o"},
                        {"type": "volume", "target": "/nameless"}, {"type": "tmpfs", "target": "/t"}]},
                "app": {"volumes_from": ["db"], "network_mode": "host"}},
            "networks": {"default": {"name": "home_default", "ipam": {}}, "proxy": {"name": "web", "external": true}}}"#;
        let found = definitions(b"db 1441e1\napp 36d110\n", model.as_bytes()).unwrap();
        let (db, app) = (&found["db"], &found["app"]);
        assert_eq!((db.hash.as_str(), db.image.as_deref(), db.borrows), ("1441e1", Some("postgres:15"), false));
        let path = |path: &str| Origin::Path(path.into());
        let mounts = [
            ("/c", path("/srv/c.conf")),
            ("/data", path("/srv/db/data")),
            ("/n", Origin::Volume("home_named".into(), None)),
            ("/o", Origin::Volume("home_own".into(), Some("/disk".into()))),
            ("/run/secrets/pw", path("/srv/pw.txt")),
        ];
        assert_eq!(db.mounts, mounts.map(|(at, origin)| (PathBuf::from(at), origin)).into());
        assert_eq!([&db.networks, &app.networks], [&["home_default".into(), "web".into()].into(), &["host".to_owned()].into()]);
        assert_eq!((app.image.as_deref(), app.borrows, app.mounts.len()), (None, true, 0));
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for (hashes, model) in [("db\n", r#"{"services": {"db": {}}}"#), ("db 1\n", r#"{"services": {}}"#), ("db 1\n", "db")] {
            assert!(definitions(hashes.as_bytes(), model.as_bytes()).is_err(), "{hashes}{model}");
        }
    }
}
