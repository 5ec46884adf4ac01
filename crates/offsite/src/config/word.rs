//! A value that is one of few words.

use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, not {found:?}")]
pub struct InvalidWord {
    expected: &'static str,
    found: String,
}

/// Reads each kind of value by its own words.
macro_rules! words {
    ($($kind:ty, $expected:literal: $($word:literal => $value:ident),+;)+) => {$(
        impl FromStr for $kind {
            type Err = InvalidWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$value),)+
                    _ => Err(InvalidWord { expected: $expected, found: text.chars().take(80).collect() }),
                }
            }
        }
    )+};
}

words! {
    super::PlainCopies, "`newest`, `none` or `all`": "none" => None, "newest" => Newest, "all" => All;
    super::LogFormat, "human or json": "human" => Human, "json" => Json;
    super::LogLevel, "error, warn, info or debug": "error" => Error, "warn" => Warn, "info" => Info, "debug" => Debug;
    super::MacNotices, "`none`, `alarms` or `every_night`": "none" => None, "alarms" => Alarms, "every_night" => EveryNight;
    super::Security, "`starttls`, `tls` or `none`": "starttls" => StartTls, "tls" => Tls, "none" => None;
}
