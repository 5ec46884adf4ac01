//! Which packs a restore would read: what a person thaws in a cold class before it, and no more than that.

use std::ops::Range;

use offsite_archive::{FrameId, Manifest};
use offsite_repository::PackFacts;

/// The packs that hold frames of `ranges` of the archive's tar stream, by name. `pack_of` tells where a frame lies; frames that no pack
/// holds are left out.
pub(super) fn needed(manifest: &Manifest, ranges: &[Range<u64>], pack_of: impl Fn(&FrameId) -> Option<PackFacts>) -> Vec<PackFacts> {
    let mut start = 0;
    let mut packs: Vec<PackFacts> = Vec::new();
    let mut first = 0;
    for frame in &manifest.frames {
        let end = start + u64::from(frame.raw);
        while ranges.get(first).is_some_and(|range| range.end <= start) {
            first += 1;
        }
        let wanted = ranges.get(first).is_some_and(|range| range.start < end);
        start = end;
        if let Some(facts) = wanted.then(|| pack_of(&frame.id)).flatten() {
            // Frames of one pack follow each other for the most part.
            if packs.last() != Some(&facts) {
                packs.push(facts);
            }
        }
    }
    packs.sort_by(|a, b| a.name.cmp(&b.name));
    packs.dedup();
    packs
}

#[cfg(test)]
mod tests {
    use offsite_archive::{Chunker, End, FrameRef, Head};
    use offsite_repository::{ObjectId, PackName};

    use super::*;

    /// Five frames of 10 raw bytes each, `a b c a d`; `a` and `b` lie in pack 1, `c` in pack 2, `d` nowhere.
    fn manifest() -> Manifest {
        let frame = |name: &str| FrameRef { id: FrameId::of(name.as_bytes()), raw: 10, len: 5 };
        let archive: offsite_archive::ArchiveName = "services/2026-11-22T040000Z".parse().unwrap();
        let (finished, digest) = (archive.time(), FrameId::of(b""));
        let (host, agent) = (String::new(), String::new());
        let head = Head { version: 1, archive, sequence: 1, host, agent, sources: Vec::new(), chunker: Chunker::files_1() };
        let (quiesced, warnings) = (Vec::new(), Vec::new());
        let end = End { entries: 0, frames: 5, raw: 50, bytes: 25, digest, finished, quiesced, warnings, complete: true };
        Manifest { head, frames: ["a", "b", "c", "a", "d"].map(frame).to_vec(), end }
    }

    fn pack(id: u8) -> PackName {
        PackName::Object(ObjectId::from_bytes([id; 16]))
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
    fn only_packs_that_the_ranges_touch_are_named_each_once() {
        let pack_of = |frame: &FrameId| {
            let id = [("a", 1), ("b", 1), ("c", 2)].into_iter().find(|(name, _)| FrameId::of(name.as_bytes()) == *frame)?.1;
            Some(PackFacts { name: pack(id), bytes: 100 })
        };
        let packs = |ranges: &[Range<u64>]| {
            let packs = needed(&manifest(), ranges, pack_of).into_iter();
            packs.map(|facts| facts.name).collect::<Vec<_>>()
        };
        assert_eq!(packs(&[0..50, 50..50]), [pack(1), pack(2)]);
        assert_eq!(packs(&[0..5, 12..20]), [pack(1)]);
        assert_eq!(packs(&[20..30, 45..50]), [pack(2)]);
        assert_eq!(packs(&[19..21]), [pack(1), pack(2)]);
        assert_eq!(packs(&[30..40]), [pack(1)]);
        assert_eq!(packs(&[40..50]), []);
        assert_eq!(packs(&[]), []);
    }
}
