//! Packs, tables and manifests that rot or go missing.

use super::*;

#[test]
fn a_pack_that_is_missing_or_has_no_table_is_made_anew_from_the_files() {
    for broken in ["missing", "tables", "index", "both ends"] {
        let lab = ready();
        run(&lab);
        run(&lab);
        let pack = largest(&lab);
        let (file, index) = (lab.path("repository/packs").join(&pack), lab.path("repository/index").join(&pack));
        let spoil = |path: &Path, at_end: bool| {
            let mut bytes = fs::read(path).unwrap();
            let at = if at_end { bytes.len() - 30 } else { 20 };
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
        };
        match broken {
            "missing" => fs::remove_file(&file).unwrap(),
            "tables" => fs::remove_file(&index).unwrap(),
            "index" => spoil(&index, false),
            _ => {
                spoil(&index, false);
                spoil(&file, true);
            }
        }
        let said = run(&lab);
        let lost = broken == "missing";
        assert_eq!(said.err.contains("lie in no pack any more: the files are read again"), lost, "{broken}: {said:?}");
        assert_eq!(made(&lab)["fresh"].as_u64().unwrap() > 4 << 20, lost, "{broken}");
        assert_eq!(lab.path("repository/damaged").join(&pack).exists(), broken == "both ends");
        assert_eq!(said.err.contains("without a readable table and set aside: "), broken == "both ends", "{said:?}");
        // The same frames: the archives before are whole again, too.
        whole(&lab);
        same(&lab, &unpacked(&lab, "services"));
        assert!(!run(&lab).err.contains("warning"), "{broken}");
        let said = lab.agent(&["check"]).ended(0);
        assert_eq!(said.out.contains("1 pack with damage lies in"), broken == "both ends");
        assert_eq!(said.out.contains("remove them when you have looked"), broken == "both ends");
    }
}

#[test]
fn a_full_run_finds_rot_and_heals_it_from_the_files() {
    let lab = ready();
    noise(&lab, "gone", 3, 1 << 20);
    run(&lab);
    fs::remove_file(lab.path("services/gone")).unwrap();
    run(&lab);
    let before = lab.archives();
    let pack = largest(&lab);
    let file = lab.path("repository/packs").join(&pack);
    let mut rotten = fs::read(&file).unwrap();
    for at in [2 << 20, 4 << 20] {
        rotten[at] ^= 1;
    }
    fs::write(&file, rotten).unwrap();
    let said = lab.agent(&["export", &before[0], lab.path("out").to_str().unwrap()]).ended(1);
    assert!(said.err.contains("next: offsite-agent run --full services makes anew what the files still hold"), "{said:?}");
    // Nobody reads what lies in place: that is the price of not copying it.
    assert!(!run(&lab).err.contains("damaged"));
    let said = lab.agent(&["run", "services", "--full"]).ended(0);
    assert!(said.err.contains(&format!("packs/{pack} was damaged and set aside: ")), "{said:?}");
    whole(&lab);
    assert!(lab.path("repository/damaged").join(&pack).exists() && lab.archives().starts_with(&before[1..]));
    // Frames of one large file were rotten, of hundreds in the pack.
    let fresh = made(&lab)["fresh"].as_u64().unwrap();
    assert!(fresh > 0 && fresh < 9 << 20, "{fresh}");
    same(&lab, &unpacked(&lab, "services"));
    assert!(!lab.agent(&["run", "services", "--full"]).ended(0).err.contains("warning"));
}

#[test]
fn what_no_file_holds_any_more_is_told_to_be_lost() {
    let lab = ready();
    noise(&lab, "gone", 3, 1 << 20);
    run(&lab);
    fs::remove_file(lab.path("services/gone")).unwrap();
    noise(&lab, "library", 4, 1 << 20);
    run(&lab);
    let archives = lab.archives();
    let old = largest(&lab);
    all_rotten(&lab, &old);
    let said = lab.agent(&["run", "services", "--full"]).ended(0);
    assert!(
        said.err.contains(&format!("warning: {} has lost ", archives[0])) && !said.err.contains(&format!("{} has lost", archives[1])),
        "{said:?}"
    );
    assert_eq!(made(&lab)["notes"].as_array().unwrap().len(), 1);
    let said = lab.agent(&["check"]).ended(0);
    assert!(said.out.contains(&format!("{} lacks ", archives[0])) && said.out.contains("keep them while archives lack frames"), "{said:?}");
    assert!(lab.agent(&["export", &archives[0]]).ended(1).err.contains("is not in the repository"));
    same(&lab, &unpacked(&lab, "services"));
}

