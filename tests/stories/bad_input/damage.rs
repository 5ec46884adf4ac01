//! Rot, and what somebody edited: found, named, survived, and healed where another place has it.

use std::fs;
use std::path::{Path, PathBuf};

use offsite_tests::tree::{assert_same, make_tree, mutate};
use offsite_tests::{Cmd, Held, Home, Lab, Mac, Outcome, forge, is_root, rename_in_tar};

use super::{SIZE, tells, unwell};

/// How a file goes bad.
type Harm = fn(&mut Vec<u8>);

const HARMS: [(&str, Harm); 3] = [
    ("edited", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }),
    ("truncated", |bytes| bytes.truncate(bytes.len() * 2 / 3)),
    ("emptied", Vec::clear),
];

fn harm(path: &Path, how: Harm) {
    let mut bytes = fs::read(path).unwrap();
    how(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The pack of the archive that came first, the newest, has all that the others share; so it is the last here.
    files.sort_by_key(|path| fs::metadata(path).unwrap().len());
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Two nights; the older archive shares most with the newer.
fn nights(home: &Home<'_>) -> [String; 2] {
    make_tree(&home.source(), 7, SIZE);
    let older = home.archive();
    mutate(&home.source(), 1);
    [older, home.archive()]
}

/// `restore` is the command that restores the newest archive, but for where to.
fn restores(lab: &Lab, home: &Home<'_>, restore: Cmd) {
    let into = lab.join("restored");
    let _ = restore.arg("--into").arg(&into).args(is_root().then_some("--owners")).run().succeeds();
    assert_same(&home.source(), &into.join(home.source().strip_prefix("/").unwrap()));
    fs::remove_dir_all(into).unwrap();
}

/// The same for a restore that ends with `code`. What it had written by then is left for whoever wants it.
fn ends(lab: &Lab, restore: Cmd, code: i32) -> Outcome {
    let into = lab.join("in part");
    let said = restore.arg("--into").arg(&into).run().exits(code);
    if into.exists() {
        fs::remove_dir_all(into).unwrap();
    }
    said
}

#[test]
fn what_rots_on_the_mac_is_found_named_and_healed_by_the_next_sync() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    let [older, newest] = nights(&home);
    let mac = Mac::new(&lab, &home.entry(&pi), "", "");
    let _ = mac.offsite(&["sync"]).succeeds();
    let whole = Held::read(&mac.repository(), None);
    assert_eq!(whole.wrong, [""; 0]);
    for (how, change) in HARMS {
        let pack = files(&mac.repository().join("packs")).remove(0);
        harm(&pack, change);
        let found = mac.offsite(&["verify"]).exits(3);
        tells(&found, &[&older, name(&pack), "offsite sync"]);
        assert!(!found.out.contains(&format!("{newest}: not whole")), "{}", found.out);
        mac.offsite(&["status"]).exits(1).says(&older);
        restores(&lab, &home, mac.cmd().args(["restore", &newest]));
        tells(&ends(&lab, mac.cmd().args(["restore", &older]), 3), &[&older, "left out: "]);
        let _ = mac.offsite(&["sync"]).succeeds();
        let _ = mac.offsite(&["verify"]).succeeds();
        let _ = mac.offsite(&["status"]).exits(0);
        assert!(Held::read(&mac.repository(), None) == whole, "{how}: {:?}", Held::read(&mac.repository(), None).wrong);

        let manifest = mac.repository().join("manifests").join(format!("{older}.zst"));
        harm(&manifest, change);
        mac.offsite(&["archives"]).exits(3).says(&format!("unreadable: manifests/{older}.zst"));
        tells(&mac.offsite(&["verify"]).exits(3), &[&format!("manifests/{older}.zst"), "offsite sync"]);
        restores(&lab, &home, mac.cmd().args(["restore", &newest]));
        tells(&ends(&lab, mac.cmd().args(["restore", &older]), 1), &[&older, "cannot be read"]);
        // The sync that finds it broken says so, and mends it.
        let said = mac.offsite(&["sync"]);
        assert!([Some(0), Some(3)].contains(&said.code), "{said:?}");
        let _ = mac.offsite(&["sync"]).succeeds();
        assert!(Held::read(&mac.repository(), None) == whole, "{how}: {:?}", Held::read(&mac.repository(), None).wrong);

        // An index object costs nothing.
        harm(&files(&mac.repository().join("index")).remove(0), change);
        restores(&lab, &home, mac.cmd().args(["restore", &newest]));
        let _ = mac.offsite(&["sync"]).succeeds();
        assert!(Held::read(&mac.repository(), None) == whole, "{how}: {:?}", Held::read(&mac.repository(), None).wrong);
    }
}

#[test]
fn what_is_bad_on_the_pi_is_not_taken_over_and_stops_no_other() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    let [older, newest] = nights(&home);
    let file = home.pi_file(&older);
    let manifest = home.pi_repository().join("manifests").join(format!("{older}.zst"));
    let good = [&file, &manifest].map(|path| (path, fs::read(path).unwrap()));
    let mac = Mac::new(&lab, &home.entry(&pi), "", "");
    for (how, change) in HARMS {
        for (path, bytes) in &good {
            harm(path, change);
            tells(&unwell(mac.offsite(&["sync"])), &[&older]);
            assert_eq!(mac.archives(&[]), std::slice::from_ref(&newest), "{how}");
            let _ = mac.offsite(&["verify"]).succeeds();
            restores(&lab, &home, mac.cmd().args(["restore", &newest]));
            fs::write(path, bytes).unwrap();
        }
    }
    let _ = mac.offsite(&["sync"]).succeeds();
    assert_eq!(mac.archives(&[]), [older, newest]);
}

