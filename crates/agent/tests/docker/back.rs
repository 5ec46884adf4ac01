//! What comes back, in which order, and what is told when it does not.

use super::*;

#[test]
fn exactly_what_ran_is_back_and_the_archive_was_taken_while_nothing_wrote() {
    let Some(mut lab) = Lab::real() else { return };
    lab.set_up("down", "");
    let name = home(&mut lab);
    let before = lab.ids();
    let said = lab.agent(&["run", "services"]).ended(0);
    assert!(said.out.contains(&format!("away: {name} ")), "{said:?}");
    assert_eq!(lab.running(), HOME);
    assert!(before.iter().all(|line| !lab.ids().contains(line)), "a full down makes new containers");
    assert!(!lab.ledger().exists());
    let archive = lab.archives().remove(0);
    let data = lab.unpack(&archive).join("home/data");
    assert_eq!(fs::read_to_string(data.join("stopped")).unwrap(), "clean\n");
    assert_eq!(fs::read_to_string(data.join("starts")).unwrap(), "started\n");
    started(&lab.path("services/home/data/starts"), 2);
    let list = lab.listed();
    assert_eq!((&list[0]["quiesced"][0]["project"], &list[0]["complete"]), (&name.as_str().into(), &true.into()));
    assert!(list[0]["quiesced"][0]["seconds"].as_f64().unwrap() > 0.0);
    // Above all that nothing comes back changed.
    let outside = format!("service db of project {name} writes to volume {name}_named, which is in no job's sources");
    assert_eq!(list[0]["warnings"], serde_json::json!([outside]));
}

#[test]
fn projects_that_need_each_other_come_back_in_any_order() {
    let Some(mut lab) = Lab::real() else { return };
    lab.set_up("down", "");
    // Each of a and c needs the network that b owns, so neither order of names is the right one.
    let shared = format!("{}-shared", lab.project_name("b"));
    let owner = format!("services:\n  proxy:\n{SERVICE}    networks: [shared]\nnetworks: {{shared: {{name: {shared}}}}}\n");
    let user = format!("services:\n  app:\n{SERVICE}    networks: [shared]\nnetworks: {{shared: {{name: {shared}, external: true}}}}\n");
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
fn a_service_that_ends_after_it_was_back_fails_the_run_but_not_the_archive() {
    let Some(mut lab) = Lab::real() else { return };
    // The first list after the archive was published is the second look: by then somebody has stopped a service.
    let (archives, victim) = (lab.path("repository/archives"), lab.path("victim"));
    let published = format!("[ -n \"$(find {} -name '*.tar.zst')\" ]", archives.display());
    let docker = lab.wrap_docker(&format!("[ $call = ls ] && {published} && docker kill $(cat {}) >/dev/null", victim.display()));
    lab.set_up("down", &docker);
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
fn what_others_wait_for_is_back_and_healthy_before_them() {
    let Some(mut lab) = Lab::real() else { return };
    let docker =
        lab.wrap_docker(&format!("[ $call = up ] && rm {} 2>/dev/null && {{ kill -KILL $PPID; exit 1; }}", lab.path("at").display()));
    lab.set_up("down", &docker);
    // The names' order is the wrong one.
    let app = format!("  app:\n{SERVICE}    depends_on: {{db: {{condition: service_healthy}}}}\n");
    let db = format!("  db:\n{SERVICE}    healthcheck: {{test: [CMD, 'true'], interval: 1s, timeout: 60s}}\n");
    let name = lab.project("p", &format!("services:\n{app}{db}"));
    lab.compose("p", &["up", "--detach"]);
    let in_order = || {
        let [app, db] = ["app", "db"].map(|service| {
            let container = format!("{name}-{service}-1");
            let said: Said = lab::docker().args(["inspect", "--format", "{{.State.StartedAt}}", &container]).output().unwrap().into();
            said.ended(0).out.trim().parse::<jiff::Timestamp>().unwrap()
        });
        // The engine asks for the first time after the interval, so that less means that nobody waited for the answer.
        assert!(app.duration_since(db) >= jiff::SignedDuration::from_millis(900), "app {app}, db {db}");
    };
    let before = lab.ids();
    lab.agent(&["run", "services"]).ended(0);
    assert!(before.iter().all(|line| !lab.ids().contains(line)), "a full down makes new containers");
    in_order();
    lab.write("at", "");
    assert_eq!(lab.agent(&["run", "services"]).code, None);
    assert_eq!(lab.running(), [""; 0]);
    lab.agent(&["resume"]).ended(0);
    in_order();
}