#[test]
fn a_manifest_that_cannot_be_read_stops_giving_back_and_not_the_archive() {
    let lab = ready();
    run(&lab);
    let name = lab.archives().remove(0);
    let path = lab.path(&format!("repository/manifests/{name}.zst"));
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    noise(&lab, "library", 9, 1 << 20);
    let before = packs(&lab);
    let said = run(&lab);
    assert!(said.err.contains("nothing is given back any more: take it out") && packs(&lab).is_superset(&before), "{said:?}");
    assert!(made(&lab)["notes"][0].as_str().unwrap().contains(&name));
    assert!(lab.agent(&["check"]).out.contains("nothing is given back: take it out"));
    assert!(lab.path("state/unpruned").exists());
    // When it is back, so is all that it needs.
    fs::write(&path, good).unwrap();
    run(&lab);
    assert!(!lab.path("state/unpruned").exists());
    whole(&lab);
    assert_eq!(lab.archives().len(), 3);
}

#[test]
fn archives_that_have_lost_frames_push_no_whole_one_out() {
    let lab = ready();
    run(&lab);
    noise(&lab, "gone", 3, 1 << 20);
    run(&lab);
    run(&lab);
    fs::remove_file(lab.path("services/gone")).unwrap();
    let before = lab.archives();
    // The pack of that file alone.
    let pack = packs(&lab).into_iter().min_by_key(|name| fs::metadata(lab.path("repository/packs").join(name)).unwrap().len()).unwrap();
    all_rotten(&lab, &pack);
    assert!(lab.agent(&["run", "services", "--full"]).ended(0).err.contains(&format!("{} has lost ", before[1])));
    // Three are kept; two of four are not whole, and go first. That is known in the nights after, too.
    assert_eq!(lab.archives()[..3], before);
    run(&lab);
    let now = lab.archives();
    assert!(now.contains(&before[0]) && !now.contains(&before[1]), "{now:?}");
    run(&lab);
    let now = lab.archives();
    assert!(!now.contains(&before[0]) && !now.contains(&before[2]) && now.len() == 3, "{now:?}");
    run(&lab);
    assert!(!lab.path("state/lossy").exists());
    whole(&lab);
}

#[test]
fn that_archives_have_lost_frames_is_known_also_after_a_run_that_did_not_end() {
    let lab = ready();
    run(&lab);
    noise(&lab, "gone", 3, 1 << 20);
    run(&lab);
    fs::remove_file(lab.path("services/gone")).unwrap();
    run(&lab);
    let before = lab.archives();
    // The pack of that file: the second archive cannot be made whole any more, and the newest one is.
    let size = |name: &str| fs::metadata(lab.path("repository/packs").join(name)).unwrap().len();
    let pack = packs(&lab).into_iter().find(|name| (1 << 20..2 << 20).contains(&size(name))).unwrap();
    all_rotten(&lab, &pack);
    let (config, cancel) = (Config::load(&lab.path("agent.yaml")).unwrap(), Cancel::default());
    let mut stop = |_: offsite_archive::Progress<'_>| cancel.set();
    let options = RunOptions { full: true, cancel: cancel.clone(), ..RunOptions::new(&Timestamp::now, &mut stop) };
    let error = offsite_agent::run(&config, &"services".parse().unwrap(), options).unwrap_err();
    assert!(offsite_agent::chain(&error).contains("stopped"), "{error}");
    assert!(lab.path("repository/damaged").join(&pack).exists() && lab.archives() == before);
    run(&lab);
    assert!(made(&lab)["full"].is_null(), "a full run would find out by itself");
    let now = lab.archives();
    assert!(now.contains(&before[0]) && now.contains(&before[2]), "a whole one went for one that is not: {now:?}");
}
