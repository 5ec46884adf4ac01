//! An error's next step: the one thing a person should do now.
//!
//! Errors say what failed; what to do about it depends on the whole chain and belongs to the command line alone. A chain without a known
//! cause gets no hint: a wrong one costs more than none.

mod drill;
mod install;
mod keys;
mod network;
mod night;
mod restore;

use std::io;

use offsite_repository::{CopyError, LocalError, RepositoryError};

pub(crate) use self::{
    keys::{OLDER as OLDER_KEY, VAULT_LOST, differs},
    network::{no_route, private},
};
use crate::{
    accept::AcceptError,
    config::{ConfigError, CredentialsError},
    exit::Exit,
    init::{AskError, RepositoryAway, TrustError},
    lock::LockError,
};

/// The error as the terminal shows it: one line, outermost first, then the next step.
pub(crate) fn render(error: &anyhow::Error) -> String {
    let mut text = format!("error: {}", crate::human::plain(&message(error)));
    if let Some(hint) = hint(error) {
        text.push_str("\nnext:  ");
        text.push_str(&hint);
    }
    text
}

/// The chain on one line; a cause that its wrapper already quotes is not said twice.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = match cause.downcast_ref() {
            // Its own words say of which kind the store is, which the path after it says better.
            Some(object_store::Error::Generic { source, .. }) => source.to_string(),
            _ => cause.to_string(),
        };
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

pub(crate) fn exit(error: &anyhow::Error) -> Exit {
    if find::<ConfigError>(error).is_some() || matches!(unanswered(error), Some(AskError::Lacking { .. })) {
        return Exit::Usage;
    }
    match find::<LockError>(error) {
        Some(LockError::Busy { .. } | LockError::Read) => Exit::Overdue,
        _ => Exit::Failed,
    }
}

fn find<E: std::error::Error + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

/// The next step, if the chain has a cause we know. What is nearer to the person's own doing is asked first.
pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    let plain = |step: Option<&'static str>| step.map(str::to_owned);
    plain(config(error))
        .or_else(|| first_minutes(error))
        .or_else(|| plain(busy(error)))
        .or_else(|| plain(accept(error)))
        .or_else(|| plain(find::<crate::history::UnknownNight>(error).map(|_| "see which there are: offsite history --all")))
        .or_else(|| credentials(error))
        .or_else(|| install::hint(error))
        .or_else(|| drill::hint(error))
        .or_else(|| keys::hint(error))
        .or_else(|| network::hint(error))
        .or_else(|| plain(restore::hint(error)))
        .or_else(|| plain(night::hint(error)))
        .or_else(|| plain(storage(error)))
        .or_else(|| plain(system(error)))
}

fn config(error: &anyhow::Error) -> Option<&'static str> {
    Some(match find::<ConfigError>(error)? {
        ConfigError::NoHome(_) => "set HOME; or name the file with --config FILE, and in it `state` and every folder in full, without ~",
        ConfigError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => "write a first one: offsite init",
        ConfigError::Read { source, .. } if source.kind() == io::ErrorKind::IsADirectory => "name the file itself: --config FILE",
        ConfigError::Read { source, .. } if source.kind() == io::ErrorKind::InvalidData => "save the file as UTF-8",
        ConfigError::Read { .. } => "make the file readable for this account",
        ConfigError::Invalid(_) => "correct the file; nothing was changed",
    })
}

