//! What a check found, and what all of them together mean. Pure.

use serde::Serialize;

use crate::{
    exit::Exit,
    human::{count, look::Paint, plain},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Ok,
    /// The backup works; this could be better, or needs a person's eye.
    Note,
    /// The backup does not work, or will not for long.
    Bad,
    /// Not looked at, because something that it needs is bad.
    Skipped,
    /// Not looked at, because nobody wanted it: `--offline`.
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    /// Of what: `mac`, or a place's name.
    pub place: String,
    pub check: &'static str,
    pub verdict: Verdict,
    pub words: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub message: String,
    pub fix: Option<String>,
}

impl Trouble {
    pub(crate) fn of(error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        Self { message: crate::hint::message(&error), fix: crate::hint::hint(&error) }
    }

    /// Of an answer that did not come.
    pub(crate) fn late(what: &str, seconds: u64) -> Self {
        Self {
            message: format!("{what}: no answer within {seconds} s"),
            fix: Some("check the network; if it is only slow, try again later".to_owned()),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Lines {
    place: String,
    pub all: Vec<Line>,
}

impl Lines {
    pub(crate) fn of(place: impl ToString) -> Self {
        Self { place: place.to_string(), all: Vec::new() }
    }

    fn add(&mut self, check: &'static str, verdict: Verdict, words: impl Into<String>, fix: Option<String>) {
        self.all.push(Line { place: self.place.clone(), check, verdict, words: words.into(), fix });
    }

    pub(crate) fn ok(&mut self, check: &'static str, words: impl Into<String>) {
        self.add(check, Verdict::Ok, words, None);
    }

    pub(crate) fn note(&mut self, check: &'static str, words: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Verdict::Note, words, Some(fix.into()));
    }

    pub(crate) fn bad(&mut self, check: &'static str, words: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Verdict::Bad, words, Some(fix.into()));
    }

    pub(crate) fn trouble(&mut self, check: &'static str, trouble: &Trouble) {
        self.add(check, Verdict::Bad, trouble.message.clone(), trouble.fix.clone());
    }

    /// Not looked at, because `needs` is bad.
    pub(crate) fn skipped(&mut self, check: &'static str, needs: &str) {
        self.add(check, Verdict::Skipped, format!("not checked: it needs the {needs}"), None);
    }

    /// Not looked at, because nobody wanted it.
    pub(crate) fn off(&mut self, check: &'static str) {
        self.add(check, Verdict::Off, "not checked: --offline", None);
    }
}

/// The end of the program. What was skipped follows from something bad.
pub(crate) fn exit(lines: &[Line]) -> Exit {
    let any = |verdict| lines.iter().any(|line| line.verdict == verdict);
    if any(Verdict::Bad) {
        Exit::Failed
    } else if any(Verdict::Note) {
        Exit::Incomplete
    } else {
        Exit::Fine
    }
}

pub(crate) fn text(line: &Line, paint: Paint) -> String {
    let mark = match line.verdict {
        Verdict::Ok => paint.good("ok  "),
        Verdict::Note => paint.doubtful("note"),
        Verdict::Bad => paint.bad("BAD "),
        Verdict::Skipped | Verdict::Off => "-   ".to_owned(),
    };
    let mut text = format!("  {mark}  {:<14}  {}", line.check, plain(&line.words));
    if let Some(fix) = &line.fix {
        text.push_str(&format!("\n                        next: {}", plain(fix)));
    }
    text
}

pub(crate) fn summary(lines: &[Line]) -> String {
    let of = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
    let (bad, notes, skipped) = (of(Verdict::Bad), of(Verdict::Note), of(Verdict::Skipped) + of(Verdict::Off));
    let checked = lines.len() - skipped;
    let mut text = count(checked as u64, "check", "checks");
    match (bad, notes) {
        (0, 0) => text.push_str(", all well"),
        (bad, notes) => {
            let bad = (bad > 0).then(|| format!(", {bad} bad"));
            let notes = (notes > 0).then(|| format!(", {notes} to look at"));
            [bad, notes].into_iter().flatten().for_each(|part| text.push_str(&part));
        }
    }
    if skipped > 0 {
        text.push_str(&format!("; {skipped} not checked"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        let mut lines = Lines::of("pi");
        lines.ok("port", "answers");
        lines
    }

    #[test]
    fn the_worst_line_decides_and_what_was_skipped_does_not() {
        let mut all = lines();
        all.off("login");
        assert_eq!((exit(&all.all), summary(&all.all).as_str()), (Exit::Fine, "1 check, all well; 1 not checked"));
        all.note("clock", "late", "set it");
        assert_eq!((exit(&all.all), summary(&all.all).as_str()), (Exit::Incomplete, "2 checks, 1 to look at; 1 not checked"));
        all.bad("login", "refused", "a key");
        all.skipped("test pull", "login");
        assert_eq!((exit(&all.all), summary(&all.all).as_str()), (Exit::Failed, "3 checks, 1 bad, 1 to look at; 2 not checked"));
    }

    #[test]
    fn a_line_stands_on_one_line_and_its_fix_below() {
        let mut all = lines();
        all.bad("host key", "another\nkey\u{1b}[2J", "do not go on");
        assert_eq!(text(&all.all[0], Paint { on: false }), "  ok    port            answers");
        let shown = text(&all.all[1], Paint { on: false });
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(!shown.contains('\u{1b}') && shown.ends_with("next: do not go on"), "{shown}");
        assert!(text(&all.all[1], Paint { on: true }).starts_with("  \u{1b}[1;31mBAD"));
    }
}
