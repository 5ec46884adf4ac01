//! Manifests of archives: found, read whole and checked, and put.

use bytes::Bytes;
use futures::{StreamExt, stream};
use object_store::{ObjectMeta, path::Path};
use offsite_archive::{ArchiveName, FrameRef, Line, Manifest, ManifestError};

use super::{APART, AT_ONCE, ArchiveInfo, Repository, read_bounded};
use crate::{
    Layout, MAX_FRAME_LEN, ObjectId, RepositoryError, Unreadable,
    layout::{MANIFESTS, manifest_name, object_id},
    manifest_path,
    pack::{create, store},
    sealed_manifest_path,
};

/// Longest manifest object that is read, in bytes: several millions of files.
pub(super) const MAX_MANIFEST: u64 = 64 << 20;
/// Most manifests of a repository: years of hourly archives. Each costs its reader a listed name at least, good or not.
const MAX_MANIFESTS: usize = 1 << 15;
/// Most frames of a manifest that are taken into memory, at 40 bytes each: a terabyte and more of usual frames. A small object can
/// repeat one frame for ever, so its size is no bound.
const MAX_FRAMES: usize = 8 << 20;
/// Length of a manifest object from which on [`APART`] is worth it, in bytes.
const LONG: usize = 1 << 20;

/// One manifest: checked, and as bytes.
#[derive(Debug, Clone)]
pub struct ManifestObject {
    /// What it says.
    pub manifest: Manifest,
    /// The object's bytes, to be copied verbatim.
    pub bytes: Bytes,
}
impl ManifestObject {
    pub(super) fn info(&self) -> ArchiveInfo {
        let Manifest { head, end, .. } = &self.manifest;
        let (name, manifest_bytes) = (head.archive.clone(), self.bytes.len() as u64);
        ArchiveInfo { name, sequence: head.sequence, head: head.clone(), end: end.clone(), manifest_bytes }
    }
}
impl Repository {
    /// The manifest objects as listed, by path.
    pub(crate) async fn manifests(&self) -> Result<Vec<ObjectMeta>, RepositoryError> {
        let ahead = self.ahead().listed.take();
        let listed = match ahead {
            Some(listed) => listed,
            None => self.list(MANIFESTS).await?,
        };
        within(listed.len(), MAX_MANIFESTS).map(|()| listed)
    }

    /// The manifest of an archive, checked against all limits.
    ///
    /// # Errors
    /// [`RepositoryError::NoSuchArchive`] if there is none, others if it is damaged or cannot be read.
    pub async fn manifest(&self, name: &ArchiveName) -> Result<ManifestObject, RepositoryError> {
        if let Some(object) = self.ahead().manifest.take_if(|object| object.manifest.head.archive == *name) {
            return Ok(object);
        }
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
}

/// Whether a repository may have so many manifests.
fn within(found: usize, limit: usize) -> Result<(), RepositoryError> {
    if found > limit { Err(RepositoryError::TooManyArchives { found, limit }) } else { Ok(()) }
}

/// Reads the manifest at `path`, which is that of `name` where that is known.
pub(super) fn checked(bytes: &[u8], name: Option<ArchiveName>, path: &Path) -> Result<Manifest, RepositoryError> {
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
    // Of a long manifest, which is then not made smaller: that would be within what is kept.
    let mut frames = Vec::with_capacity(if bytes.len() > LONG { APART / size_of::<FrameRef>() } else { 0 });
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
    if bytes.len() <= LONG {
        frames.shrink_to_fit();
    }
    let end = end.ok_or_else(|| damaged(ManifestError::Truncated))?;
    Ok(Manifest { head, frames, end })
}
#[cfg(test)]
pub(super) mod tests {
    use offsite_archive::{Chunker, End, FrameId, FrameRef, Head, ManifestWriter};

    use super::*;

    /// A manifest that repeats one frame, as a liar's could.
    pub(in crate::repository) fn repeating(frames: u32) -> Vec<u8> {
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

    #[test]
    fn more_manifests_than_any_repository_has_are_not_read() {
        assert!(within(2, 2).is_ok());
        assert!(matches!(within(3, 2), Err(RepositoryError::TooManyArchives { found: 3, limit: 2 })));
    }
}
