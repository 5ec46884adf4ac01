//! The Pi as the Mac sees it: a real sshd, with an account that can read one folder and nothing else (`lab/pi.sh`).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::part::script;
use crate::tied::Tied;

/// A running sshd over an agent's repository.
#[derive(Debug)]
pub struct Pi {
    tied: Option<Tied>,
    port: u16,
    dir: PathBuf,
    repository: PathBuf,
}

impl Pi {
    /// The account that may fetch.
    pub const USER: &str = "offsite";
    /// The repository as that account sees it.
    pub const ROOT: &str = "/repository";
    /// The address to reach it at.
    pub const HOST: &str = "127.0.0.1";

    pub(crate) fn start(dir: &Path, repository: &Path) -> Self {
        let mut pi = Self { tied: None, port: 0, dir: dir.to_owned(), repository: repository.to_owned() };
        pi.up();
        pi
    }

    fn up(&mut self) {
        let mut command = Command::new(script("pi.sh"));
        command.arg(&self.dir).arg(&self.repository);
        if self.port != 0 {
            command.arg(self.port.to_string());
        }
        let (tied, port) = Tied::listening(command, &self.dir.join("pi.log"));
        self.port = port;
        self.tied = Some(tied);
    }

    /// The port it listens at on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The agent's repository, as root on the Pi sees it.
    #[must_use]
    pub fn repository(&self) -> &Path {
        &self.repository
    }

    /// The client's private key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.dir.join("key")
    }

    /// A file that pins the host key, for this port.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// A file that pins the host key for another port, that of a [`crate::Link`] to this Pi.
    #[must_use]
    pub fn known_hosts_through(&self, port: u16) -> PathBuf {
        self.known_hosts_at(Self::HOST, port)
    }

    /// The same for another address as well.
    #[must_use]
    pub fn known_hosts_at(&self, host: &str, port: u16) -> PathBuf {
        let path = self.dir.join(format!("known_hosts.{host}.{port}"));
        let line = std::fs::read_to_string(self.known_hosts()).unwrap();
        std::fs::write(&path, line.replace(&format!("[{}]:{} ", Self::HOST, self.port), &format!("[{host}]:{port} "))).unwrap();
        path
    }

    /// What sshd said so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("sshd.log")).unwrap()
    }

    /// The Pi loses power: every connection ends, and nothing listens until [`Pi::power_on`].
    pub fn power_off(&mut self) {
        self.tied = None;
    }

    /// The Pi is there again, at the same address with the same host key.
    pub fn power_on(&mut self) {
        self.up();
    }

    /// Another machine answers at this address: the host key is a new one, and the old `known_hosts` line still stands.
    pub fn impostor(&mut self) {
        self.power_off();
        let pinned = std::fs::read(self.known_hosts()).unwrap();
        std::fs::remove_file(self.dir.join("host")).unwrap();
        std::fs::remove_file(self.dir.join("host.pub")).unwrap();
        self.up();
        std::fs::write(self.known_hosts(), pinned).unwrap();
    }
}
