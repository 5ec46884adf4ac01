//! Writes the manifest, and packs it in a thread of its own.
//!
//! Its text is made where the lines come up, and compressed while sources are read: the pass, for which services wait, hands over text by
//! the quarter megabyte, because waking a thread for each line costs more than the line. What goes wrong there is told by whoever hands
//! over next, at the latest by [`Scribe::end`].

use std::{
    io::{self, Write},
    sync::mpsc::{SyncSender, sync_channel},
    thread::JoinHandle,
};

use super::CaptureError;
use crate::{
    End, Entry, FrameRef, Head,
    manifest::{Packer, TextWriter, packer},
};

/// Text handed over at once, in bytes.
const BATCH: usize = 256 << 10;
/// Batches that may wait.
const WAITING: usize = 4;
/// Bytes of the packed manifest that lie together while it grows.
const PART: usize = 64 << 10;

/// A manifest under way.
pub(super) struct Scribe(TextWriter<Batches>);

impl Scribe {
    /// A manifest that begins with `head`.
    pub(super) fn new(head: &Head) -> Result<Self, CaptureError> {
        let mut text = TextWriter::new(Batches::new().map_err(CaptureError::Manifest)?);
        text.head(head).map_err(CaptureError::Manifest)?;
        Ok(Self(text))
    }

    /// Writes a member's line.
    pub(super) fn entry(&mut self, entry: &Entry) -> Result<(), CaptureError> {
        self.0.entry(entry).map_err(CaptureError::Manifest)
    }

    /// Writes a frame's line.
    pub(super) fn frame(&mut self, frame: FrameRef) -> Result<(), CaptureError> {
        self.0.frame(&frame).map_err(CaptureError::Manifest)
    }

    /// Writes the last line. Returns the manifest object's bytes.
    pub(super) fn end(self, end: &End) -> Result<Vec<u8>, CaptureError> {
        let object = self.0.end(end).and_then(Batches::end);
        object.map_err(CaptureError::Manifest)
    }
}

/// Bytes that grow without moving: those of a manifest are megabytes, and beside all tables.
#[derive(Default)]
struct Parts(Vec<Vec<u8>>);

impl Parts {
    /// All of them. They go while that grows.
    fn together(self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.0.iter().map(Vec::len).sum());
        self.0.into_iter().for_each(|part| all.extend_from_slice(&part));
        all
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.last().is_none_or(|last| last.len() == PART) {
            self.0.push(Vec::with_capacity(PART));
        }
        let Some(last) = self.0.last_mut() else { return Ok(0) };
        let now = bytes.len().min(PART - last.len());
        last.extend_from_slice(&bytes[..now]);
        Ok(now)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands text to the thread that packs it.
struct Batches {
    batch: Vec<u8>,
    batches: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<io::Result<Packer<Parts>>>>,
}

impl Batches {
    fn new() -> io::Result<Self> {
        let mut packer = packer(Parts::default())?;
        let (batches, waiting) = sync_channel::<Vec<u8>>(WAITING);
        let thread = std::thread::spawn(move || {
            for batch in waiting {
                packer.write_all(&batch)?;
            }
            Ok(packer)
        });
        Ok(Self { batch: Vec::with_capacity(BATCH), batches: Some(batches), thread: Some(thread) })
    }

    fn end(mut self) -> io::Result<Vec<u8>> {
        self.flush()?;
        Ok(self.stop()?.finish()?.together())
    }

    fn stop(&mut self) -> io::Result<Packer<Parts>> {
        self.batches = None;
        let died = || io::Error::other("the thread that packs the manifest has died");
        self.thread.take().ok_or_else(died)?.join().map_err(|_| died())?
    }
}

impl Write for Batches {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if !self.batch.is_empty() && self.batch.len() + text.len() > BATCH {
            self.flush()?;
        }
        self.batch.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let sent = self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok());
        // Nobody takes batches any more: the thread has ended, and says why.
        if sent { Ok(()) } else { self.stop().and(Err(io::Error::other("the thread that packs the manifest has ended"))) }
    }
}
