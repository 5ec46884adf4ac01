//! The identity of a frame: the BLAKE3 of its raw bytes.
//!
//! Two encodings of the same raw bytes are the same frame, because zstd's output may differ between versions; so the identity
//! never looks at the compressed form.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// BLAKE3-256 of raw (uncompressed) bytes: of one frame, or of a whole raw stream. In text, 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

    /// Calls `then` with the digits. There are tens of thousands in a manifest, so none of them goes through the heap.
    fn spelt<T>(&self, then: impl FnOnce(&str) -> T) -> T {
        let mut digits = [b'0'; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        // Digits are UTF-8.
        then(std::str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spelt(|digits| f.write_str(digits))
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

impl Serialize for FrameId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.spelt(|digits| serializer.serialize_str(digits))
    }
}

impl<'de> Deserialize<'de> for FrameId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;

        impl de::Visitor<'_> for Digits {
            type Value = FrameId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a frame id")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FrameId, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Digits)
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
