//! Frames become the archive and its manifest.
//!
//! Invariant: frames are given out in the order of the stream, each has its line, and the digest is over just these. Where they come
//! from, from a chunk read a moment ago or from the stock, makes no difference to the archive, apart from which zstd made them. A frame
//! that lies in place is not touched: it waits in line here, without a thread, because there may be a hundred thousand of them.

use std::collections::VecDeque;

use super::{
    CaptureError, CaptureOptions, Captured, Output, RunFacts,
    pool::{Done, Hand, Job, Made, Pool},
    scribe::Scribe,
};
use crate::{
    Chunker, End, Entry, FrameId, FrameRef, FramesDigest, Head, MANIFEST_VERSION,
    stock::{Cache, Form, Ids, Remembered, Rows, Stock, Sum, UNKNOWN},
};

/// Where the next frame comes from.
enum Next {
    /// From the pool.
    Made,
    /// It lies in place: its number in the stock.
    InPlace(u32),
}

/// An archive under way.
pub(super) struct Assembler<O> {
    out: O,
    scribe: Scribe,
    sequence: u64,
    pool: Pool,
    hand: Hand,
    /// What was handed in and has not come out yet.
    next: VecDeque<Next>,
    digest: FramesDigest,
    lengths: Vec<(u32, u32)>,
    /// Of the frames, in order, where they will be fetched from a file again.
    sums: Rows<Sum>,
    /// The frames at hand, where those that are given lie in place afterwards.
    placed: Option<Ids>,
    /// The ids in order, where an audit will ask for them.
    ids: Option<Vec<FrameId>>,
    /// Bytes of all frames, and of those that were given out.
    bytes: u64,
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
    pub(super) pieces: Rows<Remembered>,
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

impl<O: Output> Assembler<O> {
    /// An archive that goes to `out`; its entries go, or went, to `scribe`. Chunks in `ids` are not compressed again.
    pub(super) fn new(out: O, sequence: u64, scribe: Scribe, ids: &Ids, options: &CaptureOptions) -> Result<Self, CaptureError> {
        Ok(Self {
            placed: out.keeps_once().then(|| ids.clone()),
            out,
            scribe,
            sequence,
            pool: Pool::new(options, ids, true)?,
            hand: Hand::new(options, ids, true)?,
            next: VecDeque::new(),
            digest: FramesDigest::new(),
            lengths: Vec::new(),
            sums: Rows::default(),
            ids: options.audit.then(Vec::new),
            bytes: 0,
            written: 0,
            fresh: 0,
        })
    }

    /// Bytes of frames given out so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The id of the frame at this place, for an audit. Only after [`Assembler::settle`].
    pub(super) fn id(&self, place: u32) -> Option<FrameId> {
        self.ids.as_ref()?.get(place as usize).copied()
    }

    pub(super) fn entry(&mut self, entry: &Entry) -> Result<(), CaptureError> {
        self.scribe.entry(entry)
    }

    /// The next frame is made of this chunk.
    pub(super) fn chunk(&mut self, chunk: Vec<u8>, stock: &Stock) -> Result<(), CaptureError> {
        self.make(Job::Chunk(chunk), stock)
    }

    /// The next frame is this one of the stock.
    pub(super) fn held(&mut self, number: u32, stock: &Stock) -> Result<(), CaptureError> {
        let held = stock.held(number);
        if held.form != Form::InPlace {
            return self.make(Job::Held(stock.shelf(&held), held), stock);
        }
        if self.next.is_empty() {
            return self.in_place(FrameRef { id: held.id, raw: held.raw, len: held.len });
        }
        self.next.push_back(Next::InPlace(number));
        Ok(())
    }

    /// Gives out all that was handed in.
    pub(super) fn settle(&mut self, stock: &Stock) -> Result<(), CaptureError> {
        while self.advance(stock)? {}
        Ok(())
    }

    fn make(&mut self, job: Job, stock: &Stock) -> Result<(), CaptureError> {
        while self.pool.is_full(job.raw()) {
            self.advance(stock)?;
        }
        self.pool.push(job)?;
        self.next.push_back(Next::Made);
        Ok(())
    }

