//! Archives that are valid and yet look wrong, and archives that are somebody else's: they cost no good one.

use std::fs;

use offsite_tests::tree::make_tree;
use offsite_tests::{Home, Lab, Mac};

use super::{SIZE, tells, unwell};

#[test]
fn nights_with_nothing_in_them_push_nothing_out_until_somebody_accepts() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    make_tree(&home.source(), 7, SIZE);
    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::disk(&lab, "disk", ", keep: 3"), "keep: 3\n");
    let mut good = Vec::new();
    for _ in 0..3 {
        good.push(home.archive());
        let _ = mac.offsite(&["sync"]).succeeds();
    }
    // The disk of the services is not mounted: an empty folder is there in its place, and somebody told the agent that this is as it should be.
    fs::rename(home.source(), lab.join("unmounted")).unwrap();
    fs::create_dir(home.source()).unwrap();
    let mut empty = Vec::new();
    for night in 0..13 {
        empty.push(home.archive_of_nothing());
        let said = mac.offsite(&["sync"]).exits(3);
        said.says(&format!("suspicious: {}: it is empty", empty[night]));
        said.says("offsite accept");
    }
    for from in [&[][..], &["--from", "disk"]] {
        let there = mac.archives(from);
        assert!(good.iter().all(|archive| there.contains(archive)), "{from:?}: {there:?}");
        assert!(there.contains(&empty[12]), "what is suspicious is kept and pushed all the same");
    }
    assert_eq!(mac.receipts_of("forgot"), [] as [serde_json::Value; 0]);
    tells(&mac.offsite(&["status"]).exits(1), &["suspicious", &empty[12], "offsite accept"]);
    // Who asks for the newest gets the newest good one, and is told.
    let said = mac.offsite(&["restore", Home::JOB, "--into", "x", "--dry-run"]).succeeds();
    said.says(&good[2]);
    said.says(&empty[12]);

    tells(&mac.offsite(&["accept", &good[0]]).exits(1), &["is not suspicious", &empty[12]]);
    for archive in &empty {
        let _ = mac.offsite(&["accept", archive]).succeeds();
    }
    // Now the rule may let the good ones go; but not all in one night, and not silently.
    tells(&mac.offsite(&["sync"]).exits(3), &["the rule would forget 13 archives of services at once"]);
    assert_eq!(mac.archives(&[]), [&good[1..], &empty].concat());
    let nights = (0..16).take_while(|_| mac.offsite(&["sync"]).code != Some(0)).count();
    assert!(nights < 16, "it never ends");
    for _ in 0..3 {
        let _ = mac.offsite(&["sync"]).succeeds();
    }
    assert_eq!(mac.archives(&[]), empty[10..]);
    assert_eq!(mac.archives(&["--from", "disk"]), empty[10..]);
    let _ = mac.offsite(&["status"]).succeeds();
}

#[test]
fn a_job_that_two_pis_have_stays_with_the_first() {
    let lab = Lab::new();
    let (home, attic) = (Home::new(&lab), Home::named(&lab, "attic"));
    let (Some(mut pi), Some(other)) = (home.pi(), attic.pi()) else { return };
    make_tree(&home.source(), 7, SIZE);
    make_tree(&attic.source(), 8, SIZE);
    let first = home.archive();
    let _ = attic.archive();
    let mac = Mac::new(&lab, &(home.entry(&pi) + &attic.entry(&other)), "", "");
    for _ in 0..2 {
        tells(&unwell(mac.offsite(&["sync"])), &["the job services came from pi until now, so attic may not add to it"]);
        assert_eq!(mac.archives(&[]), std::slice::from_ref(&first));
    }
    // What was refused is no copy of anything that this Mac keeps.
    let seen = mac.receipts_of("seen").into_iter().rfind(|receipt| receipt["place"] == "attic").unwrap();
    assert_eq!(seen["jobs"], serde_json::json!({}));
    let _ = mac.offsite(&["verify"]).succeeds();

    // Under another name both are at home here.
    let text = fs::read_to_string(attic.agent_config()).unwrap();
    fs::write(attic.agent_config(), text.replace("  services:\n", "  photos:\n")).unwrap();
    fs::remove_dir_all(attic.pi_repository().join("manifests/services")).unwrap();
    let night = || attic.agent().args(["run", "photos"]).run().succeeds();
    let _ = night();
    let _ = mac.offsite(&["sync"]).succeeds();
    assert_eq!(mac.archives(&[]).len(), 2);
    // And each has its plain copies, in a folder of its own.
    let plain = |job: &str| fs::read_dir(mac.repository().join("plain").join(job)).unwrap().count();
    assert_eq!((plain("services"), plain("photos")), (1, 1));

    // One of them is not at home: the other's night comes all the same.
    pi.power_off();
    let _ = night();
    let _ = mac.offsite(&["sync"]).exits(3);
    assert_eq!(mac.archives(&[]).iter().filter(|name| name.starts_with("photos/")).count(), 2);
}
