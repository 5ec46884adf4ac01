//! Every key, its default, and values that do not go together.

use super::*;
use crate::config::{LogFormat, LogLevel, StorageClass, table_tests::WHOLE};

const SMALL: &str = "{host: h, user: u, path: /p}";

fn parsed(text: &str) -> Result<Config, ConfigError> {
    parse(Path::new("offsite.yaml"), text, &Home::at(Path::new("/home/owner")))
}

fn problem(text: &str) -> String {
    parsed(text).unwrap_err().to_string()
}

#[test]
fn every_key_is_read() {
    let config = parsed(WHOLE).unwrap();
    assert_eq!(config.at, "05:15".parse().unwrap());
    assert_eq!((config.verify.to_string().as_str(), config.plain), ("1/30", PlainCopies::All));
    assert_eq!((config.battery, config.wait), (35, SignedDuration::from_mins(90)));
    assert_eq!((config.log.format, config.log.keep.get(), config.log.level), (LogFormat::Json, 3, LogLevel::Debug));
    assert_eq!(["services", "photos"].map(|job| config.keep_of(&job.parse().unwrap()).get()), [7, 30]);
    assert_eq!(["services", "photos"].map(|job| config.overdue_of(&job.parse().unwrap()).as_hours()), [48, 200]);
    let [attic, other] = config.pis.as_slice() else { panic!("{:?}", config.pis) };
    assert_eq!((attic.port, attic.user.as_deref(), &attic.ssh_config), (Some(2222), Some("offsite"), &SshConfig::None));
    assert_eq!((&attic.auth, &attic.known_hosts), (&PiAuth::Key("/home/owner/.ssh/id".into()), &Some("/home/owner/.ssh/known".into())));
    assert_eq!((attic.limit.map(|rate| rate.bytes().get()), attic.connections.get()), (Some(20_000_000), 2));
    assert_eq!((other.port, &other.user, &other.auth, &other.known_hosts), (None, &None, &PiAuth::Ssh, &None));
    assert_eq!((&other.ssh_config, other.limit, other.connections.get()), (&SshConfig::Usual, None, 1));
    assert_eq!(config.clouds[0].class.as_ref().map(StorageClass::as_str), Some("DEEP_ARCHIVE"));
    assert_eq!(config.clouds[0].credentials, Credentials::File("/home/owner/aws.env".into()));
    assert_eq!(config.state, Path::new("/var/offsite"));
    let pi = "{host: h, path: p, agent: true, ssh_config: ~/.ssh/other}";
    let config = parsed(&format!("repository: ~/b\npi: {pi}\nclouds: [{{name: d, url: 'file:///d'}}]\n")).unwrap();
    assert_eq!((config.repository.as_path(), &config.pis[0].auth), (Path::new("/home/owner/b"), &PiAuth::Agent));
    assert_eq!(config.pis[0].ssh_config, SshConfig::File("/home/owner/.ssh/other".into()));
    assert_eq!((config.clouds[0].keep.get(), &config.clouds[0].credentials), (10, &Credentials::Env));
}

#[test]
fn a_short_file_has_the_documented_defaults() {
    let config = parsed(&format!("repository: /b\npi: {SMALL}\n")).unwrap();
    assert_eq!((config.at, config.keep.get(), config.overdue), ("04:30".parse().unwrap(), 10, SignedDuration::from_hours(36)));
    assert_eq!((config.verify, config.plain), (VerifyPart::DEFAULT, PlainCopies::Newest));
    assert_eq!((config.battery, config.wait), (20, SignedDuration::from_mins(60)));
    assert_eq!((config.log.format, config.log.keep.get(), config.log.level), (LogFormat::Human, 14, LogLevel::Info));
    assert_eq!(config.pis[0].name.as_str(), "pi");
    assert_eq!((config.pis[0].port, &config.pis[0].auth), (None, &PiAuth::Ssh));
    assert!(config.clouds.is_empty() && config.jobs.is_empty());
}

