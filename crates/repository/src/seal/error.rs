//! What can be wrong with a sealed object. Every variant names the object; none is hidden behind "decryption failed".
//!
//! The store hands its errors out as [`object_store::Error`], since that is its interface; [`SealError::of`] finds ours in there again.

use std::error::Error;

use super::keys::{NoRandom, VaultId};

/// Part of a sealed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The clear header's reserved bytes.
    Header,
    /// Salt or commitment; also when the object was sealed with another key.
    Commitment,
    /// A chunk, counted from 0.
    Chunk(u64),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::Commitment => f.write_str("commitment"),
            Self::Chunk(number) => write!(f, "chunk {number}"),
        }
    }
}

/// Why an object cannot be sealed or opened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It does not begin as a sealed object does.
    #[error("open {object}: not a sealed object")]
    NotSealed {
        /// Its path.
        object: String,
    },
    /// A later offsite wrote it, or the version byte was edited.
    #[error("open {object}: version {version:?} of the sealed format is not known to this program")]
    UnknownVersion {
        /// Its path.
        object: String,
        /// The version byte.
        version: char,
    },
    /// Its header names another kind than its folder holds.
    #[error("open {object}: its header says kind {found}: it was moved from another folder or edited")]
    WrongKind {
        /// Its path.
        object: String,
        /// The kind byte.
        found: u8,
    },
    /// It belongs to another vault.
    #[error("open {object}: it belongs to vault {found}, not to {expected}")]
    WrongVault {
        /// Its path.
        object: String,
        /// The vault that was opened.
        expected: VaultId,
        /// The vault in the header.
        found: VaultId,
    },
    /// It is another object of this vault under this name.
    #[error("open {object}: it holds object {found}: it was renamed or swapped")]
    WrongObject {
        /// Its path.
        object: String,
        /// The id in the header, in hexadecimal.
        found: String,
    },
    /// Bytes are missing at its end.
    #[error("open {object}: truncated to {found} bytes{}", .expected.map(|expected| format!(" of {expected}")).unwrap_or_default())]
    Truncated {
        /// Its path.
        object: String,
        /// The sealed length it must have, where that is known.
        expected: Option<u64>,
        /// The bytes there are.
        found: u64,
    },
    /// It is longer than it was made.
    #[error("open {object}: {found} bytes where {expected} were sealed: something was added")]
    Extended {
        /// Its path.
        object: String,
        /// The sealed length it must have.
        expected: u64,
        /// The bytes there are.
        found: u64,
    },
    /// Its bytes are not those that were sealed.
    #[error("open {object}: not authentic ({part}): edited, or sealed with another key")]
    NotAuthentic {
        /// Its path.
        object: String,
        /// The first part found wrong.
        part: Part,
    },
    /// It is authentic, but what is inside breaks the format: a defect of the program that wrote it.
    #[error("open {object}: malformed inside: {defect}")]
    Malformed {
        /// Its path.
        object: String,
        /// What is wrong.
        defect: &'static str,
    },
    /// More than 4 PiB.
    #[error("seal {object}: longer than a sealed object can be")]
    TooLong {
        /// Its path.
        object: String,
    },
    /// No salt to be had.
    #[error("seal {object}: {source}")]
    Random {
        /// Its path.
        object: String,
        /// Why.
        #[source]
        source: NoRandom,
    },
    /// The path names nothing that a sealed repository holds.
    #[error("{operation} {path}: a sealed repository holds only packs/<id>, index/<id> and manifests/<id>")]
    Path {
        /// What was to be done.
        operation: &'static str,
        /// The path refused.
        path: String,
    },
    /// Sealed objects are created and deleted, nothing else.
    #[error("{operation} {object}: a sealed object cannot be {how}")]
    Unsupported {
        /// What was to be done.
        operation: &'static str,
        /// Its path.
        object: String,
        /// What it cannot be.
        how: &'static str,
    },
}

impl SealError {
    /// The seal's own error behind `error` or anything that caused it.
    pub fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}

impl From<SealError> for object_store::Error {
    fn from(error: SealError) -> Self {
        let source = Box::new(error);
        match *source {
            SealError::Unsupported { .. } | SealError::Path { .. } => Self::NotSupported { source },
            _ => Self::Generic { store: "sealed", source },
        }
    }
}
