//! The report as text for one screen. Pure; no line is wider than the look allows.
//!
//! What does not fit is not cut off, since what is cut off is what one needed: sentences go on in the next line, and a table that is too wide
//! becomes a list.

use jiff::{Timestamp, tz::TimeZone};

use super::{Alarm, JobReport, Kind, LastRun, PlaceReport, Report, TripwireReport, WarningsReport};
use crate::{
    human::{
        self, Align,
        lines::{width, wrap},
        look::{Look, Paint},
    },
    journal::Outcome,
    live::Now,
};

/// Below this many columns nothing is indented to a column any more.
const NARROW: usize = 60;
/// A longer name of a job has a line of its own.
const SHORT_NAME: usize = 16;
/// The width of the labels of the foot, with the space after them.
const LABEL: usize = 10;

/// The screen. Times are shown in `zone`.
pub fn screen(report: &Report, zone: &TimeZone, look: Look) -> String {
    let mut page = Page { text: String::new(), look };
    page.verdict(report);
    report.alarms.iter().for_each(|alarm| page.alarm(alarm));
    page.blank();
    if report.jobs.is_empty() {
        page.sentence("no archive is known yet", "", "");
        page.blank();
    }
    for job in &report.jobs {
        page.job(job, report.time, zone);
        page.blank();
    }
    page.foot(report, zone);
    page.text
}

/// The verdict and, if it is not fine, the worst alarm, on one line.
pub fn headline(report: &Report) -> String {
    match report.alarms.first() {
        None => report.verdict.to_owned(),
        Some(alarm) => human::plain(&format!("{}: {}: {}", report.verdict, alarm.object, alarm.message)),
    }
}

struct Page {
    text: String,
    look: Look,
}

