//! What is legal and unwise. Pure, but for [`Ground::of`], which looks where the folders lie.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jiff::SignedDuration;

use crate::{
    config::{CloudUrl, Config, Credentials, Home, PiAuth, PlaceName, TimeOfDay, VerifyPart},
    fit::{existing, judge},
    install, platform,
};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ground {
    /// Why the repository should not be where it is.
    pub repository: Option<String>,
    /// Clouds on the disk that the repository is on.
    pub same_disk: Vec<PlaceName>,
    /// When each alarm clock that is installed rings, as far as it says.
    pub rings: Vec<TimeOfDay>,
}

impl Ground {
    pub(crate) fn of(config: &Config, home: &Home) -> Self {
        let device = |folder: &Path| fs::metadata(existing(folder)).ok().map(|facts| facts.dev());
        let own = device(&config.repository);
        let same = config.clouds.iter().filter(|cloud| match &cloud.url {
            // A disk that is not there says nothing, and above its folder is another.
            CloudUrl::File(folder) => own.is_some() && above(folder).exists() && device(folder) == own,
            CloudUrl::S3 { .. } => false,
        });
        Self {
            repository: judge(&config.repository, home, platform::current()).err().map(|problem| problem.to_string()),
            same_disk: same.map(|cloud| cloud.name.clone()).collect(),
            rings: Vec::new(),
        }
    }
}

fn above(folder: &Path) -> PathBuf {
    folder.parent().unwrap_or(folder).to_owned()
}

pub(crate) fn notes(config: &Config, source: &str, ground: &Ground) -> Vec<String> {
    let mut notes: Vec<String> = ground.repository.iter().cloned().collect();
    let mut note = |text: String| notes.push(text);
    let few = |keep: usize| match keep {
        1 => Some("one archive: a bad night leaves nothing to go back to"),
        2 => Some("two archives: two bad nights leave nothing to go back to"),
        _ => None,
    };
    let kept = config.jobs.iter().filter_map(|(name, rules)| Some((format!("jobs.{name}.keep"), rules.keep?.get())));
    let clouds = config.clouds.iter().map(|cloud| (format!("{}: keep", cloud.name), cloud.keep.get()));
    for (key, keep) in [("keep".to_owned(), config.keep.get())].into_iter().chain(kept).chain(clouds) {
        if let Some(words) = few(keep) {
            note(format!("{key} is {keep}, {words}"));
        }
    }
    if config.clouds.is_empty() {
        note("there is no cloud: everything is in one house. Add an entry to `clouds`, and make its key: offsite key new".to_owned());
    } else if config.clouds.iter().all(|cloud| matches!(cloud.url, CloudUrl::File(_))) {
        note("every copy is on a disk here: carry one away, or add a cloud, or a fire takes all of them".to_owned());
    }
    for name in &ground.same_disk {
        note(format!("{name} lies on the same disk as this Mac's repository: one broken disk takes both"));
    }
    for cloud in &config.clouds {
        if matches!(cloud.url, CloudUrl::S3 { .. }) && cloud.credentials == Credentials::Env {
            note(format!(
                "{} takes its credentials from the environment, and a job of the system has none: name a file with `credentials:`",
                cloud.name
            ));
        }
        if cloud.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://") && !is_here(endpoint)) {
            note(format!("{} is reached without TLS: everyone on the way sees its names and sizes", cloud.name));
        }
    }
    let said = &config.notify;
    let addresses = [
        ("ntfy", said.ntfy.as_ref().and_then(|ntfy| ntfy.url.as_ref())),
        ("healthchecks", said.healthchecks.as_ref().and_then(|check| check.url.as_ref())),
        ("webhook", said.webhook.as_ref().and_then(|webhook| webhook.url.as_ref())),
    ];
    for (channel, url) in addresses.into_iter().filter_map(|(channel, url)| Some((channel, url?))) {
        if url.scheme() == "http" && !url.host_str().is_some_and(is_this_host) {
            note(format!("notify.{channel} is reached without TLS: everyone on the way sees its address, its token and what is told"));
        }
        // The others get theirs as it is; this one gets its messages at the server's root.
        if channel == "ntfy" && url.query().is_some() {
            note("notify.ntfy.url: what follows the ? is not sent; put a token into the credentials, as NTFY_TOKEN".to_owned());
        }
    }
    for pi in config.pis.iter().filter(|pi| pi.auth == PiAuth::Agent) {
        note(format!(
            "{} is logged in to through the ssh-agent, which a job of the system does not have: name a file with `key:`",
            pi.name
        ));
    }
    let install = install::command(platform::current().has_launchd());
    for (wrong, next) in ground.rings.iter().filter_map(|rings| install::wrong_hour(Some(*rings), config.at, install)) {
        note(format!("the alarm clock: {wrong}; {next}"));
    }
    if config.verify == VerifyPart::None {
        note("verify is none: damage is found when it is needed. offsite verify reads everything back".to_owned());
    }
    let overdue = config.jobs.iter().filter_map(|(name, rules)| Some((format!("jobs.{name}.overdue_hours"), rules.overdue?)));
    for (key, hours) in [("overdue_hours".to_owned(), config.overdue)].into_iter().chain(overdue) {
        if hours < SignedDuration::from_hours(25) {
            note(format!("{key} is {}: a night that is an hour late is an alarm", hours.as_hours()));
        }
    }
    for (number, line) in source.lines().enumerate().filter(|(_, line)| has_password(line)) {
        // The line is not repeated: it is what should not be seen.
        let key = line.trim_start().trim_start_matches("- ").split(':').next().unwrap_or_default();
        note(format!("line {}: {key}: an address with a password in it stands in a file that others may read", number + 1));
    }
    notes
}