fn first_minutes(error: &anyhow::Error) -> Option<String> {
    match find::<TrustError>(error) {
        Some(TrustError::Declined { .. }) => return Some("compare it with the Pi's own host key, then: offsite init".to_owned()),
        Some(TrustError::Differs { .. }) => {
            return Some("someone else may answer there: look for the reason before anything else".to_owned());
        }
        Some(TrustError::Kind { presented, .. }) => {
            let file = format!("/etc/ssh/ssh_host_{}_key.pub", presented.to_lowercase());
            return Some(format!("give that key's fingerprint; on the Pi: ssh-keygen -lf {file}"));
        }
        Some(TrustError::Ask(_) | TrustError::Write { .. }) | None => {}
    }
    if find::<RepositoryAway>(error).is_some() {
        return Some(
            "mount its disk; if that is gone for good, offsite init asks at a terminal whether to begin with an empty one".to_owned(),
        );
    }
    match unanswered(error)? {
        AskError::Ended { .. } => Some("what was made is kept; begin again: offsite init".to_owned()),
        AskError::Lacking { flag, .. } => Some(format!("give {flag}, or run it at a terminal; all options: offsite init --help")),
        AskError::Terminal { .. } => None,
    }
}

fn unanswered(error: &anyhow::Error) -> Option<&AskError> {
    match find::<TrustError>(error) {
        Some(TrustError::Ask(error)) => Some(error),
        _ => find(error),
    }
}

fn busy(error: &anyhow::Error) -> Option<&'static str> {
    match find::<LockError>(error)? {
        LockError::Busy { .. } => Some("wait for it to end; offsite status --watch shows what it does"),
        LockError::Read => Some("wait for it to end, or end it; then the same again"),
        LockError::File { .. } => None,
    }
}

fn accept(error: &anyhow::Error) -> Option<&'static str> {
    find::<AcceptError>(error).map(|_| "see which archives are suspicious: offsite status")
}

fn credentials(error: &anyhow::Error) -> Option<String> {
    Some(match find::<CredentialsError>(error)? {
        CredentialsError::Open { path, .. } => format!("chmod 600 {}", path.display()),
        CredentialsError::Read { path, .. } | CredentialsError::Line { path, .. } => {
            format!("write its NAME=value lines into {}, mode 0600 as the comments of offsite.yaml say", path.display())
        }
        CredentialsError::Missing { place, .. } if place == "the environment" => {
            "set it, or name a file with `credentials:` in the configuration: launchd hands on no environment".to_owned()
        }
        CredentialsError::Missing { place, .. } => format!("add it to {place}"),
    })
}

fn storage(error: &anyhow::Error) -> Option<&'static str> {
    if let Some(LocalError::NoFolder { .. }) = find(error) {
        return Some("mount the disk; if the folder never was there: offsite init");
    }
    if let Some(CopyError::Differs { .. }) = find(error) {
        return Some("two archives of one name come from two Pis or a reset clock: rename the job on one of them");
    }
    let step = find::<RepositoryError>(error).and_then(|error| match error {
        RepositoryError::NotARepository { .. } => Some(
            "mount its disk, if it is on one; else check the path; on this Mac make it with: offsite init; on the Pi: offsite-agent init",
        ),
        RepositoryError::Version { .. } => Some("update this offsite"),
        RepositoryError::NoSuchArchive { .. } => Some("see which there are: offsite archives"),
        RepositoryError::Manifest { .. } | RepositoryError::Table { .. } => {
            Some("read everything back, then repair from another place: offsite verify, offsite sync")
        }
        _ => None,
    });
    step.or_else(|| error.chain().filter_map(|cause| cause.downcast_ref()).find_map(refused))
}

fn refused(error: &object_store::Error) -> Option<&'static str> {
    match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Some("check the credentials and what they may do: list, read, write and delete below that prefix")
        }
        _ => None,
    }
}

