//! A night as the daemon and a person play it: whoever looks sees what it does, and this computer does not fall asleep over it.

use std::time::Duration;

use jiff::Timestamp;

use super::Tonight;
use crate::{awake, config::Config, journal::Outcome, live::Live, platform, state::State};

/// A night that takes longer may be slept through: the machine is worn for nothing if it hangs.
const AWAKE: Duration = Duration::from_secs(12 * 3600);

/// Plays a night in the name of `verb`. The caller holds the lock.
///
/// # Errors
/// As of [`play`](super::play).
pub async fn attended(config: &Config, verb: &str, tonight: &Tonight) -> anyhow::Result<Outcome> {
    let _live = Live::begin(&State::at(&config.state), verb, Timestamp::now());
    let command = platform::current().stay_awake(std::process::id());
    awake::through(command, tokio::time::sleep(AWAKE), super::play(config, tonight)).await
}
