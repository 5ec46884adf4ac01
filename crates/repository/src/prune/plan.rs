//! Which packs go, which are rewritten, which stay. Pure.
//!
//! Invariant: after the plan is applied every live frame that was held is held, in exactly one pack that the plan counts it for.
//! Frames that lie in several packs are counted for the pack that has the most live bytes, so that the others can go, once those there were
//! read: that one of them is bad is the usual reason why there are two.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use offsite_archive::FrameId;

use crate::{ObjectId, TableEntry, table::DISOWNED};

/// A pack as the plan sees it.
#[derive(Debug, Clone)]
pub(crate) struct PackUse {
    /// Its name.
    pub id: ObjectId,
    /// The size of its object, in bytes.
    pub bytes: u64,
    /// Its frames.
    pub frames: Vec<TableEntry>,
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

/// Plans for `packs`, when `live` are the frames that archives need. Packs of whose frames less than `rewrite_below` percent, by bytes,
/// are live are rewritten; 0 rewrites none.
pub(crate) fn plan(live: &HashSet<FrameId>, packs: &[PackUse], rewrite_below: u64) -> PrunePlan {
    let homes = homes(live, packs);
    let mut sorted: Vec<(usize, &PackUse)> = packs.iter().enumerate().collect();
    sorted.sort_by_key(|(_, pack)| pack.id);
    let mut plan = PrunePlan::default();
    for (at, pack) in sorted {
        let (id, bytes) = (pack.id, pack.bytes);
        let mut seen = HashSet::new();
        let here = |frame: &&TableEntry| homes.get(&frame.id).is_some_and(|(home, _)| *home == at) && seen.insert(frame.id);
        let needed: Vec<TableEntry> = pack.frames.iter().filter(here).copied().collect();
        if pack.frames.iter().any(|frame| frame.id == DISOWNED) {
            // Damaged and waiting to be set aside: which frame is the bad one is no longer known, and a person may want to look.
            plan.kept += 1;
            plan.dead_kept += len(&pack.frames).saturating_sub(len(&needed));
        } else if needed.is_empty() {
            plan.relied.extend(relied(pack, at, &homes, packs));
            plan.remove.push(Removal { id, bytes });
        } else if len(&needed).saturating_mul(100) < len(&pack.frames).saturating_mul(rewrite_below) {
            // Of its frames, not of its size: a pack of one tiny frame is mostly table, and would be rewritten for ever.
            plan.relied.extend(relied(pack, at, &homes, packs));
            plan.rewrite.push(Rewrite { id, bytes, live: needed });
        } else {
            plan.kept += 1;
            plan.dead_kept += len(&pack.frames).saturating_sub(len(&needed));
        }
    }
    plan
}

/// The frames of the pack at `at` that are counted for others.
fn relied<'a>(
    pack: &'a PackUse,
    at: usize,
    homes: &'a HashMap<FrameId, (usize, TableEntry)>,
    packs: &'a [PackUse],
) -> impl Iterator<Item = Relied> + 'a {
    let homes = pack.frames.iter().filter_map(|frame| homes.get(&frame.id)).filter(move |(home, _)| *home != at);
    homes.map(|(home, frame)| {
        let PackUse { id, bytes, .. } = packs[*home];
        Relied { pack: pack.id, home: Removal { id, bytes }, frame: *frame }
    })
}

/// For each live frame the pack that it is counted for, and where it lies there.
fn homes(live: &HashSet<FrameId>, packs: &[PackUse]) -> HashMap<FrameId, (usize, TableEntry)> {
    let useful =
        |pack: &PackUse| -> u64 { pack.frames.iter().filter(|frame| live.contains(&frame.id)).map(|frame| u64::from(frame.len)).sum() };
    let mut order: Vec<(u64, ObjectId, usize)> = packs.iter().enumerate().map(|(at, pack)| (useful(pack), pack.id, at)).collect();
    order.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut homes = HashMap::new();
    for (_, _, at) in order {
        for frame in packs[at].frames.iter().filter(|frame| live.contains(&frame.id)) {
            homes.entry(frame.id).or_insert((at, *frame));
        }
    }
    homes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(number: u8) -> FrameId {
        FrameId::of(&[number])
    }

    fn pack(number: u8, frames: &[u8]) -> PackUse {
        let entry = |(at, number): (usize, &u8)| TableEntry { id: frame(*number), offset: at as u64 * 100, len: 100, raw: 400 };
        PackUse {
            id: ObjectId::from_bytes([number; 16]),
            bytes: frames.len() as u64 * 100 + 40,
            frames: frames.iter().enumerate().map(entry).collect(),
        }
    }

    fn live(frames: &[u8]) -> HashSet<FrameId> {
        frames.iter().copied().map(frame).collect()
    }

    #[test]
    fn a_dead_pack_goes_and_a_used_one_stays() {
        let plan = plan(&live(&[1, 2]), &[pack(1, &[1, 2]), pack(2, &[3, 4])], 50);
        assert_eq!(plan.remove.iter().map(|removal| removal.id).collect::<Vec<_>>(), [ObjectId::from_bytes([2; 16])]);
        assert!(plan.rewrite.is_empty());
        assert_eq!(plan.kept, 1);
    }

    #[test]
    fn a_mostly_dead_pack_is_rewritten_unless_forbidden() {
        let packs = [pack(1, &[1, 2, 3, 4])];
        assert_eq!(plan(&live(&[1]), &packs, 50).rewrite.len(), 1);
        assert!(plan(&live(&[1]), &packs, 0).is_empty());
    }

    #[test]
    fn a_pack_that_is_mostly_table_is_not_rewritten_for_that() {
        let tiny = PackUse { bytes: 1000, ..pack(1, &[1]) };
        assert!(plan(&live(&[1]), &[tiny], 50).is_empty());
    }

    #[test]
    fn of_two_packs_with_the_same_frames_one_goes() {
        let plan = plan(&live(&[1, 2]), &[pack(1, &[1, 2]), pack(2, &[1, 2])], 50);
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
            let packs: Vec<PackUse> = packs.iter().zip(1..).map(|(frames, number)| pack(number, frames)).collect();
            let needed = live(&needed);
            let plan = plan(&needed, &packs, below);
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