impl Page {
    fn narrow(&self) -> bool {
        self.look.width.is_some_and(|width| width < NARROW)
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn sentence(&mut self, text: &str, first: &str, next: &str) {
        wrap(text, first, next, self.look.width).iter().for_each(|line| self.line(line));
    }

    /// A sentence whose first line begins with something painted.
    fn painted(&mut self, text: &str, first: (&str, &str), next: &str, paint: impl Fn(Paint, &str) -> String) {
        let (word, space) = first;
        for (at, line) in wrap(text, &format!("{word}{space}"), next, self.look.width).iter().enumerate() {
            match line.strip_prefix(word).filter(|_| at == 0) {
                // What is before the word stays as it is.
                Some(rest) => {
                    let bare = word.trim_start();
                    let indent = &word[..word.len() - bare.len()];
                    let line = format!("{indent}{}{rest}", paint(self.look.paint, bare));
                    self.line(&line);
                }
                None => self.line(line),
            }
        }
    }

    fn verdict(&mut self, report: &Report) {
        let (text, paint): (_, fn(Paint, &str) -> String) = match report.verdict {
            "fine" => ("fine: every copy is where it should be", |paint, text| paint.good(text)),
            "incomplete" => ("incomplete: part of it is not where it should be", |paint, text| paint.doubtful(text)),
            "overdue" => ("overdue: something that should have happened did not", |paint, text| paint.bad(text)),
            _ => ("failed: something needs you", |paint, text| paint.bad(text)),
        };
        for line in wrap(text, "", "  ", self.look.width) {
            self.line(&paint(self.look.paint, &line));
        }
    }

    fn alarm(&mut self, alarm: &Alarm) {
        let paint = |paint: Paint, word: &str| {
            if matches!(alarm.kind, Kind::Incomplete | Kind::Untold) { paint.doubtful(word) } else { paint.bad(word) }
        };
        let what = format!("{}: {}", human::plain(&alarm.object), human::plain(&alarm.message));
        let next = alarm.next.as_deref().map(human::plain);
        if self.narrow() {
            self.painted(&what, (&format!("{}:", alarm.kind.word()), " "), "  ", paint);
            if let Some(next) = next {
                self.sentence(&next, "  next: ", "    ");
            }
            return;
        }
        self.painted(&what, (&format!("  {:<10}", alarm.kind.word()), "  "), "              ", paint);
        if let Some(next) = next {
            self.sentence(&next, "    next      ", "              ");
        }
    }

    fn job(&mut self, job: &JobReport, now: Timestamp, zone: &TimeZone) {
        self.places(job, now, zone);
        let share =
            |moved: u64, total: u64| format!("{} for {} ({})", human::size(moved), human::size(total), human::percent(moved, total));
        let mut moved: Vec<String> = job.pulled.iter().map(|pulled| format!("pulled {}", share(pulled.moved, pulled.total))).collect();
        moved.extend(job.pushed.iter().map(|(cloud, pushed)| format!("{cloud} got {}", share(pushed.moved, pushed.total))));
        if !moved.is_empty() {
            self.sentence(&moved.join(", "), "  moved last: ", "    ");
        }
        if let Some(TripwireReport { stays, expected, .. }) = &job.tripwire {
            let usual = expected.usual.map(|usual| format!(", usually {usual} %")).unwrap_or_default();
            let rule = match expected.least {
                Some(least) => format!("below {least} % is suspicious"),
                None => "too little to judge by, size and compression are".to_owned(),
            };
            self.sentence(&format!("{stays} % of the last stayed{usual}; {rule}"), "  tripwire: ", "    ");
        }
        if let Some(warnings) = &job.warnings {
            self.warnings(warnings);
        }
        let drilled = match &job.drilled {
            Some(drilled) => {
                let ago = human::ago(now.duration_since(drilled.time));
                format!("{ago}, the archive of {} from {}", minute(drilled.archive.time(), zone), drilled.place)
            }
            None => format!("no restore was rehearsed yet: offsite drill {}", job.job),
        };
        // Of what is nowhere, nothing can be rehearsed.
        if job.drilled.is_some() || job.places.iter().any(|place| place.newest.is_some()) {
            self.sentence(&drilled, "  drill: ", "    ");
        }
    }

    /// The first of them, cut to one line: they are no alarm, and all stand in another place.
    fn warnings(&mut self, warnings: &WarningsReport) {
        let more = match warnings.count {
            0 | 1 => " (offsite archives)".to_owned(),
            count => format!(" (and {} more: offsite archives)", count - 1),
        };
        let text = human::plain(warnings.first.first().map_or("", String::as_str));
        let most = self.look.width.map(|most| most.saturating_sub(width("  warnings: ") + width(&more)));
        self.sentence(&format!("{}{more}", cut(&text, most)), "  warnings: ", "    ");
    }

    fn places(&mut self, job: &JobReport, now: Timestamp, zone: &TimeZone) {
        let name = job.job.as_str();
        let short = name.len() <= SHORT_NAME;
        let head = [if short { name } else { "" }, "newest", "age", "kept", "verified"].map(str::to_owned).to_vec();
        let mut rows = vec![head];
        rows.extend(job.places.iter().map(|place| row(place, now, zone)));
        let table = human::table(&[Align::Left, Align::Left, Align::Right, Align::Right, Align::Left], &rows);
        if self.look.width.is_some_and(|most| table.lines().any(|line| width(line) > most)) {
            self.title(name);
            job.places.iter().for_each(|place| self.place(place, now, zone));
            return;
        }
        if !short {
            self.title(name);
        }
        for (at, line) in table.lines().enumerate() {
            match line.strip_prefix(name).filter(|_| at == 0 && short) {
                Some(rest) => self.line(&format!("{}{rest}", self.look.paint.strong(name))),
                None => self.line(line),
            }
        }
    }

    fn title(&mut self, name: &str) {
        for line in wrap(name, "", "", self.look.width) {
            self.line(&self.look.paint.strong(&line));
        }
    }

    /// A place where there is no room for a table.
    fn place(&mut self, place: &PlaceReport, now: Timestamp, zone: &TimeZone) {
        let mut facts = match &place.newest {
            Some(newest) => {
                vec![minute(newest.time(), zone), format!("{} old", human::age(now.duration_since(newest.time())))]
            }
            None => vec!["nothing".to_owned()],
        };
        facts.push(format!("{} kept", kept(place)));
        facts.extend(place.verified.map(|time| format!("verified {}", human::ago(now.duration_since(time)))));
        self.sentence(&format!("{}: {}", place.place, facts.join(", ")), "  ", "    ");
    }

    /// A line with a label.
    fn fact(&mut self, label: &str, text: &str, paint: impl Fn(Paint, &str) -> String) {
        let (first, next) = match self.narrow() {
            true => (format!("{label}: "), "  ".to_owned()),
            false => (format!("{label:<LABEL$}"), " ".repeat(LABEL)),
        };
        for (at, line) in wrap(text, &first, &next, self.look.width).iter().enumerate() {
            let indent = if at == 0 { &first } else { &next };
            match line.strip_prefix(indent.as_str()) {
                Some(rest) => self.line(&format!("{indent}{}", paint(self.look.paint, rest))),
                None => self.line(line),
            }
        }
    }

    fn foot(&mut self, report: &Report, zone: &TimeZone) {
        let bare = |_: Paint, text: &str| text.to_owned();
        let rule = &report.rule;
        let copies = human::count(rule.copies as u64, "fresh copy", "fresh copies");
        let media = human::count(rule.media as u64, "medium", "media");
        let count = format!("{copies}, {media}, {} off site", rule.off_site);
        match (&rule.job, rule.holds) {
            (_, true) => self.fact("3-2-1", &format!("holds: {count}"), |paint, text| paint.good(text)),
            (Some(job), false) => self.fact("3-2-1", &format!("does not hold for {job}: {count}"), |paint, text| paint.doubtful(text)),
            (None, false) => self.fact("3-2-1", "does not hold: there is nothing yet", |paint, text| paint.doubtful(text)),
        }
        let last = match &report.run.last {
            None => "never".to_owned(),
            Some(LastRun { began, time, outcome }) => {
                let outcome = match outcome {
                    Outcome::Fine => "fine",
                    Outcome::Incomplete => "incomplete",
                    Outcome::Failed => "failed",
                };
                // A clock that was put back in between tells no length.
                let length = began.map(|began| time.duration_since(began)).filter(|length| !length.is_negative());
                let took = length.map(|length| format!(", in {}", human::span(length))).unwrap_or_default();
                format!("{}, {outcome}{took}", minute(*time, zone))
            }
        };
        self.fact("last run", &last, bare);
        if let Some(now) = &report.running {
            self.running(now, report.time, zone);
        }
        if let Some(waiting) = &report.run.waiting {
            let text = format!("{}; since {}", human::plain(&waiting.text), minute(waiting.since, zone));
            self.fact("waiting", &text, bare);
        }
        let next = match report.run.next {
            _ if report.run.unstarted => "none: nothing starts the daemon: offsite install".to_owned(),
            Some(time) => minute(time, zone),
            None => "unknown".to_owned(),
        };
        let owed = report.run.owed.map(|due| format!("; owed since {}", minute(due, zone))).unwrap_or_default();
        self.fact("next run", &format!("{next}{owed}"), bare);
        if report.unplugged {
            self.fact("disk", "the repository's disk is not mounted: what it holds is not shown", bare);
        }
        if report.set_aside > 0 {
            let packs = human::count(report.set_aside as u64, "damaged pack lies", "damaged packs lie");
            let text = format!("{packs} in the folder damaged: watch this disk, and remove them when you have looked");
            self.fact("disk", &text, |paint, text| paint.doubtful(text));
        }
    }

    fn running(&mut self, now: &Now, time: Timestamp, zone: &TimeZone) {
        let object = if now.object.is_empty() { String::new() } else { format!(" {}", human::plain(&now.object)) };
        let since = human::age(time.duration_since(now.since));
        let since = if since == "now" { format!("since {}", minute(now.since, zone)) } else { format!("for {since}") };
        let text = format!("{} {since}: {}{object}", human::plain(&now.verb), now.phase);
        self.fact("at work", &text, |_, text| text.to_owned());
        if now.total == 0 {
            return;
        }
        let mut facts = vec![format!("{} of {} ({})", human::size(now.done), human::size(now.total), rounded_down(now.done, now.total))];
        if now.rate > 0 {
            facts.push(format!("{}/s", human::size(now.rate)));
        }
        facts.extend(now.left().map(|left| format!("{} left", human::span(left))));
        let text = facts.join(", ");
        let indent = if self.narrow() { 2 } else { LABEL };
        let room = self.look.width.unwrap_or(80).saturating_sub(indent + width(&text) + 3).min(24);
        let bar = if room >= 8 { format!("{} ", bar(now.done, now.total, room)) } else { String::new() };
        let indent = " ".repeat(indent);
        // The bar is one word that fits; only the facts may need another line.
        self.sentence(&text, &format!("{indent}{bar}"), &indent);
    }
}

/// As much of `text` as has room in so many columns.
fn cut(text: &str, most: Option<usize>) -> String {
    let Some(most) = most.filter(|most| width(text) > *most) else { return text.to_owned() };
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| width(&text[..*at]) < most).last().unwrap_or(0);
    format!("{}…", text[..end].trim_end())
}

/// `[====>   ]`, with `room` columns between the brackets.
fn bar(done: u64, total: u64, room: usize) -> String {
    let full = (u128::from(done.min(total)) * room as u128 / u128::from(total.max(1))) as usize;
    let mut bar = "=".repeat(full);
    if full < room {
        bar.push('>');
    }
    format!("[{bar:<room$}]")
}

/// Something that is not done is never shown as done.
fn rounded_down(part: u64, whole: u64) -> String {
    format!("{} %", u128::from(part.min(whole)) * 100 / u128::from(whole.max(1)))
}

fn row(place: &PlaceReport, now: Timestamp, zone: &TimeZone) -> Vec<String> {
    let (newest, age) = match &place.newest {
        Some(newest) => (minute(newest.time(), zone), human::age(now.duration_since(newest.time()))),
        None => ("none".to_owned(), "-".to_owned()),
    };
    let verified = place.verified.map_or_else(|| "-".to_owned(), |time| human::ago(now.duration_since(time)));
    vec![format!("  {}", place.place), newest, age, kept(place), verified]
}

fn kept(place: &PlaceReport) -> String {
    match place.keep {
        Some(keep) => format!("{} of {keep}", place.count),
        None => place.count.to_string(),
    }
}

fn minute(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}
