//! Whom notices go to: the real ntfy server, a mail server, an HTTPS server.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::part::script;
use crate::tied::Tied;
use crate::{Cmd, Lab};

/// A real ntfy server, closed to all but one account.
#[derive(Debug)]
pub struct Ntfy {
    _tied: Tied,
    port: u16,
    token: String,
    home: PathBuf,
}

impl Ntfy {
    pub(crate) fn start(python: &Path, program: &Path, dir: &Path, home: &Path) -> Self {
        let mut command = Command::new(python);
        command.arg(script("ntfy.py")).arg(program).arg(dir);
        let (tied, port) = Tied::listening(command, &dir.join("log"));
        Self { _tied: tied, port, token: std::fs::read_to_string(dir.join("token")).unwrap(), home: home.to_owned() }
    }

    /// The address of the topic that the account may use.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/backups", self.port)
    }

    /// The account's token; the account is `mac` with the password `secret`.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// All messages of the topic, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        let curl = Cmd::new("curl", &self.home).args(["-sS", "--fail", "-H", &format!("Authorization: Bearer {}", self.token)]);
        let said = curl.arg(format!("{}/json?poll=1&since=all", self.url())).run().succeeds().out;
        said.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|message: &Value| message["event"] == "message").collect()
    }
}

/// A server that writes down what it gets.
#[derive(Debug)]
pub struct Sink {
    _tied: Tied,
    port: u16,
    dir: PathBuf,
}

impl Sink {
    pub(crate) fn start(python: &Path, dir: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(python);
        command.arg(script("sinks.py")).args(args).arg("--out").arg(dir.join("got")).arg("--ca").arg(dir.join("ca.pem"));
        let (tied, port) = Tied::listening(command, &dir.join("log"));
        Self { _tied: tied, port, dir: dir.to_owned() }
    }

    /// The port it listens at on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of its authority, if it has TLS.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// What came, oldest first; `lab/sinks.py` says what is in it.
    #[must_use]
    pub fn got(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.join("got")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Lab {
    /// A real ntfy server.
    #[must_use]
    pub fn ntfy(&self) -> Option<Ntfy> {
        let (python, program) = (crate::part::installed().join("py/bin/python"), crate::part::installed().join("ntfy/ntfy"));
        if !(python.exists() && program.exists()) && crate::lacking("an ntfy server", "it is not installed") {
            return None;
        }
        Some(Ntfy::start(&python, &program, &self.unique("ntfy"), &self.home()))
    }

    /// A mail server with `tls` (`none`, `starttls` or `tls`), where only `mac` with the password `secret` may send.
    #[must_use]
    pub fn mail(&self, tls: &str) -> Option<Sink> {
        self.sink(&["smtp", "--tls", tls, "--user", "mac", "--password", "secret"])
    }

    /// An HTTPS server whose authority nobody knows who was not told.
    #[must_use]
    pub fn https(&self) -> Option<Sink> {
        self.sink(&["https"])
    }

    fn sink(&self, args: &[&str]) -> Option<Sink> {
        let python = crate::part::installed().join("py/bin/python");
        if !python.exists() && crate::lacking("a server to send to", "the lab's Python environment is not there") {
            return None;
        }
        Some(Sink::start(&python, &self.unique("sink"), args))
    }
}
