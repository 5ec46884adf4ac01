//! Why an alarm clock cannot be installed or removed.

use std::{io, path::PathBuf};

use super::{Call, Reply, Target};

/// An installation that failed. What was done before it stays: the next one goes on from there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    #[error("cannot tell which account the daemon should run as; it must not be root")]
    NoAccount,
    #[error("there is no account {name}")]
    Unknown { name: String },
    #[error("cannot ask the system about the account {name}")]
    Account { name: String, source: io::Error },
    #[error("{what} needs the administrator's rights")]
    NeedsRoot { what: &'static str, command: String },
    #[error("on this system the timer is the owner's own: it cannot be {what} as root")]
    NotAsRoot { what: &'static str },
    #[error("on this system the timer is the owner's own: only {name} can have it {what}")]
    NotAsAnother { what: &'static str, name: String },
    #[error("cannot describe the job to launchd")]
    Describe(#[source] launchd::Error),
    #[error("cannot write the property list as XML")]
    Xml(#[source] plist::Error),
    #[error("{} is not UTF-8, and what starts the daemon can hold nothing else", path.display())]
    NotText { path: PathBuf },
    /// systemd starts no program whose name holds a quotation mark, a backslash or a control character.
    #[error("systemd starts no program of the name {}", path.display())]
    OddProgram { path: PathBuf },
    #[error("cannot {what} {}", path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is {what}; nothing was given to {owner}", path.display())]
    InTheWay { path: PathBuf, what: &'static str, owner: u32 },
    #[error("cannot run {program} {arguments}")]
    Run { program: &'static str, arguments: String, source: io::Error },
    #[error("{program} {arguments} failed with exit code {}: {}", reply.code, reply.words())]
    Refused { program: &'static str, arguments: String, reply: Reply },
    #[error("{target} was told to end and is still there after {seconds} seconds")]
    StillThere { target: Target, seconds: u32 },
    /// launchd took the list without complaint and has another job, or none.
    #[error("launchd does not have {target} as installed: {found}")]
    NotLoaded { target: Target, found: String },
    #[error("the Mac already has its own schedule for waking: {}", theirs.join(", "))]
    OtherWake { theirs: Vec<String> },
}

impl InstallError {
    pub(super) fn refused(call: &Call, reply: Reply) -> Self {
        Self::Refused { program: "launchctl", arguments: call.arguments().join(" "), reply }
    }
}
