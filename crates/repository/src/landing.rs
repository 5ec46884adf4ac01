//! Packs that come in over a slow line: each frame goes to the disk as it arrives, and is found there again after a kill.
//!
//! A pack in the making is a file `.arriving-…` beside the repository's objects, which holds frames and nothing else. Frames say how
//! long they are and prove what they are, so after a kill, or a power cut, the next pull reads that file from its beginning, keeps the frames that
//! are whole, and goes on behind them. Nothing is synced before the pack is full: what a power cut takes is never believed, only fetched again.
//!
//! Writing, and syncing what is full, run beside the transfer on threads of their own; in memory lies only what waits for them.

use std::{
    io::{self, IoSlice, Read, Seek, SeekFrom, Write},
    mem,
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use object_store::path::Path;
use offsite_archive::{FrameId, TornReader};
use tokio::{sync::mpsc, task};

use crate::{
    LocalError, LocalStore, MAX_FRAME_LEN, ObjectId, PackFacts, PackName, RepositoryError, Staged, Table, index_path, pack::store,
    table::trailer,
};

/// Batches that wait for the disk.
const WAITING: usize = 2;
/// Bytes that a torn file is read by.
const STEP: usize = 1 << 20;

/// A pack that is there, synced, with its index object.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) facts: PackFacts,
    pub(crate) table: Table,
    /// Bytes of pack and index object together.
    pub(crate) written: u64,
}

/// Frames that were decoded and hashed, to be written one after the other. Whatever the batch keeps besides is let go when they are.
pub(crate) trait Batch: Send + 'static {
    fn frames(&self) -> impl Iterator<Item = (FrameId, u32, &Bytes)>;
}

/// The way in.
pub(crate) struct Landing<B> {
    sender: mpsc::Sender<B>,
    landed: mpsc::UnboundedReceiver<Landed>,
    work: task::JoinHandle<Result<(), RepositoryError>>,
}

impl<B: Batch> Landing<B> {
    /// Packs of `target` bytes and less than one frame more.
    pub(crate) fn new(local: LocalStore, target: u64) -> Self {
        let (sender, mut receiver) = mpsc::channel::<B>(WAITING);
        let (done, landed) = mpsc::unbounded_channel();
        let work = task::spawn_blocking(move || {
            let mut packs = Packs { local, target, current: None, syncing: None, done };
            let mut result = Ok(());
            while let (Ok(()), Some(batch)) = (&result, receiver.blocking_recv()) {
                result = packs.write(&batch);
            }
            // Also after an error: what arrived is good, and the next try need not ask for it again.
            let finished = packs.finish();
            result.and(finished)
        });
        Self { sender, landed, work }
    }

    /// The packs that landed since this was asked, for who takes them as they come: all of an archive's tables at its end are megabytes.
    pub(crate) fn landed(&mut self) -> impl Iterator<Item = Landed> {
        std::iter::from_fn(|| self.landed.try_recv().ok())
    }

    /// Hands over frames. `false` if the disk failed: [`Landing::finish`] tells how.
    pub(crate) async fn push(&self, batch: B) -> bool {
        self.sender.send(batch).await.is_ok()
    }

    /// Waits until all that was handed over is in packs; those that are there, and were not told yet, are told also after an error.
    pub(crate) async fn finish(mut self) -> (Vec<Landed>, Result<(), RepositoryError>) {
        drop(self.sender);
        let result = self.work.await.unwrap_or_else(|error| {
            let failed = LocalError::interrupted("write a pack", error);
            Err(store("write", &Path::from("packs"), failed.of_object("packs")))
        });
        (std::iter::from_fn(|| self.landed.try_recv().ok()).collect(), result)
    }
}

struct Packs {
    local: LocalStore,
    target: u64,
    current: Option<Arrival>,
    syncing: Option<JoinHandle<Result<Option<Landed>, RepositoryError>>>,
    done: mpsc::UnboundedSender<Landed>,
}

impl Packs {
    fn write<B: Batch>(&mut self, batch: &B) -> Result<(), RepositoryError> {
        let mut frames = batch.frames().peekable();
        while frames.peek().is_some() {
            let current = match &mut self.current {
                Some(current) => current,
                none => none.insert(Arrival::new(&self.local)?),
            };
            current.write(&mut frames, self.target)?;
            if current.table.end() >= self.target {
                self.full()?;
            }
        }
        Ok(())
    }

    /// Syncs the current pack beside what comes next.
    fn full(&mut self) -> Result<(), RepositoryError> {
        let Some(arrival) = self.current.take() else { return Ok(()) };
        self.synced()?;
        let local = self.local.clone();
        let syncing = thread::Builder::new().spawn(move || arrival.land(&local));
        // Without a thread its file stays, for the next time.
        self.syncing = Some(syncing.map_err(|source| failed(LocalError::io("start a thread to sync", self.local.root(), source)))?);
        Ok(())
    }

