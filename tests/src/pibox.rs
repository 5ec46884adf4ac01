//! A Pi whose first process is systemd (`lab/pibox.sh`): the agent's units run for real, and power can be cut.
//!
//! It sees the lab's folder and the built programs in their own places, and this machine's container engine. So a power cut ends what
//! runs on the Pi, agent and systemd included, and what the engine runs goes on: for a story about units that is the harder case, for
//! nothing but the units brings services back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::part::script;
use crate::tied::Tied;
use crate::{Cmd, Outcome};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running Pi. It is gone when this is dropped.
#[derive(Debug)]
pub struct PiBox {
    name: String,
    agent: PathBuf,
    home: PathBuf,
    _tied: Tied,
}

impl PiBox {
    /// The folder of unit files on the Pi.
    pub const UNITS: &str = "/etc/systemd/system";

    pub(crate) fn boot(dir: &Path, agent: &Path, home: &Path) -> Self {
        let name = format!("lab-pibox-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new(script("pibox.sh"));
        command.arg(&name).arg(dir).arg(agent.parent().unwrap());
        let (tied, _) = Tied::start(command, &dir.join("pibox.log"));
        Self { name, agent: agent.to_owned(), home: home.to_owned(), _tied: tied }
    }

    /// A program on the Pi, as root.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Outcome {
        self.docker(&[&["exec", &self.name], words].concat())
    }

    /// A program of this workspace, where the Pi sees it too.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.agent.with_file_name(name)
    }

    /// The agent on the Pi, by hand.
    #[must_use]
    pub fn agent(&self, config: &Path, words: &[&str]) -> Outcome {
        self.run(&[&[self.agent.to_str().unwrap(), "--config", config.to_str().unwrap()], words].concat())
    }

    /// systemctl on the Pi.
    #[must_use]
    pub fn systemctl(&self, words: &[&str]) -> Outcome {
        self.run(&[&["systemctl"], words].concat())
    }

    /// One property of a unit.
    #[must_use]
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.systemctl(&["show", "--value", "--property", name, unit]).succeeds().out.trim().to_owned()
    }

    /// What a unit said, since the boot.
    #[must_use]
    pub fn said(&self, unit: &str) -> String {
        self.run(&["journalctl", "--boot", "--output", "cat", "--unit", unit]).succeeds().out
    }

    /// Everything on the Pi ends in the middle of what it does.
    pub fn cut_power(&self) {
        let _ = self.docker(&["kill", &self.name]).succeeds();
    }

    /// The Pi starts again.
    pub fn power_on(&self) {
        let _ = self.docker(&["start", &self.name]).succeeds();
    }

    fn docker(&self, words: &[&str]) -> Outcome {
        Cmd::new("docker", &self.home).args(words).run()
    }
}
