//! A configuration as a person would tell it: where from, where to, how many, when next. Pure.

use std::{fmt::Write as _, path::Path};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    config::{Cloud, CloudUrl, Config, Credentials, Home, Notify, Pi, PiAuth, PlainCopies, VerifyPart},
    human,
    owed::Schedule,
};

pub(crate) fn words(config: &Config, home: &Home, now: Timestamp, zone: &TimeZone) -> String {
    let short = |path: &Path| match path.strip_prefix(&home.home) {
        Ok(below) if home.home.is_absolute() => format!("~/{}", below.display()),
        _ => path.display().to_string(),
    };
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut line = |name: &str, text: String| lines.push((name.to_owned(), text));
    for pi in &config.pis {
        line("from", format!("{}: {}", pi.name, way(pi, &short)));
    }
    line("to", format!("this Mac: {}, {} of each job{}", short(&config.repository), config.keep, exceptions(config)));
    for cloud in &config.clouds {
        line("to", format!("{}: {}", cloud.name, place(cloud, &short)));
    }
    let next = Schedule { at: config.at, zone: zone.clone() }.next(now).map_or_else(String::new, |next| {
        let next = next.to_zoned(zone.clone());
        format!("; next {}", next.strftime("%Y-%m-%d %H:%M"))
    });
    line("when", format!("every night at {}{next}", config.at));
    let mut waits = vec![match config.wait.as_mins() {
        0 => "not at all for a Pi that does not answer".to_owned(),
        minutes => format!("{minutes} min for a Pi that does not answer"),
    }];
    if config.battery > 0 {
        waits.push(format!("for mains below {} % of battery", config.battery));
    }
    line("waits", waits.join(", "));
    line(
        "reads back",
        match config.verify {
            VerifyPart::None => "nothing by itself".to_owned(),
            VerifyPart::OneOf(std::num::NonZeroU32::MIN) => "all of it, every night".to_owned(),
            VerifyPart::OneOf(nights) => format!("1/{nights} every night, so all of it in {nights} nights"),
        },
    );
    line(
        "plain",
        match config.plain {
            PlainCopies::None => "no .tar.zst beside the packs".to_owned(),
            PlainCopies::Newest => "the newest archive of each job, as a .tar.zst that any tar opens".to_owned(),
            PlainCopies::All => "every archive, as a .tar.zst that any tar opens".to_owned(),
        },
    );
    line(
        "alarm",
        format!("when the last good run or a job's newest archive is older than {}{}", human::age(config.overdue), later(config)),
    );
    line("tells", tells(&config.notify));
    line("state", short(&config.state));
    let rows: Vec<Vec<String>> = lines.into_iter().map(|(name, text)| vec![format!("  {name}"), text]).collect();
    let mut text = format!("{} is right. It says:\n\n", config.path.display());
    // Writing into a text cannot fail.
    let _ = write!(text, "{}", human::table(&[human::Align::Left, human::Align::Left], &rows));
    text
}

fn way(pi: &Pi, short: &dyn Fn(&Path) -> String) -> String {
    let user = pi.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    let port = pi.port.map(|port| format!(" port {port}")).unwrap_or_default();
    let key = match &pi.auth {
        PiAuth::Ssh => "with the keys that ssh would use".to_owned(),
        PiAuth::Agent => "with the keys of the ssh-agent".to_owned(),
        PiAuth::Key(path) => format!("with the key {}", short(path)),
    };
    let mut more = String::new();
    if let Some(limit) = pi.limit {
        more.push_str(&format!(", at most {limit}"));
    }
    if pi.connections.get() > 1 {
        more.push_str(&format!(", over {} connections", pi.connections));
    }
    format!("{} on {user}{}{port}, {key}{more}", pi.path, pi.host)
}

fn place(cloud: &Cloud, short: &dyn Fn(&Path) -> String) -> String {
    let url = match &cloud.url {
        CloudUrl::File(folder) => short(folder),
        url => url.to_string(),
    };
    let mut text = format!("{url}, sealed, {} of each job", cloud.keep);
    if let Some(endpoint) = &cloud.endpoint {
        text.push_str(&format!(", at {endpoint}"));
    }
    if let Some(class) = &cloud.class {
        text.push_str(&format!(", packs as {}", class.as_str()));
    }
    if matches!(cloud.url, CloudUrl::S3 { .. }) {
        text.push_str(&match &cloud.credentials {
            Credentials::Env => ", credentials from the environment".to_owned(),
            Credentials::File(path) => format!(", credentials in {}", short(path)),
        });
    }
    text
}

fn exceptions(config: &Config) -> String {
    let jobs = config.jobs.iter().filter_map(|(name, rules)| Some(format!("{name}: {}", rules.keep?)));
    in_brackets(&jobs.collect::<Vec<_>>())
}

fn later(config: &Config) -> String {
    let jobs = config.jobs.iter().filter_map(|(name, rules)| Some(format!("{name}: {}", human::age(rules.overdue?))));
    in_brackets(&jobs.collect::<Vec<_>>())
}

fn in_brackets(words: &[String]) -> String {
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

fn tells(notify: &Notify) -> String {
    let names = ["macos", "ntfy", "healthchecks", "webhook", "email"];
    let used: Vec<&str> = names.into_iter().filter(|name| notify.has(name)).collect();
    if used.is_empty() { "nobody; offsite status shows it".to_owned() } else { used.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_told_in_words() {
        let text = "repository: ~/Backups/offsite\nkeep: 7\nverify: 1/30\njobs:\n  photos: {keep: 30, overdue_hours: 200}\n\
                    notify: {macos: none, ntfy: {url: 'https://ntfy.sh/t'}}\n\
                    pis:\n- {name: pi, host: pi.local, port: 2222, user: offsite, path: /srv/b, key: ~/.ssh/k, limit: 20 MB/s}\n\
                    - {name: attic, host: attic, path: b, agent: true, connections: 2}\n\
                    clouds:\n- {name: cold, url: 's3://bucket/o', class: DEEP_ARCHIVE, credentials: ~/aws.env}\n- {name: disk, url: 'file:///Volumes/d'}\n\
                    state: ~/state\n";
        let home = Home::at(Path::new("/home/owner"));
        let config = Config::parse(Path::new("/c.yaml"), text, &home).unwrap();
        let now: Timestamp = "2026-11-22T17:00:00Z".parse().unwrap();
        let found = words(&config, &home, now, &TimeZone::UTC);
        let found: Vec<&str> = found.lines().map(str::trim_end).collect();
        assert_eq!(
            found,
            [
                "/c.yaml is right. It says:",
                "",
                "  from        pi: /srv/b on offsite@pi.local port 2222, with the key ~/.ssh/k, at most 20000 KB/s",
                "  from        attic: b on attic, with the keys of the ssh-agent, over 2 connections",
                "  to          this Mac: ~/Backups/offsite, 7 of each job (photos: 30)",
                "  to          cold: s3://bucket/o, sealed, 10 of each job, packs as DEEP_ARCHIVE, credentials in ~/aws.env",
                "  to          disk: /Volumes/d, sealed, 10 of each job",
                "  when        every night at 04:30; next 2026-11-23 04:30",
                "  waits       60 min for a Pi that does not answer, for mains below 20 % of battery",
                "  reads back  1/30 every night, so all of it in 30 nights",
                "  plain       the newest archive of each job, as a .tar.zst that any tar opens",
                "  alarm       when the last good run or a job's newest archive is older than 36 h (photos: 8 days)",
                "  tells       ntfy",
                "  state       ~/state",
            ]
        );
    }
}
