//! The one operation behind pull, push, heal and restore from a cloud: bring an archive into another repository.
//!
//! Only frames that the target lacks move; each is decoded and hashed before it is kept. Packs and their index objects come first, the
//! manifest, byte for byte the source's, last: the archive exists in the target when all of it does. Stopped at any point, what
//! lies in finished packs is held, and the next copy goes on behind it. Into a folder, packs grow on the disk, so that even a kill costs no
//! more than what was under way ([`crate::recover_arrivals`]); into a cloud they are put whole.
//!
//! The source may rewrite its packs meanwhile, as a prune does: what is gone is looked for anew as long as anything is gained by it.

use bytes::Bytes;
use futures::StreamExt;
use offsite_archive::{ArchiveName, FrameId, FrameRef, Manifest};

use crate::{
    FetchError, Index, Layout, LocalStore, PackFacts, PackName, PackWriter, Progress, Repository, RepositoryError, WrittenPack,
    fetch::{Checked, fetch_checked},
    foreign::{foreign, show},
    lack::delete,
    landing::{Batch, Landed, Landing},
};

/// How often the source's index is read anew without a single frame gained by it.
const FRUITLESS: u32 = 3;

/// How to copy.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// What is under way at the source, in units of 4 MiB.
    pub in_flight: usize,
    /// Bytes of frames at which a pack is full. Without `folder` a pack lies in memory until it is put, and a kill costs one.
    pub pack_target: u64,
    /// The target's own folder, where it is one: packs grow in it as frames arrive.
    pub folder: Option<LocalStore>,
    /// Whether the source must show what the target holds for other jobs alone: for a source that is not trusted.
    pub prove: bool,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { in_flight: 4, pack_target: 32 << 20, folder: None, prove: false }
    }
}

/// What a copy did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Frames of the archive, each counted as often as it occurs.
    pub frames_total: u64,
    /// Frames that moved.
    pub frames_moved: u64,
    /// Encoded bytes of the archive.
    pub bytes_total: u64,
    /// Encoded bytes that moved.
    pub bytes_moved: u64,
    /// Bytes put into the target, before any sealing: packs, index objects, the manifest.
    pub bytes_written: u64,
    /// Packs written.
    pub packs: u32,
    /// The target had the archive before. If frames moved all the same, it was healed.
    pub already: bool,
}

impl Copied {
    /// Whether an archive that the target had before got frames back.
    pub fn healed(&self) -> bool {
        self.already && self.frames_moved > 0
    }
}

/// An archive could not be copied. Archives that were in the target before are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The target takes no frames.
    #[error("cannot copy {archive} into a repository of layout {layout}")]
    Layout {
        /// The archive.
        archive: ArchiveName,
        /// The target's layout.
        layout: Layout,
    },
    /// The source forgot the archive, before the copy or while it ran. That is its right.
    #[error("{archive} is gone from the source")]
    Gone {
        /// The archive.
        archive: ArchiveName,
    },
    /// The source's manifest or index cannot be had.
    #[error("cannot read what the source says of {archive}")]
    Source {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: RepositoryError,
    },
    /// The source says of a frame that the target holds what it is not.
    #[error("the source's manifest of {archive} gives frame {frame} a length of {says} bytes; it has {has}")]
    Lies {
        /// The archive.
        archive: ArchiveName,
        /// The frame.
        frame: FrameId,
        /// Its raw length as the manifest says, in bytes.
        says: u32,
        /// Its raw length, in bytes.
        has: u32,
    },
    /// The source names a frame that the target holds for other jobs alone, and cannot show it.
    #[error("the source's manifest of {archive} names a frame that only other jobs have, and the source cannot show it")]
    Foreign {
        /// The archive.
        archive: ArchiveName,
        /// How that came out.
        #[source]
        source: FetchError,
    },
    /// A frame cannot be had.
    #[error("cannot fetch the frames of {archive}")]
    Fetch {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: FetchError,
    },
    /// The target has another archive of that name.
    #[error("the target holds another archive under the name {archive}; neither was changed")]
    Differs {
        /// The archive.
        archive: ArchiveName,
    },
    /// The target cannot be read or written.
    #[error("cannot keep {archive}")]
    Target {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: RepositoryError,
    },
}

