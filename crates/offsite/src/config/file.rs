//! `offsite.yaml` as it is written, and the checks that turn it into [`Config`].
//!
//! serde checks the shape; every value with rules of its own is read as text and checked here, because serde forgets the line of a value
//! it has built, and an error without a line is half an error.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr,
};

use jiff::SignedDuration;
use offsite_archive::JobName;
use serde::Deserialize;

use super::{Cloud, CloudUrl, Config, ConfigError, Credentials, Home, JobRules, MAC, Pi, PiAuth, PlainCopies, SshConfig, VerifyPart, line};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    repository: String,
    at: Option<String>,
    keep: Option<NonZeroUsize>,
    verify: Option<String>,
    plain: Option<String>,
    overdue_hours: Option<u32>,
    battery: Option<u32>,
    wait: Option<u32>,
    #[serde(default, deserialize_with = "super::jobs::once_each")]
    jobs: BTreeMap<String, JobFile>,
    #[serde(default)]
    pis: Vec<PiFile>,
    pi: Option<PiFile>,
    #[serde(default)]
    clouds: Vec<CloudFile>,
    notify: Option<super::notify::NotifyFile>,
    log: Option<super::log::LogFile>,
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobFile {
    keep: Option<NonZeroUsize>,
    overdue_hours: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PiFile {
    name: Option<String>,
    host: String,
    port: Option<std::num::NonZeroU16>,
    user: Option<String>,
    path: String,
    key: Option<String>,
    #[serde(default)]
    agent: bool,
    known_hosts: Option<String>,
    ssh_config: Option<String>,
    limit: Option<String>,
    connections: Option<NonZeroUsize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloudFile {
    name: String,
    url: String,
    endpoint: Option<String>,
    region: Option<String>,
    class: Option<String>,
    keep: Option<NonZeroUsize>,
    credentials: Option<String>,
}

const KEEP: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);
const OVERDUE: SignedDuration = SignedDuration::from_hours(36);
const AT: &str = "04:30";
const BATTERY: u8 = 20;
const WAIT: u32 = 60;
const PI: &str = "pi";
/// More would only be refused by a usual sshd.
const CONNECTIONS: usize = 4;

pub(super) fn parse(path: &Path, text: &str, home: &Home) -> Result<Config, ConfigError> {
    // What an editor may put before everything is no part of the first key.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file: File = offsite_agent::config::yaml::parse(path, text).map_err(ConfigError::Invalid)?;
    let check = Check { path, text, home };
    let mut pis: Vec<(String, PiFile)> = file.pis.into_iter().enumerate().map(|(at, pi)| (format!("pis[{at}]"), pi)).collect();
    pis.extend(file.pi.map(|pi| ("pi".to_owned(), pi)));
    if pis.is_empty() {
        return Err(check.invalid("pis", "there is no Pi to pull from"));
    }
    let keys: Vec<String> = pis.iter().map(|(key, _)| key.clone()).collect();
    let config = Config {
        path: path.to_owned(),
        repository: check.repository(&file.repository)?,
        at: check.value("at", file.at.as_deref().unwrap_or(AT))?,
        keep: file.keep.unwrap_or(KEEP),
        verify: file.verify.map_or(Ok(VerifyPart::DEFAULT), |part| check.value("verify", &part))?,
        plain: file.plain.map_or(Ok(PlainCopies::Newest), |which| check.value("plain", &which))?,
        overdue: check.hours("overdue_hours", file.overdue_hours)?.unwrap_or(OVERDUE),
        battery: check.battery(file.battery)?,
        wait: check.wait(file.wait)?,
        jobs: file.jobs.into_iter().map(|(name, job)| check.job(&name, &job)).collect::<Result<_, _>>()?,
        pis: pis.into_iter().map(|(key, pi)| check.pi(&key, pi)).collect::<Result<Vec<_>, _>>()?,
        clouds: file
            .clouds
            .into_iter()
            .enumerate()
            .map(|(at, cloud)| check.cloud(&format!("clouds[{at}]"), cloud))
            .collect::<Result<Vec<_>, _>>()?,
        notify: match file.notify {
            Some(notify) => notify.check(home).map_err(|(key, problem)| check.invalid(&key, problem))?,
            None => super::Notify::default(),
        },
        log: match file.log {
            Some(log) => log.check().map_err(|(key, problem)| check.invalid(key, problem.to_string()))?,
            None => super::LogRules::default(),
        },
        state: match file.state {
            Some(folder) => check.folder("state", &folder)?,
            None => Some(home.default_state()).filter(|folder| folder.is_absolute()).ok_or(ConfigError::NoHome)?,
        },
    };
    check.names(&keys, &config)?;
    check.apart(&config)?;
    Ok(config)
}

/// The one of `words` that differs from `found` by a slip.
fn nearest<'a>(found: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_lowercase();
    let near = words.map(|word| (offsite_agent::config::distance(&found, word), word));
    near.filter(|(steps, word)| *steps * 3 <= word.len().max(found.len())).min_by_key(|(steps, _)| *steps).map(|(_, word)| word)
}

