//! Reading a file's content to exactly the length its header states.
//!
//! A tar header comes before the data and cannot be taken back, so whatever happens while a file is read, the stated number of bytes
//! follows: zeros where the file ended early or could not be read, nothing of what was added. What happened is remembered and told.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::meta::sparse::Segment;

/// Why a body had to be filled up with zeros.
#[derive(Debug)]
pub(super) enum Lack {
    /// The file became shorter.
    Short,
    /// Reading failed.
    Failed(io::Error),
}

/// Content that never ends early.
pub(super) struct Body<R> {
    reader: R,
    lack: Option<Lack>,
}

impl<R: Read> Body<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, lack: None }
    }

    /// Fills `buffer`, with zeros from where the reader ends or fails.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) {
        let mut done = 0;
        while done < buffer.len() && self.lack.is_none() {
            match self.reader.read(&mut buffer[done..]) {
                Ok(0) => self.lack = Some(Lack::Short),
                Ok(count) => done += count,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => self.lack = Some(Lack::Failed(cause)),
            }
        }
        buffer[done..].fill(0);
    }

    /// What was lacking, if anything.
    pub(super) fn into_lack(self) -> Option<Lack> {
        self.lack
    }
}

/// The pieces of a file, one after another.
pub(super) struct Pieces<'a> {
    file: &'a File,
    segments: &'a [Segment],
    /// Bytes of the first segment that are read already.
    done: u64,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(file: &'a File, segments: &'a [Segment]) -> Self {
        Self { file, segments, done: 0 }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((first, rest)) = self.segments.split_first() {
            let left = first.len - self.done;
            if left == 0 {
                (self.segments, self.done) = (rest, 0);
                continue;
            }
            let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = self.file.read_at(&mut buffer[..len], first.at + self.done)?;
            self.done += count as u64;
            return Ok(count);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bad(u8);

    impl Read for Bad {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => Err(io::ErrorKind::Interrupted.into()),
                2 => {
                    buffer[0] = 7;
                    Ok(1)
                }
                _ => Err(io::Error::other("bad sector")),
            }
        }
    }

    #[test]
    fn zeros_follow_what_cannot_be_read() {
        let mut body = Body::new(Bad(0));
        let mut buffer = [9; 4];
        body.fill(&mut buffer);
        assert_eq!(buffer, [7, 0, 0, 0]);
        buffer.fill(9);
        body.fill(&mut buffer);
        assert_eq!(buffer, [0; 4]);
        assert!(matches!(body.into_lack(), Some(Lack::Failed(cause)) if cause.to_string() == "bad sector"));
    }

    #[test]
    fn a_short_file_is_padded_and_a_long_one_is_cut() {
        let mut body = Body::new(&b"abc"[..]);
        let mut buffer = [9; 2];
        body.fill(&mut buffer);
        assert_eq!(&buffer, b"ab");
        assert!(body.lack.is_none());
        body.fill(&mut buffer);
        assert_eq!(&buffer, b"c\0");
        assert!(matches!(body.into_lack(), Some(Lack::Short)));
    }

    #[test]
    fn pieces_in_order() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"0123456789", 0).unwrap();
        let segments = [Segment { at: 1, len: 2 }, Segment { at: 5, len: 0 }, Segment { at: 8, len: 2 }];
        let mut text = String::new();
        Pieces::new(&file, &segments).read_to_string(&mut text).unwrap();
        assert_eq!(text, "1289");
    }
}
