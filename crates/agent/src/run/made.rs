//! What a run did, as its caller is told and the journal notes it.

use std::time::Duration;

use offsite_archive::{ArchiveName, End};

use crate::journal::Event;

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The archive.
    pub archive: ArchiveName,
    /// Its number.
    pub sequence: u64,
    /// Its manifest's last line: counts, what was stopped, warnings, whether it is complete.
    pub end: End,
    /// Length of its file, in bytes.
    pub bytes: u64,
    /// Bytes read from files for the archive, after the hot pass where there was one; the rest was known to be unchanged.
    pub read: u64,
    /// Bytes of frames that were made for it and not taken over: about what the Mac will fetch.
    pub fresh: u64,
    /// Whether everything was read, and compared with what was known of it.
    pub full: bool,
    /// What a person should know and the manifest does not say, because it came later.
    pub notes: Vec<String>,
    /// How many archives of the job there are now.
    pub kept: usize,
    /// Archives that went.
    pub forgotten: Vec<ArchiveName>,
    /// Services that were back and do not run any more.
    pub died: Vec<String>,
    /// Why the run ended worse than configured. Its archive is good all the same where it is complete: services were away too long.
    pub degraded: Option<String>,
    /// Services that came back and are not well.
    pub unhealthy: Vec<String>,
    /// How long services took to start: the longest of the run.
    pub starting: Option<Duration>,
    /// Whether services are still away, and the ledger names them.
    pub owed: bool,
}

impl Made {
    /// As the journal notes it.
    pub(super) fn event(&self) -> Event {
        Event::Made {
            archive: self.archive.clone(),
            sequence: self.sequence,
            complete: self.end.complete,
            entries: self.end.entries,
            raw: self.end.raw,
            bytes: self.bytes,
            read: self.read,
            fresh: self.fresh,
            full: self.full,
            notes: self.notes.clone(),
            quiesced: self.end.quiesced.clone(),
            warnings: self.end.warnings.len() as u64,
            died: self.died.clone(),
            degraded: self.degraded.clone(),
            unhealthy: self.unhealthy.clone(),
            starting: self.starting.map(|starting| (starting.as_secs_f64() * 1000.0).round() / 1000.0),
            forgotten: self.forgotten.clone(),
        }
    }
}
