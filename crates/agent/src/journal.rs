//! What the agent did, one JSON object a line, for people and for whoever watches this machine.
//!
//! Lines are only appended, each synced. A line torn by a power cut is skipped by readers and ended by the next writer. Kinds and
//! fields that a reader does not know are not errors: an older program may read a newer journal.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use offsite_archive::{ArchiveName, JobName, Quiesced};
use serde::{Deserialize, Serialize};

use crate::durable::{self, DurableError};

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it was written.
    pub time: Timestamp,
    /// The job.
    pub job: JobName,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a few are read at a time, and most are of the large kind")]
pub enum Event {
    /// A run took the lock. What becomes of it follows, unless it is killed.
    Began,
    /// An archive was made, published, and older ones were dropped by the rule.
    Made {
        /// The archive.
        archive: ArchiveName,
        /// Its number.
        sequence: u64,
        /// False when something that should be in it is not.
        complete: bool,
        /// Entries in it.
        entries: u64,
        /// Length of the tar stream, in bytes.
        raw: u64,
        /// Length of the archive's file, in bytes.
        bytes: u64,
        /// Bytes read from files while services were away, or at all where none was.
        #[serde(default)]
        read: u64,
        /// Bytes of frames that were made for it.
        #[serde(default)]
        fresh: u64,
        /// Whether all that is known was held against what is there: each file read, and each frame where it lies. See
        /// `full_is_due`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        full: bool,
        /// What came after the manifest.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
        /// What was stopped, and for how long.
        quiesced: Vec<Quiesced>,
        /// How many warnings its manifest holds.
        warnings: u64,
        /// Services that ran when they were brought back and did not at the end of the run.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        died: Vec<String>,
        /// Why the run ended worse than configured. Its archive is good all the same where it is complete: services were away too long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        degraded: Option<String>,
        /// Services that came back and were not well, each as one sentence.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unhealthy: Vec<String>,
        /// How long the services took to start, in seconds: the longest of the run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        starting: Option<f64>,
        /// Archives that went.
        forgotten: Vec<ArchiveName>,
    },
    /// A run failed; there is no archive of it.
    Failed {
        /// Why.
        error: String,
        /// What it had found out about the repository by then.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    /// Services run again, but were not well when waiting for that was over. Written before the ledger is cleared.
    Unhealthy {
        /// What was not well, each as one sentence.
        services: Vec<String>,
    },
    /// Services that another run had left stopped were brought back.
    Resumed {
        /// Their projects.
        projects: Vec<String>,
        /// Processes that hung and were ended for it: the run itself, or a docker command of it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ended: Vec<String>,
    },
}

fn path(state: &Path) -> std::path::PathBuf {
    state.join("journal.jsonl")
}

/// Appends `record` to the journal in `state`; on return it is on the disk.
///
/// Errors: the file cannot be written.
pub(crate) fn append(state: &Path, record: &Record) -> Result<(), DurableError> {
    let line = serde_json::to_string(record).map_err(|error| DurableError {
        operation: "describe the run for",
        path: path(state),
        source: error.into(),
    })?;
    durable::append(&path(state), &line)
}

/// The records of the journal in `state`, oldest first; what cannot be read as one is left out.
///
/// Errors: the file cannot be read; that there is none is no error.
pub(crate) fn read(state: &Path) -> Result<Vec<Record>, DurableError> {
    let bytes = durable::read(&path(state))?.unwrap_or_default();
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// For how long a full reading counts. Half a day less than a week, so that a nightly job does it in the same night of each.
const FULL: SignedDuration = SignedDuration::from_hours(13 * 12);

/// Whether a run of `job` that begins `now` reads and compares everything, whatever it knows: once a week, or where nobody can say when
/// that was done last, and so in the first run.
pub(crate) fn full_is_due(records: &[Record], job: &JobName, now: Timestamp) -> bool {
    // The last one that was written, whatever the clock did since; one from the future says nothing.
    let last = records.iter().rfind(|record| record.job == *job && matches!(record.event, Event::Made { full: true, .. }));
    last.is_none_or(|record| !(SignedDuration::ZERO..FULL).contains(&now.duration_since(record.time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_appended_and_skips_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let record = |error: &str| Record {
            time: Timestamp::UNIX_EPOCH,
            job: "services".parse().unwrap(),
            event: Event::Failed { error: error.into(), notes: Vec::new() },
        };
        assert_eq!(read(dir.path()).unwrap(), []);
        append(dir.path(), &record("one")).unwrap();
        let text = std::fs::read_to_string(path(dir.path())).unwrap();
        assert_eq!(text, "{\"time\":\"1970-01-01T00:00:00Z\",\"job\":\"services\",\"event\":\"failed\",\"error\":\"one\"}\n");
        std::fs::write(path(dir.path()), format!("{text}{{\"time\":\"1970-01-01T00:00:00Z\",\"job\":\"a\",\"event\":\"later\"}}\n{{\"ti"))
            .unwrap();
        append(dir.path(), &record("two")).unwrap();
        assert_eq!(read(dir.path()).unwrap(), [record("one"), record("two")]);
    }

    #[test]
    fn a_full_reading_counts_for_a_week_less_half_a_day() {
        let (job, other): (JobName, JobName) = ("services".parse().unwrap(), "photos".parse().unwrap());
        let at = |hours: i64| Timestamp::from_second(1_700_000_000 + hours * 3600).unwrap();
        let made = |job: &JobName, hours: i64, full: bool| {
            let text = format!(
                r#"{{"time":"{}","job":"{job}","event":"made","archive":"{job}/2026-11-22T040000Z","sequence":1,"complete":true,"entries":0,"raw":0,"bytes":0,{}"quiesced":[],"warnings":0,"forgotten":[]}}"#,
                at(hours),
                if full { r#""full":true,"# } else { "" }
            );
            let record: Record = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&record).unwrap().contains(r#""full":true"#), full);
            record
        };
        let due = |records: &[Record], hours| full_is_due(records, &job, at(hours));
        assert!(due(&[], 0), "the first run");
        assert!(due(&[made(&job, 0, false)], 1), "a journal from before full readings were noted");
        assert!(due(&[made(&other, 0, true)], 1), "another job's");
        let records = [made(&job, 0, true), made(&job, 24, false), made(&other, 24, true)];
        assert_eq!([24, 155, 156, 168].map(|hours| due(&records, hours)), [false, false, true, true]);
        // The clock went back: nobody knows how long ago it was. The full reading that follows counts, though the other is "later".
        assert!(due(&records, -1));
        let again = [&records[..], &[made(&job, -1, true)]].concat();
        assert!(!due(&again, 23));
    }
}
