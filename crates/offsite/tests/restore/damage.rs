//! A disk that lies: found, named, contained, healed.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::place::{NEW, OLD, Place, tree};

#[test]
fn a_whole_repository_verifies_and_says_so() {
    let place = Place::new();
    place.offsite(&["verify"]).ended(0).says("verified 2 archives").says("all whole");
    assert_eq!((place.receipts(OLD), place.receipts(NEW)), (vec!["verified".to_owned()], vec!["verified".to_owned()]));
    place.offsite(&["verify", NEW]).ended(0).says("verified 1 archive:");
    place.offsite(&["verify", "services/2026-11-20T040000Z"]).ended(1).says(&format!("the nearest: {OLD}, {NEW}"));
    place.offsite(&["verify", "--heal-from", "warm"]).ended(1).says("(cold)");
}

/// Restores what is left of the newest archive at a place. It is the house, each byte of it, but for what is named, which is given.
#[track_caller]
fn left(place: &Place, from: &[&str]) -> BTreeSet<String> {
    let said = place.offsite(&[&["restore", NEW, "--into", "left", "--json"], from].concat()).ended(3);
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&told["whole"], &told["left_out_below"]), (&false.into(), &0.into()));
    let text = |member: &serde_json::Value| member["path"].as_str().unwrap().to_owned();
    let left_out: BTreeSet<String> = told["left_out"].as_array().unwrap().iter().map(text).collect();
    let house = place.path("house");
    let mut expected = tree(&house);
    for path in &left_out {
        assert!(expected.remove(Path::new(path).strip_prefix(&house).unwrap()).is_some(), "{path}");
    }
    assert_eq!(tree(&place.house_in("left")), expected);
    fs::remove_dir_all(place.path("left")).unwrap();
    left_out.into_iter().map(|path| path[house.to_str().unwrap().len() + 1..].to_owned()).collect()
}

fn largest(packs: &Path) -> PathBuf {
    fs::read_dir(packs).unwrap().map(|entry| entry.unwrap().path()).max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

#[test]
fn a_flipped_bit_costs_one_file_of_a_restore_and_leads_to_what_is_whole() {
    let place = Place::new();
    place.spoil_pack();
    let said = place.offsite(&["restore", "services", "--into", "out"]).ended(3);
    let said = said.says(&format!("of {NEW} from this Mac into ")).says("the whole is not affirmed").says("2 members could not be read");
    assert_eq!((said.err.matches("left out: ").count(), said.err.matches("is damaged").count()), (2, 1), "{said:#?}");
    said.says(&format!("offsite verify {NEW} --heal-from CLOUD")).says("offsite find --all PATH");
    assert_eq!(left(&place, &[]), ["photos/a.jpg", "photos/z.jpg"].map(str::to_owned).into());
    place.offsite(&["restore", "services", "--into", "cold", "--from", "cold"]).ended(0).says("the whole stream is as the agent read it");
    assert_eq!(tree(&place.house_in("cold")), tree(&place.path("house")));
    // A stream leaves nothing out.
    place.offsite(&["export", NEW, "x.tar.zst"]).ended(1).says("is damaged").says("to have all that is whole: offsite restore");
    assert!(!place.path("x.tar.zst").exists());
}

#[test]
fn whatever_is_lost_the_rest_comes_from_the_mac_and_from_the_cloud() {
    let place = Place::new();
    let photos: BTreeSet<String> = ["photos/a.jpg", "photos/z.jpg"].map(str::to_owned).into();
    for (packs, from) in [("mac/packs", &[][..]), ("cloud/packs", &["--from", "cold"])] {
        let pack = largest(&place.path(packs));
        let good = fs::read(&pack).unwrap();
        let mut bytes = good.clone();
        for at in [bytes.len() / 3, bytes.len() / 2] {
            bytes[at] ^= 1;
        }
        fs::write(&pack, bytes).unwrap();
        assert_eq!(left(&place, from), photos, "{packs}");
        fs::write(&pack, &good[..good.len() / 2]).unwrap();
        assert!(left(&place, from).is_superset(&photos), "{packs}");
        // With the page that changed in the second night, which lies in that night's pack.
        fs::remove_file(&pack).unwrap();
        let gone = left(&place, from);
        assert!(gone.is_superset(&photos) && !gone.contains("web/index.html"), "{packs}: {gone:?}");
        fs::write(&pack, good).unwrap();
        let whole = place.offsite(&[&["restore", NEW, "--into", "whole", "--json"], from].concat()).ended(0);
        let told: serde_json::Value = serde_json::from_str(&whole.out).unwrap();
        assert_eq!((&told["whole"], &told["left_out"]), (&true.into(), &serde_json::json!([])));
        fs::remove_dir_all(place.path("whole")).unwrap();
    }
}

#[test]
fn a_dry_run_tells_what_no_frame_holds() {
    let place = Place::new();
    place.spoil_pack();
    place.offsite(&["verify"]).ended(3);
    let dry = ["restore", NEW, "--into", "out", "--dry-run"];
    place.offsite(&dry).ended(3).says("would leave out: ").says("photos/a.jpg: frame ").says("--heal-from CLOUD");
    let said = place.offsite(&[&dry[..], &["--json"]].concat()).ended(3);
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&told["dry_run"], &told["whole"], told["left_out"].as_array().map(Vec::len)), (&true.into(), &false.into(), Some(1)));
    // A part that is whole is whole.
    place.offsite(&[&dry[..], &[place.path("house/web").to_str().unwrap()]].concat()).ended(0);
    place.offsite(&[&dry[..], &["--from", "cold"]].concat()).ended(0);
    assert!(!place.path("out").exists());
}

