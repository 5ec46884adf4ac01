//! What a Pi or a cloud is called: one word, so that receipts, errors and the screen mean the same thing by it.

use std::{fmt, str::FromStr};

use offsite_archive::JobName;
use serde::{Deserialize, Serialize};

/// The Mac's own name among the places; no Pi and no cloud may have it.
pub const MAC: &str = "mac";

/// A place's name, spelled like a job's: 1 to 64 of `a-z 0-9 - _`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PlaceName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a place is named by 1 to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit, not {0:?}")]
pub struct InvalidPlace(pub String);

impl PlaceName {
    pub fn mac() -> Self {
        Self(MAC.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PlaceName {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<JobName>() {
            Ok(name) => Ok(Self(name.as_str().to_owned())),
            Err(_) => Err(InvalidPlace(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for PlaceName {
    type Error = InvalidPlace;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PlaceName> for String {
    fn from(name: PlaceName) -> Self {
        name.0
    }
}

impl fmt::Display for PlaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
