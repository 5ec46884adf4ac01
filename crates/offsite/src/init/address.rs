//! Where a Pi is, as a person types it: `[user@]host[:port]`.

use offsite_sftp::openssh::SshHost;

pub(super) const ACCOUNT: &str = "offsite";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PiAddress {
    /// The pulling account, if one is named.
    pub user: Option<String>,
    /// Its host, or what ~/.ssh/config calls it.
    pub host: String,
    /// Its SSH port, if one is named.
    pub port: Option<u16>,
}

impl std::str::FromStr for PiAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = "a Pi is given as user@host, user@host:port, or as ~/.ssh/config calls it";
        let (user, host) = match text.split_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, text),
        };
        let (host, port) = match host.split_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| wanted)?)),
            None => (host, None),
        };
        // They go into YAML unquoted, and into a shell's line. A first dash would be an option, a word of YAML no text.
        let good = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
                && text.chars().all(|char| char.is_ascii_alphanumeric() || "._-".contains(char))
        };
        if user.is_none_or(good) && good(host) && port != Some(0) {
            Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port })
        } else {
            Err(wanted)
        }
    }
}

/// Whether ssh's own configuration says something about the Pi, by what it `found` for that name; `me` is who runs this. Then it is left to say
/// who logs in.
pub(super) fn is_alias(address: &PiAddress, found: Option<&SshHost>, me: Option<&str>) -> bool {
    found.is_some_and(|found| !found.host.eq_ignore_ascii_case(&address.host) || me.is_some_and(|me| found.user != me))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_its_parts() {
        let read = |text: &str| {
            let address: PiAddress = text.parse().unwrap();
            (address.user, address.host, address.port)
        };
        assert_eq!(read("me@10.0.0.5:2222"), (Some("me".to_owned()), "10.0.0.5".to_owned(), Some(2222)));
        assert_eq!(read("pi.local"), (None, "pi.local".to_owned(), None));
        assert_eq!(read("attic:22"), (None, "attic".to_owned(), Some(22)));
        for text in ["", "@pi", "a@", "a@b:x", "a@b:0", "a b@c", "a@b: c", "-oX@b", "a@-x", "a@b:99999", "a@b'c", "a@$(b)"] {
            assert!(text.parse::<PiAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_that_ssh_knows_keeps_the_account_that_ssh_has() {
        let address: PiAddress = "Pi".parse().unwrap();
        let found = |host: &str, user: &str| SshHost {
            host: host.to_owned(),
            port: 22,
            user: user.to_owned(),
            keys: Vec::new(),
            keys_only: false,
            agent: None,
            known_hosts: Vec::new(),
            key_alias: None,
            ciphers: Vec::new(),
            jumps: Vec::new(),
        };
        assert!(is_alias(&address, Some(&found("10.0.0.7", "me")), Some("me")));
        assert!(is_alias(&address, Some(&found("pi", "other")), Some("me")));
        assert!(!is_alias(&address, Some(&found("pi", "me")), Some("me")));
        assert!(!is_alias(&address, None, Some("me")));
    }
}
