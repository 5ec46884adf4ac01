//! Why a capture cannot go on.

use std::io;
use std::path::PathBuf;

use crate::{FrameError, FrameId};

/// Why an archive cannot be made. A file that cannot be read is not among these: it is a warning.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The root of a source is missing or cannot be opened.
    #[error("capture {}: {cause}", path.display())]
    Root {
        /// The source.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A path that is not absolute, or not of plain names.
    #[error("capture {}: a source is an absolute path without '.' or '..'", .0.display())]
    Path(PathBuf),
    /// Two sources share files: they would be in the archive twice.
    #[error("capture {}: it overlaps {}, which is captured already", path.display(), other.display())]
    Overlap {
        /// The later one.
        path: PathBuf,
        /// The earlier one.
        other: PathBuf,
    },
    /// The head is not what this version writes.
    #[error("begin the archive: {0}")]
    Head(&'static str),
    /// The archive cannot be written.
    #[error("write the archive: {0}")]
    Write(#[source] io::Error),
    /// The manifest cannot be written.
    #[error("write the manifest: {0}")]
    Manifest(#[source] io::Error),
    /// A chunk cannot be compressed.
    #[error("compress a chunk: {0}")]
    Frame(#[source] FrameError),
    /// A frame that was to be taken from an earlier archive, or from the scratch file, is not what it was.
    #[error("take over frame {id}, which was at hand: {reason}")]
    Damaged {
        /// The frame.
        id: FrameId,
        /// What is wrong with it.
        reason: String,
    },
    /// New frames cannot be kept until they are needed.
    #[error("write the scratch file: {0}")]
    Scratch(#[source] io::Error),
    /// [`crate::CaptureOptions::stop`] was set.
    #[error("stopped")]
    Stopped,
    /// A thread that makes frames or the manifest has died.
    #[error("make frames: a thread ended early")]
    Thread,
}