struct Check<'a> {
    path: &'a Path,
    text: &'a str,
    home: &'a Home,
}

impl Check<'_> {
    fn invalid(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        let line = line::line_of(self.text, key);
        let error = offsite_agent::config::ConfigError::Invalid {
            path: self.path.to_owned(),
            line,
            key: key.to_owned(),
            problem: problem.into(),
            nearest: None,
        };
        ConfigError::Invalid(error)
    }

    /// A word that is none of those which the problem names in backticks, with the one that it may have been.
    fn mistaken(&self, key: &str, found: &str, problem: String) -> ConfigError {
        let near = nearest(found, problem.split('`').skip(1).step_by(2)).map(str::to_owned);
        match self.invalid(key, problem) {
            ConfigError::Invalid(offsite_agent::config::ConfigError::Invalid { path, line, key, problem, .. }) => {
                ConfigError::Invalid(offsite_agent::config::ConfigError::Invalid { path, line, key, problem, nearest: near })
            }
            other => other,
        }
    }

    fn value<T: FromStr<Err: fmt::Display>>(&self, key: &str, text: &str) -> Result<T, ConfigError> {
        text.parse().map_err(|error: T::Err| self.mistaken(key, text, error.to_string()))
    }

    /// 1 hour to a year: 0 would always alarm, and more would never.
    fn hours(&self, key: &str, hours: Option<u32>) -> Result<Option<SignedDuration>, ConfigError> {
        match hours {
            Some(hours) if !(1..=8784).contains(&hours) => Err(self.invalid(key, format!("expected 1 to 8784 hours, not {hours}"))),
            hours => Ok(hours.map(|hours| SignedDuration::from_hours(i64::from(hours)))),
        }
    }

    fn battery(&self, percent: Option<u32>) -> Result<u8, ConfigError> {
        let Some(percent) = percent else { return Ok(BATTERY) };
        let small = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
        small.ok_or_else(|| self.invalid("battery", format!("expected 0 to 100 per cent, not {percent}")))
    }

    /// A start that waits for longer would only keep a newer offsite from taking over.
    fn wait(&self, minutes: Option<u32>) -> Result<SignedDuration, ConfigError> {
        match minutes {
            Some(minutes) if minutes > 1440 => Err(self.invalid("wait", format!("expected 0 to 1440 minutes, not {minutes}"))),
            minutes => Ok(SignedDuration::from_mins(i64::from(minutes.unwrap_or(WAIT)))),
        }
    }

    fn job(&self, name: &str, job: &JobFile) -> Result<(JobName, JobRules), ConfigError> {
        let key = format!("jobs.{name}");
        let overdue = self.hours(&format!("{key}.overdue_hours"), job.overdue_hours)?;
        Ok((self.value(&key, name)?, JobRules { keep: job.keep, overdue }))
    }

    fn folder(&self, key: &str, text: &str) -> Result<PathBuf, ConfigError> {
        self.home.expand(text).ok_or_else(|| {
            self.unplaced(key, text, format!("{text:?} is neither absolute nor below ~/, and a daemon has no folder of its own"))
        })
    }

    /// A path that is not absolute: below `~`, because nobody said where that is, or else because of the `problem`.
    fn unplaced(&self, key: &str, text: &str, problem: String) -> ConfigError {
        let nowhere = self.home.home.as_os_str().is_empty() && (text == "~" || text.starts_with("~/"));
        if nowhere { ConfigError::NoHome } else { self.invalid(key, problem) }
    }

    /// A lone `~` is "nothing" to YAML and the home folder to a shell; neither is meant.
    fn repository(&self, text: &str) -> Result<PathBuf, ConfigError> {
        let folder = self.folder("repository", text)?;
        if folder == self.home.home || folder.parent().is_none() {
            return Err(self.invalid("repository", format!("{text:?} is no folder of its own: name one in it, as ~/Backups/offsite")));
        }
        Ok(folder)
    }

    fn pi(&self, key: &str, pi: PiFile) -> Result<Pi, ConfigError> {
        for (field, text) in [("host", Some(&pi.host)), ("user", pi.user.as_ref()), ("path", Some(&pi.path))] {
            if text.is_some_and(|text| text.is_empty() || text.chars().any(char::is_control)) {
                return Err(self.invalid(&format!("{key}.{field}"), "is empty or has control characters"));
            }
        }
        let auth = match (pi.key, pi.agent) {
            (Some(_), true) => return Err(self.invalid(&format!("{key}.agent"), "a Pi has either `key` or `agent: true`, not both")),
            (None, true) => PiAuth::Agent,
            (Some(file), false) => PiAuth::Key(self.folder(&format!("{key}.key"), &file)?),
            (None, false) => PiAuth::Ssh,
        };
        let connections = pi.connections.unwrap_or(NonZeroUsize::MIN);
        if connections.get() > CONNECTIONS {
            return Err(self.invalid(&format!("{key}.connections"), format!("expected 1 to {CONNECTIONS}, not {connections}")));
        }
        Ok(Pi {
            name: self.value(&format!("{key}.name"), pi.name.as_deref().unwrap_or(PI))?,
            host: pi.host,
            port: pi.port.map(std::num::NonZeroU16::get),
            user: pi.user,
            path: pi.path,
            auth,
            known_hosts: pi.known_hosts.map(|file| self.folder(&format!("{key}.known_hosts"), &file)).transpose()?,
            ssh_config: match pi.ssh_config.as_deref() {
                None => SshConfig::Usual,
                Some("none") => SshConfig::None,
                Some(file) => SshConfig::File(self.folder(&format!("{key}.ssh_config"), file)?),
            },
            limit: pi.limit.map(|rate| self.value(&format!("{key}.limit"), &rate)).transpose()?,
            connections,
        })
    }

    fn cloud(&self, key: &str, cloud: CloudFile) -> Result<Cloud, ConfigError> {
        let scheme = |endpoint: &String| endpoint.starts_with("https://") || endpoint.starts_with("http://");
        if let Some(endpoint) = cloud.endpoint.as_ref().filter(|endpoint| !scheme(endpoint)) {
            let shown = super::without_user(endpoint);
            return Err(self.invalid(&format!("{key}.endpoint"), format!("{shown:?} does not begin with https:// or http://")));
        }
        // It is shown in errors, in the journal and in the log, so nothing may be in it that is to be kept.
        if cloud.endpoint.as_ref().is_some_and(|endpoint| endpoint.contains('@')) {
            return Err(
                self.invalid(&format!("{key}.endpoint"), "an address has no user and no password in it: they belong into `credentials`")
            );
        }
        let bare = cloud.endpoint.is_none() && cloud.region.is_none() && cloud.class.is_none() && cloud.credentials.is_none();
        let url = self.value(&format!("{key}.url"), &cloud.url)?;
        if matches!(url, CloudUrl::File(_)) && !bare {
            return Err(self.invalid(key, "a file:// cloud has no endpoint, region, class or credentials"));
        }
        let credentials = match cloud.credentials.as_deref() {
            None | Some("env") => Credentials::Env,
            Some(file) => match self.home.expand(file) {
                Some(path) => Credentials::File(path),
                None => {
                    let problem = format!("expected `env` or an absolute path, not {file:?}");
                    return Err(self.unplaced(&format!("{key}.credentials"), file, problem));
                }
            },
        };
        Ok(Cloud {
            name: self.value(&format!("{key}.name"), &cloud.name)?,
            url,
            endpoint: cloud.endpoint,
            region: cloud.region,
            class: cloud.class.map(|class| self.value(&format!("{key}.class"), &class)).transpose()?,
            keep: cloud.keep.unwrap_or(KEEP),
            credentials,
        })
    }

    /// `pis` are the keys under which the Pis stand.
    fn names(&self, pis: &[String], config: &Config) -> Result<(), ConfigError> {
        let mut seen = BTreeSet::from([MAC]);
        let pis = pis.iter().cloned().zip(config.pis.iter().map(|pi| &pi.name));
        for (key, name) in pis.chain(config.clouds.iter().enumerate().map(|(at, cloud)| (format!("clouds[{at}]"), &cloud.name))) {
            if !seen.insert(name.as_str()) {
                return Err(self.invalid(&format!("{key}.name"), format!("{:?} is already the name of another place", name.as_str())));
            }
        }
        Ok(())
    }

    /// A cloud inside the repository, or the state inside either, would be counted, pruned or carried away with it. By their names alone:
    /// a disk that is away, or does not answer, must not keep the configuration from being read.
    fn apart(&self, config: &Config) -> Result<(), ConfigError> {
        let mut folders = vec![("repository".to_owned(), config.repository.clone())];
        let file = |(at, cloud): (usize, &Cloud)| match &cloud.url {
            CloudUrl::File(folder) => Some((format!("clouds[{at}].url"), folder.clone())),
            CloudUrl::S3 { .. } => None,
        };
        folders.extend(config.clouds.iter().enumerate().filter_map(file));
        folders.push(("state".to_owned(), config.state.clone()));
        for (_, folder) in &mut folders {
            *folder = super::straight(folder);
        }
        for (at, (key, folder)) in folders.iter().enumerate() {
            let inside = |(_, other): &&(String, PathBuf)| folder.starts_with(other) || (other.starts_with(folder) && key != "state");
            if let Some((other, _)) = folders[..at].iter().find(inside) {
                return Err(self.invalid(key, format!("{} and the folder of `{other}` must lie apart", folder.display())));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LogFormat, LogLevel, StorageClass};

    const WHOLE: &str = r#"
repository: ~/Backups/offsite
at: "05:15"
keep: 7
verify: 1/30
plain: all
overdue_hours: 48
battery: 35
wait: 90
log: {format: json, keep: 3, level: debug}
jobs:
  photos: {keep: 30, overdue_hours: 200}
pis:
  - name: pi
    host: pi.local
    port: 2222
    user: offsite
    path: /srv/backup/offsite
    key: ~/.ssh/id_offsite
    known_hosts: ~/.ssh/known
  - name: attic
    host: 10.0.0.7
    path: backup
    agent: true
    ssh_config: ~/.ssh/other
    limit: 20 MB/s
    connections: 2
clouds:
  - name: cold
    url: s3://bucket/prefix
    endpoint: https://s3.example.org
    region: eu-central-1
    class: DEEP_ARCHIVE
    keep: 12
    credentials: ~/.config/offsite/aws.env
  - name: disk
    url: file:///Volumes/disk/offsite
state: /var/offsite
"#;

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
        assert_eq!(config.repository, Path::new("/home/owner/Backups/offsite"));
        assert_eq!(config.at, "05:15".parse().unwrap());
        assert_eq!((config.verify.to_string().as_str(), config.plain), ("1/30", PlainCopies::All));
        assert_eq!((config.battery, config.wait), (35, SignedDuration::from_mins(90)));
        assert_eq!((config.log.format, config.log.keep.get(), config.log.level), (LogFormat::Json, 3, LogLevel::Debug));
        assert_eq!(config.keep_of(&"services".parse().unwrap()).get(), 7);
        assert_eq!(config.keep_of(&"photos".parse().unwrap()).get(), 30);
        assert_eq!(config.overdue_of(&"services".parse().unwrap()), SignedDuration::from_hours(48));
        assert_eq!(config.overdue_of(&"photos".parse().unwrap()), SignedDuration::from_hours(200));
        assert_eq!((config.pis[0].port, config.pis[0].user.as_deref()), (Some(2222), Some("offsite")));
        assert_eq!((&config.pis[0].ssh_config, config.pis[0].limit, config.pis[0].connections.get()), (&SshConfig::Usual, None, 1));
        assert_eq!(config.pis[0].auth, PiAuth::Key("/home/owner/.ssh/id_offsite".into()));
        assert_eq!((config.pis[1].port, &config.pis[1].user, &config.pis[1].auth), (None, &None, &PiAuth::Agent));
        assert_eq!((&config.pis[0].known_hosts, &config.pis[1].known_hosts), (&Some("/home/owner/.ssh/known".into()), &None));
        assert_eq!(config.pis[1].ssh_config, SshConfig::File("/home/owner/.ssh/other".into()));
        assert_eq!((config.pis[1].limit.map(|rate| rate.bytes().get()), config.pis[1].connections.get()), (Some(20_000_000), 2));
        assert_eq!(config.clouds[0].class.as_ref().map(StorageClass::as_str), Some("DEEP_ARCHIVE"));
        assert_eq!(config.clouds[0].credentials, Credentials::File("/home/owner/.config/offsite/aws.env".into()));
        assert_eq!((config.clouds[1].keep.get(), &config.clouds[1].credentials), (10, &Credentials::Env));
        assert_eq!(config.state, Path::new("/var/offsite"));
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
            (
                format!("repository: /b\nlog: {{format: xml}}\npi: {SMALL}\n"),
                "offsite.yaml:2: log.format: expected human or json, not \"xml\"",
            ),
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
}
