//! The stock: frames that are at hand, and what was read to get them.
//!
//! An archive is mostly last night's. Its frames lie in last night's file, or in place where the next archive needs them as well, and a *piece* (a bundle, or the data of one large file) whose
//! files have not changed needs neither reading nor compressing: its frames are taken from the stock. Invariants: a frame is known by the
//! BLAKE3 of its raw bytes and is checked again when it is taken out of a file, so rot does not spread; a piece is known by everything that its
//! bytes depend on, and only if the file system is one where an unchanged time proves unchanged content (`docs/two-passes.md`).

mod cache;
mod piece;
mod rows;
mod scratch;

use std::{
    fs::File,
    io,
    sync::{Arc, PoisonError, RwLock},
};

pub use cache::{Cache, CacheError};
pub(crate) use piece::{Key, KeyMaker};
pub(crate) use rows::Rows;
pub use rows::{Keyed, Known};
pub(crate) use scratch::Scratch;

use crate::{Class, FrameId, FrameRef, Manifest};

/// BLAKE3 of a frame as it is stored, its first 16 bytes: finds rot without decoding. It never identifies anything.
pub(crate) type Sum = [u8; 16];

/// No sum: the frame lies in place and was not looked at. That a frame really has it costs a decoding, and happens never.
pub(crate) const UNKNOWN: Sum = [0; 16];

/// The sum of a stored frame.
pub(crate) fn sum(frame: &[u8]) -> Sum {
    let mut sum = Sum::default();
    sum.copy_from_slice(&blake3::hash(frame).as_bytes()[..16]);
    sum
}

/// How the bytes of a held frame lie in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a zstd frame; its sum, where that is known.
    Frame(Option<Sum>),
    /// As they are: read in a hurry, to be compressed later.
    Raw,
    /// As a zstd frame where the archive's frames are to be: nothing of it is fetched, checked or written.
    InPlace,
}

/// The number of no frame, and of no place.
const ABSENT: u32 = u32::MAX;
/// The shelf of the scratch file, for frames.
const SCRATCH: u32 = 0;
/// The same file, for what lies there as it is.
const HURRIED: u32 = 1;

/// A frame at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) id: FrameId,
    /// Raw length.
    pub(crate) raw: u32,
    /// Which file; of no meaning for what lies in place, as where in it.
    pub(crate) shelf: u32,
    /// Where in it.
    pub(crate) at: u64,
    /// Length there.
    pub(crate) len: u32,
    pub(crate) form: Form,
}

impl Held {
    /// Whether it was made by this capture.
    pub(crate) fn is_new(&self) -> bool {
        self.shelf <= HURRIED
    }
}

/// Frames in a row: those of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first one, as a place in [`Stock::order`].
    pub(crate) first: u32,
    pub(crate) count: u32,
    /// The class of a large file.
    pub(crate) class: Option<Class>,
}

/// A piece that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) key: Key,
    pub(crate) span: Span,
}

impl Keyed for Piece {
    type Key = Key;

    fn key(&self) -> &Key {
        &self.key
    }
}

/// A piece of the archive under way: its number among the known ones, and the place of its first frame in the archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remembered {
    pub(crate) piece: u32,
    pub(crate) first: u32,
}

/// What is known of a frame.
#[derive(Debug)]
struct Row {
    id: FrameId,
    raw: u32,
    len: u32,
    /// Which of the places; [`ABSENT`] where it lies in place.
    place: u32,
}

impl Keyed for Row {
    type Key = FrameId;

    fn key(&self) -> &FrameId {
        &self.id
    }
}

/// Where a frame lies in a file, in 28 bytes.
#[derive(Debug)]
struct Place {
    shelf: u32,
    at: [u32; 2],
    sum: Sum,
}

#[derive(Debug, Default)]
struct Frames {
    rows: Known<Row>,
    places: Rows<Place>,
}

/// All frames at hand, each once, with its number. Shared with the threads that ask before they compress.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ids(Arc<RwLock<Frames>>);

