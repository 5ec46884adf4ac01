//! Looking into archives without restoring them: what `ls`, `find`, `cat` and `diff` share.
//!
//! Names, sizes and times come from manifests alone, and not a frame is read for them. A manifest comes from another machine: it is streamed and
//! never held whole, what is remembered of it is bounded, and what it names is shown with its control characters escaped.

pub(crate) mod content;
pub(crate) mod item;
pub(crate) mod member;
pub(crate) mod near;
pub(crate) mod order;
pub(crate) mod reading;
pub(crate) mod show;
pub(crate) mod text;

use std::{os::unix::ffi::OsStrExt, path::Path};

use bytes::Bytes;
use offsite_archive::{ArchiveName, Manifest, ManifestError, PathText};
use offsite_repository::{ManifestObject, Repository};

use self::{near::Nearest, order::Ordered};
use crate::restore::{from::Opened, select::Chosen};

#[derive(Debug, thiserror::Error)]
pub(crate) enum BrowseError {
    #[error("{archive} holds nothing called {path}{}", near.text())]
    Missing { archive: String, path: PathText, near: Nearest },
    #[error("cannot read what is in {archive}")]
    Entries { archive: ArchiveName, source: ManifestError },
    #[error("cannot put in order what is in {archive}: {what}")]
    Order { archive: ArchiveName, what: &'static str },
}

/// An archive that is looked into: its manifest, and where each frame begins in the tar stream.
pub(crate) struct Night {
    pub(crate) name: ArchiveName,
    pub(crate) manifest: Manifest,
    bytes: Bytes,
    starts: Vec<u64>,
}

impl Night {
    pub(crate) async fn open(repository: &Repository, name: &ArchiveName) -> anyhow::Result<Self> {
        Ok(Self::new(repository.manifest(name).await?))
    }

    pub(crate) async fn chosen(opened: &Opened, chosen: &Chosen) -> anyhow::Result<Self> {
        Self::open(&opened.repository, &chosen.info.name).await
    }

    pub(crate) fn new(ManifestObject { manifest, bytes }: ManifestObject) -> Self {
        let starts = manifest.frames.iter().scan(0, |next, frame| {
            let start = *next;
            *next += u64::from(frame.raw);
            Some(start)
        });
        Self { name: manifest.head.archive.clone(), starts: starts.collect(), manifest, bytes }
    }

    /// Its entries in the order of paths.
    pub(crate) fn items(&self) -> Result<Ordered<'_>, BrowseError> {
        Ordered::of(self)
    }

    fn failed(&self, source: ManifestError) -> BrowseError {
        BrowseError::Entries { archive: self.name.clone(), source }
    }

    fn unordered(&self, what: &'static str) -> BrowseError {
        BrowseError::Order { archive: self.name.clone(), what }
    }
}

/// A path as a person types it, as it is compared: without slashes at its ends, without empty parts and without `.`.
pub(crate) fn typed(path: &Path) -> Vec<u8> {
    let parts = path.as_os_str().as_bytes().split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.collect::<Vec<_>>().join(&b'/')
}

/// An entry's path as it is compared: without slashes at its ends.
pub(crate) fn trim(mut path: &[u8]) -> &[u8] {
    while let [b'/', rest @ ..] | [rest @ .., b'/'] = path {
        path = rest;
    }
    path
}

/// What of `path` lies below `folder`: nothing if it is the folder itself, `None` if it lies elsewhere.
pub(crate) fn below<'a>(path: &'a [u8], folder: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(folder)?;
    if folder.is_empty() || rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

/// A trimmed path as people see it.
pub(crate) fn absolute(path: &[u8]) -> PathText {
    PathText([b"/", path].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_be_typed_in_many_ways() {
        for text in ["/srv/a b", "srv/a b", "srv/a b/", "//srv/./a b//"] {
            assert_eq!(typed(Path::new(text)), b"srv/a b", "{text}");
        }
        assert_eq!(typed(Path::new("/")), b"");
        assert_eq!(trim(b"//a//"), b"a");
    }

    #[test]
    fn below_is_by_whole_names() {
        assert_eq!(below(b"srv/a/b", b"srv"), Some(&b"a/b"[..]));
        assert_eq!(below(b"srv", b"srv"), Some(&b""[..]));
        assert_eq!(below(b"srv", b""), Some(&b"srv"[..]));
        assert_eq!((below(b"srvx", b"srv"), below(b"sr", b"srv")), (None, None));
    }
}
