//! An object store that seals what is put into it and opens what is read, over a store that is not trusted.
//!
//! It holds `packs/<id>`, `index/<id>` and `manifests/<id>`, created once and deleted, never changed; all other paths are refused, so nothing can
//! reach the untrusted side unsealed by mistake. A range costs the chunks that hold it, and once per object its first chunk.
//!
//! Sizes: a listing and a head show the *sealed* size, because the payload's stands inside and asking for it would read cold storage
//! ([`super::sealed_length`] computes one from the other). What is read carries the payload's size.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, future, stream, stream::BoxStream};
use object_store::{
    Attribute, Attributes, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use tokio::sync::OnceCell;

use super::{
    error::SealError,
    keys::SealKeys,
    object::{self, Kind, Opened, PROLOGUE, SealedName},
    opening::open_stream,
};

/// Objects whose prologue is remembered; each takes about a kilobyte.
const REMEMBERED: usize = 256;

/// How sealed objects are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealedOptions {
    /// Storage class of packs, as the provider calls it (`DEEP_ARCHIVE`); index, manifests and slots stay in the default class.
    pub pack_class: Option<String>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct SealedStore {
    inner: Arc<dyn ObjectStore>,
    keys: SealKeys,
    options: SealedOptions,
    prologues: Arc<Mutex<Prologues>>,
}

type Prologue = Arc<OnceCell<Arc<Opened>>>;

/// The objects opened last, oldest first; a cell, so that readers who come together ask the store once.
#[derive(Debug, Default)]
struct Prologues {
    cells: HashMap<Path, Prologue>,
    order: VecDeque<Path>,
}

impl SealedStore {
    /// Seals with `keys` into `inner` and opens from there.
    pub fn new(inner: Arc<dyn ObjectStore>, keys: SealKeys, options: SealedOptions) -> Self {
        Self { inner, keys, options, prologues: Arc::default() }
    }

    /// The store below, which sees only sealed objects.
    pub fn inner(&self) -> &Arc<dyn ObjectStore> {
        &self.inner
    }

    fn prologues(&self) -> MutexGuard<'_, Prologues> {
        // A cache: what is in there was authenticated, whoever panicked since.
        self.prologues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cell(&self, location: &Path) -> Prologue {
        let mut prologues = self.prologues();
        if let Some(cell) = prologues.cells.get(location) {
            return cell.clone();
        }
        if prologues.order.len() >= REMEMBERED
            && let Some(oldest) = prologues.order.pop_front()
        {
            prologues.cells.remove(&oldest);
        }
        prologues.order.push_back(location.clone());
        prologues.cells.entry(location.clone()).or_default().clone()
    }

    fn forget(&self, location: &Path) {
        let mut prologues = self.prologues();
        if prologues.cells.remove(location).is_some() {
            prologues.order.retain(|path| path != location);
        }
    }

    /// The object's authentic prologue; read once, then remembered. A failure is not remembered.
    async fn opened(&self, location: &Path, name: SealedName) -> Result<Arc<Opened>> {
        let cell = self.cell(location);
        let read = async || {
            let range = Some(GetRange::Bounded(0..PROLOGUE));
            let found = match self.inner.get_opts(location, GetOptions { range, ..GetOptions::default() }).await {
                Ok(found) => found,
                // A store may refuse any range of an object that was emptied; then that is the news.
                Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => {
                    let emptied = self.inner.head(location).await.is_ok_and(|meta| meta.size == 0);
                    return if emptied { Ok(Arc::new(Opened::new(&self.keys, name, &[], 0)?)) } else { Err(error) };
                }
                Err(error) => return Err(error),
            };
            let size = found.meta.size;
            let front = front(&mut found.into_stream(), PROLOGUE.min(size)).await?;
            Ok(Arc::new(Opened::new(&self.keys, name, &front, size)?))
        };
        cell.get_or_try_init(read).await.cloned()
    }

    async fn get_whole(&self, location: &Path, name: SealedName, options: GetOptions) -> Result<GetResult> {
        let found = self.inner.get_opts(location, options).await?;
        let (meta, attributes, extensions) = (found.meta.clone(), found.attributes.clone(), found.extensions.clone());
        let mut sealed = found.into_stream();
        let front = front(&mut sealed, PROLOGUE.min(meta.size)).await?;
        let opened = Arc::new(Opened::new(&self.keys, name, &front, meta.size)?);
        let (chunks, range) = (opened.all_chunks(), 0..opened.payload());
        let mut buffer = front;
        let _header = buffer.split_to(opened.sealed_range(&chunks).start as usize);
        let payload = GetResultPayload::Stream(open_stream(opened, chunks, range.clone(), buffer, sealed));
        Ok(GetResult { payload, meta: ObjectMeta { size: range.end, ..meta }, range, attributes, extensions })
    }

    async fn get_part(&self, location: &Path, name: SealedName, range: GetRange, options: GetOptions) -> Result<GetResult> {
        let opened = self.opened(location, name).await?;
        let range = range.as_range(opened.payload()).map_err(|error| invalid_range(&name, &error))?;
        if range.is_empty() {
            let meta = self.inner.head(location).await?;
            let payload = GetResultPayload::Stream(stream::empty().boxed());
            let meta = ObjectMeta { size: opened.payload(), ..meta };
            return Ok(GetResult { payload, meta, range, attributes: Attributes::new(), extensions: options.extensions });
        }
        let chunks = opened.chunks(&range);
        let options = GetOptions { range: Some(GetRange::Bounded(opened.sealed_range(&chunks))), ..options };
        let found = self.inner.get_opts(location, options).await?;
        let meta = ObjectMeta { size: opened.payload(), ..found.meta.clone() };
        match found.meta.size {
            size if size < opened.sealed() => return Err(opened.short(size).into()),
            size if size > opened.sealed() => return Err(opened.long(size).into()),
            _ => {}
        }
        let (attributes, extensions) = (found.attributes.clone(), found.extensions.clone());
        let stream = open_stream(opened, chunks, range.clone(), BytesMut::new(), found.into_stream());
        Ok(GetResult { payload: GetResultPayload::Stream(stream), meta, range, attributes, extensions })
    }
}

/// The first `wanted` bytes of a stream and what came with them; fewer only if the stream has fewer.
async fn front(sealed: &mut BoxStream<'static, Result<Bytes>>, wanted: u64) -> Result<BytesMut> {
    let mut front = BytesMut::new();
    while (front.len() as u64) < wanted
        && let Some(piece) = sealed.try_next().await?
    {
        front.extend_from_slice(&piece);
    }
    Ok(front)
}

fn named(operation: &'static str, location: &Path) -> Result<SealedName, SealError> {
    SealedName::at(location).ok_or_else(|| SealError::Path { operation, path: location.to_string() })
}

fn unsupported<T>(operation: &'static str, location: &Path, how: &'static str) -> Result<T> {
    Err(SealError::Unsupported { operation, object: location.to_string(), how }.into())
}

fn invalid_range(name: &SealedName, error: &dyn fmt::Display) -> object_store::Error {
    object_store::Error::Generic { store: "sealed", source: format!("read {name}: {error}").into() }
}

/// Whether a listed object lies in one of the three folders; the vault's own files are not this store's.
fn is_ours(location: &Path) -> bool {
    let first = location.parts().next();
    first.is_some_and(|first| ["packs", "index", "manifests"].contains(&first.as_ref()))
}

impl fmt::Display for SealedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sealed {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for SealedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let name = named("put", location)?;
        if options.mode != PutMode::Create {
            return unsupported("put", location, "replaced: it is created once");
        }
        // Clear metadata is seen by the store, so none may come from outside this module.
        if !options.attributes.is_empty() || !options.tags.encoded().is_empty() {
            return unsupported("put", location, "given clear metadata");
        }
        let mut attributes = Attributes::new();
        if let (Kind::Pack, Some(class)) = (name.kind, &self.options.pack_class) {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        let sealed = object::seal(&self.keys, &name, payload.iter().map(AsRef::as_ref))?;
        drop(payload);
        self.forget(location);
        self.inner.put_opts(location, sealed.into(), PutOptions { attributes, ..options }).await
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        unsupported("put in parts", location, "written in parts: its length stands at its front")
    }

    async fn get_opts(&self, location: &Path, mut options: GetOptions) -> Result<GetResult> {
        let name = named("read", location)?;
        if options.version.is_some() {
            return unsupported("read", location, "read at a version: it never changes");
        }
        match options.range.take() {
            _ if options.head => self.inner.get_opts(location, options).await,
            Some(range) => self.get_part(location, name, range, options).await,
            None => self.get_whole(location, name, options).await,
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        let name = named("read", location)?;
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.opened(location, name).await?;
        for range in ranges {
            if range.is_empty() || range.end > opened.payload() {
                let what = format!("no bytes {}..{} in {}", range.start, range.end, opened.payload());
                return Err(invalid_range(&name, &what));
            }
        }
        let places: Vec<_> = ranges.iter().map(|range| opened.sealed_range(&opened.chunks(range))).collect();
        let sealed = self.inner.get_ranges(location, &places).await?;
        if sealed.len() != ranges.len() {
            return Err(invalid_range(&name, &"the store answered another number of ranges"));
        }
        ranges.iter().zip(sealed).map(|(range, sealed)| Ok(opened.open_range(range, &sealed)?.into())).collect()
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let checked = locations.and_then(move |location| {
            store.forget(&location);
            future::ready(named("delete", &location).map(|_| location).map_err(Into::into))
        });
        self.inner.delete_stream(checked.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix).try_filter(|meta| future::ready(is_ours(&meta.location))).boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset).try_filter(|meta| future::ready(is_ours(&meta.location))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut found = self.inner.list_with_delimiter(prefix).await?;
        found.objects.retain(|meta| is_ours(&meta.location));
        found.common_prefixes.retain(is_ours);
        Ok(found)
    }

    async fn copy_opts(&self, from: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        unsupported("copy", from, "copied: it is sealed under its name")
    }
}
