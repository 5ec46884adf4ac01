//! The way of the bytes: members become a tar stream, the stream pieces, and pieces chunks.
//!
//! Invariant: the bytes of the stream depend only on the members, never on what was known; a piece is taken from the stock whole or
//! read whole. A bundle's files stay open until the bundle ends, so what is read is what its header was made of, whatever is renamed
//! over it meanwhile; there are at most 512 of them, because each brings a kilobyte at least.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
};

use super::{
    CaptureError, CaptureOptions,
    content::{Body, Lack, Pieces},
    member::Taken,
    padding,
    sink::Sink,
    told::Told,
    watch::Watch,
};
use crate::{
    Bundler, Class, Cutter, Entry, Kind, LARGE_MIN, PathText, classify,
    header::{Member, TAR_END, write},
    meta::{Names, Stat, sparse::Segment, sys},
    stock::{Key, KeyMaker},
};

/// Content read at once, in bytes.
const PIECE: u64 = 1 << 20;

type ToChunks = Box<dyn FnMut(&[u8]) -> Result<(), CaptureError> + Send>;

/// What fills a member.
pub(super) enum Content<'a> {
    /// Nothing.
    None,
    /// A file, open, as it was when it was opened.
    File { file: File, stat: Stat, segments: Option<Vec<Segment>> },
    /// Bytes in memory.
    Bytes(&'a [u8]),
}

/// A member of the bundle under way.
struct Waiting {
    path: Vec<u8>,
    header: Vec<u8>,
    content: Option<Held>,
    /// Length of the content in the stream, without padding.
    len: usize,
    padding: usize,
}

enum Held {
    File(File, Stat, Option<Vec<Segment>>),
    Bytes(Vec<u8>),
}

/// The bundle under way.
struct Bundle {
    members: Vec<Waiting>,
    key: KeyMaker,
    calm: bool,
}

impl Bundle {
    fn new() -> Self {
        Self { members: Vec::new(), key: KeyMaker::bundle(), calm: true }
    }
}

/// The tar stream on its way.
pub(super) struct Stream<'c, S> {
    pub(super) sink: S,
    pub(super) told: Told,
    cutter: Cutter<ToChunks>,
    chunks: Receiver<Vec<u8>>,
    bundler: Bundler,
    bundle: Bundle,
    watch: Watch<'c>,
    /// Whether what is known is read all the same.
    audit: bool,
    stop: Arc<AtomicBool>,
    pub(super) entries: u64,
    pub(super) at: u64,
    /// Bytes of content read from files.
    pub(super) read: u64,
    buffer: Vec<u8>,
}

impl<'c, S: Sink> Stream<'c, S> {
    pub(super) fn new(sink: S, watch: Watch<'c>, options: &CaptureOptions) -> Self {
        let (sender, chunks) = channel();
        let to_chunks: ToChunks = Box::new(move |chunk| sender.send(chunk.to_vec()).map_err(|_| CaptureError::Thread));
        Self {
            sink,
            told: Told::default(),
            cutter: Cutter::new(to_chunks),
            chunks,
            bundler: Bundler::default(),
            bundle: Bundle::new(),
            watch,
            audit: options.audit,
            stop: options.stop.clone(),
            entries: 0,
            at: 0,
            read: 0,
            buffer: Vec::new(),
        }
    }

