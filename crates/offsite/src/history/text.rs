//! Nights as text. Pure; no line is wider than the look allows.

use jiff::{Timestamp, civil, tz::TimeZone};

use super::{
    nights::{Line, Moved, Night, Run},
    words,
};
use crate::{
    human::{
        self, Align,
        lines::{width, wrap},
        look::{Look, Paint},
    },
    journal::Outcome,
};

/// That there is no line to show; `since` a day, or ever.
pub(super) fn none(since: Option<civil::Date>, look: Look) -> String {
    let said = since.map_or_else(|| "no night yet: offsite sync plays the first".to_owned(), |day| format!("no night since {day}"));
    wrap(&said, "", "", look.width).join("\n") + "\n"
}

pub(super) fn list(nights: &[Night<'_>], zone: &TimeZone, look: Look) -> String {
    let head = ["NIGHT", "BEGAN", "TOOK", "ENDED", "PULLED", "PUSHED", "FORGOT"].map(str::to_owned).to_vec();
    let runs = nights.iter().filter_map(|night| if let Line::Run(run) = &night.line { Some(row(run, zone)) } else { None });
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(runs).collect();
    let align = [Align::Left, Align::Left, Align::Right, Align::Left, Align::Left, Align::Left, Align::Right];
    let table = human::table(&align, &rows);
    let fits = look.width.is_none_or(|most| table.lines().all(|line| width(line) <= most));
    let mut lines = table.lines();
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    let head = lines.next().unwrap_or_default();
    if fits && rows.len() > 1 {
        line(head);
    }
    for night in nights {
        match &night.line {
            Line::Run(run) => {
                let said = lines.next().unwrap_or_default();
                if fits {
                    line(&painted(said, run.outcome, look.paint));
                } else {
                    sentence(run, zone, look).iter().for_each(|said| line(said));
                }
                for problem in problems(run) {
                    wrap(&problem, "            ", "              ", look.width).iter().for_each(|said| line(&look.paint.bad(said)));
                }
            }
            Line::Waited { night, text: why, .. } => {
                let said = format!("waited, and did not run: {}", human::plain(why));
                wrap(&said, &format!("{night}  "), "            ", look.width).iter().for_each(|said| line(&look.paint.doubtful(said)));
            }
            Line::Gap { night, last, nights, open } => {
                let end = if *open { "; nothing has made up for it yet" } else { "" };
                let said = match nights {
                    1 => format!("{night}  no run{end}"),
                    _ => format!("{night} to {last}  {} without a run{end}", human::count(*nights, "night", "nights")),
                };
                wrap(&said.replacen("  ", " \u{a0}", 1), "", "            ", look.width)
                    .iter()
                    .for_each(|said| line(&look.paint.bad(&said.replace('\u{a0}', " "))));
            }
        }
    }
    text
}

pub(super) fn detail(nights: &[Night<'_>], zone: &TimeZone, look: Look) -> String {
    let mut text = list(nights, zone, look);
    for night in nights.iter().filter(|night| !night.receipts.is_empty()) {
        text.push('\n');
        for receipt in &night.receipts {
            let clock = receipt.time.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string();
            for line in wrap(&human::plain(&words::of(&receipt.fact)), &format!("  {clock}  "), "            ", look.width) {
                text.push_str(&line);
                text.push('\n');
            }
        }
    }
    text
}

/// That the list is not all there was: nothing if it is. Numbers of lines of the journal.
pub(super) fn damaged(lines: &[usize], look: Look) -> String {
    let Some(first) = lines.first() else { return String::new() };
    let count = human::count(lines.len() as u64, "line of the journal is", "lines of the journal are");
    let said = format!("{count} no receipt, the first is line {first}: what they said is not in this list");
    wrap(&said, "", "", look.width).iter().fold(String::new(), |text, line| text + &look.paint.bad(line) + "\n")
}

fn painted(line: &str, outcome: Option<Outcome>, paint: Paint) -> String {
    let word = ended(outcome);
    let colour = |text: &str| match outcome {
        Some(Outcome::Fine) => paint.good(text),
        Some(Outcome::Incomplete) => paint.doubtful(text),
        Some(Outcome::Failed) | None => paint.bad(text),
    };
    line.replacen(word, &colour(word), 1)
}

pub(super) fn ended(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Fine) => "fine",
        Some(Outcome::Incomplete) => "incomplete",
        Some(Outcome::Failed) => "failed",
        None => "no end",
    }
}

fn row(run: &Run, zone: &TimeZone) -> Vec<String> {
    let none = || "-".to_owned();
    vec![
        run.night.map_or_else(|| format!("({})", run.day), |night| night.to_string()),
        run.began.map_or_else(none, |began| clock(run, began, zone)),
        took(run).unwrap_or_else(none),
        ended(run.outcome).to_owned(),
        moved(&run.pulled).unwrap_or_else(none),
        pushed(run).unwrap_or_else(none),
        match run.forgotten.values().sum::<u64>() {
            0 => none(),
            forgotten => human::number(forgotten),
        },
    ]
}

/// The time of day; with the day, if that is another than the night's.
fn clock(run: &Run, time: Timestamp, zone: &TimeZone) -> String {
    let time = time.to_zoned(zone.clone());
    let form = if time.date() == run.day { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    time.strftime(form).to_string()
}

fn took(run: &Run) -> Option<String> {
    let length = run.ended.duration_since(run.began?);
    (!length.is_negative()).then(|| human::span(length))
}

fn moved(moved: &Moved) -> Option<String> {
    (moved.archives > 0).then(|| format!("{}, {}", human::number(moved.archives), human::size(moved.bytes)))
}

fn pushed(run: &Run) -> Option<String> {
    let of = |(cloud, sum): (_, &Moved)| moved(sum).map(|sum| format!("{cloud} {sum}"));
    let all: Vec<String> = run.pushed.iter().filter_map(of).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// A run where there is no room for a table.
fn sentence(run: &Run, zone: &TimeZone, look: Look) -> Vec<String> {
    let mut facts = vec![match took(run) {
        Some(took) => format!("{} in {took}", ended(run.outcome)),
        None => ended(run.outcome).to_owned(),
    }];
    facts.extend(run.began.map(|began| format!("began {}", clock(run, began, zone))));
    facts.extend(moved(&run.pulled).map(|sum| format!("pulled {sum}")));
    facts.extend(pushed(run).map(|sum| format!("pushed {sum}")));
    let forgotten = run.forgotten.values().sum::<u64>();
    if forgotten > 0 {
        facts.push(format!("forgot {}", human::number(forgotten)));
    }
    let night = run.night.map_or_else(|| format!("({})", run.day), |night| night.to_string());
    let mut lines = wrap(&facts.join(", "), &format!("{night}  "), "  ", look.width);
    if let Some(first) = lines.first_mut() {
        *first = painted(first, run.outcome, look.paint);
    }
    lines
}

fn problems(run: &Run) -> Vec<String> {
    let mut problems: Vec<String> =
        run.failures.iter().map(|failed| human::plain(&format!("{} {}: {}", failed.step, failed.object, failed.message))).collect();
    problems.extend(run.away.iter().map(|pi| format!("{pi} was not at home")));
    problems.extend(run.suspicious.iter().map(|archive| format!("suspicious: {archive}")));
    problems.extend(run.lost.iter().map(|lost| format!("lost: {} in {}", lost.archive, lost.place)));
    if run.outcome.is_none() {
        problems.push("it was cut off, or is at work now".to_owned());
    }
    problems
}
