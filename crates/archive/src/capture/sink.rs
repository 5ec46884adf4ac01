//! Where a pass takes its frames.
//!
//! The same walk serves three ends: the hot pass fills the stock, the cold pass writes down which frames the archive has, and a single
//! pass writes the archive at once. What differs between them is behind this trait; none of them sees a file.

use super::CaptureError;
use crate::{
    Class, Entry,
    stock::{Key, Stock},
};

/// Takes pieces in the order of the stream: each is either taken from the stock, or begun, given in chunks, and ended.
pub(super) trait Sink {
    /// The frames at hand.
    fn stock(&self) -> &Stock;

    /// Bytes of frames written so far.
    fn written(&self) -> u64;

    /// A member of the archive; it stands before the pieces that hold it.
    fn entry(&mut self, entry: &Entry) -> Result<(), CaptureError>;

    /// The frames of this piece of the stock.
    fn take(&mut self, piece: u32) -> Result<(), CaptureError>;

    /// A piece begins that has to be read. `shown` is a path in it; `audited` is what is known as this piece.
    fn begin(&mut self, shown: &[u8], audited: Option<u32>);

    /// A chunk of it.
    fn chunk(&mut self, chunk: Vec<u8>) -> Result<(), CaptureError>;

    /// It ends; with a key, it may be known by that from now on.
    fn end(&mut self, key: Option<Key>, class: Option<Class>);
}
