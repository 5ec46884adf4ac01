//! Until the Pi answers: host key, login, path, each with its own next step, and another try after it.
//!
//! What to do about an error is decided here, purely, from its kind; a key that differs from the one on file is never asked about.

use offsite_repository::RepositoryError;
use offsite_sftp::SftpError;

use super::{
    ask::{Ask, Question},
    authorise, login,
    trust::{self, Presented},
};
use crate::{
    config::{Config, Pi},
    hint,
    places::{self, PlaceError, Reached},
};

#[derive(Debug)]
pub(super) enum Met {
    /// The agent's repository is there.
    Here(Reached),
    /// The way there is right, and the folder is not: another may be named.
    NotThere,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Turn {
    Trust(Presented),
    /// Our key is not known there.
    Authorise,
    /// There is no repository at the path.
    Path,
    /// Somebody may be in between: the end.
    Never,
    /// Something that may be mended while we wait.
    Wait,
}

fn turn(error: &PlaceError) -> Turn {
    match error {
        PlaceError::Reach { source, .. } => match source {
            SftpError::HostKeyUnknown { .. } => Presented::of(source).map_or(Turn::Never, Turn::Trust),
            SftpError::HostKeyChanged { .. } | SftpError::HostKeyRevoked { .. } => Turn::Never,
            SftpError::AuthRefused { .. } | SftpError::NoKey { .. } | SftpError::AgentEmpty { .. } => Turn::Authorise,
            SftpError::RootMissing { .. } | SftpError::RootNotFolder { .. } => Turn::Path,
            _ => Turn::Wait,
        },
        PlaceError::Pi { source: RepositoryError::NotARepository { .. }, .. } => Turn::Path,
        _ => Turn::Wait,
    }
}

/// Connects to `pi`, and asks until it works. `fingerprint` is a host key that the owner trusts; `elsewhere` is whether another path may be
/// named; `shown` is whether the line for the Pi was shown already.
pub(super) async fn meet(
    ask: &mut dyn Ask,
    config: &Config,
    pi: &Pi,
    fingerprint: Option<&str>,
    elsewhere: bool,
    shown: bool,
) -> anyhow::Result<Met> {
    let mut trusted: Vec<Presented> = Vec::new();
    loop {
        let error = match places::pi(config, pi, &[]).await {
            Ok(reached) => {
                reached.remember(config, pi);
                return Ok(Met::Here(reached));
            }
            Err(error) => error,
        };
        let turn = turn(&error);
        if turn == Turn::Authorise && !ask.person() && !shown {
            show_line(ask, pi);
        }
        match turn {
            // What was written down and does not help would be asked for ever.
            Turn::Trust(presented) if !trusted.contains(&presented) => {
                trust::trust(ask, &presented, fingerprint)?;
                trusted.push(presented);
            }
            Turn::Trust(_) | Turn::Never => return Err(error.into()),
            _ if !ask.person() => return Err(error.into()),
            Turn::Authorise => {
                ask.say(&hint::render(&error.into()));
                show_line(ask, pi);
                again(ask)?;
            }
            Turn::Path if elsewhere => {
                ask.say(&hint::render(&error.into()));
                return Ok(Met::NotThere);
            }
            Turn::Path | Turn::Wait => {
                ask.say(&hint::render(&error.into()));
                again(ask)?;
            }
        }
    }
}

fn again(ask: &mut dyn Ask) -> anyhow::Result<()> {
    ask.line(&Question { text: "Press Enter to try again", proposal: Some(""), flag: "--yes" })?;
    Ok(())
}

pub(super) fn show_line(ask: &mut dyn Ask, pi: &Pi) {
    let account = pi.user.clone().or_else(|| login::ssh(pi).map(|found| found.user));
    let text = match (account, login::public(pi)) {
        (Some(account), Some(public)) if authorise::is_dedicated(&account) => format!(
            "\nOn the Pi, as somebody who may use sudo, paste this one line. It makes the account {account}, which can read\n\
             what every account there can read and write nothing, lets this Mac's key in, and shows the Pi's host key. Pasting it twice\n\
             does no harm.\n\n{}\n\n\
             That account must be allowed to read the archives: `group: {account}` in the Pi's agent.yaml, then sudo offsite-agent init\n",
            authorise::line(&account, &public)
        ),
        (Some(account), Some(public)) => format!(
            "\nOn the Pi, as {account}, paste this one line. It lets this Mac's key in, to read what {account} can read and write\n\
             nothing, and shows the Pi's host key. Pasting it twice does no harm.\n\n{}\n",
            authorise::line(&account, &public)
        ),
        (_, None) => "\nssh has no key that this Mac could show to the Pi. Make one (ssh-keygen -t ed25519), and put its public half into the account's \
                      ~/.ssh/authorized_keys on the Pi.\n"
            .to_owned(),
        (None, Some(public)) => format!("\nPut this line into the account's ~/.ssh/authorized_keys on the Pi:\n\n{public}\n"),
    };
    ask.say(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(source: SftpError) -> PlaceError {
        PlaceError::Reach { pi: "pi".parse().unwrap(), host: "pi.local".to_owned(), source }
    }

    #[test]
    fn each_error_has_its_own_next_step() {
        let (host, root) = (|| "pi.local".to_owned(), || "/srv".to_owned());
        let changed = SftpError::HostKeyChanged {
            host: host(),
            port: 22,
            name: host(),
            known_hosts: "/k".into(),
            line: 1,
            recorded: "ssh-ed25519 SHA256:old".to_owned(),
            algorithm: "ssh-ed25519".to_owned(),
            fingerprint: "SHA256:new".to_owned(),
        };
        assert_eq!(turn(&reach(changed)), Turn::Never);
        let refused = SftpError::AuthRefused { user: "u".to_owned(), host: host(), port: 22, keys: Vec::new() };
        assert_eq!(turn(&reach(refused)), Turn::Authorise);
        assert_eq!(turn(&reach(SftpError::RootMissing { host: host(), root: root() })), Turn::Path);
        assert_eq!(turn(&reach(SftpError::RootDenied { host: host(), root: root(), user: "u".to_owned() })), Turn::Wait);
        assert_eq!(turn(&reach(SftpError::Refused { host: host(), port: 22 })), Turn::Wait);
    }
}
