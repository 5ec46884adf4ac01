//! Mistakes of every kind at every key: each is named with its file, its line, its key, and the word that was meant.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use super::{Config, Home, SCHEMA};

/// Every key, each on a line of its own.
pub(super) const WHOLE: &str = "\
repository: /b
at: '05:15'
battery: 35
wait: 90
keep: 7
verify: 1/30
plain: all
overdue_hours: 48
jobs:
  photos:
    keep: 30
    overdue_hours: 200
pis:
  - name: attic
    host: pi.local
    port: 2222
    user: offsite
    path: /srv/backup/offsite
    key: ~/.ssh/id
    agent: false
    known_hosts: ~/.ssh/known
    ssh_config: none
    limit: 20 MB/s
    connections: 2
pi:
  host: other
  path: /p
clouds:
  - name: cold
    url: s3://bucket/prefix
    endpoint: https://s3.example.org
    region: eu-central-1
    class: DEEP_ARCHIVE
    keep: 12
    credentials: ~/aws.env
notify:
  credentials: env
  macos: none
  ntfy:
    url: https://ntfy.sh/topic
    click: https://example.org/
    every_night: true
  healthchecks:
    url: https://hc-ping.com/x
  webhook:
    url: https://example.org/hook
    every_night: false
  email:
    from: a@example.org
    to: [b@example.org]
    host: mail.example.org
    port: 587
    security: starttls
    user: a
    every_night: false
log:
  format: json
  keep: 3
  level: debug
state: /var/offsite
";

