//! A container engine that is a small script: for faults by the hundred, where what matters is what the agent does about them.
//!
//! It answers with what real docker says (the labels and states that the agent reads), keeps its containers as files, and changes one
//! at a time, so that a test can stand still before each change. What real docker does is shown by the stories that have one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::part::script;

/// The engine in a folder of its own.
#[derive(Debug)]
pub struct Engine(PathBuf);

impl Engine {
    /// An engine without containers, in the folder `at`, which is made.
    #[must_use]
    pub fn new(at: &Path) -> Self {
        for folder in ["containers", "known", "broken"] {
            std::fs::create_dir_all(at.join(folder)).unwrap();
        }
        for pipe in ["hangs", "goes-on"] {
            rustix::fs::mknodat(rustix::fs::CWD, at.join(pipe), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        }
        std::fs::copy(script("fake-docker.sh"), at.join("docker")).unwrap();
        Self(at.to_owned())
    }

    /// The docker command.
    #[must_use]
    pub fn docker(&self) -> PathBuf {
        self.0.join("docker")
    }

    /// Where the containers are: all that changes here.
    #[must_use]
    pub fn containers(&self) -> PathBuf {
        self.0.join("containers")
    }

    /// Makes a project of the compose file `file`, with so many containers of each service; those named in `stopped` do not run.
    pub fn project(&self, project: &str, file: &Path, services: &[(&str, u32)], stopped: &[&str]) {
        let mut hashes = String::new();
        let data = file.with_file_name("data");
        let defined = json!({"volumes": [{"type": "bind", "source": data, "target": "/data"}]});
        let defined: BTreeMap<_, _> = services.iter().map(|(service, _)| (*service, &defined)).collect();
        for (service, scale) in services {
            hashes += &format!("{service} {}\n", blake3::hash(service.as_bytes()).to_hex());
            for number in 1..=*scale {
                let id = format!("{project}.{service}.{number}");
                std::fs::write(self.0.join("known").join(&id), container(project, file, service, number)).unwrap();
                let state = if stopped.contains(service) { "exited" } else { "running" };
                std::fs::write(self.containers().join(&id), format!("{state}\n")).unwrap();
            }
        }
        std::fs::write(self.0.join("known").join(project), hashes).unwrap();
        std::fs::write(self.0.join("known").join(format!("{project}.json")), format!("{}\n", json!({ "services": defined }))).unwrap();
    }

    /// The containers that run, with a number for each of a service.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.containers()).unwrap().map(|entry| entry.unwrap().path());
        let is = |file: &PathBuf| std::fs::read_to_string(file).unwrap() == "running\n";
        let mut found: Vec<_> = files.filter(is).map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        found.sort();
        found
    }

    /// Waits until it hangs in a verb, and gives the verb.
    #[must_use]
    pub fn hangs(&self) -> String {
        // Opening this end waits for the other.
        std::fs::read_to_string(self.0.join("hangs")).unwrap().trim().to_owned()
    }

    /// Lets it go on from where it hangs.
    pub fn go_on(&self) {
        drop(std::fs::OpenOptions::new().write(true).open(self.0.join("goes-on")).unwrap());
    }

    /// Lets it fail: all calls, if `how` is "dead"; else the verb of this name hangs.
    pub fn break_it(&self, how: &str) {
        std::fs::write(self.0.join("broken").join(how), "").unwrap();
    }

    /// As it was before [`Engine::break_it`].
    pub fn repair(&self, how: &str) {
        std::fs::remove_file(self.0.join("broken").join(how)).unwrap();
    }
}

/// What `docker container inspect` says of one, on one line, with a place for its state.
fn container(project: &str, file: &Path, service: &str, number: u32) -> String {
    let labels = [
        ("project", project.to_owned()),
        ("service", service.to_owned()),
        ("container-number", number.to_string()),
        ("oneoff", "False".to_owned()),
        ("config-hash", blake3::hash(service.as_bytes()).to_hex().to_string()),
        ("project.config_files", file.display().to_string()),
        ("project.working_dir", file.parent().unwrap().display().to_string()),
    ];
    let labels: BTreeMap<_, _> = labels.into_iter().map(|(name, value)| (format!("com.docker.compose.{name}"), value)).collect();
    let data = file.with_file_name("data");
    let text = json!({
        "Id": format!("{project}.{service}.{number}"),
        "Name": format!("/{project}-{service}-{number}"),
        "Created": "2026-01-01T00:00:00Z",
        "State": {"Status": "@STATE@"},
        "Config": {"Labels": labels},
        "Mounts": [{"Type": "bind", "Source": data, "Destination": "/data", "RW": true}],
    });
    format!("{text}\n")
}
