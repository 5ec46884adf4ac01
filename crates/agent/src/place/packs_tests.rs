use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result as Stored, path::Path as Object,
};
use offsite_archive::{Chunker, End, Head, MANIFEST_VERSION, compress};
use offsite_repository::{Layout, LocalStore, PackWriter};
use rustix::io::Errno;

use super::*;

/// A disk that gives no frame back, or takes nothing more.
#[derive(Debug)]
struct Failing {
    inner: LocalStore,
    reads: Option<Errno>,
    writes: Option<Errno>,
}

impl Failing {
    fn fails(errno: Option<Errno>) -> Stored<()> {
        errno.map_or(Ok(()), |errno| Err(object_store::Error::Generic { store: "failing", source: Box::new(std::io::Error::from(errno)) }))
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, location: &Object, payload: PutPayload, options: PutOptions) -> Stored<PutResult> {
        Self::fails(self.writes)?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, location: &Object, options: PutMultipartOptions) -> Stored<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Object, options: GetOptions) -> Stored<GetResult> {
        if location.as_ref().starts_with("packs/") {
            Self::fails(self.reads)?;
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Stored<Object>>) -> BoxStream<'static, Stored<Object>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Object>) -> BoxStream<'static, Stored<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Object>) -> Stored<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Object, to: &Object, options: CopyOptions) -> Stored<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A repository with one pack of three frames, in `dir`.
fn repository(dir: &Path, runtime: &Runtime) -> LocalStore {
    let local = LocalStore::open(dir).unwrap();
    runtime.block_on(async {
        let repository = Repository::create(Arc::new(local.clone()), Layout::Packs).await.unwrap();
        let mut writer = PackWriter::new(1 << 20);
        for raw in [&b"one"[..], b"two", b"three"] {
            writer.push(FrameId::of(raw), raw.len() as u32, &compress(raw, 3).unwrap());
        }
        writer.write(&repository).await.unwrap();
    });
    local
}

fn packs(dir: &Path, store: Failing, runtime: Arc<Runtime>) -> Packs {
    let root = store.inner.root().to_owned();
    let repository = runtime.block_on(Repository::open(Arc::new(store))).unwrap();
    Packs::tidy(dir, &root, repository, runtime).unwrap()
}

fn offered(packs: &Packs) -> Stock {
    let mut stock = Stock::new(tempfile::tempfile().unwrap());
    packs.offer(&mut stock).unwrap();
    stock
}

#[test]
fn packs_that_could_not_be_read_through_are_not_taken_for_read() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Arc::new(super::super::runtime().unwrap()));
    let inner = repository(dir.path(), &runtime);
    for (errno, clean) in [(None, true), (Some(Errno::STALE), false), (Some(Errno::TIMEDOUT), false)] {
        let store = Failing { inner: inner.clone(), reads: errno, writes: None };
        let mut packs = packs(dir.path(), store, runtime.clone());
        let mut told = Vec::new();
        assert_eq!(packs.look(true, &Cancel::default(), &mut told).unwrap(), clean, "{errno:?}");
        assert_eq!(told.iter().any(|told| told.contains("packs could not be read through")), !clean, "{told:?}");
        assert!([&b"one"[..], b"two", b"three"].iter().all(|raw| offered(&packs).holds(&FrameId::of(raw))), "{errno:?}");
    }
}

#[test]
fn where_not_even_a_table_can_be_written_bad_frames_are_not_used_and_nothing_goes() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Arc::new(super::super::runtime().unwrap()));
    let inner = repository(dir.path(), &runtime);
    let pack = std::fs::read_dir(dir.path().join("packs")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let store = Failing { inner, reads: None, writes: Some(Errno::NOSPC) };
    let mut packs = packs(dir.path(), store, runtime);
    let mut told = Vec::new();
    assert!(!packs.look(true, &Cancel::default(), &mut told).unwrap());
    let stock = offered(&packs);
    assert_eq!([&b"one"[..], b"two", b"three"].map(|raw| stock.holds(&FrameId::of(raw))), [false, true, true], "{told:?}");
    assert!(packs.prune().unwrap_err().contains("keeps its room") && packs.lossy().is_none());
    assert!(pack.exists() && dir.path().join("unpruned").exists());
}

#[test]
fn frames_that_went_away_are_noted_before_the_next_archive_hides_it() {
    let (dir, runtime) = (tempfile::tempdir().unwrap(), Arc::new(super::super::runtime().unwrap()));
    let inner = repository(dir.path(), &runtime);
    let mut packs = packs(dir.path(), Failing { inner, reads: None, writes: None }, runtime);
    assert!(packs.look(false, &Cancel::default(), &mut Vec::new()).unwrap());
    let stock = offered(&packs);
    let before = |raw: &[&[u8]]| {
        let archive: ArchiveName = "s/2026-11-22T040000Z".parse().unwrap();
        let finished = archive.time();
        let head = Head {
            version: MANIFEST_VERSION,
            archive,
            sequence: 1,
            host: String::new(),
            agent: String::new(),
            sources: Vec::new(),
            chunker: Chunker::files_1(),
        };
        let frames: Vec<FrameRef> = raw.iter().map(|raw| FrameRef { id: FrameId::of(raw), raw: raw.len() as u32, len: 9 }).collect();
        let (digest, quiesced, warnings) = (FrameId::of(b""), Vec::new(), Vec::new());
        let end = End { entries: 0, frames: 0, raw: 0, bytes: 0, digest, finished, quiesced, warnings, complete: true };
        Manifest { head, frames, end }
    };
    assert_eq!(packs.miss(&before(&[b"one", b"three"]), &stock).unwrap(), None);
    assert!(!dir.path().join("lossy").exists());
    let told = packs.miss(&before(&[b"one", b"gone"]), &stock).unwrap().unwrap();
    assert!(told.starts_with("1 frame of s/2026-11-22T040000Z lie in no pack") && dir.path().join("lossy").exists(), "{told}");
}
