//! A disk that lies: found, named, contained, healed.

use std::fs;

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

#[test]
fn a_flipped_bit_stops_a_restore_and_leads_to_another_place() {
    let place = Place::new();
    place.spoil_pack();
    let said = place.offsite(&["restore", "services", "--into", "out"]).ended(1);
    assert!(said.err.contains(&format!("cannot restore all of {NEW} from this Mac into ")), "{said:#?}");
    let said = said.says("is damaged").says("--from CLOUD");
    assert_eq!(said.err.matches("is damaged").count(), 1, "{said:#?}");
    place.offsite(&["restore", "services", "--into", "cold", "--from", "cold"]).ended(0);
    assert_eq!(tree(&place.house_in("cold")), tree(&place.path("house")));
    place.offsite(&["export", NEW, "x.tar.zst"]).ended(1);
    assert!(!place.path("x.tar.zst").exists());
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
    // Both archives need the bad frame: the newest is taken all the same, with a word of warning, and fails clearly.
    place
        .offsite(&["restore", "services", "--into", "out"])
        .ended(1)
        .says(&format!("note: {NEW}: it is not whole here"))
        .says("--from CLOUD");
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
