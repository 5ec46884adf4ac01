//! A time of day as it stands in a configuration: `"04:00"`, in the machine's own time zone.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

use super::yaml;

/// Hour and minute, 00:00 to 23:59.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct TimeOfDay {
    hour: u8,
    minute: u8,
}

impl TimeOfDay {
    /// A time of day; `None` past 23:59.
    pub const fn new(hour: u8, minute: u8) -> Option<Self> {
        if hour < 24 && minute < 60 { Some(Self { hour, minute }) } else { None }
    }

    /// 0 to 23.
    pub const fn hour(self) -> u8 {
        self.hour
    }

    /// 0 to 59.
    pub const fn minute(self) -> u8 {
        self.minute
    }
}

/// A text that is not a time of day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time of day is \"HH:MM\" from \"00:00\" to \"23:59\", not \"{0}\"")]
pub struct InvalidTime(pub String);

impl FromStr for TimeOfDay {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let two = |part: &str| (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse().ok()).flatten();
        text.split_once(':')
            .and_then(|(hour, minute)| Self::new(two(hour)?, two(minute)?))
            .ok_or_else(|| InvalidTime(text.chars().take(40).collect()))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        yaml::text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_minute_of_the_day_and_back() {
        for hour in 0..24 {
            for minute in 0..60 {
                let time = TimeOfDay::new(hour, minute).unwrap();
                assert_eq!(time.to_string().parse(), Ok(time));
            }
        }
    }

    #[test]
    fn refuses_what_is_not_a_time() {
        for text in ["", "4:00", "04:0", "24:00", "04:60", "0400", "+4:00", "04:00:00", " 04:00", "noon", "é4:00"] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
    }
}
