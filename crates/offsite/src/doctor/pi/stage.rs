//! Which step of connecting an error belongs to. Pure.

use offsite_sftp::SftpError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Name,
    Port,
    /// It is the host whose key is known.
    HostKey,
    Login,
    Sftp,
    Folder,
}

impl Stage {
    pub(crate) const ALL: [Self; 6] = [Self::Name, Self::Port, Self::HostKey, Self::Login, Self::Sftp, Self::Folder];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Port => "port",
            Self::HostKey => "host key",
            Self::Login => "login",
            Self::Sftp => "sftp",
            Self::Folder => "folder",
        }
    }
}

/// The step that failed with `error`; all before it went well.
pub(crate) fn stage(error: &SftpError) -> Stage {
    use SftpError as E;
    match error {
        E::Resolve { .. } | E::SshConfig { .. } => Stage::Name,
        E::Refused { .. } | E::NoRoute { .. } | E::Connect { .. } => Stage::Port,
        // Before keys are exchanged nobody has said who they are.
        E::ConnectTimeout { step, .. } | E::Handshake { step, .. } => match *step {
            "log in" => Stage::Login,
            "open sftp" => Stage::Sftp,
            _ => Stage::Port,
        },
        E::KnownHostsUnreadable { .. }
        | E::KnownHostsInvalid { .. }
        | E::HostKeyUnknown { .. }
        | E::HostKeyChanged { .. }
        | E::HostKeyRevoked { .. } => Stage::HostKey,
        E::KeyUnreadable { .. }
        | E::KeyInvalid { .. }
        | E::KeyEncrypted { .. }
        | E::KeyPassphrase { .. }
        | E::KeyUnsupported { .. }
        | E::AgentUnavailable { .. }
        | E::AgentEmpty { .. }
        | E::NoKey { .. }
        | E::AuthRefused { .. } => Stage::Login,
        E::RootMissing { .. } | E::RootNotFolder { .. } | E::RootDenied { .. } => Stage::Folder,
        _ => Stage::Sftp,
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc, time::Duration};

    use super::*;

    #[test]
    fn an_error_belongs_to_the_step_that_it_stopped() {
        let (host, port, path) = (String::from("pi"), 22, std::path::PathBuf::from("/k"));
        let source = || Arc::new(io::Error::from(io::ErrorKind::HostUnreachable));
        let late = |step| SftpError::ConnectTimeout { step, host: "pi".into(), port: 22, after: Duration::from_secs(1) };
        let (user, root) = (String::from("u"), String::from("/r"));
        for (error, wanted) in [
            (SftpError::Resolve { host: host.clone(), source: source() }, Stage::Name),
            (SftpError::Refused { host: host.clone(), port }, Stage::Port),
            (SftpError::NoRoute { host: host.clone(), port, source: source() }, Stage::Port),
            (late("connect"), Stage::Port),
            (late("exchange keys"), Stage::Port),
            (late("log in"), Stage::Login),
            (late("open sftp"), Stage::Sftp),
            (SftpError::KnownHostsUnreadable { path: path.clone(), source: source() }, Stage::HostKey),
            (SftpError::KeyEncrypted { path }, Stage::Login),
            (SftpError::AuthRefused { user: user.clone(), host: host.clone(), port, keys: vec![] }, Stage::Login),
            (SftpError::NoSubsystem { host: host.clone(), port, user, reason: String::new() }, Stage::Sftp),
            (SftpError::RootMissing { host, root }, Stage::Folder),
        ] {
            assert_eq!(stage(&error), wanted, "{error}");
        }
    }
}
