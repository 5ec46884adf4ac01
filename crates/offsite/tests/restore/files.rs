//! Whole and in part, into folders that may be written to and into those that may not.

use std::{fs, os::unix::fs::MetadataExt};

use offsite::{journal::Fact, tripwire::Why};

use crate::place::{NEW, OLD, Place, is_root, tree};

#[test]
fn the_newest_archive_of_a_job_comes_back_whole_and_an_older_one_by_name() {
    let place = Place::new();
    let said = place.offsite(&["restore", "services", "--into", "out"]).ended(0);
    assert!(said.err.contains(&format!("the latest archive of services in this Mac is {NEW}")), "{said:#?}");
    said.says("the whole stream is as the agent read it");
    assert_eq!(tree(&place.house_in("out")), tree(&place.path("house")));
    place.offsite(&["restore", OLD, "--into", "old"]).ended(0);
    assert_eq!(fs::read(place.house_in("old").join("web/index.html")).unwrap(), b"<p>the first night</p>");
}

#[test]
fn a_part_comes_back_and_nothing_else() {
    let place = Place::new();
    let web = place.path("house/web");
    place.offsite(&["restore", "services", "--into", "out", web.to_str().unwrap()]).ended(0).says("every frame checked");
    assert_eq!(tree(&place.house_in("out").join("web")), tree(&web));
    let inside: Vec<_> = fs::read_dir(place.house_in("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(inside, ["web"]);
    // A further name of a file brings the first one, which has the data.
    let z = place.path("house/photos/z.jpg");
    place.offsite(&["restore", "services", "--into", "z", z.to_str().unwrap()]).ended(0);
    assert_eq!(tree(&place.house_in("z").join("photos")), tree(&place.path("house/photos")));
}

#[test]
fn paths_that_are_not_there_are_named_before_anything_is_written() {
    let place = Place::new();
    let web = place.path("house/web");
    let said = place.offsite(&["restore", "services", "--into", "out", web.to_str().unwrap(), "/srv/nothing"]).ended(1);
    said.says(&format!("{NEW} holds nothing called /srv/nothing")).says("offsite ls ARCHIVE");
    assert!(!place.path("out").exists());
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::new();
    place.offsite(&["restore", "services", "--into", "out", "--dry-run"]).ended(0).says("would restore 9 entries");
    // From a cloud it lists what must be thawed: for all of it every pack of that archive, for a part fewer or as many.
    let said = place.offsite(&["restore", OLD, "--into", "out", "--dry-run", "--from", "cold"]).ended(0);
    let listed: Vec<&str> = said.out.lines().filter_map(|line| line.strip_prefix("  packs/")).collect();
    assert!(!listed.is_empty() && listed.iter().all(|pack| place.path("cloud/packs").join(pack).exists()), "{said:#?}");
    let web = place.path("house/web");
    let said = place.offsite(&["restore", NEW, "--into", "out", "-n", "--from", "cold", web.to_str().unwrap()]).ended(0);
    let part: Vec<&str> = said.out.lines().filter_map(|line| line.strip_prefix("  packs/")).collect();
    assert!(!part.is_empty(), "{said:#?}");
    assert!(!place.path("out").exists());
}

#[test]
fn a_folder_in_use_is_left_alone_unless_one_insists() {
    let place = Place::new();
    let index = place.house_in("out").join("web/index.html");
    fs::create_dir_all(index.parent().unwrap()).unwrap();
    fs::write(&index, "edited wildly").unwrap();
    place.offsite(&["restore", "services", "--into", "out"]).ended(1).says("is not empty").says("--overwrite");
    assert_eq!(fs::read(&index).unwrap(), b"edited wildly");
    place.offsite(&["restore", "services", "--into", "out", "--overwrite"]).ended(0);
    assert_eq!(tree(&place.house_in("out")), tree(&place.path("house")));
}

#[test]
fn a_folder_in_a_files_place_costs_that_file_alone() {
    let place = Place::new();
    let there = place.house_in("out").join("photos/a.jpg");
    fs::create_dir_all(there.join("of mine")).unwrap();
    let said = place.offsite(&["restore", "services", "--into", "out", "--overwrite"]).ended(3).says("restored 7 entries");
    let said = said.says("house/photos/a.jpg: a folder stands in its place").says("2 members could not be made here");
    let said = said.says("house/photos/z.jpg: it is a further name of").says("next:  move those folders aside");
    assert!(there.join("of mine").exists() && place.house_in("out").join("web/index.html").exists(), "{said:#?}");
}

#[test]
fn nothing_is_restored_into_what_offsite_keeps() {
    let place = Place::new();
    for folder in ["mac/out", "state/out", "cloud/out"] {
        place.offsite(&["restore", "services", "--into", folder, "--overwrite"]).ended(1).says("which offsite itself keeps");
        assert!(!place.path(folder).exists());
    }
}

#[test]
fn what_the_tripwire_holds_is_passed_over_and_named() {
    let place = Place::new();
    place.note(Fact::Suspicious { archive: NEW.parse().unwrap(), why: Why::Empty });
    let said = place.offsite(&["restore", "services", "--into", "out"]).ended(0);
    said.says(&format!("{NEW} is newer and was passed over: it is suspicious")).says(&format!("of {OLD} from"));
    place.note(Fact::Accepted { archive: NEW.parse().unwrap() });
    place.offsite(&["restore", "services", "--into", "accepted"]).ended(0).says(&format!("of {NEW} from"));
}

#[test]
fn names_that_are_not_there_are_answered_with_those_that_are() {
    let place = Place::new();
    place.offsite(&["restore", "photos", "--into", "out"]).ended(1).says("there is: services").says("next:  see which there are");
    let said = place.offsite(&["export", "services/2026-11-22T050000Z", "-"]).ended(1);
    said.says(&format!("the nearest: {NEW}, {OLD}"));
}

#[test]
fn an_export_is_the_agents_own_file() {
    let place = Place::new();
    let agents = fs::read(place.path("backup/archives").join(format!("{NEW}.tar.zst"))).unwrap();
    place.offsite(&["export", "services"]).ended(0).says("the same bytes as on the Pi");
    assert!(fs::read(place.path("services-2026-11-22T040000Z.tar.zst")).unwrap() == agents);
    let output = place.command(Some("offsite.yaml")).args(["export", NEW, "-", "--from", "cold"]).output().unwrap();
    assert!(output.status.success() && output.stdout == agents);
    // What exists is never replaced, and nothing is left of the attempt.
    let before = fs::read_dir(&place.root).unwrap().count();
    place.offsite(&["export", OLD, "services-2026-11-22T040000Z.tar.zst"]).ended(1).says("exists already");
    place.offsite(&["export", OLD, "mac/packs/x"]).ended(1).says("which offsite itself keeps");
    assert!(fs::read(place.path("services-2026-11-22T040000Z.tar.zst")).unwrap() == agents);
    assert_eq!(fs::read_dir(&place.root).unwrap().count(), before);
}

#[test]
fn the_list_has_every_archive_with_its_number() {
    let place = Place::new();
    let said = place.offsite(&["archives", "--json"]).ended(0);
    let list: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|row| row["archive"].as_str().unwrap()).collect();
    assert_eq!(names, [OLD, NEW]);
    assert_eq!(list[1]["entries"], 9);
    assert!(list[0]["sequence"].as_u64() < list[1]["sequence"].as_u64());
    place.offsite(&["archives"]).ended(0).says("NUMBER").says(OLD);
}

#[test]
fn owners_are_for_root_only() {
    let place = Place::new();
    let said = place.offsite(&["restore", "services", "--into", "out", "--owners"]);
    if !is_root() {
        said.ended(1).says("only root can");
        assert!(!place.path("out").exists());
        return;
    }
    said.ended(0);
    place.offsite(&["restore", "services", "--into", "mine"]).ended(0).says("all files belong to you");
    let owner = |into: &str| {
        let meta = fs::metadata(place.house_in(into).join("web/key.pem")).unwrap();
        (meta.uid(), meta.gid())
    };
    assert_eq!((owner("out"), owner("mine").0), ((472, 10001), 0));
}
