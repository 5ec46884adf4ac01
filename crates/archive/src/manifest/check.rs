//! The rules that hold between the lines of a manifest, as a pure machine that is fed line by line.
//!
//! Invariant: what the writer lets out is what the reader lets in, because both ask this one machine. An archive whose manifest
//! cannot be read again is a lost archive, so a mistake of ours must show at 04:00 and not at the restore.

use super::{End, Entry, FrameRef, FramesDigest, Head, Kind, MANIFEST_VERSION, ManifestError, PathText, limit, plain::Facts};
use crate::{MAX_FRAME_RAW, frame::max_frame_len};

/// Longest path or link, in bytes: twice what a walk takes. Whoever works through a path may do so byte by byte.
const MAX_PATH: usize = 128 << 10;

/// Sums over the lines seen so far.
#[derive(Debug, Default)]
pub(super) struct Check {
    entries: u64,
    frames: u64,
    raw: u64,
    bytes: u64,
    /// Where the last entry's padded data ends in the stream.
    tail: u64,
    /// From version 2 on the manifest is bound to its frames; version 1 was to the stream, which only its reader sees.
    digest: Option<FramesDigest>,
}

/// Whether this program knows a version.
pub(super) fn known(version: u32) -> bool {
    (1..=MANIFEST_VERSION).contains(&version)
}

impl Check {
    pub(super) fn head(head: &Head) -> Result<Self, ManifestError> {
        if !known(head.version) {
            return Err(ManifestError::Version(head.version));
        }
        if let Some((what, limit)) = limit::head(head) {
            return Err(ManifestError::Many { what, limit });
        }
        for source in &head.sources {
            path_rule(&source.0).map_err(|rule| ManifestError::Entry { path: source.clone(), rule })?;
        }
        Ok(Self { digest: (head.version > 1).then(FramesDigest::new), ..Self::default() })
    }

    pub(super) fn entry(&mut self, entry: &Entry) -> Result<(), ManifestError> {
        self.facts(&Facts::of(entry))
    }

    pub(super) fn facts(&mut self, entry: &Facts<'_>) -> Result<(), ManifestError> {
        let end = self.entry_rule(entry).map_err(|rule| ManifestError::Entry { path: PathText(entry.path.to_vec()), rule })?;
        self.tail = end;
        self.entries += 1;
        Ok(())
    }

    fn entry_rule(&self, entry: &Facts<'_>) -> Result<u64, &'static str> {
        path_rule(entry.path)?;
        let holds = |rule: bool, text: &'static str| if rule { Ok(()) } else { Err(text) };
        holds(entry.mode <= 0o7777, "mode has more than permission bits")?;
        holds(entry.mtime.1 < 1_000_000_000, "mtime has a second or more of nanoseconds")?;
        let file = entry.kind == Kind::File;
        holds(file || (entry.size == 0 && entry.stored == 0 && !entry.class), "only a file has size, stored or class")?;
        holds(
            entry.link.is_some() == matches!(entry.kind, Kind::Symlink | Kind::Hardlink),
            "link belongs to symlinks and hard links alone",
        )?;
        holds(entry.device == matches!(entry.kind, Kind::Char | Kind::Block), "device belongs to devices alone")?;
        match entry.link {
            Some(link) if entry.kind == Kind::Hardlink => path_rule(link)?,
            Some(link) => holds(
                (1..=MAX_PATH).contains(&link.len()) && !link.contains(&0),
                "link is empty, longer than 131072 bytes or has a zero byte",
            )?,
            None => {}
        }
        holds(entry.at.is_multiple_of(512) && entry.data.is_multiple_of(512), "at and data are multiples of 512")?;
        holds(entry.at >= self.tail, "begins before the entry ahead of it ends")?;
        holds(entry.data > entry.at, "data begins before its header ends")?;
        entry.data.checked_add(entry.stored).and_then(|end| end.checked_next_multiple_of(512)).ok_or("ends beyond what a number can hold")
    }

    pub(super) fn frame(&mut self, frame: &FrameRef) -> Result<(), ManifestError> {
        let refuse = |rule| ManifestError::Frame { number: self.frames, rule };
        if frame.raw == 0 || frame.raw > MAX_FRAME_RAW {
            return Err(refuse("raw is not 1 to 4194304 bytes"));
        }
        if frame.len == 0 || frame.len > max_frame_len(frame.raw) {
            return Err(refuse("len is 0 or more than compression can make of raw"));
        }
        // At most 2^32 bytes each: the sums would need 2^32 lines to overflow, which is more than a manifest may inflate to.
        self.raw = self.raw.checked_add(frame.raw.into()).ok_or_else(|| refuse("raw lengths overflow"))?;
        self.bytes = self.bytes.checked_add(frame.len.into()).ok_or_else(|| refuse("lengths overflow"))?;
        self.frames += 1;
        if let Some(digest) = &mut self.digest {
            digest.push(&frame.id, frame.raw);
        }
        Ok(())
    }

    pub(super) fn end(&self, end: &End) -> Result<(), ManifestError> {
        if let Some((what, limit)) = limit::end(end, if self.digest.is_some() { 2 } else { 1 }) {
            return Err(ManifestError::Many { what, limit });
        }
        let sums = [
            ("entries", self.entries, end.entries),
            ("frames", self.frames, end.frames),
            ("raw bytes", self.raw, end.raw),
            ("frame bytes", self.bytes, end.bytes),
        ];
        if let Some((what, counted, stated)) = sums.into_iter().find(|(_, counted, stated)| counted != stated) {
            return Err(ManifestError::Sum { what, counted, stated });
        }
        if let Some(found) = self.digest.as_ref().map(FramesDigest::finish).filter(|found| *found != end.digest) {
            return Err(ManifestError::Digest { stated: end.digest, found });
        }
        if self.tail > end.raw {
            return Err(ManifestError::Beyond { tail: self.tail, raw: end.raw });
        }
        if end.quiesced.iter().any(|quiesced| !quiesced.seconds.is_finite() || quiesced.seconds < 0.0) {
            return Err(ManifestError::Seconds);
        }
        Ok(())
    }
}

/// A path that may be joined to a folder without leaving it.
fn path_rule(path: &[u8]) -> Result<(), &'static str> {
    match path {
        path if path.len() > MAX_PATH => Err("path is longer than 131072 bytes"),
        [b'/', ..] if path.contains(&0) => Err("path has a zero byte"),
        [b'/', rest @ ..] if rest.split(|&byte| byte == b'/').any(|part| part == b"..") => Err("path goes upwards"),
        [b'/', ..] => Ok(()),
        _ => Err("path is not absolute"),
    }
}
