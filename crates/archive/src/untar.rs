//! Reading a tar stream: ours, GNU tar's and bsdtar's.
//!
//! A tar comes from another machine, and every number in it is hostile. Invariants: memory is bounded by [`PAX_MOST`] and
//! [`sparse::PIECES_MOST`], whatever the headers claim; nothing is guessed, a stream that is not what it says ends with an error that
//! names the place; and a stream that simply stops is told from one that is complete. What this crate does not understand is refused,
//! for a file restored wrongly is worse than one that is not.

mod block;
mod error;
mod pax;
mod sparse;

use std::collections::BTreeMap;
use std::io::Read;

pub use error::TarError;

use crate::header::{BLOCK, padding};
use crate::meta::sparse::Segment;
use crate::{Kind, Mtime};
use block::Header;
use pax::Records;

/// Longest pax header or GNU long name, in bytes.
const PAX_MOST: u64 = 1 << 20;

/// A member of a tar stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// As it stands in the tar, but without the slash at the end of a directory's. Not yet safe to join to anything.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Owner's name, empty where not given.
    pub user: Vec<u8>,
    /// Group's name, empty where not given.
    pub group: Vec<u8>,
    /// Length of the file as its owner sees it, in bytes; 0 for all that is not a file.
    pub size: u64,
    /// Modification time.
    pub mtime: Mtime,
    /// Target of a symbolic link, or tar name of a hard link's first name.
    pub link: Option<Vec<u8>>,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// Extended attributes: name and value.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The access ACL as text.
    pub access: Option<Vec<u8>>,
    /// The default ACL as text.
    pub default: Option<Vec<u8>>,
    /// Where a sparse file's data belongs: ascending, apart, within `size`. The data read is these pieces, one after another.
    pub segments: Option<Vec<Segment>>,
    /// Where the member's first header begins in the stream, in bytes.
    pub at: u64,
    /// Where its data (a sparse file's map included) begins in the stream, in bytes.
    pub data: u64,
    /// Length of that data, without padding, in bytes.
    pub stored: u64,
}

/// Reads members one after another.
pub struct TarReader<R> {
    input: R,
    at: u64,
    /// Data of the current member that is not read yet.
    left: u64,
    /// Padding after it.
    padding: usize,
    global: Records,
    ended: bool,
}

impl<R: Read> TarReader<R> {
    /// A reader at the beginning of a tar stream.
    pub fn new(input: R) -> Self {
        Self { input, at: 0, left: 0, padding: 0, global: BTreeMap::new(), ended: false }
    }

    /// How many bytes of the stream have been read.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next member, past what is left of the current one; None at the end of the archive. Everything up to the end of the input is
    /// then read, and is zeros.
    ///
    /// # Errors
    /// When reading fails, the stream ends too early, or it is not a tar as it should be.
    pub fn next_member(&mut self) -> Result<Option<Member>, TarError> {
        if self.ended {
            return Ok(None);
        }
        self.skip()?;
        let at = self.at;
        let mut extended = Extended::default();
        loop {
            let header_at = self.at;
            let block = self.header()?;
            if block.iter().all(|&byte| byte == 0) {
                if extended.any() {
                    return Err(TarError::Dangling { at });
                }
                self.end()?;
                return Ok(None);
            }
            let header = Header::parse(&block, header_at)?;
            match header.flag {
                b'x' => extended.local = pax::parse(&self.extension(&header)?, header_at)?,
                b'g' => {
                    let records = pax::parse(&self.extension(&header)?, header_at)?;
                    self.add_global(records, header_at)?;
                }
                b'L' => extended.path = Some(self.long(&header)?),
                b'K' => extended.link = Some(self.long(&header)?),
                _ => return self.member(at, &header, extended).map(Some),
            }
        }
    }

    /// Has the next header come next, whatever is missing of the current member: its input went on there.
    pub(crate) fn pass(&mut self) {
        (self.left, self.padding) = (0, 0);
    }

