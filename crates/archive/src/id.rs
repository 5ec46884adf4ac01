//! The identity of a frame: the BLAKE3 of its raw bytes.
//!
//! Two encodings of the same raw bytes are the same frame, because zstd's output may differ between versions; so the identity
//! never looks at the compressed form.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// BLAKE3-256 of raw (uncompressed) bytes: of one frame, or of a whole raw stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FrameId([u8; 32]);

impl FrameId {
    /// The identity of `raw`.
    pub fn of(raw: &[u8]) -> Self {
        Self(*blake3::hash(raw).as_bytes())
    }

    /// Wraps a digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameId(")?;
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, ")")
    }
}

/// A text that is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a frame id is 64 lower-case hexadecimal digits, not {0:?}")]
pub struct InvalidFrameId(pub String);

impl FromStr for FrameId {
    type Err = InvalidFrameId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidFrameId(text.chars().take(80).collect());
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(invalid());
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(invalid)?;
        }
        Ok(Self(bytes))
    }
}

impl From<FrameId> for String {
    fn from(id: FrameId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for FrameId {
    type Error = InvalidFrameId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = FrameId::of(b"offsite");
        assert_eq!(id.to_string().parse::<FrameId>(), Ok(id));
    }

    #[test]
    fn refuses_what_is_not_an_id() {
        for text in ["", "abc", &"g".repeat(64), &"A".repeat(64), &"0".repeat(63), &"0".repeat(65), &"é".repeat(32)] {
            assert!(text.parse::<FrameId>().is_err(), "{text}");
        }
    }
}
