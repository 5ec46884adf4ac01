//! `offsite sync`: a night, now.
//!
//! The same work as the daemon's, whether or not a run is owed; it settles the slot that is due.

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    awake::Awake,
    cli::Globals,
    exit::Exit,
    journal::{Outcome, Standing},
    live::Live,
    night, notify,
    owed::{OwedId, Schedule, owed},
    state::State,
};

/// Arguments of `offsite sync`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  offsite sync             a night, now
  offsite sync --dry-run   what it would move and forget")]
pub struct Args {
    /// Say what would be pulled, pushed and forgotten, and change nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

/// Runs the verb.
pub async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let config = globals.load()?;
    if args.dry_run {
        return night::preview(&config).await;
    }
    let state = State::open(&config.state)?;
    let _lock = state.lock("sync", Timestamp::now())?;
    let _live = Live::begin(&state, "sync", Timestamp::now());
    let _awake = Awake::keep();
    let settled = Standing::of(&state.journal().read()?.receipts).settled;
    notify::begun(&config).await;
    let outcome = night::night(&config, slot(&config, settled)).await;
    notify::ended(&config, Some(*outcome.as_ref().unwrap_or(&Outcome::Failed))).await;
    let outcome = outcome?;
    night::conclude(&config, outcome).await
}

/// The slot that a run now settles.
fn slot(config: &crate::config::Config, settled: Option<OwedId>) -> Option<OwedId> {
    owed(&Schedule { at: config.at, zone: TimeZone::system() }, Timestamp::now(), settled).map(|owed| owed.id)
}
