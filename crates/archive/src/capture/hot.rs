//! The hot pass: services run, and everything is read that the stock does not know, into the stock.
//!
//! It makes no archive. What it leaves is a stock that knows each piece as it is now, compressed, so that the cold pass has to read only
//! what changes from now on. Pieces that nobody may know by times (see [`super::watch`]) are read too: their chunks will be found by id.

use super::{
    CaptureError, CaptureOptions,
    audit::Audit,
    pool::{Done, Job, Made, Pool},
    sink::Sink,
};
use crate::{
    Class, Entry,
    stock::{Form, Key, Piece, Span, Stock},
};

/// A stock that is being filled.
pub(super) struct Hot {
    stock: Stock,
    pool: Pool,
    audit: Audit,
    /// Where in the order the next chunk and the piece under way stand.
    next: u32,
    begun: u32,
}

impl Hot {
    pub(super) fn new(mut stock: Stock, options: &CaptureOptions) -> Result<Self, CaptureError> {
        let pool = Pool::new(options, &stock.ids(), true)?;
        let next = stock.next();
        stock.due = 0;
        Ok(Self { stock, pool, audit: Audit::default(), next, begun: next })
    }

    /// The filled stock, and what the audit found; then the stock knows no pieces.
    pub(super) fn finish(mut self) -> Result<(Stock, Vec<String>), CaptureError> {
        while self.advance()? {}
        let Self { mut stock, audit, .. } = self;
        let id = |place| stock.held(stock.order(Span { first: place, count: 1, class: None })[0]).id;
        let wrong = audit.differences(&stock, |place| Some(id(place)));
        if !wrong.is_empty() {
            stock.forget_pieces();
        }
        Ok((stock, wrong))
    }

    fn advance(&mut self) -> Result<bool, CaptureError> {
        let Some(answer) = self.pool.next() else { return Ok(false) };
        let Done { id, raw, made, .. } = answer?;
        let number = match made {
            Made::Known(number) => number,
            Made::Frame(frame, sum) => self.stock.keep(id, raw, &frame, Form::Frame(Some(sum))).map_err(CaptureError::Scratch)?,
            Made::Raw(chunk) => self.stock.keep(id, raw, &chunk, Form::Raw).map_err(CaptureError::Scratch)?,
        };
        self.stock.line_up(number);
        self.stock.due += u64::from(self.stock.held(number).len);
        Ok(true)
    }
}

impl Sink for Hot {
    fn stock(&self) -> &Stock {
        &self.stock
    }

    fn written(&self) -> u64 {
        self.stock.kept()
    }

    fn entry(&mut self, _entry: &Entry) -> Result<(), CaptureError> {
        Ok(())
    }

    fn take(&mut self, piece: u32) -> Result<(), CaptureError> {
        // It is known, and stays so.
        let frames = self.stock.order(self.stock.pieces[piece].span);
        self.stock.due += frames.iter().map(|number| u64::from(self.stock.held(*number).len)).sum::<u64>();
        Ok(())
    }

    fn begin(&mut self, shown: &[u8], audited: Option<u32>) {
        self.begun = self.next;
        self.audit.begin(shown, audited.map(|piece| self.stock.pieces[piece].span));
        if let Some(piece) = audited {
            // Known again if it was at rest while it was read.
            self.stock.pieces.hide(piece);
        }
    }

    fn chunk(&mut self, chunk: Vec<u8>) -> Result<(), CaptureError> {
        while self.pool.is_full(chunk.len()) {
            self.advance()?;
        }
        self.next += 1;
        self.pool.push(Job::Chunk(chunk))
    }

    fn end(&mut self, key: Option<Key>, class: Option<Class>) {
        let span = Span { first: self.begun, count: self.next - self.begun, class };
        self.audit.end(span, key.is_none());
        if let Some(key) = key {
            self.stock.name(Piece { key, span });
        }
    }
}
