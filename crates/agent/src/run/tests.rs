use super::*;
use crate::fake::{Answers, Fake};

mod room;

/// A job whose one project is `a`, a source with a file in it, and a repository.
fn place(more: &str) -> (tempfile::TempDir, Config) {
    place_of("plain", more)
}

/// As [`place`], with a repository of that layout.
fn place_of(layout: &str, more: &str) -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("house")).unwrap();
    std::fs::write(at("house/file"), "as it was").unwrap();
    let text = format!(
        "repository: {}\nlayout: {layout}\nstate: {}\njobs:\n  s:\n    sources: [{}]\n    projects: /\n    keep: 1\n{more}",
        at("repository").display(),
        at("state").display(),
        at("house").display()
    );
    let config = Config::parse(&at("agent.yaml"), &text).unwrap();
    crate::make_repository(&config).unwrap();
    (dir, config)
}

/// One run; `margin` is how much of the budget is kept for starting.
fn night(config: &Config, engine: &Fake, probe: &dyn Probe, margin: Option<Duration>, options: RunOptions<'_>) -> Result<Made, RunError> {
    let name = "s".parse().unwrap();
    // Waiting, because a child that another test forks just now holds every descriptor until its exec.
    let lock = Lock::take(&config.state, "test", true).unwrap();
    let run = Run {
        config,
        name: &name,
        job: &config.jobs[&name],
        lock: &lock,
        engine,
        probe,
        margin,
        known: Vec::new(),
        told: RefCell::default(),
        owed: RefCell::default(),
    };
    run.all(options)
}

fn at<'a>(clock: &'a dyn Fn() -> Timestamp, progress: &'a mut dyn FnMut(Progress<'_>)) -> RunOptions<'a> {
    RunOptions { wait: true, full: false, cancel: Cancel::default(), clock, progress }
}