fn system(error: &anyhow::Error) -> Option<&'static str> {
    use io::ErrorKind;
    let kinds: Vec<ErrorKind> = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).collect();
    let has = |kind| kinds.contains(&kind);
    if has(ErrorKind::StorageFull) || has(ErrorKind::QuotaExceeded) {
        Some("make room on that disk or lower `keep`; every archive that was whole still is")
    } else if has(ErrorKind::PermissionDenied) {
        Some("give this account the right to that path (on macOS also: System Settings, Privacy & Security, Full Disk Access)")
    } else if has(ErrorKind::ReadOnlyFilesystem) {
        Some("the disk is mounted read-only: check it, then mount it writable")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::{Context, Error};

    use super::*;
    use crate::journal::JournalError;

    fn io(kind: io::ErrorKind) -> io::Error {
        io::Error::new(kind, "the system's words")
    }

    #[test]
    fn a_configuration_that_is_no_text_has_its_own_next_step() {
        let next = |kind| hint(&Error::new(ConfigError::Read { path: "/c".into(), source: io(kind) })).unwrap();
        let kinds = [io::ErrorKind::IsADirectory, io::ErrorKind::InvalidData, io::ErrorKind::PermissionDenied];
        assert_eq!(
            kinds.map(next),
            ["name the file itself: --config FILE", "save the file as UTF-8", "make the file readable for this account"]
        );
    }

    #[test]
    fn the_five_commonest_errors() {
        let missing = ConfigError::Read { path: "/home/owner/offsite.yaml".into(), source: io(io::ErrorKind::NotFound) };
        let full = JournalError::Append { path: "/state/journal.jsonl".into(), source: io(io::ErrorKind::StorageFull) };
        let busy = LockError::Busy { holder: "offsite daemon, process 7, since 2026-11-22T04:30:00Z".into() };
        let known = PathBuf::from("/home/owner/.ssh/known_hosts");
        let unknown = offsite_sftp::SftpError::HostKeyUnknown {
            host: "pi.local".into(),
            port: 22,
            known_hosts: known,
            algorithm: "ssh-ed25519".into(),
            fingerprint: "SHA256:abc".into(),
            line: "pi.local ssh-ed25519 AAAA".into(),
        };
        let away = offsite_sftp::SftpError::Refused { host: "pi.local".into(), port: 22 };
        for (error, wanted) in [
            (
                Error::new(missing),
                "error: cannot read the configuration /home/owner/offsite.yaml: the system's words\nnext:  write a first one: offsite init",
            ),
            (
                Error::new(full).context("cannot pull services from pi"),
                "error: cannot pull services from pi: cannot append to the journal /state/journal.jsonl: the system's words\n\
                 next:  make room on that disk or lower `keep`; every archive that was whole still is",
            ),
            (
                Error::new(busy),
                "error: another offsite is at work: offsite daemon, process 7, since 2026-11-22T04:30:00Z\n\
                 next:  wait for it to end; offsite status --watch shows what it does",
            ),
            (
                Error::new(unknown),
                "error: host key of pi.local port 22 is not in /home/owner/.ssh/known_hosts: the server presented ssh-ed25519 SHA256:abc\n\
                 next:  at a terminal: offsite init; or compare SHA256:abc with the Pi's own (on the Pi: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); if they are the same, \
                 add this line to /home/owner/.ssh/known_hosts: pi.local ssh-ed25519 AAAA",
            ),
            (
                Error::new(away).context("cannot reach pi"),
                "error: cannot reach pi: connect to pi.local port 22: connection refused\n\
                 next:  check that SSH runs on the Pi and on that port: ssh -p 22 pi.local",
            ),
        ] {
            assert_eq!(render(&error), wanted);
        }
    }

    #[test]
    fn a_cause_is_not_said_twice_and_control_characters_are_shown() {
        let inner: anyhow::Result<()> = Err(Error::msg("b\u{1b}[2J"));
        let error = inner.context("a: b\u{1b}[2J").context("top").unwrap_err();
        assert_eq!(render(&error), "error: top: a: b\\u{1b}[2J");
    }

    #[test]
    fn exits_follow_the_cause() {
        let usage = Error::new(ConfigError::from(crate::home::NoHome)).context("x");
        let busy = Error::new(LockError::Busy { holder: String::new() });
        assert_eq!([exit(&usage), exit(&busy), exit(&Error::msg("x"))], [Exit::Usage, Exit::Overdue, Exit::Failed]);
    }

    #[test]
    fn an_unknown_cause_has_no_hint() {
        assert_eq!(hint(&Error::msg("something else")), None);
    }
}