/// Brings `name` from one repository into another. `held` is the target's index, read once for many copies; the copy adds what it
/// writes, also when it fails. Progress counts the encoded bytes that move.
///
/// # Errors
/// See [`CopyError`]. Good frames that arrived before an error stay in the target, so a second try is cheaper.
pub async fn copy(
    from: &Repository,
    to: &Repository,
    held: &mut Index,
    name: &ArchiveName,
    options: &CopyOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Copied, CopyError> {
    if to.layout() == Layout::Plain {
        return Err(CopyError::Layout { archive: name.clone(), layout: Layout::Plain });
    }
    let source_error = |source| match source {
        RepositoryError::NoSuchArchive { .. } => CopyError::Gone { archive: name.clone() },
        source => CopyError::Source { archive: name.clone(), source },
    };
    let target_error = |source| CopyError::Target { archive: name.clone(), source };

    let object = from.manifest(name).await.map_err(source_error)?;
    let there = state(to, name, &object.bytes).await.map_err(target_error)?;
    if matches!(there, There::Other) {
        return Err(CopyError::Differs { archive: name.clone() });
    }
    // Frames that move are compared with their length when they are decoded; those that are held, here.
    let has = |frame: &FrameRef| held.locate(&frame.id).map(|location| location.raw).filter(|raw| *raw != frame.raw);
    if let Some((frame, has)) = object.manifest.frames.iter().find_map(|frame| Some((frame, has(frame)?))) {
        return Err(CopyError::Lies { archive: name.clone(), frame: frame.id, says: frame.raw, has });
    }
    let mut foreign = match there {
        There::Nothing | There::Damaged(_) if options.prove => foreign(to, &object.manifest, held).await.map_err(target_error)?,
        _ => Vec::new(),
    };
    let mut copied = Copied {
        frames_total: object.manifest.frames.len() as u64,
        bytes_total: object.manifest.end.bytes,
        already: matches!(there, There::Same),
        ..Copied::default()
    };
    let mut fruitless = 0;
    loop {
        let lacking = lacking(&object.manifest, held);
        if lacking.is_empty() && foreign.is_empty() {
            break;
        }
        let index = from.index_of(&object.manifest).await.map_err(source_error)?;
        let before = copied.frames_moved;
        let moved = async {
            show(from, &index, name, &foreign, options.in_flight).await?;
            foreign.clear();
            Moving { from, to, index: &index, manifest: &object.manifest, options, held: &mut *held, copied: &mut copied }
                .frames(&lacking, progress)
                .await
        };
        let Err(error) = moved.await else { break };
        fruitless = if copied.frames_moved > before { 0 } else { fruitless + 1 };
        let rewritten = match &error {
            CopyError::Fetch { source, .. } | CopyError::Foreign { source, .. } => {
                matches!(source, FetchError::Gone { .. } | FetchError::Lacking { .. })
            }
            _ => false,
        };
        if !rewritten {
            return Err(error);
        }
        // Without its manifest the archive was forgotten, and its packs went with it.
        from.manifest(name).await.map_err(source_error)?;
        // A plain archive's file is never written anew.
        if from.layout() == Layout::Plain || fruitless == FRUITLESS {
            return Err(error);
        }
    }
    if let There::Damaged(path) = &there {
        // The good manifest takes the damaged one's place. Between the two the archive does not exist, as it did not before.
        delete(to, path).await.map_err(target_error)?;
    }
    if !copied.already {
        to.put_manifest(name, object.bytes.clone()).await.map_err(target_error)?;
        copied.bytes_written += object.bytes.len() as u64;
    }
    Ok(copied)
}

/// What the target has under the name.
enum There {
    Nothing,
    Same,
    Other,
    Damaged(object_store::path::Path),
}

async fn state(to: &Repository, name: &ArchiveName, bytes: &Bytes) -> Result<There, RepositoryError> {
    match to.manifest(name).await {
        Ok(object) if object.bytes == *bytes => Ok(There::Same),
        Ok(_) => Ok(There::Other),
        Err(RepositoryError::NoSuchArchive { .. }) => Ok(There::Nothing),
        // Sealed manifests have no name in the clear; a damaged one there is nobody's, and does not come up here.
        Err(
            RepositoryError::Manifest { .. }
            | RepositoryError::Misnamed { .. }
            | RepositoryError::AbsurdFrame { .. }
            | RepositoryError::TooLarge { .. },
        ) => Ok(There::Damaged(crate::manifest_path(name))),
        Err(error) => Err(error),
    }
}

/// Which frames of an archive are not held, as their places in the manifest, in file order, each once. Places alone: a first archive lacks all of
/// them, and the manifest has them.
fn lacking(manifest: &Manifest, held: &Index) -> Vec<u32> {
    let id = |at: &u32| &manifest.frames[*at as usize].id;
    let mut lacking: Vec<u32> = (0..).zip(&manifest.frames).filter(|(_, frame)| !held.held(&frame.id)).map(|(at, _)| at).collect();
    lacking.sort_unstable_by(|a, b| id(a).cmp(id(b)).then(a.cmp(b)));
    lacking.dedup_by(|a, b| id(a) == id(b));
    lacking.sort_unstable();
    lacking
}

struct Moving<'a> {
    from: &'a Repository,
    to: &'a Repository,
    index: &'a Index,
    manifest: &'a Manifest,
    options: &'a CopyOptions,
    held: &'a mut Index,
    copied: &'a mut Copied,
}

