//! `offsite status`: are the copies there, fresh and verified? One screen, from the journal and the Mac's own repository.
//!
//! It uses no network, so it answers at once and costs nothing, and shows what is known rather than what might be. Whatever did not
//! happen is on it: silence is an alarm.

mod alarm;
mod gather;
mod report;
mod screen;
#[cfg(test)]
mod tests;
mod watch;

use std::io::{IsTerminal, Write};

pub use self::{
    alarm::{Alarm, Kind},
    gather::{Facts, Held, Local, gather},
    report::{JobReport, LastRun, MovedReport, PlaceKind, PlaceReport, Report, Rule321, RunReport, TripwireReport},
    screen::{Paint, screen},
};
use crate::{cli::Globals, exit::Exit};

/// Arguments of `offsite status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Stay, and show every change as it happens
    #[arg(long)]
    pub watch: bool,
}

/// Runs the verb.
pub async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let config = globals.load()?;
    if args.watch {
        return watch::watch(globals, config, args.json).await;
    }
    show(&gather(&config).await?, args.json, false)
}

/// Prints the report of `facts`; on a cleared screen if `clear`.
fn show(facts: &Facts, json: bool, clear: bool) -> anyhow::Result<Exit> {
    let report = Report::of(facts);
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        let terminal = out.is_terminal();
        let paint = Paint { on: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) };
        if clear && terminal {
            write!(out, "\x1b[H\x1b[2J")?;
        }
        write!(out, "{}", screen(&report, &facts.zone, paint))?;
    }
    out.flush()?;
    Ok(report.exit())
}
