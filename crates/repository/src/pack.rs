//! Packs: written whole from memory, and asked for their table.
//!
//! A pack is put before its index object, and both before any manifest that needs them; a crash in between leaves a pack that no
//! manifest needs, which the next copy uses and the next prune removes. Packs are put create-only, so a pack that exists is whole.

use bytes::{Bytes, BytesMut};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use offsite_archive::FrameId;

use crate::{
    Layout, MAX_FRAME_LEN, ObjectId, PackName, Repository, RepositoryError, Table, TableError, index_path,
    table::{TRAILER, table_len, trailer},
};

/// Most that is reserved for a pack before its first frame, in bytes; a writer that is never full must not ask for all memory.
const MOST: u64 = 64 << 20;

/// Collects frames until they are worth a pack.
#[derive(Debug)]
pub struct PackWriter {
    target: u64,
    body: BytesMut,
    table: Table,
}

/// A pack that is durably there, with its index object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenPack {
    /// Its name.
    pub id: ObjectId,
    /// The size of the pack, in bytes, before any sealing.
    pub bytes: u64,
    /// The bytes of pack and index object together, before any sealing.
    pub written: u64,
    /// Its frames.
    pub table: Table,
}

impl PackWriter {
    /// A writer whose packs are full at `target` bytes of frames; they grow beyond it by less than one frame.
    pub fn new(target: u64) -> Self {
        Self { target, body: BytesMut::new(), table: Table::default() }
    }

    /// Whether nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.table.entries().is_empty()
    }

    /// Whether it is time to call [`PackWriter::write`].
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.target
    }

    /// Bytes of the frames that wait.
    pub fn bytes(&self) -> u64 {
        self.body.len() as u64
    }

    /// Takes a frame. The caller has decoded and hashed it: what is false here would be false for ever.
    pub fn push(&mut self, id: FrameId, raw: u32, encoded: &[u8]) {
        if self.body.capacity() == 0 {
            // All at once: a body that grew by doubling would lie in memory twice while it is moved.
            self.body.reserve(self.target.min(MOST).saturating_add(u64::from(MAX_FRAME_LEN)) as usize);
        }
        self.body.extend_from_slice(encoded);
        // A frame that was fetched is at most MAX_FRAME_LEN long.
        self.table.push(id, u32::try_from(encoded.len()).unwrap_or(u32::MAX), raw);
    }

    /// Puts all that waits as one pack, then its index object, and is empty again. `None` if nothing waited.
    ///
    /// # Errors
    /// [`RepositoryError::NotSupported`] in a plain repository, [`RepositoryError::Store`] if one of the two could not be put;
    /// what waited is dropped then, and a pack that is there without its index object is none the worse.
    pub async fn write(&mut self, repository: &Repository) -> Result<Option<WrittenPack>, RepositoryError> {
        if repository.layout() == Layout::Plain {
            return Err(RepositoryError::NotSupported { operation: "write a pack", layout: Layout::Plain });
        }
        if self.is_empty() {
            return Ok(None);
        }
        let table = std::mem::take(&mut self.table);
        let index = Bytes::from(table.encode());
        let mut body = std::mem::take(&mut self.body);
        body.extend_from_slice(&index);
        body.extend_from_slice(&trailer(index.len()));
        let body = body.freeze();
        let bytes = body.len() as u64;
        let id = put_fresh(repository.store(), body.clone()).await?;
        // The same memory for the next one: given back and asked for again, it would come in pieces that nobody gets back.
        if let Ok(mut body) = body.try_into_mut() {
            body.clear();
            self.body = body;
        }
        let path = index_path(&id);
        create(repository.store(), &path, index.clone()).await.map_err(|source| store("write", &path, source))?;
        Ok(Some(WrittenPack { id, bytes, written: bytes + index.len() as u64, table }))
    }
}

/// Puts `body` under a fresh name. A store that retries by itself may find its own first try there; then another name is taken, and
/// the first one is a pack without index object, which prune removes.
async fn put_fresh(to: &dyn ObjectStore, body: Bytes) -> Result<ObjectId, RepositoryError> {
    let mut tries = 3;
    loop {
        let id = ObjectId::random()?;
        let path = PackName::Object(id).path();
        tries -= 1;
        match create(to, &path, body.clone()).await {
            Ok(()) => return Ok(id),
            Err(object_store::Error::AlreadyExists { .. }) if tries > 0 => {}
            Err(source) => return Err(store("write", &path, source)),
        }
    }
}

/// Puts an object that must not be there yet.
pub(crate) async fn create(to: &dyn ObjectStore, path: &Path, bytes: Bytes) -> Result<(), object_store::Error> {
    to.put_opts(path, bytes.into(), PutOptions::from(PutMode::Create)).await.map(drop)
}

/// A store's error with what was tried on which object.
pub(crate) fn store(operation: &'static str, path: &Path, source: object_store::Error) -> RepositoryError {
    RepositoryError::Store { operation, object: path.to_string(), source }
}

/// The table at the end of a pack of `bytes` bytes, and the table's own bytes.
///
/// # Errors
/// [`RepositoryError::Store`] if the pack cannot be read, [`RepositoryError::Table`] if its end is not a table of that pack.
pub async fn read_table(from: &dyn ObjectStore, pack: &Path, bytes: u64) -> Result<(Table, Bytes), RepositoryError> {
    let damaged = |source| RepositoryError::Table { object: pack.to_string(), source };
    if bytes < TRAILER {
        return Err(damaged(TableError::Trailer));
    }
    let end = from.get_range(pack, bytes - TRAILER..bytes).await.map_err(|source| store("read", pack, source))?;
    let len = table_len(&end, bytes).map_err(damaged)?;
    if len == 0 {
        return Err(damaged(TableError::Trailer));
    }
    let table = bytes - TRAILER - len..bytes - TRAILER;
    let table = from.get_range(pack, table).await.map_err(|source| store("read", pack, source))?;
    let decoded = Table::decode(&table).map_err(damaged)?;
    // Here the pack's size is known exactly: nothing may lie between the frames and the table.
    let end = decoded.end() + len + TRAILER;
    if end == bytes { Ok((decoded, table)) } else { Err(damaged(TableError::Size { end, pack: bytes })) }
}
