//! Whose turn it is to be read back: what was not read for longest. Each round goes through all there is, a part of it a night.
//!
//! A pack was hashed when it came, so its turn is counted from when it was first seen here: what is new never keeps what is old waiting.
//! The file is only a memory of turns, one line's worth for each pack that is there: if it is lost or damaged, a new round begins.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state;

/// Something that is read back as a whole: a pack or a plain copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its path in the repository.
    pub path: String,
    pub bytes: u64,
}

/// When something was seen first and read last. Unix time in microseconds, because there are many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i64, Option<i64>)", into = "(i64, Option<i64>)")]
struct Turn {
    first: i64,
    read: Option<i64>,
}

impl From<(i64, Option<i64>)> for Turn {
    fn from((first, read): (i64, Option<i64>)) -> Self {
        Self { first, read }
    }
}

impl From<Turn> for (i64, Option<i64>) {
    fn from(turn: Turn) -> Self {
        (turn.first, turn.read)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rounds {
    turns: BTreeMap<String, Turn>,
}

impl Rounds {
    /// What the file at `path` remembers; nothing, if it is not there or not whole.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Puts it into the file at `path`, in one step.
    ///
    /// # Errors
    /// If the disk refuses; the file is as it was then.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        state::replace(path, &serde_json::to_vec(self)?)
    }

    /// Takes notice of what is there: `items` that are new, and others that are gone.
    pub(crate) fn see(&mut self, items: &[Item], now: Timestamp) {
        let there: BTreeSet<&str> = items.iter().map(|item| item.path.as_str()).collect();
        self.turns.retain(|path, _| there.contains(path.as_str()));
        for item in items {
            self.turns.entry(item.path.clone()).or_insert(Turn { first: now.as_microsecond(), read: None });
        }
    }

    /// Those of `items` that are next, at least `bytes` of them together if there are so many.
    pub(crate) fn next<'i>(&self, items: &'i [Item], bytes: u64, now: Timestamp) -> Vec<&'i Item> {
        let since = |item: &Item| {
            let turn = self.turns.get(&item.path).map(|turn| turn.read.unwrap_or(turn.first));
            // A time to come is of a clock that was wrong; what it was set on would wait for ever.
            // Seen and read in the same night: what was not read goes first.
            let read = self.turns.get(&item.path).is_some_and(|turn| turn.read.is_some());
            (turn.filter(|time| *time <= now.as_microsecond()).unwrap_or(i64::MIN), read)
        };
        let mut sorted: Vec<&Item> = items.iter().collect();
        sorted.sort_by(|a, b| since(a).cmp(&since(b)).then_with(|| a.path.cmp(&b.path)));
        let mut left = bytes;
        sorted.retain(|item| {
            let taken = left > 0;
            left = left.saturating_sub(item.bytes.max(1));
            taken
        });
        sorted
    }

    pub(crate) fn read(&mut self, path: &str, now: Timestamp) {
        let turn = self.turns.entry(path.to_owned()).or_insert(Turn { first: now.as_microsecond(), read: None });
        turn.read = Some(now.as_microsecond());
    }

    /// When all of `paths` had been read back in the round that the last of them ended: the earliest of their times. `None` if one never was.
    pub(crate) fn since<'p>(&self, paths: impl IntoIterator<Item = &'p str>) -> Option<Timestamp> {
        let times: Option<Vec<i64>> = paths.into_iter().map(|path| self.turns.get(path).and_then(|turn| turn.read)).collect();
        times?.into_iter().min().and_then(|micro| Timestamp::from_microsecond(micro).ok())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::VerifyPart;

    fn at(night: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + night * 86_400).unwrap()
    }

    fn items(sizes: &[u64]) -> Vec<Item> {
        sizes.iter().enumerate().map(|(at, bytes)| Item { path: format!("packs/{at:04}"), bytes: *bytes }).collect()
    }

    /// Plays a night; gives what was read.
    fn night(rounds: &mut Rounds, items: &[Item], bytes: u64, now: i64) -> Vec<String> {
        rounds.see(items, at(now));
        let next: Vec<String> = rounds.next(items, bytes, at(now)).into_iter().map(|item| item.path.clone()).collect();
        next.iter().for_each(|path| rounds.read(path, at(now)));
        next
    }

    #[test]
    fn what_was_not_read_for_longest_is_next_and_new_ones_wait_their_turn() {
        let mut rounds = Rounds::default();
        let old = items(&[10; 4]);
        assert_eq!(night(&mut rounds, &old, 20, 1), ["packs/0000", "packs/0001"]);
        let more = items(&[10; 8]);
        assert_eq!(night(&mut rounds, &more, 20, 2), ["packs/0002", "packs/0003"], "the new ones came tonight");
        assert_eq!(night(&mut rounds, &more, 30, 3), ["packs/0000", "packs/0001", "packs/0004"], "which came when 2 and 3 were read");
        assert_eq!(night(&mut rounds, &more, 50, 4), ["packs/0005", "packs/0006", "packs/0007", "packs/0002", "packs/0003"]);
    }

    #[test]
    fn nothing_is_read_for_nothing_and_a_little_reads_one() {
        let rounds = Rounds::default();
        let all = items(&[10, 10]);
        assert_eq!(rounds.next(&all, 0, at(1)).len(), 0);
        assert_eq!(rounds.next(&all, 1, at(1)).len(), 1);
        assert_eq!(rounds.next(&all, 11, at(1)).len(), 2);
        assert_eq!(rounds.next(&items(&[0, 0]), 1, at(1)).len(), 1);
    }

    #[test]
    fn a_clock_that_was_ahead_keeps_nothing_waiting() {
        let mut rounds = Rounds::default();
        let all = items(&[10; 3]);
        night(&mut rounds, &all[1..], 20, 900);
        rounds.see(&all, at(1));
        assert_eq!(rounds.next(&all, 20, at(2)).iter().map(|item| item.path.as_str()).collect::<Vec<_>>(), ["packs/0001", "packs/0002"]);
    }

    #[test]
    fn an_archive_is_good_since_the_first_of_its_packs_was_read() {
        let mut rounds = Rounds::default();
        rounds.read("a", at(3));
        rounds.read("b", at(1));
        rounds.see(&items(&[1]), at(3));
        assert_eq!(rounds.since(["packs/0000"]), None);
        rounds.read("a", at(3));
        rounds.read("b", at(1));
        assert_eq!((rounds.since(["a", "b"]), rounds.since(["a", "c"])), (Some(at(1)), None));
    }

    #[test]
    fn it_is_kept_and_a_file_that_is_not_whole_begins_a_new_round() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rounds.json");
        let mut rounds = Rounds::load(&path).unwrap();
        assert_eq!(rounds, Rounds::default());
        night(&mut rounds, &items(&[10; 3]), 20, 1);
        rounds.save(&path).unwrap();
        assert_eq!(Rounds::load(&path).unwrap(), rounds);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(Rounds::load(&path).unwrap(), Rounds::default(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn after_its_nights_everything_was_read(sizes in prop::collection::vec(0_u64..1000, 1..40), nights in 1_u32..12) {
            let part: VerifyPart = format!("1/{nights}").parse().unwrap();
            let all = items(&sizes);
            let mut rounds = Rounds::default();
            let mut seen = BTreeSet::new();
            for now in 0..i64::from(nights) {
                // So much that empty ones are not for ever behind the budget.
                let budget = part.of(all.iter().map(|item| item.bytes.max(1)).sum());
                seen.extend(night(&mut rounds, &all, budget, now));
            }
            prop_assert_eq!(seen.len(), all.len());
        }
    }
}