#[test]
fn one_bad_frame_costs_one_frame_and_comes_back_from_the_cloud() {
    let place = Place::new();
    let pack = place.spoil_pack();
    place
        .offsite(&["verify"])
        .ended(3)
        .says(&format!("damaged: {NEW}: 1 frame is lost"))
        .says("otherwise: offsite verify --heal-from cold");
    assert!(!pack.exists() && place.path("mac/damaged").join(pack.file_name().unwrap()).exists());
    assert_eq!(place.receipts(NEW), ["lost"]);
    // All else in that pack was rescued, so a part that does not need the bad frame is still there.
    let web = place.path("house/web");
    place.offsite(&["restore", NEW, "--into", "part", web.to_str().unwrap()]).ended(0);
    assert_eq!(tree(&place.house_in("part").join("web")), tree(&web));
    place.offsite(&["verify"]).ended(3).says("1 frame is lost");
    place.offsite(&["verify", "--heal-from", "cold"]).ended(0).says(&format!("damaged: {NEW}: 1 frame was lost; healed")).says("all whole");
    assert_eq!(place.receipts(NEW), ["lost", "lost", "lost", "healed"]);
    place.offsite(&["verify"]).ended(0).says("all whole");
    place.offsite(&["restore", "services", "--into", "out"]).ended(0);
    assert_eq!(tree(&place.house_in("out")), tree(&place.path("house")));
}

#[test]
fn a_check_of_one_archive_tells_what_the_bad_pack_did_to_others() {
    let place = Place::new();
    place.spoil_pack();
    place.offsite(&["verify", NEW]).ended(3).says(&format!("damaged: {OLD}: 1 frame is lost")).says(&format!("damaged: {NEW}: 1 frame"));
}

#[test]
fn what_is_lost_here_is_passed_over_for_the_latest() {
    let place = Place::new();
    place.spoil_pack();
    place.offsite(&["verify"]).ended(3);
    // Both archives need the bad frame: the newest is taken all the same, with a word of warning.
    place
        .offsite(&["restore", "services", "--into", "out"])
        .ended(3)
        .says(&format!("note: {NEW}: it is not whole here"))
        .says("is not in the repository");
}

#[test]
fn a_damaged_manifest_is_listed_lost_and_healed() {
    let place = Place::new();
    let manifest = place.path("mac/manifests").join(format!("{NEW}.zst"));
    let good = fs::read(&manifest).unwrap();
    fs::write(&manifest, &good[..good.len() / 2]).unwrap();
    place.offsite(&["archives"]).ended(3).says(OLD).says("unreadable: manifests/services/2026-11-22T040000Z.zst");
    place.offsite(&["restore", NEW, "--into", "out"]).ended(1).says("cannot be read").says("--heal-from CLOUD");
    place.offsite(&["restore", "services", "--into", "older"]).ended(0).says("may be newer").says(&format!("of {OLD} from"));
    for only in [&["verify"][..], &["verify", NEW]] {
        place.offsite(only).ended(3).says(&format!("damaged: {NEW}: its manifest is gone or cannot be read"));
    }
    place.offsite(&["verify", NEW, "--heal-from", "cold"]).ended(0).says("healed");
    assert!(fs::read(&manifest).unwrap() == good);
    place.offsite(&["verify"]).ended(0).says("verified 2 archives").says("all whole");
}

#[test]
fn an_archive_that_a_sync_found_gone_is_brought_back() {
    let place = Place::new();
    fs::remove_file(place.path("mac/manifests").join(format!("{OLD}.zst"))).unwrap();
    place.note(offsite::journal::Fact::Lost { place: offsite::config::PlaceName::mac(), archive: OLD.parse().unwrap(), frames: None });
    place.offsite(&["verify"]).ended(3).says(&format!("damaged: {OLD}"));
    place.offsite(&["verify", "--heal-from", "cold"]).ended(0).says("healed");
    place.offsite(&["verify"]).ended(0).says("verified 2 archives");
}

#[test]
fn an_index_that_is_gone_is_mended_without_loss() {
    let place = Place::new();
    for entry in fs::read_dir(place.path("mac/index")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    place.offsite(&["verify"]).ended(0).says("mended").says("all whole");
    assert!(fs::read_dir(place.path("mac/index")).unwrap().count() > 0);
}

#[test]
fn verify_waits_for_nobody() {
    let place = Place::new();
    let state = offsite::state::State::open(&place.path("state")).unwrap();
    let _lock = state.lock("sync", jiff::Timestamp::UNIX_EPOCH).unwrap();
    place.offsite(&["verify"]).ended(4).says("another offsite is at work: offsite sync");
}

#[test]
fn json_tells_the_same() {
    let place = Place::new();
    place.spoil_pack();
    let said = place.offsite(&["verify", "--json"]).ended(3);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((report["archives"][1]["archive"].as_str(), report["archives"][1]["lost"].as_u64()), (Some(NEW), Some(1)));
    assert_eq!(report["set_aside"].as_array().map(Vec::len), Some(1));
}
