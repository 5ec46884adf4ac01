//! Stories of a repository of layout `packs` that need no engine: what a night writes, what it gives back, and what it survives.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[allow(dead_code, unreachable_pub, reason = "shared by several test programs")]
mod lab;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use jiff::Timestamp;
use lab::{Lab, Said, mode};
use offsite_agent::{Cancel, Config, RunOptions};
use offsite_archive::Manifest;
use offsite_repository::{LocalStore, Repository, Scope, verify};

const PACKS: &str = "docker: /nowhere/docker\nlayout: packs\n";

fn ready() -> Lab {
    let lab = Lab::new();
    lab.configure("none", PACKS);
    lab.write("services/web/index.html", "hello");
    noise(&lab, "library", 1, 6 << 20);
    lab.agent(&["init"]).ended(0);
    lab
}

/// Bytes that do not compress, the same for each seed.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let word = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..len / 8).flat_map(word).collect()
}

fn noise(lab: &Lab, name: &str, seed: u64, len: usize) {
    fs::write(lab.path("services").join(name), bytes(seed, len)).unwrap();
}

fn names(lab: &Lab, folder: &str) -> BTreeSet<String> {
    fs::read_dir(lab.path(folder))
        .map_or_else(|_| BTreeSet::new(), |entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
}

fn packs(lab: &Lab) -> BTreeSet<String> {
    names(lab, "repository/packs")
}

/// Bytes in the folder `name`.
fn stored(lab: &Lab, name: &str) -> u64 {
    fs::read_dir(lab.path(name)).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn run(lab: &Lab) -> Said {
    lab.agent(&["run", "services"]).ended(0)
}

/// What the last line of the journal says.
fn made(lab: &Lab) -> serde_json::Value {
    let text = fs::read_to_string(lab.path("state/journal.jsonl")).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn manifest(lab: &Lab, name: &str) -> Manifest {
    Manifest::read(&fs::read(lab.path(&format!("repository/manifests/{name}.zst"))).unwrap()).unwrap()
}

/// Fails unless every frame of every archive is there and good, and each pack has its index.
#[track_caller]
fn whole(lab: &Lab) {
    let local = LocalStore::open(&lab.path("repository")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(async {
        let repository = Repository::open(Arc::new(local)).await.unwrap();
        verify(&repository, &Scope::All, &|_| ()).await.unwrap()
    });
    assert!(found.is_whole(), "{found:?}");
    assert_eq!(packs(lab), names(lab, "repository/index"));
}

/// The archive as `export` and tar bring it back.
fn unpacked(lab: &Lab, wanted: &str) -> std::path::PathBuf {
    let into = lab.path("unpacked");
    if into.exists() {
        fs::remove_dir_all(&into).unwrap();
    }
    fs::create_dir(&into).unwrap();
    let mut agent = lab.command().args(["export", wanted]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut tar = Command::new("tar");
    let said: Said = tar.args(["--zstd", "-x", "-C"]).arg(&into).stdin(agent.stdout.take().unwrap()).output().unwrap().into();
    said.ended(0);
    assert!(agent.wait().unwrap().success());
    into.join(lab.path("services").strip_prefix("/").unwrap())
}

#[track_caller]
fn same(lab: &Lab, tree: &Path) {
    let said: Said = Command::new("diff").arg("-r").arg(lab.path("services")).arg(tree).output().unwrap().into();
    said.ended(0);
}

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
    lab.configure("none", "docker: /nowhere/docker\n");
    lab.agent(&["init"]).ended(0);
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
fn a_pack_that_is_missing_or_has_no_table_is_made_anew_from_the_files() {
    for broken in ["missing", "tables", "index", "both ends"] {
        let lab = ready();
        run(&lab);
        run(&lab);
        let pack = packs(&lab).into_iter().max_by_key(|name| fs::metadata(lab.path("repository/packs").join(name)).unwrap().len()).unwrap();
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
    let pack = packs(&lab).into_iter().max_by_key(|name| fs::metadata(lab.path("repository/packs").join(name)).unwrap().len()).unwrap();
    let file = lab.path("repository/packs").join(&pack);
    let mut rotten = fs::read(&file).unwrap();
    for at in [2 << 20, 4 << 20] {
        rotten[at] ^= 1;
    }
    fs::write(&file, rotten).unwrap();
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
    let old = packs(&lab).into_iter().max_by_key(|name| fs::metadata(lab.path("repository/packs").join(name)).unwrap().len()).unwrap();
    let file = lab.path("repository/packs").join(&old);
    let rotten: Vec<u8> = fs::read(&file).unwrap().iter().map(|byte| byte ^ 1).collect();
    fs::write(&file, rotten).unwrap();
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
    let agent = lab.command().get_program().to_owned();
    let said: Said = Command::new("sh")
        .args(["-c", "umask 077; exec \"$0\" \"$@\""])
        .arg(agent)
        .arg("--config")
        .arg(lab.path("agent.yaml"))
        .args(["run", "services"])
        .output()
        .unwrap()
        .into();
    said.ended(0);
    for folder in ["packs", "index"] {
        assert_eq!(mode(&lab.path("repository").join(folder)), 0o750, "{folder}");
        for name in names(&lab, &format!("repository/{folder}")) {
            assert_eq!(mode(&lab.path("repository").join(folder).join(&name)), 0o640, "{folder}/{name}");
        }
    }
}

/// The repository's folder, empty, on a file system of 30 MiB; `None` where none can be mounted. A pack is full at 8 MiB and shorter than 12:
/// beside the 6 of the library two have room, and three never.
fn on_a_small_disk(lab: &Lab) -> Option<Mounted> {
    let repository = lab.path("repository");
    fs::remove_dir_all(&repository).unwrap();
    fs::create_dir(&repository).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=30m", "tmpfs"]).arg(&repository).output();
    if mounted.is_ok_and(|output| output.status.success()) {
        return Some(Mounted(repository));
    }
    lab::skip("no file system can be mounted here");
    None
}

/// Leaves 4.5 MiB of it.
fn ballast(lab: &Lab) -> PathBuf {
    let (free, ballast) = (rustix::fs::statvfs(lab.path("repository")).unwrap(), lab.path("repository/.ballast"));
    fs::write(&ballast, vec![1; (free.f_bavail * free.f_frsize - (9 << 19)) as usize]).unwrap();
    ballast
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).output());
    }
}

#[test]
fn rot_on_a_full_disk_costs_the_bad_frames_and_no_more_until_there_is_room() {
    for deleted in [true, false] {
        let lab = ready();
        let Some(_mounted) = on_a_small_disk(&lab) else { return };
        lab.agent(&["init"]).ended(0);
        // One pack, not full; also without any one frame of "a" it is longer than there will be room for.
        noise(&lab, "library", 1, 3 << 20);
        for (seed, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            noise(&lab, name, 20 + seed as u64, 1 << 20);
        }
        run(&lab);
        if deleted {
            // So that the new pack is the one with fewer live bytes, and the rotten one with more.
            fs::remove_file(lab.path("services/d")).unwrap();
        }
        let pack = packs(&lab).into_iter().max_by_key(|name| fs::metadata(lab.path("repository/packs").join(name)).unwrap().len()).unwrap();
        let file = lab.path("repository/packs").join(&pack);
        let mut rotten = fs::read(&file).unwrap();
        assert!(rotten.len() > 13 << 19);
        rotten[500_000] ^= 1;
        fs::write(&file, rotten).unwrap();
        let ballast = ballast(&lab);
        for full in [true, false, false] {
            let said = lab.agent(if full { &["run", "services", "--full"] } else { &["run", "services"] }).ended(0);
            assert!(said.err.contains(&format!("packs/{pack} was damaged and cannot be set aside: ")), "{said:?}");
            assert!(made(&lab)["fresh"].as_u64().unwrap() < 5 << 19 && made(&lab)["full"].is_null());
            same(&lab, &unpacked(&lab, "latest"));
            assert!(!lab.path("state/unpruned").exists());
        }
        let said = lab.agent(&["check"]).ended(0);
        assert!(said.out.contains(&format!("packs/{pack} holds 1 bad frame and could not be set aside")), "{said:?}");
        // What a run found is told also if it fails.
        noise(&lab, "big", 30, 6 << 20);
        let said = lab.agent(&["run", "services"]).ended(1);
        assert!(said.err.contains("next: the disk of the repository is full") && !said.err.contains("for good"), "{said:?}");
        assert!(made(&lab)["notes"][0].as_str().unwrap().contains("was damaged and cannot be set aside"));
        let said = lab.agent(&["check"]).ended(0);
        assert!(said.out.contains(&format!("that run found: packs/{pack} was damaged")), "{said:?}");
        fs::remove_file(lab.path("services/big")).unwrap();
        fs::remove_file(&ballast).unwrap();
        run(&lab);
        assert!(lab.path("repository/damaged").join(&pack).exists());
        whole(&lab);
        same(&lab, &unpacked(&lab, "latest"));
    }
}

#[test]
fn a_pack_without_tables_on_a_full_disk_is_used_where_it_lies() {
    let lab = ready();
    let Some(_mounted) = on_a_small_disk(&lab) else { return };
    lab.agent(&["init"]).ended(0);
    noise(&lab, "library", 1, 3 << 20);
    noise(&lab, "more", 20, 4 << 20);
    run(&lab);
    let pack = packs(&lab).into_iter().max_by_key(|name| fs::metadata(lab.path("repository/packs").join(name)).unwrap().len()).unwrap();
    for (folder, before) in [("packs", 30), ("index", 5)] {
        let path = lab.path("repository").join(folder).join(&pack);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() - before;
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let ballast = ballast(&lab);
    for _ in 0..2 {
        let said = run(&lab);
        assert!(said.err.contains("cannot be set aside: ") && made(&lab)["fresh"] == 0, "{said:?}");
        same(&lab, &unpacked(&lab, "latest"));
    }
    fs::remove_file(&ballast).unwrap();
    let said = run(&lab);
    assert!(said.err.contains(&format!("packs/{pack} was damaged and set aside: ")) && made(&lab)["fresh"] == 0, "{said:?}");
    whole(&lab);
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
    let file = lab.path("repository/packs").join(&pack);
    let rotten: Vec<u8> = fs::read(&file).unwrap().iter().map(|byte| byte ^ 1).collect();
    fs::write(&file, rotten).unwrap();
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
    let file = lab.path("repository/packs").join(&pack);
    let rotten: Vec<u8> = fs::read(&file).unwrap().iter().map(|byte| byte ^ 1).collect();
    fs::write(&file, rotten).unwrap();
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

#[test]
fn a_disk_that_gets_full_is_not_left_full() {
    let lab = ready();
    let Some(_mounted) = on_a_small_disk(&lab) else { return };
    lab.agent(&["init"]).ended(0);
    run(&lab);
    let before = packs(&lab);
    noise(&lab, "big", 11, 32 << 20);
    let said = lab.agent(&["run", "services"]).ended(1);
    assert!(said.err.contains("No space left on device") && said.err.contains("next: the disk of the repository is full"), "{said:?}");
    // The run had written two packs by then.
    assert!(said.err.contains("pruned removed=2"), "{said:?}");
    assert_eq!(packs(&lab), before);
    assert!(!lab.path("state/unpruned").exists());
    fs::remove_file(lab.path("services/big")).unwrap();
    run(&lab);
    whole(&lab);
    assert_eq!(lab.archives().len(), 2);
}
