//! A repository: opened, listed, and asked for manifests and for its index.
//!
//! An archive exists exactly when its manifest does. Whatever is listed is read defensively: an object that is damaged, lies or has a
//! strange name is reported beside the good ones and hides none of them. The file `repository.json` says what a place is; it is
//! required to open one, so that an unmounted disk or a mistyped path is never taken for an empty repository.

mod listed;
mod marker;
mod offered;
mod remembered;
mod tables;

pub use listed::Listed;
pub use remembered::Remembered;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use offsite_archive::{ArchiveName, End, Head, Line, Manifest, ManifestError};

use crate::{
    Layout, MAX_FRAME_LEN, ObjectId, PackFacts, RepositoryError, Table, Unreadable,
    layout::{MANIFESTS, is_litter, manifest_name, object_id},
    manifest_path,
    pack::{create, store},
    recover, sealed_manifest_path,
};

/// Longest manifest object that is read, in bytes: several millions of files.
const MAX_MANIFEST: u64 = 64 << 20;
/// Most frames of a manifest that are taken into memory, at 40 bytes each: a terabyte and more of usual frames. A small object can
/// repeat one frame for ever, so its size is no bound.
const MAX_FRAMES: usize = 8 << 20;
/// Small objects that are read at the same time.
const AT_ONCE: usize = 8;

/// A place that holds archives. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    store: Arc<dyn ObjectStore>,
    /// Where what is not sealed lies: below the store that seals, or the same.
    clear: Arc<dyn ObjectStore>,
    layout: Layout,
    id: ObjectId,
    /// Sealed manifests have random names; what each one turned out to be. Objects never change, so this never goes stale.
    known: Arc<Mutex<BTreeMap<ObjectId, ArchiveInfo>>>,
}

/// An archive, by its manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveInfo {
    /// Its name.
    pub name: ArchiveName,
    /// Its number.
    pub sequence: u64,
    /// What was known before the run.
    pub head: Head,
    /// What was known after it.
    pub end: End,
    /// Length of the manifest object, in bytes.
    pub manifest_bytes: u64,
}

/// All archives of a repository.
#[derive(Debug, Default)]
pub struct Archives {
    /// Those whose manifest is good, by name.
    pub good: Vec<ArchiveInfo>,
    /// Manifests that cannot be read or understood.
    pub unreadable: Vec<Unreadable>,
}

impl Archives {
    /// Takes what the manifest `object` turned out to be; one that went away in between is nothing.
    fn add(&mut self, object: &Path, info: Result<Option<ArchiveInfo>, RepositoryError>) {
        match info {
            Ok(info) => self.good.extend(info),
            Err(error) => self.unreadable.push(Unreadable { object: object.to_string(), error }),
        }
    }

    /// The same in order, unless nothing at all could be read because the way to the store is cut.
    fn settled(mut self) -> Result<Self, RepositoryError> {
        let cut = self.unreadable.iter().position(|unreadable| !unreadable.error.is_damage());
        if let (true, Some(cut)) = (self.good.is_empty(), cut) {
            return Err(self.unreadable.swap_remove(cut).error);
        }
        self.good.sort_by(|a, b| a.name.cmp(&b.name));
        // The same archive may have been pushed twice under two random names; a crash does that, and it harms nothing.
        self.good.dedup_by(|a, b| a.name == b.name);
        Ok(self)
    }
}

/// One manifest: checked, and as bytes.
#[derive(Debug, Clone)]
pub struct ManifestObject {
    /// What it says.
    pub manifest: Manifest,
    /// The object's bytes, to be copied verbatim.
    pub bytes: Bytes,
}

/// The tables of all packs that exist.
#[derive(Debug, Default)]
pub struct Tables {
    /// Packs whose table is known, by name.
    pub good: Vec<(PackFacts, Table)>,
    /// Packs whose table is not.
    pub unknown: Vec<PackFacts>,
    /// What could not be read or understood.
    pub unreadable: Vec<Unreadable>,
}

