//! What the tests of this crate share: archives made by hand from constant bytes, and a store that stops.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part")]

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result, memory::InMemory, path::Path,
};
use offsite_archive::{
    ArchiveName, Chunker, End, Entry, FrameId, FrameRef, FramesDigest, Head, Kind, MANIFEST_VERSION, ManifestWriter, Mtime, PathText,
    compress, write_tail,
};
use offsite_repository::{Layout, ObjectId, PackFacts, PackName, PackWriter, Repository, archive_path};

/// Bytes that do not compress and are the same for ever: the output of BLAKE3 for `seed`.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// `count` chunks of about a kilobyte, numbered from `first`: chunks of the same number are the same frame.
pub fn chunks(first: u64, count: u64) -> Vec<Vec<u8>> {
    (first..first + count).map(|seed| noise(seed, 900 + (seed as usize * 37) % 300)).collect()
}

/// An archive as an agent would have made it.
#[derive(Debug, Clone)]
pub struct Made {
    pub name: ArchiveName,
    pub manifest: Bytes,
    /// The raw stream.
    pub raw: Vec<u8>,
    /// The plain file: frames and tail.
    pub file: Bytes,
    /// Id, raw length and zstd frame of each frame, in file order.
    pub frames: Vec<(FrameId, u32, Vec<u8>)>,
}

impl Made {
    /// Where the frames end in the file.
    pub fn frames_end(&self) -> usize {
        self.frames.iter().map(|(_, _, encoded)| encoded.len()).sum()
    }
}

/// The archive `name` (as `services/2026-11-22T040000Z`) whose stream is cut into `chunks`.
pub fn made(name: &str, sequence: u64, chunks: &[Vec<u8>]) -> Made {
    made_at(name, sequence, chunks, 3)
}

/// As [`made`], compressed at `level`, so that the same frames can have other encodings.
pub fn made_at(name: &str, sequence: u64, chunks: &[Vec<u8>], level: i32) -> Made {
    let frames: Vec<_> = chunks.iter().map(|raw| (FrameId::of(raw), raw.len() as u32, compress(raw, level).unwrap())).collect::<Vec<_>>();
    let raw = chunks.concat();
    let refs: Vec<FrameRef> = frames.iter().map(|(id, raw, encoded)| FrameRef { id: *id, raw: *raw, len: encoded.len() as u32 }).collect();
    let name: ArchiveName = name.parse().unwrap();
    let manifest = manifest_of(&name, sequence, &raw, &refs);
    let mut file: Vec<u8> = frames.iter().flat_map(|(_, _, encoded)| encoded.clone()).collect();
    write_tail(&mut file, refs.iter().map(|frame| (frame.len, frame.raw)), &manifest).unwrap();
    Made { name, manifest: manifest.into(), raw, file: file.into(), frames }
}

/// A manifest object that lists `frames` for the stream `raw`, which one file fills. What does not fit together is the caller's lie.
pub fn manifest_of(name: &ArchiveName, sequence: u64, raw: &[u8], frames: &[FrameRef]) -> Vec<u8> {
    manifest_of_version(MANIFEST_VERSION, name, sequence, raw, frames)
}

