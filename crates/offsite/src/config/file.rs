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
use crate::{
    home::{NoHome, straight},
    platform,
};

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
            None => Some(platform::current().state_folder(home)).filter(|folder| folder.is_absolute()).ok_or(NoHome)?,
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
        if nowhere { NoHome.into() } else { self.invalid(key, problem) }
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
        let unplaced = |(file, problem): (&str, String)| self.unplaced(&format!("{key}.credentials"), file, problem);
        let credentials = Credentials::named(cloud.credentials.as_deref(), self.home).map_err(unplaced)?;
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
        let file = |(at, cloud): (usize, &Cloud)| Some((format!("clouds[{at}].url"), cloud.url.folder()?.clone()));
        folders.extend(config.clouds.iter().enumerate().filter_map(file));
        folders.push(("state".to_owned(), config.state.clone()));
        for (_, folder) in &mut folders {
            *folder = straight(folder);
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
mod tests;
