//! How much of the repository is read back each night, and of what plain copies are kept.

use std::{fmt, num::NonZeroU32, str::FromStr};

/// What part of the Mac's data a night reads back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyPart {
    /// Nothing; a person does it: `offsite verify`.
    None,
    /// One N-th of the bytes, what was not read for longest first.
    OneOf(NonZeroU32),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `none`, `all` or a part as 1/7 (1/1 to 1/366), not {0:?}")]
pub struct InvalidPart(String);

impl VerifyPart {
    /// A week for all of it.
    pub const DEFAULT: Self = Self::OneOf(NonZeroU32::MIN.saturating_add(6));

    /// How many bytes of `all` are this part, rounded up.
    pub fn of(self, all: u64) -> u64 {
        match self {
            Self::None => 0,
            Self::OneOf(nights) => all.div_ceil(u64::from(nights.get())),
        }
    }
}

impl FromStr for VerifyPart {
    type Err = InvalidPart;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "all" => Ok(Self::OneOf(NonZeroU32::MIN)),
            part => {
                let nights: Option<NonZeroU32> = part.strip_prefix("1/").and_then(|nights| nights.parse().ok());
                let nights = nights.filter(|nights| nights.get() <= 366);
                nights.map(Self::OneOf).ok_or_else(|| InvalidPart(part.chars().take(80).collect()))
            }
        }
    }
}

impl fmt::Display for VerifyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::OneOf(NonZeroU32::MIN) => write!(f, "all"),
            Self::OneOf(nights) => write!(f, "1/{nights}"),
        }
    }
}

/// Which archives also lie beside the packs as a plain `.tar.zst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainCopies {
    None,
    /// The newest good one of each job.
    Newest,
    /// Every one that is whole and not suspicious: as much disk as without deduplication.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_and_written_alike() {
        for text in ["none", "all", "1/2", "1/7", "1/366"] {
            assert_eq!(text.parse::<VerifyPart>().unwrap().to_string(), text);
        }
        assert_eq!("1/1".parse::<VerifyPart>().unwrap().to_string(), "all");
        assert_eq!(VerifyPart::DEFAULT.to_string(), "1/7");
        for text in ["", "1/0", "1/367", "2/7", "7", "0.1", "ALL", "1/-7", "1/7 "] {
            assert!(text.parse::<VerifyPart>().is_err(), "{text}");
        }
    }

    #[test]
    fn after_its_nights_all_was_read() {
        assert_eq!(
            [VerifyPart::None.of(100), VerifyPart::DEFAULT.of(0), VerifyPart::DEFAULT.of(1), VerifyPart::DEFAULT.of(100)],
            [0, 0, 1, 15]
        );
        assert_eq!("all".parse::<VerifyPart>().unwrap().of(u64::MAX), u64::MAX);
    }
}
