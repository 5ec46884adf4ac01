//! Where a file has data, and where it has holes.
//!
//! A database or a disk image may state terabytes and hold megabytes; without this the archive would be full of zeros. Holes are asked
//! for only when the file occupies less than its size. The list is bounded: past [`LIMIT`] pieces the rest of the file counts as data,
//! which is right, only larger.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use rustix::io::Result;

use super::{Stat, sys};

/// Most pieces of one file.
const LIMIT: usize = 1 << 16;

/// A piece of a file that holds data, in bytes from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    pub at: u64,
    /// Its length.
    pub len: u64,
}

/// The file's data, ascending; None when it has no holes worth the name. Leaves the file at its beginning.
pub(crate) fn segments(file: &mut File, stat: &Stat) -> Result<Option<Vec<Segment>>> {
    if stat.blocks.saturating_mul(512) >= stat.size {
        return Ok(None);
    }
    let found = list(file, stat.size)?;
    file.seek(SeekFrom::Start(0)).map_err(|cause| rustix::io::Errno::from_io_error(&cause).unwrap_or(rustix::io::Errno::IO))?;
    let whole = found.len() == 1 && found[0] == Segment { at: 0, len: stat.size };
    Ok((!whole).then_some(found))
}

fn list(file: &File, size: u64) -> Result<Vec<Segment>> {
    let mut found = Vec::new();
    let mut from = 0;
    while from < size {
        let Some(at) = sys::next_data(file, from)?.filter(|&at| at < size) else { break };
        // A file that is being written may answer oddly; what is certain is that progress must be made.
        let end = if found.len() + 1 == LIMIT { size } else { sys::next_hole(file, at)?.clamp(at + 1, size) };
        found.push(Segment { at, len: end - at });
        from = end;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn made(size: u64, data: &[(u64, usize)]) -> (File, Stat) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for &(at, len) in data {
            file.write_all_at(&vec![1; len], at).unwrap();
        }
        file.sync_all().unwrap();
        let stat = sys::stat(&file).unwrap();
        (file, stat)
    }

    /// Holes are whole blocks, and some file systems have none: what must hold everywhere is that all data is covered, in order.
    #[test]
    fn covers_all_data_in_order() {
        for (size, data) in [
            (10 << 20, vec![(0, 1), (5 << 20, 70_000)]),
            (10 << 20, vec![(10 << 20) - 1].into_iter().map(|at| (at, 1)).collect()),
            (1 << 20, vec![]),
        ] {
            let (mut file, stat) = made(size, &data);
            let Some(found) = segments(&mut file, &stat).unwrap() else {
                continue;
            };
            assert!(found.windows(2).all(|pair| pair[0].at + pair[0].len <= pair[1].at), "{found:?}");
            for (at, len) in data {
                assert!(found.iter().any(|piece| piece.at <= at && at + len as u64 <= piece.at + piece.len), "{at} in {found:?}");
            }
            assert!(found.iter().all(|piece| piece.len > 0 && piece.at + piece.len <= size), "{found:?}");
        }
    }

    #[test]
    fn a_file_without_holes_has_no_map() {
        let (mut file, stat) = made(3, &[(0, 3)]);
        assert_eq!(segments(&mut file, &stat).unwrap(), None);
    }
}