#[test]
fn values_that_do_not_go_together_name_their_key() {
    let pis = |more: &str| format!("repository: /b\npis:\n- {{name: a, host: h, user: u, path: /p}}\n{more}");
    for (text, wanted) in [
        ("repository: /b\n".to_owned(), "offsite.yaml: pis: there is no Pi to pull from"),
        (format!("repository: /b\nbattery: 101\npi: {SMALL}\n"), "offsite.yaml:2: battery: expected 0 to 100 per cent, not 101"),
        (format!("repository: /b\nlog: {{format: xml}}\npi: {SMALL}\n"), "offsite.yaml:2: log.format: expected human or json, not \"xml\""),
        (
            format!("repository: /b\nlog:\n  keep: 2\n  level: loud\npi: {SMALL}\n"),
            "offsite.yaml:4: log.level: expected error, warn, info or debug, not \"loud\"",
        ),
        (format!("repository: /b\nwait: 1441\npi: {SMALL}\n"), "offsite.yaml:2: wait: expected 0 to 1440 minutes, not 1441"),
        (format!("repository: backups\npi: {SMALL}\n"), "offsite.yaml:1: repository: \"backups\" is neither absolute"),
        (
            format!("repository: /b\nstate: /b/state\npi: {SMALL}\n"),
            "offsite.yaml:2: state: /b/state and the folder of `repository` must lie apart",
        ),
        (
            format!("repository: /x/../b\nstate: /b/./s\npi: {SMALL}\n"),
            "offsite.yaml:2: state: /b/s and the folder of `repository` must lie apart",
        ),
        (
            pis("clouds:\n- {name: c, url: 's3://bucket', endpoint: 'https://me:secret@h'}\n"),
            "offsite.yaml:5: clouds[0].endpoint: an address has no user",
        ),
        (pis("- {name: a, host: h, user: u, path: /p}\n"), "offsite.yaml:4: pis[1].name: \"a\" is already the name of another place"),
        (pis("clouds:\n- {name: a, url: 's3://bucket'}\n"), "offsite.yaml:5: clouds[0].name: \"a\" is already"),
        (pis("clouds:\n- {name: mac, url: 's3://bucket'}\n"), "offsite.yaml:5: clouds[0].name: \"mac\" is already"),
        (pis("clouds:\n- {name: c, url: 's3://bucket', endpoint: s3.example.org}\n"), "offsite.yaml:5: clouds[0].endpoint: "),
        (pis("clouds:\n- {name: c, url: 's3://bucket', credentials: aws.env}\n"), "offsite.yaml:5: clouds[0].credentials: "),
        (pis("clouds:\n- {name: c, url: 'file:///c', class: GLACIER}\n"), "offsite.yaml:5: clouds[0]: a file:// cloud has no"),
        (pis("clouds:\n- {name: c, url: 'file:///b/c'}\n"), "offsite.yaml:5: clouds[0].url: /b/c and the folder of `repository`"),
        (
            pis("clouds:\n- {name: c, url: 'file:///c'}\n- {name: d, url: 'file:///c'}\n"),
            "offsite.yaml:6: clouds[1].url: /c and the folder of `clouds[0].url`",
        ),
        (pis("- {name: b, host: h, user: u, path: /p, key: /k, agent: true}\n"), "offsite.yaml:4: pis[1].agent: "),
        (pis("- {name: b, host: h, user: u, path: /p, key: k}\n"), "offsite.yaml:4: pis[1].key: "),
        (pis("- {name: b, host: '', user: u, path: /p}\n"), "offsite.yaml:4: pis[1].host: "),
        (pis("- {name: b, host: h, user: '', path: /p}\n"), "offsite.yaml:4: pis[1].user: "),
        (pis("- {name: b, host: h, path: /p, limit: 20 Mbit}\n"), "offsite.yaml:4: pis[1].limit: expected a rate"),
        (pis("- {name: b, host: h, path: /p, connections: 5}\n"), "offsite.yaml:4: pis[1].connections: expected 1 to 4"),
        (pis("- {name: b, host: h, path: /p, ssh_config: c}\n"), "offsite.yaml:4: pis[1].ssh_config: "),
    ] {
        let found = problem(&text);
        assert!(found.starts_with(wanted), "{text}\n{found}");
        assert!(!found.contains("secret"), "{found}");
    }
}

#[test]
fn bad_values_are_named_with_their_line() {
    for (text, line, word) in [
        (format!("repository: /b\nkepe: 3\npi: {SMALL}\n"), 2, "kepe"),
        (format!("repository: /b\nkeep: 0\npi: {SMALL}\n"), 2, "keep"),
        (format!("repository: /b\nkeep: many\npi: {SMALL}\n"), 2, "keep"),
        (format!("repository: /b\nat: '25:00'\npi: {SMALL}\n"), 2, "at"),
        (format!("repository: /b\nverify: 2/7\npi: {SMALL}\n"), 2, "verify"),
        (format!("repository: /b\nplain: some\npi: {SMALL}\n"), 2, "plain"),
        (format!("repository: /b\noverdue_hours: 0\npi: {SMALL}\n"), 2, "overdue_hours"),
        ("repository: /b\npi: {host: h, user: u, path: /p, port: 0}\n".to_owned(), 2, "port"),
        (format!("repository: /b\npi: {SMALL}\nclouds:\n- name: c\n  url: onedrive://x\n"), 5, "url"),
        (format!("repository: /b\npi: {SMALL}\nclouds:\n- name: c d\n  url: 's3://bucket'\n"), 4, "name"),
    ] {
        let found = problem(&text);
        assert!(found.contains(&format!("offsite.yaml:{line}")) && found.contains(word), "{text}\n{found}");
    }
}

#[test]
fn without_a_home_folder_every_folder_is_named_in_full() {
    let nowhere = Home { home: PathBuf::new(), config: None, state: None };
    let parsed = |text: &str| Config::parse(Path::new("c.yaml"), text, &nowhere);
    let pi = "pi: {host: h, user: u, path: /p}";
    assert!(parsed(&format!("repository: /b\nstate: /s\n{pi}\n")).is_ok());
    for text in [format!("repository: /b\n{pi}\n"), format!("repository: ~/b\nstate: /s\n{pi}\n")] {
        assert!(matches!(parsed(&text), Err(ConfigError::NoHome(_))), "{text}");
    }
}
