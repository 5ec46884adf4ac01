//! Stories with a real engine and real compose projects: what ran before a run runs after it, whatever happens in between.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared by several test programs")]
mod lab;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use lab::{Lab, Said, has_docker, skip};

/// A service that notes a clean stop in its data, and removes the note while it runs.
const WRITER: &str =
    "trap 'echo clean >/data/stopped; exit 0' TERM; rm -f /data/stopped; echo started >>/data/starts; while :; do sleep 0.1; done";

/// A home: a scaled service that needs a database of a profile, and one that was stopped.
fn home(lab: &mut Lab) -> String {
    let compose = format!(
        "services:
  web:
    image: IMAGE
    pull_policy: never
    command: [sleep, '10000']
    stop_grace_period: 0s
    depends_on: [db]
  db:
    image: IMAGE
    pull_policy: never
    profiles: [data]
    command: [sh, -c, \"{}\"]
    volumes: ['./data:/data', 'named:/named']
  off:
    image: IMAGE
    pull_policy: never
    command: [sleep, '10000']
    stop_grace_period: 0s
volumes:
  named: {{}}
",
        WRITER.replace('$', "$$")
    );
    let name = lab.project("home", &compose);
    fs::create_dir(lab.path("services/home/data")).unwrap();
    lab.compose("home", &["up", "--detach", "--scale", "web=2"]);
    lab.compose("home", &["stop", "off"]);
    // Only when the writer has its trap is a stop a clean one.
    started(&lab.path("services/home/data/starts"), 1);
    name
}

/// Waits until the writer has begun for the `times`th time.
fn started(starts: &Path, times: usize) {
    poll(|| fs::read_to_string(starts).map_or(0, |text| text.lines().count()) >= times);
}

fn poll(mut done: impl FnMut() -> bool) {
    while !done() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// What of the home runs: the numbers of containers are the engine's business.
const HOME: [&str; 3] = ["db", "web", "web"];

/// Containers by id: the same ids mean that nothing was stopped.
fn ids(lab: &Lab) -> Vec<String> {
    lab.containers("{{.Names}} {{.ID}} {{.State}}")
}

fn ready(docker: &str) -> Lab {
    let lab = Lab::new();
    lab.configure("down", docker);
    lab.agent(&["init"]).ended(0);
    lab
}

#[test]
fn exactly_what_ran_is_back_and_the_archive_was_taken_while_nothing_wrote() {
    if !has_docker() {
        return;
    }
    let mut lab = ready("");
    let name = home(&mut lab);
    let before = ids(&lab);
    let said = lab.agent(&["run", "services"]).ended(0);
    assert!(said.out.contains(&format!("away: {name} ")), "{said:?}");
    assert_eq!(lab.running(), HOME);
    assert!(before.iter().all(|line| !ids(&lab).contains(line)), "a full down makes new containers");
    assert!(!lab.ledger().exists());
    let archive = lab.archives().remove(0);
    let data = lab.unpack(&archive).join("home/data");
    assert_eq!(fs::read_to_string(data.join("stopped")).unwrap(), "clean\n");
    assert_eq!(fs::read_to_string(data.join("starts")).unwrap(), "started\n");
    started(&lab.path("services/home/data/starts"), 2);
    let list = lab.agent(&["archives", "--json"]).ended(0).out;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&list[0]["quiesced"][0]["project"], &list[0]["complete"]), (&name.into(), &true.into()));
    assert!(list[0]["quiesced"][0]["seconds"].as_f64().unwrap() > 0.0);
    // Above all that nothing comes back changed.
    assert_eq!(list[0]["warnings"], serde_json::json!([]));
}

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
    if !has_docker() {
        return;
    }
    let mut lab = Lab::new();
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
    lab.configure("down", &docker);
    lab.agent(&["init"]).ended(0);
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
fn a_kill_right_before_each_step_of_the_ledger_leaves_what_resume_needs() {
    if !has_docker() {
        return;
    }
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|output| output.status.success()) {
        skip("nothing can be traced with strace here");
        return;
    }
    let mut lab = ready("");
    home(&mut lab);
    // Its stages are put in place by renames, and it is removed at the end: the agent dies at the beginning of the step that is meant.
    let steps = [
        ("rename,renameat,renameat2", "ledger.new", 1),
        ("rename,renameat,renameat2", "ledger.new", 2),
        ("rename,renameat,renameat2", "ledger.new", 3),
        ("unlink,unlinkat", "ledger.json", 1),
    ];
    let stages = steps.map(|(calls, file, number)| {
        let agent = lab.command();
        let mut run = Command::new("strace");
        run.args([
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={calls}"),
            "-e",
            &format!("inject={calls}:signal=KILL:when={number}"),
            "-P",
        ]);
        run.arg(lab.path("state").join(file)).arg(agent.get_program()).args(agent.get_args()).args(["run", "services"]);
        killed_then_resumed(&lab, run, &format!("{calls} {number}")).unwrap_or_default()
    });
    assert_eq!(stages, ["", "stopping", "reading", "starting"]);
}