impl Repository {
    /// The repository in `store`, which opens and seals what passes through it; its id is the vault's.
    pub fn sealed(store: Arc<dyn ObjectStore>, vault: ObjectId) -> Self {
        Self::new(store, Layout::Sealed, vault)
    }

    fn new(store: Arc<dyn ObjectStore>, layout: Layout, id: ObjectId) -> Self {
        Self { clear: store.clone(), store, layout, id, known: Arc::default() }
    }

    /// The same repository, whose clear files lie in `clear`.
    #[cfg(feature = "seal")]
    pub(crate) fn over(self, clear: Arc<dyn ObjectStore>) -> Self {
        Self { clear, ..self }
    }

    /// Brings `recover/`, which opens the repository without offsite, to what this offsite writes. To be called before archives are
    /// added: the script of an older one refuses manifests of a version that it does not know. One listing if nothing is to do.
    /// Returns whether anything was written.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if the files cannot be listed or written. The data is not concerned.
    pub async fn renew_recover(&self) -> Result<bool, RepositoryError> {
        recover::place(&*self.clear).await.map_err(|(path, source)| store("renew", &path, source))
    }

    /// How frames are kept here.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// What tells this repository from others; a vault's id if it is sealed.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// Where the objects lie.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// All archives, by name. Every manifest is read whole and checked. A manifest that cannot be read for whatever reason is
    /// reported; one that went away in between is not.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if the manifests cannot be listed, or none at all can be read because the way to the store is cut.
    pub async fn archives(&self) -> Result<Archives, RepositoryError> {
        self.read_into(Archives::default(), self.manifests().await?).await
    }

    /// What was known already, and what the manifests `objects` say.
    async fn read_into(&self, mut archives: Archives, objects: Vec<ObjectMeta>) -> Result<Archives, RepositoryError> {
        let mut found = stream::iter(objects).map(|object| self.info(object)).buffered(AT_ONCE);
        while let Some((path, info)) = found.next().await {
            archives.add(&path, info);
        }
        archives.settled()
    }

