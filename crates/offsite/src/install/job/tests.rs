//! The lists against their golden files, against the documented keys with their types, and in the eyes of two other readers.

use std::{io::Write, process::Command, process::Stdio};

use plist::Value;

use super::*;

/// launchd.plist(5): every documented key that starts, limits or places a job, with the type of its value. A key of another spelling or type is
/// ignored by launchd without a word.
const KEYS: [(&str, Type); 44] = {
    use Type::*;
    [
        ("AbandonProcessGroup", Flag),
        ("AssociatedBundleIdentifiers", Texts),
        ("Disabled", Flag),
        ("EnableGlobbing", Flag),
        ("EnablePressuredExit", Flag),
        ("EnableTransactions", Flag),
        ("EnvironmentVariables", TextsByName),
        ("ExitTimeOut", Number),
        ("GroupName", Text),
        ("HardResourceLimits", NumbersByName),
        ("InitGroups", Flag),
        ("KeepAlive", Flag),
        ("Label", Text),
        ("LaunchOnlyOnce", Flag),
        ("LegacyTimers", Flag),
        ("LimitLoadFromHosts", Texts),
        ("LimitLoadToHosts", Texts),
        ("LimitLoadToSessionType", Text),
        ("LowPriorityBackgroundIO", Flag),
        ("LowPriorityIO", Flag),
        ("MaterializeDatalessFiles", Flag),
        ("Nice", Number),
        ("ProcessType", Text),
        ("Program", Text),
        ("ProgramArguments", Texts),
        ("QueueDirectories", Texts),
        ("RootDirectory", Text),
        ("RunAtLoad", Flag),
        ("SessionCreate", Flag),
        ("SoftResourceLimits", NumbersByName),
        ("StandardErrorPath", Text),
        ("StandardInPath", Text),
        ("StandardOutPath", Text),
        ("StartCalendarInterval", NumbersByName),
        ("StartInterval", Number),
        ("StartOnMount", Flag),
        ("ThrottleInterval", Number),
        ("TimeOut", Number),
        ("Umask", Number),
        ("UserName", Text),
        ("WaitForDebugger", Flag),
        ("WatchPaths", Texts),
        ("WorkingDirectory", Text),
        ("inetdCompatibility", FlagsByName),
    ]
};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Type {
    Flag,
    Number,
    Text,
    Texts,
    NumbersByName,
    TextsByName,
    FlagsByName,
}

impl Type {
    fn holds(self, value: &Value) -> bool {
        let all = |is: fn(&Value) -> bool| value.as_dictionary().is_some_and(|keys| !keys.is_empty() && keys.values().all(is));
        let text = |value: &Value| value.as_string().is_some();
        match self {
            Self::Flag => value.as_boolean().is_some(),
            Self::Number => value.as_unsigned_integer().is_some(),
            Self::Text => text(value),
            Self::Texts => value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(text)),
            Self::NumbersByName => all(|value| value.as_unsigned_integer().is_some()),
            Self::TextsByName => all(|value| value.as_string().is_some()),
            Self::FlagsByName => all(|value| value.as_boolean().is_some()),
        }
    }
}

fn agent() -> Job {
    Job {
        program: "/usr/local/bin/offsite".into(),
        config: "/Users/owner/.config/offsite/offsite.yaml".into(),
        at: "04:30".parse().unwrap(),
        home: "/Users/owner".into(),
        xdg: Vec::new(),
        logs: "/Users/owner/Library/Logs/offsite".into(),
        notices: "/Users/owner/Library/Application Support/offsite/notices".into(),
        kind: Kind::Agent,
    }
}

fn system() -> Job {
    Job { kind: Kind::System { user: "owner".into() }, ..agent() }
}

/// Paths with what XML, a shell, a property list and a person would stumble over.
fn odd() -> Job {
    Job {
        program: "/Applications/A & B <1>/\"off\"'site'/ü €/$HOME/off\\site".into(),
        config: "/Users/ow ner/]]>/off\tsite.yaml".into(),
        home: "/Users/ow ner".into(),
        logs: "/Users/ow ner/<logs>".into(),
        notices: "/Users/ow ner/&amp;".into(),
        kind: Kind::System { user: "ow ner".into() },
        ..agent()
    }
}

/// All lists of all three.
fn lists() -> Vec<(Label, String)> {
    [agent(), system(), odd()].iter().flat_map(|job| job.lists().unwrap()).collect()
}

fn keys(xml: &str) -> Dictionary {
    Value::from_reader_xml(xml.as_bytes()).unwrap().into_dictionary().unwrap()
}

#[test]
fn the_golden_files_are_what_install_writes() {
    let wanted = [
        (Label::Login, include_str!("../../../../../launchd/offsite.login.plist")),
        (Label::System, include_str!("../../../../../launchd/offsite.system.plist")),
        (Label::Notices, include_str!("../../../../../launchd/offsite.notices.plist")),
    ];
    let made: Vec<_> = [agent(), system()].iter().flat_map(|job| job.lists().unwrap()).collect();
    for (label, golden) in wanted {
        assert_eq!(made.iter().find(|(made, _)| *made == label).unwrap().1, golden, "{label}");
    }
}

