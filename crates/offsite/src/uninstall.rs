//! `offsite uninstall`: what starts the daemon goes; what was backed up, and how, stays.
//!
//! Whatever of ours is there is removed, in whichever domain and however much of it: so it also mends an installation that is half there.

use crate::{
    exit::Exit,
    globals::Globals,
    install::{Here, Step, removal, remove},
    platform,
};

/// Arguments of `offsite uninstall`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Args {
    /// The account the daemon runs as [default: yours, or who called sudo]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Print the steps, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let here = Here::find(globals, args.user.as_deref())?;
    let config = here.config();
    let (folder, path) = here.leftovers();
    let state = config.as_ref().map_or(folder, |config| config.state.clone());
    let (steps, refused) = removal(globals, &here)?;
    // Who cannot look cannot tell that there is nothing.
    if let Some(error) = refused.filter(|_| !args.dry_run || steps.is_empty()) {
        return Err(error.into());
    }
    if steps.is_empty() {
        say!("nothing of offsite's is installed here");
        return Ok(Exit::Fine);
    }
    if args.dry_run {
        for (at, step) in steps.iter().enumerate() {
            say!("{:>2}. {step}", at + 1);
        }
        return Ok(Exit::Fine);
    }
    remove(&steps)?;
    let systemd = !platform::current().has_launchd();
    if systemd && !steps.iter().any(|step| matches!(step, Step::Systemctl(_))) {
        say!("the units are gone, and systemd does not answer here: if it has them still, until you log out");
    } else {
        say!("nothing starts the daemon any more");
    }
    say!("  left in place: {} (configuration), {} (journal, key)", path.display(), state.display());
    if let Some(config) = config {
        say!("  and every copy: {}{}", config.repository.display(), if config.clouds.is_empty() { "" } else { ", and the clouds'" });
    }
    Ok(Exit::Fine)
}