fn is_here(endpoint: &str) -> bool {
    ["http://localhost", "http://127.", "http://[::1]"].iter().any(|here| endpoint.starts_with(here))
}

fn is_this_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Whether `scheme://user:password@` stands in a line that is no comment.
fn has_password(line: &str) -> bool {
    let body = line.trim_start();
    !body.starts_with('#')
        && body.split("://").skip(1).any(|rest| {
            let authority = rest.split(['/', '"', '\'', ' ', ',', '}', '?', '#']).next().unwrap_or_default();
            authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "pi: {host: h, path: /p}\n";

    fn found(text: &str, ground: &Ground) -> Vec<String> {
        let home = Home::at(Path::new("/home/owner"));
        notes(&Config::parse(Path::new("c"), text, &home).unwrap(), text, ground)
    }

    #[test]
    fn a_wise_configuration_has_no_notes() {
        let text = format!("repository: /b\n{SMALL}clouds:\n- {{name: c, url: 's3://bucket', credentials: /aws.env}}\n");
        assert_eq!(found(&text, &Ground::default()), [""; 0]);
    }

    #[test]
    fn what_is_told_to_this_very_host_needs_no_tls() {
        for url in ["http://localhost:80/x", "http://127.0.0.1/x", "http://[::1]:8080/x", "https://ntfy.sh/x"] {
            let text = format!(
                "repository: /b\n{SMALL}clouds:\n- {{name: c, url: 's3://bucket', credentials: /aws.env}}\n\
                 notify: {{ntfy: {{url: '{url}'}}, webhook: {{url: '{url}'}}}}\n"
            );
            assert_eq!(found(&text, &Ground::default()), [""; 0], "{url}");
        }
    }

    #[test]
    fn each_unwise_thing_is_named() {
        let cold = "clouds:\n- {name: c, url: 's3://bucket', credentials: /aws.env";
        for (more, words) in [
            (format!("keep: 1\n{SMALL}{cold}}}\n"), "keep is 1, one archive"),
            (format!("jobs: {{a: {{keep: 2}}}}\n{SMALL}{cold}}}\n"), "jobs.a.keep is 2, two archives"),
            (format!("{SMALL}{cold}, keep: 1}}\n"), "c: keep is 1"),
            (SMALL.to_owned(), "there is no cloud"),
            (format!("{SMALL}clouds:\n- {{name: d, url: 'file:///d'}}\n"), "every copy is on a disk here"),
            (format!("{SMALL}clouds:\n- {{name: c, url: 's3://bucket'}}\n"), "c takes its credentials from the environment"),
            (format!("{SMALL}{cold}, endpoint: 'http://nas:9000'}}\n"), "c is reached without TLS"),
            (format!("pi: {{host: h, path: /p, agent: true}}\n{cold}}}\n"), "pi is logged in to through the ssh-agent"),
            (format!("verify: none\n{SMALL}{cold}}}\n"), "verify is none"),
            (format!("overdue_hours: 24\n{SMALL}{cold}}}\n"), "overdue_hours is 24"),
            (format!("jobs: {{a: {{overdue_hours: 3}}}}\n{SMALL}{cold}}}\n"), "jobs.a.overdue_hours is 3"),
            (format!("pi:\n  host: h\n  path: ssh://me:sesame@pi/srv\n{cold}}}\n"), "line 4: path: an address with a password"),
        ] {
            let notes = found(&format!("repository: /b\n{more}"), &Ground::default());
            assert!(notes.len() == 1 && notes[0].starts_with(words), "{more}\n{notes:?}");
            assert!(!notes[0].contains("sesame"), "{notes:?}");
        }
        let rings = ["04:30", "02:00"].map(|at| at.parse().unwrap()).to_vec();
        let ground = Ground { repository: Some("it is in Documents".to_owned()), same_disk: vec!["d".parse().unwrap()], rings };
        let notes = found(&format!("repository: /b\n{SMALL}clouds:\n- {{name: c, url: 's3://bucket', credentials: /aws.env}}\n"), &ground);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[2].starts_with("the alarm clock: it rings at 02:00, and `at:` says 04:30; "), "{notes:?}");
        assert!(notes[0] == "it is in Documents" && notes[1].starts_with("d lies on the same disk"), "{notes:?}");
    }

    #[test]
    fn only_a_password_in_an_address_is_one() {
        for line in ["url: https://a:b@c/", "- {url: 'https://a:b@c'}", "x: smtp://a:b@c, y: 1"] {
            assert!(has_password(line), "{line}");
        }
        for line in ["# url: https://a:b@c", "url: https://c:80/a:b@d", "from: a:b@c", "url: https://user@c", "url: s3://bucket"] {
            assert!(!has_password(line), "{line}");
        }
    }

    #[test]
    fn a_disk_is_told_by_where_its_folder_is() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let text =
            |cloud: &str| format!("repository: ~/b\n{SMALL}clouds:\n- {{name: d, url: 'file://{}/{cloud}'}}\n", dir.path().display());
        let same = |cloud: &str| Ground::of(&Config::parse(Path::new("c"), &text(cloud), &home).unwrap(), &home).same_disk.len();
        assert_eq!((same("disk"), same("not/mounted")), (1, 0));
    }
}
