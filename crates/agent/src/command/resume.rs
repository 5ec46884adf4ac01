//! `resume`: works without a configuration too, because services must not stay down over a slip of the pen.

use std::path::PathBuf;

use offsite_agent::config::DEFAULT_STATE;

use super::{Done, load};
use crate::{cli, exit::Exit};

pub(crate) fn resume(cli: &cli::Cli, resume: &cli::Resume) -> Done {
    let state = resume.state.clone().unwrap_or_else(|| state(cli));
    if resume.forget {
        match offsite_agent::give_up(&state)? {
            None => println!("nothing is owed"),
            Some(ledger) => println!("forgotten; this was owed:\n{}", serde_json::to_string_pretty(&ledger)?),
        }
        return Ok(Exit::Fine);
    }
    match offsite_agent::resume(&state, resume.wait)? {
        None if cli.quiet => {}
        None => println!("nothing is owed"),
        Some(resumed) => {
            for ended in &resumed.ended {
                println!("ended because it hung: {ended}");
            }
            println!("brought back what a run of {} left stopped: {}", resumed.job, resumed.projects.join(", "));
            for unwell in &resumed.unhealthy {
                eprintln!("offsite-agent: it is back, and not well: {unwell}");
            }
            if !resumed.unhealthy.is_empty() {
                return Ok(Exit::Failed);
            }
        }
    }
    Ok(Exit::Fine)
}

/// The state folder of the configuration, or the usual one where that cannot be read.
pub(super) fn state(cli: &cli::Cli) -> PathBuf {
    match load(&cli.config) {
        Ok(config) => config.state,
        Err(error) => {
            eprintln!("offsite-agent: {error}\nlooking for the ledger in {DEFAULT_STATE} (--state names another folder)");
            DEFAULT_STATE.into()
        }
    }
}