impl Batch for Checked {
    fn frames(&self) -> impl Iterator<Item = (FrameId, u32, &Bytes)> {
        self.frames.iter().map(|frame| (frame.id, frame.raw, &frame.encoded))
    }
}

/// Where frames go.
enum Way {
    /// Packs in memory, put whole.
    Put(PackWriter),
    /// Packs that grow in a folder.
    Land(Landing<Checked>),
}

impl Moving<'_> {
    /// Moves what is lacking. What arrived before an error is kept.
    async fn frames(&mut self, lacking: &[u32], progress: &(dyn Fn(Progress) + Sync)) -> Result<(), CopyError> {
        let mut way = match &self.options.folder {
            Some(folder) => Way::Land(Landing::new(folder.clone(), self.options.pack_target)),
            None => Way::Put(PackWriter::new(self.options.pack_target)),
        };
        let moved = self.fetch(&mut way, lacking, progress).await;
        // Also after an error: what arrived is good, and the next try need not ask for it again.
        let kept = match way {
            Way::Put(mut writer) => self.put(&mut writer).await,
            Way::Land(landing) => {
                let (landed, result) = landing.finish().await;
                landed.into_iter().for_each(|pack| self.landed(pack));
                result
            }
        };
        // A disk that failed is why the fetching ended.
        let kept = kept.map_err(|source| CopyError::Target { archive: self.manifest.head.archive.clone(), source });
        if moved.is_ok() || kept.is_err() { kept } else { moved }
    }

    async fn fetch(&mut self, way: &mut Way, lacking: &[u32], progress: &(dyn Fn(Progress) + Sync)) -> Result<(), CopyError> {
        let (name, from, index) = (&self.manifest.head.archive, self.from, self.index);
        let frames = lacking.iter().map(|at| &self.manifest.frames[*at as usize]);
        let left: u64 = frames.clone().map(|frame| u64::from(frame.len)).sum();
        let mut seen = Progress { done: self.copied.bytes_moved, total: self.copied.bytes_moved + left };
        progress(seen);
        let mut batches = std::pin::pin!(fetch_checked(from, index, frames.map(|frame| frame.id), self.options.in_flight));
        while let Some(mut batch) = batches.next().await {
            let bytes: u64 = batch.frames.iter().map(|frame| frame.encoded.len() as u64).sum();
            self.copied.frames_moved += batch.frames.len() as u64;
            self.copied.bytes_moved += bytes;
            seen.done += bytes;
            progress(seen);
            let failed = batch.failed.take();
            match way {
                Way::Put(writer) => {
                    for frame in &batch.frames {
                        writer.push(frame.id, frame.raw, &frame.encoded);
                        if writer.is_full() {
                            self.put(writer).await.map_err(|source| CopyError::Target { archive: name.clone(), source })?;
                        }
                    }
                }
                Way::Land(landing) => {
                    let lands = landing.push(batch).await;
                    landing.landed().for_each(|pack| self.landed(pack));
                    if !lands {
                        return Ok(());
                    }
                }
            }
            match failed {
                None => {}
                Some(FetchError::Gone { .. }) if from.layout() == Layout::Plain => return Err(CopyError::Gone { archive: name.clone() }),
                Some(source) => return Err(CopyError::Fetch { archive: name.clone(), source }),
            }
        }
        Ok(())
    }

    async fn put(&mut self, writer: &mut PackWriter) -> Result<(), RepositoryError> {
        let Some(WrittenPack { id, bytes, written, table }) = writer.write(self.to).await? else { return Ok(()) };
        self.landed(Landed { facts: PackFacts { name: PackName::Object(id), bytes }, table, written });
        Ok(())
    }

    fn landed(&mut self, Landed { facts, table, written }: Landed) {
        self.held.add(facts, &table);
        self.copied.packs += 1;
        self.copied.bytes_written += written;
    }
}
