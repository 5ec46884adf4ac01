//! What the log says and how long it is kept: the part `log:` of the configuration.

use std::num::NonZeroUsize;

use serde::Deserialize;

use super::word::InvalidWord;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRules {
    pub format: LogFormat,
    /// Files kept, one per day on which something was logged.
    pub keep: NonZeroUsize,
    pub level: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, words, `key=value`.
    Human,
    Json,
}

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
    pub(super) fn check(self) -> Result<LogRules, (&'static str, InvalidWord)> {
        let usual = LogRules::default();
        Ok(LogRules {
            format: self.format.map_or(Ok(usual.format), |text| text.parse()).map_err(|error| ("log.format", error))?,
            keep: self.keep.unwrap_or(usual.keep),
            level: self.level.map_or(Ok(usual.level), |text| text.parse()).map_err(|error| ("log.level", error))?,
        })
    }
}