#[test]
fn every_key_is_a_documented_one_with_a_value_of_its_type() {
    for (label, xml) in lists() {
        for (key, value) in &keys(&xml) {
            let kind = KEYS.iter().find(|(known, _)| known == key).unwrap_or_else(|| panic!("{label}: {key} is not documented")).1;
            assert!(kind.holds(value), "{label}: {key} is {value:?}, and must be {kind:?}");
        }
    }
}

#[test]
fn the_page_says_of_every_documented_key_why_it_is_there_or_not() {
    let page = include_str!("../../../../../launchd/README.md");
    let rows: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    let missing: Vec<&str> =
        KEYS.iter().map(|(key, _)| *key).filter(|key| !rows.iter().any(|row| row.contains(&format!("`{key}`")))).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

#[test]
fn the_vital_keys_are_right() {
    let number = |value: &Value| value.as_unsigned_integer().unwrap();
    for (label, xml) in lists() {
        let keys = keys(&xml);
        assert_eq!(keys["Label"].as_string(), Some(label.as_str()));
        assert_eq!(keys["RunAtLoad"].as_boolean(), Some(true));
        assert_eq!(number(&keys["Umask"]), 0o077);
        let arguments = keys["ProgramArguments"].as_array().unwrap();
        assert_eq!(arguments.first().and_then(Value::as_string), keys["Program"].as_string());
        let verb = arguments.last().and_then(Value::as_string).unwrap();
        if label == Label::Notices {
            assert_eq!((verb, keys["LimitLoadToSessionType"].as_string()), ("notices", Some("Aqua")));
            assert!(!keys.contains_key("UserName"));
            continue;
        }
        assert_eq!(verb, "daemon");
        let slot = keys["StartCalendarInterval"].as_dictionary().unwrap();
        assert_eq!((number(&slot["Hour"]), number(&slot["Minute"]), slot.len()), (4, 30, 2));
        assert_eq!(number(&keys["StartInterval"]), 600);
        assert_eq!(keys["StartOnMount"].as_boolean(), Some(true));
        assert_eq!(keys["ProcessType"].as_string(), Some("Standard"));
        assert_eq!(number(&keys["Nice"]), 10);
        // The daemon ends within 5 s; what is killed before that is cut off in the middle of a pack.
        assert!(number(&keys["ExitTimeOut"]) >= 10);
        assert_eq!(keys.contains_key("UserName"), label == Label::System);
        assert!(!keys.contains_key("LowPriorityBackgroundIO") && !keys.contains_key("LowPriorityIO"));
    }
}

#[test]
fn odd_paths_come_back() {
    let job = odd();
    let made = job.lists().unwrap();
    for (_, xml) in &made {
        assert_eq!(keys(xml)["Program"].as_string(), job.program.to_str());
        assert_eq!(keys(xml)["ProgramArguments"].as_array().unwrap()[2].as_string(), job.config.to_str());
    }
    assert_eq!(keys(&made[1].1)["WatchPaths"].as_array().unwrap()[0].as_string(), job.notices.to_str());
}

#[test]
fn a_path_that_is_no_text_is_refused() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};
    let path = PathBuf::from(OsString::from_vec(b"/x\xff".to_vec()));
    for job in [Job { program: path.clone(), ..agent() }, Job { logs: path.clone(), ..agent() }, Job { notices: path, ..system() }] {
        assert!(matches!(job.lists(), Err(InstallError::NotText { .. })));
    }
}

/// Runs `command` on the list, given on its standard input; `None` if it is not installed here.
fn read_by(command: &str, arguments: &[&str], xml: &str) -> Option<String> {
    let mut child = Command::new(command).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    child.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command} refuses {xml}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn python_reads_the_same() {
    const SCRIPT: &str = "import json, plistlib, sys; v = plistlib.loads(sys.stdin.buffer.read()); assert plistlib.loads(plistlib.dumps(v)) == v; print(json.dumps(v))";
    for (_, xml) in lists() {
        let Some(said) = read_by("python3", &["-c", SCRIPT], &xml) else {
            let _ = offsite_tests::lacking("python3", "not installed");
            return;
        };
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said, serde_json::to_value(keys(&xml)).unwrap());
    }
}

#[test]
fn another_reader_makes_the_binary_form_of_it() {
    let dir = tempfile::tempdir().unwrap();
    for (label, xml) in lists() {
        let (list, binary) = (dir.path().join(label.as_str()), dir.path().join("binary"));
        std::fs::write(&list, &xml).unwrap();
        let said = Command::new("plistutil").arg("-i").arg(&list).arg("-o").arg(&binary).args(["-f", "bin"]).output();
        let Ok(said) = said else {
            let _ = offsite_tests::lacking("plistutil", "not installed");
            return;
        };
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        assert_eq!(Value::from_file(&binary).unwrap().into_dictionary().unwrap(), keys(&xml));
    }
}

#[test]
#[ignore = "writes the golden files; with OFFSITE_MAKE_VECTORS=1 only"]
fn make_the_golden_files() {
    assert_eq!(std::env::var("OFFSITE_MAKE_VECTORS").as_deref(), Ok("1"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../launchd");
    for (label, text) in [agent(), system()].iter().flat_map(|job| job.lists().unwrap()) {
        std::fs::write(folder.join(format!("{label}.plist")), text).unwrap();
    }
}
