//! All that the daemon asks of the world, as one trait, so that a test can live through a year of it in a second.

use std::{path::Path, time::Duration};

use jiff::tz::TimeZone;

use super::probe::Answer;
use crate::{
    clocks::Clocks,
    config::{Config, Pi},
    journal::Outcome,
    night::Tonight,
    notify::Post,
    platform::Power,
};

/// The world around the daemon.
#[expect(async_fn_in_trait, reason = "the daemon's loop stays on the thread that began it")]
pub trait World {
    /// The configuration, as it is now.
    ///
    /// # Errors
    /// If it cannot be read or is wrong.
    fn config(&self) -> anyhow::Result<Config>;
    /// The configuration as it was when it last could be read, if that is known: whom to tell that it cannot.
    fn last_config(&self) -> Option<Config>;
    /// What the clock on the wall shows, which may be set, and how long this computer was awake.
    fn clocks(&self) -> Clocks;
    /// The time zone, which travels.
    fn zone(&self) -> TimeZone;
    /// Waits for so long, of being awake.
    async fn pause(&self, length: Duration);
    /// How this computer is powered, if it has a battery.
    async fn power(&self) -> Option<Power>;
    /// Whether the repository's disk is known not to be there.
    fn is_unplugged(&self, repository: &Path) -> bool;
    /// Whether there is somebody where the Pi's SSH should be.
    async fn answers(&self, config: &Config, pi: &Pi) -> Answer;
    /// Plays the night; the caller holds the lock.
    ///
    /// # Errors
    /// If nothing could be begun, or its receipts could not be written.
    async fn play(&self, config: &Config, tonight: &Tonight) -> anyhow::Result<Outcome>;
    /// Whom to tell, and how. Used while no lock is held, when another offsite may be at work.
    fn post(&self) -> impl Post;
}
