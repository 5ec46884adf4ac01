//! Writing a file's content; holes stay holes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use super::ExtractError;
use crate::{Member, TarReader};

/// Writes the data of `member` from `tar` into `file`, which is new. `tick` hears of each piece; the result is the bytes written.
pub(super) fn write<R: Read>(
    member: &Member,
    tar: &mut TarReader<R>,
    file: &mut File,
    buffer: &mut [u8],
    tick: &mut dyn FnMut(u64),
) -> Result<u64, ExtractError> {
    let failed = |operation| move |cause| ExtractError::System { member: member.path.clone(), operation, cause };
    let mut written = 0;
    let Some(segments) = &member.segments else {
        loop {
            let count = tar.read(buffer).map_err(ExtractError::Tar)?;
            if count == 0 {
                return Ok(written);
            }
            file.write_all(&buffer[..count]).map_err(failed("write its content"))?;
            written += count as u64;
            tick(written);
        }
    };
    for piece in segments {
        file.seek(SeekFrom::Start(piece.at)).map_err(failed("seek in it"))?;
        let mut left = piece.len;
        while left > 0 {
            let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = tar.read(&mut buffer[..len]).map_err(ExtractError::Tar)?;
            // The map was checked against the length of the data, so this is the reader's fault, and must not loop.
            if count == 0 {
                return Err(failed("read its content")(std::io::ErrorKind::UnexpectedEof.into()));
            }
            file.write_all(&buffer[..count]).map_err(failed("write its content"))?;
            left -= count as u64;
            written += count as u64;
            tick(written);
        }
    }
    file.set_len(member.size).map_err(failed("set its length"))?;
    Ok(written)
}
