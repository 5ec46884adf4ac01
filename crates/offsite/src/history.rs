//! `offsite history`: the nights, one line each, from the journal alone; the newest last, where the prompt is.
//!
//! The most important line is that of a night that was not: nothing in the journal speaks of it, so it is worked out from the schedule.

mod nights;
#[cfg(test)]
mod tests;
mod text;
mod words;

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::Serialize;

use self::nights::{Line, Night};
use crate::{
    exit::Exit,
    globals::Globals,
    human::look::{ColorArg, Look},
    journal::Receipt,
    owed::{OwedId, Schedule},
    state::State,
};

/// Arguments of `offsite history`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  offsite history                 the last 14 nights, the newest last
  offsite history 2026-11-21      all that happened in one night
  offsite history --since 2026-11-01
  offsite history --all --json | jq '.nights[] | select(.kind == \"gap\")'")]
pub(crate) struct Args {
    /// One night in detail: its day
    #[arg(value_name = "NIGHT", conflicts_with_all = ["nights", "since", "all"])]
    pub night: Option<OwedId>,
    /// How many lines
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 14, value_parser = at_least_one)]
    pub nights: usize,
    /// Those of this day and later
    #[arg(long, value_name = "DAY", conflicts_with = "nights")]
    pub since: Option<civil::Date>,
    /// All
    #[arg(long, conflicts_with_all = ["nights", "since"])]
    pub all: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Colours.
    #[command(flatten)]
    pub color: ColorArg,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be 1 or more".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("it must be a number, 1 or more: {error}")),
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal knows nothing of the night {night}")]
pub(crate) struct UnknownNight {
    pub night: OwedId,
}

#[derive(Debug, Serialize)]
struct Json<'n> {
    version: u32,
    nights: Vec<&'n Line>,
    /// Numbers of lines that are no receipt: whatever they said is not in the list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipts: Option<Vec<&'n Receipt>>,
}

pub(crate) async fn run(globals: &Globals, args: &Args) -> anyhow::Result<Exit> {
    let config = globals.load()?;
    let read = State::at(&config.state).journal().read()?;
    let schedule = Schedule { at: config.at, zone: TimeZone::system() };
    let nights = nights::nights(&read.receipts, &schedule, Timestamp::now());
    let chosen = choose(&nights, args)?;
    let out = std::io::stdout();
    let look = Look::of(&out, args.color.color);
    let damaged: Vec<usize> = read.damaged.iter().map(|damaged| damaged.line).collect();
    let mut text = if args.json {
        let receipts = args.night.map(|_| chosen.iter().flat_map(|night| night.receipts.iter().copied()).collect());
        let json = Json { version: 1, nights: chosen.iter().map(|night| &night.line).collect(), damaged: damaged.clone(), receipts };
        format!("{}\n", serde_json::to_string(&json)?)
    } else if args.night.is_some() {
        text::detail(chosen, &schedule.zone, look)
    } else if chosen.is_empty() {
        text::none(args.since.filter(|_| !nights.is_empty()), look)
    } else {
        text::list(chosen, &schedule.zone, look)
    };
    if !args.json {
        text.push_str(&text::damaged(&damaged, look));
    }
    crate::say::text(&text);
    Ok(Exit::Fine)
}

fn choose<'n, 'r>(nights: &'n [Night<'r>], args: &Args) -> Result<&'n [Night<'r>], UnknownNight> {
    if let Some(night) = args.night {
        let of = |at: &Night<'_>| at.line.first() <= night.day() && night.day() <= at.line.last();
        let first = nights.iter().position(of).ok_or(UnknownNight { night })?;
        let last = nights.iter().rposition(of).unwrap_or(first);
        return Ok(&nights[first..=last]);
    }
    if let Some(since) = args.since {
        let first = nights.iter().position(|night| night.line.last() >= since).unwrap_or(nights.len());
        return Ok(&nights[first..]);
    }
    Ok(if args.all { nights } else { &nights[nights.len().saturating_sub(args.nights)..] })
}
