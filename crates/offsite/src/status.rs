//! `offsite status`: are the copies there, fresh and verified? One screen, from the journal and the Mac's own repository.
//!
//! It uses no network and opens no archive, so it answers at once and costs nothing, and shows what is known rather than what might be.
//! Whatever did not happen is on it: silence is an alarm.

mod alarm;
mod gather;
mod report;
mod screen;
#[cfg(test)]
mod tests;
mod watch;

pub use self::{
    alarm::{Alarm, Kind},
    gather::{Facts, Held, Local, gather, gather_at},
    report::{
        DrilledReport, JobReport, LastRun, MovedReport, PlaceKind, PlaceReport, Report, Rule321, RunReport, TripwireReport, WaitingReport,
        WarningsReport,
    },
    screen::{headline, screen},
};
use crate::{
    config::Config,
    exit::Exit,
    globals::Globals,
    human::look::{ColorArg, Look},
    journal::Outcome,
};

/// Arguments of `offsite status`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Exit codes: 0 fine, 1 something failed or is suspicious, 2 the configuration is wrong, 3 incomplete, 4 overdue.

Examples:
  offsite status                       one screen
  offsite status --watch               the same, live, with the progress of a run
  offsite status --quiet || say backup the exit code; a line only if something is wrong
  offsite status --json | jq .verdict  for scripts; the fields are in docs/status.md")]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Stay, and show every change as it happens
    #[arg(long)]
    pub watch: bool,
    /// Print nothing if all is fine, and one line otherwise
    #[arg(long, short = 'q', conflicts_with_all = ["json", "watch"])]
    pub quiet: bool,
    /// Colours.
    #[command(flatten)]
    pub color: ColorArg,
}

/// Runs the verb.
pub async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let config = globals.load()?;
    if args.watch {
        return watch::watch(globals, config, args).await;
    }
    let facts = gather(&config).await?;
    let report = Report::of(&facts);
    let out = std::io::stdout();
    let text = match (args.json, args.quiet) {
        (true, _) => format!("{}\n", serde_json::to_string(&report)?),
        (false, true) if report.exit() == Exit::Fine => String::new(),
        (false, true) => format!("{}\n", headline(&report)),
        (false, false) => screen(&report, &facts.zone, Look::of(&out, args.color.color)),
    };
    crate::say::text(&text);
    Ok(report.exit())
}

/// How the program ends after a night: one that went well does not end well if something else is wrong, as a suspicious archive.
///
/// # Errors
/// If the status cannot be had.
pub async fn conclude(config: &Config, outcome: Outcome) -> anyhow::Result<Exit> {
    match outcome {
        Outcome::Failed => Ok(Exit::Failed),
        Outcome::Incomplete => Ok(Exit::Incomplete),
        // What is overdue is so by no fault of this night's, nor is a notice that could not be sent.
        Outcome::Fine if matches!(Report::of(&gather(config).await?).copies_exit(), Exit::Fine | Exit::Overdue) => Ok(Exit::Fine),
        Outcome::Fine => {
            tracing::info!("all that could be done was done, and yet not all is well");
            alarm!("all that could be done was done, and yet not all is well: offsite status");
            Ok(Exit::Incomplete)
        }
    }
}
