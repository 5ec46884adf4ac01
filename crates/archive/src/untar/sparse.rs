//! The map of a sparse file, GNU format 1.0.

use super::TarError;
use super::pax::decimal;
use crate::meta::sparse::Segment;

/// Most pieces of one file. Beyond what any file system makes of a real file, and 64 MiB in memory.
pub(super) const PIECES_MOST: u64 = 4 << 20;

/// Why a map cannot be read.
pub(super) enum Fault {
    Tar(TarError),
    Map(&'static str),
}

impl Fault {
    pub(super) fn named(self, at: u64, path: &[u8]) -> TarError {
        match self {
            Self::Tar(cause) => cause,
            Self::Map(reason) => TarError::Map { at, path: path.to_vec(), reason },
        }
    }
}

/// A map as far as it has been read.
#[derive(Default)]
pub(super) struct Map {
    line: Vec<u8>,
    pieces: Option<u64>,
    at: Option<u64>,
    found: Vec<Segment>,
}

impl Map {
    /// Whether all pieces that were announced are there.
    pub(super) fn is_whole(&self) -> bool {
        self.pieces == Some(self.found.len() as u64)
    }

    /// Reads one block; what follows the last piece in it is padding.
    pub(super) fn feed(&mut self, block: &[u8]) -> Result<(), Fault> {
        for &byte in block {
            if self.is_whole() {
                break;
            }
            if byte != b'\n' {
                self.line.push(byte);
                if self.line.len() > 20 {
                    return Err(Fault::Map("a number in it is too long"));
                }
                continue;
            }
            let number = decimal(&self.line).ok_or(Fault::Map("it holds something that is no number"))?;
            self.line.clear();
            match (self.pieces, self.at.take()) {
                (None, _) if number > PIECES_MOST => return Err(Fault::Map("it has too many pieces")),
                (None, _) => self.pieces = Some(number),
                (Some(_), None) => self.at = Some(number),
                (Some(_), Some(at)) => self.found.push(Segment { at, len: number }),
            }
        }
        Ok(())
    }

    /// The pieces, if they are ascending, apart, within `size`, and as long together as the `stored` bytes that follow.
    pub(super) fn into_segments(mut self, size: u64, stored: u64) -> Result<Vec<Segment>, Fault> {
        let mut end = 0;
        let mut sum: u64 = 0;
        for piece in &self.found {
            if piece.at < end {
                return Err(Fault::Map("its pieces overlap"));
            }
            end =
                piece.at.checked_add(piece.len).filter(|&end| end <= size).ok_or(Fault::Map("a piece lies beyond the end of the file"))?;
            sum = sum.checked_add(piece.len).ok_or(Fault::Map("its pieces are too long"))?;
        }
        if sum != stored {
            return Err(Fault::Map("its pieces are not as long as the data"));
        }
        self.found.retain(|piece| piece.len > 0);
        Ok(self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, size: u64, stored: u64) -> Result<Vec<Segment>, &'static str> {
        let mut map = Map::default();
        let fault = |fault| match fault {
            Fault::Map(reason) => reason,
            Fault::Tar(_) => "tar",
        };
        map.feed(text.as_bytes()).map_err(fault)?;
        if !map.is_whole() {
            return Err("not whole");
        }
        map.into_segments(size, stored).map_err(fault)
    }

    #[test]
    fn good_maps() {
        assert_eq!(read("2\n0\n5\n9\n0\n\0\0", 9, 5), Ok(vec![Segment { at: 0, len: 5 }]));
        assert_eq!(read("0\n", 9, 0), Ok(vec![]));
        assert_eq!(read("2\n1\n2\n3\n1\n", 9, 3), Ok(vec![Segment { at: 1, len: 2 }, Segment { at: 3, len: 1 }]));
    }

    #[test]
    fn bad_maps() {
        for (text, reason) in [
            ("2\n0\n5\n4\n1\n", "its pieces overlap"),
            ("1\n5\n5\n", "a piece lies beyond the end of the file"),
            ("1\n18446744073709551615\n2\n", "a piece lies beyond the end of the file"),
            ("1\n0\n4\n", "its pieces are not as long as the data"),
            ("1\n0\n-4\n", "it holds something that is no number"),
            ("\n", "it holds something that is no number"),
            ("4194305\n", "it has too many pieces"),
            ("000000000000000000000000", "a number in it is too long"),
            ("2\n0\n5\n", "not whole"),
        ] {
            assert_eq!(read(text, 9, 5), Err(reason), "{text}");
        }
    }
}
