//! A stream of which some bytes are lost: which members they cost, and where the rest goes on.
//!
//! Bytes of a tar mean something only from a header on, and the manifest says where each header is. So a reader that cannot have some bytes
//! passes over the rest of the members that they belong to, and says so with an error that carries a [`Lost`]. Invariant: what it gives after
//! that begins with a header, or is the end of the tar, and no member is named that has all its bytes.

use std::{iter::Peekable, ops::Range, sync::Arc};

use crate::{Entry, Line, ManifestError, Member, TarError};

/// What a reader's [`std::io::Error`] carries where bytes are lost; [`super::extract`] then leaves these members out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} members are lost: {cause}", members.len())]
pub struct Lost {
    /// Why the bytes cannot be had.
    pub cause: Arc<str>,
    /// The members that they belong to, and that were not named before; the first of them may have begun already.
    pub members: Vec<Entry>,
}

/// Goes around what is lost.
pub struct Around<L: Iterator<Item = Result<Line, ManifestError>>> {
    lines: Peekable<L>,
    /// Where the stream goes on, in bytes.
    on: u64,
}

impl<L: Iterator<Item = Result<Line, ManifestError>>> Around<L> {
    /// With the lines of the archive's manifest.
    pub fn new(lines: L) -> Self {
        Self { lines: lines.peekable(), on: 0 }
    }

    /// The members that the bytes `lost` of the stream belong to, but for those given before. Ranges ascend.
    ///
    /// # Errors
    /// What the lines give.
    pub fn lose(&mut self, lost: &Range<u64>) -> Result<Vec<Entry>, ManifestError> {
        let before = |line: &Result<Line, ManifestError>| !matches!(line, Ok(Line::Entry(entry)) if entry.at >= lost.end);
        let mut members = Vec::new();
        while let Some(line) = self.lines.next_if(before).transpose()? {
            match line {
                // Padding is nobody's loss.
                Line::Entry(entry) if entry.data.saturating_add(entry.stored) > lost.start => members.push(entry),
                _ => {}
            }
        }
        // Behind the last member the end of the tar alone is left.
        self.on = if let Some(Ok(Line::Entry(next))) = self.lines.peek() { next.at } else { u64::MAX };
        Ok(members)
    }

    /// How many bytes at the beginning of `range` of the stream are to be passed over.
    pub fn passed(&self, range: &Range<u64>) -> u64 {
        self.on.min(range.end).saturating_sub(range.start)
    }
}

/// What an error of the tar's reader says to be lost; any other is given back.
pub(super) fn lost(error: TarError) -> Result<Lost, TarError> {
    match error {
        TarError::Read { at, cause } => cause.downcast().map_err(|cause| TarError::Read { at, cause }),
        other => Err(other),
    }
}

/// A folder as the manifest has it: all but its extended attributes and ACLs.
pub(super) fn folder(entry: Entry) -> Member {
    Member {
        path: entry.path.0,
        kind: entry.kind,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        user: entry.user.into_bytes(),
        group: entry.group.into_bytes(),
        size: 0,
        mtime: entry.mtime,
        link: None,
        device: None,
        xattrs: Vec::new(),
        access: None,
        default: None,
        segments: None,
        at: entry.at,
        data: entry.data,
        stored: 0,
    }
}
