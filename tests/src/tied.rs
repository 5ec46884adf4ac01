//! Helper processes that cannot outlive the test.
//!
//! Each reads its standard input and ends when that ends. The other end of the pipe is held here and nowhere else, so the helper goes
//! when the handle is dropped, when the test panics, and when the whole test process is killed: the kernel closes the pipe for us.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running helper.
#[derive(Debug)]
pub(crate) struct Tied(Child);

impl Tied {
    /// Starts `command`, whose errors go to the file `log`, and waits for its one line of output.
    pub(crate) fn start(mut command: Command, log: &Path) -> (Self, String) {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(std::fs::File::create(log).unwrap());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let tied = Self(child);
        assert!(!line.is_empty(), "{command:?} did not start: {}", std::fs::read_to_string(log).unwrap());
        (tied, line.trim_end().to_owned())
    }

    /// Starts `command` and waits for the line `listening PORT`.
    pub(crate) fn listening(command: Command, log: &Path) -> (Self, u16) {
        let (tied, line) = Self::start(command, log);
        let port = line.strip_prefix("listening ").and_then(|p| p.parse().ok());
        (tied, port.unwrap_or_else(|| panic!("a helper said {line:?} instead of its port")))
    }
}

impl Tied {
    /// Writes a line to its input.
    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.0.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It is waited for, so that what it held (a port, a mount, containers) is free when the next line of the test runs.
        let ended = self.0.wait();
        assert!(ended.is_ok() || std::thread::panicking(), "waiting for a helper: {ended:?}");
    }
}
