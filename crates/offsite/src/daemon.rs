//! `offsite daemon`: what launchd starts. Finds what is owed, does it, ends.
//!
//! Nothing owed ends at once, without network. What is owed is computed from the journal each time, so it does not matter how often or why the
//! daemon is started. It may be killed at any moment; the next start goes on. A signal ends it as a kill would, only with a word about it.

use jiff::{Timestamp, tz::TimeZone};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    awake::{self, Awake},
    cli::Globals,
    config::Config,
    exit::Exit,
    journal::Standing,
    night,
    owed::{OwedId, Schedule, owed},
    state::State,
};

/// Arguments of `offsite daemon`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
pub async fn run(globals: &Globals, _args: &Args) -> anyhow::Result<Exit> {
    let config = globals.load()?;
    let state = State::open(&config.state)?;
    let schedule = Schedule { at: config.at, zone: TimeZone::system() };
    let settled = || anyhow::Ok(Standing::of(&state.journal().read()?.receipts).settled);
    if owed(&schedule, Timestamp::now(), settled()?).is_none() {
        tracing::info!("nothing is owed");
        return Ok(Exit::Fine);
    }
    let _lock = state.lock("daemon", Timestamp::now())?;
    // Asked again under the lock: another start may have settled it meanwhile.
    let Some(owed) = owed(&schedule, Timestamp::now(), settled()?) else { return Ok(Exit::Fine) };
    tracing::info!(slot = %owed.id, "a run is owed");
    let _awake = Awake::keep();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        exit = settle(&config, owed.id) => {
            awake::tell(*exit.as_ref().unwrap_or(&Exit::Failed));
            exit
        }
        _ = term.recv() => Ok(stopped()),
        _ = int.recv() => Ok(stopped()),
    }
}

async fn settle(config: &Config, owed: OwedId) -> anyhow::Result<Exit> {
    let outcome = night::night(config, Some(owed)).await?;
    night::conclude(config, outcome).await
}

fn stopped() -> Exit {
    eprintln!("stopped by a signal; what arrived stays, and the next start goes on from there");
    Exit::Failed
}