impl Ids {
    pub(crate) fn get(&self, id: &FrameId) -> Option<u32> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).rows.find(id)
    }

    fn held(&self, number: u32) -> Held {
        let frames = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Row { id, raw, len, place } = frames.rows[number];
        if place == ABSENT {
            return Held { id, raw, shelf: ABSENT, at: 0, len, form: Form::InPlace };
        }
        let Place { shelf, at: [low, high], sum } = frames.places[place];
        let form = if shelf == HURRIED { Form::Raw } else { Form::Frame((sum != UNKNOWN).then_some(sum)) };
        Held { id, raw, shelf, at: u64::from(low) | u64::from(high) << 32, len, form }
    }

    /// The number of the frame; one that is at hand already stays as it is.
    fn put(&self, Held { id, raw, shelf, at, len, form }: Held) -> u32 {
        let mut frames = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = frames.rows.len();
        let number = frames.rows.add(Row { id, raw, len, place: ABSENT });
        if frames.rows.len() > known && form != Form::InPlace {
            let sum = if let Form::Frame(Some(sum)) = form { sum } else { UNKNOWN };
            let place = frames.places.push(Place { shelf, at: [at as u32, (at >> 32) as u32], sum });
            frames.rows.at(number).place = place;
        }
        number
    }

    /// The frame lies in place from now on. If it did already, it stays as it is, and its length there is returned.
    pub(crate) fn put_in_place(&self, FrameRef { id, raw, len }: FrameRef) -> Option<u32> {
        let mut frames = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = frames.rows.len();
        let number = frames.rows.add(Row { id, raw, len, place: ABSENT });
        if frames.rows.len() > known {
            return None;
        }
        let row = frames.rows.at(number);
        if row.place == ABSENT {
            return Some(row.len);
        }
        (row.len, row.place) = (len, ABSENT);
        None
    }
}

/// Frames at hand. Memory: 50 bytes a frame, 28 more where it lies in a file, and 50 a piece.
#[derive(Debug)]
pub struct Stock {
    /// The first two are the scratch file.
    shelves: Vec<Arc<File>>,
    scratch: Scratch,
    ids: Ids,
    order: Vec<u32>,
    pub(crate) pieces: Known<Piece>,
    /// See [`Stock::due`].
    pub(crate) due: u64,
}

impl Stock {
    /// An empty stock, which keeps what is new in `scratch`, and a capture its manifest: an empty file that nobody else uses, best without a
    /// name, on a disk with room for what changed.
    pub fn new(scratch: File) -> Self {
        let scratch = Scratch::new(scratch);
        let shelves = vec![scratch.file.clone(), scratch.file.clone()];
        Self { shelves, scratch, ids: Ids::default(), order: Vec::new(), pieces: Known::default(), due: 0 }
    }

    /// Adds the frames of a finished archive: its file and its manifest. `cache` are the bytes that [`crate::Captured::cache`] gave for it, if that is
    /// still there; with it, unchanged files need not be read.
    ///
    /// # Errors
    /// The cache is not this archive's or damaged. The frames were added all the same; only time is lost.
    pub fn add(&mut self, file: File, manifest: &Manifest, cache: Option<&[u8]>) -> Result<(), CacheError> {
        let read = cache.map(|bytes| cache::read(bytes, manifest)).transpose();
        let (read, error) = match read {
            Ok(read) => (read, None),
            Err(error) => (None, Some(error)),
        };
        let base = self.order.len() as u32;
        let shelf = self.shelves.len() as u32;
        self.shelves.push(Arc::new(file));
        self.order.reserve_exact(manifest.frames.len());
        for ((number, frame), at) in manifest.frames.iter().enumerate().zip(manifest.frame_offsets()) {
            let form = Form::Frame(read.as_ref().map(|read| read.sum(number)).filter(|sum| *sum != UNKNOWN));
            let number = self.ids.put(Held { id: frame.id, raw: frame.raw, shelf, at, len: frame.len, form });
            self.order.push(number);
        }
        if let Some(read) = read {
            read.pieces().for_each(|piece| self.know(piece, base));
        }
        error.map_or(Ok(()), Err)
    }