#[test]
fn resume_leaves_a_living_run_alone_and_outwaits_a_dead_one_s_docker() {
    if !has_docker() {
        return;
    }
    let mut lab = Lab::new();
    // Each `down` says that it began, and goes on when it is told to.
    let (here, go) = (lab.path("here"), lab.path("go"));
    let docker = lab.wrap_docker(&format!("[ $call = down ] && {{ echo >{}; cat {} >/dev/null; }}", here.display(), go.display()));
    let said: Said = Command::new("mkfifo").arg(&go).output().unwrap().into();
    said.ended(0);
    lab.configure("down", &docker);
    lab.agent(&["init"]).ended(0);
    home(&mut lab);
    let begin = || {
        drop(fs::remove_file(&here));
        let mut run = lab.command().args(["run", "services"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        poll(|| {
            assert!(run.try_wait().unwrap().is_none(), "the run ended early");
            here.exists()
        });
        run
    };
    let run = begin();
    let said = lab.agent(&["resume"]).ended(4);
    assert!(said.err.contains("another offsite-agent is at work: run of services"), "{said:?}");
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
    if !has_docker() {
        return;
    }
    let mut lab = Lab::new();
    let docker = lab.wrap_docker("[ $call = down ] && kill -TERM $PPID");
    lab.configure("down", &docker);
    lab.agent(&["init"]).ended(0);
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
fn what_could_not_be_brought_back_is_not_stopped() {
    if !has_docker() {
        return;
    }
    let mut lab = ready("");
    let service = "    image: IMAGE\n    pull_policy: never\n    command: [sleep, '10000']\n    stop_grace_period: 0s\n";
    lab.project("p", &format!("services:\n  x:\n{service}    volumes: [/lost]\n  gone:\n{service}  frozen:\n{service}"));
    lab.compose("p", &["up", "--detach"]);
    lab.compose("p", &["pause", "frozen"]);
    lab.compose("p", &["run", "--detach", "gone"]);
    let file = lab.path("services/p/compose.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("  gone:\n", "  other:\n")).unwrap();
    let before = ids(&lab);
    let said = lab.agent(&["run", "services"]).ended(1);
    for reason in [
        "keeps /lost in a volume without a name",
        "was made by `docker compose run`",
        "is paused",
        "no longer defines it",
        "nothing was stopped",
    ] {
        assert!(said.err.contains(reason), "{reason}: {said:?}");
    }
    let checked = lab.agent(&["check"]).ended(1);
    assert!(checked.out.contains("BAD      job services: container"), "{checked:?}");
    fs::write(&file, "services: [").unwrap();
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("are not usable"), "{said:?}");
    assert_eq!(ids(&lab), before);
    assert!(!lab.ledger().exists());
    assert_eq!(lab.archives(), [""; 0]);
    fs::write(&file, text).unwrap();
}

#[test]
fn a_missing_source_or_a_full_state_folder_stops_nothing() {
    if !has_docker() {
        return;
    }
    let mut lab = ready("");
    home(&mut lab);
    let before = ids(&lab);
    let text = fs::read_to_string(lab.path("agent.yaml")).unwrap();
    lab.write("agent.yaml", &text.replace("/services]", "/services, /nowhere/at/all]"));
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("cannot read source /nowhere/at/all"), "{said:?}");
    lab.write("agent.yaml", &text);
    // The ledger cannot be written: a folder is in its way.
    fs::create_dir_all(lab.path("state/ledger.new")).unwrap();
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("cannot create") && said.err.contains("ledger.new"), "{said:?}");
    assert_eq!(ids(&lab), before);
}

#[test]
fn projects_that_need_each_other_come_back_in_any_order() {
    if !has_docker() {
        return;
    }
    let mut lab = ready("");
    let service = "    image: IMAGE\n    pull_policy: never\n    command: [sleep, '10000']\n    stop_grace_period: 0s\n";
    // Each of a and c needs the network that b owns, so neither order of names is the right one.
    let shared = format!("{}-shared", lab.project_name("b"));
    let owner = format!("services:\n  proxy:\n{service}    networks: [shared]\nnetworks: {{shared: {{name: {shared}}}}}\n");
    let user = format!("services:\n  app:\n{service}    networks: [shared]\nnetworks: {{shared: {{name: {shared}, external: true}}}}\n");
    lab.project("a", &user);
    lab.project("c", &user);
    lab.project("b", &owner);
    for name in ["b", "a", "c"] {
        lab.compose(name, &["up", "--detach"]);
    }
    let before = lab.running();
    assert_eq!(before.len(), 3);
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!(lab.running(), before);
}

#[test]
fn services_that_do_not_come_back_stay_in_the_ledger_until_they_do() {
    if !has_docker() {
        return;
    }
    let mut lab = Lab::new();
    let docker = lab.wrap_docker(&format!(
        "if [ $call = up ] && [ -e {} ]; then echo 'no space left for containers' >&2; exit 1; fi",
        lab.path("broken").display()
    ));
    lab.configure("down", &docker);
    lab.agent(&["init"]).ended(0);
    home(&mut lab);
    lab.write("broken", "");
    let said = lab.agent(&["run", "services"]).ended(1);
    for part in [
        "services did not come back",
        "no space left for containers",
        "service web of project",
        "runs 0 of 2",
        "next: repair what docker compose complains of",
    ] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    assert!(lab.ledger().exists());
    assert_eq!(lab.archives(), [""; 0]);
    let checked = lab.agent(&["check"]).ended(1);
    assert!(checked.out.contains("left stopped"), "{checked:?}");
    fs::remove_file(lab.path("broken")).unwrap();
    lab.agent(&["resume"]).ended(0);
    assert_eq!(lab.running(), HOME);
}

#[test]
fn a_service_that_ends_after_it_was_back_fails_the_run_but_not_the_archive() {
    if !has_docker() {
        return;
    }
    let mut lab = Lab::new();
    // The first list after the archive was published is the second look: by then somebody has stopped a service.
    let (archives, victim) = (lab.path("repository/archives"), lab.path("victim"));
    let published = format!("[ -n \"$(find {} -name '*.tar.zst')\" ]", archives.display());
    let docker = lab.wrap_docker(&format!("[ $call = ls ] && {published} && docker kill $(cat {}) >/dev/null", victim.display()));
    lab.configure("down", &docker);
    lab.agent(&["init"]).ended(0);
    let name = home(&mut lab);
    lab.write("victim", &format!("{name}-web-2"));
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(
        said.err.contains(&format!("it was back, and then it ended: service web of project {name} runs 1 of 2 containers")),
        "{said:?}"
    );
    assert_eq!(lab.archives().len(), 1);
}

#[test]
fn check_tells_what_would_be_stopped_and_what_nobody_archives() {
    if !has_docker() {
        return;
    }
    let mut lab = ready("");
    let name = home(&mut lab);
    let said = lab.agent(&["check"]).ended(0);
    assert!(said.out.contains(&format!("stops and brings back project {name}: db, web\n")), "{said:?}");
    assert!(
        said.out.contains(&format!("service db of project {name} writes to volume {name}_named, which is in no job's sources")),
        "{said:?}"
    );
    let found: serde_json::Value = serde_json::from_str(&lab.agent(&["check", "--json"]).ended(0).out).unwrap();
    assert!(found.as_array().unwrap().iter().all(|finding| finding["level"] != "bad"));
}

#[test]
fn a_job_that_stops_nothing_leaves_services_alone() {
    if !has_docker() {
        return;
    }
    let mut lab = Lab::new();
    lab.configure("none", "docker: /nowhere/docker\n");
    lab.agent(&["init"]).ended(0);
    home(&mut lab);
    let before = ids(&lab);
    lab.agent(&["run", "services"]).ended(0);
    assert_eq!(ids(&lab), before);
}

#[test]
fn no_engine_is_said_plainly_and_stops_nothing() {
    let lab = ready("docker: /nowhere/docker\n");
    let said: Said = lab.agent(&["run", "services"]).ended(1);
    assert!(
        said.err.contains("cannot reach the container engine: cannot start /nowhere/docker") && said.err.contains("next: install docker"),
        "{said:?}"
    );
    let old = Lab::new();
    let docker = old.wrap_docker("[ $call = version ] && { echo 1.29.2; exit 0; }");
    old.configure("down", &docker);
    old.agent(&["init"]).ended(0);
    let said = old.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("docker compose 1.29.2 is too old: at least 2.20 is needed"), "{said:?}");
}

