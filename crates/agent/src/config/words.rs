//! What the YAML reader says, in the words of who wrote the file: pure, and silent about what it does not know, which then stands as it is.

/// A problem in plain words.
pub(super) fn plain(message: &str) -> String {
    wrong_type(message).or_else(|| wrong_text(message).map(str::to_owned)).unwrap_or_else(|| message.replace('`', "\""))
}

/// `invalid type: string "many", expected a nonzero usize`, the other way round.
fn wrong_type(message: &str) -> Option<String> {
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    Some(format!("expected {}, not {}", wanted(expected), what(found)))
}

fn wanted(expected: &str) -> &str {
    match expected {
        "a nonzero usize" | "a nonzero u64" | "a nonzero u32" => "a whole number from 1",
        "a nonzero u16" => "a whole number from 1 to 65535",
        "a nonzero u8" => "a whole number from 1 to 255",
        "usize" | "u64" | "u32" => "a whole number",
        "u16" => "a whole number from 0 to 65535",
        "u8" => "a whole number from 0 to 255",
        "a string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "keys and their values",
        structure if structure.starts_with("struct ") => "keys and their values",
        other => other,
    }
}

fn what(found: &str) -> String {
    let value = |text: &str| text.trim_matches('`').to_owned();
    match found.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        Some(("integer" | "boolean", text)) => value(text),
        Some(("floating", text)) => value(text.trim_start_matches("point ")),
        _ => match found {
            "sequence" => "a list".to_owned(),
            "map" => "keys and their values".to_owned(),
            "unit value" => "nothing".to_owned(),
            other => other.replace('`', "\""),
        },
    }
}

/// Text that is no YAML at all.
fn wrong_text(message: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 6] = [
        ("tab character", "a tab stands where YAML allows only spaces"),
        (
            "cannot start any token",
            "a value that begins with a tab or with one of @ ` % is not allowed: use spaces before it, and put it in quotes",
        ),
        ("mapping values are not allowed", "a colon stands where none can be: put the value in quotes, or mend the spaces before the key"),
        ("unexpected end of stream", "a quote is opened and not closed"),
        ("unknown anchor", "a value that begins with * is put in quotes"),
        ("more than one document", "the file goes on after a line of ---"),
    ];
    KNOWN.iter().find(|(said, _)| message.contains(said)).map(|(_, words)| *words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_values_are_said_in_plain_words() {
        for (message, words) in [
            ("invalid type: string \"many\", expected a nonzero usize", "expected a whole number from 1, not the text \"many\""),
            ("invalid value: integer `0`, expected a nonzero usize", "expected a whole number from 1, not 0"),
            ("invalid type: floating point `1.5`, expected u32", "expected a whole number, not 1.5"),
            ("invalid value: integer `300`, expected u8", "expected a whole number from 0 to 255, not 300"),
            ("invalid type: sequence, expected a string", "expected a text, not a list"),
            ("invalid type: map, expected a sequence", "expected a list, not keys and their values"),
            (
                "invalid type: string \"a, expected b\", expected struct File",
                "expected keys and their values, not the text \"a, expected b\"",
            ),
            ("invalid type: boolean `true`, expected jobs by name", "expected jobs by name, not true"),
            ("it is `odd`", "it is \"odd\""),
        ] {
            assert_eq!(plain(message), words);
        }
    }
}
