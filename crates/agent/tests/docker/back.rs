//! What comes back, in which order, and what is told when it does not.

use super::*;

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
    // What was read is kept, and takes no good archive's place.
    let list: serde_json::Value = serde_json::from_str(&lab.agent(&["archives", "--json"]).ended(0).out).unwrap();
    assert!(list[0]["complete"] == false && list[1].is_null(), "{list}");
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
