//! A world without offsite: what a Python script and tar get out of each place.

use std::fs;
use std::path::Path;

use offsite_tests::tree::{assert_same, make_tree, mutate};
use offsite_tests::{Dialogue, Home, Lab, Mac, is_root};

#[test]
fn a_script_gets_the_same_tar_out_of_every_place() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let (Some(pi), Some(_)) = (home.pi(), lab.recover()) else { return };
    make_tree(&home.source(), 7, 400_000);
    let mut archives = vec![home.archive()];
    mutate(&home.source(), 1);
    archives.push(home.archive());
    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::disk(&lab, "disk", ""), "");
    let _ = mac.offsite(&["sync"]).succeeds();
    let recover = |place: &Path| lab.recover().unwrap().arg(place).arg("--key-file").arg(mac.paper());

    let places = [lab.join("disk"), mac.repository(), home.pi_repository()];
    for (n, place) in places.iter().enumerate() {
        let listed = recover(place).run().succeeds();
        let names: Vec<_> = listed.out.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(names, archives, "{}", place.display());
        for archive in &archives {
            let (tar, plain) = (lab.join(&format!("{n}.tar")), lab.join("by offsite.tar"));
            let _ = recover(place).arg(archive).arg("-o").arg(&tar).run().succeeds();
            // What the Pi's own file is, to zstd.
            let _ = lab.cmd("zstd").args(["-dqf", "-o"]).arg(&plain).arg(home.pi_file(archive)).run().succeeds();
            assert!(fs::read(&tar).unwrap() == fs::read(&plain).unwrap(), "{archive} out of {} is another tar", place.display());
        }
    }

    // And by GNU tar back to the files, of the newest archive out of the vault.
    if is_root() {
        let into = lab.dir("back");
        let tar = ["--numeric-owner", "-xpf", "0.tar", "--xattrs", "--xattrs-include=*", "--acls", "-C"];
        let _ = lab.cmd("tar").args(tar).arg(&into).run().succeeds();
        assert_same(&home.source(), &into.join(home.source().strip_prefix("/").unwrap()));
    }
}

#[test]
fn the_script_lies_beside_the_data_and_says_what_it_needs() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let (Some(pi), Some(_)) = (home.pi(), lab.recover()) else { return };
    make_tree(&home.source(), 7, 50_000);
    let archive = home.archive();
    let mac = Mac::new(&lab, &home.entry(&pi), &Mac::disk(&lab, "disk", ""), "");
    let _ = mac.offsite(&["sync"]).succeeds();
    let script = "recover/offsite_recover.py";
    for place in [lab.join("disk"), mac.repository(), home.pi_repository()] {
        let beside = fs::read(place.join(script)).unwrap_or_else(|e| panic!("{}: {e}", place.join(script).display()));
        let own = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(script)).unwrap();
        assert!(beside == own, "the script in {} is another one", place.display());
    }

    // The key in the lines that it is printed in, at a terminal: all of them are its, and the shell gets none.
    let right = fs::read_to_string(mac.paper()).unwrap();
    assert_eq!(right.lines().count(), 3);
    let shell = "\"$@\"; echo ended with $?; IFS= read -r left; echo \"left: [$left]\"";
    for (typed, code, words) in [(format!("\n{right}\n"), 0, &*archive), ("12345\n\n".to_owned(), 1, "has a slip in it")] {
        let mut person = Dialogue::start(lab.recover().unwrap().arg(lab.join("disk")).under("bash", &["-c", shell, "bash"]).command());
        let _ = person.hears("recovery key, all of its lines: ");
        person.types(&typed);
        let said = person.hears("ended with ");
        assert_eq!(person.hears("\n"), format!("{code}"), "{said}");
        assert!(said.contains(words) && typed.split_whitespace().all(|line| !said.contains(line)), "{said}");
        person.types("next\n");
        let _ = person.hears("left: [next]");
    }
    let piped = lab.recover().unwrap().arg(lab.join("disk")).under("bash", &["-c", "\"$@\" < \"$0\"", &mac.paper().display().to_string()]);
    piped.run().succeeds().says(&archive);

    // A wrong key, a slip of the pen, and a changed object: refused by the script as by offsite.
    let recover = |key: &Path| lab.recover().unwrap().arg(lab.join("disk")).arg(&archive).arg("--key-file").arg(key).args(["-o", "-"]);
    let slip = format!("{}{}", if right.starts_with('7') { '8' } else { '7' }, &right[1..]);
    recover(&lab.file("slip", &slip)).run().exits(1).says("group 1 of the recovery key has a slip");
    let pack = fs::read_dir(lab.join("disk/packs")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let refused = recover(&mac.paper()).run().exits(1);
    refused.says("not authentic");
    refused.says(pack.file_name().unwrap().to_str().unwrap());
}
