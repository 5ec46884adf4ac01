//! What a channel was told while `told.json` cannot be kept, as on a full disk: one symbolic link for each channel, whose target is a time
//! and what stood then. A short link needs a name in its folder and no room of the disk's, and it is there whole or not at all.
//!
//! It is asked only where the memory itself cannot be written, and is gone as soon as it can be.

use std::{io, os::unix::fs::symlink, path::Path};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::news::{SLACK, WITHOUT_A_RUN, key};
use crate::status::Alarm;

/// What stands, in a few letters.
pub(super) fn stands(alarms: &[Alarm]) -> String {
    let mut keys: Vec<String> = alarms.iter().map(key).collect();
    keys.sort();
    keys.dedup();
    Sha256::digest(keys.join("\n")).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `channel` was told of just this, not longer than a reminder ago.
pub(super) fn holds(memory: &Path, channel: &str, stands: &str, now: Timestamp) -> bool {
    let told = std::fs::read_link(memory.with_extension(channel)).ok();
    let told = told.as_deref().and_then(Path::to_str).and_then(|text| text.split_once('-'));
    let Some((seconds, stood)) = told else { return false };
    let time = seconds.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    stood == stands && time.is_some_and(|time| (-SLACK..WITHOUT_A_RUN).contains(&now.duration_since(time)))
}

/// Remembers that `channel` was told of this.
pub(super) fn leave(memory: &Path, channel: &str, stands: &str, now: Timestamp) -> io::Result<()> {
    clear(memory, channel)?;
    symlink(format!("{}-{stands}", now.as_second()), memory.with_extension(channel))
}

/// Forgets it.
pub(super) fn clear(memory: &Path, channel: &str) -> io::Result<()> {
    match std::fs::remove_file(memory.with_extension(channel)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::status::Kind;

    #[test]
    fn it_holds_for_the_same_for_a_day_and_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let memory = dir.path().join("told.json");
        let alarm = |object: &str| Alarm { kind: Kind::Failed, object: object.to_owned(), message: String::new(), next: None };
        let (one, other) = (stands(&[alarm("a"), alarm("b")]), stands(&[alarm("b")]));
        assert_eq!(stands(&[alarm("b"), alarm("a"), alarm("a")]), one);
        let now = Timestamp::from_second(1_790_000_000).unwrap();
        let at = |hours| now + SignedDuration::from_hours(hours);
        assert!(!holds(&memory, "ntfy", &one, now));
        leave(&memory, "ntfy", &other, now).unwrap();
        leave(&memory, "ntfy", &one, now).unwrap();
        assert_eq!([0, 24, 25, -1].map(|hours| holds(&memory, "ntfy", &one, at(hours))), [true, true, false, false]);
        assert!(!holds(&memory, "ntfy", &other, now) && !holds(&memory, "email", &one, now));
        clear(&memory, "ntfy").unwrap();
        clear(&memory, "ntfy").unwrap();
        assert!(!holds(&memory, "ntfy", &one, now));
    }
}
