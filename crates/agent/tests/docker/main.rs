//! Stories with a real engine and real compose projects: what ran before a run runs after it, whatever happens in between.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod back;
mod killed;
#[allow(dead_code, unreachable_pub, reason = "shared by several test programs")]
#[path = "../lab/mod.rs"]
mod lab;

mod refused;
mod same;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use lab::{Lab, SERVICE, Said, until};

/// A service that notes a clean stop in its data, and removes the note while it runs.
const WRITER: &str =
    "trap 'echo clean >/data/stopped; exit 0' TERM; rm -f /data/stopped; echo started >>/data/starts; while :; do sleep 0.1; done";

/// A home: a scaled service that needs a database of a profile, and one that was stopped.
fn home(lab: &mut Lab) -> String {
    let compose = format!(
        "services:
  web:
    image: IMAGE
    pull_policy: never
    command: [sleep, '10000']
    stop_grace_period: 0s
    depends_on: [db]
  db:
    image: IMAGE
    pull_policy: never
    profiles: [data]
    command: [sh, -c, \"{}\"]
    volumes: ['./data:/data', 'named:/named']
  off:
    image: IMAGE
    pull_policy: never
    command: [sleep, '10000']
    stop_grace_period: 0s
volumes:
  named: {{}}
",
        WRITER.replace('$', "$$")
    );
    let name = lab.project("home", &compose);
    fs::create_dir(lab.path("services/home/data")).unwrap();
    lab.compose("home", &["up", "--detach", "--scale", "web=2"]);
    lab.compose("home", &["stop", "off"]);
    // Only when the writer has its trap is a stop a clean one.
    started(&lab.path("services/home/data/starts"), 1);
    name
}

/// Waits until the writer has begun for the `times`th time.
fn started(starts: &Path, times: usize) {
    until("the writer starts", || fs::read_to_string(starts).map_or(0, |text| text.lines().count()) >= times);
}

/// What of the home runs: the numbers of containers are the engine's business.
const HOME: [&str; 3] = ["db", "web", "web"];
