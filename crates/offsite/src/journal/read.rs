//! Journal text to receipts, forgiving what a crash or a newer version leaves behind and hiding nothing else.

use std::borrow::Cow;

use serde::Deserialize;

use super::{BadLine, Receipt, receipt::KINDS};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    pub receipts: Vec<Receipt>,
    /// Lines that no offsite wrote whole; a person should look.
    pub damaged: Vec<Damaged>,
    /// Receipts of kinds that only a newer version knows.
    pub unknown: usize,
    /// Whether the last line was torn by a crash; harmless, since what it says never counted.
    pub torn: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its number, from 1.
    pub line: usize,
    /// The BLAKE3 of its bytes.
    pub hash: String,
    pub problem: String,
}

impl From<Damaged> for BadLine {
    fn from(Damaged { line, hash, .. }: Damaged) -> Self {
        Self { line, hash }
    }
}

pub fn parse(bytes: &[u8]) -> Read {
    let mut read = Read::default();
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let last = lines.peek().is_none();
        if line.iter().all(|byte| byte.is_ascii_whitespace()) {
            continue;
        }
        match receipt(line) {
            Ok(Some(receipt)) => read.receipts.push(receipt),
            Ok(None) => read.unknown += 1,
            // Only the last line has no newline after it.
            Err(_) if last => read.torn = true,
            Err(problem) => read.damaged.push(Damaged { line: at + 1, hash: blake3::hash(line).to_hex().to_string(), problem }),
        }
    }
    read
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

/// One line; `None` for a kind this version does not know.
pub(super) fn receipt(line: &[u8]) -> Result<Option<Receipt>, String> {
    // Twice through the bytes is faster than once through a tree of them.
    let Kind { kind } = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if !KINDS.contains(&kind.as_ref()) {
        return Ok(None);
    }
    serde_json::from_slice(line).map(Some).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Fact, Outcome};

    const RAN: &str = r#"{"time":"2026-11-22T04:31:00Z","kind":"ran","owed":"2026-11-22","outcome":"fine"}"#;

    #[test]
    fn unknown_kinds_and_fields_are_skipped() {
        let text = format!(
            "{{\"time\":\"2026-11-22T04:30:00Z\",\"kind\":\"unheard\",\"x\":1}}\n{}\n",
            RAN.replace("\"fine\"", "\"fine\",\"new\":[1]")
        );
        let read = parse(text.as_bytes());
        assert_eq!((read.receipts.len(), read.unknown, read.damaged.len(), read.torn), (1, 1, 0, false));
        assert!(matches!(read.receipts[0].fact, Fact::Ran { outcome: Outcome::Fine, .. }));
    }

    #[test]
    fn a_torn_last_line_is_forgiven_at_every_length() {
        let text = format!("{RAN}\n{RAN}\n");
        for length in RAN.len() + 1..text.len() {
            let read = parse(&text.as_bytes()[..length]);
            let cut = length - RAN.len() - 1;
            assert_eq!(read.receipts.len(), if cut == RAN.len() { 2 } else { 1 }, "{length}");
            assert_eq!(read.torn, cut > 0 && cut < RAN.len(), "{length}");
            assert!(read.damaged.is_empty());
        }
    }

    #[test]
    fn a_bad_line_in_the_middle_is_named_and_hides_no_other() {
        for bad in ["\0\0\0", "{}", "{\"kind\":\"ran\"}", &RAN.replace("fine", "splendid"), &RAN[..40]] {
            let read = parse(format!("{RAN}\n{bad}\n{RAN}\n").as_bytes());
            assert_eq!((read.receipts.len(), read.torn), (2, false));
            assert_eq!(read.damaged.iter().map(|damaged| damaged.line).collect::<Vec<_>>(), [2], "{bad}");
        }
    }
}
