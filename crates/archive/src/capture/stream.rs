//! The way of the bytes: members become a tar stream, and the stream chunks.
//!
//! Invariant: what is hashed into the digest, counted, and given to the chunker is the same bytes in the same order; whatever moves
//! the stream goes through [`Stream::pass`]. A member's line stands in the manifest before any of its bytes is in a frame.

use std::io::Write;
use std::sync::mpsc::channel;

use super::frames::{BATCH, Frames};
use super::member::Taken;
use super::{CaptureError, CaptureOptions, padding};
use crate::header::{Member, write};
use crate::meta::Names;
use crate::{Chunker, Cutter, End, Entry, FrameId, Head, Kind, LARGE_MIN, ManifestWriter, PathText, classify};

/// Content read at once, in bytes.
const PIECE: u64 = 1 << 20;

type Sink = Box<dyn FnMut(&[u8]) -> Result<(), CaptureError> + Send>;

/// How far the stream has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums {
    pub(super) entries: u64,
    pub(super) frames: u64,
    pub(super) raw: u64,
    pub(super) bytes: u64,
    pub(super) digest: FrameId,
}

/// A stream that has ended.
pub(super) struct Ended<W> {
    pub(super) out: W,
    pub(super) manifest: Vec<u8>,
    pub(super) end: End,
    /// Length in the file and raw length of each frame.
    pub(super) frames: Vec<(u32, u32)>,
}

/// The tar stream on its way into the file.
pub(super) struct Stream<W> {
    frames: Frames<W>,
    manifest: ManifestWriter<Vec<u8>>,
    cutter: Cutter<Sink>,
    digest: blake3::Hasher,
    entries: u64,
    at: u64,
    buffer: Vec<u8>,
}

/// Where the bytes given to [`Stream::pass`] belong.
#[derive(Clone, Copy)]
enum Part {
    Header,
    Small,
    Large,
}

impl<W: Write> Stream<W> {
    pub(super) fn new(out: W, head: &Head, options: &CaptureOptions) -> Result<Self, CaptureError> {
        if head.chunker != Chunker::files_1() {
            return Err(CaptureError::Head("its chunker is not files-1"));
        }
        let mut manifest = ManifestWriter::new(Vec::new()).map_err(CaptureError::Manifest)?;
        manifest.head(head).map_err(CaptureError::Manifest)?;
        let (sender, chunks) = channel();
        let sink: Sink = Box::new(move |chunk| sender.send(chunk.to_vec()).map_err(|_| CaptureError::Thread));
        let frames = Frames::new(out, chunks, options)?;
        Ok(Self { frames, manifest, cutter: Cutter::new(sink), digest: blake3::Hasher::new(), entries: 0, at: 0, buffer: Vec::new() })
    }

    fn sums(&self) -> Sums {
        Sums {
            entries: self.entries,
            frames: self.frames.lengths().len() as u64,
            raw: self.at,
            bytes: self.frames.written(),
            digest: FrameId::from_bytes(*self.digest.finalize().as_bytes()),
        }
    }

    /// How far it has come, without the digest: entries, raw bytes, bytes written.
    fn counts(&self) -> (u64, u64, u64) {
        (self.entries, self.at, self.frames.written())
    }

    /// Adds a member. `first` is the beginning of its content, `fill` gives all of it piece by piece, `tick` hears of each piece.
    pub(super) fn member(
        &mut self,
        taken: &Taken<'_>,
        names: &Names,
        first: &[u8],
        fill: &mut dyn FnMut(&mut [u8]),
        tick: &mut dyn FnMut((u64, u64, u64)),
    ) -> Result<(), CaptureError> {
        let member = Member {
            path: taken.path,
            kind: taken.kind,
            mode: taken.mode,
            uid: taken.owner.0,
            gid: taken.owner.1,
            user: names.user(taken.owner.0),
            group: names.group(taken.owner.1),
            size: taken.size,
            mtime: taken.mtime,
            link: taken.link,
            device: taken.device,
            attributes: taken.attributes,
            segments: taken.segments,
        };
        let blob = write(&member);
        let large = (blob.stored >= LARGE_MIN).then(|| classify(taken.path, first));
        let entry = Entry {
            path: absolute(taken.path),
            kind: taken.kind,
            mode: taken.mode,
            uid: taken.owner.0,
            gid: taken.owner.1,
            user: member.user.to_owned(),
            group: member.group.to_owned(),
            size: taken.size,
            mtime: taken.mtime,
            link: taken.link.map(|link| if taken.kind == Kind::Hardlink { absolute(link) } else { PathText(link.to_vec()) }),
            device: matches!(taken.kind, Kind::Char | Kind::Block).then_some(taken.device),
            class: large,
            at: self.at,
            data: self.at + blob.bytes.len() as u64 - blob.map,
            stored: blob.stored,
        };
        self.manifest.entry(&entry).map_err(CaptureError::Manifest)?;
        self.entries += 1;
        tick(self.counts());
        self.pass(Part::Header, &blob.bytes)?;
        if let Some(class) = large {
            self.cutter.large_begin(class)?;
        }
        let part = if large.is_some() { Part::Large } else { Part::Small };
        let mut left = blob.stored - blob.map;
        let mut buffer = std::mem::take(&mut self.buffer);
        while left > 0 {
            let len = left.min(PIECE);
            buffer.resize(len as usize, 0);
            fill(&mut buffer);
            self.pass(part, &buffer)?;
            left -= len;
            if left > 0 {
                tick(self.counts());
            }
        }
        self.buffer = buffer;
        let rest = [0; 511];
        self.pass(part, &rest[..padding(blob.stored)])?;
        if large.is_some() {
            self.cutter.large_end(0)?;
        }
        self.cutter.member_end(taken.key)?;
        self.frames.write(BATCH, &mut self.manifest)
    }

    /// Adds bytes that belong to no member.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<(), CaptureError> {
        self.pass(Part::Header, bytes)
    }

    /// Writes all frames that are decided.
    pub(super) fn settle(&mut self) -> Result<(), CaptureError> {
        self.frames.write(0, &mut self.manifest)
    }

    /// Ends the stream and the manifest, whose last line is made from the final sums.
    pub(super) fn finish(mut self, end: impl FnOnce(Sums) -> End) -> Result<Ended<W>, CaptureError> {
        let sums = self.sums();
        drop(self.cutter.finish()?);
        self.frames.write(0, &mut self.manifest)?;
        let end = end(Sums { frames: self.frames.lengths().len() as u64, bytes: self.frames.written(), ..sums });
        let manifest = self.manifest.end(&end).map_err(CaptureError::Manifest)?;
        let (out, frames) = self.frames.into_parts();
        Ok(Ended { out, manifest, end, frames })
    }

    fn pass(&mut self, part: Part, bytes: &[u8]) -> Result<(), CaptureError> {
        self.digest.update(bytes);
        self.at += bytes.len() as u64;
        match part {
            Part::Header => self.cutter.header(bytes)?,
            Part::Small => self.cutter.small(bytes)?,
            Part::Large => self.cutter.large(bytes)?,
        }
        self.frames.write(BATCH, &mut self.manifest)
    }
}

fn absolute(path: &[u8]) -> PathText {
    PathText([b"/", path].concat())
}
