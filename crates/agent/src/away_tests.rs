use std::{
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
};

use super::*;
use crate::{
    engine::Health,
    fake::{Answers, Fake, project},
    journal::{self, Event},
    quiesce::QuiesceError,
};

struct Place {
    dir: tempfile::TempDir,
    config: Config,
    name: JobName,
    /// What it was told does not come back.
    owed: Mutex<Vec<String>>,
}

impl Place {
    /// One job with `more` in it.
    fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("repository: /b\nstate: {}\njobs:\n  s:\n    sources: [/s]\n{more}", dir.path().display());
        let config = Config::parse(&dir.path().join("agent.yaml"), &text).unwrap();
        Self { dir, config, name: "s".parse().unwrap(), owed: Mutex::default() }
    }

    fn ledger(&self) -> Option<Ledger> {
        Ledger::read(self.dir.path()).unwrap()
    }

    fn events(&self) -> Vec<Event> {
        journal::read(self.dir.path()).unwrap().into_iter().map(|record| record.event).collect()
    }

    /// A window over `engine` in which all of the budget but `left` is kept for starting.
    fn with<T>(&self, engine: &Fake, probe: &Answers, left: Option<Duration>, act: impl FnOnce(&Window<'_>) -> T) -> T {
        let job = &self.config.jobs[&self.name];
        let margin = left.map_or(Duration::ZERO, |left| job.budget - left);
        let clock = || Timestamp::from_second(1_000_000).unwrap();
        let cancel = Cancel::default();
        let (config, name, started) = (&self.config, &self.name, Timestamp::UNIX_EPOCH);
        let owed = |not_back: &NotBack| self.owed.lock().unwrap().push(not_back.to_string());
        act(&Window { engine, probe, config, name, job, started, clock: &clock, cancel: &cancel, margin, owed: &owed })
    }
}

const WELL: Answers = Answers(Ok(()));

