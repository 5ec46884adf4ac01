//! How much of an archive is still in the next one, by its frames: what a tree that was encrypted in place, or another disk under the
//! same mount point, cannot imitate.
//!
//! Asked is how much of the *earlier* archive is gone, never how much is new: a library that doubles keeps all it had. Each frame counts
//! once, so that long runs of zeros, which every disk image has, prove nothing. Jobs differ (of a database dump hardly a frame stays, of
//! photos all do), so a job is held against its own nights. Pure.

use std::collections::HashMap;

use offsite_archive::{FrameId, Line, Manifest, ManifestError};
use serde::{Deserialize, Serialize};

use super::{LAST, Why, median};

/// An archive of fewer different frames says nothing by their share: one edited file replaces a bundle, and that may be all there is.
const FRAMES: u64 = 32;
/// A job that usually keeps less than this, in per cent, is not judged by the share.
const JUDGED: u64 = 20;
/// However long the pause was, an archive that keeps less than this, in per cent, is suspicious where the job is judged by the share.
const FLOOR: u64 = 10;
/// What was replaced compressed to at most this, in per cent of the files' bytes,
const DID_COMPRESS: u64 = 75;
/// and what came instead to at least this: so look encrypted files. A file's header is in the frame and not in its bytes.
const DOES_NOT: u64 = 95;

/// Some frames together. Bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mass {
    pub frames: u64,
    /// Of the tar stream.
    pub raw: u64,
    /// Of files in it, without headers and padding.
    pub data: u64,
    /// As they are kept.
    pub kept: u64,
}

impl Mass {
    fn add(&mut self, piece: &Piece) {
        self.frames += 1;
        self.raw = self.raw.saturating_add(piece.raw);
        self.data = self.data.saturating_add(piece.data);
        self.kept = self.kept.saturating_add(piece.len);
    }

    /// What compression leaves of the files' bytes, in per cent rounded down; `None` where there are none.
    fn left(&self) -> Option<u64> {
        (self.data > 0).then(|| per_cent(self.kept, self.data))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The earlier one, each frame once.
    pub earlier: Mass,
    /// Those of its frames that the later one has not.
    pub gone: Mass,
    /// Those of the later one that it had not.
    pub fresh: Mass,
    /// Whether another version of the agent, or of its chunker, made the later one: then frames may differ where nothing else does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recut: bool,
}

impl Change {
    pub fn between(earlier: &[Piece], later: &[Piece]) -> Self {
        let (before, now) = (once(earlier), once(later));
        let mut change = Self::default();
        for (id, piece) in &before {
            change.earlier.add(piece);
            if !now.contains_key(id) {
                change.gone.add(piece);
            }
        }
        now.iter().filter(|(id, _)| !before.contains_key(*id)).for_each(|(_, piece)| change.fresh.add(piece));
        change
    }

    /// How much of the earlier archive is still there, in per cent of its bytes, rounded down.
    pub fn stays(&self) -> u64 {
        let earlier = self.earlier.raw;
        if earlier == 0 { 100 } else { per_cent(earlier.saturating_sub(self.gone.raw), earlier) }
    }

    /// Whether about as much came as went, and what went compressed while what came does not. The two shares, if so.
    fn scrambled(&self) -> Option<(u64, u64)> {
        let alike = self.fresh.data >= self.gone.data / 2 && self.fresh.data / 2 <= self.gone.data;
        let (was, is) = (self.gone.left()?, self.fresh.left()?);
        (alike && was <= DID_COMPRESS && is >= DOES_NOT).then_some((was, is.min(100)))
    }
}

/// What a job's earlier nights say of the next one. Shares are per cent of the archive before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// What usually stays of an archive in the next.
    pub usual: Option<u64>,
    /// Less than this is suspicious; `None` where the share is no measure: too few nights, or a job of which little ever stays.
    pub least: Option<u64>,
    /// Less than this is, if what came instead does not compress and what it replaced did.
    pub least_if_scrambled: u64,
}

impl Expected {
    /// What is expected `nights` after the last good archive, when `before` are the changes of the good nights, oldest first.
    pub fn of(before: &[Change], nights: u32) -> Self {
        let cut_alike: Vec<&Change> = before.iter().filter(|change| !change.recut).collect();
        let recent = &cut_alike[cut_alike.len().saturating_sub(LAST)..];
        let usual = median(recent.iter().map(|change| change.stays()));
        let Some(judged) = usual.filter(|usual| *usual >= JUDGED) else {
            return Self { usual, least: None, least_if_scrambled: 50 };
        };
        // After a pause more is gone. As if each night hit other places, which is more than ever is.
        let expected = (1..nights.min(30)).fold(judged, |left, _| left * judged / 100);
        Self { usual, least: Some((expected / 2).max(FLOOR)), least_if_scrambled: (expected * 3 / 4).max(FLOOR) }
    }

