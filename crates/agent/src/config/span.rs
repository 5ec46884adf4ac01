//! A length of time as it stands in a configuration: `90s`, `10m`, `2h`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{self, Error},
};

/// The longest that is taken for meant: a week.
const LONGEST: u64 = 7 * 24 * 3600;

/// A length of time, one second at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("a length of time is a number of seconds, minutes or hours, as \"90s\", \"10m\" or \"2h\", not \"{text}\"");
        let unit = match text.as_bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            _ => return Err(wrong()),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|seconds| *seconds <= LONGEST);
        match seconds {
            None => Err(format!("{text} is longer than a week")),
            Some(0) => Err(format!("{text} is no time at all; the least is 1s")),
            Some(seconds) => Ok(Self(Duration::from_secs(seconds))),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time, as \"90s\" or \"10m\"")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Span, E> {
                // A bare number would be seconds to one person and minutes to the next.
                Err(E::custom(format!("{number} of what? a length of time is written \"{number}s\", \"{number}m\" or \"{number}h\"")))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// `duration` in the words of the configuration: the largest unit that divides it.
pub(crate) fn words(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_minutes_and_hours() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("10m", 600), ("2h", 7200), ("168h", LONGEST)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["", "s", "10", "10 m", "-1s", "+1s", "1.5h", "1h30m", "10min", "0s", "169h", "99999999999999999999s", "10é"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert_eq!(["90s", "10m", "2h"].map(|text| words(text.parse::<Span>().unwrap().0)), ["90 s", "10 min", "2 h"]);
    }
}
