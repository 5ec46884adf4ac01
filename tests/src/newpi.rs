//! A Pi that nobody has set up for the Mac: a usual sshd, and a shell into which a person pastes a line (`lab/newpi.sh`).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::part::script;
use crate::tied::Tied;

/// A running sshd that lets nobody in yet.
#[derive(Debug)]
pub struct NewPi {
    _tied: Tied,
    port: u16,
    dir: PathBuf,
}

impl NewPi {
    /// The repository as an account of the Pi sees it: the usual place.
    pub const ROOT: &str = "/srv/backup/offsite";

    pub(crate) fn start(dir: &Path, repository: &Path) -> Self {
        let mut command = Command::new(script("newpi.sh"));
        command.arg(dir).arg(repository);
        let (tied, port) = Tied::listening(command, &dir.join("newpi.log"));
        Self { _tied: tied, port, dir: dir.to_owned() }
    }

    /// The port it listens at on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs a line in root's shell there; gives what it said, after which stands `code N`.
    #[must_use]
    pub fn paste(&self, line: &str) -> String {
        assert!(!line.contains('\n'), "one line");
        std::fs::write(self.dir.join("paste"), line).unwrap();
        std::fs::read_to_string(self.dir.join("shown")).unwrap()
    }

    /// What sshd said so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("sshd.log")).unwrap()
    }
}
