//! What telling asks of the world, as one trait: the time, the status, and that a message is carried. All else of it (what is news to whom, what
//! is remembered, when to look again) is the same wherever it is asked, so that a test can live through a year of it.

use jiff::Timestamp;

use super::{
    Outgoing, SendError,
    channel::{self, Channel},
    healthchecks::Ping,
    http::Bounds,
};
use crate::{
    config::Config,
    status::{self, Facts},
};

/// The world around the owner's channels.
#[expect(async_fn_in_trait, reason = "a look stays on the thread that began it")]
pub trait Post {
    /// What the clock on the wall shows.
    fn now(&self) -> Timestamp;
    /// All that the status depends on.
    ///
    /// # Errors
    /// If there is none, as with a journal that cannot be read.
    async fn facts(&self, config: &Config) -> anyhow::Result<Facts>;
    /// Carries a message to whom `channel` leads to. Who drops it in the middle does not know whether it arrived.
    ///
    /// # Errors
    /// If it did not get through, or nobody said that it did.
    async fn send(&self, config: &Config, channel: Channel<'_>, out: &Outgoing) -> Result<(), SendError>;
    /// Pings healthchecks, with a text.
    ///
    /// # Errors
    /// As of [`send`](Self::send).
    async fn ping(&self, config: &Config, what: (Ping, &str)) -> Result<(), SendError>;
}

/// This computer and the real receivers, with so much patience.
#[derive(Debug, Clone)]
pub struct Real {
    pub(super) bounds: Bounds,
}

impl Default for Real {
    fn default() -> Self {
        Self { bounds: Bounds::usual() }
    }
}

impl Post for Real {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn facts(&self, config: &Config) -> anyhow::Result<Facts> {
        status::gather(config).await
    }

    async fn send(&self, config: &Config, channel: Channel<'_>, out: &Outgoing) -> Result<(), SendError> {
        channel.send(config, &self.bounds, out).await
    }

    async fn ping(&self, config: &Config, what: (Ping, &str)) -> Result<(), SendError> {
        // Nothing may hold up a beginning.
        let short = Bounds::short();
        let bounds = if what.0 == Ping::Start { &short } else { &self.bounds };
        channel::ping(config, bounds, what).await
    }
}
