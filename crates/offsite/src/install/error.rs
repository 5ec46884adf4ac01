//! Why an alarm clock cannot be installed or removed.

use std::{io, path::PathBuf};

use super::{Call, Reply, Target};

/// An installation that failed. What was done before it stays: the next one goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The daemon needs an account other than root.
    #[error("cannot tell which account the daemon should run as; it must not be root")]
    NoAccount,
    /// The system does not know the account.
    #[error("there is no account {name}")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The system cannot tell about the account.
    #[error("cannot ask the system about the account {name}")]
    Account {
        /// What was asked for.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Only the administrator may do this.
    #[error("{what} needs the administrator's rights")]
    NeedsRoot {
        /// What was to be done.
        what: &'static str,
        /// What to type.
        command: String,
    },
    /// This is the owner's own, and root has none.
    #[error("on this system the timer is the owner's own: it cannot be {what} as root")]
    NotAsRoot {
        /// Installed or removed.
        what: &'static str,
    },
    /// This is the owner's own, and another account has one of its own.
    #[error("on this system the timer is the owner's own: only {name} can have it {what}")]
    NotAsAnother {
        /// Installed or removed.
        what: &'static str,
        /// The owner.
        name: String,
    },
    /// The launchd crate refuses a value.
    #[error("cannot describe the job to launchd")]
    Describe(#[source] launchd::Error),
    /// The property list cannot be written as XML.
    #[error("cannot write the property list as XML")]
    Xml(#[source] plist::Error),
    /// A path that is not UTF-8 cannot stand in a property list or unit.
    #[error("{} is not UTF-8, and what starts the daemon can hold nothing else", path.display())]
    NotText {
        /// The path.
        path: PathBuf,
    },
    /// systemd starts no program whose name holds a quotation mark, a backslash or a control character.
    #[error("systemd starts no program of the name {}", path.display())]
    OddProgram {
        /// The program.
        path: PathBuf,
    },
    /// A file or folder cannot be made, given to its owner, read or removed.
    #[error("cannot {what} {}", path.display())]
    File {
        /// The verb.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else stands where one of our folders or files belongs.
    #[error("{} is {what}; nothing was given to {owner}", path.display())]
    InTheWay {
        /// The path.
        path: PathBuf,
        /// What stands there.
        what: &'static str,
        /// The number of the account that it should belong to.
        owner: u32,
    },
    /// A program of the system could not be started.
    #[error("cannot run {program} {arguments}")]
    Run {
        /// The program.
        program: &'static str,
        /// Its arguments.
        arguments: String,
        /// Why.
        source: io::Error,
    },
    /// A program of the system says no.
    #[error("{program} {arguments} failed with exit code {}: {}", reply.code, reply.words())]
    Refused {
        /// The program.
        program: &'static str,
        /// Its arguments.
        arguments: String,
        /// Its answer.
        reply: Reply,
    },
    /// The job was told to end and did not.
    #[error("{target} was told to end and is still there after {seconds} seconds")]
    StillThere {
        /// The job.
        target: Target,
        /// How long was waited.
        seconds: u32,
    },
    /// launchd took the list without complaint and has another job, or none.
    #[error("launchd does not have {target} as installed: {found}")]
    NotLoaded {
        /// The job.
        target: Target,
        /// What it has.
        found: String,
    },
    /// The Mac wakes at times that are not ours to change.
    #[error("the Mac already has its own schedule for waking: {}", theirs.join(", "))]
    OtherWake {
        /// What `pmset -g sched` says.
        theirs: Vec<String>,
    },
}

impl InstallError {
    pub(super) fn run(call: &Call, source: io::Error) -> Self {
        Self::Run { program: "launchctl", arguments: call.arguments().join(" "), source }
    }

    pub(super) fn refused(call: &Call, reply: Reply) -> Self {
        Self::Refused { program: "launchctl", arguments: call.arguments().join(" "), reply }
    }
}
