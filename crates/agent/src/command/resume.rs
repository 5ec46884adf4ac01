//! `resume`: works without a configuration too, because services must not stay down over a slip of the pen. But only what says where the
//! ledger is can say that nothing is owed: a guess can not.

use std::path::PathBuf;

use offsite_agent::{ConfigError, config::DEFAULT_STATE};

use super::{Done, load};
use crate::{cli, exit::Exit};

pub(crate) fn resume(cli: &cli::Cli, resume: &cli::Resume) -> Done {
    let (state, doubt) = resume.state.clone().map_or_else(|| state(cli), |state| (state, None));
    if resume.forget {
        return match offsite_agent::give_up(&state)? {
            None => nothing(cli, doubt),
            Some(ledger) => {
                say!("forgotten; this was owed, and is kept in {}:\n{ledger}", state.join("ledger.json.bad").display());
                Ok(Exit::Fine)
            }
        };
    }
    let Some(resumed) = offsite_agent::resume(&state, resume.wait)? else { return nothing(cli, doubt) };
    for ended in &resumed.ended {
        say!("ended because it hung: {ended}");
    }
    say!("brought back what a run of {} left stopped: {}", resumed.job, resumed.projects.join(", "));
    for unwell in &resumed.unhealthy {
        note!("offsite-agent: it is back, and not well: {unwell}");
    }
    Ok(if resumed.unhealthy.is_empty() { Exit::Fine } else { Exit::Failed })
}

/// There is no ledger, which says little where nobody knows that it was looked for at the right place.
fn nothing(cli: &cli::Cli, doubt: Option<ConfigError>) -> Done {
    if let Some(error) = doubt {
        return Err(format!(
            "whether something is owed is not known: there is no ledger in {DEFAULT_STATE}, and the configuration, which may name another \
             folder, cannot be read: {error}\nnext: correct it, or name the folder: offsite-agent resume --state FOLDER"
        )
        .into());
    }
    if !cli.quiet {
        say!("nothing is owed");
    }
    Ok(Exit::Fine)
}

/// The state folder of the configuration, or the usual one and why that is a guess.
pub(super) fn state(cli: &cli::Cli) -> (PathBuf, Option<ConfigError>) {
    match load(&cli.config) {
        Ok(config) => (config.state, None),
        Err(error) => (DEFAULT_STATE.into(), Some(error)),
    }
}
