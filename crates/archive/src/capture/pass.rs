//! A pass: one walk over the sources, whatever it is for.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::member::{Links, Taken, Walked};
use super::roots::{Roots, plain, within};
use super::sink::Sink;
use super::stream::{Content, Stream};
use super::watch::Watch;
use super::{CaptureError, CaptureOptions};
use crate::meta::{Attributes, Names};
use crate::walk::{Root, walk};
use crate::{Kind, Mtime, Progress};

/// A part of a source that is read in one go: usually all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The source it belongs to.
    pub source: PathBuf,
    /// Its root: the source, or a path below it. It is named so in the archive.
    pub path: PathBuf,
    /// Where it is read, if not there: in a snapshot.
    pub at: Option<PathBuf>,
    /// Absolute paths below `path` that are left out, because they are another part.
    pub exclude: Vec<PathBuf>,
}

impl Part {
    /// All of a source.
    pub fn whole(source: impl Into<PathBuf>) -> Self {
        let path = source.into();
        Self { source: path.clone(), path, at: None, exclude: Vec::new() }
    }
}

fn device(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).map_or(0, |found| found.dev())
}

/// A pass under way.
pub(super) struct Pass<'c, S> {
    pub(super) stream: Stream<'c, S>,
    roots: Roots,
    pub(super) links: Links,
    pub(super) names: Names,
}

impl<'c, S: Sink> Pass<'c, S> {
    pub(super) fn new(sink: S, watch: Watch<'c>, options: &CaptureOptions) -> Self {
        let mut stream = Stream::new(sink, watch, options);
        let mut notes = crate::notes::Notes::default();
        let names = Names::of_host(&mut notes);
        notes.into_texts().into_iter().for_each(|text| stream.told.note(text));
        Self { stream, roots: Roots::default(), links: Links::default(), names }
    }

    /// Walks a part. When this returns, nothing of it is read any more.
    pub(super) fn part(&mut self, part: &Part, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), CaptureError> {
        let of = |path: &Path| plain(path.as_os_str().as_bytes());
        let (path, source) = (of(&part.path)?, of(&part.source)?);
        let at = part.at.as_deref().map_or_else(|| Ok(path.clone()), of)?;
        let exclude = part.exclude.iter().map(|path| of(path)).collect::<Result<Vec<_>, _>>()?;
        self.roots.add(&path, &exclude)?;
        let base = if within(&path, &source) { &source } else { &path };
        let opened = Root::open(&path, &at).map_err(|cause| CaptureError::Root { path: part.path.clone(), cause: cause.into() })?;
        let device = match &part.at {
            // Without the live source nothing of the snapshot is known, which costs time only.
            Some(at) => (device(at), device(&part.path)),
            None => (0, 0),
        };
        walk(&opened, base, &mut Walked { pass: self, exclude: &exclude, device, progress })?;
        self.stream.hold()
    }

    /// Adds a file from memory.
    pub(super) fn data(&mut self, path: &Path, bytes: &[u8], mtime: Timestamp) -> Result<(), CaptureError> {
        let path = plain(path.as_os_str().as_bytes())?;
        self.roots.add(&path, &[])?;
        let nanos = mtime.as_nanosecond();
        // Both parts of a valid timestamp fit their types.
        let mtime = Mtime(nanos.div_euclid(1_000_000_000) as i64, nanos.rem_euclid(1_000_000_000) as u32);
        let attributes = Attributes::default();
        let taken = Taken {
            path: &path,
            key: &path,
            kind: Kind::File,
            mode: 0o600,
            owner: (0, 0),
            size: bytes.len() as u64,
            mtime,
            link: None,
            device: (0, 0),
            attributes: &attributes,
        };
        self.stream.member(&taken, &self.names, Content::Bytes(bytes), &mut |_| ())
    }
}
