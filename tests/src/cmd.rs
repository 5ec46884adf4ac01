//! Running a program to its end and judging it by its exit code and its words.
//!
//! The environment is the lab's own, never the developer's: the same run must come out the same on every machine.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// A program to run.
#[derive(Debug)]
pub struct Cmd(Command);

impl Cmd {
    /// `program` in a bare environment: PATH, UTC, the C locale, `home` as its home and temporary folder.
    pub fn new(program: impl AsRef<OsStr>, home: &Path) -> Self {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", home).env("TMPDIR", home).env("TZ", "UTC").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        for kept in ["PATH", "DOCKER_HOST", "DOCKER_CONFIG"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        Self(command)
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.0.args(args);
        self
    }

    /// One variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// The folder to run in.
    #[must_use]
    pub fn current_dir(mut self, dir: &Path) -> Self {
        self.0.current_dir(dir);
        self
    }

    /// The same command, run by another program which takes it as its last arguments.
    #[must_use]
    pub fn under(self, program: &str, args: &[&str]) -> Self {
        let mut outer = Command::new(program);
        outer.args(args).arg(self.0.get_program()).args(self.0.get_args()).env_clear().stdin(Stdio::null());
        outer.envs(self.0.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(dir) = self.0.get_current_dir() {
            outer.current_dir(dir);
        }
        Self(outer)
    }

    /// The command itself, for a story that wants to start it and do something meanwhile.
    #[must_use]
    pub fn command(self) -> Command {
        self.0
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        let line = format!("{:?}", self.0);
        let output = self.0.output().unwrap_or_else(|e| panic!("cannot run {line}: {e}"));
        Outcome {
            line,
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What a program did.
#[derive(Debug)]
pub struct Outcome {
    /// The command, for messages.
    pub line: String,
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Outcome {
    /// Itself, if it exited with `code`.
    ///
    /// # Panics
    /// If not, with all that it said.
    #[must_use]
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n-- out:\n{}\n-- err:\n{}", self.line, self.out, self.err);
        self
    }

    /// Itself, if it exited with 0.
    ///
    /// # Panics
    /// If not, with all that it said.
    #[must_use]
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// Did it exit with 0?
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Its output as JSON.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{}: its output is not JSON: {e}\n{}", self.line, self.out))
    }

    /// Fails unless `words` are somewhere in what it said.
    ///
    /// # Panics
    /// If they are not.
    #[track_caller]
    pub fn says(&self, words: &str) {
        let found = self.out.contains(words) || self.err.contains(words);
        assert!(found, "{} does not say {words:?}\n-- out:\n{}\n-- err:\n{}", self.line, self.out, self.err);
    }
}
