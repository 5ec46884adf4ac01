//! Next steps for an alarm clock that cannot be installed or removed.

use std::io::ErrorKind;

use super::find;
use crate::install::InstallError;

pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    let plain = |text: &str| Some(text.to_owned());
    match find::<InstallError>(error)? {
        InstallError::NeedsRoot { command, .. } => Some(format!("type: {command}")),
        InstallError::NotAsRoot { .. } => plain("the same as yourself, without sudo"),
        InstallError::NotAsAnother { name, .. } => Some(format!("log in as {name} and do the same, without --user")),
        InstallError::Run { program, source, .. }
            if program.starts_with("systemctl") && [ErrorKind::NotFound, ErrorKind::Unsupported].contains(&source.kind()) =>
        {
            plain(
                "this system has no systemd: have whatever starts things here start `offsite daemon` every ten minutes, as this account (cron: */10 * * * *)",
            )
        }
        InstallError::NoAccount => plain("call it from your own account (on a Mac with sudo), or name one: --user NAME"),
        InstallError::OtherWake { .. } => plain("keep it, and leave --wake out; or, if you do not need it: sudo pmset repeat cancel"),
        InstallError::InTheWay { path, .. } => {
            Some(format!("look what it is (ls -ld '{}'), move it away or give it to its owner, and install again", path.display()))
        }
        InstallError::Refused { program: "launchctl", arguments, .. } if arguments.starts_with("bootstrap") => plain(
            "see whether it is switched off in System Settings, General, Login Items & Extensions; switch it on and install again \
             (more of launchd's words: log show --last 5m --predicate 'process == \"launchd\"')",
        ),
        InstallError::Refused { program, reply, .. } if program.starts_with("systemctl") && reply.err.contains("bus") => {
            plain("log in as this account, not with su or sudo, and do the same again")
        }
        InstallError::StillThere { .. } => plain("wait until the run has ended (offsite status), and do the same again"),
        _ => None,
    }
}