    /// Adds a member; `tick` hears how far the stream has come, as entries, raw bytes and bytes written.
    pub(super) fn member(
        &mut self,
        taken: &Taken<'_>,
        names: &Names,
        content: Content<'_>,
        tick: &mut dyn FnMut((u64, u64, u64)),
    ) -> Result<(), CaptureError> {
        self.go_on()?;
        let segments = if let Content::File { segments, .. } = &content { segments.as_deref() } else { None };
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
            segments,
        };
        let blob = write(&member);
        let mut entry = Entry {
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
            class: None,
            at: self.at,
            data: self.at + blob.bytes.len() as u64 - blob.map,
            stored: blob.stored,
        };
        let (header, len) = (blob.bytes, blob.stored - blob.map);
        let rest = padding(blob.stored);
        if blob.stored < LARGE_MIN {
            self.sink.entry(&entry)?;
            self.count(header.len() as u64, len + rest as u64, tick);
            // Below LARGE_MIN.
            return self.small(taken, header, content, len as usize, rest);
        }
        let known = self.known_large(taken.path, &content);
        let class = match known {
            Some((_, Some(piece))) => self.sink.stock().pieces[piece].span.class,
            _ => Some(classify(taken.path, &first(&content))),
        };
        entry.class = class;
        self.sink.entry(&entry)?;
        self.count(header.len() as u64, 0, tick);
        if self.bundler.ends_before(header.len() as u64) {
            self.flush()?;
        }
        self.wait(taken.path, header, Content::None, 0, 0);
        self.flush()?;
        self.large(taken.path, known, class.unwrap_or(Class::Data), content, len, rest, tick)
    }

    /// Adds the two zero blocks, and gives out all that is left.
    pub(super) fn end(&mut self) -> Result<(), CaptureError> {
        self.at += TAR_END.len() as u64;
        if self.bundler.ends_before(TAR_END.len() as u64) {
            self.flush()?;
        }
        self.wait(b"", TAR_END.to_vec(), Content::None, 0, 0);
        self.flush()
    }

    /// Reads all that still waits, as if a bundle ended here: nothing of a source may be read after this.
    pub(super) fn hold(&mut self) -> Result<(), CaptureError> {
        for member in &mut self.bundle.members {
            if let Some(Held::File(file, stat, segments)) = &member.content {
                let mut bytes = vec![0; member.len];
                self.read += member.len as u64;
                let changed = fill(&mut bytes, &member.path, file, stat, segments.as_deref(), &mut self.told);
                self.bundle.calm &= !changed;
                member.content = Some(Held::Bytes(bytes));
            }
        }
        Ok(())
    }

    fn count(&mut self, header: u64, content: u64, tick: &mut dyn FnMut((u64, u64, u64))) {
        self.at += header + content;
        self.entries += 1;
        tick((self.entries, self.at, self.sink.written()));
    }

    fn small(&mut self, taken: &Taken<'_>, header: Vec<u8>, content: Content<'_>, len: usize, rest: usize) -> Result<(), CaptureError> {
        let length = (header.len() + len + rest) as u64;
        if self.bundler.ends_before(length) {
            self.flush()?;
        }
        self.wait(taken.path, header, content, len, rest);
        if self.bundler.ends_after(taken.key, length) { self.flush() } else { Ok(()) }
    }

    /// Puts a member into the bundle under way.
    fn wait(&mut self, path: &[u8], header: Vec<u8>, content: Content<'_>, len: usize, padding: usize) {
        self.bundle.key.bytes(&header);
        let content = match content {
            _ if len == 0 => None,
            Content::None => None,
            Content::File { file, stat, segments } => {
                self.bundle.key.content(&stat, segments.as_deref());
                self.bundle.calm &= self.watch.is_calm(&file, &stat);
                Some(Held::File(file, stat, segments))
            }
            Content::Bytes(bytes) => {
                self.bundle.key.bytes(bytes);
                Some(Held::Bytes(bytes.to_vec()))
            }
        };
        self.bundle.members.push(Waiting { path: path.to_vec(), header, content, len, padding });
    }

    /// Ends the bundle under way: taken from the stock, or read.
    fn flush(&mut self) -> Result<(), CaptureError> {
        self.bundler.end();
        if self.bundle.members.is_empty() {
            return Ok(());
        }
        let key = self.bundle.key.finish();
        let calm = std::mem::replace(&mut self.bundle.calm, true);
        let members = std::mem::take(&mut self.bundle.members);
        let known = self.sink.stock().pieces.find(&key);
        let audited = known.filter(|_| self.audit);
        if let (Some(piece), None) = (known, audited) {
            return self.sink.take(piece);
        }
        self.sink.begin(members.iter().rfind(|member| member.content.is_some()).map_or(&b""[..], |member| &member.path), audited);
        let mut changed = false;
        for Waiting { path, header, content, len, padding } in members {
            self.cutter.small(&header)?;
            match content {
                None => {}
                Some(Held::Bytes(bytes)) => self.cutter.small(&bytes)?,
                Some(Held::File(file, stat, segments)) => {
                    self.read += len as u64;
                    self.buffer.resize(len, 0);
                    changed |= fill(&mut self.buffer, &path, &file, &stat, segments.as_deref(), &mut self.told);
                    self.cutter.small(&self.buffer)?;
                }
            }
            self.cutter.small(&[0; 511][..padding])?;
        }
        self.cutter.end_bundle()?;
        self.deal()?;
        self.sink.end((calm && !changed).then_some(key), None);
        Ok(())
    }

    /// The key of a large file's data, and what is known by it; None where it cannot have one.
    fn known_large(&self, path: &[u8], content: &Content<'_>) -> Option<(Key, Option<u32>)> {
        let Content::File { stat, segments, .. } = content else { return None };
        let mut key = KeyMaker::large(path);
        key.content(stat, segments.as_deref());
        let key = key.finish();
        Some((key, self.sink.stock().pieces.find(&key)))
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of one large file")]
    fn large(
        &mut self,
        path: &[u8],
        known: Option<(Key, Option<u32>)>,
        class: Class,
        content: Content<'_>,
        len: u64,
        rest: usize,
        tick: &mut dyn FnMut((u64, u64, u64)),
    ) -> Result<(), CaptureError> {
        let audited = known.and_then(|(_, piece)| piece.filter(|_| self.audit));
        if let (Some((_, Some(piece))), None) = (known, audited) {
            self.at += len + rest as u64;
            return self.sink.take(piece);
        }
        self.sink.begin(path, audited);
        self.cutter.large_begin(class)?;
        let mut calm = false;
        match content {
            Content::None => {}
            Content::Bytes(bytes) => {
                for piece in bytes.chunks(PIECE as usize) {
                    self.at += piece.len() as u64;
                    self.cutter.large(piece)?;
                    self.deal()?;
                }
            }
            Content::File { file, stat, segments } => {
                calm = self.watch.is_calm(&file, &stat);
                let whole = [Segment { at: 0, len: stat.size }];
                let mut body = Body::new(Pieces::new(&file, segments.as_deref().unwrap_or(&whole)));
                let mut left = len;
                while left > 0 {
                    self.go_on()?;
                    let now = left.min(PIECE);
                    self.buffer.resize(now as usize, 0);
                    body.fill(&mut self.buffer);
                    self.at += now;
                    self.read += now;
                    self.cutter.large(&self.buffer)?;
                    self.deal()?;
                    left -= now;
                    tick((self.entries, self.at, self.sink.written()));
                }
                calm &= !judge(path, &stat, &file, body.into_lack(), &mut self.told);
            }
        }
        self.at += rest as u64;
        self.cutter.large_end(rest)?;
        self.deal()?;
        self.sink.end(known.filter(|_| calm).map(|(key, _)| key), Some(class));
        Ok(())
    }

    fn go_on(&self) -> Result<(), CaptureError> {
        if self.stop.load(Ordering::SeqCst) { Err(CaptureError::Stopped) } else { Ok(()) }
    }

    /// Hands on the chunks that are cut.
    fn deal(&mut self) -> Result<(), CaptureError> {
        for chunk in self.chunks.try_iter() {
            self.sink.chunk(chunk)?;
        }
        Ok(())
    }
}