    fn synced(&mut self) -> Result<(), RepositoryError> {
        let Some(syncing) = self.syncing.take() else { return Ok(()) };
        match syncing.join() {
            Ok(landed) => self.tell(landed?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), RepositoryError> {
        let before = self.synced();
        let last = self.current.take().map_or(Ok(()), |arrival| arrival.land(&self.local).map(|landed| self.tell(landed)));
        before.and(last)
    }

    fn tell(&self, landed: Option<Landed>) {
        if let Some(landed) = landed {
            // Who does not listen any more has given up the copy; the next one reads the pack's index object.
            let _ = self.done.send(landed);
        }
    }
}

/// A pack in the making. Its file stays until it is a pack.
struct Arrival {
    file: Staged,
    table: Table,
}

impl Arrival {
    fn new(local: &LocalStore) -> Result<Self, RepositoryError> {
        Ok(Self { file: local.arrival().map_err(failed)?, table: Table::default() })
    }

    /// Takes frames until there are none, or the pack has `target` bytes. They are in the file when this returns: a kill finds them there.
    fn write<'b>(&mut self, frames: &mut impl Iterator<Item = (FrameId, u32, &'b Bytes)>, target: u64) -> Result<(), RepositoryError> {
        let before = self.table.end();
        let mut slices = Vec::new();
        while self.table.end() < target
            && let Some((id, raw, encoded)) = frames.next()
        {
            slices.push(IoSlice::new(encoded));
            // A frame that was fetched is at most MAX_FRAME_LEN long.
            self.table.push(id, u32::try_from(encoded.len()).unwrap_or(u32::MAX), raw);
        }
        write_all(&mut self.file, &mut slices).map_err(|source| {
            // What went in half is no frame, and of what did not go in nothing is there: the pack ends before them.
            self.table.cut(before);
            failed(LocalError::io("write", &self.file.path(), source))
        })
    }

    /// Makes the pack, then its index object, both durable. `None` if no frame is left in it.
    fn land(mut self, local: &LocalStore) -> Result<Option<Landed>, RepositoryError> {
        if self.table.entries().is_empty() {
            self.file.discard();
            return Ok(None);
        }
        let index = self.table.encode();
        let tail = [&index[..], &trailer(index.len())].concat();
        let end = self.table.end();
        self.file.cut(end).map_err(failed)?;
        self.file.write_all(&tail).map_err(|source| failed(LocalError::io("write", &self.file.path(), source)))?;
        let id = ObjectId::random()?;
        put(local, self.file, &PackName::Object(id).path())?;
        let mut file = local.stage().map_err(failed)?;
        file.write_all(&index).map_err(|source| failed(LocalError::io("write", &file.path(), source)))?;
        put(local, file, &index_path(&id))?;
        let facts = PackFacts { name: PackName::Object(id), bytes: end + tail.len() as u64 };
        Ok(Some(Landed { written: facts.bytes + index.len() as u64, facts, table: self.table }))
    }
}

/// Without a copy: the frames lie where the line put them.
fn write_all(file: &mut Staged, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn put(local: &LocalStore, file: Staged, path: &Path) -> Result<(), RepositoryError> {
    local.publish(file, path).map_err(|error| store("write", path, error.of_object(path.as_ref())))
}

fn failed(error: LocalError) -> RepositoryError {
    store("write", &Path::from("packs"), error.of_object("packs"))
}

/// What a transfer left behind that was killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Frames that had arrived.
    pub frames: u64,
    /// Their encoded bytes.
    pub bytes: u64,
}

/// Makes packs of what killed transfers left in the folder of a repository of layout packs: each frame that is whole is kept. To be called when
/// nobody else copies into it, and before its index is read.
///
/// # Errors
/// [`RepositoryError::Store`] if the disk fails. What could not be recovered stays for the next time.
pub async fn recover_arrivals(local: &LocalStore) -> Result<Recovered, RepositoryError> {
    let local = local.clone();
    let work = task::spawn_blocking(move || {
        let mut recovered = Recovered::default();
        for file in local.arrivals().map_err(failed)? {
            if let Some(landed) = recover(&local, file)? {
                recovered.frames += landed.table.entries().len() as u64;
                recovered.bytes += landed.table.end();
            }
        }
        Ok(recovered)
    });
    work.await.unwrap_or_else(|error| Err(failed(LocalError::interrupted("recover a pack", error))))
}

fn recover(local: &LocalStore, mut file: Staged) -> Result<Option<Landed>, RepositoryError> {
    let mut reader = TornReader::new().map_err(|error| failed(LocalError::io("read", &file.path(), io::Error::other(error))))?;
    let mut table = Table::default();
    let mut window: Vec<u8> = Vec::new();
    let mut begin = 0;
    let mut ended = false;
    let read = |source| failed(LocalError::io("read", local.root(), source));
    file.seek(SeekFrom::Start(0)).map_err(read)?;
    loop {
        if !ended && window.len() - begin < MAX_FRAME_LEN as usize {
            window.drain(..mem::take(&mut begin));
            let more = (MAX_FRAME_LEN as usize + STEP) as u64;
            ended = Read::by_ref(&mut file).take(more).read_to_end(&mut window).map_err(read)? as u64 != more;
        }
        let Some(frame) = reader.first(&window[begin..]) else { break };
        table.push(frame.id, frame.len, frame.raw);
        begin += frame.len as usize;
    }
    if table.entries().is_empty() {
        file.discard();
        return Ok(None);
    }
    Arrival { file, table }.land(local)
}
