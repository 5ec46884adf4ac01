//! Numbers for people: sizes, ages, counts, tables. Pure.
//!
//! Sizes are decimal, as the Finder and the cloud's bill count; ages are rounded down, so nothing looks fresher than it is by more than
//! its unit.

pub(crate) mod lines;
pub(crate) mod look;

use jiff::SignedDuration;

use self::lines::width;

/// `bytes` as `0 B`, `999 B`, `1.2 kB`, `9.4 GB`: three digits at most where there is a unit.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // Tenths of the unit, rounded half up in whole numbers; what rounds to 1000 takes the next unit.
    let mut unit = 1000_u128;
    for name in UNITS {
        let tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
        if tenths < 100 {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
        let whole = (u128::from(bytes) + unit / 2) / unit;
        if whole < 1000 {
            return format!("{whole} {name}");
        }
        unit *= 1000;
    }
    format!("{bytes} B")
}

/// How long ago: `now`, `5 min`, `3 h`, `2 days`; the future is `ahead`, because a clock is wrong then.
pub(crate) fn age(age: SignedDuration) -> String {
    let minutes = age.as_secs().div_euclid(60);
    match minutes {
        i64::MIN..-1 => "ahead".to_owned(),
        -1..1 => "now".to_owned(),
        1..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

/// `ago` after what [`age`] says, where that reads well.
pub(crate) fn ago(duration: SignedDuration) -> String {
    match age(duration).as_str() {
        "now" => "just now".to_owned(),
        "ahead" => "in the future".to_owned(),
        text => format!("{text} ago"),
    }
}

/// How long something takes: `40 s`, `3 min`, `2 h 05 min`, `3 days`. Less than nothing is nothing.
pub(crate) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `n` with thousands apart: `12,345`.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 archive`, `2 archives`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// `part` of `whole` in per cent, rounded up; something is never shown as nothing; `0 %` of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let (hundredfold, whole) = (u128::from(part) * 100, u128::from(whole));
    if (1..whole).contains(&hundredfold) { "less than 1 %".to_owned() } else { format!("{} %", hundredfold.div_ceil(whole.max(1))) }
}

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows in columns, two spaces apart, nothing after the last word of a line. Widths are those of a terminal.
pub(crate) fn table(columns: &[Align], rows: &[Vec<String>]) -> String {
    let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(widest).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (((cell, align), widest), at) in row.iter().zip(columns).zip(&widths).zip(0..) {
            if at > 0 {
                line.push_str("  ");
            }
            let pad = " ".repeat(widest.saturating_sub(width(cell)));
            match align {
                Align::Left => line.extend([cell, pad.as_str()]),
                Align::Right => line.extend([pad.as_str(), cell]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `text` with control characters shown, so that a name from another machine cannot paint the terminal, nor turn around what follows it.
pub(crate) fn plain(text: &str) -> String {
    let turns = |char| matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .flat_map(|char| if char.is_control() || turns(char) { char.escape_default().collect::<Vec<_>>() } else { vec![char] })
        .collect()
}

/// A word of a command to type, quoted where a shell would read it otherwise.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@,=".contains(letter);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_right_unit_at_every_edge() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (99_499, "99 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1_234_567, "1.2 MB"),
            (9_400_000_000, "9.4 GB"),
            (999_999_999_999, "1.0 TB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn ages_are_rounded_down() {
        for (seconds, text) in [
            (-3600, "ahead"),
            (-60, "now"),
            (0, "now"),
            (59, "now"),
            (60, "1 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
            (864_000, "10 days"),
        ] {
            assert_eq!(age(SignedDuration::from_secs(seconds)), text, "{seconds}");
        }
        assert_eq!(ago(SignedDuration::ZERO), "just now");
    }

    #[test]
    fn numbers_counts_and_shares() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(count(1, "archive", "archives"), "1 archive");
        assert_eq!(count(0, "archive", "archives"), "0 archives");
        assert_eq!(
            [percent(0, 0), percent(0, 5), percent(1, 1000), percent(1, 99), percent(5, 5)],
            ["0 %", "0 %", "less than 1 %", "2 %", "100 %"]
        );
    }

    #[test]
    fn a_table_stands_in_columns_and_ends_no_line_with_spaces() {
        let rows = [vec!["a".into(), "1".into(), "x".into()], vec!["long".into(), "100".into(), String::new()]];
        assert_eq!(table(&[Align::Left, Align::Right, Align::Left], &rows), "a       1  x\nlong  100\n");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = [vec!["写真".into(), "1".into()], vec!["a".into(), "2".into()]];
        assert_eq!(table(&[Align::Left, Align::Left], &rows), "写真  1\na     2\n");
    }

    #[test]
    fn spans_have_a_unit_that_can_be_read() {
        let spans = [-5, 0, 119, 120, 7199, 7500, 172_799, 172_800].map(|seconds| span(SignedDuration::from_secs(seconds)));
        assert_eq!(spans, ["0 s", "0 s", "119 s", "2 min", "119 min", "2 h 05 min", "47 h 59 min", "2 days"]);
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(plain("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(plain("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
    }
}
