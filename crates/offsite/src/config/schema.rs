//! The JSON schema of `offsite.yaml`, for editors and other tools.
//!
//! Written by hand, because half of what is valid is in no type: units, ranges, spellings. Tests hold it against the parser, key by key and both
//! ways, so that a key that was forgotten in either is found; what neither knows of the other is then said by the parser, which decides.

pub const SCHEMA: &str = include_str!("../../../../docs/offsite.schema.json");

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        path::{Path, PathBuf},
    };

    use serde_json::{Map, Value, json};

    use super::*;
    use crate::config::{Config, ConfigError, Home};

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).unwrap()
    }

    /// The schema of a value, with `$ref` followed.
    fn resolved<'a>(root: &'a Value, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(name) => root.pointer(name.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    /// A step into a configuration.
    #[derive(Clone, Debug)]
    enum Step {
        Key(String),
        Item,
    }

    /// The configuration that is nothing but the way to `value`. JSON is YAML.
    fn at(way: &[Step], value: Value) -> Value {
        way.iter().rev().fold(value, |inner, step| match step {
            Step::Key(key) => json!({ key: inner }),
            Step::Item => json!([inner]),
        })
    }

    /// What the parser says of a configuration.
    fn said(config: &Value) -> Result<Config, ConfigError> {
        Config::parse(Path::new("c"), &config.to_string(), &Home::at(Path::new("/home/owner")))
    }

    /// The keys that the parser takes at the end of a way, by its own account.
    fn parser_keys(way: &[Step]) -> BTreeSet<String> {
        let key = "no-such-key-at-all-whatever-comes";
        let message = said(&at(way, json!({ key: 1 }))).unwrap_err().to_string();
        let list = message.split("valid here: ").nth(1).unwrap_or_else(|| panic!("{way:?}: {message}"));
        list.split(", ").map(|word| word.trim_matches('"').to_owned()).collect()
    }

    /// Every object of the schema with the way to it.
    fn objects(root: &Value, here: &Value, way: &[Step], found: &mut Vec<(Vec<Step>, Map<String, Value>)>) {
        let here = resolved(root, here);
        if let Some(keys) = here.get("properties").and_then(Value::as_object) {
            found.push((way.to_vec(), keys.clone()));
            for (key, inner) in keys {
                objects(root, inner, &[way, &[Step::Key(key.clone())]].concat(), found);
            }
        }
        if let Some(inner) = here.get("items") {
            objects(root, inner, &[way, &[Step::Item]].concat(), found);
        }
        // Jobs are called as their owner likes.
        if let Some(inner) = here.get("patternProperties").and_then(Value::as_object).and_then(|all| all.values().next()) {
            objects(root, inner, &[way, &[Step::Key("a-job".to_owned())]].concat(), found);
        }
    }

    fn all_objects() -> Vec<(Vec<Step>, Map<String, Value>)> {
        let (root, mut found) = (schema(), Vec::new());
        objects(&root, &root, &[], &mut found);
        found
    }

    #[test]
    fn every_key_of_the_parser_is_in_the_schema_and_the_reverse() {
        for (way, keys) in all_objects() {
            assert_eq!(keys.keys().cloned().collect::<BTreeSet<_>>(), parser_keys(&way), "at {way:?}");
        }
    }

    #[test]
    fn every_object_refuses_other_keys_and_every_key_says_what_it_is() {
        fn each(value: &Value) {
            if let Some(object) = value.as_object() {
                if object.get("type") == Some(&json!("object")) {
                    assert_eq!(object.get("additionalProperties"), Some(&json!(false)), "{value}");
                }
                let keys = object.get("properties").filter(|_| object.contains_key("type"));
                for (key, inner) in keys.and_then(Value::as_object).into_iter().flatten() {
                    assert!(inner.get("description").is_some_and(|text| text.as_str().is_some_and(|text| text.len() > 10)), "{key}");
                    assert!(inner.get("type").is_some() || inner.get("$ref").is_some() || inner.get("enum").is_some(), "{key}");
                }
                object.values().for_each(each);
            }
            value.as_array().into_iter().flatten().for_each(each);
        }
        each(&schema());
    }

    /// A value that the parser takes, and that is valid without its part at the end of `way`.
    fn whole() -> Value {
        json!({
            "repository": "/b",
            "jobs": {"a-job": {"keep": 3}},
            "pis": [{"name": "a", "host": "h", "user": "u", "path": "/p"}],
            "pi": {"name": "b", "host": "h", "user": "u", "path": "/p"},
            "clouds": [{"name": "c", "url": "s3://bucket"}],
            "notify": {
                "ntfy": {"url": "https://ntfy.sh/x"},
                "healthchecks": {"url": "https://hc-ping.com/x"},
                "webhook": {"url": "https://example.org/x"},
                "email": {"from": "a@example.org", "to": ["b@example.org"], "host": "localhost"},
            },
        })
    }

    fn pointer(way: &[Step], key: &str) -> String {
        let parts = way.iter().map(|step| match step {
            Step::Key(key) => format!("/{key}"),
            Step::Item => "/0".to_owned(),
        });
        format!("{}/{key}", parts.collect::<String>())
    }

    #[test]
    fn examples_and_defaults_are_taken_by_the_parser_and_types_are_its_own() {
        let root = schema();
        assert!(said(&whole()).is_ok(), "{}", said(&whole()).unwrap_err());
        for (way, keys) in all_objects() {
            for (key, inner) in keys {
                let (place, inner) = (pointer(&way, &key), resolved(&root, &inner).clone());
                let with = |value: &Value| {
                    let mut config = whole();
                    let (above, _) = place.rsplit_once('/').unwrap();
                    let object = config.pointer_mut(above).and_then(Value::as_object_mut);
                    // What is not in `whole` is made of this key alone.
                    match object {
                        Some(object) => drop(object.insert(key.clone(), value.clone())),
                        None => {
                            let steps: Vec<_> = way.iter().cloned().chain([Step::Key(key.clone())]).collect();
                            let part = at(&steps, value.clone());
                            config.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
                        }
                    }
                    // A key and an agent exclude each other, as do a disk and what is of S3 only; none of them is an example here.
                    said(&config)
                };
                let good = inner.get("examples").and_then(Value::as_array).into_iter().flatten().chain(inner.get("default"));
                for value in good.chain(inner.get("enum").and_then(Value::as_array).into_iter().flatten()) {
                    let taken = with(value);
                    assert!(taken.is_ok(), "{place}: {value}: {}", taken.unwrap_err());
                }
                let scalar = inner.get("type").is_none_or(|kind| kind != "object" && kind != "array");
                if scalar {
                    assert!(with(&json!({"a": 1})).is_err(), "{place} takes an object");
                    assert!(with(&json!([1])).is_err(), "{place} takes a list");
                    let shown = inner.get("examples").or(inner.get("enum")).or(inner.get("default"));
                    assert!(shown.is_some(), "{place} shows no value that is valid");
                } else {
                    assert!(with(&json!(17)).is_err(), "{place} takes a number");
                }
                if inner.get("type") == Some(&json!("integer")) {
                    let (least, most) = (inner["minimum"].as_i64().unwrap(), inner.get("maximum").and_then(Value::as_i64));
                    assert!(with(&json!(least)).is_ok() && with(&json!(least - 1)).is_err(), "{place}: the least");
                    if let Some(most) = most {
                        assert!(with(&json!(most)).is_ok() && with(&json!(most + 1)).is_err(), "{place}: the most");
                    }
                    assert!(with(&json!("many")).is_err() && with(&json!(1.5)).is_err(), "{place} takes what is no integer");
                }
            }
        }
    }

    #[test]
    fn what_must_be_there_is_the_same() {
        let root = schema();
        let required = |value: &Value| -> BTreeSet<String> {
            value.get("required").and_then(Value::as_array).into_iter().flatten().map(|key| key.as_str().unwrap().to_owned()).collect()
        };
        for (place, value) in [("", root.clone()), ("/pi", root["$defs"]["pi"].clone()), ("/clouds/0", root["$defs"]["cloud"].clone())] {
            for key in required(&value) {
                let mut config = whole();
                let object = if place.is_empty() { &mut config } else { config.pointer_mut(place).unwrap() };
                object.as_object_mut().unwrap().remove(&key);
                assert!(said(&config).unwrap_err().to_string().contains(&format!("\"{key}\" is missing")), "{place}/{key}");
            }
        }
        let mut least = json!({"repository": "/b", "pi": {"host": "h", "path": "/p"}});
        assert!(said(&least).is_ok());
        least.as_object_mut().unwrap().insert("clouds".to_owned(), json!([{"name": "c", "url": "file:///c"}]));
        assert!(said(&least).is_ok());
    }

    /// Python's jsonschema judges what this says about configurations that are right and wrong.
    #[test]
    fn an_independent_judge_agrees() {
        let lab = offsite_tests::Lab::new();
        let Some(python) = lab.python() else { return };
        let example = crate::init::EXAMPLE;
        let all: String = example
            .lines()
            .filter(|line| !line.trim_start().starts_with("##"))
            .map(|line| format!("{}\n", line.replacen("# ", "", 1)))
            .collect();
        let as_json = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
        let small = json!({"host": "h", "path": "/p"});
        let bad = |more: Value| {
            let mut config = json!({"repository": "/b", "pi": small});
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            config
        };
        let cases = json!({
            "good": [as_json(example), as_json(&all), whole(), bad(json!({}))],
            "bad": [
                json!({}),
                json!({"repository": "/b"}),
                json!([]),
                bad(json!({"kepe": 3})),
                bad(json!({"keep": 0})),
                bad(json!({"keep": "many"})),
                bad(json!({"at": "25:00"})),
                bad(json!({"at": 1630})),
                bad(json!({"verify": "2/7"})),
                bad(json!({"plain": "some"})),
                bad(json!({"repository": "backups"})),
                bad(json!({"overdue_hours": 0})),
                bad(json!({"jobs": {"A job": {}}})),
                bad(json!({"jobs": {"a": {"kep": 3}}})),
                bad(json!({"pi": {"host": "h", "path": "/p", "port": 0}})),
                bad(json!({"pi": {"host": "", "path": "/p"}})),
                bad(json!({"pi": {"host": "h"}})),
                bad(json!({"pi": {"host": "h", "path": "/p", "limit": "20 Mbit"}})),
                bad(json!({"pi": {"host": "h", "path": "/p", "key": "/k", "agent": true}})),
                bad(json!({"clouds": [{"name": "c", "url": "onedrive://x"}]})),
                bad(json!({"clouds": [{"name": "mac", "url": "s3://bucket"}]})),
                bad(json!({"clouds": [{"name": "c", "url": "file:///c", "class": "GLACIER"}]})),
                bad(json!({"clouds": [{"name": "c", "url": "s3://bucket", "endpoint": "s3.example.org"}]})),
            ],
        });
        // What the parser takes must be valid, and what it refuses here must not be.
        for (kind, fine) in [("good", true), ("bad", false)] {
            for case in cases[kind].as_array().unwrap() {
                assert_eq!(said(case).is_ok(), fine, "{case}");
            }
        }
        let (schema, cases) = (lab.file("schema.json", SCHEMA), lab.file("cases.json", &cases.to_string()));
        let judge = "import json, sys\n\
                     from jsonschema import Draft202012Validator as Judge\n\
                     schema, cases = (json.load(open(name)) for name in sys.argv[1:])\n\
                     Judge.check_schema(schema)\n\
                     for kind in cases:\n    \
                         for number, case in enumerate(cases[kind]):\n        \
                             words = [error.message for error in Judge(schema).iter_errors(case)]\n        \
                             if bool(words) != (kind == 'bad'): print(kind, number, json.dumps(case), words)\n";
        let found = python.args(["-c", judge]).args::<PathBuf>([schema, cases]).run().succeeds();
        assert_eq!(found.out, "");
    }
}
