//! Which of several archives is the newest: the one with the latest name, but for a name from a clock that ran ahead.

use jiff::{SignedDuration, Timestamp};
use offsite_archive::ArchiveName;

/// The newest name that no clock can be blamed for; if all lie ahead, the newest of those.
pub(crate) fn newest<'n>(names: impl IntoIterator<Item = &'n ArchiveName>, now: Timestamp) -> Option<&'n ArchiveName> {
    names.into_iter().max_by_key(|name| (!is_ahead(name, now), name.time()))
}

/// Whether an archive is named for a time more than a day ahead.
pub(crate) fn is_ahead(name: &ArchiveName, now: Timestamp) -> bool {
    name.time().duration_since(now) > SignedDuration::from_hours(24)
}
