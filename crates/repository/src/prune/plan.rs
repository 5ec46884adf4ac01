//! Which packs go, which are rewritten, which stay. Pure.
//!
//! Invariant: after the plan is applied every live frame that was held is held, in exactly one pack that the plan counts it for.
//! Frames that lie in several packs are counted for the pack that has the most live bytes, so that the others can go, once those there were
//! read: that one of them is bad is the usual reason why there are two.

use std::{cmp::Reverse, fmt, ops::Range};

use offsite_archive::FrameId;

use crate::{ObjectId, TableEntry, table::DISOWNED};

/// A pack as the plan sees it.
#[derive(Debug, Clone)]
pub(crate) struct PackUse<'a> {
    /// Its name.
    pub id: ObjectId,
    /// The size of its object, in bytes.
    pub bytes: u64,
    /// Its frames.
    pub frames: &'a [TableEntry],
}

/// What prune is going to do; printable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunePlan {
    /// Packs without a live frame, by name.
    pub remove: Vec<Removal>,
    /// Packs with few live frames, by name: these frames move to new packs, then the old ones go.
    pub rewrite: Vec<Rewrite>,
    /// Frames that archives need and that lie in packs which go, each with the pack that it is counted for.
    pub relied: Vec<Relied>,
    /// Objects that belong to nothing: index objects without pack, packs without table, archive files without manifest.
    pub orphans: Vec<Orphan>,
    /// Packs that stay as they are.
    pub kept: u64,
    /// Bytes in packs that stay although nothing needs them.
    pub dead_kept: u64,
}

/// A pack that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    /// Its name.
    pub id: ObjectId,
    /// The size of its object, in bytes.
    pub bytes: u64,
}

/// A pack that is rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Its name.
    pub id: ObjectId,
    /// The size of its object, in bytes.
    pub bytes: u64,
    /// The frames that move, in pack order.
    pub live: Vec<TableEntry>,
}

/// A frame that an archive needs, of which one of two copies goes. The other one has not been read for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relied {
    /// The pack that goes.
    pub pack: ObjectId,
    /// The pack that stays, or whose frames move.
    pub home: Removal,
    /// The frame, as it lies there.
    pub frame: TableEntry,
}

/// An object that belongs to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its path in the repository.
    pub object: String,
    /// Why it may go.
    pub why: &'static str,
}

impl PrunePlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.rewrite.is_empty() && self.orphans.is_empty()
    }

    /// Bytes that the repository will be smaller by, near enough: tables of new packs are not subtracted.
    pub fn frees(&self) -> u64 {
        let removed: u64 = self.remove.iter().map(|removal| removal.bytes).sum();
        let rewritten: u64 = self.rewrite.iter().map(|rewrite| rewrite.bytes.saturating_sub(len(&rewrite.live))).sum();
        removed + rewritten
    }
}

impl fmt::Display for PrunePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for removal in &self.remove {
            writeln!(f, "remove  packs/{} ({} bytes, nothing needs it)", removal.id, removal.bytes)?;
        }
        for rewrite in &self.rewrite {
            writeln!(f, "rewrite packs/{} ({} of {} bytes are needed)", rewrite.id, len(&rewrite.live), rewrite.bytes)?;
        }
        for orphan in &self.orphans {
            writeln!(f, "remove  {} ({})", orphan.object, orphan.why)?;
        }
        writeln!(f, "keep    {} packs as they are; {} bytes become free", self.kept, self.frees())
    }
}

fn len(frames: &[TableEntry]) -> u64 {
    frames.iter().map(|frame| u64::from(frame.len)).sum()
}

/// Which frames of some packs archives need. Sorted numbers and no maps: there are as many frames as a Pi has bundles, and this comes on top of all
/// tables, with 16 bytes for each.
pub(crate) struct Uses<'a> {
    packs: &'a [PackUse<'a>],
    /// Every frame of every pack, by id.
    frames: Vec<Use>,
}

/// A frame in a pack.
struct Use {
    /// What its id begins with: most comparisons need no more.
    prefix: u32,
    pack: u32,
    at: u32,
    live: bool,
}

