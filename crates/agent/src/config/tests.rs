use super::*;

const GOOD: &str = "repository: /srv/backup/offsite\nkeep: 3\njobs:\n  services:\n    sources: [/srv/services/, /etc/ssh]\n    quiesce: down\n    projects: /srv/services\n    at: \"04:00\"\n";

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("/etc/agent.yaml"), text).map_err(|error| error.to_string())
}

fn refused(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    parse(&GOOD.replace(from, to)).unwrap_err()
}

#[test]
fn reads_what_is_written() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.repository, Path::new("/srv/backup/offsite"));
    assert_eq!((config.state.as_path(), config.docker.as_path(), &config.group), (Path::new(DEFAULT_STATE), Path::new("docker"), &None));
    let job = &config.jobs[&"services".parse().unwrap()];
    assert_eq!(job.sources, [Path::new("/srv/services"), Path::new("/etc/ssh")]);
    assert_eq!((job.quiesce, job.keep.get(), job.at.map(|at| at.to_string())), (Quiesce::Down, 3, Some("04:00".into())));
    assert_eq!(job.projects, [Path::new("/srv/services")]);
}

#[test]
fn a_short_file_gets_the_defaults() {
    let config = parse("repository: /b\ngroup: 33\njobs:\n  x: {sources: [/a]}\n").unwrap();
    let job = &config.jobs[&"x".parse().unwrap()];
    assert_eq!((job.keep.get(), job.quiesce, job.at, job.projects.as_slice()), (3, Quiesce::Down, None, [PathBuf::from("/a")].as_slice()));
    assert_eq!(config.group.as_deref(), Some("33"));
}

#[test]
fn reads_how_services_are_stopped_and_come_back() {
    let more = "quiesce: stop\n    scope: each\n    budget: 90s\n    health: [https://photos.home/, http://10.0.0.2:8080/up]\n    ca: /etc/ssl/home.pem\n    health_wait: 2m";
    let config = parse(&GOOD.replace("quiesce: down", more).replace("keep: 3", "docker_patience: 5s")).unwrap();
    let job = &config.jobs[&"services".parse().unwrap()];
    assert_eq!((job.quiesce, job.scope, job.budget.as_secs(), config.docker_patience.as_secs()), (Quiesce::Stop, Scope::Each, 90, 5));
    assert_eq!(job.health.urls.iter().map(Url::as_str).collect::<Vec<_>>(), ["https://photos.home/", "http://10.0.0.2:8080/up"]);
    assert_eq!((job.health.ca.as_deref(), job.health.wait.as_secs()), (Some(Path::new("/etc/ssl/home.pem")), 120));
    let plain = parse(GOOD).unwrap();
    let job = &plain.jobs[&"services".parse().unwrap()];
    assert_eq!((job.scope, job.budget.as_secs(), plain.docker_patience.as_secs()), (Scope::All, 1800, 120));
}

#[test]
fn the_example_is_valid_and_shows_the_defaults() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(config.state, Path::new(DEFAULT_STATE));
    assert_eq!(config.jobs.len(), 1);
    // Each key that is shown commented out must be one that exists.
    let all: String = EXAMPLE.lines().map(|line| line.replacen("#: ", "", 1) + "\n").collect();
    parse(&all).unwrap();
    assert!(all.contains("\ngroup:") && all.contains("\nstate:") && all.contains("\ndocker:") && all.contains("days:"), "{all}");
    for key in ["docker_patience", "quiesce", "scope", "budget", "health", "ca", "health_wait", "snapshot"] {
        assert!(all.lines().any(|line| line.trim_start().starts_with(&format!("{key}:"))), "the example does not show {key}");
    }
    let (shown, not_said) = (parse(&all).unwrap(), &config.jobs[&"services".parse().unwrap()]);
    let shown = &shown.jobs[&"services".parse().unwrap()];
    assert_eq!((shown.scope, shown.budget, shown.health.wait), (not_said.scope, not_said.budget, not_said.health.wait));
}

