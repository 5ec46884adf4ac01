//! The units that `offsite-agent install` writes, under a real systemd: whatever ends a run, something else brings the services back.
//!
//! The docker command of these stories ends or stops the agent that called it, right after the services went down: the moment after
//! which nothing but the units can help. In each story all units but those that it is about are out of force.

use std::path::PathBuf;

use offsite_tests::{Lab, PiBox, Stack, Stuck, until};
use serde_json::Value;

const RUN: &str = "offsite-agent@services.service";
const RESUME: &str = "offsite-agent-resume.service";
const NOTICE: &str = "offsite-agent-resume.path";
const TIMER: &str = "offsite-agent@services.timer";

/// Writes a docker command and a configuration that names it. When a run has stopped the services, the shell does `then` if the file
/// `at` is there; $PPID is the agent. Only once: the next night is an ordinary one. Nothing starts while the file `refuses` is there.
fn configure(lab: &Lab, then: &str) -> PathBuf {
    let at = lab.join("at");
    let script = format!(
        "#!/bin/sh
case \" $* \" in
*\" down \"*)
  if [ -e {at} ]; then
    how=$(cat {at})
    rm {at}
    docker \"$@\"
    {then}
    exit
  fi
  ;;
*\" up \"*)
  if [ -e {refuses} ]; then exit 1; fi
  ;;
esac
exec docker \"$@\"
",
        at = at.display(),
        refuses = lab.join("refuses").display()
    );
    let docker = lab.file("docker", &script);
    let _ = lab.cmd("chmod").arg("755").arg(&docker).run().succeeds();
    let text = format!(
        "repository: {}\nstate: {}\ndocker: {}\njobs:\n  services:\n    sources: [{}]\n    at: \"04:00\"\n",
        lab.join("repository").display(),
        lab.join("state").display(),
        docker.display(),
        lab.join("services").display()
    );
    lab.file("agent.yaml", &text)
}

/// The ledger of a run that should have ended years ago. Written in the place of the old file, as the agent does it.
fn time_passes(lab: &Lab) {
    let path = lab.join("state/ledger.json");
    let mut ledger: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(ledger["stage"], "stopping");
    assert!(ledger["latest_by"].is_string(), "{ledger}");
    ledger["latest_by"] = "2020-01-01T00:00:00Z".into();
    let new = lab.file("state/ledger.test", &ledger.to_string());
    std::fs::rename(new, &path).unwrap();
}

