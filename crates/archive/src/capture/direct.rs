//! The single pass: what is read goes into the archive at once.
//!
//! For jobs that stop nothing, and where nobody waits. What the stock knows is taken from there all the same.

use super::{CaptureError, Output, assemble::Assembler, audit::Audit, sink::Sink};
use crate::{
    Class, Entry,
    stock::{Key, Piece, Remembered, Rows, Span, Stock},
};

/// The archive, and what to remember of it.
pub(super) struct Direct<O> {
    pub(super) stock: Stock,
    pub(super) assembler: Assembler<O>,
    pub(super) pieces: Rows<Remembered>,
    audit: Audit,
    begun: u32,
    handed: u32,
}

impl<O: Output> Direct<O> {
    pub(super) fn new(stock: Stock, assembler: Assembler<O>) -> Self {
        Self { stock, assembler, pieces: Rows::default(), audit: Audit::default(), begun: 0, handed: 0 }
    }

    /// Writes what is under way. Returns what the audit found.
    pub(super) fn settle(&mut self) -> Result<Vec<String>, CaptureError> {
        self.assembler.settle(&self.stock)?;
        let wrong = self.audit.differences(&self.stock, |place| self.assembler.id(place));
        if !wrong.is_empty() {
            self.pieces = Rows::default();
        }
        Ok(wrong)
    }
}

impl<O: Output> Sink for Direct<O> {
    fn stock(&self) -> &Stock {
        &self.stock
    }

    fn written(&self) -> u64 {
        self.assembler.written()
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), CaptureError> {
        self.assembler.entry(entry)
    }

    fn take(&mut self, piece: u32) -> Result<(), CaptureError> {
        self.pieces.push(Remembered { piece, first: self.handed });
        let span = self.stock.pieces[piece].span;
        for number in self.stock.order(span) {
            self.assembler.held(*number, &self.stock)?;
        }
        self.handed += span.count;
        Ok(())
    }

    fn begin(&mut self, shown: &[u8], audited: Option<u32>) {
        self.begun = self.handed;
        self.audit.begin(shown, audited.map(|piece| self.stock.pieces[piece].span));
    }

    fn chunk(&mut self, chunk: Vec<u8>) -> Result<(), CaptureError> {
        self.handed += 1;
        self.assembler.chunk(chunk, &self.stock)
    }

    fn end(&mut self, key: Option<Key>, class: Option<Class>) {
        let span = Span { first: self.begun, count: self.handed - self.begun, class };
        self.audit.end(span, key.is_none());
        if let Some(key) = key {
            let piece = self.stock.pieces.add_unnamed(Piece { key, span });
            self.pieces.push(Remembered { piece, first: self.begun });
        }
    }
}
