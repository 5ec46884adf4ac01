//! A cloud: where sealed copies go, and what class of storage their packs get.

use std::{fmt, num::NonZeroUsize, path::PathBuf, str::FromStr};

use super::{Credentials, PlaceName};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    pub name: PlaceName,
    pub url: CloudUrl,
    /// Another S3 server than Amazon's, with its scheme.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// Storage class of packs; all else stays in the default class, because it is read.
    pub class: Option<StorageClass>,
    pub keep: NonZeroUsize,
    /// What opens the door.
    pub credentials: Credentials,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudUrl {
    /// The prefix has no slash at either end and may be empty.
    S3 { bucket: String, prefix: String },
    /// `file:///folder`: a disk that is carried away.
    File(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCloud {
    #[error("a cloud is at s3://<bucket>/<prefix> or file:///<folder>, not {0:?}")]
    Url(String),
    #[error("a storage class is spelled as in DEEP_ARCHIVE, with A-Z, 0-9 and '_', not {0:?}")]
    Class(String),
}

impl FromStr for CloudUrl {
    type Err = InvalidCloud;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidCloud::Url(without_user(text).chars().take(200).collect());
        // No user, port, query or escape belongs in either form; a text with one means something we would get wrong.
        if text.chars().any(|char| char.is_whitespace() || char.is_control() || "?#@%\\".contains(char)) && text.starts_with("s3:") {
            return Err(invalid());
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = prefix.trim_end_matches('/');
            let good = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-' || char == '.';
            if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(good) {
                return Err(invalid());
            }
            if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return Err(invalid());
            }
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        }
        let folder = text.strip_prefix("file://").map(PathBuf::from).filter(|path| path.is_absolute() && path.parent().is_some());
        folder.map(Self::File).ok_or_else(invalid)
    }
}

/// An address as it may be shown: what stands before an `@` may be a password, which can have any character in it.
pub(crate) fn without_user(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, rest)) => format!("{}…@{rest}", before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"))),
        None => text.to_owned(),
    }
}

impl CloudUrl {
    pub(crate) fn folder(&self) -> Option<&PathBuf> {
        if let Self::File(folder) = self { Some(folder) } else { None }
    }
}

impl fmt::Display for CloudUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::File(folder) => write!(f, "file://{}", folder.display()),
        }
    }
}

/// A storage class by the provider's own word; providers differ, so only the spelling is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageClass(String);

impl StorageClass {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what lies in it answers only hours after it was asked for. A word we do not know is taken for one that answers.
    pub fn needs_thaw(&self) -> bool {
        matches!(self.as_str(), "GLACIER" | "DEEP_ARCHIVE" | "ARCHIVE" | "COLD_ARCHIVE" | "DEEP_COLD_ARCHIVE")
    }
}

impl FromStr for StorageClass {
    type Err = InvalidCloud;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if (1..=40).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidCloud::Class(text.chars().take(80).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in ["s3://bucket", "s3://my.bucket-1/a/b", "file:///Volumes/disk one/offsite"] {
            assert_eq!(text.parse::<CloudUrl>().unwrap().to_string(), text);
        }
        assert_eq!("s3://bucket/a/".parse::<CloudUrl>().unwrap().to_string(), "s3://bucket/a");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            "bucket",
            "s3://",
            "s3://ab",
            "s3://Bucket",
            "s3://user@bucket/x",
            "s3://bucket//a",
            "s3://bucket/../a",
            "s3://bucket/a?b=c",
        ] {
            assert!(text.parse::<CloudUrl>().is_err(), "{text}");
        }
        for text in ["file://", "file:///", "file://relative/x", "file:/x", "https://example.org/x", "onedrive://x"] {
            assert!(text.parse::<CloudUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        for (text, shown) in [
            ("s3://AK:SEC/RET@bucket/x", "s3://…@bucket/x"),
            ("https://me:SEC@RET@host", "https://…@host"),
            ("AK:SECRET@bucket", "…@bucket"),
            ("https://host/x", "https://host/x"),
        ] {
            assert_eq!(without_user(text), shown);
            assert!(!text.parse::<CloudUrl>().unwrap_err().to_string().contains("SEC"), "{text}");
        }
    }

    #[test]
    fn a_class_is_spelled_in_capitals() {
        assert_eq!("DEEP_ARCHIVE".parse::<StorageClass>().unwrap().as_str(), "DEEP_ARCHIVE");
        for text in ["", "deep_archive", "DEEP ARCHIVE", "DEEP-ARCHIVE"] {
            assert!(text.parse::<StorageClass>().is_err(), "{text}");
        }
    }
}