    /// Reads data of the current member; 0 at its end.
    ///
    /// # Errors
    /// When reading fails, or the stream ends before the member does.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let len = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if len == 0 {
            return Ok(0);
        }
        let count = self.some(&mut buffer[..len])?;
        if count == 0 {
            return Err(TarError::Truncated { at: self.at, missing: self.left });
        }
        self.left -= count as u64;
        Ok(count)
    }

    fn member(&mut self, at: u64, header: &Header, extended: Extended) -> Result<Member, TarError> {
        let mut records = self.global.clone();
        records.extend(extended.local);
        let mut member = header.member(at, self.at)?;
        member.path = extended.path.unwrap_or(member.path);
        member.link = if member.link.is_some() { extended.link.or(member.link) } else { None };
        let sparse = pax::apply(records, &mut member)?;
        member.settle(header.flag)?;
        self.left = member.stored;
        self.padding = padding(member.stored);
        // No tar can reach the end of what a number can hold; one that says so lies.
        let end = self.at.checked_add(member.stored).and_then(|end| end.checked_add(BLOCK as u64));
        if end.is_none_or(|end| end > i64::MAX as u64) {
            return Err(TarError::Size { at, path: member.path, size: member.stored });
        }
        if let Some(size) = sparse {
            if member.kind != Kind::File {
                return Err(TarError::Map { at, path: member.path, reason: "it is not a file" });
            }
            let segments = self.map(size).map_err(|fault| fault.named(at, &member.path))?;
            member.size = size;
            member.segments = Some(segments);
        }
        Ok(member)
    }

    /// Reads a sparse map, of which each line is a number.
    fn map(&mut self, size: u64) -> Result<Vec<Segment>, sparse::Fault> {
        let mut map = sparse::Map::default();
        let mut block = [0; BLOCK];
        while !map.is_whole() {
            if self.left < BLOCK as u64 {
                return Err(sparse::Fault::Map("it is longer than the data"));
            }
            self.exact(&mut block, self.left).map_err(sparse::Fault::Tar)?;
            self.left -= BLOCK as u64;
            map.feed(&block)?;
        }
        map.into_segments(size, self.left)
    }

    fn add_global(&mut self, records: Records, at: u64) -> Result<(), TarError> {
        self.global.extend(records);
        let size: usize = self.global.iter().map(|(key, value)| key.len() + value.len()).sum();
        if size as u64 > PAX_MOST { Err(TarError::Extension { at, size: size as u64 }) } else { Ok(()) }
    }

    /// Reads the data of a header that describes the next one.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        if header.size > PAX_MOST {
            return Err(TarError::Extension { at: header.at, size: header.size });
        }
        // Read as it comes, not allocated as it is claimed.
        let mut data = vec![0; header.size as usize];
        self.exact(&mut data, header.size)?;
        self.zeros(padding(header.size))?;
        Ok(data)
    }

    fn long(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let mut name = self.extension(header)?;
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    /// Passes over what is left of the current member.
    fn skip(&mut self) -> Result<(), TarError> {
        let mut scrap = [0; 16 << 10];
        while self.left > 0 {
            self.read(&mut scrap)?;
        }
        let padding = std::mem::take(&mut self.padding);
        self.zeros(padding)
    }

    /// Passes over padding, of which nobody cares what it holds.
    fn zeros(&mut self, len: usize) -> Result<(), TarError> {
        let mut scrap = [0; BLOCK];
        self.exact(&mut scrap[..len], len as u64)
    }

    /// After the first zero block: another, and then nothing but zeros.
    fn end(&mut self) -> Result<(), TarError> {
        let mut scrap = [0; 16 << 10];
        self.exact(&mut scrap[..BLOCK], BLOCK as u64)?;
        let mut filled = BLOCK;
        while filled > 0 {
            if scrap[..filled].iter().any(|&byte| byte != 0) {
                return Err(TarError::AfterEnd { at: self.at - filled as u64 });
            }
            filled = self.some(&mut scrap)?;
        }
        self.ended = true;
        Ok(())
    }

    /// The next header block.
    fn header(&mut self) -> Result<[u8; BLOCK], TarError> {
        let mut block = [0; BLOCK];
        let count = self.some(&mut block)?;
        if count == 0 {
            return Err(TarError::NoEnd { at: self.at });
        }
        self.exact(&mut block[count..], (BLOCK - count) as u64)?;
        Ok(block)
    }

    /// Fills `buffer`; `missing` is what is missing, for the error, if nothing more comes.
    fn exact(&mut self, buffer: &mut [u8], missing: u64) -> Result<(), TarError> {
        let mut done = 0;
        while done < buffer.len() {
            match self.some(&mut buffer[done..])? {
                0 => return Err(TarError::Truncated { at: self.at, missing: missing - done as u64 }),
                count => done += count,
            }
        }
        Ok(())
    }

    fn some(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        loop {
            match self.input.read(buffer) {
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(TarError::Read { at: self.at, cause }),
            }
        }
    }
}

/// What headers before a member say of it.
#[derive(Default)]
struct Extended {
    local: Records,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Extended {
    fn any(&self) -> bool {
        !self.local.is_empty() || self.path.is_some() || self.link.is_some()
    }
}

impl Member {
    /// Makes one thing of header and records: a name without its slash, data only where data may be.
    fn settle(&mut self, flag: u8) -> Result<(), TarError> {
        let fault = |member: &Self, reason| Err(TarError::Member { at: member.at, path: member.path.clone(), reason });
        let slash = self.path.len();
        while self.path.len() > 1 && self.path.last() == Some(&b'/') {
            self.path.pop();
        }
        // Before ustar a directory was a file whose name ends in a slash.
        if self.path.len() < slash && self.kind == Kind::File && flag != b'7' {
            self.kind = Kind::Dir;
        }
        if self.path.is_empty() {
            return fault(self, "it has no name");
        }
        if self.path.contains(&0) || self.link.as_ref().is_some_and(|link| link.contains(&0)) {
            return fault(self, "its name holds a zero byte");
        }
        if self.kind != Kind::File && self.stored > 0 {
            return fault(self, "it has data, though it is no file");
        }
        if matches!(self.kind, Kind::Hardlink | Kind::Symlink) && self.link.as_ref().is_none_or(Vec::is_empty) {
            return fault(self, "it is a link to nothing");
        }
        self.size = self.stored;
        Ok(())
    }
}