#[test]
fn says_where_and_what_is_wrong() {
    let file = "/etc/agent.yaml";
    for (from, to, said) in [
        ("quiesce: down", "quiesce: dwon", ":6: jobs.services.quiesce: unknown value \"dwon\"; did you mean \"down\"?"),
        ("sources:", "sorces:", ":5: jobs.services: unknown key \"sorces\"; did you mean \"sources\"?"),
        ("\"04:00\"", "\"4 am\"", ":8: jobs.services.at: a time of day is \"HH:MM\" from \"00:00\" to \"23:59\", not \"4 am\""),
        ("\"04:00\"", "\"24:00\"", ":8: jobs.services.at: a time of day is \"HH:MM\" from \"00:00\" to \"23:59\", not \"24:00\""),
        ("keep: 3", "keep: 0", ":2: keep: 0 would keep no archive; the least is 1"),
        ("keep: 3", "keep: many", ":2: keep: expected a number of archives, not the text \"many\""),
        ("/etc/ssh", "etc/ssh", ":5: jobs.services.sources[1]: \"etc/ssh\" is not an absolute path without \".\" and \"..\""),
        (
            "[/srv/services/, /etc/ssh]",
            "[/srv]",
            ":5: jobs.services.sources: /srv contains the repository /srv/backup/offsite: every archive would contain the ones before",
        ),
        (
            "/etc/ssh",
            "/var/lib",
            ":5: jobs.services.sources: /var/lib contains the state folder /var/lib/offsite: who unpacks it would make services owed that run; ",
        ),
        ("/etc/ssh", "/var/lib/offsite/x", ":5: jobs.services.sources: /var/lib/offsite/x lies in the state folder /var/lib/offsite"),
        ("/etc/ssh", "/srv/services/x", ":5: jobs.services.sources: /srv/services/x lies in /srv/services and would be archived twice"),
        ("/etc/ssh", "/srv/services", ":5: jobs.services.sources: /srv/services lies in /srv/services and would be archived twice"),
        (
            "/etc/ssh",
            "/srv/backup/offsite/x",
            ":5: jobs.services.sources: /srv/backup/offsite/x lies in the repository /srv/backup/offsite",
        ),
        ("[/srv/services/, /etc/ssh]", "[]", ":5: jobs.services.sources: there is no source"),
        ("down", "none", ":7: jobs.services.projects: has no meaning where \"quiesce\" is \"none\""),
        ("down", "stopp", ":6: jobs.services.quiesce: unknown value \"stopp\"; did you mean \"stop\"?"),
        ("keep: 3", "docker_patience: 0s", ":2: docker_patience: 0s is no time at all; the least is 1s"),
        ("quiesce: down", "scope: eech", ":6: jobs.services.scope: unknown value \"eech\"; did you mean \"each\"?"),
        ("quiesce: down", "budgit: 10m", ":6: jobs.services: unknown key \"budgit\"; did you mean \"budget\"?"),
        ("quiesce: down", "budget: 10", ":6: jobs.services.budget: 10 of what? a length of time is written \"10s\", \"10m\" or \"10h\""),
        (
            "quiesce: down",
            "health: [https://a, b.home]",
            ":6: jobs.services.health[1]: \"b.home\" is not a URL that begins with https:// or http://",
        ),
        ("quiesce: down", "ca: /ca.pem", ":6: jobs.services.ca: has no meaning without a \"health\" that begins with https://"),
        (
            "quiesce: down\n    projects: /srv/services",
            "quiesce: none\n    budget: 1m",
            ":7: jobs.services.budget: has no meaning where \"quiesce\" is \"none\"",
        ),
        (
            "  services:\n",
            "  more:\n    sources: [/srv/services/x]\n  services:\n",
            ":7: jobs.services.sources: /srv/services contains /srv/services/x of job \"more\" and would be archived twice",
        ),
        (
            "keep: 3",
            "state: /srv/backup/offsite/state",
            ":2: state: lies in the repository, which another machine reads; ledger and journal are not for it",
        ),
        ("  services:\n", "  Services:\n", ":4: jobs: "),
    ] {
        let found = refused(from, to);
        assert!(found.starts_with(&format!("{file}{said}")), "{from} -> {to}: {found}");
    }
    assert!(refused("    at:", "  services:\n    sources: [/x]\n    at:").contains("job \"services\" stands twice"));
    // All at once, each source by its own line.
    let text = "repository: /s/b\njobs:\n  x:\n    sources:\n      - /s\n      - /s/a\n    days: [sun]\n  y:\n    sources: [/s/b/z]\n";
    let all = "F:5: jobs.x.sources: /s contains the repository /s/b: every archive would contain the ones before
F:6: jobs.x.sources: /s/a lies in /s and would be archived twice
F:7: jobs.x.days: needs \"at\" beside it
F:9: jobs.y.sources: /s/b/z lies in the repository /s/b
F:9: jobs.y.sources: /s/b/z lies in /s of job \"x\" and would be archived twice";
    assert_eq!(parse(text).unwrap_err(), all.replace('F', file));
    assert!(parse("repository: /b\njobs: {}\n").unwrap_err().ends_with(":2: jobs: there is no job"));
}
