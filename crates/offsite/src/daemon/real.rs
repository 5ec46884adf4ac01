//! The world as it is.

use std::{path::Path, time::Duration};

use jiff::tz::TimeZone;

use super::{
    disk, last,
    probe::{self, Answer},
    world::World,
};
use crate::{
    clocks::Clocks,
    config::{Config, Pi},
    globals::Globals,
    home::Home,
    journal::Outcome,
    night::{self, Tonight},
    notify::{self, Post},
    platform::{self, Power},
};

/// No program of the system is waited for longer; what it does not say is not known.
const PATIENCE: Duration = Duration::from_secs(5);

/// This computer.
#[derive(Debug)]
pub struct Real<'a> {
    /// What was said on the command line.
    pub globals: &'a Globals,
}

impl World for Real<'_> {
    fn config(&self) -> anyhow::Result<Config> {
        let config = self.globals.load()?;
        if let Ok(home) = Home::of_process() {
            last::keep(&config, &home);
        }
        Ok(config)
    }

    fn last_config(&self) -> Option<Config> {
        last::known(&self.globals.config_path().ok()?, &Home::of_process().ok()?)
    }

    fn clocks(&self) -> Clocks {
        Clocks::now()
    }

    fn zone(&self) -> TimeZone {
        TimeZone::system()
    }

    async fn pause(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }

    async fn power(&self) -> Option<Power> {
        let asked = tokio::task::spawn_blocking(|| platform::current().power());
        tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?
    }

    fn is_unplugged(&self, repository: &Path) -> bool {
        disk::is_unplugged(repository)
    }

    async fn answers(&self, config: &Config, pi: &Pi) -> Answer {
        probe::answers(config, pi).await
    }

    async fn play(&self, config: &Config, tonight: &Tonight) -> anyhow::Result<Outcome> {
        night::attended(config, "daemon", tonight).await
    }

    fn post(&self) -> impl Post {
        notify::Real::default()
    }
}