/// What became of the runs.
fn journal(lab: &Lab) -> Vec<Value> {
    let text = std::fs::read_to_string(lab.join("state/journal.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|record| record["event"] != "began").collect()
}

/// A Pi with a service that runs and the agent's units in force.
struct House<'a> {
    lab: &'a Lab,
    stack: Stack,
    pi: PiBox,
    config: PathBuf,
}

impl<'a> House<'a> {
    fn new(lab: &'a Lab) -> Option<Self> {
        let stack = lab.stack()?;
        let pi = lab.pibox()?;
        stack.up(&["web"]);
        let config = configure(lab, &format!("kill -$how $PPID; : >{}", lab.join("done").display()));
        let house = Self { lab, stack, pi, config };
        let _ = house.agent(&["init"]).succeeds();
        let _ = house.agent(&["install", "--now"]).succeeds();
        Some(house)
    }

    fn agent(&self, words: &[&str]) -> offsite_tests::Outcome {
        self.pi.agent(&self.config, words)
    }

    /// What the docker command is to do to the next agent that stops services.
    fn at_down(&self, signal: &str) {
        let _ = self.lab.file("at", signal);
    }

    fn serves(&self) -> bool {
        self.stack.running().contains("web")
    }

    fn owes(&self) -> bool {
        self.lab.join("state/ledger.json").exists()
    }

    fn events(&self) -> Vec<String> {
        journal(self.lab).iter().map(|record| record["event"].as_str().unwrap().to_owned()).collect()
    }

    /// The services are back, nothing is owed, and the next night is a good one.
    fn is_well(&self) {
        assert!(self.serves() && !self.owes());
        let _ = self.pi.systemctl(&["start", RUN]).succeeds();
        assert_eq!(self.events().last().map(String::as_str), Some("made"));
        assert!(self.serves() && !self.owes());
    }
}

#[test]
fn a_timer_runs_a_night_and_uninstall_leaves_nothing() {
    let lab = Lab::new();
    let Some(house) = House::new(&lab) else { return };
    let pi = &house.pi;
    for (unit, active) in [(TIMER, "active"), (NOTICE, "active"), (RESUME, "inactive")] {
        assert_eq!((pi.property(unit, "ActiveState"), pi.property(unit, "UnitFileState")), (active.into(), "enabled".into()), "{unit}");
    }
    assert_ne!(pi.property(TIMER, "NextElapseUSecRealtime"), "");
    // The hour has come.
    let _ = lab.file("etc/systemd/system/offsite-agent@services.timer.d/now.conf", "[Timer]\nOnActiveSec=0\n");
    let _ = pi.systemctl(&["daemon-reload"]).succeeds();
    let _ = pi.systemctl(&["restart", TIMER]).succeeds();
    until!(house.events() == ["made"]);
    until!(pi.property(RUN, "ActiveState") == "inactive");
    assert_eq!(pi.property(RUN, "Result"), "success", "{}", pi.said(RUN));
    until!(pi.property(RESUME, "ActiveState") == "inactive");
    assert_eq!(pi.property(RESUME, "Result"), "success", "{}", pi.said(RESUME));
    assert!(house.serves() && !house.owes());

    let _ = lab.file("state/ledger.json", "{");
    house.agent(&["uninstall", "--now"]).exits(1).says("cannot be understood");
    std::fs::remove_file(lab.join("state/ledger.json")).unwrap();
    let _ = house.agent(&["uninstall", "--now"]).succeeds();
    assert_eq!(pi.systemctl(&["list-unit-files", "--no-legend", "offsite*"]).out, "");
    let left = pi.run(&["find", PiBox::UNITS, "-name", "offsite*", "-not", "-name", "*.d"]).succeeds();
    assert_eq!(left.out, "");
}

#[test]
fn a_run_that_is_killed_is_followed_by_its_own_stop_post() {
    let lab = Lab::new();
    let Some(house) = House::new(&lab) else { return };
    let _ = house.pi.systemctl(&["disable", "--now", NOTICE]).succeeds();
    house.at_down("KILL");
    assert!(!house.pi.systemctl(&["start", RUN]).succeeded());
    // The unit is over only when the services are back.
    assert!(house.serves() && !house.owes());
    assert_eq!((house.pi.property(RUN, "Result").as_str(), house.events()), ("signal", vec!["resumed".to_owned()]));
    assert!(house.pi.said(RUN).contains("brought back what a run of services left stopped"));
    house.is_well();
}

#[test]
fn what_its_own_stop_post_cannot_bring_back_is_tried_again_until_it_is() {
    let lab = Lab::new();
    let Some(house) = House::new(&lab) else { return };
    let _ = house.pi.systemctl(&["disable", "--now", NOTICE]).succeeds();
    let _ = lab.file("etc/systemd/system/offsite-agent-resume.service.d/soon.conf", "[Service]\nRestartSec=1s\n");
    let _ = house.pi.systemctl(&["daemon-reload"]).succeeds();
    house.at_down("KILL");
    let refuses = lab.file("refuses", "");
    assert!(!house.pi.systemctl(&["start", RUN]).succeeded());
    assert!(house.owes() && !house.serves());
    // Whatever was the matter with docker is over; nobody does anything else.
    until!(house.pi.property(RESUME, "NRestarts") != "0");
    std::fs::remove_file(refuses).unwrap();
    until!(!house.owes());
    assert!(house.serves());
    until!(house.events() == ["resumed"]);
    until!(house.pi.property(RESUME, "ActiveState") == "inactive");
    house.is_well();
}

#[test]
fn a_run_by_hand_that_is_killed_is_noticed() {
    let lab = Lab::new();
    let Some(house) = House::new(&lab) else { return };
    house.at_down("KILL");
    assert_eq!(house.agent(&["run", "services"]).code, Some(137));
    until!(!house.owes());
    assert!(house.serves());
    until!(house.events() == ["resumed"]);
    until!(house.pi.property(RESUME, "ActiveState") == "inactive");
    assert!(house.pi.said(RESUME).contains("brought back what a run of services left stopped"));
    house.is_well();
}

#[test]
fn a_power_cut_while_services_are_away_is_made_good_at_boot_and_then_the_night_is_made_up_for() {
    let lab = Lab::new();
    let Some(house) = House::new(&lab) else { return };
    let pi = &house.pi;
    let _ = pi.systemctl(&["disable", "--now", NOTICE]).succeeds();
    house.at_down("STOP");
    let _ = pi.systemctl(&["start", "--no-block", RUN]).succeeds();
    until!(lab.join("done").exists());
    pi.cut_power();
    assert!(house.owes() && !house.serves());
    // The timer has missed its hour, and nobody has set the clock yet.
    let _ = lab.file("etc/systemd/system/offsite-agent@services.timer.d/missed.conf", "[Timer]\nOnActiveSec=0\n");
    let clock = lab.file("bin/timedatectl", "#!/bin/sh\necho no\n");
    let _ = lab.cmd("chmod").arg("755").arg(&clock).run().succeeds();
    // The kernel is this machine's, and was not started with the Pi.
    let up_for = |seconds: u32| lab.file("uptime", &format!("{seconds}.00 0.00\n"));
    let (path, up) = (clock.parent().unwrap().display(), up_for(60));
    let boot = format!("[Service]\nEnvironment=PATH={path}:/usr/bin:/bin\nBindReadOnlyPaths={}:/proc/uptime\n", up.display());
    let _ = lab.file("etc/systemd/system/offsite-agent@services.service.d/boot.conf", &boot);
    pi.power_on();
    // Services do not wait for that.
    until!(!house.owes());
    assert!(house.serves());
    until!(house.events() == ["resumed"]);
    // Right after the boot there is no journal to ask yet.
    let log = || pi.run(&["journalctl", "--boot", "--output", "cat", "--unit", RUN]).out;
    let waits = || log().contains("waiting: the clock has not been set by a time server");
    until!(waits());
    assert_eq!(house.events(), ["resumed"]);
    let _ = pi.run(&["sh", "-c", "mkdir -p /run/systemd/timesync && : >/run/systemd/timesync/synchronized"]).succeeds();
    until!(house.events() == ["resumed", "made"]);
    let warned = || house.agent(&["archives", "--json"]).succeeds().json().to_string().contains("15 minutes after the machine was started");
    assert!(!warned());

    // A clock that is never set does not cost the night.
    until!(pi.property(RUN, "ActiveState") == "inactive");
    pi.cut_power();
    pi.power_on();
    until!(waits());
    let _ = up_for(15 * 60);
    until!(house.events() == ["resumed", "made", "made"]);
    assert!(warned());
    until!(pi.property(RUN, "ActiveState") == "inactive");
    house.is_well();
}

#[test]
fn a_run_that_hangs_is_ended_when_it_is_overdue_and_not_before() {
    let lab = Lab::new();
    let Some(house) = House::new(&lab) else { return };
    house.at_down("STOP");
    let _ = house.pi.systemctl(&["start", "--no-block", RUN]).succeeds();
    until!(lab.join("done").exists());
    let agent = house.pi.property(RUN, "MainPID");
    // The watch stands beside it; and by hand too, a run that has time left is not touched.
    until!(house.pi.property(RESUME, "ActiveState") == "activating");
    house.agent(&["resume"]).exits(4).says("run of services, process ");

    house.agent(&["uninstall", "--now"]).exits(1).says("services are away for a run of services");
    assert_eq!(house.pi.property(RUN, "MainPID"), agent);

    time_passes(&lab);
    until!(!house.owes());
    assert!(house.serves());
    until!(house.events() == ["resumed"]);
    // The docker command may not have ended quite yet.
    assert!(journal(&lab)[0]["ended"].as_array().unwrap().contains(&format!("offsite-agent, process {agent}").into()));
    until!(house.pi.property(RUN, "ActiveState") == "failed");
    assert_eq!(house.pi.property(RUN, "Result"), "signal");
    until!(house.pi.property(RESUME, "ActiveState") == "inactive");
    house.is_well();
}

#[test]
fn a_process_that_nothing_can_end_holds_up_neither_services_nor_nights() {
    let lab = Lab::new();
    let Some(stack) = lab.stack() else { return };
    let Some(stuck) = lab.stuck("disk") else { return };
    stack.up(&["web"]);
    // The agent is dead, and its docker command, which shares the lock, waits for a disk that does not answer.
    let disk = lab.join("disk");
    let hang = format!("{}; kill -KILL $PPID; exec touch {}", Stuck::command(&disk), disk.join("file").display());
    let config = configure(&lab, &hang);
    let agent = |words: &[&str]| lab.agent().arg("--config").arg(&config).args(words).run();
    let _ = agent(&["init"]).succeeds();
    let _ = lab.file("at", "now");
    assert_eq!(agent(&["run", "services"]).code, None);
    agent(&["resume"]).exits(4).says("run of services, process ");
    assert!(!stack.running().contains("web"));

    time_passes(&lab);
    let said = agent(&["resume"]).succeeds();
    said.says("ended because it hung: touch, process ");
    said.says("the kernel cannot end it yet");
    assert!(stack.running().contains("web"));
    let _ = agent(&["run", "services"]).succeeds();
    assert!(stack.running().contains("web"));
    let events: Vec<Value> = journal(&lab).into_iter().map(|record| record["event"].clone()).collect();
    assert_eq!(events, ["resumed", "made"]);
    // Until here it hung.
    drop(stuck);
}