/// Fills `buffer` with the content of `file`. Returns whether it is not what it was.
fn fill(buffer: &mut [u8], path: &[u8], file: &File, stat: &Stat, segments: Option<&[Segment]>, told: &mut Told) -> bool {
    let whole = [Segment { at: 0, len: stat.size }];
    let mut body = Body::new(Pieces::new(file, segments.unwrap_or(&whole)));
    body.fill(buffer);
    judge(path, stat, file, body.into_lack(), told)
}

/// Tells what happened to a file while it was read. Returns whether anything did.
fn judge(path: &[u8], before: &Stat, file: &File, lack: Option<Lack>, told: &mut Told) -> bool {
    let after = sys::stat(file).ok();
    let changed = after.is_none_or(|after| (after.size, after.mtime) != (before.size, before.mtime));
    // Only of interest to whoever wants to know it by its times: a new name or mode leaves the content as it was.
    let touched = after.is_none_or(|after| after.ctime != before.ctime);
    match &lack {
        Some(Lack::Failed(cause)) => told.lack(path, &format!("it could not be read to its end, the rest is zeros: {cause}")),
        Some(Lack::Short) => told.warn(path, "it became shorter while it was read; zeros fill the rest"),
        None if changed => told.warn(path, "it changed while it was read"),
        None => {}
    }
    lack.is_some() || changed || touched
}

/// The beginning of the content, enough to tell its class. A failure shows again when it is read.
fn first(content: &Content<'_>) -> Vec<u8> {
    match content {
        Content::None => Vec::new(),
        Content::Bytes(bytes) => bytes[..bytes.len().min(16)].to_vec(),
        Content::File { file, .. } => {
            let mut first = vec![0; 16];
            let len = file.read_at(&mut first, 0).unwrap_or(0);
            first.truncate(len);
            first
        }
    }
}

fn absolute(path: &[u8]) -> PathText {
    PathText([b"/", path].concat())
}