    fn advance(&mut self, stock: &Stock) -> Result<bool, CaptureError> {
        let done = match self.next.pop_front() {
            None => return Ok(false),
            Some(Next::InPlace(number)) => {
                let held = stock.held(number);
                self.in_place(FrameRef { id: held.id, raw: held.raw, len: held.len })?;
                return Ok(true);
            }
            Some(Next::Made) => self.pool.next().ok_or(CaptureError::Thread)??,
        };
        let Done { id, raw, made, fresh } = done;
        match made {
            Made::Frame(frame, sum) => self.give(id, raw, &frame, sum, fresh)?,
            Made::Known(number) => {
                let held = stock.held(number);
                if held.form == Form::InPlace {
                    self.in_place(FrameRef { id, raw, len: held.len })?;
                    return Ok(true);
                }
                match self.hand.work(Job::Held(stock.shelf(&held), held))?.made {
                    Made::Frame(frame, sum) => self.give(id, raw, &frame, sum, fresh)?,
                    Made::Known(_) | Made::Raw(_) => return Err(CaptureError::Thread),
                }
            }
            Made::Raw(_) => return Err(CaptureError::Thread),
        }
        Ok(true)
    }

    fn give(&mut self, id: FrameId, raw: u32, bytes: &[u8], sum: Sum, fresh: bool) -> Result<(), CaptureError> {
        let frame = FrameRef { id, raw, len: bytes.len() as u32 };
        if let Some(len) = self.placed.as_ref().and_then(|ids| ids.put_in_place(frame)) {
            // Its twin was under way at the same time.
            return self.in_place(FrameRef { len, ..frame });
        }
        self.out.frame(&frame, bytes).map_err(CaptureError::Write)?;
        self.written += u64::from(frame.len);
        self.fresh += if fresh { u64::from(frame.len) } else { 0 };
        self.list(frame, sum)
    }

    fn in_place(&mut self, frame: FrameRef) -> Result<(), CaptureError> {
        self.out.in_place(&frame).map_err(CaptureError::Write)?;
        self.list(frame, UNKNOWN)
    }

    fn list(&mut self, frame: FrameRef, sum: Sum) -> Result<(), CaptureError> {
        let FrameRef { id, raw, len } = frame;
        self.scribe.frame(frame)?;
        self.digest.push(&id, raw);
        self.lengths.push((len, raw));
        if self.placed.is_none() {
            self.sums.push(sum);
        }
        if let Some(ids) = &mut self.ids {
            ids.push(id);
        }
        self.bytes += u64::from(len);
        Ok(())
    }

    /// Ends the archive with its manifest and its tail.
    pub(super) fn finish(mut self, totals: Totals, facts: RunFacts, stock: Stock) -> Result<Captured<O>, CaptureError> {
        self.settle(&stock)?;
        let Self { mut out, scribe, sequence, pool, hand, placed, digest, lengths, sums, bytes, fresh, .. } = self;
        // The frames are the largest thing in memory, the threads hold them too, and what follows makes the next largest.
        drop((pool, hand, placed));
        let known = stock.into_pieces();
        let mut notes = crate::notes::Notes::default();
        facts.warnings.into_iter().chain(totals.warnings).for_each(|text| notes.add(text));
        let end = End {
            entries: totals.entries,
            frames: lengths.len() as u64,
            raw: totals.raw,
            bytes,
            digest: digest.finish(),
            finished: facts.finished,
            quiesced: facts.quiesced,
            warnings: notes.into_texts(),
            complete: totals.complete && facts.complete,
        };
        let manifest = scribe.end(&end)?;
        out.end(&lengths, &manifest).map_err(CaptureError::Write)?;
        let cache = Cache { archive: (sequence, end.digest, end.frames as usize), sums, pieces: totals.pieces, known };
        Ok(Captured { out, manifest, end, cache, fresh, read: totals.read })
    }
}
