//! A URL that is asked whether a service is well: only as much of URLs as is needed to refuse what cannot be meant.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

use super::yaml;

/// An address with `http://` or `https://`, a host, and nothing that a command line or a log could take for something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Url(String);

impl Url {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a certificate is looked at.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        match host {
            // A password in a URL would stand in warnings, manifests and process lists.
            Some(host) if host.contains('@') => Err("a URL with a name or password in it would be shown to everybody".into()),
            Some(host) if plain && host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[') => Ok(Self(text.into())),
            _ => Err(format!("\"{text}\" is not a URL that begins with https:// or http://")),
        }
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        yaml::text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_and_refuses_the_rest() {
        for text in ["https://photos.home", "http://10.0.0.2:8080/health?x=1", "https://[fd00::1]/"] {
            assert_eq!(text.parse::<Url>().map(|url| url.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            "photos.home",
            "https://",
            "https:///x",
            "file:///etc/passwd",
            "https://a b",
            "https://me:secret@a",
            "https://-o/x",
            "https://é",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
