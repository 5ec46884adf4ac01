//! The chunker `files-1`: cuts the tar stream where the files are, not where the bytes happen to fall.
//!
//! Invariants: the chunks, put together, are the stream, in whatever order the methods are called; no chunk is empty or longer than
//! [`crate::MAX_FRAME_RAW`]; where bundles end depends on the keys and lengths of members alone, never on content. So an edited
//! small file changes one bundle, and a large file's chunks do not move when its neighbours do. Golden cut points are in
//! `tests/vectors/v1/cut`: a change here makes every chunk of every household new.

use fastcdc::v2020::FastCDC;

use crate::{Class, class::is_packed};

/// Cut of page files, in bytes.
pub(crate) const PAGE: u32 = 64 << 10;
/// FastCDC minimum, average, maximum of large texts, in bytes.
pub(crate) const TEXT: [u32; 3] = [16 << 10, 64 << 10, 256 << 10];
/// FastCDC minimum, average, maximum of other large files, in bytes.
pub(crate) const DATA: [u32; 3] = [256 << 10, 1 << 20, 4 << 20];
/// Bundles: mean (what to expect, not a rule) and maximum, in bytes.
pub(crate) const BUNDLE: [u32; 2] = [112 << 10, 512 << 10];

/// A bundle does not end by its rule before it has this many bytes.
const BUNDLE_MIN: u64 = 64 << 10;
/// The same after a file that is compressed already. Being with others makes it no smaller, but dear: of bundles of posters and
/// thumbnails a night with some new ones would move three others with each.
const PACKED_MIN: u64 = 16 << 10;
const BUNDLE_MAX: usize = BUNDLE[1] as usize;

/// A file whose data in the tar stream has this many bytes or more is cut on its own; a smaller one goes into a bundle.
pub const LARGE_MIN: u64 = 256 << 10;

/// Takes the tar stream member by member and gives each chunk to `sink`.
///
/// For a bundled member: [`small`](Self::small) with header, data and padding. For a large one: [`small`](Self::small) with its header and the
/// sparse map, [`large_begin`](Self::large_begin), [`large`](Self::large) as often as needed, [`large_end`](Self::large_end). Where a bundle ends
/// before or after a member, a [`Bundler`] tells; then [`end_bundle`](Self::end_bundle). The two zero blocks are a last member, of a header alone.
pub struct Cutter<S> {
    sink: S,
    /// The running bundle.
    bundle: Vec<u8>,
    /// The large data under way.
    large: Option<Class>,
    data: Vec<u8>,
}

impl<S, E> Cutter<S>
where
    S: FnMut(&[u8]) -> Result<(), E>,
{
    /// A cutter at the start of a stream.
    pub fn new(sink: S) -> Self {
        Self { sink, bundle: Vec::new(), large: None, data: Vec::new() }
    }

    /// What is bundled: a member's header with all of its blocks, pax records and a sparse map; data and padding of a small one.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn small(&mut self, bytes: &[u8]) -> Result<(), E> {
        if self.large.is_some() {
            return self.large(bytes);
        }
        let mut rest = bytes;
        while self.bundle.len() + rest.len() > BUNDLE_MAX {
            let (now, later) = rest.split_at(BUNDLE_MAX - self.bundle.len());
            self.bundle.extend_from_slice(now);
            self.end_bundle()?;
            rest = later;
        }
        self.bundle.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the bundle with this member's header and begins its data, which is cut by `class`.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn large_begin(&mut self, class: Class) -> Result<(), E> {
        if self.large.is_some() {
            self.cut_data(true)?;
        }
        self.end_bundle()?;
        self.large = Some(class);
        Ok(())
    }

    /// Data of a large member, in pieces of any length.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn large(&mut self, bytes: &[u8]) -> Result<(), E> {
        let Some(class) = self.large else { return self.small(bytes) };
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = if self.data.len() < window(class) { window(class) } else { longest(class) };
            let (now, later) = rest.split_at(rest.len().min(room - self.data.len()));
            self.data.extend_from_slice(now);
            rest = later;
            if self.data.len() == room {
                self.cut_data(false)?;
            }
        }
        Ok(())
    }

    /// Ends the data of a large member with `padding` zero bytes, which are cut as if they were data.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn large_end(&mut self, padding: usize) -> Result<(), E> {
        let mut left = padding;
        while left > 0 {
            let now = left.min(512);
            self.large(&[0; 512][..now])?;
            left -= now;
        }
        self.cut_data(true)?;
        self.large = None;
        Ok(())
    }

    /// Ends the running bundle here, whatever its length.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn end_bundle(&mut self) -> Result<(), E> {
        if !self.bundle.is_empty() {
            (self.sink)(&self.bundle)?;
            self.bundle.clear();
        }
        Ok(())
    }

    /// Ends the stream and gives the sink back.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn finish(mut self) -> Result<S, E> {
        self.cut_data(true)?;
        self.end_bundle()?;
        Ok(self.sink)
    }

    /// Gives out chunks of the large data in hand: those that can be decided, or all at its end.
    fn cut_data(&mut self, end: bool) -> Result<(), E> {
        let Some(class) = self.large else { return Ok(()) };
        let mut start = 0;
        while start < self.data.len() && (end || self.data.len() - start >= window(class)) {
            let left = self.data.len() - start;
            let length = next_cut(class, &self.data[start..]);
            if !end && length == left && length < longest(class) {
                // No cut, but the end of what is in hand: any other stays where it is, whatever follows.
                break;
            }
            (self.sink)(&self.data[start..start + length])?;
            start += length;
        }
        self.data.drain(..start);
        Ok(())
    }
}

