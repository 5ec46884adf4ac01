//! The demo's stage: a Pi, a Mac and a cloud as three folders, with real configurations, keys and an SFTP server between them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use anyhow::Context;
use jiff::Timestamp;
use offsite_archive::JobName;
use offsite_repository::{
    Layout, LocalStore, Repository,
    seal::{MasterKey, RecoveryKey, Slot, VaultId},
};
use offsite_sftp::{keys, server::EmbeddedServer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::house;
use crate::{globals::Globals, key::Key, state::State};

pub(super) struct Stage {
    root: PathBuf,
    agent: offsite_agent::Config,
    job: JobName,
    /// The Pi's SSH server, while there is a Pi.
    server: Option<EmbeddedServer>,
    /// The paper.
    pub(super) recovery: Zeroizing<String>,
}

impl Stage {
    /// Builds house, Pi, Mac and cloud below `root`, which is empty. The house stands as at `now`.
    pub(super) async fn build(root: &Path, now: Timestamp) -> anyhow::Result<Self> {
        for folder in ["pi/srv/services", "pi/backup", "mac", "cloud"] {
            fs::create_dir_all(root.join(folder)).with_context(|| format!("cannot make {}", root.join(folder).display()))?;
        }
        house::build(&root.join("pi/srv/services"), now.into()).context("cannot build the house")?;
        let agent = agent(root)?;
        offsite_agent_repository(&agent).await?;
        let public = keys::generate_key_file(&root.join("mac/id_ed25519"), "demo")?;
        let server = EmbeddedServer::start(&root.join("pi/backup"), &public).await?;
        let known = root.join("mac/known_hosts");
        fs::write(&known, format!("{}\n", server.known_hosts_line())).with_context(|| format!("cannot write {}", known.display()))?;
        let mut stage =
            Self { root: root.to_owned(), agent, job: "services".parse()?, server: Some(server), recovery: Zeroizing::default() };
        stage.mac().await?;
        Ok(stage)
    }

    async fn mac(&mut self) -> anyhow::Result<()> {
        let port = self.server.as_ref().map_or(22, EmbeddedServer::port);
        let mac = |name: &str| quoted(&self.root.join("mac").join(name));
        let pi = format!(
            "{{name: pi, host: 127.0.0.1, port: {port}, user: demo, path: /, key: {}, known_hosts: {}}}",
            mac("id_ed25519"),
            mac("known_hosts")
        );
        let cloud = format!("{{name: cold, url: {}}}", Value::from(self.cloud_url()));
        // A demonstration alarms nobody.
        let quiet = "notify: {macos: none}\n";
        let text = format!("repository: {}\nstate: {}\n{quiet}pis:\n- {pi}\nclouds:\n- {cloud}\n", mac("repository"), mac("state"));
        let path = self.globals().config_path()?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        let config = self.globals().load()?;
        let store = LocalStore::create(&config.repository)?;
        Repository::create(Arc::new(store), Layout::Packs).await?;
        let (vault, master, recovery) = (VaultId::random()?, MasterKey::random()?, RecoveryKey::random()?);
        let slots = vec![Slot::for_recovery(vault, &master, &recovery)?];
        Key { vault, master, slots, revoked: Default::default() }.save_new(&State::open(&config.state)?.key())?;
        self.recovery = Zeroizing::new(recovery.groups().iter().map(|group| group.as_str()).collect::<Vec<_>>().join("-"));
        Ok(())
    }

    pub(super) fn globals(&self) -> Globals {
        Globals { config: Some(self.root.join("mac/offsite.yaml")) }
    }

    pub(super) fn house(&self) -> PathBuf {
        self.root.join("pi/srv/services")
    }

    /// Where the house is put aside when the Pi is lost: what a restore is held against.
    pub(super) fn aside(&self) -> PathBuf {
        self.root.join("house-as-it-was")
    }

    pub(super) fn cloud_url(&self) -> String {
        format!("file://{}", self.root.join("cloud").display())
    }

    pub(super) fn restored(&self, from: &str) -> PathBuf {
        self.root.join("restored").join(from)
    }

    pub(super) fn house_in(&self, into: &Path) -> PathBuf {
        let house = self.house();
        into.join(house.strip_prefix("/").unwrap_or(&house))
    }

    pub(super) fn live(&self, day: u64, now: Timestamp) -> io::Result<()> {
        house::live(&self.house(), day, SystemTime::from(now))
    }

    /// 04:00 on the Pi: the agent runs. It has a runtime of its own, so it gets a thread of its own.
    pub(super) async fn agent_run(&self, now: Timestamp) -> anyhow::Result<offsite_agent::Made> {
        let (config, job) = (self.agent.clone(), self.job.clone());
        let run = move || {
            let clock = move || now;
            offsite_agent::run(&config, &job, offsite_agent::RunOptions::new(&clock, &mut |_| {}))
        };
        Ok(tokio::task::spawn_blocking(run).await.context("the agent's thread")??)
    }

    /// A pack of the Mac's, the largest, gets one wrong byte, as a tired disk does it.
    pub(super) fn damage(&self) -> anyhow::Result<()> {
        let packs = self.root.join("mac/repository/packs");
        let failed = || format!("cannot damage a pack in {}", packs.display());
        let mut largest = (0, PathBuf::new());
        for entry in fs::read_dir(&packs).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            largest = largest.max((entry.metadata().with_context(failed)?.len(), entry.path()));
        }
        let mut bytes = fs::read(&largest.1).with_context(failed)?;
        let middle = bytes.len() / 2;
        bytes.get_mut(middle).map(|byte| *byte ^= 1).with_context(failed)?;
        fs::write(&largest.1, bytes).with_context(failed)
    }

    /// The Pi's disk dies: house, repository and server are gone. The house is only put aside, to be compared with.
    pub(super) fn lose_the_pi(&mut self) -> io::Result<()> {
        self.server = None;
        fs::rename(self.house(), self.aside())?;
        fs::remove_dir_all(self.root.join("pi"))
    }

    /// The Mac is stolen: repository, journal, key, configuration.
    pub(super) fn lose_the_mac(&self) -> io::Result<()> {
        fs::remove_dir_all(self.root.join("mac"))
    }
}

/// The agent's configuration: nothing is stopped, since nothing runs.
fn agent(root: &Path) -> anyhow::Result<offsite_agent::Config> {
    let pi = |name: &str| quoted(&root.join("pi").join(name));
    let text = format!(
        "repository: {}\nstate: {}\njobs:\n  services:\n    sources: [{}]\n    quiesce: none\n",
        pi("backup"),
        pi("state"),
        pi("srv/services")
    );
    let path = root.join("pi/agent.yaml");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(offsite_agent::Config::load(&path)?)
}

async fn offsite_agent_repository(config: &offsite_agent::Config) -> anyhow::Result<()> {
    let config = config.clone();
    tokio::task::spawn_blocking(move || offsite_agent::make_repository(&config)).await.context("the agent's thread")??;
    Ok(())
}

/// JSON's string is YAML's, whatever is in it.
fn quoted(path: &Path) -> String {
    Value::from(path.to_string_lossy()).to_string()
}
