//! The channels that are configured, behind one face.

use super::{
    Outgoing, SendError, email, healthchecks,
    healthchecks::Ping,
    http::{self, Bounds},
    macos, ntfy, webhook,
};
use crate::{
    config::{Config, Email, MacNotices, NotifySecrets, Ntfy, Webhook},
    platform,
    state::State,
};

/// A channel that takes messages.
#[derive(Debug, Clone, Copy)]
pub enum Channel<'a> {
    /// The Mac's own notices.
    Macos(MacNotices),
    /// An ntfy topic.
    Ntfy(&'a Ntfy),
    /// A webhook.
    Webhook(&'a Webhook),
    /// E-mail.
    Email(&'a Email),
}

/// What healthchecks is called where its failures are noted.
pub(super) const HEALTHCHECKS: &str = "healthchecks";

impl<'a> Channel<'a> {
    /// All that are configured.
    pub(super) fn all(config: &'a Config) -> Vec<Self> {
        let notify = &config.notify;
        let mut channels = Vec::new();
        channels.extend((notify.macos != MacNotices::None).then_some(Self::Macos(notify.macos)));
        channels.extend(notify.ntfy.as_ref().map(Self::Ntfy));
        channels.extend(notify.webhook.as_ref().map(Self::Webhook));
        channels.extend(notify.email.as_ref().map(Self::Email));
        channels
    }

    /// As it is called in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Macos(_) => "macos",
            Self::Ntfy(_) => "ntfy",
            Self::Webhook(_) => "webhook",
            Self::Email(_) => "email",
        }
    }

    /// Whether good nights are told too.
    pub(super) fn every_night(self) -> bool {
        match self {
            Self::Macos(notices) => notices == MacNotices::EveryNight,
            Self::Ntfy(ntfy) => ntfy.every_night,
            Self::Webhook(webhook) => webhook.every_night,
            Self::Email(email) => email.every_night,
        }
    }

    /// Sends a message, within the bounds.
    pub(super) async fn send(self, config: &Config, bounds: &Bounds, out: &Outgoing) -> Result<(), SendError> {
        bounded(bounds, self.unbounded(config, bounds, out)).await
    }

    async fn unbounded(self, config: &Config, bounds: &Bounds, out: &Outgoing) -> Result<(), SendError> {
        // Each channel reads the credentials itself: one that needs none must not fail for them.
        let secrets = || NotifySecrets::load(&config.notify.credentials).map_err(SendError::Credentials);
        match self {
            Self::Macos(_) => macos::send(platform::current(), &State::at(&config.state).notices(), out).await,
            Self::Ntfy(ntfy) => ntfy::send(ntfy, &secrets()?, &http::client(bounds)?, bounds, out).await,
            Self::Webhook(webhook) => webhook::send(webhook, &secrets()?, &http::client(bounds)?, bounds, out).await,
            Self::Email(email) => email::send(email, &secrets()?, bounds, out).await,
        }
    }
}

/// Pings healthchecks, if it is configured, within the bounds.
pub(super) async fn ping(config: &Config, bounds: &Bounds, what: (Ping, &str)) -> Result<(), SendError> {
    let Some(check) = &config.notify.healthchecks else { return Ok(()) };
    let sending = async {
        let secrets = NotifySecrets::load(&config.notify.credentials).map_err(SendError::Credentials)?;
        healthchecks::send(check, &secrets, &http::client(bounds)?, bounds, what).await
    };
    bounded(bounds, sending).await
}

/// Gives up after all the time there is.
async fn bounded(bounds: &Bounds, sending: impl Future<Output = Result<(), SendError>>) -> Result<(), SendError> {
    let slow = |_| SendError::Slow { seconds: bounds.total.as_secs() };
    tokio::time::timeout(bounds.total, sending).await.map_err(slow).and_then(|sent| sent)
}
