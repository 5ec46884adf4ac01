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

use offsite_archive::{FrameRef, Manifest, Stock};
use offsite_repository::{
    ObjectId, PackName, PruneError, Repository, RepositoryError, Scope, Tables, Verified, apply_prune, lacking, mend_index, plan_prune,
    rescue, set_damaged_aside, verify,
};
use tokio::runtime::Runtime;

use super::out::{PACK_TARGET, PacksOut};
use crate::{
    cancel::Cancel,
    chain,
    durable::{self, DurableError},
    human::count,
    polite::Polite,
    run::RunError,
};

/// How often a reading that takes minutes looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(200);
/// Packs named in one sentence.
const NAMED: usize = 3;

/// What the layout has to remember.
pub(super) struct Packs {
    runtime: Arc<Runtime>,
    repository: Repository,
    note: PathBuf,
    /// An earlier run ended before it had pruned.
    unfinished: bool,
    /// What lies in packs, known by [`Packs::look`].
    frames: Vec<FrameRef>,
    /// Archives may have lost frames.
    doubt: Cell<bool>,
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
                    done => done.map_err(|source| RunError::Sync { path: folder, source })?,
                }
            }
        }
        Ok(Self { runtime, repository, note, unfinished, frames: Vec::new(), doubt: Cell::new(false) })
    }

    /// What lies in place.
    pub(super) fn frames(&self) -> impl Iterator<Item = FrameRef> {
        self.frames.iter().copied()
    }

    pub(super) fn out(&self) -> PacksOut {
        PacksOut::new(self.runtime.clone(), self.repository.clone(), self.note.clone())
    }

    pub(super) fn note(&self) -> Result<(), RunError> {
        Ok(note(&self.note)?)
    }

    /// See [`super::Place::look`].
    pub(super) fn look(&mut self, full: bool, cancel: &Cancel) -> Result<Vec<String>, RunError> {
        let mut told = Vec::new();
        let bad = if full { self.heal(cancel, &mut told)? } else { HashSet::new() };
        let Tables { good, unknown, unreadable } = self.runtime.block_on(self.repository.tables()).map_err(RunError::Repository)?;
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
        let unknown: Vec<ObjectId> = unknown.iter().filter_map(|facts| id(&facts.name)).collect();
        if !unknown.is_empty() {
            self.doubt.set(true);
            let aside = self.runtime.block_on(set_damaged_aside(&self.repository, &unknown));
            told.push(match aside {
                Ok(()) => format!(
                    "{} without a readable table and set aside: what {} held is made anew from the files",
                    were(&unknown),
                    them(&unknown)
                ),
                Err(error) => format!("{} without a readable table and cannot be set aside: {}", were(&unknown), chain(&error)),
            });
        }
        if self.unfinished {
            told.extend(
                self.runtime
                    .block_on(mend_index(&self.repository))
                    .err()
                    .map(|error| format!("the index is not mended: {}", chain(&error))),
            );
        }
        let usable = good.iter().filter(|(facts, _)| id(&facts.name).is_some_and(|id| !bad.contains(&id)));
        let frames = usable.flat_map(|(_, table)| table.entries()).map(|entry| FrameRef { id: entry.id, raw: entry.raw, len: entry.len });
        self.frames = frames.collect();
        Ok(told)
    }

    /// Reads every frame, and sets aside the packs in which something is bad. Returns those that could not be: they count as not there.
    fn heal(&self, cancel: &Cancel, told: &mut Vec<String>) -> Result<HashSet<ObjectId>, RunError> {
        self.doubt.set(true);
        tracing::info!("reading all packs, while services run");
        let found = match self.read(cancel)? {
            Ok(found) => found,
            Err(error) => {
                told.push(format!("packs could not be read through, so nobody knows whether they are good: {}", chain(&error)));
                return Ok(HashSet::new());
            }
        };
        let damaged = found.damaged_packs;
        if damaged.is_empty() {
            return Ok(HashSet::new());
        }
        let moved = async {
            let saved = rescue(&self.repository, &damaged, PACK_TARGET).await?;
            set_damaged_aside(&self.repository, &damaged).await?;
            Ok::<_, RepositoryError>(saved)
        };
        // What was saved lies in packs twice until the old ones are gone.
        self.note()?;
        match self.runtime.block_on(moved) {
            Ok(saved) => {
                let saved = count(usize::try_from(saved).unwrap_or(usize::MAX), "good frame");
                told.push(format!(
                    "{} damaged and set aside: {saved} of {} moved, the others are made anew from the files",
                    were(&damaged),
                    them(&damaged)
                ));
                Ok(HashSet::new())
            }
            Err(error) => {
                told.push(format!("{} damaged and cannot be set aside: {}", were(&damaged), chain(&error)));
                Ok(damaged.into_iter().collect())
            }
        }
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

    /// Whether something of the archive before is not where it should be, as a sentence.
    pub(super) fn miss(&self, before: &Manifest, stock: &Stock) -> Option<String> {
        let absent: HashSet<_> = before.frames.iter().map(|frame| frame.id).filter(|id| !stock.holds(id)).collect();
        if absent.is_empty() {
            return None;
        }
        self.doubt.set(true);
        let (frames, name) = (count(absent.len(), "frame"), &before.head.archive);
        Some(format!("{frames} of {name} lie in no pack any more: the files are read again, and what they still hold is made anew"))
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
        let pruned = self.runtime.block_on(async {
            let plan = plan_prune(&self.repository).await?;
            apply_prune(&self.repository, &plan).await
        });
        let pruned = pruned.map_err(|error: PruneError| failed(&error))?;
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
