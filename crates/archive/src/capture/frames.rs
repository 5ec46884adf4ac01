//! Chunks become frames in the file and lines in the manifest.
//!
//! Invariant: frames stand in the file in the order of the stream, and each has its line. Chunks wait until there are [`BATCH`] bytes
//! of them, so that several threads have something to do; dealt out in turn and collected in order, they give the same file for any
//! number of threads. Only the time that services are away differs.

use std::io::Write;
use std::sync::mpsc::Receiver;

use super::{CaptureError, CaptureOptions};
use crate::{Compressor, FrameId, FrameRef, ManifestWriter};

/// Chunks compressed together, in bytes.
pub(super) const BATCH: usize = 8 << 20;

/// The frames' side of the stream.
pub(super) struct Frames<W> {
    out: W,
    chunks: Receiver<Vec<u8>>,
    waiting: Vec<Vec<u8>>,
    waiting_len: usize,
    compressors: Vec<Compressor>,
    lengths: Vec<(u32, u32)>,
    written: u64,
}

impl<W: Write> Frames<W> {
    /// Writes to `out` what comes out of `chunks`.
    pub(super) fn new(out: W, chunks: Receiver<Vec<u8>>, options: &CaptureOptions) -> Result<Self, CaptureError> {
        let compressors = (0..options.threads.max(1)).map(|_| Compressor::new(options.level)).collect::<Result<_, _>>();
        let compressors = compressors.map_err(CaptureError::Frame)?;
        Ok(Self { out, chunks, waiting: Vec::new(), waiting_len: 0, compressors, lengths: Vec::new(), written: 0 })
    }

    /// Length in the file and raw length of each frame so far.
    pub(super) fn lengths(&self) -> &[(u32, u32)] {
        &self.lengths
    }

    /// Bytes of all frames so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The file, and the frames' lengths.
    pub(super) fn into_parts(self) -> (W, Vec<(u32, u32)>) {
        (self.out, self.lengths)
    }

    /// Compresses and writes the chunks that wait, if they are more than `most` bytes.
    pub(super) fn write(&mut self, most: usize, manifest: &mut ManifestWriter<Vec<u8>>) -> Result<(), CaptureError> {
        for chunk in self.chunks.try_iter() {
            self.waiting_len += chunk.len();
            self.waiting.push(chunk);
        }
        if self.waiting_len <= most {
            return Ok(());
        }
        let chunks = std::mem::take(&mut self.waiting);
        self.waiting_len = 0;
        for (chunk, (id, frame)) in chunks.iter().zip(compress(&mut self.compressors, &chunks)?) {
            self.out.write_all(&frame).map_err(CaptureError::Write)?;
            // Both are bounded by the longest frame.
            let (raw, len) = (chunk.len() as u32, frame.len() as u32);
            manifest.frame(&FrameRef { id, raw, len }).map_err(CaptureError::Manifest)?;
            self.lengths.push((len, raw));
            self.written += u64::from(len);
        }
        Ok(())
    }
}

type Frame = (FrameId, Vec<u8>);

fn one(compressor: &mut Compressor, chunk: &[u8]) -> Result<Frame, CaptureError> {
    Ok((FrameId::of(chunk), compressor.compress(chunk).map_err(CaptureError::Frame)?))
}

/// Hashes and compresses `chunks`, dealt out to the compressors in turn; the result is in their order.
fn compress(compressors: &mut [Compressor], chunks: &[Vec<u8>]) -> Result<Vec<Frame>, CaptureError> {
    let hands = compressors.len().min(chunks.len());
    if let ([compressor, ..], 1) = (&mut *compressors, hands) {
        return chunks.iter().map(|chunk| one(compressor, chunk)).collect();
    }
    let dealt: Vec<Result<Vec<Frame>, CaptureError>> = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (hand, compressor) in compressors.iter_mut().take(hands).enumerate() {
            threads.push(scope.spawn(move || chunks.iter().skip(hand).step_by(hands).map(|chunk| one(compressor, chunk)).collect()));
        }
        threads.into_iter().map(|thread| thread.join().unwrap_or(Err(CaptureError::Thread))).collect()
    });
    let mut hands_full = dealt.into_iter().map(|frames| frames.map(Vec::into_iter)).collect::<Result<Vec<_>, _>>()?;
    (0..chunks.len()).map(|number| hands_full[number % hands].next().ok_or(CaptureError::Thread)).collect()
}