#[test]
fn a_stop_that_outlives_agent_and_docker_command_takes_nothing_down_for_good() {
    if !has_docker() {
        return;
    }
    let mut lab = Lab::new();
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
    lab.configure("down", &docker);
    lab.agent(&["init"]).ended(0);
    // Says when it starts and when it is asked to end, and does not end.
    let service = "trap 'echo asked >>/data/log' TERM; echo started >>/data/log; while :; do sleep 1; done";
    lab.project(
        "p",
        &format!(
            "services:\n  x:\n    image: IMAGE\n    pull_policy: never\n    command: [sh, -c, \"{service}\"]\n    stop_grace_period: 3s\n    volumes: ['./data:/data']\n"
        ),
    );
    lab.compose("p", &["up", "--detach"]);
    while !fs::read_to_string(&log).unwrap_or_default().contains("started") {
        std::thread::yield_now();
    }
    lab.write("at", "");
    assert_eq!(lab.agent(&["run", "services"]).code, None);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&fs::read(lab.ledger()).unwrap()).unwrap()["stage"], "stopping");
    lab.agent(&["resume", "--wait"]).ended(0);
    // What ran at first was ended by the engine, and another has been started since.
    assert_eq!(lab.running(), ["x"]);
    assert_eq!(fs::read_to_string(&log).unwrap().lines().filter(|line| *line == "started").count(), 2);
    assert!(!lab.ledger().exists());
}