    /// The same, where the share of such a change is no measure.
    pub fn for_change(self, change: &Change) -> Self {
        Self { least: self.least.filter(|_| change.earlier.frames >= FRAMES && !change.recut), ..self }
    }
}

pub fn replaced(change: &Change, expected: &Expected) -> Option<Why> {
    let stays = change.stays();
    if let Some((was, is)) = change.scrambled().filter(|_| stays < expected.least_if_scrambled) {
        return Some(Why::Scrambled { stays, least: expected.least_if_scrambled, was, is });
    }
    match (expected.usual, expected.for_change(change).least) {
        (Some(usual), Some(least)) if stays < least => Some(Why::Replaced { stays, usual, least }),
        _ => None,
    }
}

/// A frame as a manifest lists it, and how much of it is files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub id: FrameId,
    /// Its bytes of the tar stream.
    pub raw: u64,
    /// Those of them that are files'.
    pub data: u64,
    /// Its bytes as it is kept.
    pub len: u64,
}

/// The frames of the manifest object `bytes`, in file order.
pub fn pieces(bytes: &[u8]) -> Result<Vec<Piece>, ManifestError> {
    let (mut files, mut pieces, mut at) = (Vec::new(), Vec::new(), 0_u64);
    for line in Manifest::entries(bytes)? {
        match line? {
            Line::Entry(entry) if entry.stored > 0 => files.push((entry.data, entry.data.saturating_add(entry.stored))),
            Line::Frame(frame) => {
                pieces.push((at, Piece { id: frame.id, raw: frame.raw.into(), data: 0, len: frame.len.into() }));
                at = at.saturating_add(frame.raw.into());
            }
            _ => {}
        }
    }
    // Stream order is what the agent writes; a manifest of another order only measures wrongly.
    let mut first = 0;
    for (begin, piece) in &mut pieces {
        let end = begin.saturating_add(piece.raw);
        while files.get(first).is_some_and(|(_, ends)| *ends <= *begin) {
            first += 1;
        }
        let inside = files[first..].iter().take_while(|(begins, _)| *begins < end);
        piece.data = inside.map(|(begins, ends)| (*ends).min(end).saturating_sub((*begins).max(*begin))).sum::<u64>().min(piece.raw);
    }
    Ok(pieces.into_iter().map(|(_, piece)| piece).collect())
}

fn once(pieces: &[Piece]) -> HashMap<FrameId, &Piece> {
    pieces.iter().map(|piece| (piece.id, piece)).collect()
}

