//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use offsite_agent::config::{DEFAULT_CONFIG, EXAMPLE};

const CODES: &str = "Exit codes: 0 fine, 1 failed, 2 wrong command line or configuration (nothing was changed), 3 incomplete archive, 4 another agent is at work";

const EXPORT: &str = "Examples:
  set -o pipefail; offsite-agent export services | tar --zstd --numeric-owner -xp -C / --xattrs --xattrs-include='*' --acls
  offsite-agent export services/2026-11-22 /mnt/stick/services.tar.zst
--numeric-owner: owners are the containers' numbers, and a machine that was set up anew gives their names to others.

Exit codes: 0 fine, 1 failed, 2 wrong command line or configuration, 3 the archive is incomplete";

/// Makes archives of this machine's services for the Mac to fetch: stop, archive, bring back, publish, keep the newest few.
#[derive(Debug, Parser)]
#[command(version, after_help = CODES, after_long_help = format!("The configuration, with its defaults and examples:\n\n{EXAMPLE}\n{CODES}"))]
pub(crate) struct Cli {
    /// The configuration.
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,

    /// Say only what is wrong.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make one archive of a job now
    Run(Run),
    /// Bring back the services that a run left stopped; does nothing where nothing is owed
    Resume(Resume),
    /// Look at all that a run needs, and change nothing
    Check(Json),
    /// List the archives
    Archives(Json),
    /// Write an archive as a plain .tar.zst, to a file or a pipe
    #[command(after_help = EXPORT)]
    Export(Export),
    /// Write an example configuration, or make the repository of the one that is there
    Init,
    /// Write the systemd units: a timer for each job, and what brings services back whatever happens
    Install(Install),
    /// Take away what install wrote, and nothing else
    Uninstall(Uninstall),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The job, as it is named in the configuration.
    pub(crate) job: offsite_agent::config::JobName,

    /// Wait for another agent to end.
    #[arg(long)]
    pub(crate) wait: bool,

    /// Accept that a source is empty, or that nothing is mounted where a disk was, from now on until it is there again.
    #[arg(long)]
    pub(crate) accept_empty: bool,

    /// Read every file, also those that are known to be unchanged; by itself that happens once a week.
    #[arg(long)]
    pub(crate) full: bool,

    /// Right after a boot, wait until the services are up and the clock is right, 10 minutes at most; later, do not wait.
    #[arg(long)]
    pub(crate) after_boot: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// An archive as `archives` lists it, the beginning of its name (services/2026-11-22), a job for its newest complete one, or `latest`
    /// where there is one job only.
    #[arg(value_name = "ARCHIVE|JOB")]
    pub(crate) archive: String,

    /// Where to: a file that does not exist yet, or `-` for a pipe.
    #[arg(value_name = "FILE|-")]
    pub(crate) to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// Wait until a run has brought its services back.
    #[arg(long)]
    pub(crate) wait: bool,

    /// Where the ledger is; without it, where the configuration says.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state: Option<PathBuf>,

    /// Bring nothing back: forget what is owed, print it, and keep it aside as ledger.json.bad.
    #[arg(long, conflicts_with = "wait")]
    pub(crate) forget: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Json {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Install {
    /// Print the units and write nothing.
    #[arg(long, conflicts_with_all = ["now", "to"])]
    pub(crate) print: bool,

    /// Also enable them at once, and disable the timers of jobs that are no more.
    #[arg(long)]
    pub(crate) now: bool,

    /// The folder of the units.
    #[arg(long, value_name = "FOLDER", default_value = "/etc/systemd/system")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    /// Also disable and stop them at once.
    #[arg(long)]
    pub(crate) now: bool,

    /// The folder of the units.
    #[arg(long, value_name = "FOLDER", default_value = "/etc/systemd/system")]
    pub(crate) to: PathBuf,
}
