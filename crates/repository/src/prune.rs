//! Removes what no archive needs: dead packs, packs that are mostly dead, and what crashes left behind.
//!
//! Plan, then apply. The plan is made from all manifests, so it is refused as long as one of them cannot be read: what that one needs is
//! not known. Frames move to a new pack before the old one goes, index objects go before packs, so a stop anywhere loses nothing, and
//! leaves at most frames in two packs, which the next plan sorts out.

mod plan;

use std::collections::HashSet;

use futures::StreamExt;
use object_store::path::Path;
use offsite_archive::{ArchiveName, FrameId};

pub use plan::{Orphan, PrunePlan, Relied, Removal, Rewrite};
use plan::{PackUse, Uses, plan};

use crate::{
    FetchError, Index, Layout, Location, ObjectId, PackFacts, PackName, PackWriter, Repository, RepositoryError, Table, Tables, fetch,
    fetch::fetch_located, index_path, lack::delete, layout,
};

/// Packs with less live bytes than this, in percent, are rewritten where no cloud keeps them. Rewriting half-dead packs doubles what is written at most.
const REWRITE_BELOW: u64 = 50;
/// Bytes of a rewritten pack, which lies in memory: as the agent's own packs, for a Pi prunes, too.
const PACK_TARGET: u64 = 8 << 20;

/// What prune did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Packs and orphans removed.
    pub removed: u64,
    /// Packs rewritten.
    pub rewritten: u64,
    /// Packs that stay, because frames that archives need are in another pack, too, and could not be read there, or are bad.
    pub stayed: u64,
    /// Bytes that became free, near enough.
    pub freed: u64,
}

/// A repository could not be pruned. No archive lost anything by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// What is needed is not known.
    #[error("nothing is pruned while {object} cannot be read: what it needs is not known")]
    Unreadable {
        /// The manifest.
        object: String,
        /// Why it cannot be read.
        #[source]
        source: RepositoryError,
    },
    /// An archive lacks frames and a pack's table is lost: the frames may lie there.
    #[error("packs/{pack} has no readable table while {archive} lacks frames that may lie in it; heal the archive first")]
    Unknown {
        /// The pack.
        pack: ObjectId,
        /// The archive.
        archive: ArchiveName,
    },
    /// The repository failed.
    #[error("cannot prune")]
    Repository(#[from] RepositoryError),
    /// A frame that is needed cannot be moved out of its pack.
    #[error("cannot move the frames that are needed out of packs/{pack}; it stays (run verify)")]
    Move {
        /// The pack.
        pack: ObjectId,
        /// Why not.
        #[source]
        source: FetchError,
    },
}

/// Plans what may go. Nothing is changed, and no pack is read. No copy into the repository may run between plan and end: its packs
/// have no manifest yet.
///
/// # Errors
/// [`PruneError::Unreadable`] and [`PruneError::Unknown`] if what is needed is not known; [`PruneError::Repository`] if the store fails.
pub async fn plan_prune(repository: &Repository) -> Result<PrunePlan, PruneError> {
    plan_prune_keeping(repository, &[]).await
}

/// As [`plan_prune`], but the frames `coming` stay as well, where they are there: archives that are not there yet need them.
///
/// # Errors
/// As there.
pub async fn plan_prune_keeping(repository: &Repository, coming: &[FrameId]) -> Result<PrunePlan, PruneError> {
    // Packs before manifests: whatever appears in between is needed by a manifest that is seen, or not in the plan.
    let tables = if repository.layout() == Layout::Plain { Tables::default() } else { repository.tables().await? };
    let packs: Vec<PackUse<'_>> = tables.good.iter().filter_map(pack_use).collect();
    let mut uses = Uses::new(&packs);
    let (mut lacks, mut archives) = (None, HashSet::new());
    let unreadable = repository
        .each_manifest(|object| {
            let name = object.manifest.head.archive;
            for frame in &object.manifest.frames {
                if !uses.need(&frame.id) {
                    lacks.get_or_insert_with(|| name.clone());
                }
            }
            archives.insert(name);
        })
        .await?;
    if let Some(bad) = unreadable.into_iter().next() {
        return Err(PruneError::Unreadable { object: bad.object, source: bad.error });
    }
    if repository.layout() == Layout::Plain {
        return Ok(plain(repository, &archives).await?);
    }
    for frame in coming {
        uses.need(frame);
    }
    let mut orphans = Vec::new();
    for unknown in &tables.unknown {
        let PackName::Object(pack) = unknown.name else { continue };
        match &lacks {
            Some(archive) => return Err(PruneError::Unknown { pack, archive: archive.clone() }),
            None => orphans.push(Orphan { object: unknown.name.path().to_string(), why: "it has no table and no archive lacks anything" }),
        }
    }
    orphans.extend(lonely(repository, &tables.good).await?);
    let rewrite_below = if repository.layout() == Layout::Sealed { 0 } else { REWRITE_BELOW };
    Ok(PrunePlan { orphans, ..plan(&uses, rewrite_below) })
}

fn pack_use((facts, table): &(PackFacts, Table)) -> Option<PackUse<'_>> {
    let PackName::Object(id) = facts.name else { return None };
    Some(PackUse { id, bytes: facts.bytes, frames: table.entries() })
}

/// Index objects whose pack is gone.
async fn lonely(repository: &Repository, packs: &[(PackFacts, Table)]) -> Result<Vec<Orphan>, RepositoryError> {
    let there: HashSet<Path> =
        packs.iter().filter_map(|(facts, _)| if let PackName::Object(id) = facts.name { Some(index_path(&id)) } else { None }).collect();
    let listed = repository.list(layout::INDEX).await?;
    let lonely = listed
        .into_iter()
        .filter(|object| layout::object_id(&object.location, layout::INDEX).is_some() && !there.contains(&object.location));
    Ok(lonely.map(|object| Orphan { object: object.location.to_string(), why: "its pack is gone or has another table" }).collect())
}

