//! `offsite install`: makes launchd start the daemon.
//!
//! launchd is only the alarm clock; what is owed is decided by the journal. So the property list may wake us too often, and does: at the
//! hour, at login or boot, and every hour in case the Pi or the network was not there. `--print` changes nothing.

mod apply;
mod job;
mod linux;

use anyhow::Context;
pub use apply::{LaunchctlError, Step, plan};
pub use job::{Domain, InstallError, Job};

use crate::{cli::Globals, config::Home, exit::Exit, platform};

/// Arguments of `offsite install`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the property list and change nothing
    #[arg(long)]
    pub print: bool,
    /// For the whole Mac: starts at boot without a login, and is exempt from the Local Network question (needs sudo)
    #[arg(long)]
    pub system: bool,
    /// The account the daemon runs as with --system [default: who called sudo]
    #[arg(long, value_name = "NAME", requires = "system")]
    pub user: Option<String>,
}

/// Runs the verb.
pub async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let config = globals.load()?;
    let home = Home::of_process()?;
    let program = std::env::current_exe().context("cannot tell where the offsite program is")?;
    let domain = match args.system {
        true => Domain::System { user: account(args.user.clone())? },
        false => Domain::Login,
    };
    let platform = platform::current();
    let job = Job {
        program,
        config: (args.system || globals.config.is_some())
            .then(|| std::path::absolute(&config.path))
            .transpose()
            .context("cannot tell the working folder")?,
        at: config.at,
        home: home.home.clone(),
        logs: platform.log_folder(&home),
        domain,
    };
    let plist = job.plist()?;
    if args.print {
        print!("{plist}");
    } else if platform.has_launchd() {
        let steps = plan(&job, &plist, rustix::process::getuid().as_raw());
        apply::apply(&steps)?;
        println!(
            "launchd starts {} at {}, at {}, and every hour in case something was not there",
            job.label(),
            config.at,
            job.domain.start()
        );
        if matches!(job.domain, Domain::Login) {
            println!("note: macOS asks once whether offsite may reach the local network; say yes, or install with sudo and --system");
        }
    } else {
        print!("{}", linux::hint(&job));
    }
    Ok(Exit::Fine)
}

/// The account for a system job: named, or who called sudo; never root by accident.
fn account(named: Option<String>) -> Result<String, InstallError> {
    let found = named.or_else(|| std::env::var("SUDO_USER").ok()).or_else(|| std::env::var("USER").ok());
    found.filter(|name| !name.is_empty() && name != "root").ok_or(InstallError::NoAccount)
}
