//! A repository that others write into, or take from, while a run is at work there.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared by several test programs")]
mod lab;

use std::fs;

use jiff::Timestamp;
use lab::Lab;
use offsite_agent::{Config, RunError, RunOptions, run};

fn ready(layout: &str) -> Lab {
    let lab = Lab::ready("none", &format!("docker: /nowhere/docker\nlayout: {layout}\n"));
    lab.write("services/web/index.html", "hello");
    lab
}

#[test]
fn a_second_state_folder_does_not_make_a_second_agent() {
    for layout in ["plain", "packs"] {
        let lab = ready(layout);
        let marker = fs::File::open(lab.path("repository/repository.json")).unwrap();
        // As an agent does that has another state folder.
        marker.lock().unwrap();
        let said = lab.agent(&["run", "services"]).ended(4);
        for text in ["another agent is at work in the repository", &format!("process {} ", std::process::id()), "nothing was stopped"] {
            assert!(said.err.contains(text), "{said:#?}");
        }
        drop(marker);
        lab.agent(&["run", "services"]).ended(0);
    }
}

#[test]
fn a_repository_that_lost_the_file_that_says_what_it_is_gets_it_back_by_init() {
    for layout in ["plain", "packs"] {
        let lab = ready(layout);
        lab.agent(&["run", "services"]).ended(0);
        let marker = lab.path("repository/repository.json");
        fs::remove_file(&marker).unwrap();
        let said = lab.agent(&["archives"]).ended(1).err;
        assert!(said.contains("repository.json is lost") && said.contains("offsite-agent init writes it anew"), "{said}");
        lab.agent(&["init"]).ended(0);
        assert!(fs::read_to_string(&marker).unwrap().contains(&format!("\"layout\":\"{layout}\"")));
        lab.agent(&["run", "services"]).ended(0);
    }
}

#[test]
fn an_archive_of_which_a_pack_went_away_is_not_published() {
    let lab = ready("packs");
    lab.agent(&["run", "services"]).ended(0);
    lab.write("services/web/new.html", "hello again");
    let config = Config::load(&lab.path("agent.yaml")).unwrap();
    let mut once = true;
    let mut progress = |_: offsite_archive::Progress<'_>| {
        if std::mem::take(&mut once) {
            fs::rename(lab.path("repository/packs"), lab.path("elsewhere")).unwrap();
            fs::create_dir(lab.path("repository/packs")).unwrap();
        }
    };
    let error = run(&config, &"services".parse().unwrap(), RunOptions::new(&Timestamp::now, &mut progress)).unwrap_err();
    assert!(matches!(error, RunError::Vanished { .. }), "{error}");
    let manifests = fs::read_dir(lab.path("repository/manifests/services")).unwrap().count();
    assert_eq!(manifests, 1, "an archive that lacks frames");
    // What is gone is made anew from the files.
    lab.agent(&["run", "services"]).ended(0);
    lab.agent(&["export", "services", lab.path("out.tar.zst").to_str().unwrap()]).ended(0);
}
