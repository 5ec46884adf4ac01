//! Warnings, kept in bounded memory.
//!
//! A tree of a million sockets, or a hostile archive, could warn a million times. The first [`LIMIT`] are kept word for word, the
//! rest is counted: nothing is swallowed, and nothing grows with the data. They stand in the manifest's last line, whose length is
//! limited too, so their length together is bounded: warnings must never cost the archive they warn of.

/// Warnings kept word for word.
const LIMIT: usize = 1000;
/// Length of all that are kept, in bytes.
const LENGTH: usize = 512 << 10;

/// A bounded list of warnings.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    kept: Vec<String>,
    length: usize,
    dropped: u64,
}

impl Notes {
    /// Adds a warning.
    pub(crate) fn add(&mut self, text: String) {
        if self.kept.len() < LIMIT && self.length + text.len() <= LENGTH {
            self.length += text.len();
            self.kept.push(text);
        } else {
            self.dropped += 1;
        }
    }

    /// The warnings; the last one says how many more there were.
    pub(crate) fn into_texts(mut self) -> Vec<String> {
        if self.dropped > 0 {
            self.kept.push(format!("and {} more warnings", self.dropped));
        }
        self.kept
    }
}

/// A path as a person reads it, with what is not text escaped.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path)
        .chars()
        .flat_map(|letter| if letter.is_control() { letter.escape_default().collect() } else { vec![letter] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_it_does_not_keep() {
        let mut notes = Notes::default();
        (0..LIMIT + 7).for_each(|number| notes.add(number.to_string()));
        let texts = notes.into_texts();
        assert_eq!(texts.len(), LIMIT + 1);
        assert_eq!(texts[LIMIT], "and 7 more warnings");
    }

    #[test]
    fn long_ones_do_not_add_up() {
        let mut notes = Notes::default();
        (0..100).for_each(|_| notes.add("x".repeat(64 << 10)));
        let texts = notes.into_texts();
        assert_eq!((texts.len(), &texts[8][..]), (9, "and 92 more warnings"));
    }

    #[test]
    fn control_letters_do_not_reach_a_terminal() {
        assert_eq!(shown(b"a\x1b[2J\nb\xff"), "a\\u{1b}[2J\\nb\u{fffd}");
    }
}