/// As [`manifest_of`], of an older version.
pub fn manifest_of_version(version: u32, name: &ArchiveName, sequence: u64, raw: &[u8], frames: &[FrameRef]) -> Vec<u8> {
    let head = Head {
        version,
        archive: name.clone(),
        sequence,
        host: "pi".to_owned(),
        agent: "0.1.0".to_owned(),
        sources: vec![PathText(b"/srv".to_vec())],
        chunker: Chunker::files_1(),
    };
    // Whole blocks: what follows them is the end of the tar stream.
    let stored = (raw.len() as u64 - 512) / 512 * 512;
    let entry = Entry {
        path: PathText(b"/srv/data".to_vec()),
        kind: Kind::File,
        mode: 0o640,
        uid: 472,
        gid: 472,
        user: String::new(),
        group: String::new(),
        size: stored,
        mtime: Mtime(1_700_000_000, 0),
        link: None,
        device: None,
        class: None,
        at: 0,
        data: 512,
        stored,
    };
    let mut digest = FramesDigest::new();
    frames.iter().for_each(|frame| digest.push(&frame.id, frame.raw));
    let end = End {
        entries: 1,
        frames: frames.len() as u64,
        raw: raw.len() as u64,
        bytes: frames.iter().map(|frame| u64::from(frame.len)).sum(),
        digest: if version == 1 { FrameId::of(raw) } else { digest.finish() },
        finished: name.time(),
        quiesced: Vec::new(),
        warnings: Vec::new(),
        complete: true,
    };
    let mut writer = ManifestWriter::new(Vec::new()).unwrap();
    writer.head(&head).unwrap();
    writer.entry(&entry).unwrap();
    for frame in frames {
        writer.frame(frame).unwrap();
    }
    writer.end(&end).unwrap()
}

/// Three archives of two jobs that share most of their chunks; the last one has a frame twice.
pub fn three() -> [Made; 3] {
    let mut repeated = [chunks(0, 4), chunks(40, 4)].concat();
    repeated.push(repeated[0].clone());
    [
        made("configs/2026-11-21T040000Z", 1, &chunks(100, 3)),
        made("services/2026-11-21T040000Z", 2, &chunks(0, 8)),
        made("services/2026-11-22T040000Z", 3, &repeated),
    ]
}

/// An empty repository in memory.
pub async fn empty(layout: Layout) -> Repository {
    Repository::create(Arc::new(InMemory::new()), layout).await.unwrap()
}

/// A repository in memory that holds `archives`, in packs of `target` bytes where it has packs.
pub async fn holding(layout: Layout, archives: &[Made], target: u64) -> Repository {
    let repository = empty(layout).await;
    for archive in archives {
        put(&repository, archive, target).await;
    }
    repository
}

/// Puts an archive into a repository as if it had come there properly.
pub async fn put(repository: &Repository, archive: &Made, target: u64) {
    if repository.layout() == Layout::Plain {
        repository.store().put(&archive_path(&archive.name), archive.file.clone().into()).await.unwrap();
    } else {
        let mut index = repository.index().await.unwrap();
        let mut writer = PackWriter::new(target);
        let mut waiting = std::collections::HashSet::new();
        for (id, raw, encoded) in &archive.frames {
            if index.held(id) || !waiting.insert(*id) {
                continue;
            }
            writer.push(*id, *raw, encoded);
            if writer.is_full() {
                let pack = writer.write(repository).await.unwrap().unwrap();
                index.add(PackFacts { name: PackName::Object(pack.id), bytes: pack.bytes }, &pack.table);
            }
        }
        writer.write(repository).await.unwrap();
    }
    repository.put_manifest(&archive.name, archive.manifest.clone()).await.unwrap();
}

/// The id of a pack of a layout that is not plain.
pub fn object(pack: &PackName) -> ObjectId {
    if let PackName::Object(id) = pack { *id } else { unreachable!("not plain") }
}

/// Puts `edit`ed bytes in an object's place.
pub async fn edit(store: &dyn ObjectStore, path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = store.get(path).await.unwrap().bytes().await.unwrap().to_vec();
    edit(&mut bytes);
    store.put(path, bytes.into()).await.unwrap();
}

/// All objects of a store with their bytes, by path.
pub async fn everything(store: &dyn ObjectStore) -> Vec<(Path, Bytes)> {
    let mut paths: Vec<Path> = store.list(None).map(|object| object.unwrap().location).collect().await;
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        all.push((path, bytes));
    }
    all
}

