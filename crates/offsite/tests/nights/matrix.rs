//! Each kind of object on the Mac, damaged in each way: a check finds it, the other archive comes out, and the next night heals it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use offsite_archive::ArchiveName;

use super::{Scene, list};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Delete,
    Truncate,
    Flip,
}

fn harm(path: &Path, harm: Harm) {
    let mut bytes = fs::read(path).unwrap();
    match harm {
        Harm::Delete => return fs::remove_file(path).unwrap(),
        Harm::Truncate => bytes.truncate(bytes.len() / 2),
        Harm::Flip => bytes[0] ^= 0x10,
    }
    // Anew: the file may have a second name in the copy that the next round begins with.
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Two nights that share no frame, so that each has packs of its own.
async fn two(scene: &Scene) -> (ArchiveName, PathBuf, ArchiveName) {
    let packs = || list(&scene.path("mac/packs")).into_iter().collect::<std::collections::BTreeSet<_>>();
    let old = scene.night(3).await;
    scene.offsite(&["sync"], 0).await;
    let first = packs();
    fs::write(scene.path("house/letter.txt"), "another letter, of which no frame was there before\n".repeat(400)).unwrap();
    let new = scene.night(2).await;
    scene.offsite(&["sync"], 0).await;
    let second: Vec<String> = packs().difference(&first).cloned().collect();
    assert_eq!((first.len(), second.len()), (1, 1));
    (old, second[0].clone().into(), new)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_damage_to_every_kind_of_object_is_found_harms_no_other_and_heals() {
    let scene = Scene::new().await;
    let (old, pack, new) = two(&scene).await;
    let copy = |from: &str, to: &str| {
        drop(fs::remove_dir_all(scene.path(to)));
        assert!(Command::new("cp").arg("-a").arg(scene.path(from)).arg(scene.path(to)).status().unwrap().success());
    };
    for folder in ["mac", "state"] {
        copy(folder, &format!("{folder}.before"));
    }
    let objects = [
        ("pack", PathBuf::from("mac/packs").join(&pack)),
        ("index", PathBuf::from("mac/index").join(&pack)),
        ("manifest", PathBuf::from("mac/manifests").join(format!("{new}.zst"))),
        ("copy", PathBuf::from("mac/plain").join(format!("{new}.tar.zst"))),
        ("journal", PathBuf::from("state/journal.jsonl")),
    ];
    for (what, path) in &objects {
        for kind in [Harm::Delete, Harm::Truncate, Harm::Flip] {
            for folder in ["mac", "state"] {
                copy(&format!("{folder}.before"), folder);
            }
            harm(&scene.path(path.to_str().unwrap()), kind);
            let case = format!("{what} {kind:?}");
            let out = scene.path("out.tar.zst");
            scene.offsite(&["export", &old.to_string(), out.to_str().unwrap()], 0).await;
            fs::remove_file(out).unwrap();
            // An index object is only a second copy, and one that lacks is written by this very command; as a plain copy is by the next night.
            let found = match (*what, kind) {
                ("journal", Harm::Flip) => 3,
                ("index" | "journal", _) | ("copy", Harm::Delete) => 0,
                _ => 3,
            };
            let said = scene.offsite(&["verify"], found).await;
            let damaged = match *what {
                "copy" => format!("damaged: the plain copy of {new}"),
                "journal" => "damaged: the journal: 1 line is no receipt, the first is line 1".to_owned(),
                _ => format!("damaged: {new}"),
            };
            assert_eq!(said.contains(&damaged), found == 3, "{case}: {said}");
            assert_eq!(said.contains("mended 1 index object"), *what == "index" || case == "pack Delete", "{case}: {said}");
            let cut = *what == "journal" && kind != Harm::Flip;
            assert_eq!(said.contains("the journal does not tell how"), cut, "{case}: {said}");
            // A manifest that cannot be read is a failure of the night that replaces it, and so is a journal that tells of nothing.
            let told = if *what == "manifest" && kind != Harm::Delete || case == "journal Delete" { 3 } else { 0 };
            let said = scene.offsite(&["sync"], told).await;
            assert_eq!(said.contains("pulled services/"), ["pack", "manifest"].contains(what), "{case}: {said}");
            assert_eq!(said.contains("the journal "), cut, "{case}: {said}");
            assert!(scene.path("mac/plain").join(format!("{new}.tar.zst")).exists(), "{case}");
            let status = scene.offsite(&["status"], 4).await;
            assert_eq!(status.contains("is no receipt"), case == "journal Flip", "{case}: {status}");
            if case == "journal Flip" {
                scene.offsite(&["accept", "--journal"], 0).await;
            }
            let said = scene.offsite(&["verify"], 0).await;
            assert!(said.contains("verified 2 archives") && said.contains("all whole"), "{case}: {said}");
        }
    }
}