    async fn info(&self, object: ObjectMeta) -> (Path, Result<Option<ArchiveInfo>, RepositoryError>) {
        let id = object_id(&object.location, MANIFESTS);
        if let Some(known) = id.and_then(|id| self.known().get(&id).cloned()) {
            return (object.location, Ok(Some(known)));
        }
        let info = self.read_manifest(&object.location).await.map(|read| {
            read.map(|ManifestObject { manifest, bytes }| ArchiveInfo {
                name: manifest.head.archive.clone(),
                sequence: manifest.head.sequence,
                head: manifest.head,
                end: manifest.end,
                manifest_bytes: bytes.len() as u64,
            })
        });
        if let (Some(id), Ok(Some(info)), Layout::Sealed) = (id, &info, self.layout) {
            self.known().insert(id, info.clone());
        }
        (object.location, info)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectId, ArchiveInfo>> {
        // What is in there is written in one step, so a panic elsewhere leaves it whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The manifest objects as listed, by path.
    pub(crate) async fn manifests(&self) -> Result<Vec<ObjectMeta>, RepositoryError> {
        self.list(MANIFESTS).await
    }

    /// The manifest of an archive, checked against all limits.
    ///
    /// # Errors
    /// [`RepositoryError::NoSuchArchive`] if there is none, others if it is damaged or cannot be read.
    pub async fn manifest(&self, name: &ArchiveName) -> Result<ManifestObject, RepositoryError> {
        let gone = || RepositoryError::NoSuchArchive { archive: name.clone() };
        let path = self.manifest_objects(name).await?.into_iter().next().ok_or_else(gone)?;
        self.read_manifest(&path).await?.ok_or_else(gone)
    }

    /// The objects that are manifests of an archive, by path: usually one. In a sealed repository an archive that was pushed twice
    /// has two; elsewhere the path is given without looking whether it is there.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if the manifests cannot be listed.
    pub async fn manifest_objects(&self, name: &ArchiveName) -> Result<Vec<Path>, RepositoryError> {
        if self.layout != Layout::Sealed {
            return Ok(vec![manifest_path(name)]);
        }
        let mut paths = Vec::new();
        let mut found = stream::iter(self.manifests().await?).map(|object| self.info(object)).buffered(AT_ONCE);
        while let Some((path, info)) = found.next().await {
            if info.is_ok_and(|info| info.is_some_and(|info| info.name == *name)) {
                paths.push(path);
            }
        }
        Ok(paths)
    }

    /// Puts a manifest: the archive exists from here on. Frames must be there before. The same bytes again are fine.
    ///
    /// # Errors
    /// [`RepositoryError::Differs`] if the archive is there with another manifest, [`RepositoryError::Store`] if it cannot be put.
    pub async fn put_manifest(&self, name: &ArchiveName, bytes: Bytes) -> Result<(), RepositoryError> {
        let path = match self.layout {
            Layout::Sealed => sealed_manifest_path(&ObjectId::random()?),
            Layout::Plain | Layout::Packs => manifest_path(name),
        };
        match create(&*self.store, &path, bytes.clone()).await {
            Ok(()) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => match read_bounded(&*self.store, &path, MAX_MANIFEST).await? {
                Some(there) if there == bytes => Ok(()),
                _ => Err(RepositoryError::Differs { object: path.to_string() }),
            },
            Err(source) => Err(store("write", &path, source)),
        }
    }

    /// The manifest at `path`, checked; `None` if it is not there.
    pub(crate) async fn read_manifest(&self, path: &Path) -> Result<Option<ManifestObject>, RepositoryError> {
        let object = || path.to_string();
        let name = match self.layout {
            Layout::Sealed => {
                object_id(path, MANIFESTS).ok_or_else(|| RepositoryError::Stray { object: object() })?;
                None
            }
            Layout::Plain | Layout::Packs => Some(manifest_name(path).ok_or_else(|| RepositoryError::Stray { object: object() })?),
        };
        let Some(bytes) = read_bounded(&*self.store, path, MAX_MANIFEST).await? else { return Ok(None) };
        let manifest = checked(&bytes, name, path)?;
        Ok(Some(ManifestObject { manifest, bytes }))
    }

    /// Calls `each` with every manifest that can be read, by path, one at a time, and gives back what cannot.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if the manifests cannot be listed, or the way to the store is cut.
    pub async fn each_manifest(&self, mut each: impl FnMut(ManifestObject)) -> Result<Vec<Unreadable>, RepositoryError> {
        let mut unreadable = Vec::new();
        for object in self.manifests().await? {
            match self.read_manifest(&object.location).await {
                Ok(Some(manifest)) => each(manifest),
                Ok(None) => {}
                Err(error) if error.is_damage() => unreadable.push(Unreadable { object: object.location.to_string(), error }),
                Err(error) => return Err(error),
            }
        }
        Ok(unreadable)
    }

    /// All objects below `folder`, by path, without what others left there.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<ObjectMeta>, RepositoryError> {
        let prefix = Path::from(folder);
        let listed: Result<Vec<_>, _> = self.store.list(Some(&prefix)).try_collect().await;
        let mut listed = listed.map_err(|source| store("list", &prefix, source))?;
        listed.retain(|object| !is_litter(&object.location));
        listed.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(listed)
    }
}

/// Reads the manifest at `path`, which is that of `name` where that is known.
fn checked(bytes: &[u8], name: Option<ArchiveName>, path: &Path) -> Result<Manifest, RepositoryError> {
    let object = || path.to_string();
    let manifest = parse(bytes, MAX_FRAMES, path)?;
    if name.is_some_and(|name| name != manifest.head.archive) {
        return Err(RepositoryError::Misnamed { object: object(), says: manifest.head.archive });
    }
    if let Some(frame) = manifest.frames.iter().find(|frame| !(1..=MAX_FRAME_LEN).contains(&frame.len)) {
        return Err(RepositoryError::AbsurdFrame { object: object(), frame: frame.id, len: frame.len });
    }
    Ok(manifest)
}

/// Reads a manifest of at most `limit` frames.
fn parse(bytes: &[u8], limit: usize, path: &Path) -> Result<Manifest, RepositoryError> {
    let damaged = |source| RepositoryError::Manifest { object: path.to_string(), source };
    let mut reader = Manifest::entries(bytes).map_err(damaged)?;
    let head = reader.head().clone();
    let mut frames = Vec::new();
    let mut end = None;
    // To the very end: what follows the last line is for the reader to refuse.
    while let Some(line) = reader.next_brief() {
        match line.map_err(damaged)? {
            Line::Frame(_) if frames.len() == limit => {
                return Err(RepositoryError::TooManyFrames { object: path.to_string(), limit });
            }
            Line::Frame(frame) => frames.push(frame),
            Line::End(last) => end = Some(last),
            Line::Head(_) | Line::Entry(_) => {}
        }
    }
    frames.shrink_to_fit();
    let end = end.ok_or_else(|| damaged(ManifestError::Truncated))?;
    Ok(Manifest { head, frames, end })
}

/// An object's bytes if they are at most `limit`; `None` if it is not there.
pub(crate) async fn read_bounded(from: &dyn ObjectStore, path: &Path, limit: u64) -> Result<Option<Bytes>, RepositoryError> {
    let got = match from.get(path).await {
        Ok(got) => got,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(store("read", path, source)),
    };
    if got.meta.size > limit {
        return Err(RepositoryError::TooLarge { object: path.to_string(), bytes: got.meta.size, limit });
    }
    // The size is what the other side says; the stream is what it sends.
    let mut stream = got.into_stream();
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut bytes = 0_u64;
    while let Some(chunk) = stream.try_next().await.map_err(|source| store("read", path, source))? {
        bytes += chunk.len() as u64;
        if bytes > limit {
            return Err(RepositoryError::TooLarge { object: path.to_string(), bytes, limit });
        }
        chunks.push(chunk);
    }
    Ok(Some(match <[Bytes; 1]>::try_from(chunks) {
        Ok([only]) => only,
        Err(chunks) => chunks.concat().into(),
    }))
}

#[cfg(test)]
mod tests {
    use offsite_archive::{Chunker, FrameId, FrameRef, ManifestWriter};

