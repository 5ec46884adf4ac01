//! Which content may be known by its file's times from now on.
//!
//! The argument is in `docs/two-passes.md`. In short: when a pass meets a file system, it notes the time and has all dirty pages written
//! out, which makes the kernel stamp each later store, one through a shared mapping too. So content that is read after that moment and
//! whose times are older by [`SLACK`] cannot change unseen. Only on file systems where this was tested.

use std::{collections::HashMap, fs::File};

use jiff::{SignedDuration, Timestamp};

use crate::{
    Mtime,
    meta::{Stat, sys},
};

/// A `write` stamps its file when it begins and may take long on a busy card; clocks of file systems tick coarsely. Minutes, not
/// milliseconds: it costs only that busy files are read twice.
const SLACK: SignedDuration = SignedDuration::from_mins(2);

/// Watches over file systems during a pass.
pub(super) struct Watch<'a> {
    clock: Option<&'a dyn Fn() -> Timestamp>,
    /// By device: times from this second on prove nothing; None where none does.
    horizons: HashMap<u64, Option<i64>>,
}

impl<'a> Watch<'a> {
    /// A watch; without a clock nothing may be known.
    pub(super) fn new(clock: Option<&'a dyn Fn() -> Timestamp>) -> Self {
        Self { clock, horizons: HashMap::new() }
    }

    /// Whether the content of `file`, which has not been read yet, may be known by the times in `stat`.
    pub(super) fn is_calm(&mut self, file: &File, stat: &Stat) -> bool {
        let Some(clock) = self.clock else { return false };
        let horizon = *self.horizons.entry(stat.id.0).or_insert_with(|| {
            let now = clock();
            let sound = sys::stamps_changes(file) && sys::sync_all(file).is_ok();
            sound.then(|| now.as_second().saturating_sub(SLACK.as_secs()))
        });
        let old = |Mtime(seconds, _): Mtime| horizon.is_some_and(|horizon| seconds < horizon);
        old(stat.mtime) && old(stat.ctime)
    }
}
