//! The values that stand in a manifest, exactly as they are written. Field order here is the order in the file.

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
    ser::SerializeMap,
};

use super::limit;
use crate::{ArchiveName, FrameId};

/// One line of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Line {
    /// The first line.
    Head(Head),
    /// A member of the tar stream, in stream order.
    Entry(Entry),
    /// A frame of the file, in file order.
    Frame(FrameRef),
    /// The last line.
    End(End),
}

/// What was known of the run before its first byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of this format: [`crate::MANIFEST_VERSION`] where it is written, 1 in older ones.
    pub version: u32,
    /// The archive described.
    pub archive: ArchiveName,
    /// The archive's number: never goes back on one Pi, follows the clock (unix seconds) otherwise.
    pub sequence: u64,
    /// The host name of the Pi.
    pub host: String,
    /// The agent's version.
    pub agent: String,
    /// What was archived: the roots, absolute.
    #[serde(deserialize_with = "limit::list")]
    pub sources: Vec<PathText>,
    /// How the stream was cut.
    pub chunker: Chunker,
}

/// The chunker's name and parameters, in bytes. Version 1 knows one: [`Chunker::files_1`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunker {
    /// `files-1`.
    pub id: String,
    /// Fixed cut of page files.
    pub page: u32,
    /// FastCDC minimum, average, maximum of text.
    pub text: [u32; 3],
    /// FastCDC minimum, average, maximum of other large files.
    pub data: [u32; 3],
    /// Bundles of small files: mean and maximum.
    pub bundle: [u32; 2],
}

impl Chunker {
    /// The one chunker there is, as [`crate::Cutter`] cuts.
    pub fn files_1() -> Self {
        use crate::cut::{BUNDLE, DATA, PAGE, TEXT};
        Self { id: "files-1".to_owned(), page: PAGE, text: TEXT, data: DATA, bundle: BUNDLE }
    }
}

/// How the content of a file is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A database's page file: fixed cuts.
    Page,
    /// A large text, as a dump: small content-defined cuts.
    Text,
    /// Any other large file: content-defined cuts around 1 MiB.
    Data,
}

/// What kind of thing an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link; `link` is where it points.
    Symlink,
    /// A further name of an earlier entry; `link` is the archived path of that entry.
    Hardlink,
    /// A named pipe.
    Fifo,
    /// A character device.
    Char,
    /// A block device.
    Block,
}

/// A path's bytes: a JSON string where they are UTF-8, `{"hex":"…"}` where they are not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathText(pub Vec<u8>);

impl fmt::Display for PathText {
    /// For people: what is not UTF-8 is replaced, control characters are escaped, so that a name cannot drive a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in String::from_utf8_lossy(&self.0).chars() {
            if character.is_control() { write!(f, "{}", character.escape_default())? } else { write!(f, "{character}")? }
        }
        Ok(())
    }
}

impl Serialize for PathText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = str::from_utf8(&self.0) {
            return serializer.serialize_str(text);
        }
        let mut hex = String::with_capacity(2 * self.0.len());
        for byte in &self.0 {
            for digit in [byte >> 4, byte & 15] {
                hex.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("hex", &hex)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for PathText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathVisitor)
    }
}

struct PathVisitor;

impl<'de> Visitor<'de> for PathVisitor {
    type Value = PathText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path as a string, or as {\"hex\":\"…\"} where its bytes are not UTF-8")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PathText, E> {
        Ok(PathText(text.as_bytes().to_vec()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PathText, A::Error> {
        let Some((key, hex)) = map.next_entry::<String, String>()? else { return Err(de::Error::custom("a path without hex")) };
        if key != "hex" || map.next_key::<String>()?.is_some() {
            return Err(de::Error::custom("a path that has other keys than hex"));
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let pair = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(pair).collect();
        let bytes = bytes.ok_or_else(|| de::Error::custom("a path's hex is pairs of 0-9 and a-f"))?;
        // One spelling per path: what is UTF-8 is written as a string.
        if str::from_utf8(&bytes).is_ok() {
            return Err(de::Error::custom("a path in hex which is UTF-8"));
        }
        Ok(PathText(bytes))
    }
}

/// A modification time: seconds since 1970 (may be negative) and nanoseconds (0 to 999,999,999) after that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mtime(pub i64, pub u32);

/// One member of the tar stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Absolute, as named on the Pi, without the leading slash removed.
    pub path: PathText,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Owner's name, empty where unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Group's name, empty where unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Length of the file as its owner sees it, in bytes; 0 for all that is not a file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// Modification time.
    pub mtime: Mtime,
    /// Target of a symlink, or archived path of a hard link's first name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<PathText>,
    /// Major and minor number of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<(u32, u32)>,
    /// How the content was cut; absent for files that lie in a bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Where the member's first header begins in the tar stream, in bytes.
    pub at: u64,
    /// Where its data (a sparse file's map included) begins in the tar stream, in bytes.
    pub data: u64,
    /// Length of that data in the tar stream, without padding, in bytes: `size`, but for sparse files.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stored: u64,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// One frame of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRef {
    /// BLAKE3 of the raw bytes.
    pub id: FrameId,
    /// Raw length in bytes, 1 to [`crate::MAX_FRAME_RAW`].
    pub raw: u32,
    /// Length of the zstd frame in the agent's file, in bytes.
    pub len: u32,
}

/// A compose project that was down for the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quiesced {
    /// The project's name.
    pub project: String,
    /// How long its services were away, in seconds.
    pub seconds: f64,
}

/// What was known of the run after its last byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Number of entries.
    pub entries: u64,
    /// Number of frames.
    pub frames: u64,
    /// Length of the raw tar stream, in bytes.
    pub raw: u64,
    /// Length of all frames in the agent's file, in bytes.
    pub bytes: u64,
    /// What binds the content: that of [`crate::FramesDigest`]; in a manifest of version 1, BLAKE3 of the whole raw stream.
    pub digest: FrameId,
    /// When the run had read everything.
    pub finished: Timestamp,
    /// What was stopped, and for how long.
    #[serde(default, deserialize_with = "limit::list")]
    pub quiesced: Vec<Quiesced>,
    /// What a person should know: vanished files, skipped sockets, files that changed while they were read.
    #[serde(default, deserialize_with = "limit::list")]
    pub warnings: Vec<String>,
    /// False when something that should be in the archive is not (a file could not be read). Such an archive replaces no good one.
    pub complete: bool,
}