#[test]
fn stops_reads_and_brings_back_under_a_ledger_with_a_deadline() {
    let (place, engine) = (Place::new("    budget: 10m\n"), Fake::new(&["a", "b"]));
    let (stages, state) = (Arc::new(Mutex::new(Vec::new())), place.config.state.clone());
    let sees = stages.clone();
    *engine.hook.lock().unwrap() = Some(Box::new(move |_| sees.lock().unwrap().push(Ledger::read(&state).unwrap().unwrap().stage)));
    let back = place.with(&engine, &WELL, None, |window| {
        window.with(&[project("a"), project("b")], |late| {
            assert!(engine.running().is_empty() && !late.is_late());
            let ledger = place.ledger().unwrap();
            assert_eq!((ledger.stage, ledger.latest_by.map(Timestamp::as_second)), (Stage::Reading, Some(1_000_600)));
            Ok(())
        })
    });
    let back = back.unwrap();
    assert_eq!(engine.calls(), ["down a", "down b", "up b", "up a"]);
    // From before the first stop until after the last start.
    assert_eq!(*stages.lock().unwrap(), [Stage::Stopping, Stage::Stopping, Stage::Starting, Stage::Starting]);
    assert_eq!(back.quiesced.iter().map(|quiesced| quiesced.project.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(back.late.is_none() && back.unhealthy.is_empty() && back.warnings.is_empty() && back.starting.is_some());
    assert_eq!((place.ledger(), place.events()), (None, Vec::new()));
}

#[test]
fn stop_is_stop_and_not_down() {
    let (place, engine) = (Place::new("    quiesce: stop\n"), Fake::new(&["a"]));
    place.with(&engine, &WELL, None, |window| window.with(&[project("a")], |_| Ok(()))).unwrap();
    assert_eq!(engine.calls(), ["stop a", "up a"]);
}

#[test]
fn when_the_budget_is_over_services_come_back_though_the_reader_hangs() {
    let (place, engine) = (Place::new("    budget: 10m\n"), Fake::new(&["a"]));
    let (up, came_up) = mpsc::channel();
    *engine.hook.lock().unwrap() = Some(Box::new(move |call| {
        if call == "up a" {
            up.send(()).unwrap();
        }
    }));
    // All of the budget is kept for starting, so the reader has no time at all.
    let back = place.with(&engine, &WELL, Some(Duration::ZERO), |window| {
        window.with(&[project("a")], |late| {
            // Hangs until services are up, as a read from a disk that has gone would for ever.
            came_up.recv().unwrap();
            assert!(late.is_late());
            assert_eq!(engine.running(), ["a"]);
            while place.ledger().is_some() {
                std::thread::yield_now();
            }
            Ok(())
        })
    });
    let back = back.unwrap();
    assert_eq!(
        back.late.as_deref(),
        Some("services may be away for 10 min, so they came back before all was read: the rest was read while they ran")
    );
    assert_eq!(engine.calls(), ["down a", "up a"]);
    assert_eq!(place.ledger(), None);
}

#[test]
fn an_error_and_a_panic_come_after_the_services() {
    for hang in [false, true] {
        let (place, engine) = (Place::new(""), Fake::new(&["a"]));
        let left = hang.then_some(Duration::ZERO);
        let wait = |late: &Late| {
            while hang && !late.is_late() {
                std::thread::yield_now();
            }
        };
        let error = place.with(&engine, &WELL, left, |window| {
            window.with(&[project("a")], |late| {
                wait(late);
                Err(RunError::Stopped)
            })
        });
        assert!(matches!(error, Err(RunError::Stopped)), "{error:?}");
        assert_eq!((engine.running(), place.ledger()), (vec!["a".to_owned()], None));
        let panic = place.with(&engine, &WELL, left, |window| {
            window.with(&[project("a")], |late| {
                wait(late);
                panic!("a defect")
            })
        });
        assert!(matches!(&panic, Err(RunError::Defect(said)) if said == "a defect of offsite-agent: a defect"), "{panic:?}");
        assert_eq!((engine.running(), place.ledger()), (vec!["a".to_owned()], None));
    }
}

#[test]
fn a_defect_on_the_way_back_leaves_no_service_down() {
    let (place, engine) = (Place::new(""), Fake::new(&[]));
    place.with(&engine, &WELL, None, |window| {
        let mut ledger = window.ledger(&[project("a"), project("b")], window.started);
        ledger.write(&place.config.state).unwrap();
        let way = Way { engine: &engine, probe: &WELL, state: &place.config.state };
        // Before anything was started.
        let not_back = come_back(&way, &mut ledger, false, window.cancel, &|| panic!("no clock")).unwrap_err();
        assert!(not_back.to_string().contains("a defect of offsite-agent: no clock"), "{not_back}");
    });
    assert_eq!(engine.running(), ["a", "b"]);
    // Nobody has seen that they are well.
    assert!(place.ledger().is_some());
}

#[test]
fn the_first_start_has_the_rest_of_the_budget_and_the_second_all_the_time_it_needs() {
    let (place, engine) = (Place::new("    budget: 10m\n"), Fake::new(&[]));
    engine.refuses.lock().unwrap().insert("up a".into(), 1);
    place.with(&engine, &WELL, None, |window| {
        let mut ledger = window.ledger(&[project("a")], window.started);
        let way = Way { engine: &engine, probe: &WELL, state: &place.config.state };
        come_back(&way, &mut ledger, false, window.cancel, &|| Timestamp::from_second(480).unwrap()).unwrap();
    });
    assert_eq!(*engine.limits.lock().unwrap(), [Duration::from_secs(120), Duration::MAX]);
}

#[test]
fn what_does_not_come_back_is_owed_and_no_other_is_stopped() {
    let (place, engine) = (Place::new("    scope: each\n"), Fake::new(&["a", "b"]));
    engine.refuses.lock().unwrap().insert("up a".into(), u32::MAX);
    let mut read = 0;
    let back = place.with(&engine, &WELL, None, |window| {
        window.each(&[step("a"), step("b")], |_, _| {
            read += 1;
            Ok(())
        })
    });
    assert!(back.unwrap().owed);
    assert_eq!((read, engine.running()), (2, vec!["b".to_owned()]));
    assert_eq!(place.ledger().unwrap().projects, [project("a")]);
    // Also where nothing was read.
    engine.somebody_starts("a");
    let error = place.with(&engine, &WELL, None, |window| window.with(&[project("a")], |_| Err(RunError::Stopped)));
    assert!(matches!(error, Err(RunError::Stopped)), "{error:?}");
    let told = place.owed.into_inner().unwrap();
    assert_eq!(told.len(), 2);
    assert!(told[1].starts_with("services did not come back:\n  - "), "{told:?}");
}

#[test]
fn stopping_that_uses_up_the_budget_fails_and_services_are_back() {
    let place = Place::new("    budget: 1s\n");
    let mut engine = Fake::new(&["a", "b"]);
    engine.hangs.insert("down b".into());
    let error = place.with(&engine, &WELL, None, |window| window.with(&[project("a"), project("b")], |_| panic!("nothing is to be read")));
    let error = error.unwrap_err();
    assert!(matches!(error, RunError::Quiesce(QuiesceError::Budget { .. })), "{error:?}");
    assert!(error.to_string().starts_with("stopping took longer than services may be away (1 s)"), "{error}");
    assert_eq!((engine.running(), place.ledger()), (vec!["a".to_owned(), "b".to_owned()], None));
}

#[test]
fn a_stop_that_was_cut_short_may_end_what_was_just_started() {
    let (place, engine) = (Place::new(""), Fake::new(&["a"]));
    place.with(&engine, &WELL, None, |window| {
        let mut ledger = window.ledger(&[project("a")], window.started);
        let way = Way { engine: &engine, probe: &WELL, state: &place.config.state };
        let (seen, state) = (Arc::new(Mutex::new(Vec::new())), place.config.state.clone());
        let (sees, ending) = (seen.clone(), engine.ending.clone());
        *engine.hook.lock().unwrap() = Some(Box::new(move |_| {
            let mut sees = sees.lock().unwrap();
            if sees.is_empty() {
                // Seen running, and then the engine ends it: its stop was still under way.
                ending.lock().unwrap().push("a".to_owned());
            }
            sees.push(Ledger::read(&state).unwrap().unwrap());
        }));
        come_back(&way, &mut ledger, true, window.cancel, window.clock).unwrap();
        // Whoever comes after a kill in the middle of this has to look again too; and while it lasts, nobody takes us for hung.
        let seen = seen.lock().unwrap();
        assert!(seen.len() >= 2 && seen.iter().all(|ledger| ledger.cut && ledger.stage == Stage::Starting), "{seen:?}");
        assert!(seen[1].latest_by > window.started.checked_add(SignedDuration::from_secs(1_000_000)).ok(), "{seen:?}");
    });
    // The last one is to be sure.
    assert_eq!(engine.calls(), ["up a", "up a", "up a"]);
    assert_eq!((engine.running(), place.ledger()), (vec!["a".to_owned()], None));
}

#[test]
fn a_docker_command_that_died_may_have_begun_a_stop() {
    let (place, engine) = (Place::new(""), Fake::new(&["a"]));
    engine.refuses.lock().unwrap().insert("down a".into(), u32::MAX);
    let (cut, state) = (Arc::new(Mutex::new(Vec::new())), place.config.state.clone());
    let sees = cut.clone();
    *engine.hook.lock().unwrap() = Some(Box::new(move |_| sees.lock().unwrap().push(Ledger::read(&state).unwrap().unwrap().cut)));
    let error = place.with(&engine, &WELL, None, |window| window.with(&[project("a")], |_| panic!("nothing is to be read")));
    assert!(matches!(error, Err(RunError::Quiesce(QuiesceError::Engine(_)))), "{error:?}");
    assert_eq!(*cut.lock().unwrap(), [true, true]);
    assert_eq!((engine.running(), place.ledger()), (vec!["a".to_owned()], None));
}

#[test]
fn where_nothing_runs_nothing_is_being_stopped() {
    let (place, engine) = (Place::new(""), Fake::new(&[]));
    place.with(&engine, &WELL, None, |window| {
        let mut ledger = window.ledger(&[project("a")], window.started);
        let way = Way { engine: &engine, probe: &WELL, state: &place.config.state };
        come_back(&way, &mut ledger, true, window.cancel, window.clock).unwrap();
    });
    assert_eq!((engine.calls(), place.ledger()), (vec!["up a".to_owned()], None));
}

#[test]
fn while_a_stop_that_was_cut_short_may_go_on_nothing_is_forgotten() {
    let (place, engine) = (Place::new(""), Fake::new(&["a", "b"]));
    engine.somebody_stops("b");
    engine.refuses.lock().unwrap().insert("up b".into(), u32::MAX);
    place.with(&engine, &WELL, None, |window| {
        let mut ledger = window.ledger(&[project("a"), project("b")], window.started);
        let way = Way { engine: &engine, probe: &WELL, state: &place.config.state };
        come_back(&way, &mut ledger, true, window.cancel, window.clock).unwrap_err();
    });
    let left = place.ledger().unwrap();
    assert_eq!((left.cut, left.stage, left.projects.len()), (true, Stage::Starting, 2));
}

#[test]
fn an_engine_that_does_not_answer_is_asked_again_while_the_reader_goes_on() {
    let (place, engine) = (Place::new("    budget: 10m\n"), Fake::new(&["a"]));
    // More often than one return tries.
    engine.refuses.lock().unwrap().insert("up a".into(), 4);
    let back = place.with(&engine, &WELL, Some(Duration::ZERO), |window| {
        window.with(&[project("a")], |_| {
            // Reads on for as long as services are away.
            while place.ledger().is_some() {
                std::thread::yield_now();
            }
            Ok(())
        })
    });
    assert!(back.unwrap().late.is_some());
    assert_eq!((engine.running(), place.ledger()), (vec!["a".to_owned()], None));
}

#[test]
fn what_stopped_all_the_same_has_stopped() {
    let place = Place::new("");
    let mut engine = Fake::new(&["a"]);
    engine.fails.insert("down a".into());
    let back = place.with(&engine, &WELL, None, |window| window.with(&[project("a")], |_| Ok(()))).unwrap();
    assert_eq!(back.warnings.len(), 1, "{back:?}");
    assert!(back.warnings[0].contains("network has active endpoints"), "{back:?}");
}

#[test]
fn nothing_is_read_while_something_runs_on() {
    let (place, engine) = (Place::new(""), Arc::new(Fake::new(&["a"])));
    // Its restart policy is quicker than we are.
    let again = Arc::downgrade(&engine);
    *engine.hook.lock().unwrap() = Some(Box::new(move |_| again.upgrade().unwrap().somebody_starts("a")));
    let error = place.with(&engine, &WELL, None, |window| window.with(&[project("a")], |_| panic!("nothing is to be read")));
    assert!(matches!(&error, Err(RunError::Quiesce(QuiesceError::StillRunning(names))) if *names == ["a-x-1"]), "{error:?}");
    assert_eq!((engine.calls(), place.ledger()), (vec!["down a".to_owned(), "up a".to_owned()], None));
}

#[test]
fn what_is_not_well_is_in_the_journal_before_the_ledger_is_gone() {
    let place = Place::new("    health_wait: 1s\n");
    let engine = Fake::new(&["a"]);
    *engine.health.lock().unwrap() = vec![Health::Starting, Health::Unhealthy];
    let back = place.with(&engine, &WELL, None, |window| window.with(&[project("a")], |_| Ok(()))).unwrap();
    let said = vec!["container a-x-1 of project a is unhealthy".to_owned()];
    assert_eq!((back.unhealthy.as_slice(), place.ledger()), (said.as_slice(), None));
    assert_eq!(place.events(), [Event::Unhealthy { services: said }]);
}

#[test]
fn health_is_awaited_under_the_ledger_with_a_later_deadline() {
    let place = Place::new("    health: [https://a.home]\n    health_wait: 5m\n");
    struct Looks<'a>(&'a Place, std::sync::Mutex<Vec<Ledger>>);
    impl Probe for Looks<'_> {
        fn ask(&self, _: &crate::config::Url, _: Option<&std::path::Path>) -> Result<(), String> {
            self.1.lock().unwrap().push(self.0.ledger().unwrap());
            Ok(())
        }
        fn ready(&self, _: Option<&std::path::Path>) -> Result<String, String> {
            Ok("looks".into())
        }
    }
    let (engine, probe) = (Fake::new(&["a"]), Looks(&place, std::sync::Mutex::default()));
    *engine.health.lock().unwrap() = vec![Health::Starting, Health::Starting, Health::Healthy];
    let job = &place.config.jobs[&place.name];
    let (clock, cancel) = (|| Timestamp::from_second(1_000_000).unwrap(), Cancel::default());
    let window = Window {
        engine: &engine,
        probe: &probe,
        config: &place.config,
        name: &place.name,
        job,
        started: Timestamp::UNIX_EPOCH,
        clock: &clock,
        cancel: &cancel,
        margin: Duration::ZERO,
        owed: &|_| panic!("all of it comes back"),
    };
    let back = window.with(&[project("a")], |_| Ok(())).unwrap();
    assert!(back.unhealthy.is_empty(), "{back:?}");
    let seen = probe.1.into_inner().unwrap();
    // Asked only once all health checks are good.
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].stage, Stage::Checking);
    assert!(seen[0].latest_by.unwrap().as_second() >= 1_000_360, "{seen:?}");
    assert_eq!(place.ledger(), None);
}

