//! The folder behind the interface of an object store. Each step runs on a thread that may block.

use std::{io::Write, ops::Range, os::unix::fs::FileExt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future, stream, stream::BoxStream};
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, RenameTargetMode, Result, path::Path,
};

use super::{
    LocalError, LocalStore, Staged,
    disk::{Disk, Facts},
};

/// Bytes read in one step. A ranged read of frames fits, so it is one step and no copy.
const CHUNK: u64 = 8 << 20;
/// The same of what is longer: whoever puts it together has all of it in memory besides.
const STEP: u64 = 1 << 20;

impl LocalStore {
    /// Runs a step where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        step: impl FnOnce(&Arc<Disk>) -> std::result::Result<T, LocalError> + Send + 'static,
    ) -> Result<T> {
        let disk = self.disk.clone();
        let done = tokio::task::spawn_blocking(move || step(&disk)).await;
        done.unwrap_or_else(|error| Err(LocalError::interrupted(operation, error))).map_err(|error| error.of_object(path))
    }
}

fn meta(facts: Facts) -> ObjectMeta {
    ObjectMeta { location: facts.path, last_modified: facts.modified.into(), size: facts.size, e_tag: None, version: None }
}

fn unsupported(operation: &str) -> object_store::Error {
    object_store::Error::NotImplemented { operation: operation.to_owned(), implementer: "a local folder".to_owned() }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let overwrite = match options.mode {
            PutMode::Create => false,
            PutMode::Overwrite => true,
            PutMode::Update(_) => return Err(unsupported("put with PutMode::Update")),
        };
        let to = location.clone();
        self.blocking("write", location.as_ref(), move |disk| {
            super::disk::checked(&to)?;
            let mut staged = Staged::new(disk.clone())?;
            for chunk in &payload {
                staged.write_all(chunk).map_err(|source| LocalError::io("write", &disk.root().join(to.as_ref()), source))?;
            }
            staged.publish(disk, &to, overwrite)
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported("put_multipart (stage a file and publish it)"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let path = location.clone();
        let (file, facts) = self.blocking("read", location.as_ref(), move |disk| disk.read(&path)).await?;
        let meta = meta(facts);
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => range
                .as_range(meta.size)
                .map_err(|source| object_store::Error::Generic { store: "local folder", source: Box::new(source) })?,
            None => 0..meta.size,
        };
        let payload =
            if options.head { stream::empty().boxed() } else { chunks(self.clone(), Arc::new(file), location.clone(), range.clone()) };
        let (attributes, extensions) = Default::default();
        Ok(GetResult { payload: GetResultPayload::Stream(payload), meta, range, attributes, extensions })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Path| {
            let (store, path) = (store.clone(), location.clone());
            async move {
                store.blocking("delete", location.as_ref(), move |disk| disk.delete(&path)).await?;
                Ok(location)
            }
        };
        // One after the other: what is deleted first is durably gone first.
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let listed = async move {
            let below = prefix.clone();
            store.blocking("list", prefix.as_ref(), move |disk| disk.list(below.as_ref(), true)).await
        };
        let objects = |listed: Result<(Vec<Facts>, Vec<Path>)>| match listed {
            Ok((objects, _)) => stream::iter(objects).map(|facts| Ok(meta(facts))).left_stream(),
            Err(error) => stream::once(future::ready(Err(error))).right_stream(),
        };
        listed.map(objects).flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        let below = prefix.clone();
        let (objects, common_prefixes) = self.blocking("list", prefix.as_ref(), move |disk| disk.list(below.as_ref(), false)).await?;
        Ok(ListResult { common_prefixes, objects: objects.into_iter().map(meta).collect(), extensions: Default::default() })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (source, target) = (from.clone(), to.clone());
        let overwrite = options.mode == CopyMode::Overwrite;
        self.blocking("copy", from.as_ref(), move |disk| {
            super::disk::checked(&target)?;
            let (mut file, _) = disk.read(&source)?;
            let mut staged = Staged::new(disk.clone())?;
            std::io::copy(&mut file, &mut staged).map_err(|error| LocalError::io("copy to", &disk.root().join(target.as_ref()), error))?;
            staged.publish(disk, &target, overwrite)
        })
        .await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let (source, target) = (from.clone(), to.clone());
        let overwrite = options.target_mode == RenameTargetMode::Overwrite;
        self.blocking("rename", from.as_ref(), move |disk| disk.rename_object(&source, &target, overwrite)).await
    }
}

/// The bytes of `range`, step by step.
fn chunks(store: LocalStore, file: Arc<std::fs::File>, path: Path, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
    let step = if range.end - range.start > CHUNK { STEP } else { CHUNK };
    stream::try_unfold(range.start, move |at| {
        let (store, file, path, end) = (store.clone(), file.clone(), path.clone(), range.end);
        async move {
            if at >= end {
                return Ok(None);
            }
            let len = (end - at).min(step);
            let below = path.clone();
            let bytes = store.blocking("read", path.as_ref(), move |disk| {
                // At most CHUNK, which fits.
                let mut bytes = vec![0; len as usize];
                let read = file.read_exact_at(&mut bytes, at);
                read.map_err(|source| LocalError::io("read", &disk.root().join(below.as_ref()), source))?;
                Ok(Bytes::from(bytes))
            });
            Ok(Some((bytes.await?, at + len)))
        }
    })
    .boxed()
}
