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
    stock::{Scratch, Sum, sum},
};

/// Text handed over at once, in bytes.
const BATCH: usize = 256 << 10;
/// Batches that may wait.
const WAITING: usize = 4;
/// Bytes of the packed manifest that go to the scratch file at once.
const PART: usize = 64 << 10;

/// A manifest under way.
pub(super) struct Scribe(TextWriter<Batches>);

impl Scribe {
    /// A manifest that begins with `head`, and grows in `scratch`.
    pub(super) fn new(head: &Head, scratch: Scratch) -> Result<Self, CaptureError> {
        let mut text = TextWriter::new(Batches::new(scratch).map_err(CaptureError::Manifest)?);
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

/// Bytes that grow on the disk: those of a manifest are megabytes, and nobody needs them before the frames and their tables are gone.
struct Parts {
    scratch: Scratch,
    /// Where each part lies, and its sum.
    done: Vec<(u64, Sum)>,
    last: Vec<u8>,
}

impl Parts {
    /// All of them.
    fn together(self) -> io::Result<Vec<u8>> {
        let mut all = Vec::with_capacity(self.done.len() * PART + self.last.len());
        all.resize(self.done.len() * PART, 0);
        for ((at, expected), part) in self.done.into_iter().zip(all.chunks_exact_mut(PART)) {
            self.scratch.read(at, part)?;
            if sum(part) != expected {
                return Err(io::Error::other("the scratch file gives back other bytes than were written to it"));
            }
        }
        all.extend_from_slice(&self.last);
        Ok(all)
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.len() == PART {
            self.done.push((self.scratch.append(&self.last)?, sum(&self.last)));
            self.last.clear();
        }
        let now = bytes.len().min(PART - self.last.len());
        self.last.extend_from_slice(&bytes[..now]);
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
    fn new(scratch: Scratch) -> io::Result<Self> {
        let mut packer = packer(Parts { scratch, done: Vec::new(), last: Vec::with_capacity(PART) })?;
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
        self.stop()?.finish()?.together()
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::Stock;

    #[test]
    fn parts_come_back_as_they_were_or_not_at_all() {
        let file = tempfile::tempfile().unwrap();
        let scratch = Stock::new(file.try_clone().unwrap()).scratch();
        let text: Vec<u8> = (0..3 * PART + 5).map(|number| (number % 251) as u8).collect();
        let written = || {
            let mut parts = Parts { scratch: scratch.clone(), done: Vec::new(), last: Vec::new() };
            for piece in text.chunks(PART / 2 + 1) {
                parts.write_all(piece).unwrap();
                // Others append as well.
                scratch.append(b"a frame").unwrap();
            }
            parts
        };
        assert!(written().together().unwrap() == text);
        let parts = written();
        file.write_all_at(b"rot", parts.done[1].0).unwrap();
        assert!(parts.together().is_err());
    }
}
