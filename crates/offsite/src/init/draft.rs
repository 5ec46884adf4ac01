//! The configuration that the answers make: the commented example, with what was answered in it.
//!
//! Each answer replaces a line of the example, and a test sees that each such line is there, so that the example may be rewritten and not be
//! ignored.

use std::fmt::Write as _;

use super::{EXAMPLE, address::PiAddress, destination::CloudDraft};

#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub pi: Option<PiAddress>,
    /// The account is what ssh says.
    pub user_of_ssh: bool,
    /// The agent's repository.
    pub path: Option<String>,
    pub key: Option<String>,
    pub repository: Option<String>,
    pub cloud: Option<CloudDraft>,
}

pub(super) const REPOSITORY: &str = "\nrepository: ~/Backups/offsite\n";
pub(super) const HOST: &str = "\n    host: pi.local\n";
pub(super) const PORT: &str = "\n    # port: 22\n";
pub(super) const USER: &str = "\n    user: offsite\n";
pub(super) const PATH: &str = "\n    path: /srv/backup/offsite\n";
pub(super) const KEY: &str = "\n    # key: ~/.ssh/id_ed25519\n";
pub(super) const CLOUDS: &str = "\n# clouds:\n";

impl Draft {
    /// The text of the file.
    pub(super) fn text(&self) -> String {
        let mut text = EXAMPLE.to_owned();
        let mut set = |line: &str, new: String| text = text.replacen(line, &new, 1);
        if let Some(pi) = &self.pi {
            set(HOST, format!("\n    host: {}\n", pi.host));
            if let Some(port) = pi.port {
                set(PORT, format!("\n    port: {port}\n"));
            }
            if let Some(user) = &pi.user {
                set(USER, format!("\n    user: {user}\n"));
            } else if self.user_of_ssh {
                set(USER, "\n    # user: offsite\n".to_owned());
            }
        }
        if let Some(path) = &self.path {
            set(PATH, format!("\n    path: {}\n", quoted(path)));
        }
        if let Some(key) = &self.key {
            set(KEY, format!("\n    key: {}\n", quoted(key)));
        }
        if let Some(folder) = &self.repository {
            set(REPOSITORY, format!("\nrepository: {}\n", quoted(folder)));
        }
        if let Some(cloud) = &self.cloud {
            // The commented ones stay below it, as further examples.
            set(CLOUDS, format!("\n{}", block(cloud)));
        }
        text
    }
}

fn block(cloud: &CloudDraft) -> String {
    let mut text = format!("clouds:\n  - name: {}\n    url: {}\n", cloud.name, quoted(&cloud.url));
    let more = [("endpoint", &cloud.endpoint), ("region", &cloud.region), ("class", &cloud.class), ("credentials", &cloud.credentials)];
    for (key, value) in more {
        if let Some(value) = value {
            // Writing into a text cannot fail.
            let _ = writeln!(text, "    {key}: {}", quoted(value));
        }
    }
    text.push_str("    keep: 10\n");
    text
}

/// As it is where YAML reads it as the same text, in quotes else: JSON's string is YAML's, whatever is in it.
fn quoted(text: &str) -> String {
    let plain =
        text.starts_with(['/', '~']) && text.len() > 1 && text.chars().all(|char| char.is_ascii_alphanumeric() || "/~._-".contains(char));
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Credentials, Home, PiAuth};

    fn parse(draft: &Draft) -> Config {
        Config::parse(Path::new("offsite.yaml"), &draft.text(), &Home::at(Path::new("/home/owner"))).unwrap()
    }

    #[test]
    fn every_line_that_an_answer_replaces_is_in_the_example() {
        for line in [REPOSITORY, HOST, PORT, USER, PATH, KEY, CLOUDS] {
            assert_eq!(EXAMPLE.matches(line).count(), 1, "{line:?}");
        }
        assert_eq!(Draft::default().text(), EXAMPLE);
    }

    #[test]
    fn what_was_answered_is_in_it() {
        let cloud = CloudDraft {
            name: "cold",
            url: "s3://bucket/offsite".to_owned(),
            endpoint: Some("https://s3.example.org".to_owned()),
            region: Some("eu-central-1".to_owned()),
            class: Some("DEEP_ARCHIVE".to_owned()),
            credentials: Some("~/a b: 'c'.env".to_owned()),
        };
        let draft = Draft {
            pi: Some("me@10.0.0.5:2222".parse().unwrap()),
            user_of_ssh: false,
            path: Some("backup: \"x\"".to_owned()),
            key: Some("~/.ssh/offsite_ed25519".to_owned()),
            repository: Some("/Volumes/a: \"b\"/offsite".to_owned()),
            cloud: Some(cloud),
        };
        let config = parse(&draft);
        let pi = &config.pis[0];
        assert_eq!((pi.user.as_deref(), pi.host.as_str(), pi.port), (Some("me"), "10.0.0.5", Some(2222)));
        assert_eq!((pi.path.as_str(), &pi.auth), ("backup: \"x\"", &PiAuth::Key("/home/owner/.ssh/offsite_ed25519".into())));
        assert_eq!(config.repository, Path::new("/Volumes/a: \"b\"/offsite"));
        let cloud = &config.clouds[0];
        assert_eq!((config.clouds.len(), cloud.url.to_string().as_str()), (1, "s3://bucket/offsite"));
        assert_eq!((cloud.endpoint.as_deref(), cloud.region.as_deref()), (Some("https://s3.example.org"), Some("eu-central-1")));
        assert_eq!(cloud.credentials, Credentials::File("/home/owner/a b: 'c'.env".into()));
        assert_eq!(cloud.class.as_ref().unwrap().as_str(), "DEEP_ARCHIVE");
    }

    #[test]
    fn an_account_is_left_to_ssh_where_ssh_has_one() {
        let pi: Option<PiAddress> = Some("attic".parse().unwrap());
        assert_eq!(parse(&Draft { pi: pi.clone(), user_of_ssh: true, ..Draft::default() }).pis[0].user, None);
        assert_eq!(parse(&Draft { pi, ..Draft::default() }).pis[0].user.as_deref(), Some("offsite"));
    }

    #[test]
    fn what_yaml_would_read_otherwise_is_quoted() {
        for text in ["~", "null", "yes", "1", "a b", "~/a: b", "", "#x", "/a#b"] {
            assert!(quoted(text).starts_with('"'), "{text}");
        }
        assert_eq!(quoted("~/.ssh/id_ed25519"), "~/.ssh/id_ed25519");
    }
}
