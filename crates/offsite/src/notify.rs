//! Telling the owner: what is news, over which channels, and what happens if a channel does not work.
//!
//! A run's end, and any start of the daemon that finds that it is time, makes a *look*: the status is gathered, and for each channel decided
//! what is news to it. Nothing here ever fails a backup. A channel that does not work gets a receipt once, is an alarm of its own kind (told
//! by the others, shown by `status`), and is tried again, less and less often, until something gets through.

mod channel;
mod email;
mod error;
mod healthchecks;
mod http;
mod look;
mod macos;
mod mark;
mod news;
mod ntfy;
mod post;
pub(crate) mod spool;
mod telling;
#[cfg(test)]
mod tests;
mod told;
mod verb;
mod webhook;
mod words;

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;

pub(crate) use self::macos::{can_show, show};
pub use self::{
    channel::Channel,
    error::SendError,
    healthchecks::Ping,
    news::News,
    post::{Post, Real},
    told::ToldError,
    verb::{Args, run},
    words::Outgoing,
};
use self::{
    news::Told,
    telling::Telling,
    told::{Memory, journal_length},
};
use crate::{
    config::{Config, NotifySecrets, notify::web},
    journal::Outcome,
    state::State,
};

/// Who looks while another process is telling waits as long as that may take.
const PATIENCE: Duration = Duration::from_secs(50);

/// Tells healthchecks that a run begins. Takes some seconds at the most; if nobody answers, the run's end says so.
pub async fn begun(post: &impl Post, config: &Config) {
    if config.notify.healthchecks.is_some() {
        // What is wrong with it is found again, and told, when the run ends.
        let _ = post.ping(config, (Ping::Start, "")).await;
    }
}

/// Looks, and tells what is news. `ran` is how a run ended that just did; `None` for a look without a run. Never fails, and takes a minute at
/// the most (twice that if another process is telling); what cannot be sent gets a receipt, and is tried again at the next look.
///
/// `broke` is an error that may have left no receipt: a configuration that does not hold, a journal that cannot be read, a full disk. It is an
/// alarm as long as it is told again with each look, and needs nothing of the state folder to be told.
pub async fn ended(post: &impl Post, config: &Config, ran: Option<Outcome>, broke: Option<&anyhow::Error>) {
    look_within(post, config, ran, broke, PATIENCE).await;
}

async fn look_within(post: &impl Post, config: &Config, ran: Option<Outcome>, broke: Option<&anyhow::Error>, patience: Duration) {
    let told = match Telling::begin(config, post, patience).await {
        Ok(Some(telling)) => telling.tell(ran, broke).await,
        // Whoever holds the lock tells; what this run added is seen at the next look.
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = told {
        note!("{}", crate::hint::render(&error.context("cannot remember what was told; it will be told again")));
    }
}

/// Whether a look is due though no run ended: an alarm may have begun by time alone, something could not be sent, or the journal has grown.
/// Reads one small file.
pub fn look_due(state: &State, now: Timestamp) -> bool {
    Memory::read(&state.told()).look.is_none_or(|look| look.is_due(now, journal_length(state)))
}

/// The address of a channel: of the configuration, or else of the credentials.
fn address(configured: Option<&Url>, secrets: &NotifySecrets, name: &'static str, key: &'static str) -> Result<Url, SendError> {
    if let Some(url) = configured {
        return Ok(url.clone());
    }
    let text = secrets.get(name).ok_or(SendError::Unset { name, key })?;
    web(text).ok_or(SendError::Secret { name, wanted: "an address that begins with https:// or http://" })
}

/// What this computer is called, for messages: its host name without the domain.
fn mac() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    name.split('.').next().filter(|name| !name.is_empty()).unwrap_or("this Mac").to_owned()
}
