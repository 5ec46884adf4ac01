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
/// For a bundled member: [`header`](Self::header), [`small`](Self::small) with data and padding, [`member_end`](Self::member_end).
/// For a large one: [`header`](Self::header) with the sparse map, [`large_begin`](Self::large_begin), [`large`](Self::large) as
/// often as needed, [`large_end`](Self::large_end), [`member_end`](Self::member_end). The two zero blocks are a last
/// [`header`](Self::header) before [`finish`](Self::finish).
pub struct Cutter<S> {
    sink: S,
    /// The running bundle: whole members, then the one under way.
    bundle: Vec<u8>,
    /// Where in `bundle` the member under way begins.
    member: usize,
    /// Length of the member under way as far as it is bundled, also of what has left `bundle` already.
    bundled: u64,
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
        Self { sink, bundle: Vec::new(), member: 0, bundled: 0, large: None, data: Vec::new() }
    }

    /// The bytes of a member's header: all of its blocks, pax records included, and a sparse map.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn header(&mut self, bytes: &[u8]) -> Result<(), E> {
        self.small(bytes)
    }

    /// Data of a bundled member, padding included.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn small(&mut self, bytes: &[u8]) -> Result<(), E> {
        if self.large.is_some() {
            return self.large(bytes);
        }
        self.bundled += bytes.len() as u64;
        let mut rest = bytes;
        while self.bundle.len() + rest.len() > BUNDLE_MAX {
            if self.member > 0 {
                // The member under way does not fit: the bundle ends before it.
                (self.sink)(&self.bundle[..self.member])?;
                self.bundle.drain(..self.member);
                self.member = 0;
            } else {
                let (now, later) = rest.split_at(BUNDLE_MAX - self.bundle.len());
                self.bundle.extend_from_slice(now);
                self.close_bundle()?;
                rest = later;
            }
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
        self.close_bundle()?;
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

    /// Ends a member. `key` is its path relative to its source's root, so that cuts do not depend on where the tree lies.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn member_end(&mut self, key: &[u8]) -> Result<(), E> {
        if ends_bundle(key, self.bundle.len() as u64, self.bundled) {
            self.close_bundle()?;
        }
        self.member = self.bundle.len();
        self.bundled = 0;
        Ok(())
    }

    /// Ends the running bundle here, whatever its length: where a piece ends that was cut by itself.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn end_bundle(&mut self) -> Result<(), E> {
        self.close_bundle()
    }

    /// Ends the stream and gives the sink back.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn finish(mut self) -> Result<S, E> {
        self.cut_data(true)?;
        self.close_bundle()?;
        Ok(self.sink)
    }

    fn close_bundle(&mut self) -> Result<(), E> {
        if !self.bundle.is_empty() {
            (self.sink)(&self.bundle)?;
            self.bundle.clear();
        }
        self.member = 0;
        Ok(())
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

/// Foretells where bundles end, from keys and lengths alone: so a bundle can be recognised before any of it is read.
///
/// The property test in `cut/tests.rs` holds it to what [`Cutter`] does with the bytes.
#[derive(Debug, Default)]
pub(crate) struct Bundler {
    /// Length of the running bundle as the cutter would hold it.
    len: u64,
}

impl Bundler {
    /// Whether the running bundle ends before a member that brings `length` bytes to it.
    pub(crate) fn ends_before(&self, length: u64) -> bool {
        self.len > 0 && self.len + length > BUNDLE_MAX as u64
    }

    /// Adds the member `key` that brings `length` bytes. Returns whether the bundle ends after it.
    pub(crate) fn ends_after(&mut self, key: &[u8], length: u64) -> bool {
        self.add(length);
        ends_bundle(key, self.len, length)
    }

    /// Adds bytes that draw nothing.
    pub(crate) fn add(&mut self, length: u64) {
        self.len += length;
        if self.len > BUNDLE_MAX as u64 {
            // A member longer than a bundle is cut off at each maximum; a rest of none does not occur.
            self.len = (self.len - 1) % BUNDLE_MAX as u64 + 1;
        }
    }

    /// The bundle has ended.
    pub(crate) fn end(&mut self) {
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
