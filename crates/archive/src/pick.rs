//! Partial restore: which ranges of the tar stream hold the members that someone wants.
//!
//! Invariant: the ranges, read in order and followed by two zero blocks, are a tar that restores every selected member: the
//! folders above it come along for their owners and modes, and so does the first name of a hard link, which alone has the data.
//! One pass over the entries; what it must remember of each is its place and a short hash of its path.

use std::{collections::HashMap, ops::Range};

use crate::{Entry, Kind, Line, ManifestError, PathText};

/// What to read for a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    /// Ranges of the tar stream in bytes: whole members, ascending, apart from each other. The two zero blocks that end a tar are
    /// not among them.
    pub ranges: Vec<Range<u64>>,
    /// Selections, as given, that match no entry.
    pub missing: Vec<Vec<u8>>,
}

/// Picks the entries that are one of `select` or lie below one. Slashes at either end of a selection mean nothing; nothing
/// selected picks everything.
///
/// # Errors
/// What `entries` gives, and when a selected hard link names no earlier entry.
pub fn pick(entries: impl Iterator<Item = Result<Line, ManifestError>>, select: &[Vec<u8>]) -> Result<Picked, ManifestError> {
    let wanted: Vec<&[u8]> = select.iter().map(|path| trim(path)).collect();
    let mut found = vec![false; wanted.len()];
    let mut seen = Seen::default();
    let mut ranges = Vec::new();
    for line in entries {
        let Line::Entry(entry) = line? else { continue };
        let path = trim(&entry.path.0);
        let range = extent(&entry);
        let mut selected = wanted.is_empty();
        for (want, found) in wanted.iter().zip(&mut found) {
            if below(path, want) {
                selected = true;
                *found = true;
            }
        }
        if selected {
            seen.above(path, &mut ranges);
            if let (Kind::Hardlink, Some(link)) = (entry.kind, &entry.link) {
                let first = trim(&link.0);
                ranges.push(seen.other(first).ok_or_else(|| unlinked(&entry.path))?);
                seen.above(first, &mut ranges);
            }
            ranges.push(range.clone());
        }
        seen.add(path, entry.kind, range);
    }
    let missing = select.iter().zip(found).filter(|(_, found)| !found).map(|(path, _)| path.clone()).collect();
    Ok(Picked { ranges: merge(ranges), missing })
}

/// Where earlier members lie, and whether each is a folder. The key is 128 bits of its path's BLAKE3: a stranger cannot make two
/// paths meet, and a million files cost tens of megabytes, not hundreds.
#[derive(Default)]
struct Seen(HashMap<[u8; 16], (Range<u64>, bool)>);

impl Seen {
    fn add(&mut self, path: &[u8], kind: Kind, range: Range<u64>) {
        if kind != Kind::Hardlink {
            self.0.insert(short(blake3::Hasher::new().update(path)), (range, kind == Kind::Dir));
        }
    }

    /// What is no folder and is called `path`.
    fn other(&self, path: &[u8]) -> Option<Range<u64>> {
        let (range, folder) = self.0.get(&short(blake3::Hasher::new().update(path)))?;
        (!folder).then(|| range.clone())
    }

    /// Adds the folders above `path` to `ranges`. The path is hashed once on the way down, however deep a stranger made it.
    fn above(&self, path: &[u8], ranges: &mut Vec<Range<u64>>) {
        let mut hasher = blake3::Hasher::new();
        for (depth, part) in path.split(|&byte| byte == b'/').enumerate() {
            if let Some((range, true)) = self.0.get(&short(&hasher)) {
                ranges.push(range.clone());
            }
            if depth > 0 {
                hasher.update(b"/");
            }
            hasher.update(part);
        }
    }
}

/// The whole member in the tar stream, padding included.
fn extent(entry: &Entry) -> Range<u64> {
    entry.at..entry.data.saturating_add(entry.stored).checked_next_multiple_of(512).unwrap_or(u64::MAX)
}

fn trim(mut path: &[u8]) -> &[u8] {
    while let [b'/', rest @ ..] | [rest @ .., b'/'] = path {
        path = rest;
    }
    path
}

fn below(path: &[u8], want: &[u8]) -> bool {
    match path.strip_prefix(want) {
        Some(rest) => want.is_empty() || rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    }
}

fn short(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

fn unlinked(path: &PathText) -> ManifestError {
    ManifestError::Entry { path: path.clone(), rule: "is a hard link to no earlier entry" }
}

fn merge(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
