//! Members that could not be made where they were to lie, while the rest was.
//!
//! A disk may hold less than the one that was archived: macOS takes no name that is not UTF-8, and does not tell names apart that differ in
//! case alone. One such name must not cost the rest of a tree on the bad day. Invariant: what lies below a folder that was not made is not
//! made either, so nothing lands in another folder than its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ExtractError;
use crate::notes::shown;

/// Most memory for their names, in bytes.
const MOST: usize = 64 << 20;

/// Why a member could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cannot {
    /// The file system refuses its name, its kind or its length.
    #[error("it cannot be made here: {cause}")]
    Hold {
        /// What the system said.
        cause: String,
    },
    /// The file system takes its name for that of another member, which was made before it.
    #[error("this disk does not tell it from {}", other.as_deref().map_or("another member".to_owned(), shown))]
    Together {
        /// That one's name as it lies in the same folder; none where it was not looked for.
        other: Option<Vec<u8>>,
    },
    /// A folder that was there before stands in its place: folders are never replaced.
    #[error("a folder stands in its place")]
    Folder,
    /// Bytes of it are lost where the archive is kept.
    #[error("it cannot be read: {cause}")]
    Lost {
        /// Why not.
        cause: Arc<str>,
    },
    /// It is a further name of a member that could not be made.
    #[error("it is a further name of {}, which could not be made", shown(first))]
    First {
        /// That member.
        first: Vec<u8>,
    },
}

/// The members that could not be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unmade {
    /// By path below the target.
    members: BTreeMap<Vec<u8>, Cannot>,
    below: u64,
    size: usize,
}

impl Unmade {
    /// How many, with all that lies below folders among them.
    pub fn count(&self) -> u64 {
        self.members.len() as u64 + self.below
    }

    /// Each with its path below the target, in their order; what lies below one of them is not named.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Cannot)> {
        self.members.iter().map(|(path, cannot)| (&path[..], cannot))
    }

    /// Whether `path`, with or without a slash at its beginning, is one of them or lies below one.
    pub fn holds(&self, path: &[u8]) -> bool {
        let path = &path[path.iter().take_while(|byte| **byte == b'/').count()..];
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()]);
        !self.members.is_empty() && ends.into_iter().any(|end| self.members.contains_key(&path[..end]))
    }

    pub(super) fn add(&mut self, path: Vec<u8>, cannot: Cannot) -> Result<(), ExtractError> {
        self.size += path.len() + 100;
        if self.size > MOST {
            let reason = "more members cannot be made here than their names fit into memory";
            return Err(ExtractError::Unsafe { member: path, reason });
        }
        self.members.insert(path, cannot);
        Ok(())
    }

    /// Counts a member that lies below one of them.
    pub(super) fn add_below(&mut self) {
        self.below += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_what_lies_below_it_and_no_namesake() {
        let mut unmade = Unmade::default();
        assert!(!unmade.holds(b"srv"));
        unmade.add(b"srv/dir".to_vec(), Cannot::Folder).unwrap();
        assert_eq!(
            ["srv/dir", "/srv/dir/a/b", "srv", "srv/dirt", "dir"].map(|path| unmade.holds(path.as_bytes())),
            [true, true, false, false, false]
        );
    }
}
