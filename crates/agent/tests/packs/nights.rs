//! What a night writes, what it gives back, and how it lies there.

use super::*;

#[test]
fn an_unchanged_night_writes_no_pack_and_a_changed_one_what_changed() {
    let lab = ready();
    run(&lab);
    let first = packs(&lab);
    assert!(!first.is_empty() && !lab.path("repository/archives").exists());
    same(&lab, &unpacked(&lab, "services"));
    let said = run(&lab);
    assert!(said.out.contains("; 0 B new; "), "{said:?}");
    assert_eq!((packs(&lab), made(&lab)["fresh"].as_u64()), (first.clone(), Some(0)));
    lab.write("services/web/index.html", "hello again");
    run(&lab);
    let third = packs(&lab);
    assert!(third.is_superset(&first) && third.len() == first.len() + 1, "{third:?}");
    assert!(made(&lab)["fresh"].as_u64().unwrap() < 100_000);
    same(&lab, &unpacked(&lab, "latest"));
    whole(&lab);
    // Nothing is left undone, and the listing says what it all takes.
    assert!(!lab.path("state/unpruned").exists());
    let listed = lab.agent(&["archives"]).ended(0);
    assert!(listed.out.lines().last().unwrap().starts_with("together they take 6."), "{listed:?}");
}

#[test]
fn both_layouts_give_the_same_archive() {
    let lab = ready();
    run(&lab);
    lab.write("services/more", "of it");
    run(&lab);
    let packed = manifest(&lab, &lab.archives()[1]);
    let exported = lab.path("exported.tar.zst");
    lab.agent(&["export", "services", exported.to_str().unwrap()]).ended(0);
    assert_eq!(mode(&exported), 0o600);
    fs::rename(lab.path("repository"), lab.path("other")).unwrap();
    fs::rename(lab.path("state"), lab.path("other-state")).unwrap();
    lab.set_up("none", "docker: /nowhere/docker\n");
    run(&lab);
    let name = lab.archives().remove(0);
    let plain = manifest(&lab, &name);
    assert_eq!((plain.end.digest, &plain.frames), (packed.end.digest, &packed.frames));
    let (file, frames) = (fs::read(lab.path(&format!("repository/archives/{name}.tar.zst"))).unwrap(), plain.end.bytes as usize);
    assert!(fs::read(&exported).unwrap()[..frames] == file[..frames]);
    // And the plain one is exported byte for byte.
    let again = lab.path("again.tar.zst");
    lab.agent(&["export", "services", again.to_str().unwrap()]).ended(0);
    assert!(fs::read(&again).unwrap() == file);
    let said = lab.agent(&["export", "services", again.to_str().unwrap()]).ended(1);
    assert!(said.err.contains("again.tar.zst exists already"), "{said:?}");
    assert!(lab.agent(&["export", "servces"]).ended(1).err.contains("there is no archive \"servces\"; there is: services/2"));
}

#[test]
fn what_no_archive_needs_any_more_goes() {
    let lab = ready();
    let mut most = 0;
    for night in 0..7 {
        // A file that is another one each night, among what stays: packs that are half dead.
        noise(&lab, "dump", 100 + night, 3 << 20);
        run(&lab);
        assert!(!lab.path("state/unpruned").exists());
        most = most.max(stored(&lab, "repository/packs"));
    }
    assert_eq!(lab.archives().len(), 3);
    whole(&lab);
    // Three dumps and the library, and not seven dumps.
    assert!(most < (6 + 3 * 3 + 4) << 20, "{most}");
    same(&lab, &unpacked(&lab, "services"));
    // Data that is deleted is given back when the last archive that holds it goes.
    fs::remove_file(lab.path("services/library")).unwrap();
    fs::remove_file(lab.path("services/dump")).unwrap();
    for _ in 0..3 {
        run(&lab);
    }
    assert!(stored(&lab, "repository/packs") < 1 << 20);
    whole(&lab);
}

#[test]
fn what_a_killed_run_left_is_used_by_the_next_one() {
    let lab = ready();
    run(&lab);
    // As if the run had been killed before its manifest, and between a pack and its index object.
    let name = lab.archives().remove(0);
    fs::remove_file(lab.path(&format!("repository/manifests/{name}.zst"))).unwrap();
    let before = packs(&lab);
    fs::remove_file(lab.path("repository/index").join(before.first().unwrap())).unwrap();
    lab.write("state/unpruned", "");
    lab.write("repository/.tmp-left", "half a pack");
    lab.write("services/web/index.html", "changed");
    fs::remove_file(lab.path("services/library")).unwrap();
    noise(&lab, "library", 7, 1 << 20);
    run(&lab);
    whole(&lab);
    assert!(stored(&lab, "repository/packs") < 2 << 20, "what the killed run left and nobody needs is gone");
    assert!(!lab.path("state/unpruned").exists() && !lab.path("repository/.tmp-left").exists());
}

#[test]
fn packs_and_index_are_open_to_their_group_alone_whatever_the_umask() {
    let lab = ready();
    lab.run_under_a_closed_umask().ended(0);
    for folder in ["packs", "index"] {
        assert_eq!(mode(&lab.path("repository").join(folder)), 0o750, "{folder}");
        for name in names(&lab, &format!("repository/{folder}")) {
            assert_eq!(mode(&lab.path("repository").join(folder).join(&name)), 0o640, "{folder}/{name}");
        }
    }
}

#[test]
fn a_repository_of_the_other_layout_is_refused_and_stays_as_it_is() {
    let lab = ready();
    run(&lab);
    let text = fs::read_to_string(lab.path("agent.yaml")).unwrap();
    lab.write("agent.yaml", &text.replace("layout: packs\n", ""));
    for verb in [&["run", "services"][..], &["init"]] {
        let said = lab.agent(verb).ended(1);
        assert!(
            said.err.contains("has the layout \"packs\", and the configuration says \"plain\"")
                && said.err.contains("next: nothing is converted"),
            "{said:?}"
        );
    }
    let said = lab.agent(&["check"]).ended(1);
    assert!(said.out.contains("the configuration says \"plain\" (nothing is converted"), "{said:?}");
    // What is there can be listed and exported all the same.
    assert_eq!(lab.archives().len(), 1);
    same(&lab, &unpacked(&lab, "services"));
    lab.write("agent.yaml", &text.replace("layout: packs", "layout: sealed"));
    let said = lab.agent(&["check"]).ended(2);
    assert!(said.err.contains("layout: unknown value \"sealed\"; valid here: \"plain\", \"packs\""), "{said:?}");
    lab.write("agent.yaml", &text);
    run(&lab);
    whole(&lab);
}