impl<'a> Uses<'a> {
    /// Nothing is needed yet.
    pub(crate) fn new(packs: &'a [PackUse<'a>]) -> Self {
        let mut frames = Vec::with_capacity(packs.iter().map(|pack| pack.frames.len()).sum());
        for (pack, at) in packs.iter().enumerate().flat_map(|(pack, used)| (0..used.frames.len()).map(move |at| (pack, at))) {
            let prefix = prefix(&packs[pack].frames[at].id);
            // A table of 2^32 entries is longer than any that is read.
            frames.push(Use { prefix, pack: pack as u32, at: at as u32, live: false });
        }
        let mut uses = Self { packs, frames: Vec::new() };
        let rest = |found: &Use| (uses.entry(found).id, found.pack, found.at);
        frames.sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix).then_with(|| rest(a).cmp(&rest(b))));
        uses.frames = frames;
        uses
    }

    fn entry(&self, found: &Use) -> &'a TableEntry {
        &self.packs[found.pack as usize].frames[found.at as usize]
    }

    /// Where the frame stands in `frames`.
    fn places(&self, id: &FrameId) -> Range<usize> {
        let prefix = prefix(id);
        let before = |found: &Use| found.prefix.cmp(&prefix).then_with(|| self.entry(found).id.cmp(id)).is_lt();
        let from = self.frames.partition_point(before);
        let count = self.frames[from..].iter().take_while(|found| found.prefix == prefix && self.entry(found).id == *id).count();
        from..from + count
    }

    /// An archive needs the frame. Returns whether any pack has it.
    pub(crate) fn need(&mut self, id: &FrameId) -> bool {
        let places = self.places(id);
        self.frames[places.clone()].iter_mut().for_each(|found| found.live = true);
        !places.is_empty()
    }

    /// Of each pack, which of its frames it is counted for.
    fn homes(&self) -> Vec<Vec<bool>> {
        let mut useful = vec![0; self.packs.len()];
        for found in self.frames.iter().filter(|found| found.live) {
            useful[found.pack as usize] += u64::from(self.entry(found).len);
        }
        let rank = |found: &&Use| (Reverse(useful[found.pack as usize]), self.packs[found.pack as usize].id, found.at);
        let mut homes: Vec<Vec<bool>> = self.packs.iter().map(|pack| vec![false; pack.frames.len()]).collect();
        for same in self.frames.chunk_by(|a, b| a.prefix == b.prefix && self.entry(a).id == self.entry(b).id) {
            if let Some(home) = same.iter().filter(|found| found.live).min_by_key(rank) {
                homes[home.pack as usize][home.at as usize] = true;
            }
        }
        homes
    }

    /// The live frames of the pack with this number that are counted for others.
    fn relied<'s>(&'s self, pack: usize, homes: &'s [Vec<bool>]) -> impl Iterator<Item = Relied> + 's {
        let home = |id| self.frames[self.places(id)].iter().find(|found| homes[found.pack as usize][found.at as usize]);
        let homes = self.packs[pack].frames.iter().filter_map(move |frame| home(&frame.id)).filter(move |home| home.pack as usize != pack);
        homes.map(move |home| {
            let PackUse { id, bytes, .. } = self.packs[home.pack as usize];
            Relied { pack: self.packs[pack].id, home: Removal { id, bytes }, frame: *self.entry(home) }
        })
    }
}

