//! News in words: a title, a text, and the same as a value for programs. Pure.
//!
//! Objects have names that others chose (an archive, a path), so every text goes through [`human::plain`]: no line break and no escape
//! sequence of theirs gets into a title, a header or a terminal.

use serde_json::{Value, json};

use super::news::News;
use crate::{
    human,
    status::{Alarm, Kind, Report, WarningsReport},
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Something needs the owner.
    Bad,
    /// Something is not as it should be, and can wait.
    Poor,
    /// All is well.
    Good,
}

/// A message as the channels get it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// How bad it is.
    pub(super) level: Level,
    /// One line.
    pub(super) title: String,
    /// A few lines, the most important first.
    pub(super) text: String,
    /// The whole status as the screen shows it; may be empty.
    pub(super) status: String,
    /// The same for programs.
    pub(super) json: Value,
}

/// Alarms that are named; of more than that the number is said.
const NAMED: usize = 12;

impl Outgoing {
    /// The words of `news` about `report`, sent by the Mac called `mac`.
    pub(super) fn of(news: &News, report: &Report, mac: &str, status: String) -> Self {
        let (what, level, title, text, alarms) = match news {
            News::Alarms { begun, again, others } => {
                let all: Vec<&Alarm> = begun.iter().chain(again).collect();
                let bad = all.iter().any(|alarm| alarm.kind < Kind::Space);
                let level = if bad { Level::Bad } else { Level::Poor };
                ("alarms", level, headline(&all, begun.is_empty()), alarms(begun, again, *others), (begun.as_slice(), again.as_slice()))
            }
            News::Well { ended } => {
                let ended: String = ended.iter().take(NAMED).map(|key| format!("gone: {}\n", human::plain(key))).collect();
                ("well", Level::Good, "all is well again".to_owned(), format!("{ended}{}", copies(report)), Default::default())
            }
            News::Warnings(of) => {
                let jobs: Vec<&str> = of.iter().map(|warned| warned.archive.job.as_str()).collect();
                let text = format!("{}See all: offsite archives\n", of.iter().map(warnings).collect::<String>());
                ("warnings", Level::Poor, format!("new warnings of {}", jobs.join(", ")), text, Default::default())
            }
            News::Night { others } => {
                let text = format!("{}{}", copies(report), others_line(*others));
                ("night", Level::Good, "the night went well".to_owned(), text, Default::default())
            }
        };
        let title = format!("offsite on {}: {title}", human::plain(mac));
        let json = json!({
            "version": 1,
            "time": report.time,
            "mac": mac,
            "news": what,
            "title": title,
            "text": text,
            "verdict": report.verdict,
            "begun": alarms_of(alarms.0),
            "again": alarms_of(alarms.1),
            "ended": if let News::Well { ended } = news { ended.clone() } else { Vec::new() },
            "run": report.run.last.map(|last| json!({"time": last.time, "outcome": last.outcome})),
        });
        Self { level, title, text, status, json }
    }

    /// A message that says nothing but that it came.
    pub(super) fn test(mac: &str, now: jiff::Timestamp) -> Self {
        let title = format!("offsite on {}: a test", human::plain(mac));
        let text = "If you read this, alarms will reach you here.\n".to_owned();
        let json = json!({
            "version": 1, "time": now, "mac": mac, "news": "test", "title": title, "text": text, "verdict": "fine",
            "begun": [], "again": [], "ended": [], "run": null,
        });
        Self { level: Level::Good, title, text, status: String::new(), json }
    }

    /// The message for programs, as the webhook sends it.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The text in at most so many bytes.
    pub(super) fn short(&self, longest: usize) -> String {
        cut(&self.text, longest)
    }
}

/// The first warnings of an archive, a line each.
fn warnings(warned: &WarningsReport) -> String {
    let more = warned.count.saturating_sub(warned.first.len() as u64);
    let first: String = warned.first.iter().map(|text| format!("  {}\n", human::plain(text))).collect();
    let more = if more == 0 { String::new() } else { format!("  and {more} more\n") };
    format!("{}:\n{first}{more}", warned.archive)
}

fn alarms_of(alarms: &[Alarm]) -> Value {
    serde_json::to_value(alarms).unwrap_or_default()
}

fn headline(alarms: &[&Alarm], only_again: bool) -> String {
    let still = if only_again { "still " } else { "" };
    match alarms {
        [one] => format!("{still}{} {}", one.kind.word(), short(&one.object)),
        many => {
            let mut words: Vec<&str> = many.iter().map(|alarm| alarm.kind.word()).collect();
            words.dedup();
            format!("{still}{} alarms ({})", many.len(), words.join(", "))
        }
    }
}

/// An object's name as a title can bear it.
fn short(object: &str) -> String {
    let short: String = object.chars().take(80).collect();
    human::plain(&short)
}

fn alarms(begun: &[Alarm], again: &[Alarm], others: usize) -> String {
    let marked = begun.iter().map(|alarm| ("", alarm)).chain(again.iter().map(|alarm| ("still ", alarm)));
    let mut text: String = marked.clone().take(NAMED).map(|(still, alarm)| format!("{still}{}", line(alarm))).collect();
    let more = marked.count().saturating_sub(NAMED);
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    text.push_str(&others_line(others));
    text.push_str("See: offsite status\n");
    text
}

fn others_line(others: usize) -> String {
    let what = human::count(others as u64, "alarm stands that was", "alarms stand that were");
    if others == 0 { String::new() } else { format!("{what} told before\n") }
}

/// An alarm and what to do about it, a line each.
pub(super) fn line(alarm: &Alarm) -> String {
    let plain = |text: &str| human::plain(text);
    let next = alarm.next.as_deref().map(|next| format!("  next: {}\n", plain(next))).unwrap_or_default();
    format!("{} {}: {}\n{next}", alarm.kind.word(), plain(&alarm.object), plain(&alarm.message))
}

fn copies(report: &Report) -> String {
    let rule = &report.rule;
    let copies = human::count(rule.copies as u64, "fresh copy", "fresh copies");
    format!("{copies} of each job, {} off site\n", rule.off_site)
}

/// At most `longest` bytes of `text`, cut between two letters.
pub(super) fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = (0..=longest.saturating_sub(4)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…\n", &text[..end])
}