fn said(text: &str) -> String {
    match Config::parse(Path::new("c.yaml"), text, &Home::at(Path::new("/home/owner"))) {
        Ok(_) => "right".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Number, what stands before the key, the key and its value, of each line.
fn lines() -> Vec<(usize, &'static str, &'static str, &'static str)> {
    let split = |(at, line): (usize, &'static str)| {
        let start = line.len() - line.trim_start_matches([' ', '-']).len();
        let (key, value) = line[start..].split_once(':').unwrap();
        (at + 1, &line[..start], key, value.trim())
    };
    WHOLE.lines().enumerate().map(split).collect()
}

/// `WHOLE` with another line.
fn with(number: usize, line: &str) -> String {
    let changed = WHOLE.lines().enumerate().map(|(at, old)| if at + 1 == number { line } else { old });
    changed.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn every_key_is_in_the_table() {
    assert_eq!(said(WHOLE), "right");
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    fn keys(value: &Value, found: &mut BTreeSet<String>) {
        if let Some(object) = value.as_object() {
            found.extend(object.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.clone()));
            object.values().for_each(|value| keys(value, found));
        }
    }
    let mut wanted = BTreeSet::from(["photos".to_owned()]);
    keys(&schema, &mut wanted);
    assert_eq!(lines().into_iter().map(|(_, _, key, _)| key.to_owned()).collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn a_slip_in_any_key_is_named_with_the_key_that_was_meant() {
    // A job is called as its owner likes, and next to `pi` there is `pis`.
    for (number, before, key, value) in lines().into_iter().filter(|(_, _, key, _)| !["photos", "pi"].contains(key)) {
        let last = key.chars().last().unwrap();
        let found = said(&with(number, &format!("{before}{key}{last}: {value}")));
        assert!(found.starts_with(&format!("c.yaml:{number}: ")), "{number} {key}: {found}");
        assert!(found.contains(&format!("unknown key \"{key}{last}\"; did you mean \"{key}\"?")), "{key}: {found}");
    }
}

#[test]
fn a_wrong_type_at_any_key_is_named_in_plain_words() {
    for (number, before, key, value) in lines() {
        for wrong in ["{a: b}", "[[a]]"] {
            if value.is_empty() {
                continue;
            }
            let found = said(&with(number, &format!("{before}{key}: {wrong}")));
            assert!(found.starts_with(&format!("c.yaml:{number}: ")) && found.contains(key), "{number} {key}: {found}");
            assert!(found.contains("expected ") && !found.contains("invalid") && !found.contains("struct"), "{key}: {found}");
        }
    }
    for (more, wanted) in [
        ("keep: many", "c.yaml:2: keep: expected a whole number from 1, not the text \"many\""),
        ("keep: 0", "c.yaml:2: keep: expected a whole number from 1, not 0"),
        ("battery: 300\npi: {host: h, user: u, path: /p}", "c.yaml:2: battery: expected 0 to 100 per cent, not 300"),
        ("pis: {host: h}", "c.yaml:2: pis: expected a list, not keys and their values"),
        ("pi: [h]", "c.yaml:2: pi: expected keys and their values, not a list"),
        ("jobs: 5", "c.yaml:2: jobs: expected jobs by name, not 5"),
        ("pi: {host: h, path: /p, agent: maybe}", "c.yaml:2: pi.agent: expected true or false, not the text \"maybe\""),
    ] {
        assert_eq!(said(&format!("repository: /b\n{more}\n")), wanted);
    }
}

#[test]
fn any_key_that_stands_twice_is_named_where_it_stands_again() {
    for (number, before, key, value) in lines().into_iter().filter(|(_, _, _, value)| !value.is_empty()) {
        let inside = " ".repeat(before.len());
        let found = said(&with(number, &format!("{before}{key}: {value}\n{inside}{key}: {value}")));
        assert!(found.contains(&format!("key \"{key}\" stands twice")), "{key}: {found}");
        assert!(found.starts_with(&format!("c.yaml:{}: ", number + 1)), "{number} {key}: {found}");
    }
    let found = said("repository: /b\njobs:\n  a: {keep: 1}\n  b: {}\n  a: {keep: 2}\npi: {host: h, path: /p}\n");
    assert_eq!(found, "c.yaml:5: jobs: key \"a\" stands twice");
}

#[test]
fn a_word_that_is_none_of_the_valid_ones_gets_the_nearest() {
    for (more, wanted) in [
        ("plain: newst", "c.yaml:2: plain: expected `newest`, `none` or `all`, not \"newst\"; did you mean \"newest\"?"),
        ("plain: elephant", "c.yaml:2: plain: expected `newest`, `none` or `all`, not \"elephant\""),
        ("verify: al", "c.yaml:2: verify: expected `none`, `all` or a part as 1/7 (1/1 to 1/366), not \"al\"; did you mean \"all\"?"),
    ] {
        assert_eq!(said(&format!("repository: /b\n{more}\npi: {{host: h, path: /p}}\n")), wanted);
    }
}

#[test]
fn what_is_no_yaml_is_said_in_plain_words() {
    let pi = "pi: {host: h, path: /p}\n";
    for (text, wanted) in [
        ("", "c.yaml: the file says nothing"),
        ("\u{feff}\n", "c.yaml: the file says nothing"),
        ("# nothing\n", "c.yaml: the file says nothing"),
        ("repository: /b\njobs:\n\ta: {}\n", "c.yaml:3: a value that begins with a tab or with one of"),
        ("repository:\t/b\n\tkeep: 3\n", "c.yaml:2: a tab stands where YAML allows only spaces"),
        ("repository: /b: c\n", "c.yaml:1: a colon stands where none can be"),
        ("repository: \"/b\nkeep: 3\n", "c.yaml:3: a quote is opened and not closed"),
        ("repository: @b\n", "c.yaml:1: a value that begins with"),
        ("repository: *b\n", "c.yaml:1: a value that begins with * is put in quotes"),
        ("- repository\n", "c.yaml:1: expected keys and their values, not a list"),
        ("hello\n", "c.yaml:1: expected keys and their values, not the text \"hello\""),
        (&format!("repository: ~\n{pi}"), "c.yaml:1: repository: \"~\" is no folder of its own"),
        (&format!("repository: /\n{pi}"), "c.yaml:1: repository: \"/\" is no folder of its own"),
        (&format!("repository:\n{pi}"), "c.yaml:1: repository: \"\" is neither absolute"),
        (&format!("repository: /b\n---\n{pi}"), "c.yaml:2: the file goes on after a line of ---"),
        (&format!("repository: /b\r\nkepe: 3\r\n{pi}"), "c.yaml:2: unknown key \"kepe\"; did you mean \"keep\"?"),
        // Of several mistakes the first is named.
        (&format!("repository: /b\nkepe: 3\nplan: all\n{pi}"), "c.yaml:2: unknown key \"kepe\""),
    ] {
        let found = said(text);
        assert!(found.starts_with(wanted), "{text:?}\n{found}");
    }
    assert_eq!(said(&format!("\u{feff}repository: /b\r\nkeep: 3\r\njobs:\r\n{pi}")), "right");
    assert!(said(&format!("\u{feff}repository: b\n{pi}")).starts_with("c.yaml:1: repository: "));
}
