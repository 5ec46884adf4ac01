//! The audit: pieces that could be taken from the stock are read all the same, and compared.
//!
//! What rests on file times is worth an occasional look. A difference means that content changed without a new time: a file system that
//! lies, memory or disk that rots, or a defect of ours. Then nothing that is known by times counts any more.

use crate::{
    FrameId,
    notes::shown,
    stock::{Span, Stock},
};

/// Pieces that were read though they were known.
#[derive(Debug, Default)]
pub(super) struct Audit {
    begun: Option<(Vec<u8>, Span)>,
    /// Path, what was known, and where in the order of this pass the frames are that were read.
    read: Vec<(Vec<u8>, Span, Span)>,
}

impl Audit {
    /// A piece begins; with a span, it is known and will be compared.
    pub(super) fn begin(&mut self, path: &[u8], known: Option<Span>) {
        self.begun = known.map(|span| (path.to_vec(), span));
    }

    /// It has ended and gave the frames `found` of this pass. What changed while it was read proves nothing.
    pub(super) fn end(&mut self, found: Span, changed: bool) {
        if let Some((path, known)) = self.begun.take().filter(|_| !changed) {
            self.read.push((path, known, found));
        }
    }

    /// What differs, as warnings. `id` gives the frame at a place in the order of this pass.
    pub(super) fn differences(&self, stock: &Stock, id: impl Fn(u32) -> Option<FrameId>) -> Vec<String> {
        let same = |known: Span, found: Span| {
            let known = stock.order(known);
            known.len() == found.count as usize
                && known.iter().zip(found.first..).all(|(known, place)| Some(stock.held(*known).id) == id(place))
        };
        let wrong = self.read.iter().filter(|(_, known, found)| !same(*known, *found));
        wrong
            .map(|(path, ..)| {
                format!(
                    "/{}: its content is not what it was, though no time of the file has changed: everything is read again",
                    shown(path)
                )
            })
            .collect()
    }
}