/// Archive files that were never committed or whose manifest is forgotten. The newest file may be one that an agent is about to commit.
async fn plain(repository: &Repository, archives: &HashSet<ArchiveName>) -> Result<PrunePlan, RepositoryError> {
    let (packs, _) = repository.packs().await?;
    let newest = archives.iter().map(ArchiveName::time).max();
    let mut plan = PrunePlan::default();
    for facts in packs {
        let PackName::Archive(name) = &facts.name else { continue };
        if archives.contains(name) || newest.is_none_or(|newest| name.time() >= newest) {
            plan.kept += 1;
        } else {
            plan.orphans.push(Orphan { object: facts.name.path().to_string(), why: "it has no manifest and newer archives are whole" });
        }
    }
    Ok(plan)
}

/// Does what the plan says.
///
/// # Errors
/// [`PruneError::Move`] if a frame that is needed cannot be read; its pack stays, what was done before stays done.
pub async fn apply_prune(repository: &Repository, plan: &PrunePlan) -> Result<Pruned, PruneError> {
    let stays = needed(repository, &plan.relied).await;
    let mut pruned = Pruned { stayed: stays.len() as u64, ..Pruned::default() };
    for removal in plan.remove.iter().filter(|removal| !stays.contains(&removal.id)) {
        remove(repository, &removal.id).await?;
        pruned.removed += 1;
        pruned.freed += removal.bytes;
    }
    for orphan in &plan.orphans {
        delete(repository, &Path::from(orphan.object.as_str())).await?;
        pruned.removed += 1;
    }
    let rewrites: Vec<&Rewrite> = plan.rewrite.iter().filter(|rewrite| !stays.contains(&rewrite.id)).collect();
    if !rewrites.is_empty() {
        pruned.freed += rewrite(repository, &rewrites).await?;
        pruned.rewritten += rewrites.len() as u64;
    }
    Ok(pruned)
}

/// The packs that are to go and may hold the only good copy of a frame: those of which another copy, which is to stay, is not good or cannot
/// be read now. Frames lie in two packs rarely, after a kill or where damage was healed, so this reads next to nothing.
async fn needed(repository: &Repository, relied: &[Relied]) -> HashSet<ObjectId> {
    let mut stays = HashSet::new();
    // Packs in a cloud are not read, and none is set aside there or put back: what lies there twice was sent twice.
    if repository.layout() == Layout::Sealed {
        return stays;
    }
    let mut sorted: Vec<&Relied> = relied.iter().collect();
    sorted.sort_by_key(|relied| (relied.pack, relied.home.id, relied.frame.offset));
    for of_home in sorted.chunk_by(|a, b| a.pack == b.pack && a.home.id == b.home.id) {
        let [first, ..] = of_home else { continue };
        if stays.contains(&first.pack) {
            continue;
        }
        // Only what was read counts, and whatever the reason why something was not: its pack stays, and is counted.
        let home = PackFacts { name: PackName::Object(first.home.id), bytes: first.home.bytes };
        let place =
            |Relied { frame, .. }: &&Relied| (frame.id, Some(Location { pack: 0, offset: frame.offset, len: frame.len, raw: frame.raw }));
        let wanted: Vec<_> = of_home.iter().map(place).collect();
        let good = fetch_located(repository, std::slice::from_ref(&home), wanted, 1).all(|frame| std::future::ready(frame.is_ok()));
        if !good.await {
            stays.insert(first.pack);
        }
    }
    stays
}

/// Moves the frames that are needed into new packs, and removes the old ones as soon as all of them are there: on a full disk their room may be
/// what the rest needs.
async fn rewrite(repository: &Repository, packs: &[&Rewrite]) -> Result<u64, PruneError> {
    let mut writer = PackWriter::new(PACK_TARGET);
    let (mut moved, mut freed) = (Vec::new(), 0);
    for pack in packs {
        // The frame is read from this very pack: in a general index it could be attributed to another one that goes as well.
        let mut table = Index::default();
        table.add_located(PackFacts { name: PackName::Object(pack.id), bytes: pack.bytes }, &pack.live);
        let wanted: Vec<FrameId> = pack.live.iter().map(|frame| frame.id).collect();
        let mut frames = std::pin::pin!(fetch(repository, &table, wanted, 4));
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(|source| PruneError::Move { pack: pack.id, source })?;
            writer.push(frame.id, frame.location.raw, &frame.encoded);
            if writer.is_full() {
                writer.write(repository).await?;
                freed += remove_moved(repository, &mut moved).await?;
            }
        }
        moved.push(*pack);
    }
    writer.write(repository).await?;
    Ok(freed + remove_moved(repository, &mut moved).await?)
}

/// Of packs of which every frame that is needed was written elsewhere. Returns the bytes that nothing needed.
async fn remove_moved(repository: &Repository, moved: &mut Vec<&Rewrite>) -> Result<u64, RepositoryError> {
    let mut freed = 0;
    for pack in moved.drain(..) {
        remove(repository, &pack.id).await?;
        freed += pack.bytes.saturating_sub(pack.live.iter().map(|frame| u64::from(frame.len)).sum());
    }
    Ok(freed)
}

/// Index object first: a pack without one is found by its own table and goes with the next prune.
async fn remove(repository: &Repository, id: &ObjectId) -> Result<(), RepositoryError> {
    delete(repository, &index_path(id)).await?;
    delete(repository, &PackName::Object(*id).path()).await
}
