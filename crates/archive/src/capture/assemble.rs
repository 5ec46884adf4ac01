//! Frames become the archive's file and its manifest.
//!
//! Invariant: frames stand in the file in the order of the stream, each has its line, and the digest is over just these. Where they come
//! from, from a chunk read a moment ago or from the stock, makes no difference to the file, apart from which zstd made them.

use std::io::Write;

use super::{
    CaptureError, CaptureOptions, Captured, RunFacts,
    pool::{Done, Hand, Job, Made, Pool},
    scribe::Scribe,
};
use crate::{
    Chunker, End, Entry, FrameId, FrameRef, FramesDigest, Head, MANIFEST_VERSION,
    stock::{Ids, Remembered, Stock, Sum, write_cache},
    write_tail,
};

/// An archive under way.
pub(super) struct Assembler<W> {
    out: W,
    scribe: Scribe,
    sequence: u64,
    pool: Pool,
    hand: Hand,
    digest: FramesDigest,
    lengths: Vec<(u32, u32)>,
    sums: Vec<Sum>,
    ids: Vec<FrameId>,
    written: u64,
    fresh: u64,
}

/// What is known when the last frame was handed in.
pub(super) struct Totals {
    pub(super) entries: u64,
    pub(super) raw: u64,
    /// Bytes read from files.
    pub(super) read: u64,
    pub(super) complete: bool,
    /// Warnings of the passes; those of the run stand before them.
    pub(super) warnings: Vec<String>,
    pub(super) pieces: Vec<Remembered>,
}

/// Whether this version can write an archive of this head.
pub(super) fn check(head: &Head) -> Result<(), CaptureError> {
    if head.chunker != Chunker::files_1() {
        return Err(CaptureError::Head("its chunker is not files-1"));
    }
    if head.version != MANIFEST_VERSION {
        return Err(CaptureError::Head("its version is not the one that is written"));
    }
    Ok(())
}

impl<W: Write> Assembler<W> {
    /// An archive that goes to `out`; its entries go, or went, to `scribe`. Chunks in `ids` are not compressed again.
    pub(super) fn new(out: W, sequence: u64, scribe: Scribe, ids: &Ids, options: &CaptureOptions) -> Result<Self, CaptureError> {
        Ok(Self {
            out,
            scribe,
            sequence,
            pool: Pool::new(options, ids, true)?,
            hand: Hand::new(options, ids, true)?,
            digest: FramesDigest::new(),
            lengths: Vec::new(),
            sums: Vec::new(),
            ids: Vec::new(),
            written: 0,
            fresh: 0,
        })
    }

    /// Bytes of frames written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The id of the frame at this place. Only after [`Assembler::settle`].
    pub(super) fn id(&self, place: u32) -> FrameId {
        self.ids[place as usize]
    }

    pub(super) fn entry(&mut self, entry: &Entry) -> Result<(), CaptureError> {
        self.scribe.entry(entry)
    }

    /// The next frame is made of this chunk.
    pub(super) fn chunk(&mut self, chunk: Vec<u8>, stock: &Stock) -> Result<(), CaptureError> {
        while self.pool.is_full(chunk.len()) {
            self.advance(stock)?;
        }
        self.pool.push(Job::Chunk(chunk))
    }

    /// The next frame is this one of the stock.
    pub(super) fn held(&mut self, number: u32, stock: &Stock) -> Result<(), CaptureError> {
        let held = stock.held(number);
        while self.pool.is_full(held.raw as usize) {
            self.advance(stock)?;
        }
        self.pool.push(Job::Held(stock.shelf(held), *held))
    }

    /// Writes all that was handed in.
    pub(super) fn settle(&mut self, stock: &Stock) -> Result<(), CaptureError> {
        while self.advance(stock)? {}
        Ok(())
    }

    fn advance(&mut self, stock: &Stock) -> Result<bool, CaptureError> {
        let Some(answer) = self.pool.next() else { return Ok(false) };
        let Done { id, raw, made, fresh } = answer?;
        let (frame, sum) = match made {
            Made::Frame(frame, sum) => (frame, sum),
            Made::Known(number) => {
                let held = stock.held(number);
                match self.hand.work(Job::Held(stock.shelf(held), *held))?.made {
                    Made::Frame(frame, sum) => (frame, sum),
                    Made::Known(_) | Made::Raw(_) => return Err(CaptureError::Thread),
                }
            }
            Made::Raw(_) => return Err(CaptureError::Thread),
        };
        self.out.write_all(&frame).map_err(CaptureError::Write)?;
        let len = frame.len() as u32;
        self.scribe.frame(FrameRef { id, raw, len })?;
        self.digest.push(&id, raw);
        self.lengths.push((len, raw));
        self.sums.push(sum);
        self.ids.push(id);
        self.written += u64::from(len);
        self.fresh += if fresh { u64::from(len) } else { 0 };
        Ok(true)
    }

    /// Ends the archive with its manifest and its tail.
    pub(super) fn finish(mut self, totals: Totals, facts: RunFacts, stock: &Stock) -> Result<Captured<W>, CaptureError> {
        self.settle(stock)?;
        let mut notes = crate::notes::Notes::default();
        facts.warnings.into_iter().chain(totals.warnings).for_each(|text| notes.add(text));
        let end = End {
            entries: totals.entries,
            frames: self.lengths.len() as u64,
            raw: totals.raw,
            bytes: self.written,
            digest: self.digest.finish(),
            finished: facts.finished,
            quiesced: facts.quiesced,
            warnings: notes.into_texts(),
            complete: totals.complete && facts.complete,
        };
        let manifest = self.scribe.end(&end)?;
        write_tail(&mut self.out, self.lengths.into_iter(), &manifest).map_err(CaptureError::Write)?;
        let cache = write_cache(self.sequence, &end.digest, &self.sums, &totals.pieces);
        Ok(Captured { out: self.out, manifest, end, cache, fresh: self.fresh, read: totals.read })
    }
}
