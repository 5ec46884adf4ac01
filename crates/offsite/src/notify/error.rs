//! Why a message did not get through, and what to do about it. No variant repeats an address: topics and ping addresses are secrets. Nor
//! does any repeat what a server said, which may quote the address or the password that it was sent: its status is all that is kept.

use std::{io, path::PathBuf};

use crate::config::CredentialsError;

/// A message that did not get through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Neither the configuration nor the credentials have it.
    #[error("{name} is not set, nor `{key}` in the configuration")]
    Unset {
        /// The name in the credentials.
        name: &'static str,
        /// The key in the configuration.
        key: &'static str,
    },
    /// A value of the credentials that cannot be what it should.
    #[error("{name} of the credentials is not {wanted}")]
    Secret {
        /// The name in the credentials.
        name: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// The credentials cannot be had.
    #[error(transparent)]
    Credentials(CredentialsError),
    /// No client can be made, as without any trusted certificate.
    #[error("cannot prepare a connection")]
    Client {
        /// Why.
        source: reqwest::Error,
    },
    /// No answer came.
    #[error("cannot post to {host}")]
    Post {
        /// The server.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The server said no.
    #[error("{host} answered {status}")]
    Refused {
        /// The server.
        host: String,
        /// Its status.
        status: u16,
    },
    /// The server wants the message elsewhere. It is not sent on: a login page would then count as told.
    #[error("{host} answered {status} and sends on to another address")]
    Moved {
        /// The server.
        host: String,
        /// Its status.
        status: u16,
    },
    /// It took too long, with all tries.
    #[error("it did not take the message within {seconds} s")]
    Slow {
        /// How long was waited.
        seconds: u64,
    },
    /// No mail can be made of it.
    #[error("cannot write the mail")]
    Write {
        /// Why.
        source: lettre::error::Error,
    },
    /// The mail server said no.
    #[error("{host} answered {status}")]
    MailRefused {
        /// The server.
        host: String,
        /// Its status, of SMTP.
        status: u16,
    },
    /// What answers is no mail server, or does not speak as one.
    #[error("{host} does not answer as a mail server does")]
    NoMail {
        /// The server.
        host: String,
    },
    /// There is no mail server.
    #[error("cannot send mail through {host}")]
    Mail {
        /// The server.
        host: String,
        /// Why.
        source: lettre::transport::smtp::Error,
    },
    /// The system did not show it.
    #[error("cannot show a notice{}", quoted(said))]
    Show {
        /// What the command said.
        said: String,
    },
    /// The command that shows notices cannot be run.
    #[error("cannot run {program}")]
    Run {
        /// The command.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A notice could not be kept for whoever can show it.
    #[error("cannot keep a notice in {}", folder.display())]
    Spool {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

impl SendError {
    /// Whether the same may succeed in a moment, and was certainly not taken: a server that got a message and says nothing may have shown it.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Post { source, .. } => source.is_connect(),
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::MailRefused { status, .. } => (400..500).contains(status),
            _ => false,
        }
    }

    /// What to do.
    pub fn next(&self, channel: &str) -> String {
        let test = "offsite notify test";
        match self {
            Self::Unset { name, key } => format!("set `{key}`, or {name} in the file of `notify.credentials`; then: {test}"),
            Self::Secret { name, .. } => format!("correct {name} in the credentials; then: {test}"),
            Self::Credentials(CredentialsError::Open { path, .. }) => format!("chmod 600 {}; then: {test}", path.display()),
            Self::Credentials(_) => format!("correct the file of `notify.credentials`; then: {test}"),
            Self::Refused { status: 401 | 403, .. } => format!("check the credentials of {channel}; then: {test}"),
            Self::Refused { status: 400..500, .. } if !self.is_passing() => format!("check the address of {channel}; then: {test}"),
            Self::Moved { .. } => format!("give {channel} the address that it ends at; then: {test}"),
            Self::MailRefused { status: 500.., .. } => {
                format!("check account, sender and recipients of {channel}; then: {test}")
            }
            Self::Spool { .. } => "see that the disk is neither full nor read-only".to_owned(),
            Self::Show { .. } | Self::Run { .. } => format!("System Settings, Notifications: allow those of Script Editor; then: {test}"),
            _ => format!("it is tried again in a while; to try now: {test}"),
        }
    }
}
