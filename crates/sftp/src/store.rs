//! The object store itself: which SFTP requests make up each operation.
//!
//! Objects are regular files below the root, named by their path. There are no entity tags: SFTP tells times in whole
//! seconds, too coarse to tell one content from another. Readers of one file at the same time share its handle;
//! nothing is kept between operations, so what was read is always what the server has.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use russh_sftp::protocol::OpenFlags;

use crate::error::SftpError;
use crate::link::Link;
use crate::list;
use crate::meter::Traffic;
use crate::put;
use crate::read::{self, Reader, Stamp};
use crate::target::Target;
use crate::translate::translate;

/// By connection and path.
type Readers = HashMap<(usize, String), Weak<Reader>>;

/// What of the remote folder an account may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// The server refuses every write, whatever the modes of files say.
    Refused,
    /// The server would write; the modes of the files forbid it.
    Modes,
    /// Files there can be written.
    Allowed,
}

/// Objects below one folder of an SSH server.
///
/// Cloning is cheap; clones share the connection.
#[derive(Clone)]
pub struct SftpStore {
    link: Arc<Link>,
    /// Further connections, made when they are first needed, for reads alone.
    further: Arc<[Arc<Link>]>,
    reads: Arc<AtomicUsize>,
    /// Files that were regular when they were last looked at: those can be opened before it is known that they still are.
    regular: Arc<Mutex<HashSet<String>>>,
    /// Files that are being read, and over which connection, for others who read them at the same time.
    readers: Arc<Mutex<Readers>>,
}

impl SftpStore {
    /// Connects, checks the host's key, logs in, and makes sure that the root is there.
    ///
    /// # Errors
    /// One per way this can fail; see [`SftpError`] and its `next_step`.
    pub async fn connect(target: &Target) -> Result<Self, SftpError> {
        let link = Arc::new(Link::open(target).await?);
        let further = (1..target.connections.get()).map(|_| Arc::new(Link::closed(target, &link.meter))).collect();
        Ok(Self { link, further, reads: Arc::default(), regular: Arc::default(), readers: Arc::default() })
    }

    /// The connections take turns, by reads.
    fn turn(&self) -> usize {
        self.reads.fetch_add(1, Ordering::Relaxed) % (self.further.len() + 1)
    }

    /// Bytes that crossed the network so far, over all connections of this store.
    pub fn traffic(&self) -> Traffic {
        self.link.meter.traffic()
    }

    /// The address at which the host answered last; none where a jump host stands before it and was never asked.
    pub fn address(&self) -> Option<std::net::IpAddr> {
        self.link.meter.address().filter(|_| self.link.target.jumps.is_empty())
    }

    /// Takes `location` for a file before it was listed: it is opened while it is looked at. Only for names under which nothing else ever is, since
    /// a server does not come back from opening a pipe.
    pub fn expect(&self, location: &Path) {
        self.regular().insert(self.path(location));
    }

    /// Finds out whether the account may write, and leaves no trace: two files are opened for writing without being made or emptied, nothing is
    /// written, and what opened is closed. `there` is an object that exists, `absent` one that does not.
    ///
    /// # Errors
    /// When the link is lost. What the server refuses is the answer.
    pub async fn writing(&self, there: &Path, absent: &Path) -> std::result::Result<Writing, SftpError> {
        // A server that refuses every write does so before it looks for the file; any other has to look, and finds none.
        if !self.opens(absent).await? {
            return Ok(Writing::Refused);
        }
        Ok(if self.opens(there).await? { Writing::Allowed } else { Writing::Modes })
    }

    /// Whether the server would open a file for writing, or would if there were one.
    async fn opens(&self, location: &Path) -> std::result::Result<bool, SftpError> {
        let path = self.path(location);
        let opened = self
            .link
            .run(|session, _| {
                let path = path.clone();
                Box::pin(async move { session.open("open for writing", &path, OpenFlags::WRITE).await.map(drop) })
            })
            .await;
        match opened {
            Ok(()) | Err(SftpError::NotFound { .. }) => Ok(true),
            Err(error) if error.is_lost_link() => Err(error),
            Err(_) => Ok(false),
        }
    }

    fn path(&self, location: &Path) -> String {
        self.link.target.remote(location.as_ref())
    }

    /// Looks at a file, and opens it unless it is open in the same state or `look` is all that is wanted.
    async fn reader(&self, location: &Path, look: bool) -> Result<(Stamp, Option<Arc<Reader>>, u32), SftpError> {
        let turn = if look { 0 } else { self.turn() };
        match turn.checked_sub(1).and_then(|further| self.further.get(further)) {
            Some(link) => match self.reader_over(turn, link, location, look).await {
                // A server may allow one connection and no more: then that one does all.
                Err(error) if error.may_pass() || matches!(error, SftpError::AuthRefused { .. }) => {
                    tracing::info!(%error, "reading over the first connection");
                    self.reader_over(0, &self.link, location, look).await
                }
                done => done,
            },
            None => self.reader_over(0, &self.link, location, look).await,
        }
    }

    async fn reader_over(
        &self,
        turn: usize,
        link: &Arc<Link>,
        location: &Path,
        look: bool,
    ) -> Result<(Stamp, Option<Arc<Reader>>, u32), SftpError> {
        let path = self.path(location);
        link.run(|session, _| {
            let path = path.clone();
            Box::pin(async move {
                let key = (turn, path);
                let open = || session.open("read", &key.1, OpenFlags::READ);
                // Two round trips in one. What is no file any more is told before it is opened: opening a pipe would never end.
                let ahead = !look && self.current(&key).is_none() && self.regular().contains(&key.1);
                let opened = async { Ok(if ahead { Some(open().await) } else { None }) };
                let stamp = async { Stamp::of("read", &key.1, &session.lstat("read", &key.1).await?) };
                let (stamp, opened) = try_join(stamp, opened).await.inspect_err(|_| {
                    self.regular().remove(&key.1);
                })?;
                if look {
                    self.regular().insert(key.1);
                    return Ok((stamp, None, session.features.read));
                }
                if let Some(reader) = self.current(&key).filter(|reader| reader.stamp == stamp) {
                    return Ok((stamp, Some(reader), session.features.read));
                }
                let held = match opened {
                    Some(opened) => opened?,
                    None => open().await?,
                };
                let reader = Arc::new(Reader::new(link, held, stamp));
                self.share(key, &reader);
                Ok((stamp, Some(reader), session.features.read))
            })
        })
        .await
    }

