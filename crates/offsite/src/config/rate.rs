//! How fast a pull may be: `20 MB/s`, as people write it.

use std::{fmt, num::NonZeroU64, str::FromStr};

/// Below this a request would run out of time.
const LEAST: u64 = 64_000;

/// Bytes in a second, at least 64 KB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(NonZeroU64);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a rate of 64 KB/s or more, as `20 MB/s` or `500 KB/s`, not {0:?}")]
pub struct InvalidRate(pub String);

impl Rate {
    /// Bytes in a second.
    pub fn bytes(self) -> NonZeroU64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidRate(text.chars().take(80).collect());
        let amount = text.trim().strip_suffix("/s").ok_or_else(invalid)?.trim_end();
        let (number, unit) = ["KB", "MB", "GB"]
            .iter()
            .zip([1_000_u64, 1_000_000, 1_000_000_000])
            .find_map(|(name, unit)| Some((amount.strip_suffix(name)?.trim_end(), unit)))
            .ok_or_else(invalid)?;
        let whole: u64 = number.parse().map_err(|_| invalid())?;
        let bytes = whole.checked_mul(unit).filter(|bytes| *bytes >= LEAST);
        bytes.and_then(NonZeroU64::new).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KB/s", self.0.get() / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, bytes) in [("20 MB/s", 20_000_000), ("64KB/s", 64_000), (" 1 GB /s", 1_000_000_000)] {
            assert_eq!(text.parse::<Rate>().map(|rate| rate.bytes().get()), Ok(bytes), "{text}");
        }
        for text in ["", "20", "20 MB", "20 Mbit/s", "0 MB/s", "63 KB/s", "-1 MB/s", "1.5 MB/s", "99999999999999999999 GB/s", "/s"] {
            assert_eq!(text.parse::<Rate>(), Err(InvalidRate(text.to_owned())), "{text}");
        }
    }
}