/// Tells where bundles end, from keys and lengths alone: so a bundle can be recognised before any of it is read.
#[derive(Debug, Default)]
pub struct Bundler {
    /// Length of the running bundle as the cutter would hold it.
    len: u64,
}

impl Bundler {
    /// Whether the running bundle ends before a member that brings `length` bytes to it.
    pub fn ends_before(&self, length: u64) -> bool {
        self.len > 0 && self.len + length > BUNDLE_MAX as u64
    }

    /// Adds a member that brings `length` bytes. Returns whether the bundle ends after it. `key` is its path relative to its source's root, so that
    /// cuts do not depend on where the tree lies.
    pub fn ends_after(&mut self, key: &[u8], length: u64) -> bool {
        self.len += length;
        if self.len > BUNDLE_MAX as u64 {
            // A member longer than a bundle is cut off at each maximum; a rest of none does not occur.
            self.len = (self.len - 1) % BUNDLE_MAX as u64 + 1;
        }
        ends_bundle(key, self.len, length)
    }

    /// The bundle has ended.
    pub fn end(&mut self) {
        self.len = 0;
    }
}

/// Longest chunk of a class, in bytes.
fn longest(class: Class) -> usize {
    let longest = match class {
        Class::Page => PAGE,
        Class::Text => TEXT[2],
        Class::Data => DATA[2],
    };
    longest as usize
}

/// Bytes in hand in which a cut is looked for, at least the average, where the rule changes. Mostly there is one: a maximum would be megabytes
/// more in memory, and a rest of it to be moved for each chunk.
fn window(class: Class) -> usize {
    let window = match class {
        Class::Page => PAGE,
        Class::Text => 2 * TEXT[1],
        Class::Data => 2 * DATA[1],
    };
    window as usize
}

/// Length of the first chunk of `data`, which holds a window or all that is left; all of it where no cut was found.
fn next_cut(class: Class, data: &[u8]) -> usize {
    let [min, average, max] = match class {
        Class::Page => return data.len().min(PAGE as usize),
        Class::Text => TEXT,
        Class::Data => DATA,
    };
    FastCDC::new(data, min as usize, average as usize, max as usize).cut(0, data.len()).1
}

/// Whether a bundle of `bundle` bytes ends after its last member, of this key and `length`: if it is long enough, with probability
/// (length, rounded up to a power of two) / 64 KiB, so that bundles of many tiny files and of few bigger ones come out alike.
fn ends_bundle(key: &[u8], bundle: u64, length: u64) -> bool {
    if bundle < PACKED_MIN || bundle < BUNDLE_MIN && !is_packed(key) {
        return false;
    }
    let hash = blake3::hash(key);
    let [first, second, ..] = hash.as_bytes();
    let draw = u64::from(u16::from_le_bytes([*first, *second]));
    length.checked_next_power_of_two().is_none_or(|size| draw < size)
}

#[cfg(test)]
mod tests;
