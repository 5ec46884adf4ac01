//! Why a stream is not a tar this crate reads.

use std::io;

use crate::notes::shown;

/// Why reading a tar ended. `at` is a place in the stream, in bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// Reading failed.
    #[error("read the tar at byte {at}: {cause}")]
    Read {
        /// Where.
        at: u64,
        /// What the system said.
        cause: io::Error,
    },
    /// The stream ends inside a member.
    #[error("read the tar: it ends at byte {at}, where {missing} bytes are missing")]
    Truncated {
        /// Where it ends.
        at: u64,
        /// What is missing of the member, in bytes.
        missing: u64,
    },
    /// The stream ends between members without the mark that it is complete.
    #[error("read the tar: it ends at byte {at} without its end mark, so it is cut short")]
    NoEnd {
        /// Where it ends.
        at: u64,
    },
    /// Something follows the end mark.
    #[error("read the tar: data follows its end mark, near byte {at}")]
    AfterEnd {
        /// Where, to within 16 KiB.
        at: u64,
    },
    /// A header is followed by the end mark instead of the member it describes.
    #[error("read the tar: the extended header at byte {at} describes no member")]
    Dangling {
        /// Where the header is.
        at: u64,
    },
    /// A header's checksum is wrong.
    #[error("read the tar: the header at byte {at} is damaged or no header, its checksum does not fit")]
    Checksum {
        /// Where the header is.
        at: u64,
    },
    /// A number in a header cannot be read, or is out of range.
    #[error("read the tar: the header at byte {at} has a {field} that is no number or out of range")]
    Number {
        /// Where the header is.
        at: u64,
        /// Which number.
        field: &'static str,
    },
    /// A type of member that this crate does not read.
    #[error("read the tar: the member at byte {at} is of type {flag:?}, which is not supported")]
    Type {
        /// Where the header is.
        at: u64,
        /// Its type.
        flag: char,
    },
    /// An extended header is too long.
    #[error("read the tar: the extended header at byte {at} has {size} bytes, more than the 1048576 allowed")]
    Extension {
        /// Where it is.
        at: u64,
        /// Its length, in bytes.
        size: u64,
    },
    /// A pax header is not made of records.
    #[error("read the tar: the pax header at byte {at} is malformed: {reason}")]
    Pax {
        /// Where it is.
        at: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A member's size cannot be.
    #[error("read the tar: {} at byte {at} claims {size} bytes", shown(path))]
    Size {
        /// Where the member begins.
        at: u64,
        /// The member.
        path: Vec<u8>,
        /// What it claims.
        size: u64,
    },
    /// A sparse file's map is wrong.
    #[error("read the tar: the sparse map of {} at byte {at}: {reason}", shown(path))]
    Map {
        /// Where the member begins.
        at: u64,
        /// The member.
        path: Vec<u8>,
        /// What is wrong.
        reason: &'static str,
    },
    /// A member contradicts itself.
    #[error("read the tar: {} at byte {at}: {reason}", shown(path))]
    Member {
        /// Where the member begins.
        at: u64,
        /// The member.
        path: Vec<u8>,
        /// What is wrong.
        reason: &'static str,
    },
}
