//! One file out of a piece of the tar stream, as its owner sees it: holes are told as holes, and the map of them is not content.
//!
//! Invariant: nothing is given of a member whose own header says something else than the manifest, so that a list that lies cannot put
//! another file's bytes under a name.

use std::io::Read;

use offsite_archive::{ArchiveName, Kind, Member, PathText, Segment, TarError, TarReader};

use super::{absolute, item::Data, trim};

#[derive(Debug, thiserror::Error)]
pub(crate) enum MemberError {
    #[error("cannot trust {archive}: where its manifest has the file {path}, its data has {found}")]
    Lies { archive: ArchiveName, path: PathText, found: String },
    #[error("cannot read {path} of {archive}")]
    Tar { archive: ArchiveName, path: PathText, source: TarError },
}

/// Bytes that are read at once, at most.
const BUFFER: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Bytes(&'a [u8]),
    /// As many zeros, which are not stored.
    Hole(u64),
}

/// A file that stands first in a piece of a tar.
pub(crate) struct File<'a> {
    pub(crate) archive: &'a ArchiveName,
    pub(crate) data: &'a Data,
}

impl File<'_> {
    /// Gives its content to `put`, in order. Of `tar` no more is read than the member.
    pub(crate) fn pour<E: From<MemberError>>(&self, tar: impl Read, mut put: impl FnMut(Part<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut tar = TarReader::new(tar);
        let member = tar.next_member().map_err(|source| self.tar(source))?;
        let member = self.expected(member)?;
        let mut buffer = vec![0; usize::try_from(member.size).map_or(BUFFER, |size| size.min(BUFFER))];
        let mut done = 0;
        let hole = |len| (len > 0).then_some(Part::Hole(len));
        let whole = [Segment { at: 0, len: member.size }];
        for segment in member.segments.as_deref().unwrap_or(&whole) {
            hole(segment.at - done).map_or(Ok(()), &mut put)?;
            let mut left = segment.len;
            while left > 0 {
                let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let read = tar.read(&mut buffer[..most]).map_err(|source| self.tar(source))?;
                if read == 0 {
                    return Err(self.tar(TarError::Truncated { at: tar.position(), missing: left }).into());
                }
                put(Part::Bytes(&buffer[..read]))?;
                left -= read as u64;
            }
            done = segment.at + segment.len;
        }
        hole(member.size - done).map_or(Ok(()), put)
    }

    fn expected(&self, member: Option<Member>) -> Result<Member, MemberError> {
        let lies = |found: String| MemberError::Lies { archive: self.archive.clone(), path: self.data.path.clone(), found };
        let member = member.ok_or_else(|| lies("nothing".to_owned()))?;
        if member.kind != Kind::File || trim(&member.path) != trim(&self.data.path.0) {
            return Err(lies(absolute(trim(&member.path)).to_string()));
        }
        if member.size != self.data.size {
            return Err(lies(format!("one of {} bytes, not {}", member.size, self.data.size)));
        }
        Ok(member)
    }

    pub(crate) fn tar(&self, source: TarError) -> MemberError {
        MemberError::Tar { archive: self.archive.clone(), path: self.data.path.clone(), source }
    }
}
