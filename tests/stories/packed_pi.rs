//! A Pi whose repository has layout `packs`: the Mac pulls from it as from any other, and nights cost on the Pi's disk what changed.

use std::fs;
use std::path::Path;

use offsite_tests::tree::{assert_same, make_tree, mutate};
use offsite_tests::{Home, Lab, Mac, is_root};

const SIZE: u64 = 2_000_000;

/// The bytes of all files in a folder.
fn size(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// Fails unless both hold the same, as far as this account could restore it.
fn same(home: &Home<'_>, into: &Path) {
    assert_same(&home.source(), &into.join(home.source().strip_prefix("/").unwrap()));
}

#[test]
fn nights_in_packs_are_pulled_and_restored_from_the_pi_and_from_the_mac() {
    let lab = Lab::new();
    let home = Home::in_packs(&lab);
    let Some(pi) = home.pi() else { return };
    make_tree(&home.source(), 7, SIZE);
    let mut archives = vec![home.archive()];
    let mac = Mac::new(&lab, &home.entry(&pi), "", "");
    mac.offsite(&["sync"]).succeeds().says(&format!("pulled {} (pi)", archives[0]));
    let packs = home.pi_repository().join("packs");
    let first = size(&packs);
    assert!(!home.pi_repository().join("archives").exists());

    // More nights than the Pi keeps: some of its packs go, and the Mac has what it pulled.
    for night in 1..=4 {
        mutate(&home.source(), night);
        archives.push(home.archive());
        mac.offsite(&["sync"]).succeeds().says(&format!("pulled {} (pi)", archives[night as usize]));
        let moved = mac.receipts_of("pulled").pop().unwrap();
        assert!(moved["moved"].as_u64().unwrap() * 2 < moved["total"].as_u64().unwrap(), "night {night} moved {moved}");
    }
    assert_eq!(home.pi_archives(), archives[2..]);
    // The tree of the story changes more in a night than a server's, and still three archives take less than three files would.
    assert!(size(&packs) < 3 * first, "{first} bytes at first, {} after", size(&packs));
    assert_eq!(mac.archives(&[]).len(), archives.len());
    let _ = mac.offsite(&["verify"]).succeeds();

    // The same bytes of a stream by every way: the agent's own, the Mac's, and the script's without offsite.
    for archive in &archives[2..] {
        let (by_pi, by_mac) = (lab.join("by pi.tar.zst"), lab.join("by mac.tar.zst"));
        let _ = home.agent().args(["export", archive]).arg(&by_pi).run().succeeds();
        let _ = mac.cmd().args(["export", archive]).arg(&by_mac).run().succeeds();
        assert!(fs::read(&by_pi).unwrap() == fs::read(&by_mac).unwrap(), "{archive} is another file on the Mac");
        if let Some(recover) = lab.recover() {
            let (plain, tar) = (lab.join("by zstd.tar"), lab.join("by script.tar"));
            let _ = lab.cmd("zstd").args(["-dqf", "-o"]).arg(&plain).arg(&by_pi).run().succeeds();
            let _ = recover.arg(home.pi_repository()).arg(archive).arg("-o").arg(&tar).run().succeeds();
            assert!(fs::read(&plain).unwrap() == fs::read(&tar).unwrap(), "{archive} is another tar by the script");
        }
        [by_pi, by_mac].iter().for_each(|file| fs::remove_file(file).unwrap());
    }
    let into = lab.join("from the mac");
    let owners = if is_root() { &["--owners"][..] } else { &[] };
    let _ = mac.cmd().args(["restore", Home::JOB, "--into"]).arg(&into).args(owners).run().succeeds();
    same(&home, &into);
    if is_root() {
        // Exactly the command of the agent's own help, but beside.
        let into = lab.dir("from the pi");
        let script = "set -o pipefail; \"$@\" | tar --zstd --numeric-owner -xp -C \"$0\" --xattrs --xattrs-include='*' --acls";
        let _ = home.agent().args(["export", Home::JOB]).under("bash", &["-c", script, &into.display().to_string()]).run().succeeds();
        same(&home, &into);
    }
}

#[test]
fn rot_on_the_pi_is_healed_by_a_full_run_and_the_mac_gets_what_it_could_not() {
    let lab = Lab::new();
    let home = Home::in_packs(&lab);
    let Some(pi) = home.pi() else { return };
    make_tree(&home.source(), 7, SIZE);
    let archive = home.archive();
    let packs = home.pi_repository().join("packs");
    let largest = fs::read_dir(&packs).unwrap().map(|entry| entry.unwrap().path()).max_by_key(|path| fs::metadata(path).unwrap().len());
    let largest = largest.unwrap();
    let mut rotten = fs::read(&largest).unwrap();
    let middle = rotten.len() / 2;
    rotten[middle] ^= 1;
    fs::write(&largest, rotten).unwrap();
    let mac = Mac::new(&lab, &home.entry(&pi), "", "");
    let refused = mac.offsite(&["sync"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    refused.says("is damaged");
    assert_eq!(mac.archives(&[]), [""; 0]);

    let said = home.agent().args(["run", Home::JOB, "--full"]).run().succeeds();
    said.says("was damaged and set aside");
    let _ = mac.offsite(&["sync"]).succeeds();
    // The older one got its frame back by the same bytes.
    assert_eq!(mac.archives(&[]).len(), 2);
    assert!(mac.archives(&[]).contains(&archive));
    let _ = mac.offsite(&["verify"]).succeeds();
}