    fn current(&self, key: &(usize, String)) -> Option<Arc<Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).get(key).and_then(Weak::upgrade)
    }

    fn regular(&self) -> MutexGuard<'_, HashSet<String>> {
        self.regular.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share(&self, key: (usize, String), reader: &Arc<Reader>) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|_, reader| reader.strong_count() > 0);
        readers.insert(key, Arc::downgrade(reader));
    }

    /// After the file was replaced or removed, nobody new may join its readers.
    fn unshare(&self, path: &str) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, other), _| other != path);
    }

    async fn remove(&self, location: &Path) -> Result<(), SftpError> {
        let path = self.path(location);
        self.unshare(&path);
        self.link
            .run(|session, attempt| {
                let path = path.clone();
                Box::pin(async move {
                    match session.ask("delete", &path, session.raw.remove(path.as_str())).await {
                        // The first attempt may have got through before its link was lost.
                        Err(SftpError::NotFound { .. }) if attempt > 0 => Ok(()),
                        result => result.map(|_| ()),
                    }
                })
            })
            .await
    }

    async fn tree(&self, prefix: &Path) -> Result<Vec<(Path, Stamp)>, SftpError> {
        self.link
            .run(|session, _| {
                let prefix = prefix.clone();
                Box::pin(async move { list::tree(&session, &self.link.target, &prefix).await })
            })
            .await
            .inspect(|files| self.regular().extend(files.iter().map(|(location, _)| self.path(location))))
    }
}

fn meta(location: Path, stamp: Stamp) -> ObjectMeta {
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(stamp.modified.into());
    ObjectMeta { location, last_modified: modified.into(), size: stamp.size, e_tag: None, version: None }
}

fn range_of(path: &str, wanted: Option<&GetRange>, size: u64) -> Result<Range<u64>, SftpError> {
    match wanted {
        None => Ok(0..size),
        Some(range) => range.as_range(size).map_err(|error| SftpError::Range { path: path.to_owned(), reason: error.to_string() }),
    }
}

fn unsupported(operation: &'static str, instead: &str) -> Error {
    translate(SftpError::Unsupported { operation, detail: format!("; {instead}") })
}

impl fmt::Display for SftpStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.link.target;
        write!(f, "sftp://{}@{}:{}/{}", target.user, target.host, target.port, target.root.trim_start_matches('/'))
    }
}

impl fmt::Debug for SftpStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SftpStore({self})")
    }
}

#[async_trait]
impl ObjectStore for SftpStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let create = match opts.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return Err(unsupported("conditional update", "put with Create or Overwrite")),
        };
        if !opts.attributes.is_empty() {
            return Err(unsupported("storing attributes", "put without them"));
        }
        let path = self.path(location);
        self.link
            .run(|session, attempt| {
                let payload = payload.clone();
                Box::pin(async move { put::put(&session, &self.link.target, location, &payload, create, attempt > 0).await })
            })
            .await
            .map_err(translate)?;
        self.unshare(&path);
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported("multipart upload", "put the object whole"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (stamp, reader, size) = self.reader(location, options.head).await.map_err(translate)?;
        let meta = meta(location.clone(), stamp);
        options.check_preconditions(&meta)?;
        let range = range_of(location.as_ref(), options.range.as_ref(), stamp.size).map_err(translate)?;
        let bytes = match reader {
            Some(reader) => read::stream_range(reader, range.clone(), size).map_err(translate).boxed(),
            None => stream::empty().boxed(),
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(bytes),
            meta,
            range,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let (stamp, reader, size) = self.reader(location, false).await.map_err(translate)?;
        let bounded = |range: &Range<u64>| range_of(location.as_ref(), Some(&GetRange::Bounded(range.clone())), stamp.size);
        let ranges = ranges.iter().map(bounded).collect::<Result<Vec<_>, _>>().map_err(translate)?;
        match reader {
            Some(reader) => read::read_ranges(reader, ranges, size).await.map_err(translate),
            None => Ok(Vec::new()),
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .map(move |location| {
                let store = store.clone();
                async move {
                    let location = location?;
                    store.remove(&location).await.map_err(translate)?;
                    Ok(location)
                }
            })
            .buffered(8)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        stream::once(async move {
            let files = store.tree(&prefix).await.map_err(translate)?;
            Ok::<_, Error>(stream::iter(files.into_iter().map(|(location, stamp)| Ok(meta(location, stamp)))))
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        let listing = self
            .link
            .run(|session, _| {
                let prefix = prefix.clone();
                Box::pin(async move { list::one_folder(&session, &self.link.target, &prefix).await })
            })
            .await
            .map_err(translate)?;
        let objects = listing.files.into_iter().map(|(location, stamp)| meta(location, stamp)).collect();
        Ok(ListResult { common_prefixes: listing.folders, objects, extensions: Default::default() })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(unsupported("copying an object", "get it and put it"))
    }

    async fn rename_opts(&self, _: &Path, _: &Path, _: RenameOptions) -> Result<()> {
        Err(unsupported("renaming an object", "get it, put it and delete it"))
    }
}
