//! Channels against real receivers on loopback, and what is decided about them.

mod channels;
mod decisions;
mod looks;
mod receiver;

use std::{collections::BTreeMap, path::Path, time::Duration};

use jiff::{Timestamp, tz::TimeZone};

use super::http::Bounds;
use crate::{
    config::{Config, Home},
    journal::{Outcome, Standing},
    status::{Alarm, Facts, Kind, LastRun, Local, Report},
};

/// A configuration in `folder` with these lines below `notify:`.
fn config(folder: &Path, notify: &str) -> Config {
    let text = format!(
        "repository: '{0}/repository'\nstate: '{0}/state'\npi: {{host: h, user: u, path: /p}}\nnotify:\n  macos: none\n{notify}",
        folder.display()
    );
    Config::parse(&folder.join("offsite.yaml"), &text, &Home::at(folder)).unwrap()
}

fn facts(config: Config, now: Timestamp) -> Facts {
    Facts {
        config,
        standing: Standing::default(),
        damaged_lines: Vec::new(),
        local: Local::default(),
        running: None,
        now,
        zone: TimeZone::UTC,
    }
}

/// A report of these alarms.
fn report(now: Timestamp, alarms: Vec<Alarm>, last: Option<(Timestamp, Outcome)>) -> Report {
    let mut report = Report::of(&facts(config(Path::new("/x"), ""), now));
    report.alarms = alarms;
    report.run.last = last.map(|(time, outcome)| LastRun { began: None, time, outcome });
    report
}

fn alarm(kind: Kind, object: &str) -> Alarm {
    Alarm { kind, object: object.to_owned(), message: format!("{object} is in trouble"), next: Some("do something".to_owned()) }
}

/// Bounds that a test can wait for, and yet far longer than a loaded machine needs to answer itself.
fn bounds() -> Bounds {
    let millis = Duration::from_millis;
    Bounds {
        connect: Duration::from_secs(20),
        request: Duration::from_secs(20),
        total: Duration::from_secs(60),
        pauses: vec![millis(1), millis(1)],
        asked: millis(2),
    }
}

/// `name=value` of a map, for messages.
fn header<'a>(headers: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    headers.get(name).map_or("", String::as_str)
}
