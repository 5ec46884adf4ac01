//! What the log says and how long it is kept: the part `log:` of the configuration.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use serde::Deserialize;

/// The log of daemon and sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRules {
    /// For people or for programs.
    pub format: LogFormat,
    /// Files kept, one per day on which something was logged.
    pub keep: NonZeroUsize,
    /// The least that is logged.
    pub level: LogLevel,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, words, `key=value`.
    Human,
    /// One JSON object.
    Json,
}

/// The least that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what looks wrong.
    Warn,
    /// And every step of a night.
    Info,
    /// And what helps to find a mistake in this program.
    Debug,
}

impl Default for LogRules {
    fn default() -> Self {
        Self { format: LogFormat::Human, keep: NonZeroUsize::MIN.saturating_add(13), level: LogLevel::Info }
    }
}

/// A word that is none of those expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLog {
    expected: &'static str,
    found: String,
}

impl fmt::Display for InvalidLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, not {:?}", self.expected, self.found.chars().take(80).collect::<String>())
    }
}

impl FromStr for LogFormat {
    type Err = InvalidLog;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(InvalidLog { expected: "human or json", found: text.to_owned() }),
        }
    }
}

impl FromStr for LogLevel {
    type Err = InvalidLog;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            _ => Err(InvalidLog { expected: "error, warn, info or debug", found: text.to_owned() }),
        }
    }
}

/// The part as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogFile {
    format: Option<String>,
    keep: Option<NonZeroUsize>,
    level: Option<String>,
}

impl LogFile {
    /// Checks it; what is wrong comes with its key.
    pub(super) fn check(self) -> Result<LogRules, (&'static str, InvalidLog)> {
        let usual = LogRules::default();
        Ok(LogRules {
            format: self.format.map_or(Ok(usual.format), |text| text.parse()).map_err(|error| ("log.format", error))?,
            keep: self.keep.unwrap_or(usual.keep),
            level: self.level.map_or(Ok(usual.level), |text| text.parse()).map_err(|error| ("log.level", error))?,
        })
    }
}
