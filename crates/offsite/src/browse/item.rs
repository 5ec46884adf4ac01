//! An entry with what it needs from others: a hard link's data is that of its first name.

use std::ops::Range;

use offsite_archive::{ArchiveName, Class, Entry, Kind, Mtime, PathText};
use serde::Serialize;

use super::trim;

/// Where the data of a file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Data {
    /// The name that the data stands under in the tar.
    pub(crate) path: PathText,
    /// Where that member begins in the stream.
    pub(crate) at: u64,
    /// Where its data lies, a sparse file's map included, without padding.
    pub(crate) range: Range<u64>,
    /// In bytes.
    pub(crate) size: u64,
    /// How it was cut.
    pub(crate) class: Option<Class>,
}

impl Data {
    /// The data of a file's own entry; none of other kinds.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let (size, class) = (entry.size, entry.class);
        // The manifest's reader has checked that the sum is a number.
        let range = entry.data..entry.data.saturating_add(entry.stored);
        (entry.kind == Kind::File).then(|| Self { path: entry.path.clone(), at: entry.at, range, size, class })
    }

    /// Whether what is stored is the content, and not a map of holes before what is left of it.
    pub(crate) fn is_plain(&self) -> bool {
        self.range.end - self.range.start == self.size
    }

    pub(crate) fn extent(&self) -> Range<u64> {
        self.at..self.range.end.checked_next_multiple_of(512).unwrap_or(u64::MAX)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) entry: Entry,
    /// The data of a file, or of the file that a hard link names.
    pub(crate) data: Option<Data>,
}

impl Item {
    pub(crate) fn key(&self) -> &[u8] {
        trim(&self.entry.path.0)
    }

    /// Length of its content, in bytes; 0 of what has none.
    pub(crate) fn size(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.size)
    }

    /// What it is, where a further name of a file is a file like the first.
    pub(crate) fn kind(&self) -> Kind {
        if self.data.is_some() { Kind::File } else { self.entry.kind }
    }

    pub(crate) fn json<'a>(&'a self, archive: &'a ArchiveName) -> Line<'a> {
        let entry = &self.entry;
        Line {
            archive,
            path: &entry.path,
            kind: entry.kind,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            user: &entry.user,
            group: &entry.group,
            size: self.size(),
            mtime: entry.mtime,
            link: entry.link.as_ref(),
            device: entry.device,
        }
    }
}

/// What an entry is in one of several archives.
#[derive(Serialize)]
pub(crate) struct Side<'a> {
    kind: Kind,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: Mtime,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a PathText>,
}

impl<'a> Side<'a> {
    pub(crate) fn of(item: &'a Item) -> Self {
        let entry = &item.entry;
        let (size, link) = (item.size(), entry.link.as_ref());
        Self { kind: entry.kind, mode: entry.mode, uid: entry.uid, gid: entry.gid, size, mtime: entry.mtime, link }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    archive: &'a ArchiveName,
    path: &'a PathText,
    kind: Kind,
    mode: u32,
    uid: u32,
    gid: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    size: u64,
    mtime: Mtime,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a PathText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
}
