//! The cold pass: services are away, and seconds count.
//!
//! What the stock knows is not read. The rest is read, cut and hashed, and what is new is put aside as it is: nothing is compressed and
//! nothing of the archive is written before the services are back. What comes out is the list of the archive's frames, each in the stock.

use std::{collections::VecDeque, sync::atomic::Ordering};

use super::{
    CaptureError, CaptureOptions, Output,
    assemble::Assembler,
    pool::{Done, Job, Made, Pool},
    scribe::Scribe,
    sink::Sink,
};
use crate::{
    Class, Entry,
    stock::{Form, Key, Remembered, Rows, Stock},
};

/// The list of frames while it grows.
pub(super) struct Cold {
    stock: Stock,
    pool: Pool,
    scribe: Scribe,
    frames: Vec<u32>,
    /// Places in `frames` whose frame is still being hashed.
    open: VecDeque<usize>,
    pieces: Rows<Remembered>,
}

/// The finished list, with all that is needed to make the archive of it.
pub(super) struct Recorded {
    stock: Stock,
    scribe: Scribe,
    frames: Vec<u32>,
    pub(super) pieces: Rows<Remembered>,
}

impl Cold {
    pub(super) fn new(stock: Stock, scribe: Scribe, options: &CaptureOptions) -> Result<Self, CaptureError> {
        let pool = Pool::new(options, &stock.ids(), false)?;
        Ok(Self { stock, pool, scribe, frames: Vec::new(), open: VecDeque::new(), pieces: Rows::default() })
    }

    /// Waits until all that was read is in the stock.
    pub(super) fn settle(&mut self) -> Result<(), CaptureError> {
        while self.advance()? {}
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Recorded, CaptureError> {
        self.settle()?;
        Ok(Recorded { stock: self.stock, scribe: self.scribe, frames: self.frames, pieces: self.pieces })
    }

    fn advance(&mut self) -> Result<bool, CaptureError> {
        let Some(answer) = self.pool.next() else { return Ok(false) };
        let Done { id, raw, made, .. } = answer?;
        let number = match made {
            Made::Known(number) => number,
            Made::Raw(chunk) => self.stock.keep(id, raw, &chunk, Form::Raw).map_err(CaptureError::Scratch)?,
            Made::Frame(frame, sum) => self.stock.keep(id, raw, &frame, Form::Frame(Some(sum))).map_err(CaptureError::Scratch)?,
        };
        let place = self.open.pop_front().ok_or(CaptureError::Thread)?;
        self.frames[place] = number;
        Ok(true)
    }
}

impl Recorded {
    /// Hands every frame to an archive that goes to `out`.
    pub(super) fn assemble<O: Output>(
        self,
        out: O,
        sequence: u64,
        options: &CaptureOptions,
    ) -> Result<(Assembler<O>, Stock, Rows<Remembered>), CaptureError> {
        let mut assembler = Assembler::new(out, sequence, self.scribe, &self.stock.ids(), options)?;
        for number in &self.frames {
            if options.stop.load(Ordering::SeqCst) {
                return Err(CaptureError::Stopped);
            }
            assembler.held(*number, &self.stock)?;
        }
        Ok((assembler, self.stock, self.pieces))
    }
}

impl Sink for Cold {
    fn stock(&self) -> &Stock {
        &self.stock
    }

    fn written(&self) -> u64 {
        self.stock.kept()
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), CaptureError> {
        self.scribe.entry(entry)
    }

    fn take(&mut self, piece: u32) -> Result<(), CaptureError> {
        self.pieces.push(Remembered { piece, first: self.frames.len() as u32 });
        self.frames.extend_from_slice(self.stock.order(self.stock.pieces[piece].span));
        Ok(())
    }

    fn begin(&mut self, _shown: &[u8], _audited: Option<u32>) {}

    fn chunk(&mut self, chunk: Vec<u8>) -> Result<(), CaptureError> {
        while self.pool.is_full(chunk.len()) {
            self.advance()?;
        }
        self.open.push_back(self.frames.len());
        self.frames.push(u32::MAX);
        self.pool.push(Job::Chunk(chunk))
    }

    // What is read now is not remembered: no pass has written out the dirty pages beneath it. The next hot pass reads it.
    fn end(&mut self, _key: Option<Key>, _class: Option<Class>) {}
}
