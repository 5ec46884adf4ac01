//! The log of nights: one file a day in the system's folder for logs, for people or for programs.
//!
//! launchd opens its own file once and never turns it over, so that one is for crashes and for what keeps the daemon from starting (and is cut when
//! it has grown), and this one for what a night did. Every receipt is a
//! line here; the journal stays the memory, and the log is its telling. Invariant: a log that cannot be written never stops or slows a
//! run; it is said once, on standard error.

mod crashes;
mod day;
mod line;

use std::sync::{Mutex, PoisonError};

use jiff::{Timestamp, tz::TimeZone};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use self::{day::Days, line::Record};
use crate::{
    config::{Home, LogFormat, LogLevel, LogRules},
    globals::Globals,
    journal::TARGET,
    platform,
};

/// Who starts a night, and so has it logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The system, whose file for standard error is for crashes.
    System,
    /// A person, who looks at what it says, wherever that goes.
    Person,
}

/// Sends events where they go: to standard error, warnings by default and what `OFFSITE_LOG` says otherwise; those of a night also into the log.
/// Receipts are told on the screen by those who write them.
pub(crate) fn start(globals: &Globals, by: Option<By>) {
    let filter = EnvFilter::try_from_env("OFFSITE_LOG").unwrap_or_else(|_| EnvFilter::new(format!("warn,{TARGET}=off")));
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let screen = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi).with_target(false);
    // An event that standard error does not take would be told there by a macro that panics.
    let screen = screen.log_internal_errors(false).with_filter(filter);
    // A second initialisation can only come from a test harness that has its own; ours then has nothing to add.
    let _ = tracing_subscriber::registry().with(screen).with(by.and_then(|by| of_nights(globals, by))).try_init();
    if by == Some(By::System) {
        cut_crashes();
    }
}

/// Whatever the configuration says: one that cannot be read is what fills that file. Without a home folder the verb says so.
fn cut_crashes() {
    if let Ok(home) = Home::of_process() {
        let file = platform::current().log_folder(&home).join("launchd.log");
        if let Err(error) = crashes::cut(&file) {
            note!("cannot cut {}: {error}; it stays as it is", file.display());
        }
    }
}

/// The log of a night. A configuration that is wrong is told by the verb.
fn of_nights<S: Subscriber + for<'s> LookupSpan<'s>>(globals: &Globals, by: By) -> Option<impl Layer<S> + use<S>> {
    let (config, home) = (globals.load().ok()?, Home::of_process().ok()?);
    let rules = config.log;
    crate::say::logged(by == By::System);
    Some(layer(Log::new(Days::at(platform::current().log_folder(&home), rules), rules, TimeZone::system()), rules))
}

fn layer<S: Subscriber + for<'s> LookupSpan<'s>>(log: Log, rules: LogRules) -> impl Layer<S> {
    let level = match rules.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // What libraries say below a warning concerns only those who write them.
    let others = if level == LevelFilter::ERROR { LevelFilter::ERROR } else { LevelFilter::WARN };
    log.with_filter(Targets::new().with_default(others).with_target("offsite", level))
}

struct Log {
    days: Mutex<Days>,
    format: LogFormat,
    zone: TimeZone,
}

impl Log {
    fn new(days: Days, rules: LogRules, zone: TimeZone) -> Self {
        Self { days: Mutex::new(days), format: rules.format, zone }
    }

    fn write(&self, now: Timestamp, level: Level, record: Record) {
        let time = now.to_zoned(self.zone.clone());
        let line = match self.format {
            LogFormat::Human => record.human(&time, level),
            LogFormat::Json => record.json(&time, level),
        };
        // Who panicked while holding it left it as good as it was.
        self.days.lock().unwrap_or_else(PoisonError::into_inner).write(time.date(), &line);
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Record::default();
        event.record(&mut record);
        self.write(Timestamp::now(), *event.metadata().level(), record);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::journal::{Fact, Journal, Outcome, Receipt, Step};

    fn at(day: i8, format: LogFormat, folder: &std::path::Path) -> impl Fn(Receipt) {
        let rules = LogRules { format, keep: NonZeroUsize::new(2).unwrap(), ..LogRules::default() };
        let log = Log::new(Days::at(folder.to_owned(), rules), rules, TimeZone::UTC);
        let time = jiff::civil::date(2026, 11, day).at(4, 31, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
        move |receipt| {
            let mut record = Record::default();
            record.text("receipt", &serde_json::to_string(&receipt.fact).unwrap());
            log.write(time, Level::INFO, record);
        }
    }

    fn ran() -> Receipt {
        Receipt {
            time: Timestamp::UNIX_EPOCH,
            fact: Fact::Ran { owed: None, outcome: Outcome::Fine, began: None, away: Default::default(), slept: false },
        }
    }

    #[test]
    fn a_receipt_is_a_line_for_people_and_one_for_programs() {
        let dir = tempfile::tempdir().unwrap();
        let failed = Fact::Failed { step: Step::Push, object: "a b".into(), message: "x\n\u{1b}[2J".into(), hint: None };
        at(22, LogFormat::Human, dir.path())(Receipt { time: Timestamp::UNIX_EPOCH, fact: failed.clone() });
        let text = std::fs::read_to_string(dir.path().join("offsite-2026-11-22.log")).unwrap();
        assert_eq!(text, "2026-11-22 04:31:00.000 +00:00  INFO  failed message=\"x\\n\\u001b[2J\" object=\"a b\" step=push\n");
        at(22, LogFormat::Json, dir.path())(Receipt { time: Timestamp::UNIX_EPOCH, fact: failed });
        let text = std::fs::read_to_string(dir.path().join("offsite-2026-11-22.jsonl")).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"time": "2026-11-22T04:31:00.000+00:00", "level": "info", "event": "failed", "step": "push", "object": "a b", "message": "x\n\u{1b}[2J"})
        );
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn the_oldest_day_goes_when_there_are_more_than_wanted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("launchd.log"), "a crash").unwrap();
        std::fs::write(dir.path().join("offsite-notes.log"), "somebody's own").unwrap();
        for day in [20, 21, 22] {
            at(day, LogFormat::Json, dir.path())(ran());
        }
        let mut names: Vec<String> =
            std::fs::read_dir(dir.path()).unwrap().map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["launchd.log", "offsite-2026-11-21.jsonl", "offsite-2026-11-22.jsonl", "offsite-notes.log"]);
    }

    #[test]
    fn events_come_through_the_filter_with_their_fields_and_without_what_libraries_chat() {
        let (dir, journal) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let rules = LogRules { format: LogFormat::Json, ..LogRules::default() };
        let log = Log::new(Days::at(dir.path().to_owned(), rules), rules, TimeZone::UTC);
        let subscriber = tracing_subscriber::registry().with(layer(log, rules));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "offsite::night", archive = %"services/x", bytes = 7_u64, seconds = 1.5, whole = true, "pulled");
            tracing::debug!(target: "offsite::night", "not wanted");
            tracing::info!(target: "russh", "not wanted");
            tracing::warn!(target: "russh", error = ?"e", "wanted");
            Journal::at(journal.path().join("journal.jsonl")).append(&ran()).unwrap();
        });
        let name = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(name).unwrap();
        let values: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let events: Vec<&str> = values.iter().map(|value| value["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["pulled", "wanted", "ran"]);
        assert_eq!((&values[0]["archive"], &values[0]["bytes"], &values[0]["whole"]), (&"services/x".into(), &7.into(), &true.into()));
        assert_eq!(values[2]["outcome"], "fine");
    }
}