    use super::*;

    /// A manifest that repeats one frame, as a liar's could.
    pub(super) fn repeating(frames: u32) -> Vec<u8> {
        let chunker = Chunker { id: "files-1".into(), page: 65536, text: [1, 2, 3], data: [1, 2, 3], bundle: [1, 2] };
        let archive: ArchiveName = "services/2026-11-22T040000Z".parse().unwrap();
        let finished = archive.time();
        let mut writer = ManifestWriter::new(Vec::new()).unwrap();
        writer
            .head(&Head { version: 1, archive, sequence: 1, host: "pi".into(), agent: "0.1.0".into(), sources: vec![], chunker })
            .unwrap();
        for _ in 0..frames {
            writer.frame(&FrameRef { id: FrameId::of(b"x"), raw: 1024, len: 30 }).unwrap();
        }
        let end = End {
            entries: 0,
            frames: frames.into(),
            raw: u64::from(frames) * 1024,
            bytes: u64::from(frames) * 30,
            digest: FrameId::of(b""),
            finished,
            quiesced: vec![],
            warnings: vec![],
            complete: true,
        };
        writer.end(&end).unwrap()
    }

    #[test]
    fn more_frames_than_memory_is_meant_for_are_refused() {
        let path = Path::from("manifests/services/2026-11-22T040000Z.zst");
        let bytes = repeating(100);
        assert_eq!(parse(&bytes, 100, &path).unwrap(), Manifest::read(&bytes).unwrap());
        assert!(matches!(parse(&bytes, 99, &path), Err(RepositoryError::TooManyFrames { limit: 99, .. })));
        assert!(matches!(parse(&bytes[..bytes.len() - 1], 100, &path), Err(RepositoryError::Manifest { .. })));
        assert!(matches!(parse(&[&bytes[..], b"x"].concat(), 100, &path), Err(RepositoryError::Manifest { .. })));
    }
}