/// What an id begins with, in its order.
fn prefix(id: &FrameId) -> u32 {
    let [a, b, c, d, ..] = *id.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Plans what archives do not need of what was asked for. Packs of whose frames less than `rewrite_below` percent, by bytes, are live are
/// rewritten; 0 rewrites none.
pub(crate) fn plan(uses: &Uses<'_>, rewrite_below: u64) -> PrunePlan {
    let homes = uses.homes();
    let mut sorted: Vec<(usize, &PackUse<'_>)> = uses.packs.iter().enumerate().collect();
    sorted.sort_by_key(|(_, pack)| pack.id);
    let mut plan = PrunePlan::default();
    for (at, pack) in sorted {
        let (id, bytes) = (pack.id, pack.bytes);
        let here = || pack.frames.iter().zip(&homes[at]).filter(|(_, here)| **here).map(|(frame, _)| *frame);
        let needed: u64 = here().map(|frame| u64::from(frame.len)).sum();
        if pack.frames.iter().any(|frame| frame.id == DISOWNED) {
            // Damaged and waiting to be set aside: which frame is the bad one is no longer known, and a person may want to look.
            plan.kept += 1;
            plan.dead_kept += len(pack.frames).saturating_sub(needed);
        } else if here().next().is_none() {
            plan.relied.extend(uses.relied(at, &homes));
            plan.remove.push(Removal { id, bytes });
        } else if needed.saturating_mul(100) < len(pack.frames).saturating_mul(rewrite_below) {
            // Of its frames, not of its size: a pack of one tiny frame is mostly table, and would be rewritten for ever.
            plan.relied.extend(uses.relied(at, &homes));
            plan.rewrite.push(Rewrite { id, bytes, live: here().collect() });
        } else {
            plan.kept += 1;
            plan.dead_kept += len(pack.frames).saturating_sub(needed);
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn frame(number: u8) -> FrameId {
        FrameId::of(&[number])
    }

    fn table(frames: &[u8]) -> Vec<TableEntry> {
        let entry = |(at, number): (usize, &u8)| TableEntry { id: frame(*number), offset: at as u64 * 100, len: 100, raw: 400 };
        frames.iter().enumerate().map(entry).collect()
    }

    fn pack(number: u8, frames: &[TableEntry]) -> PackUse<'_> {
        PackUse { id: ObjectId::from_bytes([number; 16]), bytes: frames.len() as u64 * 100 + 40, frames }
    }

    fn planned(needed: &[u8], packs: &[PackUse<'_>], rewrite_below: u64) -> PrunePlan {
        let mut uses = Uses::new(packs);
        for number in needed {
            let held = packs.iter().any(|pack| pack.frames.iter().any(|entry| entry.id == frame(*number)));
            assert_eq!(uses.need(&frame(*number)), held);
        }
        plan(&uses, rewrite_below)
    }

    #[test]
    fn a_dead_pack_goes_and_a_used_one_stays() {
        let plan = planned(&[1, 2], &[pack(1, &table(&[1, 2])), pack(2, &table(&[3, 4]))], 50);
        assert_eq!(plan.remove.iter().map(|removal| removal.id).collect::<Vec<_>>(), [ObjectId::from_bytes([2; 16])]);
        assert!(plan.rewrite.is_empty());
        assert_eq!(plan.kept, 1);
    }

    #[test]
    fn a_mostly_dead_pack_is_rewritten_unless_forbidden() {
        let table = table(&[1, 2, 3, 4]);
        let packs = [pack(1, &table)];
        assert_eq!(planned(&[1], &packs, 50).rewrite[0].live, table[..1]);
        assert!(planned(&[1], &packs, 0).is_empty());
    }

    #[test]
    fn a_pack_that_is_mostly_table_is_not_rewritten_for_that() {
        let table = table(&[1]);
        assert!(planned(&[1], &[PackUse { bytes: 1000, ..pack(1, &table) }], 50).is_empty());
    }

    #[test]
    fn of_two_packs_with_the_same_frames_one_goes() {
        let table = table(&[1, 2]);
        let plan = planned(&[1, 2], &[pack(1, &table), pack(2, &table)], 50);
        assert_eq!((plan.remove.len(), plan.kept), (1, 1));
        assert!(
            plan.relied.len() == 2 && plan.relied.iter().all(|relied| relied.pack == plan.remove[0].id && relied.home.id != relied.pack)
        );
    }

    proptest! {
        #[test]
        fn every_live_frame_that_was_held_stays_in_one_place(
            packs in prop::collection::vec(prop::collection::vec(0..20u8, 1..8), 0..8), needed in prop::collection::vec(0..20u8, 0..20), below in 0..101u64,
        ) {
            let tables: Vec<_> = packs.iter().map(|frames| table(frames)).collect();
            let packs: Vec<PackUse> = tables.iter().zip(1..).map(|(table, number)| pack(number, table)).collect();
            let plan = planned(&needed, &packs, below);
            let needed: HashSet<FrameId> = needed.into_iter().map(frame).collect();
            let gone: HashSet<ObjectId> = plan.remove.iter().map(|removal| removal.id).chain(plan.rewrite.iter().map(|rewrite| rewrite.id)).collect();
            let stays = packs.iter().filter(|pack| !gone.contains(&pack.id)).flat_map(|pack| pack.frames.iter().map(|frame| frame.id));
            let moved: Vec<FrameId> = plan.rewrite.iter().flat_map(|rewrite| rewrite.live.iter().map(|frame| frame.id)).collect();
            prop_assert_eq!(moved.iter().collect::<HashSet<_>>().len(), moved.len(), "a frame moves twice");
            let after: HashSet<FrameId> = stays.chain(moved).collect();
            let held: HashSet<FrameId> = packs.iter().flat_map(|pack| pack.frames.iter().map(|frame| frame.id)).collect();
            for id in needed.intersection(&held) {
                prop_assert!(after.contains(id));
            }
            prop_assert_eq!(plan.kept as usize + gone.len(), packs.len());
        }
    }
}
