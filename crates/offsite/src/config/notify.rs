//! Whom to tell, and how: the part `notify:` of the configuration.
//!
//! Every channel is optional and there is one of each kind. What opens a channel is not in here but in a file of mode 0600 or in the
//! environment, as with the clouds; an address that is a secret by itself (a ping address, a topic nobody may guess) may stand there too.

use std::{fmt, path::Path, str::FromStr};

use reqwest::Url;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Credentials, CredentialsError, Home, credentials};
use crate::platform;

/// Whom to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    pub credentials: Credentials,
    /// The Mac's own notices.
    pub macos: MacNotices,
    pub ntfy: Option<Ntfy>,
    pub healthchecks: Option<Healthchecks>,
    /// Any program that takes JSON.
    pub webhook: Option<Webhook>,
    pub email: Option<Email>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacNotices {
    None,
    /// Alarms, and that all is well again.
    Alarms,
    EveryNight,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ntfy {
    /// The topic's address; absent: `NTFY_URL` of the credentials.
    pub url: Option<Url>,
    /// What opens when the notice is touched.
    pub click: Option<Url>,
    /// Whether good nights are told too.
    pub every_night: bool,
}

/// A check of a healthchecks server. It is told of every run, and only of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthchecks {
    /// The check's ping address; absent: `HEALTHCHECKS_URL` of the credentials.
    pub url: Option<Url>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The address; absent: `WEBHOOK_URL` of the credentials.
    pub url: Option<Url>,
    /// Whether good nights are told too.
    pub every_night: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    pub from: Address,
    /// Whom it is for; at least one.
    pub to: Vec<Address>,
    pub host: String,
    pub port: u16,
    /// How the line is kept private.
    pub security: Security,
    /// The account; absent: `SMTP_USER` of the credentials, or none.
    pub user: Option<String>,
    /// Whether good nights are told too.
    pub every_night: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(pub lettre::message::Mailbox);

/// How the line to a mail server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// By TLS that begins after a greeting, port 587.
    StartTls,
    /// By TLS from the first byte, port 465.
    Tls,
    /// Not at all, which only a server on this very machine may ask for, port 25.
    None,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a mail address, as owner@example.org or Owner <owner@example.org>, not {0:?}")]
pub struct InvalidAddress(String);

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidAddress(text.chars().take(200).collect());
        if text.chars().any(char::is_control) {
            return Err(invalid());
        }
        text.parse().map(Self).map_err(|_| invalid())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Security {
    fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

impl MacNotices {
    /// What holds where nothing is said: a Mac shows alarms, other systems have no way to.
    fn usual() -> Self {
        if platform::current().has_launchd() { Self::Alarms } else { Self::None }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self { credentials: Credentials::Env, macos: MacNotices::usual(), ntfy: None, healthchecks: None, webhook: None, email: None }
    }
}

#[derive(Clone)]
pub struct NotifySecrets {
    values: Vec<(&'static str, Zeroizing<String>)>,
}

impl fmt::Debug for NotifySecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values.iter().map(|(name, _)| name)).finish()
    }
}

pub(crate) const SECRETS: [&str; 10] = [
    "NTFY_URL",
    "NTFY_TOKEN",
    "NTFY_USER",
    "NTFY_PASSWORD",
    "HEALTHCHECKS_URL",
    "WEBHOOK_URL",
    "WEBHOOK_SECRET",
    "WEBHOOK_HEADER",
    "SMTP_USER",
    "SMTP_PASSWORD",
];

impl NotifySecrets {
    /// Reads them; the file's mode is checked each time, because modes change.
    ///
    /// # Errors
    /// If the file cannot be read, can be read by others, or has a line that is none of [`SECRETS`].
    pub fn load(from: &Credentials) -> Result<Self, CredentialsError> {
        let values = match from {
            Credentials::Env => {
                let read = |name| Some((name, Zeroizing::new(std::env::var(name).ok()?)));
                SECRETS.into_iter().filter_map(read).collect()
            }
            Credentials::File(path) => credentials::assignments(path, &SECRETS)?,
        };
        Ok(Self { values: values.into_iter().filter(|(_, value)| !value.is_empty()).collect() })
    }

