//! Why an extraction cannot go on.

use std::io;
use std::path::PathBuf;

use crate::TarError;
use crate::notes::shown;

/// Why an extraction ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The directory to extract into cannot be opened.
    #[error("extract into {}: {cause}", path.display())]
    Into {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The stream is not a whole tar.
    #[error(transparent)]
    Tar(TarError),
    /// A member's name, or the name it links to, leads outside.
    #[error("extract {}: refused, {reason}", shown(member))]
    Unsafe {
        /// The member.
        member: Vec<u8>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What should be a folder on the way to a member is a symbolic link, a file or the like.
    #[error("extract {}: refused, {} is no folder but a link or a file", shown(member), shown(parent))]
    NoFolder {
        /// The member.
        member: Vec<u8>,
        /// What is in the way.
        parent: Vec<u8>,
    },
    /// Something is there already.
    #[error("extract {}: it exists already", shown(member))]
    Exists {
        /// The member.
        member: Vec<u8>,
    },
    /// A hard link's first name has not been extracted.
    #[error("extract {}: it is a further name of {}, which was not extracted before it; select that too", shown(member), shown(target))]
    Target {
        /// The link.
        member: Vec<u8>,
        /// What it links to.
        target: Vec<u8>,
    },
    /// The system refused.
    #[error("extract {}: {operation}: {cause}", shown(member))]
    System {
        /// The member.
        member: Vec<u8>,
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        cause: io::Error,
    },
}