fn per_cent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frames of the numbers, each 1000 bytes of a file that compress to `left` per cent.
    fn frames(numbers: std::ops::Range<u64>, left: u64) -> Vec<Piece> {
        numbers.map(|number| Piece { id: FrameId::of(&number.to_le_bytes()), raw: 1024, data: 1000, len: left * 10 }).collect()
    }

    /// A night after which so much of a hundred frames is still there.
    fn night(stays: u64) -> Change {
        Change::between(&frames(0..100, 40), &frames(100 - stays..200 - stays, 40))
    }

    fn expected(nights: &[u64]) -> Expected {
        Expected::of(&nights.iter().map(|stays| night(*stays)).collect::<Vec<_>>(), 1)
    }

    fn judged(stays: u64, before: &[u64]) -> Option<Why> {
        replaced(&night(stays), &expected(before))
    }

    #[test]
    fn what_stays_is_held_against_the_jobs_own_nights() {
        assert_eq!(judged(49, &[98, 97, 98, 99]), None);
        assert_eq!(judged(47, &[98, 97, 98, 99]), Some(Why::Replaced { stays: 47, usual: 98, least: 49 }));
        assert_eq!(judged(31, &[60, 70, 60]), None);
        assert_eq!(judged(29, &[60, 70, 60]), Some(Why::Replaced { stays: 29, usual: 60, least: 30 }));
    }

    #[test]
    fn a_job_of_which_little_ever_stays_is_not_judged_by_it_and_neither_is_a_new_one() {
        assert_eq!(judged(0, &[3, 0, 5]), None);
        assert_eq!(judged(0, &[]), None);
    }

    #[test]
    fn one_odd_night_does_not_move_the_measure() {
        assert_eq!(expected(&[98, 98, 2, 98]).usual, Some(98));
        assert_eq!(expected(&[1, 1, 98, 98, 98, 98, 98]).usual, Some(98));
    }

    #[test]
    fn a_pause_may_cost_more_but_not_nearly_all() {
        let before = [night(90), night(90)];
        let least = |nights| Expected::of(&before, nights).least.unwrap();
        assert_eq!([least(1), least(2), least(3), least(365)], [45, 40, 36, FLOOR]);
        assert!(replaced(&night(9), &Expected::of(&before, u32::MAX)).is_some());
    }

    #[test]
    fn a_library_that_grows_a_hundredfold_lost_nothing() {
        let change = Change::between(&frames(0..100, 99), &frames(0..10_000, 99));
        assert_eq!((change.stays(), replaced(&change, &expected(&[100, 100]))), (100, None));
    }

    #[test]
    fn data_that_stopped_compressing_is_caught_sooner_and_without_a_history() {
        // A third of the text is encrypted.
        let part = Change::between(&frames(0..90, 40), &[frames(0..60, 40), frames(500..530, 103)].concat());
        assert_eq!(replaced(&part, &expected(&[98, 98])), Some(Why::Scrambled { stays: 66, least: 73, was: 40, is: 100 }));
        // A dump of which nothing ever stays, and a tree of three frames.
        let dump = Change::between(&frames(0..90, 40), &frames(100..190, 101));
        assert!(replaced(&dump, &expected(&[0, 0])).is_some() && replaced(&dump, &expected(&[])).is_some());
        let small = Change::between(&frames(0..3, 40), &frames(3..6, 101));
        assert!(matches!(replaced(&small, &expected(&[100])), Some(Why::Scrambled { .. })));
    }

    #[test]
    fn small_files_that_were_encrypted_show_although_their_headers_compress() {
        // 500 bytes in 1024 of the stream: text left 200 of them, noise 540.
        let files = |numbers: std::ops::Range<u64>, len| {
            frames(numbers, 0).into_iter().map(|piece| Piece { data: 500, len, ..piece }).collect::<Vec<_>>()
        };
        let change = Change::between(&files(0..50, 200), &files(50..100, 540));
        assert_eq!(change.scrambled(), Some((40, 100)));
    }

    #[test]
    fn photos_that_came_and_logs_that_went_are_no_encryption() {
        let change = |photos: u64| Change::between(&frames(0..100, 20), &[frames(0..60, 20), frames(500..500 + photos, 100)].concat());
        assert_eq!(replaced(&change(400), &expected(&[98, 98])), None, "much more came");
        assert_eq!(replaced(&change(8), &expected(&[98, 98])), None, "the logs were packed");
        // What did not compress before proves nothing when it does not now.
        let videos = Change::between(&frames(0..90, 99), &[frames(0..60, 99), frames(500..530, 99)].concat());
        assert_eq!(replaced(&videos, &expected(&[98, 98])), None);
    }

    #[test]
    fn a_new_version_of_the_agent_may_cut_otherwise_and_still_shows_what_does_not_compress() {
        let recut = |left| Change { recut: true, ..Change::between(&frames(0..100, 40), &frames(100..200, left)) };
        assert_eq!(replaced(&recut(40), &expected(&[98, 98])), None);
        assert!(matches!(replaced(&recut(101), &expected(&[98, 98])), Some(Why::Scrambled { .. })));
        assert_eq!(Expected::of(&[night(98), recut(40)], 1).usual, Some(98), "it is no measure for others either");
    }

    #[test]
    fn one_edited_file_in_a_small_archive_is_no_alarm() {
        let change = Change::between(&frames(0..1, 30), &frames(1..2, 30));
        assert_eq!((change.stays(), replaced(&change, &expected(&[100, 100, 100]))), (0, None));
    }

    proptest! {
        #[test]
        fn what_is_new_never_makes_an_archive_suspicious(stays in 0_u64..=100, more in 0_u64..1000, before in prop::collection::vec(0_u64..=100, 0..7)) {
            let earlier = frames(0..100, 40);
            let later = frames(100 - stays..200 - stays, 40);
            let grown = [later.clone(), frames(1000..1000 + more, 40)].concat();
            let expected = expected(&before);
            let [plain, grown] = [later, grown].map(|later| replaced(&Change::between(&earlier, &later), &expected));
            prop_assert_eq!(plain, grown);
        }

        #[test]
        fn a_usual_night_is_never_suspicious(stays in 0_u64..=100, nights in 1_u32..40, length in 0_usize..7) {
            let before = vec![night(stays); length];
            prop_assert_eq!(replaced(&night(stays), &Expected::of(&before, nights)), None);
        }

        #[test]
        fn more_that_stays_is_never_worse(stays in 0_u64..100, more in 0_u64..100, before in prop::collection::vec(0_u64..=100, 0..7)) {
            let more = (stays + more).min(100);
            if judged(stays, &before).is_none() {
                prop_assert_eq!(judged(more, &before), None);
            }
        }

        #[test]
        fn a_tree_that_was_replaced_is_caught_wherever_most_of_it_usually_stays(before in prop::collection::vec(20_u64..=100, 1..7), nights in 1_u32..400) {
            let before: Vec<Change> = before.into_iter().map(night).collect();
            prop_assert!(replaced(&night(5), &Expected::of(&before, nights)).is_some());
        }
    }
}