/// A store in memory that holds the same objects.
pub async fn clone_of(store: &dyn ObjectStore) -> Arc<InMemory> {
    let copy = InMemory::new();
    for (path, bytes) in everything(store).await {
        copy.put(&path, bytes.into()).await.unwrap();
    }
    Arc::new(copy)
}

/// What becomes of the operation at which a [`Halting`] store stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// It is not done.
    Undone,
    /// It is done, but its answer is lost.
    DoneUnheard,
}

/// A store that works for some operations and then never again, as if the power had gone. Reading, writing, listing, each deletion
/// and each renaming is one operation.
#[derive(Debug)]
pub struct Halting {
    inner: Arc<dyn ObjectStore>,
    limit: u64,
    last: Last,
    done: AtomicU64,
}

impl Halting {
    /// `inner`, for `limit` operations; `last` is about the one after them.
    pub fn after(inner: Arc<dyn ObjectStore>, limit: u64, last: Last) -> Arc<Self> {
        Arc::new(Self { inner, limit, last, done: AtomicU64::new(0) })
    }

    /// `inner`, without end, to count operations.
    pub fn never(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Self::after(inner, u64::MAX, Last::Undone)
    }

    /// Operations asked for so far.
    pub fn operations(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// Whether an operation was refused.
    pub fn halted(&self) -> bool {
        self.operations() > self.limit
    }

    async fn step<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        let number = self.done.fetch_add(1, Ordering::SeqCst);
        if number < self.limit {
            return operation.await;
        }
        if number == self.limit && self.last == Last::DoneUnheard {
            drop(operation.await);
        }
        Err(object_store::Error::Generic { store: "halting", source: "the power is gone".into() })
    }
}

/// The trait is implemented for the handle, because streams outlive a borrow.
#[derive(Debug, Clone)]
pub struct Handle(pub Arc<Halting>);

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "halting {}", self.0.inner)
    }
}

#[async_trait]
impl ObjectStore for Handle {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.step(self.0.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.0.step(self.0.inner.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.step(self.0.inner.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let halting = self.0.clone();
        let delete = move |location: Result<Path>| {
            let halting = halting.clone();
            async move {
                let location = location?;
                halting.step(halting.inner.delete(&location)).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (halting, prefix) = (self.0.clone(), prefix.cloned());
        let listed = async move {
            let listed = halting.inner.list(prefix.as_ref()).collect::<Vec<_>>();
            match halting.step(listed.map(Ok)).await {
                Ok(listed) => listed,
                Err(error) => vec![Err(error)],
            }
        };
        listed.map(stream::iter).flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.step(self.0.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.step(self.0.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.0.step(self.0.inner.rename_opts(from, to, options)).await
    }
}

/// What a store does when it is read.
#[async_trait]
pub trait Reads: fmt::Debug + Send + Sync + 'static {
    /// Answers for `inner`.
    async fn read(&self, inner: &Arc<dyn ObjectStore>, location: &Path, options: GetOptions) -> Result<GetResult>;
}

/// A store that is `inner` in all but what it does when it is read.
#[derive(Debug)]
pub struct Reading<R> {
    pub inner: Arc<dyn ObjectStore>,
    pub reads: R,
}

impl<R: Reads> fmt::Display for Reading<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} read otherwise", self.inner)
    }
}

#[async_trait]
impl<R: Reads> ObjectStore for Reading<R> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.read(&self.inner, location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A bad spot of a disk: whoever reads across it gets the system's input/output error.
#[derive(Debug)]
pub struct BadSpot {
    pub path: Path,
    pub spot: std::ops::Range<u64>,
}

#[async_trait]
impl Reads for BadSpot {
    async fn read(&self, inner: &Arc<dyn ObjectStore>, location: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let got = inner.get_opts(location, options).await?;
        if !head && *location == self.path && got.range.start < self.spot.end && self.spot.start < got.range.end {
            let source = std::io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error());
            return Err(object_store::Error::Generic { store: "bad spot", source: Box::new(source) });
        }
        Ok(got)
    }
}