    /// Adds frames that lie in place already, where the output of the next archive finds them: they are neither read nor written again.
    /// Whoever adds them vouches for them; they are not looked at.
    pub fn add_in_place(&mut self, frames: impl IntoIterator<Item = FrameRef>) {
        for FrameRef { id, raw, len } in frames {
            self.ids.put(Held { id, raw, shelf: ABSENT, at: 0, len, form: Form::InPlace });
        }
    }

    /// Takes from `cache`, the bytes that [`crate::Captured::cache`] gave for the archive of `manifest`, which files need not be read: those of
    /// which every frame is at hand.
    ///
    /// # Errors
    /// The cache is not this archive's or damaged; only time is lost.
    pub fn recall(&mut self, manifest: &Manifest, cache: &[u8]) -> Result<(), CacheError> {
        let read = cache::read(cache, manifest)?;
        let base = self.order.len() as u32;
        let held = |frame: &FrameRef| self.ids.get(&frame.id).filter(|number| self.held(*number).raw == frame.raw);
        let numbers: Vec<u32> = manifest.frames.iter().map(|frame| held(frame).unwrap_or(ABSENT)).collect();
        // Spans that reach over an absent frame go, so nobody ever meets its place in the order.
        let whole = |span: &Span| !numbers[span.first as usize..][..span.count as usize].contains(&ABSENT);
        read.pieces().filter(|piece| whole(&piece.span)).for_each(|piece| self.know(piece, base));
        self.order.extend(numbers);
        Ok(())
    }

    /// Knows a piece of an archive whose first frame stands at `base` in the order.
    fn know(&mut self, Piece { key, span }: Piece, base: u32) {
        self.name(Piece { key, span: Span { first: span.first + base, ..span } });
    }

    /// Knows a piece; what was known by the same key is so no more.
    pub(crate) fn name(&mut self, piece: Piece) {
        let number = self.pieces.add(piece);
        *self.pieces.at(number) = piece;
    }

    /// Forgets which files gave which frames: everything will be read again, though not compressed again. For when the clock was
    /// changed, or an audit has found that times cannot be relied on.
    pub fn forget_pieces(&mut self) {
        self.pieces = Known::default();
    }

    /// Whether a frame is at hand.
    pub fn holds(&self, id: &FrameId) -> bool {
        self.ids.get(id).is_some()
    }

    /// How many pieces are known.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    pub(crate) fn ids(&self) -> Ids {
        self.ids.clone()
    }

    pub(crate) fn shelf(&self, held: &Held) -> Arc<File> {
        self.shelves[held.shelf as usize].clone()
    }

    pub(crate) fn held(&self, number: u32) -> Held {
        self.ids.held(number)
    }

    pub(crate) fn order(&self, span: Span) -> &[u32] {
        &self.order[span.first as usize..][..span.count as usize]
    }

    /// Where the next [`Stock::line_up`] puts its frame.
    pub(crate) fn next(&self) -> u32 {
        self.order.len() as u32
    }

    /// Appends a frame to the order.
    pub(crate) fn line_up(&mut self, number: u32) {
        self.order.push(number);
    }

    /// Appends `bytes` to the scratch file and takes them in as a frame. Returns its number.
    pub(crate) fn keep(&mut self, id: FrameId, raw: u32, bytes: &[u8], form: Form) -> io::Result<u32> {
        let at = self.scratch.append(bytes)?;
        let shelf = if form == Form::Raw { HURRIED } else { SCRATCH };
        Ok(self.ids.put(Held { id, raw, shelf, at, len: bytes.len() as u32, form }))
    }

    /// The known pieces, by number; the frames go.
    pub(crate) fn into_pieces(self) -> Rows<Piece> {
        self.pieces.into_rows()
    }

    /// Bytes of the frames, one after the other, that an archive of all that the last hot pass came by would have.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Bytes in the scratch file.
    pub fn kept(&self) -> u64 {
        self.scratch.len()
    }

    pub(crate) fn scratch(&self) -> Scratch {
        self.scratch.clone()
    }
}
