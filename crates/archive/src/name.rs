//! Names: a job's, and an archive's (`<job>/<UTC time>`).
//!
//! Names become paths and object keys on three machines, so what is allowed is narrow: no dot, no slash, nothing that a shell, a
//! file system or an object store could read as something else. A hostile name is refused where it is parsed, never later.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A job's name: 1 to 64 of `a-z 0-9 - _`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct JobName(String);

/// What a name must look like, and what was given instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// Not a job's name.
    #[error("a job is named by 1 to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit, not {0:?}")]
    Job(String),
    /// Not an archive's name.
    #[error("an archive is named <job>/<time> as in services/2026-11-22T040000Z, not {0:?}")]
    Archive(String),
}

impl JobName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| word(byte) || byte == b'-' || byte == b'_')
            && text.bytes().next().is_some_and(word);
        good.then(|| Self(text.to_owned())).ok_or_else(|| InvalidName::Job(text.chars().take(80).collect()))
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An archive's name: its job and the UTC second at which its run began. Orders by job, then by time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ArchiveName {
    /// The job whose run made it.
    pub job: JobName,
    time: Timestamp,
}

const TIME: &str = "%Y-%m-%dT%H%M%SZ";

impl ArchiveName {
    /// Names the archive of `job`'s run that began at `time`; parts of a second are dropped.
    pub fn new(job: JobName, time: Timestamp) -> Self {
        Self { job, time: Timestamp::from_second(time.as_second()).unwrap_or(Timestamp::UNIX_EPOCH) }
    }

    /// When the run began, to the second.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The time part of the name: `2026-11-22T040000Z`.
    pub fn time_text(&self) -> String {
        self.time.strftime(TIME).to_string()
    }
}

impl FromStr for ArchiveName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidName::Archive(text.chars().take(120).collect());
        let (job, time) = text.split_once('/').ok_or_else(invalid)?;
        let job = job.parse().map_err(|_| invalid())?;
        let zoned = jiff::civil::DateTime::strptime(TIME, time).and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC));
        let name = Self::new(job, zoned.map_err(|_| invalid())?.timestamp());
        // One spelling per archive: "2026-1-2T…" would name the same second twice.
        if name.time_text() == time { Ok(name) } else { Err(invalid()) }
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.job, self.time_text()))
    }
}

macro_rules! text_in_serde {
    ($name:ty) => {
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    };
}
text_in_serde!(JobName);
text_in_serde!(ArchiveName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let text = "services/2026-11-22T040000Z";
        assert_eq!(text.parse::<ArchiveName>().unwrap().to_string(), text);
    }

    #[test]
    fn refuses_what_could_be_read_otherwise() {
        for text in ["", "..", "a/b", "A", "-a", "a b", "ä", "a.b", &"a".repeat(65)] {
            assert!(text.parse::<JobName>().is_err(), "{text}");
        }
        for text in [
            "services",
            "services/now",
            "../2026-11-22T040000Z",
            "s/2026-11-22T040000",
            "s/2026-11-22T04:00:00Z",
            "s/2026-1-22T040000Z",
            "s/2026-13-22T040000Z",
        ] {
            assert!(text.parse::<ArchiveName>().is_err(), "{text}");
        }
    }

    #[test]
    fn archives_order_by_job_then_time() {
        let mut names: Vec<ArchiveName> =
            ["b/2026-01-01T000000Z", "a/2026-01-02T000000Z", "a/2026-01-01T000000Z"].iter().map(|text| text.parse().unwrap()).collect();
        names.sort();
        assert_eq!(
            names.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["a/2026-01-01T000000Z", "a/2026-01-02T000000Z", "b/2026-01-01T000000Z"]
        );
    }
}