    /// The value of a name, if it has one; the last, if several.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a name, in the file's order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotifyFile {
    credentials: Option<String>,
    macos: Option<String>,
    ntfy: Option<NtfyFile>,
    healthchecks: Option<HealthchecksFile>,
    webhook: Option<WebhookFile>,
    email: Option<EmailFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NtfyFile {
    url: Option<String>,
    click: Option<String>,
    #[serde(default)]
    every_night: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthchecksFile {
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookFile {
    url: Option<String>,
    #[serde(default)]
    every_night: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmailFile {
    from: String,
    to: Vec<String>,
    host: String,
    port: Option<std::num::NonZeroU16>,
    security: Option<String>,
    user: Option<String>,
    #[serde(default)]
    every_night: bool,
}

pub(super) type Problem = (String, String);

impl NotifyFile {
    pub(super) fn check(self, home: &Home) -> Result<Notify, Problem> {
        let usual = Notify::default();
        Ok(Notify {
            credentials: Credentials::named(self.credentials.as_deref(), home).map_err(|(_, problem)| at("credentials", problem))?,
            macos: self.macos.map_or(Ok(usual.macos), |text| value("macos", &text))?,
            ntfy: self.ntfy.map(ntfy).transpose()?,
            healthchecks: self
                .healthchecks
                .map(|file| Ok::<_, Problem>(Healthchecks { url: url("healthchecks.url", file.url)? }))
                .transpose()?,
            webhook: self
                .webhook
                .map(|file| Ok::<_, Problem>(Webhook { url: url("webhook.url", file.url)?, every_night: file.every_night }))
                .transpose()?,
            email: self.email.map(email).transpose()?,
        })
    }
}

fn at(key: &str, problem: impl Into<String>) -> Problem {
    (format!("notify.{key}"), problem.into())
}

fn value<T: FromStr<Err: fmt::Display>>(key: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| at(key, error.to_string()))
}

/// An address of the web. The problem does not repeat it: it may be a secret.
fn url(key: &str, text: Option<String>) -> Result<Option<Url>, Problem> {
    text.map(|text| web(&text).ok_or_else(|| at(key, WANTED))).transpose()
}

const WANTED: &str = "expected an address that begins with https:// or http:// and has no user and no fragment";

/// `text` as an address that something can be posted to.
pub(crate) fn web(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.host_str().is_some())?;
    // Ping addresses get a path and a query of ours, and a user in an address would be shown where addresses are.
    (url.username().is_empty() && url.password().is_none() && url.fragment().is_none()).then_some(url)
}

/// The server and the topic of a topic's address.
pub(crate) fn topic(url: &Url) -> Option<(Url, String)> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let topic = url.path().strip_prefix('/').filter(|topic| (1..=64).contains(&topic.len()) && topic.bytes().all(good))?.to_owned();
    let mut server = url.clone();
    server.set_path("/");
    server.set_query(None);
    Some((server, topic))
}

fn ntfy(file: NtfyFile) -> Result<Ntfy, Problem> {
    let url = url("ntfy.url", file.url)?;
    if url.as_ref().is_some_and(|url| topic(url).is_none()) {
        return Err(at("ntfy.url", "expected the address of a topic, as https://ntfy.sh/TOPIC"));
    }
    Ok(Ntfy { url, click: self::url("ntfy.click", file.click)?, every_night: file.every_night })
}

fn email(file: EmailFile) -> Result<Email, Problem> {
    let security = file.security.map_or(Ok(Security::StartTls), |text| value("email.security", &text))?;
    let host = file.host.trim().to_owned();
    if host.is_empty() || host.chars().any(|char| char.is_control() || char.is_whitespace() || "/:@".contains(char)) && !host.contains("::")
    {
        return Err(at("email.host", format!("expected the name or the address of a mail server, not {host:?}")));
    }
    if security == Security::None && !matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1") {
        return Err(at("email.security", "`none` is for a server on this machine (localhost): over a network it would show the password"));
    }
    if file.to.is_empty() {
        return Err(at("email.to", "there is nobody to tell"));
    }
    Ok(Email {
        from: value("email.from", &file.from)?,
        to: file.to.iter().enumerate().map(|(n, to)| value(&format!("email.to[{n}]"), to)).collect::<Result<_, _>>()?,
        port: file.port.map_or(security.port(), std::num::NonZeroU16::get),
        host,
        security,
        user: file.user,
        every_night: file.every_night,
    })
}

impl Notify {
    pub fn is_silent(&self) -> bool {
        let Self { credentials: _, macos, ntfy, healthchecks, webhook, email } = self;
        *macos == MacNotices::None && ntfy.is_none() && healthchecks.is_none() && webhook.is_none() && email.is_none()
    }

    /// Whether `channel` is the name of something that is in use: a channel that is configured, or what is remembered for all of them.
    pub fn has(&self, channel: &str) -> bool {
        match channel {
            "macos" => self.macos != MacNotices::None,
            "ntfy" => self.ntfy.is_some(),
            "healthchecks" => self.healthchecks.is_some(),
            "webhook" => self.webhook.is_some(),
            "email" => self.email.is_some(),
            _ => true,
        }
    }

    pub fn secrets_file(&self) -> Option<&Path> {
        match &self.credentials {
            Credentials::Env => None,
            Credentials::File(path) => Some(path),
        }
    }
}

#[cfg(test)]
mod tests;
