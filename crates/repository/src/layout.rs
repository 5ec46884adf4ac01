//! Where a repository keeps what: the names of its objects, for each of the three layouts.
//!
//! Every name is made here and read here, so that no other module knows a path. Names are narrow (hexadecimal digits, a job's name,
//! a time), because they must mean the same to a local file system, to SFTP and to any object store.

use std::{fmt, str::FromStr};

use object_store::path::Path;
use offsite_archive::ArchiveName;
use serde::{Deserialize, Serialize};

use crate::RepositoryError;

/// How a repository keeps its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// The Pi's: each archive is one plain file that `tar` opens; that file is its pack and the manifest its table.
    Plain,
    /// The Mac's: frames lie once in packs, each with its index object.
    Packs,
    /// The cloud's: as [`Layout::Packs`], but every object is sealed and named at random, manifests too.
    Sealed,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "plain",
            Self::Packs => "packs",
            Self::Sealed => "sealed",
        })
    }
}

/// A random name of 16 bytes, written as 32 lower-case hexadecimal digits. Nothing about the content follows from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ObjectId([u8; 16]);

impl ObjectId {
    /// A fresh one, from the operating system's randomness.
    ///
    /// # Errors
    /// [`RepositoryError::Random`] if the system has none to give.
    pub fn random() -> Result<Self, RepositoryError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|source| RepositoryError::Random { source })?;
        Ok(Self(bytes))
    }

    /// Wraps 16 bytes that were chosen elsewhere.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an object id is 32 lower-case hexadecimal digits, not {0:?}")]
pub struct InvalidObjectId(pub String);

impl FromStr for ObjectId {
    type Err = InvalidObjectId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidObjectId(text.chars().take(80).collect());
        if text.len() != 32 {
            return Err(invalid());
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(invalid)?;
        }
        Ok(Self(bytes))
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ObjectId {
    type Error = InvalidObjectId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A pack's name: an archive's file in [`Layout::Plain`], an object of its own otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackName {
    /// `archives/<job>/<time>.tar.zst`
    Archive(ArchiveName),
    /// `packs/<id>`
    Object(ObjectId),
}

impl PackName {
    /// Where the pack lies.
    pub fn path(&self) -> Path {
        match self {
            Self::Archive(name) => archive_path(name),
            Self::Object(id) => Path::from(format!("{PACKS}/{id}")),
        }
    }
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.path().as_ref())
    }
}

pub(crate) const MARKER: &str = "repository.json";
pub(crate) const ARCHIVES: &str = "archives";
pub(crate) const MANIFESTS: &str = "manifests";
pub(crate) const PACKS: &str = "packs";
pub(crate) const INDEX: &str = "index";
const ARCHIVE_SUFFIX: &str = ".tar.zst";
const MANIFEST_SUFFIX: &str = ".zst";

/// `archives/<job>/<time>.tar.zst`: an archive's file in [`Layout::Plain`].
pub fn archive_path(name: &ArchiveName) -> Path {
    Path::from(format!("{ARCHIVES}/{name}{ARCHIVE_SUFFIX}"))
}

/// `plain/<job>/<time>.tar.zst`: the convenience copy of the newest archive in [`Layout::Packs`]; never a source of frames.
pub fn plain_path(name: &ArchiveName) -> Path {
    Path::from(format!("plain/{name}{ARCHIVE_SUFFIX}"))
}

/// `manifests/<job>/<time>.zst`: an archive's manifest in [`Layout::Plain`] and [`Layout::Packs`].
pub fn manifest_path(name: &ArchiveName) -> Path {
    Path::from(format!("{MANIFESTS}/{name}{MANIFEST_SUFFIX}"))
}

/// `manifests/<id>`: a manifest in [`Layout::Sealed`].
pub fn sealed_manifest_path(id: &ObjectId) -> Path {
    Path::from(format!("{MANIFESTS}/{id}"))
}

/// `index/<id>`: the table of the pack of that id.
pub fn index_path(id: &ObjectId) -> Path {
    Path::from(format!("{INDEX}/{id}"))
}

/// `damaged/<id>`: a pack that was set aside.
pub fn damaged_path(id: &ObjectId) -> Path {
    Path::from(format!("damaged/{id}"))
}

/// Whether a listed object is none of ours by its looks: what desktops and editors leave behind (`.DS_Store`, `._x`).
pub(crate) fn is_litter(path: &Path) -> bool {
    path.filename().is_none_or(|name| name.starts_with('.'))
}

/// The archive whose manifest lies at `path` in [`Layout::Plain`] and [`Layout::Packs`].
pub(crate) fn manifest_name(path: &Path) -> Option<ArchiveName> {
    path.as_ref().strip_prefix(MANIFESTS)?.strip_prefix('/')?.strip_suffix(MANIFEST_SUFFIX)?.parse().ok()
}

/// The archive whose file lies at `path` in [`Layout::Plain`].
pub(crate) fn archive_name(path: &Path) -> Option<ArchiveName> {
    path.as_ref().strip_prefix(ARCHIVES)?.strip_prefix('/')?.strip_suffix(ARCHIVE_SUFFIX)?.parse().ok()
}

/// The id that names the object at `path`, directly below `folder`.
pub(crate) fn object_id(path: &Path, folder: &str) -> Option<ObjectId> {
    path.as_ref().strip_prefix(folder)?.strip_prefix('/')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_digits_and_read_back() {
        let id = ObjectId::from_bytes([0xa7; 16]);
        assert_eq!(id.to_string(), "a7".repeat(16));
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "a7", &"A7".repeat(16), &"g7".repeat(16), &"a7".repeat(17), &"é".repeat(16)] {
            assert!(text.parse::<ObjectId>().is_err(), "{text}");
        }
    }

    #[test]
    fn fresh_ids_differ() {
        assert_ne!(ObjectId::random().unwrap(), ObjectId::random().unwrap());
    }

    #[test]
    fn names_become_paths_and_back() {
        let name: ArchiveName = "services/2026-11-22T040000Z".parse().unwrap();
        assert_eq!(archive_path(&name).as_ref(), "archives/services/2026-11-22T040000Z.tar.zst");
        assert_eq!(manifest_path(&name).as_ref(), "manifests/services/2026-11-22T040000Z.zst");
        assert_eq!(archive_name(&archive_path(&name)), Some(name.clone()));
        assert_eq!(manifest_name(&manifest_path(&name)), Some(name));
        let id = ObjectId::from_bytes([1; 16]);
        assert_eq!(object_id(&PackName::Object(id).path(), PACKS), Some(id));
        assert_eq!(object_id(&index_path(&id), PACKS), None);
        assert_eq!(manifest_name(&Path::from("manifests/services/x.zst")), None);
        assert!(is_litter(&Path::from("packs/.DS_Store")));
    }
}
