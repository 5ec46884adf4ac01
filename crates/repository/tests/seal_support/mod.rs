//! What the tests of sealing share: keys that are constants, content that is a constant, and a store below that records what it is asked.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use offsite_repository::seal::{MasterKey, SealError, SealKeys, SealedOptions, SealedStore, VaultId};

/// What was asked: the verb, the path, and the range of a read.
pub(crate) type Request = (&'static str, String, Option<Range<u64>>);

/// A store in memory that records the reads and writes of objects.
#[derive(Debug)]
pub(crate) struct Recording {
    store: InMemory,
    requests: Mutex<Vec<Request>>,
}

impl Recording {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { store: InMemory::new(), requests: Mutex::default() })
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn forget_requests(&self) {
        self.requests.lock().unwrap().clear();
    }

    fn record(&self, verb: &'static str, path: &Path, range: Option<Range<u64>>) {
        self.requests.lock().unwrap().push((verb, path.to_string(), range));
    }

    /// An object's bytes as they lie there, unrecorded.
    pub(crate) async fn raw(&self, path: &Path) -> Vec<u8> {
        self.store.get(path).await.unwrap().bytes().await.unwrap().into()
    }

    /// Puts other bytes in an object's place, unrecorded.
    pub(crate) async fn replace(&self, path: &Path, bytes: impl Into<Vec<u8>>) {
        self.store.put(path, bytes.into().into()).await.unwrap();
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

#[async_trait]
impl ObjectStore for Recording {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.record("put", location, None);
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.record("multipart", location, None);
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let range = match &options.range {
            Some(GetRange::Bounded(range)) => Some(range.clone()),
            _ => None,
        };
        self.record(if options.head { "head" } else { "get" }, location, range);
        self.store.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().for_each(|range| self.record("get", location, Some(range.clone())));
        self.store.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Bytes that repeat nowhere within a chunk's length.
pub(crate) fn content(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect()
}

pub(crate) fn master(number: u8) -> MasterKey {
    MasterKey::from_bytes(std::array::from_fn(|at| (at as u8).wrapping_mul(3).wrapping_add(number)))
}

pub(crate) fn vault(number: u8) -> VaultId {
    VaultId::from_bytes([number; 16])
}

pub(crate) fn keys(number: u8) -> SealKeys {
    SealKeys::new(&master(number), vault(number))
}

pub(crate) fn path(folder: &str, number: u8) -> Path {
    Path::from(format!("{folder}/{}", format!("{number:02x}").repeat(16)))
}

/// A recording store and a sealed one over it.
pub(crate) fn pair() -> (Arc<Recording>, SealedStore) {
    let inner = Recording::new();
    (inner.clone(), SealedStore::new(inner, keys(1), SealedOptions::default()))
}

/// As [`pair`], with an object of that length, its content and its path.
pub(crate) async fn stored(folder: &str, length: usize) -> (Arc<Recording>, SealedStore, Vec<u8>, Path) {
    let (inner, store) = pair();
    let (content, path) = (content(length), path(folder, 1));
    store.put_opts(&path, content.clone().into(), PutMode::Create.into()).await.unwrap();
    (inner, store, content, path)
}

/// The seal's error in a result that must have one.
pub(crate) fn seal_error<T>(result: Result<T>) -> SealError {
    let Err(error) = result else { panic!("this must fail") };
    SealError::of(&error).unwrap_or_else(|| panic!("not the seal's error: {error}")).clone()
}
