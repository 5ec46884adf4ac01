//! YAML text to a configuration type, with errors that a person can act on: file, line, key and the nearest word that is valid.
//!
//! Used for the agent's own file and for the Mac's. Types say what is valid (`deny_unknown_fields`, newtypes that check as they
//! parse); this module only turns what serde says into one sentence. Rules between keys are checked by the caller afterwards and
//! find their line again with [`ConfigError::at`], because serde forgets positions once a value is built.

use std::{
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{
    Deserializer,
    de::{self, DeserializeOwned},
};

use super::{nearest::nearest, words::plain};

/// Why a configuration file is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something in the file is not valid; nothing of it is used.
    #[error("{}{}: {}{problem}{}", path.display(), line_text(*line), key_text(key), nearest_text(nearest.as_deref()))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line in the file, counted from 1, where known.
        line: Option<usize>,
        /// The key with those above it: `jobs.services.at`; empty for the file as a whole.
        key: String,
        /// What is wrong with it.
        problem: String,
        /// The valid word that looks most like the one found.
        nearest: Option<String>,
    },
    /// More than one thing in the file is not valid, each told in a line; nothing of it is used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<Self>),
}

fn line_text(line: Option<usize>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}

fn key_text(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}

fn nearest_text(nearest: Option<&str>) -> String {
    nearest.map(|word| format!("; did you mean \"{word}\"?")).unwrap_or_default()
}

impl ConfigError {
    /// A rule that the value at `keys` breaks, for what serde cannot see; the line is where that key stands in `text`.
    pub fn at(path: &Path, text: &str, keys: &[&str], problem: impl Into<String>) -> Self {
        Self::Invalid { path: path.into(), line: line_of(text, keys), key: keys.join("."), problem: problem.into(), nearest: None }
    }

    /// As [`ConfigError::at`], for one `item` of the list at `keys`.
    pub(super) fn in_list(path: &Path, text: &str, keys: &[&str], item: &str, problem: String) -> Self {
        let line = line_of(text, &[keys, &[item]].concat());
        Self::Invalid { path: path.into(), line, key: keys.join("."), problem, nearest: None }
    }

    /// None of them, the only one, or all of them as one, in the order of the file.
    pub(super) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        errors.sort_by_key(|error| if let Self::Invalid { line, .. } = error { *line } else { None });
        match errors.len() {
            0 | 1 => errors.pop().map_or(Ok(()), Err),
            _ => Err(Self::Several(errors)),
        }
    }
}

/// Reads the file at `path` and parses it.
///
/// Errors: as [`parse`], and [`ConfigError::Read`].
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<(T, String), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
    Ok((parse(path, &text)?, text))
}

/// Parses `text`, which was read from `path`.
///
/// Errors: [`ConfigError::Invalid`] for the first thing that is wrong.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    // Some editors begin a file with a mark that is no part of it, and that the reader takes for a document of its own.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_yaml::from_str(text).map_err(|error| explain(path, text, &error))
}

/// Deserialises what is written as text, for a type's own `Deserialize` or for `deserialize_with`. A text that is refused is reported
/// at its own line and key; with serde's `try_from` it would be at those of the block around it.
///
/// Errors: what `T::from_str` says.
pub fn text<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(deserializer: D) -> Result<T, D::Error> {
    struct Text<T>(PhantomData<T>);
    impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for Text<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Text(PhantomData))
}

fn explain(path: &Path, text: &str, error: &serde_yaml::Error) -> ConfigError {
    let whole = error.to_string();
    let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
    let message =
        whole.rsplit_once(" at line ").filter(|(_, tail)| tail.starts_with(|c: char| c.is_ascii_digit())).map_or(&*whole, |(head, _)| head);
    let (key, message) = message.split_once(": ").filter(|(head, _)| is_key_path(head)).unwrap_or(("", message));
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return ConfigError::Invalid {
            path: path.into(),
            line: None,
            key: String::new(),
            problem: "the file says nothing".into(),
            nearest: None,
        };
    }
    let words = quoted(message);
    let mut line = line;
    let (problem, word) = match (message.split(' ').next(), words.split_first()) {
        (Some("unknown"), Some((found, valid))) => {
            let what = if message.starts_with("unknown field") { "unknown key" } else { "unknown value" };
            let all = valid.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
            let near = nearest(found, valid);
            // With a suggestion the list is noise; without one it is the only help.
            let list = if near.is_some() || all.is_empty() { String::new() } else { format!("; valid here: {all}") };
            (format!("{what} \"{found}\"{list}"), near)
        }
        (Some("missing"), Some((found, _))) => (format!("key \"{found}\" is missing"), None),
        (Some("duplicate"), Some((found, _))) => {
            // The position given is where the block begins.
            line = line.and_then(|line| again(text, line, found)).or(line);
            (format!("key \"{found}\" stands twice"), None)
        }
        _ => {
            if message.contains("more than one document") {
                line = second_document(text);
            }
            (plain(message), None)
        }
    };
    ConfigError::Invalid { path: path.into(), line, key: key.into(), problem, nearest: word }
}

/// Whether `text` is what serde_yaml puts before a message (`jobs.services.sources[0]`) and not a part of the message.
fn is_key_path(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace) && !text.contains('`')
}

