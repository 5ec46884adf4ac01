//! What offsite asks of launchd, behind one trait: the real launchctl, and a recorded one in tests.
//!
//! launchctl tells by its exit code, and one code has several meanings: 5 is "already loaded", "switched off", "the list has a bad owner or
//! mode" and more. So nothing here decides from a 5; who bootstraps boots out first and asks afterwards what is there.

use std::{io, path::PathBuf, process::Command, time::Duration};

use super::label::{Domain, Target};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// Read a list and take the job on.
    Bootstrap(Domain, PathBuf),
    /// End the job and forget it.
    Bootout(Target),
    /// Take away the mark that keeps the job from being loaded; it outlives lists and restarts.
    Enable(Target),
    Kickstart(Target),
    Print(Target),
    /// Tell which jobs of the domain bear that mark.
    PrintDisabled(Domain),
}

impl Call {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let words = |verb: &str, rest: Vec<String>| [vec![verb.to_owned()], rest].concat();
        match self {
            Self::Bootstrap(domain, list) => words("bootstrap", vec![domain.to_string(), list.to_string_lossy().into_owned()]),
            Self::Bootout(target) => words("bootout", vec![target.to_string()]),
            Self::Enable(target) => words("enable", vec![target.to_string()]),
            Self::Kickstart(target) => words("kickstart", vec![target.to_string()]),
            Self::Print(target) => words("print", vec![target.to_string()]),
            Self::PrintDisabled(domain) => words("print-disabled", vec![domain.to_string()]),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Its exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Reply {
    /// What `command` answers.
    pub(crate) fn of(mut command: Command) -> io::Result<Self> {
        use std::os::unix::process::ExitStatusExt;
        let output = command.output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
        let code = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        Ok(Self { code, out: text(output.stdout), err: text(output.stderr) })
    }

    pub(crate) fn means(&self) -> Means {
        match self.code {
            0 => Means::Done,
            // bootout says 3, print and kickstart say 113.
            3 | 113 => Means::Absent,
            // print says 112, "could not find domain", the others 125.
            112 | 125 => Means::NoDomain,
            36 | 37 => Means::Ending,
            _ => Means::Refused,
        }
    }

    pub(crate) fn words(&self) -> String {
        let said = if self.err.trim().is_empty() { &self.out } else { &self.err };
        let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() { format!("exit code {}", self.code) } else { line }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    Done,
    /// There is no such job.
    Absent,
    /// There is no such domain: nobody is logged in at the screen.
    NoDomain,
    /// The job is being ended, or taken on; ask again.
    Ending,
    Refused,
}

pub(crate) trait Launchctl {
    /// Makes one call.
    ///
    /// # Errors
    /// If launchctl cannot be started; what it refuses is in the reply.
    fn call(&self, call: &Call) -> io::Result<Reply>;

    /// Waits a little, for a job that is being ended.
    fn pause(&self);
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RealLaunchctl;

impl Launchctl for RealLaunchctl {
    fn call(&self, call: &Call) -> io::Result<Reply> {
        let mut command = crate::platform::current().launchctl().ok_or(io::ErrorKind::Unsupported)?;
        command.args(call.arguments());
        Reply::of(command)
    }

    fn pause(&self) {
        std::thread::sleep(Duration::from_millis(250));
    }
}
