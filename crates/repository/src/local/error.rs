//! What a local folder can refuse, with the path and the system's own error in the chain.

use std::{
    io,
    path::{Path as FilePath, PathBuf},
};

/// An operation on a local folder failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The system refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The folder is not there.
    #[error("there is no folder {} (is its disk mounted?)", path.display())]
    NoFolder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The object is there already.
    #[error("{} is there already", path.display())]
    Exists {
        /// The object's file.
        path: PathBuf,
    },
    /// No object may have that name.
    #[error("{name:?} cannot be the name of an object: parts are 1 to 200 of A-Z, a-z, 0-9, '.', '-' and '_' and do not begin with '.'")]
    Name {
        /// The name.
        name: String,
    },
    /// Something is there, but it is not a regular file.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// A staged file belongs to another folder.
    #[error("the file was staged in {} and cannot be published in {}", from.display(), to.display())]
    Elsewhere {
        /// Where it was staged.
        from: PathBuf,
        /// Where it should have gone.
        to: PathBuf,
    },
    /// The system gave no randomness for a temporary name.
    #[error("cannot get randomness from the operating system")]
    Random {
        /// Why not.
        #[source]
        source: getrandom::Error,
    },
    /// The thread that did the work ended early.
    #[error("cannot {operation}: the work was interrupted")]
    Interrupted {
        /// What was tried.
        operation: &'static str,
        /// How it ended.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl LocalError {
    pub(crate) fn io(operation: &'static str, path: &FilePath, source: io::Error) -> Self {
        Self::Io { operation, path: path.to_owned(), source }
    }

    pub(crate) fn interrupted(operation: &'static str, source: tokio::task::JoinError) -> Self {
        Self::Interrupted { operation, source }
    }

    /// The kind of the system's error, if that is what it is.
    fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } | Self::NoFolder { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    /// As the error of an object store, for the object `path`. The chain stays.
    pub(crate) fn of_object(self, path: &str) -> object_store::Error {
        let path = path.to_owned();
        match (&self, self.kind()) {
            // A root that is gone is no missing object: callers take a missing object as an answer.
            (Self::NoFolder { .. }, _) => object_store::Error::Generic { store: "local folder", source: Box::new(self) },
            (Self::Exists { .. }, _) => object_store::Error::AlreadyExists { path, source: Box::new(self) },
            (_, Some(io::ErrorKind::NotFound)) => object_store::Error::NotFound { path, source: Box::new(self) },
            (_, Some(io::ErrorKind::PermissionDenied)) => object_store::Error::PermissionDenied { path, source: Box::new(self) },
            _ => object_store::Error::Generic { store: "local folder", source: Box::new(self) },
        }
    }
}
