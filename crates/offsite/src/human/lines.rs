//! Text in lines that are not wider than they may be. Widths are columns of a terminal: `写` takes two, a combining accent none. Pure.
//!
//! The terminal itself would break a line anywhere and indent nothing, which makes a table of ages look like garbage.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in lines of at most `most` columns, where that is given: the first begins with `first`, the others with `next`. Breaks at spaces, and
/// within a word only where the word alone is too long.
pub(crate) fn wrap(text: &str, first: &str, next: &str, most: Option<usize>) -> Vec<String> {
    let Some(most) = most else { return vec![format!("{first}{text}").trim_end().to_owned()] };
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    // Whether a word is on it.
    let mut begun = false;
    let mut start = |line: &mut String, begun: &mut bool| {
        lines.push(std::mem::replace(line, next.to_owned()).trim_end().to_owned());
        *begun = false;
    };
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let fits = |line: &str, begun: bool| width(line) + usize::from(begun) + width(word) <= most;
        if !fits(&line, begun) && (begun || width(next) < width(first)) {
            start(&mut line, &mut begun);
        }
        if begun {
            line.push(' ');
        }
        if fits(&line, false) {
            line.push_str(word);
            begun = true;
            continue;
        }
        for char in word.chars() {
            if begun && width(&line) + char.width().unwrap_or(0) > most {
                start(&mut line, &mut begun);
            }
            line.push(char);
            begun = true;
        }
    }
    lines.push(line.trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_break_at_spaces_and_are_indented() {
        let wanted = ["next: offsite", "  accept", "  services/2026-11-", "  22T040000Z now"];
        assert_eq!(wrap("offsite accept services/2026-11-22T040000Z now", "next: ", "  ", Some(19)), wanted);
        assert_eq!(wrap("a  b", "- ", "  ", None), ["- a  b"]);
        assert_eq!(wrap("", "label     ", "", Some(20)), ["label"]);
        assert_eq!(wrap("写真写真", "", "", Some(5)), ["写真", "写真"]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_no_word_is_lost(text in "[a-z写\u{301} ]{0,60}", most in 6_usize..40) {
            let lines = wrap(&text, "- ", "  ", Some(most));
            for line in &lines {
                prop_assert!(width(line) <= most, "{line:?}");
            }
            let letters = |text: &str| text.chars().filter(|char| !" -".contains(*char)).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
