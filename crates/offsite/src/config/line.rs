//! Where a key like `clouds[1].url` stands in YAML text, so that a rule serde cannot check still names its line.
//!
//! It follows indentation and dashes, as people write configuration. Where a value is written inline, or otherwise than expected, the
//! line of the deepest part that was found is the answer: never a wrong one below it.

/// The line, from 1, of `key`; `None` if not even its first part stands there.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let lines: Vec<Line<'_>> = text.lines().enumerate().filter_map(|(at, line)| Line::of(at + 1, line)).collect();
    let mut block = &lines[..];
    let mut found = None;
    for part in key.split('.') {
        let (name, item) =
            part.split_once('[').map_or((part, None), |(name, item)| (name, item.trim_end_matches(']').parse::<usize>().ok()));
        let Some(inside) = named(block, name) else { break };
        found = inside.first().map(|line| line.number).or(found);
        block = inside.get(1..).unwrap_or_default();
        if let Some(item) = item {
            let Some(inside) = items(block).nth(item) else { break };
            found = inside.first().map(|line| line.number).or(found);
            block = inside;
        }
    }
    found
}

/// A line that says something: its body without dashes before it, and where that begins.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    indent: usize,
    dash: Option<usize>,
    body: &'a str,
}

impl<'a> Line<'a> {
    fn of(number: usize, line: &'a str) -> Option<Self> {
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return None;
        }
        let at = line.len() - trimmed.len();
        let body = trimmed.strip_prefix("- ").map(str::trim_start);
        let (dash, body) = body.map_or((None, trimmed), |body| (Some(at), body));
        Some(Self { number, indent: line.len() - body.len(), dash, body })
    }

    fn name(&self) -> Option<&'a str> {
        self.body.split_once(':').map(|(name, _)| name.trim().trim_matches(['"', '\'']))
    }

    fn start(&self) -> usize {
        self.dash.unwrap_or(self.indent)
    }
}

/// The lines of the key `name` among the keys at the indentation of the first line: its own and those inside it.
fn named<'a, 'b>(block: &'b [Line<'a>], name: &str) -> Option<&'b [Line<'a>]> {
    let indent = block.first()?.indent;
    // A dash begins another item, unless it is the one we are in.
    let start = block
        .iter()
        .enumerate()
        .position(|(at, line)| line.indent == indent && line.name() == Some(name) && (at == 0 || line.dash.is_none()))?;
    // A list may stand at its key's own indentation, told from the next key by its dashes.
    let inside = |line: &&Line<'_>| line.start() > indent || line.dash == Some(indent);
    let length = block[start + 1..].iter().take_while(inside).count();
    Some(&block[start..=start + length])
}

fn items<'a, 'b>(block: &'b [Line<'a>]) -> impl Iterator<Item = &'b [Line<'a>]> {
    let dash = block.first().and_then(|line| line.dash);
    let starts: Vec<usize> = block.iter().enumerate().filter(|(_, line)| dash.is_some() && line.dash == dash).map(|(at, _)| at).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([block.len()]).collect();
    starts.into_iter().zip(ends).map(move |(start, end)| &block[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# comment
repository: /b
jobs:
  photos:
    keep: 3
pis:
  - name: a
    host: h

  - host: i
    name: b
clouds:
- name: c
  url: x
- {name: d, url: y}
keep: 2
";

    #[test]
    fn finds_keys_in_maps_and_lists() {
        for (key, line) in [
            ("repository", 2),
            ("jobs.photos.keep", 5),
            ("pis[0].host", 8),
            ("pis[1].name", 11),
            ("pis[1].host", 10),
            ("clouds[0].url", 14),
            ("clouds[1]", 15),
            ("clouds[1].url", 15),
            ("keep", 16),
        ] {
            assert_eq!(line_of(TEXT, key), Some(line), "{key}");
        }
    }

    #[test]
    fn what_is_not_there_is_at_what_it_would_be_in() {
        assert_eq!(line_of(TEXT, "state"), None);
        assert_eq!(line_of(TEXT, "pis[0].keep"), Some(7));
        assert_eq!(line_of(TEXT, "pis[7].name"), Some(6));
        assert_eq!(line_of("", "pis"), None);
        assert_eq!(line_of("- a\n- b: c\n", "b"), None);
    }
}
