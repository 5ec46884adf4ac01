//! Writes the manifest in a thread of its own.
//!
//! Its lines are compressed while sources are read; the pass, for which services wait, only hands them over. What goes wrong is told by
//! whoever asks next, at the latest by [`Scribe::end`].

use std::{
    io,
    sync::mpsc::{SyncSender, sync_channel},
    thread::JoinHandle,
};

use super::CaptureError;
use crate::{End, Entry, FrameRef, Head, Line, ManifestWriter};

/// Lines that may wait.
const WAITING: usize = 256;

type Writer = ManifestWriter<Vec<u8>>;

/// A manifest under way.
pub(super) struct Scribe {
    lines: Option<SyncSender<Line>>,
    thread: Option<JoinHandle<io::Result<Writer>>>,
}

impl Scribe {
    /// A manifest that begins with `head`.
    pub(super) fn new(head: &Head) -> Result<Self, CaptureError> {
        let mut writer = ManifestWriter::new(Vec::new()).map_err(CaptureError::Manifest)?;
        writer.head(head).map_err(CaptureError::Manifest)?;
        let (lines, waiting) = sync_channel(WAITING);
        let thread = std::thread::spawn(move || {
            for line in waiting {
                match line {
                    Line::Entry(entry) => writer.entry(&entry)?,
                    Line::Frame(frame) => writer.frame(&frame)?,
                    Line::Head(_) | Line::End(_) => return Err(io::Error::other("a line out of turn")),
                }
            }
            Ok(writer)
        });
        Ok(Self { lines: Some(lines), thread: Some(thread) })
    }

    /// Writes a member's line.
    pub(super) fn entry(&mut self, entry: &Entry) -> Result<(), CaptureError> {
        self.line(Line::Entry(entry.clone()))
    }

    /// Writes a frame's line.
    pub(super) fn frame(&mut self, frame: FrameRef) -> Result<(), CaptureError> {
        self.line(Line::Frame(frame))
    }

    /// Writes the last line. Returns the manifest object's bytes.
    pub(super) fn end(mut self, end: &End) -> Result<Vec<u8>, CaptureError> {
        self.stop()?.end(end).map_err(CaptureError::Manifest)
    }

    fn line(&mut self, line: Line) -> Result<(), CaptureError> {
        let sent = self.lines.as_ref().is_some_and(|lines| lines.send(line).is_ok());
        // Nobody takes lines any more: the thread has ended, and says why.
        if sent { Ok(()) } else { self.stop().and(Err(CaptureError::Thread)) }
    }

    fn stop(&mut self) -> Result<Writer, CaptureError> {
        self.lines = None;
        let thread = self.thread.take().ok_or(CaptureError::Thread)?;
        thread.join().map_err(|_| CaptureError::Thread)?.map_err(CaptureError::Manifest)
    }
}