/// One run in which all of the budget is kept for starting where there is `no_time`.
fn run_with(
    config: &Config,
    engine: &Fake,
    probe: &Answers,
    no_time: bool,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Made, RunError> {
    let margin = if no_time { config.jobs[&"s".parse().unwrap()].budget } else { Duration::ZERO };
    night(config, engine, probe, Some(margin), at(&Timestamp::now, progress))
}

const WELL: Answers = Answers(Ok(()));

#[test]
fn what_cannot_come_back_ends_no_nights() {
    let (dir, _) = place("");
    let (calls, path) = (dir.path().join("calls"), dir.path().join("agent.yaml"));
    let docker = dir.path().join("docker");
    // Whoever pays an old debt asks this one.
    std::fs::write(&docker, format!("#!/bin/sh\necho \"$1\" >>{}\nexit 1\n", calls.display())).unwrap();
    std::fs::set_permissions(&docker, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (repository, state, house) = (dir.path().join("repository"), dir.path().join("state"), dir.path().join("house"));
    let config = |more: &str| {
        let text = format!(
            "repository: {}\nstate: {}\ndocker: {}\njobs:\n  s:\n    sources: [{}]\n    keep: 1\n{more}",
            repository.display(),
            state.display(),
            docker.display(),
            house.display()
        );
        Config::parse(&path, &text).unwrap()
    };
    let (stops, never) = (config("    projects: /\n"), config("    quiesce: none\n"));
    let engine = Fake::new(&["a"]);
    let good = run_with(&stops, &engine, &WELL, false, &mut |_| ()).unwrap();
    engine.refuses.lock().unwrap().insert("up a".into(), u32::MAX);
    let dark = run_with(&stops, &engine, &WELL, false, &mut |_| ()).unwrap();
    let said = "this archive replaces no good one: services did not come back: - ";
    assert!(dark.owed && !dark.end.complete && dark.degraded.as_ref().is_some_and(|reason| reason.starts_with(said)), "{dark:?}");
    assert!(dark.forgotten.is_empty() && dark.died.is_empty(), "{dark:?}");
    assert!(matches!(dark.event(), Event::Made { complete: false, degraded: Some(_), .. }));

    let (before, asked) = (engine.calls(), || std::fs::read_to_string(&calls).unwrap_or_default().lines().count());
    engine.somebody_starts("b");
    let mut first = None;
    let still = run_with(&stops, &engine, &WELL, false, &mut |_| {
        // It is tried again while this night reads.
        let first = *first.get_or_insert_with(asked);
        while asked() == first {
            std::thread::yield_now();
        }
    });
    let still = still.unwrap();
    assert!(still.owed && !still.end.complete && still.end.entries == good.end.entries, "{still:?}");
    assert!(still.degraded.unwrap().contains("so nothing was stopped"));
    assert_eq!((engine.calls(), engine.running()), (before, vec!["b".to_owned()]));
    // A job that never stops anything has nothing to do with it, and neither has one whose ledger nobody understands.
    std::fs::write(state.join("ledger.json"), "{").unwrap();
    let apart = run_with(&never, &engine, &WELL, false, &mut |_| ()).unwrap();
    assert!(apart.end.complete && !apart.owed && apart.degraded.is_none(), "{apart:?}");
    assert!(apart.end.warnings[0].contains("cannot be understood"), "{apart:?}");
    let unknown = run_with(&stops, &engine, &WELL, false, &mut |_| ()).unwrap();
    assert!(unknown.owed && !unknown.end.complete, "{unknown:?}");
    // What is not archived either is told with what is away.
    std::fs::remove_file(house.join("file")).unwrap();
    std::fs::remove_dir(&house).unwrap();
    let error = run_with(&stops, &engine, &WELL, false, &mut |_| ()).unwrap_err();
    assert!(
        matches!(&error, RunError::NotBack { after, .. } if matches!(**after, RunError::Source(crate::SourceError::Read { .. }))),
        "{error:?}"
    );
}

#[test]
fn a_night_that_ends_in_a_defect_is_told() {
    let (_dir, config) = place("");
    let engine = Fake::new(&["a"]);
    let error = run_with(&config, &engine, &WELL, false, &mut |_| panic!("a defect")).unwrap_err();
    assert_eq!(error.to_string(), "stopped by a defect of offsite-agent: a defect; no archive was made");
    assert_eq!((engine.running(), Ledger::read(&config.state).unwrap()), (vec!["a".to_owned()], None));
    engine.refuses.lock().unwrap().insert("up a".into(), u32::MAX);
    // The hot pass is left in peace.
    let died = || {
        if engine.running().is_empty() {
            panic!("a defect")
        }
    };
    let error = run_with(&config, &engine, &WELL, false, &mut |_| died()).unwrap_err();
    assert!(matches!(&error, RunError::NotBack { after, .. } if matches!(**after, RunError::Defect(_))), "{error:?}");
}

#[test]
fn a_run_whose_budget_is_over_makes_an_archive_that_replaces_no_good_one() {
    let (dir, config) = place("    budget: 10m\n");
    let engine = Fake::new(&["a"]);
    let good = run_with(&config, &engine, &WELL, false, &mut |_| ()).unwrap();
    assert_eq!((good.end.complete, &good.degraded, good.kept), (true, &None, 1));
    // Changed while services are away, so that it is read then in any case.
    let file = dir.path().join("house/file");
    *engine.hook.lock().unwrap() = Some(Box::new(move |call| {
        if call == "down a" {
            std::fs::write(&file, "changed at the last moment").unwrap();
        }
    }));
    let before = engine.calls().len();
    let late = run_with(&config, &engine, &WELL, true, &mut |_| {
        // The disk hangs from when services are down until they are up again.
        while engine.calls()[before..].iter().any(|call| call == "down a") && engine.running().is_empty() {
            std::thread::yield_now();
        }
    });
    let late = late.unwrap();
    let reason = late.degraded.clone().unwrap();
    assert!(reason.contains("services may be away for 10 min"), "{reason}");
    assert!(!late.end.complete && late.end.warnings.contains(&reason), "{late:?}");
    // The good one stays, though only one is to be kept.
    assert_eq!((late.kept, late.forgotten.as_slice()), (2, [].as_slice()));
    assert!(matches!(late.event(), Event::Made { complete: false, degraded: Some(_), starting: Some(_), .. }));
    assert_eq!(engine.running(), ["a"]);
}

#[test]
fn without_a_way_to_ask_for_health_nothing_is_stopped() {
    let (dir, config) = place(&format!("    health: [https://a.home]\n    ca: {}\n", "/nowhere/ca.pem"));
    let engine = Fake::new(&["a"]);
    struct Cannot;
    impl Probe for Cannot {
        fn ask(&self, _: &crate::config::Url, _: Option<&std::path::Path>) -> Result<(), String> {
            Ok(())
        }
        fn ready(&self, ca: Option<&std::path::Path>) -> Result<String, String> {
            Err(format!("cannot read {}", ca.unwrap().display()))
        }
    }
    let error = night(&config, &engine, &Cannot, None, at(&Timestamp::now, &mut |_| ())).unwrap_err().to_string();
    assert_eq!(error, "nothing was stopped, because nobody could tell whether services come back well: cannot read /nowhere/ca.pem");
    assert!(engine.calls().is_empty());
    drop(dir);
}

/// As if all had been written an hour ago, so that file times count at once.
fn later() -> Timestamp {
    Timestamp::now() + jiff::SignedDuration::from_hours(1)
}

/// One run at that time; what the file times tell is relied on where the file system is one of those whose times count.
fn run_later(config: &Config, engine: &Fake, progress: &mut dyn FnMut(Progress<'_>)) -> Made {
    night(config, engine, &WELL, Some(Duration::ZERO), at(&later, progress)).unwrap()
}

/// Whether the times of this file system are relied on; if not, says that a part of the test is skipped.
fn times_count(path: &std::path::Path) -> bool {
    let kind = rustix::fs::statfs(path).unwrap().f_type as u64;
    let count = [0xef53, 0x5846_5342, 0x9123_683e].contains(&kind);
    if !count {
        let required = std::env::var_os("OFFSITE_LAB").is_some_and(|value| value == "require");
        assert!(!required, "OFFSITE_LAB=require, and nobody relies on the times of {}: set TMPDIR", path.display());
        eprintln!("part of this test is skipped: nobody relies on the times of this file system");
    }
    count
}

fn archive_of(config: &Config, made: &Made) -> std::path::PathBuf {
    config.repository.join(format!("archives/{}.tar.zst", made.archive))
}

#[test]
fn what_somebody_stops_while_services_run_and_files_are_read_stays_stopped() {
    let (_dir, config) = place("");
    let engine = Fake::new(&["a", "b"]);
    let made = run_later(&config, &engine, &mut |_| engine.somebody_stops("b"));
    assert_eq!(engine.calls(), ["down a", "up a"]);
    assert_eq!((engine.running(), made.end.quiesced.len(), made.died.len()), (vec!["a".to_owned()], 1, 0));
}

#[test]
fn what_is_unchanged_is_not_read_while_services_are_away_and_not_made_again() {
    let (dir, config) = place("");
    let engine = Fake::new(&["a"]);
    let large: Vec<u8> = (0..3_000_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(dir.path().join("house/large"), &large).unwrap();
    let first = run_later(&config, &engine, &mut |_| ());
    assert!(first.fresh > 0);
    let second = run_later(&config, &engine, &mut |_| ());
    assert_eq!((second.fresh, second.end.digest), (0, first.end.digest));
    if times_count(dir.path()) {
        assert_eq!((first.read, second.read), (0, 0));
    }
    // Without its cache a run reads, and makes nothing anew; with a damaged one it says so.
    let cache = config.state.join("cache/s");
    std::fs::remove_file(&cache).unwrap();
    assert_eq!(run_later(&config, &engine, &mut |_| ()).fresh, 0);
    std::fs::write(&cache, "no cache").unwrap();
    let told = run_later(&config, &engine, &mut |_| ());
    assert!(told.end.complete && told.end.warnings.iter().any(|text| text.contains("cache/s is damaged")), "{told:?}");
    assert_eq!(told.end.digest, first.end.digest);
}

#[test]
fn a_cache_from_before_a_boot_or_one_that_cannot_be_kept_costs_reading_only() {
    let (dir, config) = place("");
    let engine = Fake::new(&["a"]);
    std::fs::write(dir.path().join("house/large"), vec![7; 3_000_000]).unwrap();
    let first = run_later(&config, &engine, &mut |_| ());
    let cache = config.state.join("cache/s");
    let bytes = std::fs::read(&cache).unwrap();
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    assert!(std::str::from_utf8(&bytes[..line]).unwrap().starts_with("epoch "));
    // A power cut can keep what was written and lose the times that tell it: after a boot, everything is read.
    std::fs::write(&cache, [b"epoch of another boot", &bytes[line..]].concat()).unwrap();
    let second = run_later(&config, &engine, &mut |_| ());
    assert_eq!((second.end.digest, second.end.warnings.as_slice()), (first.end.digest, [].as_slice()));
    // A folder in its place can be neither read nor replaced.
    std::fs::remove_file(&cache).unwrap();
    std::fs::create_dir(&cache).unwrap();
    let third = run_later(&config, &engine, &mut |_| ());
    assert!(third.end.complete && third.end.warnings.iter().any(|text| text.contains("everything is read again")), "{third:?}");
    assert!(third.notes.iter().any(|text| text.contains("the next run reads everything")), "{third:?}");
    // Retention was done all the same.
    assert_eq!((third.kept, third.forgotten.len()), (1, 1));
}

#[test]
fn rot_in_the_archive_before_costs_a_second_downtime_and_nothing_else() {
    let (dir, config) = place("");
    let engine = Fake::new(&["a"]);
    std::fs::write(dir.path().join("house/large"), vec![7; 3_000_000]).unwrap();
    let first = run_later(&config, &engine, &mut |_| ());
    let file = archive_of(&config, &first);
    let mut bytes = std::fs::read(&file).unwrap();
    let whole = bytes.clone();
    bytes[40] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let before = engine.calls().len();
    let second = run_later(&config, &engine, &mut |_| ());
    assert_eq!(engine.calls()[before..], ["down a", "up a", "down a", "up a"]);
    assert!(
        second.end.complete && second.end.warnings.iter().any(|text| text.contains("what this disk gives back is damaged")),
        "{second:?}"
    );
    assert_eq!(second.end.digest, first.end.digest);
    let frames = second.end.bytes as usize;
    assert!(std::fs::read(archive_of(&config, &second)).unwrap()[..frames] == whole[..frames]);
}

#[test]
fn a_clock_that_went_back_proves_nothing() {
    let (_dir, config) = place("");
    let engine = Fake::new(&["a"]);
    run_later(&config, &engine, &mut |_| ());
    let made = run_with(&config, &engine, &WELL, false, &mut |_| ()).unwrap();
    assert!(made.end.warnings.iter().any(|text| text.contains("the clock went back")), "{made:?}");
}

/// Names in a folder of the repository.
fn names_in(config: &Config, folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(config.repository.join(folder)) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn in_packs_what_is_unchanged_is_neither_read_nor_written_in_two_passes() {
    let (dir, config) = place_of("packs", "");
    let engine = Fake::new(&["a"]);
    let large: Vec<u8> = (0..3_000_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(dir.path().join("house/large"), &large).unwrap();
    let first = run_later(&config, &engine, &mut |_| ());
    let packs = names_in(&config, "packs");
    assert!(first.fresh > 0 && !packs.is_empty() && names_in(&config, "archives").is_empty());
    let second = run_later(&config, &engine, &mut |_| ());
    assert_eq!((second.fresh, second.end.digest, second.end.bytes), (0, first.end.digest, first.end.bytes));
    assert_eq!((second.kept, second.forgotten.as_slice()), (1, [first.archive].as_slice()));
    assert_eq!((names_in(&config, "packs"), second.end.warnings.len(), second.notes.len()), (packs, 0, 0));
    if times_count(dir.path()) {
        assert_eq!((first.read, second.read), (0, 0));
    }
}

#[test]
fn in_packs_a_full_run_heals_rot_before_anything_is_stopped_and_in_one_downtime() {
    let (dir, config) = place_of("packs", "");
    let engine = Fake::new(&["a"]);
    std::fs::write(dir.path().join("house/large"), vec![7; 3_000_000]).unwrap();
    let first = run_later(&config, &engine, &mut |_| ());
    let pack = config.repository.join("packs").join(&names_in(&config, "packs")[0]);
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&pack, &bytes).unwrap();
    let before = engine.calls().len();
    let full = |cancel: Cancel, progress: &mut dyn FnMut(Progress<'_>)| {
        night(&config, &engine, &WELL, Some(Duration::ZERO), RunOptions { full: true, cancel, ..at(&later, progress) })
    };
    let second = full(Cancel::default(), &mut |_| assert_eq!(names_in(&config, "damaged").len(), 1)).unwrap();
    assert_eq!(engine.calls()[before..], ["down a", "up a"]);
    assert!(second.end.complete && second.end.warnings.iter().any(|text| text.contains("was damaged and set aside")), "{second:?}");
    assert_eq!(second.end.digest, first.end.digest);
    assert!(second.fresh > 0 && second.notes.is_empty(), "{second:?}");
    // Whoever wants to stop while packs are read is heard before anything is stopped.
    let cancel = Cancel::default();
    cancel.set();
    assert!(matches!(full(cancel, &mut |_| ()), Err(RunError::Stopped)));
}

#[test]
fn once_a_week_all_that_is_known_is_read_and_compared() {
    let (dir, mut config) = place("");
    std::fs::write(dir.path().join("house/large"), vec![7; 3 << 20]).unwrap();
    // In a single pass what is read is what is compared.
    let text =
        format!("repository: /r\nstate: /s\njobs:\n  s:\n    sources: [{}]\n    quiesce: none\n", dir.path().join("house").display());
    config.jobs = Config::parse(&dir.path().join("none.yaml"), &text).unwrap().jobs;
    let config = config;
    let name: JobName = "s".parse().unwrap();
    // As `run` does, at a time of our own.
    let night = |hours: i64| {
        let clock = || later() + jiff::SignedDuration::from_hours(hours);
        let made = night(&config, &Fake::new(&[]), &WELL, None, at(&clock, &mut |_| ())).unwrap();
        journal::append(&config.state, &Record { time: clock(), job: name.clone(), event: made.event() }).unwrap();
        made
    };
    let nights = [0, 24, 160, 184].map(night);
    assert_eq!(nights.each_ref().map(|made| made.full), [true, false, true, false]);
    assert!(nights.iter().all(|made| made.end.digest == nights[0].end.digest && made.end.warnings.is_empty()), "{nights:?}");
    if times_count(dir.path()) {
        assert_eq!(nights.map(|made| made.read > 3 << 20), [true, false, true, false]);
    }
}

#[test]
fn what_would_be_lost_is_told_and_that_nobody_knows_it_too() {
    let (_dir, config) = place("");
    let mut engine = Fake::new(&["a"]);
    engine.added = Some(vec!["/var/lib/app".into(), "/var/lib/app/settings.db".into()]);
    let made = run_later(&config, &engine, &mut |_| ());
    assert!(made.end.complete && made.end.warnings.len() == 1, "{made:?}");
    assert!(made.end.warnings[0].starts_with("service x of project a keeps files in its container, /var/lib/app/settings.db"), "{made:?}");
    engine.added = None;
    let made = run_later(&config, &engine, &mut |_| ());
    assert!(made.end.complete && made.end.warnings.len() == 1, "{made:?}");
    let says =
        "cannot see what containers keep, which down removes: the docker command's answer cannot be understood; its words are in the log";
    assert_eq!(made.end.warnings[0], says);
    // The same containers go on after a stop.
    let (_dir, config) = place("    quiesce: stop\n");
    assert_eq!(run_later(&config, &engine, &mut |_| ()).end.warnings, [""; 0]);
}
