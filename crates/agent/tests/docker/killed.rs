//! Killed, signalled and overtaken: the ledger brings back what ran.

use super::*;

/// Runs the agent so that it is killed, with no chance to do anything about it, and brings back what it left.
fn killed_then_resumed(lab: &Lab, mut run: Command, at: &str) -> Option<String> {
    let killed: Said = run.output().unwrap().into();
    assert_eq!(killed.code, None, "{at}: {killed:?}");
    let ledger = fs::read(lab.ledger()).ok().map(|text| serde_json::from_slice::<serde_json::Value>(&text).unwrap());
    let stage = ledger.map(|ledger| ledger["stage"].as_str().unwrap().to_owned());
    drop(fs::remove_file(lab.path("at")));
    let said = lab.agent(&["resume"]).ended(0);
    assert_eq!(said.out.starts_with("brought back what a run of services left stopped"), stage.is_some(), "{at}: {said:?}");
    assert_eq!(lab.running(), HOME, "{at}");
    assert!(!lab.ledger().exists());
    assert_eq!(lab.agent(&["resume"]).ended(0).out, "nothing is owed\n");
    assert_eq!(lab.archives(), [""; 0], "{at}");
    stage
}

#[test]
fn a_kill_before_or_after_any_docker_command_leaves_what_resume_needs() {
    let Some(mut lab) = Lab::real() else { return };
    // The docker command kills the agent that called it: before or after doing what it was asked, or half-way through.
    let docker = lab.wrap_docker(&format!(
        "home={}
case \"$(cat {} 2>/dev/null)\" in
\"before $call\") kill -KILL $PPID; exit 1;;
\"after $call\") docker \"$@\"; kill -KILL $PPID; exit 1;;
\"during $call\") [ $call = up ] && docker \"$@\"; docker rm --force $home-web-1 >/dev/null; docker kill $home-db-1 >/dev/null; kill -KILL $PPID; exit 1;;
esac",
        lab.project_name("home"),
        lab.path("at").display()
    ));
    lab.set_up("down", &docker);
    home(&mut lab);
    for (at, stage) in [
        ("before down", "stopping"),
        ("during down", "stopping"),
        ("after down", "stopping"),
        ("before up", "starting"),
        ("during up", "starting"),
        ("after up", "starting"),
    ] {
        lab.write("at", at);
        let mut run = lab.command();
        run.args(["run", "services"]);
        assert_eq!(killed_then_resumed(&lab, run, at).as_deref(), Some(stage));
    }
    // And a run after a kill brings back first, then does its own work.
    lab.write("at", "before up");
    assert_eq!(lab.agent(&["run", "services"]).code, None);
    fs::remove_file(lab.path("at")).unwrap();
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!(lab.running(), HOME);
    assert_eq!(lab.archives().len(), 1);
    assert_eq!(lab.events().iter().filter(|event| *event == "resumed").count(), 7);
}

#[test]
fn resume_leaves_a_living_run_alone_and_outwaits_a_dead_one_s_docker() {
    let Some(mut lab) = Lab::real() else { return };
    // Each `down` says that it began, and goes on when it is told to.
    let (here, go) = (lab.path("here"), lab.path("go"));
    let docker = lab.wrap_docker(&format!("[ $call = down ] && {{ echo >{}; cat {} >/dev/null; }}", here.display(), go.display()));
    let said: Said = Command::new("mkfifo").arg(&go).output().unwrap().into();
    said.ended(0);
    lab.set_up("down", &docker);
    home(&mut lab);
    let begin = || {
        drop(fs::remove_file(&here));
        let mut run = lab.command().args(["run", "services"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("down begins", || {
            assert!(run.try_wait().unwrap().is_none(), "the run ended early");
            here.exists()
        });
        run
    };
    let run = begin();
    for arguments in [&["run", "services"][..], &["resume"], &["resume", "--forget"]] {
        let said = lab.agent(arguments).ended(4);
        assert!(said.err.contains("another offsite-agent is at work: run of services, process "), "{said:?}");
    }
    fs::write(&go, "").unwrap();
    Said::from(run.wait_with_output().unwrap()).ended(0);
    assert_eq!(lab.running(), HOME);

    let mut run = begin();
    run.kill().unwrap();
    run.wait().unwrap();
    // The agent is dead, but its `down` is still going to stop everything: it holds the lock.
    lab.agent(&["resume"]).ended(4);
    let resume = lab.command().args(["resume", "--wait"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    fs::write(&go, "").unwrap();
    Said::from(resume.wait_with_output().unwrap()).ended(0);
    assert_eq!(lab.running(), HOME);
}

#[test]
fn a_signal_brings_services_back_and_leaves_no_archive() {
    let Some(mut lab) = Lab::real() else { return };
    let docker = lab.wrap_docker("[ $call = down ] && kill -TERM $PPID");
    lab.set_up("down", &docker);
    home(&mut lab);
    let before = lab.listing("repository");
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("stopped by a signal; no archive was made"), "{said:?}");
    assert_eq!(lab.running(), HOME);
    assert!(!lab.ledger().exists());
    assert_eq!(lab.listing("repository"), before);
    assert_eq!(lab.events(), ["failed"]);
}

#[test]
fn a_stop_that_outlives_agent_and_docker_command_takes_nothing_down_for_good() {
    let Some(mut lab) = Lab::real() else { return };
    let log = lab.path("services/p/data/log");
    // As when a whole cgroup is killed: while the engine gives the service its grace, agent, docker command and its plugin die.
    let docker = lab.wrap_docker(&format!(
        "if [ $call = down ] && [ -e {at} ]; then
rm {at}
agent=$PPID
docker \"$@\" &
until grep -q asked {log}; do sleep 0.1; done
kill -KILL $agent
kill -KILL 0
fi",
        at = lab.path("at").display(),
        log = log.display()
    ));
    lab.set_up("down", &docker);
    // Says when it starts and when it is asked to end, and does not end.
    let service = "trap 'echo asked >>/data/log' TERM; echo started >>/data/log; while :; do sleep 1; done";
    lab.project(
        "p",
        &format!(
            "services:\n  x:\n    image: IMAGE\n    pull_policy: never\n    command: [sh, -c, \"{service}\"]\n    stop_grace_period: 3s\n    volumes: ['./data:/data']\n"
        ),
    );
    lab.compose("p", &["up", "--detach"]);
    until("the service starts", || fs::read_to_string(&log).unwrap_or_default().contains("started"));
    lab.write("at", "");
    assert_eq!(lab.agent(&["run", "services"]).code, None);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&fs::read(lab.ledger()).unwrap()).unwrap()["stage"], "stopping");
    lab.agent(&["resume", "--wait"]).ended(0);
    // What ran at first was ended by the engine, and another has been started since.
    assert_eq!(lab.running(), ["x"]);
    assert_eq!(fs::read_to_string(&log).unwrap().lines().filter(|line| *line == "started").count(), 2);
    assert!(!lab.ledger().exists());
}
