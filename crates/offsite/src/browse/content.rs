//! Whether a file holds the same in two archives, as far as manifests tell without reading it.
//!
//! A manifest has no hash of a file, but it says which frames the file's bytes lie in, and a frame is known by the hash of its content. The same
//! piece of the same frames is the same content, for certain. Other frames are another content only where the cut follows the file alone, as it
//! does for large files; a small one shares its frame with neighbours, and one of those may have changed.

use std::ops::Range;

use serde::Serialize;

use super::{Night, item::Data};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sameness {
    Same,
    Different,
    /// They are equally long, and only reading them would tell.
    Unknown,
}

pub(crate) fn sameness(a: (&Night, &Data), b: (&Night, &Data)) -> Sameness {
    let (of_a, of_b) = (print(a.0, &a.1.range), print(b.0, &b.1.range));
    if a.1.size != b.1.size {
        Sameness::Different
    } else if of_a == of_b {
        Sameness::Same
    } else if a.1.class == b.1.class && a.0.manifest.head.chunker == b.0.manifest.head.chunker && exact(a) && exact(b) {
        Sameness::Different
    } else {
        Sameness::Unknown
    }
}

/// Whether its frames follow from the content alone: a large file's do from where its data begins. Those of a sparse file do not, for the map of its
/// holes lies among its neighbours.
fn exact((night, data): (&Night, &Data)) -> bool {
    data.class.is_some() && data.is_plain() && night.starts.binary_search(&data.range.start).is_ok()
}

/// What tells a piece of the stream from others: a hash of the frames' ids and of which part of each it is.
pub(crate) fn print(night: &Night, range: &Range<u64>) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    let first = night.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
    if !range.is_empty() {
        for (frame, start) in night.manifest.frames[first..].iter().zip(&night.starts[first..]) {
            if *start >= range.end {
                break;
            }
            let from = range.start.max(*start) - start;
            let to = range.end.min(start + u64::from(frame.raw)) - start;
            hash.update(frame.id.as_bytes()).update(&from.to_le_bytes()).update(&to.to_le_bytes());
        }
    }
    short(&hash.finalize())
}

pub(super) fn short(hash: &blake3::Hash) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&hash.as_bytes()[..16]);
    short
}