/// The words between backticks, in order.
fn quoted(message: &str) -> Vec<String> {
    message.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The line where a file begins again.
fn second_document(text: &str) -> Option<usize> {
    let says_something = |line: &str| !line.trim().is_empty() && !line.starts_with('#');
    let mut lines = text.lines().enumerate().skip_while(|(_, line)| !says_something(line)).skip(1);
    lines.find(|(_, line)| line.trim_end() == "---").map(|(number, _)| number + 1)
}

/// The line of the second `key` of one indentation, in block style, from line `from` on.
fn again(text: &str, from: usize, key: &str) -> Option<usize> {
    // The first key of a list's item stands behind the dash.
    let body = |line: &str| line.trim_start().trim_start_matches("- ").len();
    let mut found = text
        .lines()
        .enumerate()
        .skip(from.saturating_sub(1))
        .filter(|(_, line)| name(&line[line.len() - body(line)..]) == Some(key))
        .map(|(number, line)| (number + 1, line.len() - body(line)));
    let first = found.next()?;
    found.find(|(_, indent)| *indent == first.1).map(|(number, _)| number)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The key at the beginning of a line without its indentation.
fn name(body: &str) -> Option<&str> {
    body.split_once(':').map(|(key, _)| key.trim_matches(['"', '\'']))
}

/// The item of a list that stands alone on a line without its indentation.
fn item(body: &str) -> Option<&str> {
    Some(body.strip_prefix("- ")?.trim().trim_matches(['"', '\'']).trim_end_matches('/'))
}

/// The line, counted from 1, of the key or the path in a list at the end of `keys` in block style; of the deepest found, where the rest is
/// written inline.
pub(super) fn line_of(text: &str, keys: &[&str]) -> Option<usize> {
    let mut found = None;
    let mut depth = 0;
    let mut above = None;
    for (number, line) in text.lines().enumerate() {
        let Some(key) = keys.get(depth) else { break };
        let (body, indent) = (line.trim_start(), indent(line));
        if body.is_empty() || body.starts_with('#') {
            continue;
        }
        // Left of the key that we are inside of: its block is over.
        if above.is_some_and(|above| indent < above || indent == above && item(body).is_none()) {
            break;
        }
        if name(body) == Some(key) || item(body) == Some(key) {
            (found, depth, above) = (Some(number + 1), depth + 1, Some(indent));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Top {
        #[expect(dead_code, reason = "only parsed")]
        keep: Option<u32>,
        #[expect(dead_code, reason = "only parsed")]
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only parsed")]
        sources: Vec<String>,
        #[expect(dead_code, reason = "only parsed")]
        how: Option<How>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum How {
        Down,
        None,
    }

    fn said(text: &str) -> String {
        parse::<Top>(Path::new("a.yaml"), text).unwrap_err().to_string()
    }

    #[test]
    fn names_file_line_key_and_nearest_word() {
        assert_eq!(said("keep: 3\ninner:\n  sorces: [a]\n"), "a.yaml:3: inner: unknown key \"sorces\"; did you mean \"sources\"?");
        assert_eq!(said("inner:\n  sources: []\nkepe: 3\n"), "a.yaml:3: unknown key \"kepe\"; did you mean \"keep\"?");
        assert_eq!(said("inner:\n  sources: []\n  how: dwon\n"), "a.yaml:3: inner.how: unknown value \"dwon\"; did you mean \"down\"?");
        assert_eq!(
            said("inner:\n  sources: []\n  how: elephant\n"),
            "a.yaml:3: inner.how: unknown value \"elephant\"; valid here: \"down\", \"none\""
        );
    }

    #[test]
    fn names_wrong_types_missing_and_doubled_keys() {
        assert_eq!(said("keep: three\ninner: {sources: []}\n"), "a.yaml:1: keep: expected a whole number, not the text \"three\"");
        assert_eq!(said("keep: 3\n"), "a.yaml:1: key \"inner\" is missing");
        assert_eq!(said("keep: 3\nkeep: 4\ninner: {sources: []}\n"), "a.yaml:2: key \"keep\" stands twice");
        assert_eq!(said("# nothing yet\n\n"), "a.yaml: the file says nothing");
        assert!(said("inner: [\n").starts_with("a.yaml:"), "{}", said("inner: [\n"));
        assert_eq!(said("inner: {sources: []}\n---\nkeep: 3\n"), "a.yaml:2: the file goes on after a line of ---");
        assert_eq!(said("keep: 3\ninner:\n\tsources: []\n"), format!("a.yaml:3: {}", plain("found character that cannot start any token")));
        parse::<Top>(Path::new("a.yaml"), "\u{feff}inner: {sources: []}\n").unwrap();
        assert_eq!(said("\u{feff}keep: 3\n"), "a.yaml:1: key \"inner\" is missing");
    }

    #[test]
    fn finds_the_line_of_a_key_in_its_own_block() {
        let text = "a:\n  x: 1\nb:\n  # x: 0\n  y: 2\n  x: 3\nc: {x: 1}\n";
        assert_eq!(line_of(text, &["a", "x"]), Some(2));
        assert_eq!(line_of(text, &["b", "x"]), Some(6));
        assert_eq!(line_of(text, &["c", "x"]), Some(7));
        assert_eq!(line_of(text, &["d"]), None);
        let text = "a:\n  x:\n  - /1/\n  - \"/2\"\n  y:\n    - /3\n    - /1\n  z: [/1]\n";
        let line = |key, item| line_of(text, &["a", key, item]);
        assert_eq!([line("x", "/1"), line("x", "/2"), line("x", "/3"), line("y", "/1")], [Some(3), Some(4), Some(2), Some(7)]);
        assert_eq!(line("z", "/1"), Some(8));
    }
}