#[test]
fn after_one_that_is_not_well_no_other_is_stopped() {
    let place = Place::new("    scope: each\n    health: [https://a.home]\n    health_wait: 1s\n");
    let (engine, sick) = (Fake::new(&["a", "b"]), Answers(Err("https://a.home answers with 502".into())));
    let mut read = Vec::new();
    let back = place.with(&engine, &sick, None, |window| {
        window.each(&[step("a"), step("b")], |_, roots| {
            read.push((roots[0].path.clone(), engine.running()));
            Ok(())
        })
    });
    let back = back.unwrap();
    assert_eq!(engine.calls(), ["down a", "up a"]);
    assert_eq!(read, [("/s/a".into(), vec!["b".to_owned()]), ("/s/b".into(), vec!["a".to_owned(), "b".to_owned()])]);
    assert_eq!(back.unhealthy, ["https://a.home answers with 502"]);
    assert_eq!(back.warnings, ["b went on running while it was read, because others did not come back well"]);
}

fn step(name: &str) -> Group {
    Group {
        projects: vec![project(name)],
        roots: vec![Root { source: "/s".into(), path: PathBuf::from("/s").join(name), exclude: Vec::new() }],
    }
}

#[test]
fn what_somebody_else_starts_while_files_are_read_spoils_the_archive() {
    let late = |more: &str, steps: &[Group], starts: &str| {
        let (place, engine) = (Place::new(more), Fake::new(&["a", "b"]));
        let back = place.with(&engine, &WELL, None, |window| {
            window.each(steps, |_, _| {
                engine.somebody_starts(starts);
                Ok(())
            })
        });
        assert_eq!(place.ledger(), None);
        back.unwrap().late
    };
    let said =
        |name: &str| Some(format!("somebody started services while files were read, so this archive replaces no good one: {name}-x-1"));
    let both = [Group { projects: vec![project("a"), project("b")], ..step("a") }];
    assert_eq!(late("", &both, "b"), said("b"));
    // One that was down when all was planned, and one that was stopped in this step; another one may run on.
    assert_eq!(late("", &both, "c"), said("c"));
    assert_eq!(late("    scope: each\n", &[step("a")], "a"), said("a"));
    assert_eq!(late("    scope: each\n", &[step("a")], "b"), None);
    // Nothing was stopped at all.
    let nothing = [Group { projects: Vec::new(), ..step("a") }];
    assert_eq!(late("    scope: each\n", &nothing, "c"), said("c"));
    assert_eq!(late("    quiesce: none\n", &nothing, "c"), None);
}