#[test]
fn what_the_cloud_changes_is_named_and_opens_nothing() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    let [older, newest] = nights(&home);
    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::disk(&lab, "disk", ""), "");
    let _ = mac.offsite(&["sync"]).succeeds();
    let disk = lab.join("disk");
    let from = |verb: &str| {
        let address = format!("file://{}", disk.display());
        lab.offsite().args([verb, "--from", &address, "--recovery-key", &mac.recovery()]).env("HOME", lab.dir("a new home"))
    };
    let restore = |what: &str| ends(&lab, from("restore").arg(what), 3);
    for (how, change) in HARMS {
        let pack = files(&disk.join("packs")).remove(0);
        let good = fs::read(&pack).unwrap();
        harm(&pack, change);
        // A pack with nothing in it lacks its frames as one that is lost does; one that is there and wrong is named.
        let object = format!("packs/{}", name(&pack));
        tells(&restore(&older), &[&older, "another place", if how == "emptied" { "is not in the repository" } else { &object }]);
        restores(&lab, &home, from("restore").arg(&newest));
        fs::write(&pack, good).unwrap();

        // Which manifest is whose, nobody can see: with either gone bad, one archive is left, and the object is named.
        let manifest = files(&disk.join("manifests")).remove(0);
        let good = fs::read(&manifest).unwrap();
        harm(&manifest, change);
        let listed = from("archives").run().exits(3);
        listed.says(&format!("unreadable: manifests/{}", name(&manifest)));
        assert_eq!(listed.out.matches("services/").count(), 1, "{how}");
        fs::write(&manifest, good).unwrap();
    }
    // Two objects swapped: each is authentic, and neither is the other.
    let [a, b] = [0, 1].map(|n| files(&disk.join("packs")).remove(n));
    let _ = lab.cmd("sh").args(["-c", "mv $0 x && mv $1 $0 && mv x $1"]).arg(&a).arg(&b).run().succeeds();
    tells(&restore(&newest), &["renamed or swapped"]);
    let _ = lab.cmd("sh").args(["-c", "mv $0 x && mv $1 $0 && mv x $1"]).arg(&a).arg(&b).run().succeeds();

    // The next night pushes anew what cannot be read, and goes on naming the object until a person has removed it.
    let manifest = files(&disk.join("manifests")).remove(0);
    harm(&manifest, HARMS[0].1);
    let said = mac.offsite(&["sync"]).exits(3);
    tells(&said, &[&format!("manifests/{} (disk)", name(&manifest)), "pushed services/", "not authentic"]);
    let _ = unwell(mac.offsite(&["sync"]));
    fs::remove_file(manifest).unwrap();
    let _ = mac.offsite(&["sync"]).succeeds();
    assert_eq!(mac.archives(&["--from", "disk"]), [older, newest]);
    assert_eq!(Held::read(&disk, Some(&mac.paper())).wrong, [""; 0]);
}

#[test]
fn a_hostile_archive_leads_nowhere() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    let [in_tar, in_manifest] = nights(&home);
    let newest = home.archive();
    let inside = home.source().join("config/000.conf");
    let inside = inside.strip_prefix("/").unwrap().to_str().unwrap();
    // A name that nothing else on the machine has, and more dots than it takes to get out of any folder here.
    let escaped = lab.path().file_name().unwrap().to_str().unwrap();
    let outside = format!("{}{escaped}", "../".repeat((inside.len() - escaped.len()) / 3));
    forge(&home.pi_repository(), &in_tar, |raw| rename_in_tar(raw, inside.as_bytes(), outside.as_bytes()));
    // By hand: the project's own writer refuses to write such a line.
    let manifest = home.pi_repository().join("manifests").join(format!("{in_manifest}.zst"));
    let lie = format!("zstd -dqc $0 | sed 's|\"/{inside}\"|\"/{outside}\"|' | zstd -qc >lie && cat lie >$0");
    let _ = lab.cmd("sh").args(["-c", &lie]).arg(&manifest).run().succeeds();

    // A manifest that lies is refused at the door.
    let mac = Mac::new(&lab, &home.entry(&pi), "", "");
    tells(&mac.offsite(&["sync"]).exits(3), &[&format!("manifests/{in_manifest}.zst"), ".."]);
    assert_eq!(mac.archives(&[]), [in_tar.clone(), newest.clone()]);
    // A tar that lies comes as it is, and gets nowhere when it is opened.
    let into = lab.join("a/b/c");
    let said = mac.cmd().args(["restore", &in_tar, "--into"]).arg(&into).run().exits(1);
    said.says(&format!("extract {outside}: refused"));
    for above in into.ancestors().skip(1) {
        assert!(!above.join(escaped).exists() || above.join(escaped) == lab.path(), "it came out at {}", above.display());
    }
    restores(&lab, &home, mac.cmd().args(["restore", &newest]));
}
