//! The report as text for one screen. Pure; colours only where asked.

use jiff::{Timestamp, tz::TimeZone};

use super::{Alarm, JobReport, Kind, LastRun, PlaceReport, Report, TripwireReport};
use crate::{
    human::{self, Align},
    journal::Outcome,
};

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    /// Yes.
    pub on: bool,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn doubtful(self, text: &str) -> String {
        self.with("33", text)
    }

    fn strong(self, text: &str) -> String {
        self.with("1", text)
    }
}

/// The screen. Times are shown in `zone`.
pub fn screen(report: &Report, zone: &TimeZone, paint: Paint) -> String {
    let mut text = verdict(report, paint);
    for alarm in &report.alarms {
        text.push_str(&alarm_lines(alarm, paint));
    }
    text.push('\n');
    if report.jobs.is_empty() {
        text.push_str("no archive is known yet\n\n");
    }
    for job in &report.jobs {
        text.push_str(&job_lines(job, report.time, zone, paint));
        text.push('\n');
    }
    text.push_str(&foot(report, zone, paint));
    text
}

fn verdict(report: &Report, paint: Paint) -> String {
    let line = match report.verdict {
        "fine" => paint.good("fine: every copy is where it should be"),
        "incomplete" => paint.doubtful("incomplete: part of it is not where it should be"),
        "overdue" => paint.bad("overdue: something that should have happened did not"),
        _ => paint.bad("failed: something needs you"),
    };
    format!("{line}\n")
}

fn alarm_lines(alarm: &Alarm, paint: Paint) -> String {
    let word = format!("{:<10}", alarm.kind.word());
    let word = if alarm.kind == Kind::Incomplete { paint.doubtful(&word) } else { paint.bad(&word) };
    let mut text = format!("  {word}  {}: {}\n", human::plain(&alarm.object), human::plain(&alarm.message));
    if let Some(next) = &alarm.next {
        text.push_str(&format!("  {:<10}  {}\n", "  next", human::plain(next)));
    }
    text
}

fn job_lines(job: &JobReport, now: Timestamp, zone: &TimeZone, paint: Paint) -> String {
    let mut rows = vec![["", "newest", "age", "kept", "verified"].map(str::to_owned).to_vec()];
    rows.extend(job.places.iter().map(|place| place_row(place, now, zone)));
    let table = human::table(&[Align::Left, Align::Left, Align::Right, Align::Right, Align::Left], &rows);
    let mut text = paint.strong(job.job.as_str());
    text.push('\n');
    for line in table.lines() {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    let share = |moved: u64, total: u64| format!("{} for {} ({})", human::size(moved), human::size(total), human::percent(moved, total));
    let mut moved: Vec<String> = job.pulled.iter().map(|pulled| format!("pulled {}", share(pulled.moved, pulled.total))).collect();
    moved.extend(job.pushed.iter().map(|(cloud, pushed)| format!("{cloud} got {}", share(pushed.moved, pushed.total))));
    if !moved.is_empty() {
        text.push_str(&format!("  moved last: {}\n", moved.join(", ")));
    }
    if let Some(TripwireReport { stays, expected, .. }) = &job.tripwire {
        let usual = expected.usual.map(|usual| format!(", usually {usual} %")).unwrap_or_default();
        let rule = match expected.least {
            Some(least) => format!("below {least} % is suspicious"),
            None => "too little to judge by, size and compression are".to_owned(),
        };
        text.push_str(&format!("  tripwire: {stays} % of the archive before stayed{usual}; {rule}\n"));
    }
    text
}

fn place_row(place: &PlaceReport, now: Timestamp, zone: &TimeZone) -> Vec<String> {
    let (newest, age) = match &place.newest {
        Some(newest) => (minute(newest.time(), zone), human::age(now.duration_since(newest.time()))),
        None => ("none".to_owned(), "-".to_owned()),
    };
    let kept = match place.keep {
        Some(keep) => format!("{} of {keep}", place.count),
        None => place.count.to_string(),
    };
    let verified = place.verified.map_or_else(|| "-".to_owned(), |time| human::ago(now.duration_since(time)));
    vec![place.place.to_string(), newest, age, kept, verified]
}

fn foot(report: &Report, zone: &TimeZone, paint: Paint) -> String {
    let rule = &report.rule;
    let count = format!("{}, {} off site", human::count(rule.copies as u64, "fresh copy", "fresh copies"), rule.off_site);
    let rule = match (&rule.job, rule.holds) {
        (_, true) => paint.good(&format!("holds: {count}")),
        (Some(job), false) => paint.doubtful(&format!("does not hold for {job}: {count}")),
        (None, false) => paint.doubtful("does not hold: there is nothing yet"),
    };
    let last = match &report.run.last {
        None => "never".to_owned(),
        Some(LastRun { time, outcome }) => {
            let outcome = match outcome {
                Outcome::Fine => "fine",
                Outcome::Incomplete => "incomplete",
                Outcome::Failed => "failed",
            };
            format!("{}, {outcome}", minute(*time, zone))
        }
    };
    let next = report.run.next.map_or_else(|| "unknown".to_owned(), |time| minute(time, zone));
    let owed = report.run.owed.map(|due| format!("; owed since {}", minute(due, zone))).unwrap_or_default();
    let rot = match report.set_aside {
        0 => String::new(),
        packs => {
            let packs = human::count(packs as u64, "damaged pack lies", "damaged packs lie");
            format!(
                "disk      {}\n",
                paint.doubtful(&format!("{packs} in the folder damaged: watch this disk, and remove them when you have looked"))
            )
        }
    };
    format!("3-2-1     {rule}\nlast run  {last}\nnext run  {next}{owed}\n{rot}")
}

fn minute(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}
