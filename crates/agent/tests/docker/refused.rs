//! What is not stopped, and what is said instead.

use super::*;

#[test]
fn what_could_not_be_brought_back_is_not_stopped() {
    let Some(mut lab) = Lab::real() else { return };
    lab.set_up("down", "");
    lab.project("p", &format!("services:\n  x:\n{SERVICE}    volumes: [/lost]\n  gone:\n{SERVICE}  frozen:\n{SERVICE}"));
    lab.compose("p", &["up", "--detach"]);
    lab.compose("p", &["pause", "frozen"]);
    lab.compose("p", &["run", "--detach", "gone"]);
    let file = lab.path("services/p/compose.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("  gone:\n", "  other:\n")).unwrap();
    let before = lab.ids();
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
    assert!(said.err.contains("are not usable") && said.err.contains("agent.yaml:"), "{said:?}");
    assert_eq!(lab.ids(), before);
    assert!(!lab.ledger().exists());
    assert_eq!(lab.archives(), [""; 0]);
    fs::write(&file, text).unwrap();
}

#[test]
fn a_missing_source_or_a_full_state_folder_stops_nothing() {
    let Some(mut lab) = Lab::real() else { return };
    lab.set_up("down", "");
    home(&mut lab);
    let before = lab.ids();
    let text = fs::read_to_string(lab.path("agent.yaml")).unwrap();
    lab.write("agent.yaml", &text.replace("/services]", "/services, /nowhere/at/all]"));
    let said = lab.agent(&["run", "services"]).ended(1);
    let says = ["cannot read source /nowhere/at/all", "next: nothing was stopped; mount the disk"];
    assert!(says.iter().all(|says| said.err.contains(says)), "{said:?}");
    lab.write("agent.yaml", &text);
    // The ledger cannot be written: a folder is in its way.
    fs::create_dir_all(lab.path("state/ledger.new")).unwrap();
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("cannot create") && said.err.contains("ledger.new"), "{said:?}");
    assert_eq!(lab.ids(), before);
}

#[test]
fn check_tells_what_would_be_stopped_and_what_nobody_archives() {
    let Some(mut lab) = Lab::real() else { return };
    lab.set_up("down", "");
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
fn no_engine_is_said_plainly_and_stops_nothing() {
    let lab = Lab::ready("down", "docker: /nowhere/docker\n");
    let said: Said = lab.agent(&["run", "services"]).ended(1);
    assert!(
        said.err.contains("cannot reach the container engine: cannot start /nowhere/docker") && said.err.contains("next: install docker"),
        "{said:?}"
    );
    let old = Lab::new();
    let docker = old.wrap_docker("[ $call = version ] && { echo 1.29.2; exit 0; }");
    old.set_up("down", &docker);
    let said = old.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("docker compose 1.29.2 is too old: at least 2.20 is needed"), "{said:?}");
}
