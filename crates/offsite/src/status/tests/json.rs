//! The JSON is a promise to scripts: each field is pinned with its value. Whoever must change one that is here, and not only add, raises
//! `version` and tells so in docs/status.md.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::{
    journal::Waiting,
    live::{Now, Phase},
};

/// Every field there is, at least once.
fn full() -> Facts {
    let mut receipts = night("2026-11-22");
    receipts.pop();
    // The slot of the 22nd stays owed.
    receipts.push(ran("2026-11-22T03:33:06Z", "2026-11-21", Outcome::Fine));
    let mass = |raw| crate::tripwire::change::Mass { frames: 50, raw, data: raw, kept: raw };
    let change = crate::tripwire::Change { earlier: mass(1000), gone: mass(30), fresh: mass(30), recut: false };
    let ran = json!({"kind": "ran", "owed": "2026-11-21", "outcome": "incomplete", "began": "2026-11-22T03:30:01Z"});
    receipts.extend([
        receipt("2026-11-22T03:32:00Z", Fact::Compared { archive: name(TWO[1]), with: name(TWO[0]), change }),
        receipt("2026-11-22T03:34:00Z", Fact::Drilled { place: place("cold"), archive: name(TWO[0]), files: 5, bytes: 6 }),
        receipt(
            "2026-11-22T03:35:00Z",
            Fact::Failed { step: Step::Push, object: "cold".into(), message: "no".into(), hint: Some("again".into()) },
        ),
        receipt("2026-11-22T03:36:00Z", serde_json::from_value(ran).unwrap()),
        receipt(
            "2026-11-22T04:30:00Z",
            Fact::Waited {
                owed: Some("2026-11-22".parse().unwrap()),
                why: Waiting::Away { pis: BTreeSet::from([place("pi")]), no_route: BTreeSet::new() },
            },
        ),
    ]);
    let running = Now {
        pid: 7,
        verb: "daemon".into(),
        since: "2026-11-22T08:02:00Z".parse().unwrap(),
        time: "2026-11-22T08:11:59Z".parse().unwrap(),
        phase: Phase::Pull,
        object: TWO[1].into(),
        done: 1,
        total: 2,
        rate: 3,
    };
    let local = Local { set_aside: 1, unplugged: true, ..held(&TWO) };
    let config = config(&format!("{CONFIG}- {{name: usb, url: 'file:///usb'}}\n"));
    Facts { running: Some(running), ..facts(config, &receipts, local, "2026-11-22T08:12:00Z") }
}

fn wanted() -> Value {
    json!({
        "version": 1,
        "time": "2026-11-22T08:12:00Z",
        "verdict": "overdue",
        "jobs": [{
            "job": "services",
            "places": [
                {"place": "pi", "kind": "pi", "newest": TWO[1], "count": 3, "keep": null, "verified": null, "seen": "2026-11-22T03:30:05Z"},
                {"place": "mac", "kind": "mac", "newest": TWO[1], "count": 2, "keep": 10, "verified": "2026-11-22T03:32:00Z",
                    "seen": "2026-11-22T08:12:00Z"},
                {"place": "cold", "kind": "cloud", "newest": TWO[1], "count": 10, "keep": 10, "verified": null, "seen": "2026-11-22T03:33:05Z"},
                {"place": "usb", "kind": "disk", "newest": null, "count": 0, "keep": 10, "verified": null, "seen": null},
            ],
            "pulled": {"time": "2026-11-22T03:32:00Z", "archive": TWO[1], "moved": 212_000_000, "total": 9_400_000_000_u64},
            "pushed": {"cold": {"time": "2026-11-22T03:33:00Z", "archive": TWO[1], "moved": 208_000_000, "total": 9_400_000_000_u64}},
            "drilled": {"time": "2026-11-22T03:34:00Z", "place": "cold", "archive": TWO[0]},
            "tripwire": {"archive": TWO[1], "stays": 97, "usual": 97, "least": 48},
        }],
        "run": {
            "last": {"began": "2026-11-22T03:30:01Z", "time": "2026-11-22T03:36:00Z", "outcome": "incomplete"},
            "waiting": {"since": "2026-11-22T04:30:00Z", "for": "away", "pis": ["pi"], "text": "not at home: pi does not answer"},
            "owed": "2026-11-22T03:30:00Z",
            "next": "2026-11-23T03:30:00Z",
        },
        "running": {
            "pid": 7, "verb": "daemon", "since": "2026-11-22T08:02:00Z", "time": "2026-11-22T08:11:59Z", "phase": "pull", "object": TWO[1],
            "done": 1, "total": 2, "rate": 3,
        },
        "rule": {"holds": true, "copies": 3, "media": 3, "off_site": 1, "job": null},
        "unplugged": true,
        "set_aside": 1,
        "alarms": [
            {"kind": "overdue", "object": "services in usb", "message": "it has no archive of this job",
                "next": "wait until offsite daemon has ended: offsite status --watch"},
            {"kind": "incomplete", "object": "push cold", "message": "no", "next": "again"},
        ],
    })
}

/// What of `wanted` is not so in `is`, by path. What is only in `is` is new, and breaks nobody.
fn lacks(wanted: &Value, is: &Value, path: &str, found: &mut Vec<String>) {
    match (wanted, is) {
        (Value::Object(wanted), Value::Object(is)) => {
            for (key, value) in wanted {
                lacks(value, is.get(key).unwrap_or(&Value::String("is not there".into())), &format!("{path}.{key}"), found);
            }
        }
        (Value::Array(wanted), Value::Array(is)) if wanted.len() == is.len() => {
            wanted.iter().zip(is).enumerate().for_each(|(at, (wanted, is))| lacks(wanted, is, &format!("{path}[{at}]"), found));
        }
        (wanted, is) if wanted == is => {}
        (wanted, is) => found.push(format!("{path}: {wanted} is {is}")),
    }
}

#[test]
fn no_field_goes_or_changes_its_meaning() {
    let report = Report::of(&full());
    let mut found = Vec::new();
    lacks(&wanted(), &serde_json::to_value(&report).unwrap(), "", &mut found);
    // The verdict is worked out from the alarms, of which another task may know more.
    assert_eq!(found, [""; 0], "{}", serde_json::to_string_pretty(&report).unwrap());
}

#[test]
fn a_field_that_goes_or_changes_is_noticed() {
    let (before, mut after) = (wanted(), wanted());
    after["rule"]["media"] = json!("3");
    after["run"].as_object_mut().unwrap().remove("owed");
    let mut found = Vec::new();
    lacks(&before, &after, "", &mut found);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn every_field_stands_in_the_documentation() {
    let page = include_str!("../../../../../docs/status.md");
    let mut names = BTreeSet::new();
    fn collect(value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                // A place's name, which the owner chose.
                if key != "cold" {
                    names.insert(key.clone());
                }
                collect(value, names);
            }),
            Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
            _ => {}
        }
    }
    collect(&serde_json::to_value(Report::of(&full())).unwrap(), &mut names);
    let lacking: Vec<&String> = names.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert_eq!(lacking, [""; 0]);
}
