//! Layout *packs*: frames lie once for all archives of this Pi, and a night writes what is new.
//!
//! Coming in: packs, their index objects, the manifest. Going out: manifest, index objects, packs. So whatever ends a run leaves whole
//! archives and at most packs that nobody needs; a note in the state folder says that there may be some, and prune goes by it. Frames in
//! place are taken as they lie, without a look: a *full* run reads them all first, sets damaged packs aside and so makes their frames anew
//! from the files, in the same run.

use std::{
    cell::Cell,
    collections::HashSet,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use offsite_archive::{ArchiveName, FrameId, FrameRef, Manifest, Stock};
use offsite_repository::{
    ObjectId, PackName, PruneError, Repository, RepositoryError, Scope, Verified, apply_prune, describe, disown, lacking, mend_index,
    plan_prune, rescue, set_damaged_aside, verify,
};
use tokio::runtime::Runtime;

use super::out::{PACK_TARGET, PacksOut};
use crate::{
    cancel::Cancel,
    durable::{self, DurableError},
    error::RunError,
    human::{chain, count},
    polite::Polite,
};

/// How often a reading that takes minutes looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(200);
/// What the note about lossy archives says.
const LOSSY: &[u8] = b"archives may have lost frames; those that have push no whole one out\n";
/// Packs named in one sentence.
const NAMED: usize = 3;

/// What the layout has to remember.
pub(super) struct Packs {
    runtime: Arc<Runtime>,
    repository: Repository,
    note: PathBuf,
    /// An earlier run ended before it had pruned.
    unfinished: bool,
    /// Archives may have lost frames.
    doubt: Cell<bool>,
    /// There while archives have lost frames or may have, so that later runs know it too: written before anything is lost.
    lossy: PathBuf,
    /// Known to be bad, and named all the same by a table that could not be made anew.
    bad: HashSet<(ObjectId, FrameId)>,
}

/// Notes at `path` that there may be packs which no archive needs.
pub(super) fn note(path: &Path) -> Result<(), DurableError> {
    durable::replace(path, b"there may be packs that no archive needs\n")
}

impl Packs {
    /// After a run that was interrupted: what it left is used by this one, so it has to be on the disk.
    pub(super) fn tidy(state: &Path, root: &Path, repository: Repository, runtime: Arc<Runtime>) -> Result<Self, RunError> {
        let note = state.join("unpruned");
        let unfinished = durable::read(&note)?.is_some();
        if unfinished {
            // A process that was killed may have named a pack and not synced the name.
            for folder in ["packs", "index"].map(|name| root.join(name)) {
                match std::fs::File::open(&folder).and_then(|folder| folder.sync_all()) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    done => done.map_err(|source| RunError::File { operation: "sync the folder", path: folder, source })?,
                }
            }
        }
        let (lossy, doubt) = (state.join("lossy"), Cell::new(false));
        Ok(Self { runtime, repository, note, unfinished, doubt, lossy, bad: HashSet::new() })
    }

    /// Adds to `stock` what lies in place, after [`Packs::look`]. Tables come one after the other: all of them are a seventh of the memory of a night.
    pub(super) fn offer(&self, stock: &mut Stock) -> Result<(), RunError> {
        let offered = self.repository.each_table(|facts, table| {
            let (Some(pack), Some(table)) = (id(&facts.name), table) else { return };
            let usable = table.entries().iter().filter(|entry| !self.bad.contains(&(pack, entry.id)));
            stock.add_in_place(usable.map(|entry| FrameRef { id: entry.id, raw: entry.raw, len: entry.len }));
        });
        // What cannot be read was told by the look.
        self.runtime.block_on(offered).map(drop).map_err(RunError::Repository)
    }

    pub(super) fn out(&self) -> PacksOut {
        PacksOut::new(self.runtime.clone(), self.repository.clone(), self.note.clone())
    }

    pub(super) fn note(&self) -> Result<(), RunError> {
        Ok(note(&self.note)?)
    }

    /// See [`super::Place::look`].
    pub(super) fn look(&mut self, full: bool, cancel: &Cancel, told: &mut Vec<String>) -> Result<bool, RunError> {
        let clean = if full { self.heal(cancel, told)? } else { true };
        let (mut unknown, mut damaged) = (Vec::new(), Vec::new());
        let unreadable = self.repository.each_table(|facts, table| match table {
            None => unknown.extend(id(&facts.name)),
            Some(table) if table.disowned() > 0 => damaged.extend(id(&facts.name)),
            Some(_) => {}
        });
        let unreadable = self.runtime.block_on(unreadable).map_err(RunError::Repository)?;
        for found in &unreadable {
            match &found.error {
                // Nobody's: prune and copies pass it by, and check tells it.
                RepositoryError::Stray { .. } => {}
                // A run that was killed between a pack and its index object.
                RepositoryError::IndexMissing { .. } => self.unfinished = true,
                error => {
                    self.unfinished = true;
                    told.push(chain(error));
                }
            }
        }
        // A full run has told those that it could not move.
        if !full {
            self.doubt.set(self.doubt.get() || !unknown.is_empty());
            self.put_aside(&unknown, "without a readable table", told)?;
            // There may be room by now.
            self.put_aside(&damaged, "damaged", told)?;
        }
        if self.unfinished {
            told.extend(
                self.runtime
                    .block_on(mend_index(&self.repository))
                    .err()
                    .map(|error| format!("the index is not mended: {}", chain(&error))),
            );
        }
        Ok(clean)
    }

    /// Reads every frame, and sets aside the packs in which something is bad. Of those that cannot be, the bad frames count as not there from now
    /// on, and the good ones stay: making all of it anew would take the room that there is not. Returns whether everything was read and is
    /// as it should be now.
    fn heal(&mut self, cancel: &Cancel, told: &mut Vec<String>) -> Result<bool, RunError> {
        self.doubt.set(true);
        tracing::info!("reading all packs, while services run");
        let found = match self.read(cancel)? {
            Ok(found) => found,
            Err(error) => {
                told.push(format!("packs could not be read through, so nobody knows whether they are good: {}", chain(&error)));
                return Ok(false);
            }
        };
        if found.damaged_packs.is_empty() {
            return Ok(true);
        }
        let stay = self.put_aside(&found.damaged_packs, "damaged", told)?;
        let bad: Vec<_> = found.bad.into_iter().filter(|(pack, _)| stay.contains(pack)).collect();
        if let Err(error) = self.runtime.block_on(disown(&self.repository, &bad)) {
            told.push(format!("nothing is given back, and no archive goes, before that is healed: {}", chain(&error)));
            self.bad = bad.into_iter().collect();
        }
        Ok(stay.is_empty())
    }

    /// Moves what is good out of `packs`, which are `how`, and sets them aside: each by itself, so that as many go as there is room for. Returns
    /// those that stay; these have a table from now on.
    fn put_aside(&self, packs: &[ObjectId], how: &str, told: &mut Vec<String>) -> Result<HashSet<ObjectId>, RunError> {
        if packs.is_empty() {
            return Ok(HashSet::new());
        }
        // What was saved lies in packs twice until the old ones are gone.
        self.note()?;
        // What was not saved is gone with them, and a later run would not see that by itself.
        self.note_lossy()?;
        let (mut gone, mut saved, mut stay) = (Vec::new(), 0, HashSet::new());
        for pack in packs {
            let moved = async {
                let saved = rescue(&self.repository, &[*pack], PACK_TARGET).await?;
                set_damaged_aside(&self.repository, &[*pack]).await?;
                Ok::<_, RepositoryError>(saved)
            };
            match self.runtime.block_on(moved) {
                Ok(frames) => {
                    gone.push(*pack);
                    saved += frames;
                }
                Err(error) => {
                    told.push(format!("{} {how} and cannot be set aside: {}", were(&[*pack]), chain(&error)));
                    stay.insert(*pack);
                }
            }
        }
        if !stay.is_empty() {
            let described = self.runtime.block_on(describe(&self.repository, &stay.iter().copied().collect::<Vec<_>>()));
            told.extend(described.err().map(|error| format!("what is good in packs without a table cannot be used: {}", chain(&error))));
        }
        if !gone.is_empty() {
            let saved = count(usize::try_from(saved).unwrap_or(usize::MAX), "good frame");
            told.push(format!(
                "{} {how} and set aside: {saved} of {} moved, the others are made anew from the files",
                were(&gone),
                them(&gone)
            ));
        }
        Ok(stay)
    }

    /// Every frame of every pack, as politely as the hot pass.
    fn read(&self, cancel: &Cancel) -> Result<Result<Verified, RepositoryError>, RunError> {
        let polite = Polite::begin();
        // A runtime of its own: its threads are as polite, and end with it.
        let runtime = super::runtime()?;
        let read = runtime.block_on(async {
            let mut read = pin!(verify(&self.repository, &Scope::All, &|_| ()));
            loop {
                match tokio::time::timeout(LOOK, &mut read).await {
                    Ok(read) => return Ok(read),
                    Err(_) if cancel.is_set() => return Err(RunError::Stopped),
                    Err(_) => {}
                }
            }
        });
        drop(runtime);
        drop(polite);
        read
    }

    fn note_lossy(&self) -> Result<(), DurableError> {
        durable::replace(&self.lossy, LOSSY)
    }

    /// Whether something of the archive before is not where it should be, as a sentence.
    pub(super) fn miss(&self, before: &Manifest, stock: &Stock) -> Result<Option<String>, DurableError> {
        let absent: HashSet<_> = before.frames.iter().map(|frame| frame.id).filter(|id| !stock.holds(id)).collect();
        if absent.is_empty() {
            return Ok(None);
        }
        self.doubt.set(true);
        // The next archive will hold them again, or not need them: then nobody sees any more that older ones lack them.
        self.note_lossy()?;
        let (frames, name) = (count(absent.len(), "frame"), &before.head.archive);
        Ok(Some(format!("{frames} of {name} lie in no pack any more: the files are read again, and what they still hold is made anew")))
    }

    /// The archives that have lost frames, as far as there is reason to ask; `None` where that cannot be told.
    pub(super) fn lossy(&self) -> Option<HashSet<ArchiveName>> {
        if !self.bad.is_empty() {
            return None;
        }
        // Without the note nobody knows of any: to ask costs reading all manifests.
        if !self.doubt.get() && matches!(durable::read(&self.lossy), Ok(None)) {
            return Some(HashSet::new());
        }
        let known = self.runtime.block_on(lacking(&self.repository)).map_err(|error| chain(&error)).and_then(|lacking| {
            let lossy: HashSet<_> = lacking.into_iter().map(|(name, _)| name).collect();
            let noted = if lossy.is_empty() { durable::remove(&self.lossy) } else { self.note_lossy() };
            noted.map(|()| lossy).map_err(|error| chain(&error))
        });
        if let Err(error) = &known {
            tracing::warn!("no archive goes, because nobody knows which are whole: {error}");
            // So that the run's notes say it, too.
            self.doubt.set(true);
        }
        known.ok()
    }

    /// What archives have lost for good, as far as there is reason to ask.
    pub(super) fn lost(&self) -> Vec<String> {
        if !self.doubt.get() {
            return Vec::new();
        }
        match self.runtime.block_on(lacking(&self.repository)) {
            Ok(lacking) => {
                let say = |(name, frames)| format!("{name} has lost {} for good: no file here holds them any more", count(frames, "frame"));
                lacking.into_iter().map(say).collect()
            }
            Err(error) => vec![format!("nobody knows whether older archives are whole: {}", chain(&error))],
        }
    }

    /// Removes what no archive needs, if there may be any. Returns whether packs were rewritten, or what went wrong.
    pub(super) fn prune(&self) -> Result<bool, String> {
        let failed = |error: &dyn std::error::Error| {
            format!("what no archive needs any more still takes its room; the next run tries again: {}", chain(error))
        };
        if durable::read(&self.note).map_err(|error| failed(&error))?.is_none() {
            return Ok(false);
        }
        if !self.bad.is_empty() {
            return Err("what no archive needs any more keeps its room while bad frames are named as good ones".into());
        }
        let pruned = self.runtime.block_on(async {
            let plan = plan_prune(&self.repository).await?;
            apply_prune(&self.repository, &plan).await
        });
        let pruned = pruned.map_err(|error: PruneError| match &error {
            // That never mends itself, and room runs out meanwhile.
            PruneError::Unreadable { object, source } if source.is_damage() => format!(
                "{object} cannot be read, so nobody knows what it needs and nothing is given back any more: take it out of the repository ({}); \
                 that archive can then be restored from a Mac or a cloud that has it",
                chain(source)
            ),
            _ => failed(&error),
        })?;
        tracing::info!(removed = pruned.removed, rewritten = pruned.rewritten, bytes = pruned.freed, "pruned");
        durable::remove(&self.note).map_err(|error| chain(&error))?;
        Ok(pruned.rewritten > 0)
    }
}

fn id(name: &PackName) -> Option<ObjectId> {
    if let PackName::Object(id) = name { Some(*id) } else { None }
}

/// "packs/a, packs/b and 4 more were".
fn were(packs: &[ObjectId]) -> String {
    let names: Vec<String> = packs.iter().take(NAMED).map(|id| PackName::Object(*id).to_string()).collect();
    let more = packs.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more} {}", names.join(", "), if packs.len() == 1 { "was" } else { "were" })
}

fn them(packs: &[ObjectId]) -> &'static str {
    if packs.len() == 1 { "it" } else { "them" }
}

#[cfg(test)]
#[path = "packs_tests.rs"]
mod tests;
