//! What is kept is read back, a part each night, and what rots is healed from where it still is.

use std::{
    fs,
    io::Read as _,
    process::{Command, Stdio},
};

use super::{Scene, list};

impl Scene {
    /// Flips a bit in every pack of the Mac.
    fn spoil_packs(&self) {
        for pack in list(&self.path("mac/packs")) {
            self.spoil(&format!("mac/packs/{pack}"));
        }
    }

    fn spoil(&self, name: &str) {
        let path = self.path(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 0x10;
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }

    fn verify(&self, part: &str) {
        let path = self.path("offsite.yaml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("verify: {part}\n{text}")).unwrap();
    }

    /// The Pi loses all its archives.
    fn pi_forgets(&self) {
        for folder in ["backup/manifests/services", "backup/archives/services"] {
            fs::remove_dir_all(self.path(folder)).unwrap();
        }
    }

    /// A file of so many bytes that compress to nothing.
    fn noise(&self, name: &str, bytes: usize, seed: u64) {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        fs::write(self.path(name), (0..bytes).map(|_| next()).collect::<Vec<u8>>()).unwrap();
    }

    /// Puts a line in place of the one that says how many archives the Mac keeps.
    fn keep(&self, number: u32) {
        let path = self.path("offsite.yaml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\nkeep: 6\n", &format!("\nkeep: {number}\n"))).unwrap();
    }

    /// `offsite sync` where no file may become longer than 64 KiB, as on a disk that has only a little room left.
    async fn sync_without_room(&self) -> String {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" --config \"$1\" sync", env!("CARGO_BIN_EXE_offsite")]);
        command.arg(self.path("offsite.yaml")).env_clear().env("HOME", self.path("")).stdin(std::process::Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        said
    }

    /// All packs of the Mac together.
    fn pack_bytes(&self) -> u64 {
        fs::read_dir(self.path("mac/packs")).unwrap().map(|pack| pack.unwrap().metadata().unwrap().len()).sum()
    }

    fn receipts(&self, kind: &str) -> usize {
        fs::read_to_string(self.path("state/journal.jsonl")).unwrap().matches(&format!("\"kind\":\"{kind}\"")).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rot_is_found_by_the_night_and_healed_from_the_pi() {
    let scene = Scene::new().await;
    scene.verify("all");
    scene.night(3).await;
    let newest = scene.night(2).await;
    scene.offsite(&["sync"], 0).await;
    scene.spoil_packs();
    let said = scene.offsite(&["sync"], 0).await;
    assert!(said.contains("damaged: packs/") && said.contains(&format!("healed: {newest} is whole again")), "{said}");
    assert_eq!((scene.receipts("lost"), scene.receipts("healed")), (2, 2));
    let aside = list(&scene.path("mac/damaged")).len();
    let said = scene.offsite(&["status"], 4).await;
    assert!(aside > 0 && said.contains(&format!("{aside} damaged pack")) && said.contains("watch this disk"), "{said}");
    scene.offsite(&["verify"], 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_check_found_is_healed_by_the_next_night_in_every_archive_that_needs_it() {
    let scene = Scene::new().await;
    scene.verify("none");
    scene.night(3).await;
    scene.night(2).await;
    scene.offsite(&["sync"], 0).await;
    scene.spoil_packs();
    scene.offsite(&["verify"], 3).await;
    assert_eq!((scene.receipts("lost"), scene.receipts("pulled")), (2, 2));
    scene.offsite(&["sync"], 0).await;
    // The frame came for one of them, and was what the other lacked; neither is a new archive.
    assert_eq!((scene.receipts("healed"), scene.receipts("pulled")), (2, 2));
    let said = scene.offsite(&["status"], 4).await;
    assert!(!said.contains("lacking or damaged"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_pi_has_not_any_more_is_healed_from_a_cloud_that_can_be_read_at_once() {
    let scene = Scene::new().await;
    scene.verify("all");
    let newest = scene.night(2).await;
    scene.offsite(&["sync"], 0).await;
    scene.spoil_packs();
    scene.pi_forgets();
    let said = scene.offsite(&["sync"], 0).await;
    assert!(said.contains(&format!("healed: {newest} is whole again")), "{said}");
    assert!(fs::read_to_string(scene.path("state/journal.jsonl")).unwrap().contains("\"from\":\"cold\""));
    scene.offsite(&["verify"], 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_lost_and_said_and_pushes_nothing_out() {
    let scene = Scene::new().await;
    scene.verify("all");
    for day in (2..8).rev() {
        scene.night(day).await;
        scene.offsite(&["sync"], 0).await;
    }
    scene.spoil_packs();
    scene.pi_forgets();
    for pack in list(&scene.path("cloud/packs")) {
        fs::remove_file(scene.path("cloud/packs").join(pack)).unwrap();
    }
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains("lost: services/") && said.contains("offsite verify --heal-from CLOUD"), "{said}");
    let said = scene.offsite(&["status"], 1).await;
    assert!(said.contains("lacking or damaged"), "{said}");
    fs::write(scene.path("house/new.txt"), "another night").unwrap();
    scene.night(1).await;
    scene.offsite(&["sync"], 3).await;
    assert_eq!(scene.archives("mac").len(), 7, "six of them are not whole, and so none is pushed out");
}

#[tokio::test(flavor = "multi_thread")]
async fn rot_in_what_the_mac_held_before_is_met_by_the_plain_copy_and_healed_the_same_night() {
    let scene = Scene::new().await;
    scene.verify("none");
    scene.night(3).await;
    scene.offsite(&["sync"], 0).await;
    assert_eq!(scene.receipts("verified"), 1, "the newest archive was read back for its plain copy");
    scene.spoil_packs();
    scene.offsite(&["sync"], 0).await;
    assert_eq!(scene.receipts("lost"), 0, "nothing was read");
    let newest = scene.night(2).await;
    let said = scene.offsite(&["sync"], 0).await;
    assert!(said.contains(&format!("healed: {newest} is whole again")), "{said}");
    assert_eq!(list(&scene.path("mac/plain/services")), [format!("{}.tar.zst", newest.time_text())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_copy_that_rots_is_made_again() {
    let scene = Scene::new().await;
    scene.verify("all");
    let newest = scene.night(2).await;
    scene.offsite(&["sync"], 0).await;
    let copy = format!("mac/plain/{newest}.tar.zst");
    let good = fs::read(scene.path(&copy)).unwrap();
    scene.spoil(&copy);
    let said = scene.offsite(&["sync"], 0).await;
    assert!(said.contains(&format!("damaged: the plain copy of {newest}")) && said.contains("it is made again"), "{said}");
    assert!(fs::read(scene.path(&copy)).unwrap() == good);
    assert_eq!(scene.receipts("lost"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_so_many_nights_every_archive_is_verified_again_and_told_once() {
    let scene = Scene::new().await;
    scene.verify("1/3");
    // Each night brings a pack of its own.
    for day in [4, 3, 2] {
        fs::write(scene.path("house/new.txt"), format!("night {day}\n").repeat(3000)).unwrap();
        scene.night(day).await;
        scene.offsite(&["sync"], 0).await;
    }
    assert!(list(&scene.path("mac/packs")).len() >= 3);
    // However the budget falls: no more than a few nights, and then each archive has one receipt for the round.
    for _ in 0..4 {
        scene.offsite(&["sync"], 0).await;
    }
    let told = || {
        let journal = fs::read_to_string(scene.path("state/journal.jsonl")).unwrap();
        let receipts = journal.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let of = |receipt: serde_json::Value| Some((receipt["archive"].as_str()?.to_owned(), receipt["since"].as_str()?.to_owned()));
        let mut told: Vec<_> = receipts.filter(|receipt| receipt["kind"] == "verified").filter_map(of).collect();
        told.sort();
        told
    };
    let all = told();
    for name in scene.archives("mac") {
        let archive = format!("services/{}", name.trim_end_matches(".zst"));
        assert!(all.iter().any(|(told, _)| *told == archive), "{archive} {all:?}");
    }
    let once = |told: &[(String, String)]| told.windows(2).all(|pair| pair[0] != pair[1]);
    assert!(once(&all), "one receipt for each round: {all:?}");
    let rounds = fs::read_to_string(scene.path("state/rounds.json")).unwrap();
    assert_eq!(rounds.matches("packs/").count(), list(&scene.path("mac/packs")).len(), "{rounds}");
    // A round that ended is no news tomorrow, and one that was forgotten begins anew.
    fs::write(scene.path("state/rounds.json"), "{").unwrap();
    scene.offsite(&["sync"], 0).await;
    assert!(once(&told()), "{:?}", told());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_copies_are_as_many_as_configured() {
    let scene = Scene::new().await;
    let (old, new) = (scene.night(3).await, scene.night(2).await);
    let path = scene.path("offsite.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let file = |name: &offsite_archive::ArchiveName| format!("{}.tar.zst", name.time_text());
    for (which, mut wanted) in
        [("all", vec![file(&old), file(&new)]), ("newest", vec![file(&new)]), ("none", vec![]), ("newest", vec![file(&new)])]
    {
        fs::write(&path, format!("plain: {which}\n{text}")).unwrap();
        scene.offsite(&["sync"], 0).await;
        let mut there = list(&scene.path("mac/plain/services"));
        there.sort();
        wanted.sort();
        assert_eq!(there, wanted, "{which}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_there_is_no_room_to_set_aside_is_told_and_pushes_nothing_out() {
    let scene = Scene::new().await;
    scene.verify("all");
    let path = scene.path("offsite.yaml");
    fs::write(&path, format!("plain: none\n{}", fs::read_to_string(&path).unwrap())).unwrap();
    let whole = scene.night(3).await;
    scene.offsite(&["sync"], 0).await;
    let before = list(&scene.path("mac/packs"));
    scene.noise("house/db", 4 << 20, 1);
    scene.night(2).await;
    scene.offsite(&["sync"], 0).await;
    for pack in list(&scene.path("mac/packs")).iter().filter(|pack| !before.contains(pack)) {
        scene.spoil(&format!("mac/packs/{pack}"));
    }
    scene.pi_forgets();
    for pack in list(&scene.path("cloud/packs")) {
        fs::remove_file(scene.path("cloud/packs").join(pack)).unwrap();
    }
    // The rule would let the older one go tonight, the only one that is whole.
    scene.keep(1);
    let packs = list(&scene.path("mac/packs")).len();
    for _ in 0..2 {
        let said = scene.sync_without_room().await;
        assert!(said.contains("cannot be set aside"), "{said}");
        assert_eq!((scene.archives("mac").len(), scene.receipts("lost")), (2, 2 + 1), "two in the cloud, one here: {said}");
        assert_eq!(list(&scene.path("mac/packs")).len(), packs);
    }
    let rounds = fs::read_to_string(scene.path("state/rounds.json")).unwrap();
    assert!(!rounds.contains("null"), "all had their turn: {rounds}");
    // With room again.
    scene.offsite(&["sync"], 3).await;
    assert_eq!(list(&scene.path("mac/damaged")).len(), 1);
    assert!(scene.archives("mac").contains(&format!("{}.zst", whole.time_text())));
    let said = scene.offsite(&["verify"], 3).await;
    assert!(said.contains("1 not whole"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_vanished_manifest_needs_stays_until_it_is_back_or_forgotten() {
    let scene = Scene::new().await;
    scene.noise("house/db", 100_000, 1);
    let old = scene.night(3).await;
    scene.offsite(&["sync"], 0).await;
    scene.noise("house/db", 100_000, 2);
    scene.night(2).await;
    scene.noise("house/db", 100_000, 3);
    let third = scene.night(1).await;
    scene.offsite(&["sync"], 0).await;
    let (manifest, aside) = (scene.path(&format!("mac/manifests/{old}.zst")), scene.path("aside.zst"));
    fs::rename(&manifest, &aside).unwrap();
    scene.pi_forgets();
    let packs = scene.pack_bytes();
    for _ in 0..2 {
        scene.offsite(&["sync"], 3).await;
        assert_eq!(scene.pack_bytes(), packs);
    }
    // Nor does forgetting another one take what that one needs.
    let said = scene.offsite(&["forget", &third.to_string()], 0).await;
    assert!(said.contains("nothing is pruned while mac lacks the manifest"), "{said}");
    assert_eq!(scene.pack_bytes(), packs);
    fs::rename(&aside, &manifest).unwrap();
    scene.offsite(&["sync"], 0).await;
    scene.offsite(&["verify", &old.to_string()], 0).await;
    assert!(scene.pack_bytes() < packs, "what only the forgotten one needed is gone");
    // Forgotten, it holds nothing back.
    fs::remove_file(&manifest).unwrap();
    scene.offsite(&["sync"], 3).await;
    let packs = scene.pack_bytes();
    scene.offsite(&["forget", &old.to_string()], 0).await;
    scene.offsite(&["sync"], 0).await;
    assert!(scene.pack_bytes() < packs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_archive_that_is_forgotten_on_the_mac_pushes_nothing_out_of_the_cloud() {
    let scene = Scene::new().await;
    let path = scene.path("offsite.yaml");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("keep: 6}", "keep: 2}")).unwrap();
    scene.noise("house/db", 100_000, 1);
    for day in [5, 4] {
        scene.night(day).await;
        scene.offsite(&["sync"], 0).await;
    }
    // Nearly all is gone.
    fs::remove_file(scene.path("house/db")).unwrap();
    fs::write(scene.path("house/letter.txt"), "empty").unwrap();
    let bad = scene.night(3).await;
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains(&format!("suspicious: {bad}")), "{said}");
    scene.pi_forgets();
    scene.offsite(&["forget", &bad.to_string()], 0).await;
    // Back to what it was; with the bad one, the good ones would be two too many in the cloud.
    scene.noise("house/db", 100_000, 1);
    fs::write(scene.path("house/letter.txt"), "a letter that stays as it is, night after night\n".repeat(400)).unwrap();
    scene.night(2).await;
    scene.offsite(&["sync"], 3).await;
    assert_eq!(list(&scene.path("cloud/manifests")).len(), 4);
    let said = scene.offsite(&["status"], 1).await;
    assert!(said.contains(&format!("offsite forget {bad} --cloud cold")), "{said}");
    scene.offsite(&["forget", "--cloud", "cold", &bad.to_string()], 0).await;
    // The one that a person forgot since the last night was that night's worth.
    scene.offsite(&["sync"], 3).await;
    scene.offsite(&["sync"], 0).await;
    assert_eq!(list(&scene.path("cloud/manifests")).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_forgets_here_does_not_come_back_by_itself() {
    let scene = Scene::new().await;
    let old = scene.night(3).await;
    scene.night(2).await;
    scene.offsite(&["sync"], 0).await;
    // By the beginning of its time, as elsewhere; but the newest of a job, whichever that is just now, is no name for what is to go.
    let short = old.to_string()[.."services/2026-11-22".len()].to_owned();
    let said = scene.offsite(&["forget", "services"], 2).await;
    assert!(said.contains("say which one") && said.contains("offsite archives"), "{said}");
    let said = scene.offsite(&["forget", "services/1999"], 1).await;
    assert!(said.contains("next:") && said.contains("offsite archives"), "{said}");
    let said = scene.offsite(&["forget", &short], 0).await;
    assert!(said.contains(&format!("forgot {old} (mac)")) && said.contains("offsite sync --again"), "{said}");
    assert!(!scene.offsite(&["sync", "--dry-run"], 0).await.contains("would pull"));
    scene.offsite(&["sync"], 0).await;
    assert_eq!((scene.archives("mac").len(), scene.archives("backup").len()), (1, 2));
    // What was not forgotten cannot be wanted again.
    let other = format!("services/{}", scene.archives("mac")[0].trim_end_matches(".zst"));
    assert!(scene.offsite(&["sync", "--again", &other], 1).await.contains("was not forgotten by hand"));
    scene.offsite(&["sync", "--again", &old.to_string()], 0).await;
    assert_eq!(scene.archives("mac").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_had_to_say_is_seen_on_the_mac() {
    let scene = Scene::new().await;
    let config = scene.path("offsite.yaml");
    fs::write(&config, format!("overdue_hours: 200\n{}", fs::read_to_string(&config).unwrap())).unwrap();
    scene.night(3).await;
    let _socket = std::os::unix::net::UnixListener::bind(scene.path("house/socket")).unwrap();
    for day in [2, 1] {
        scene.night(day).await;
        scene.offsite(&["sync"], 0).await;
    }
    let status = scene.offsite(&["status"], 0).await;
    assert!(status.contains("house/socket: a socket, which no archive can hold, was left out (offsite archives)"), "{status}");
    assert!(scene.offsite(&["archives"], 0).await.contains("house/socket: a socket"));
    let json: serde_json::Value = serde_json::from_str(&scene.offsite(&["archives", "--json"], 0).await).unwrap();
    let warned = |at: usize| json[at].get("warned").map_or(0, |all| all.as_array().unwrap().len());
    assert_eq!([warned(0), warned(1), warned(2)], [0, 1, 1]);
    let journal = fs::read_to_string(scene.path("state/journal.jsonl")).unwrap();
    assert_eq!(journal.matches(r#""warnings":{"count":1,"new":1,"#).count(), 1, "new in one night only: {journal}");
}

/// On the bad day the archive that is wanted is often the oldest, and the night that comes meanwhile pushes exactly that one out.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_read_is_not_forgotten_under_its_reader() {
    let scene = Scene::new().await;
    // More than is read ahead.
    scene.noise("house/db", 24 << 20, 1);
    let old = scene.night(2).await;
    scene.offsite(&["sync"], 0).await;
    let packs = list(&scene.path("mac/packs"));
    scene.noise("house/db", 24 << 20, 2);
    scene.night(1).await;
    scene.keep(1);
    let mut command = Command::new(env!("CARGO_BIN_EXE_offsite"));
    command.arg("--config").arg(scene.path("offsite.yaml")).args(["export", &old.to_string(), "-"]).env_clear().env("HOME", scene.path(""));
    let mut reader = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = reader.stdout.take().unwrap();
    // It has begun, and then nobody takes what it has.
    pipe.read_exact(&mut [0]).unwrap();

    let said = scene.offsite(&["sync"], 0).await;
    assert!(said.contains("nothing was forgotten on this Mac: a restore was reading it") && !said.contains("forgot services"), "{said}");
    assert_eq!((scene.archives("mac").len(), scene.receipts("forgot")), (2, 0));
    let said = scene.offsite(&["forget", &old.to_string()], 4).await;
    assert!(said.contains("is reading this Mac's repository") && said.contains("next:  wait for it to end"), "{said}");
    assert_eq!(scene.receipts("forgot"), 0);
    // Nor does a pack go away because it is damaged: he may need what is good in it.
    let new = list(&scene.path("mac/packs")).into_iter().find(|pack| !packs.contains(pack)).unwrap();
    scene.spoil(&format!("mac/packs/{new}"));
    let said = scene.offsite(&["verify"], 3).await;
    assert!(said.contains("not set aside yet: a restore, export, cat or diff is reading"), "{said}");
    assert!(list(&scene.path("mac/packs")).contains(&new) && !scene.path("mac/damaged").exists());

    let rest = std::io::copy(&mut pipe, &mut std::io::sink()).unwrap();
    assert!(reader.wait().unwrap().success() && rest > 24 << 20, "{rest} bytes");
    let said = scene.offsite(&["sync"], 0).await;
    assert!(said.contains(&format!("forgot {old} (mac)")), "{said}");
    assert_eq!(scene.archives("mac").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_away_says_nothing_of_what_is_on_it() {
    let scene = Scene::new().await;
    scene.night(1).await;
    scene.offsite(&["sync"], 0).await;
    fs::rename(scene.path("mac"), scene.path("away")).unwrap();
    let said = scene.offsite(&["verify"], 1).await;
    assert!(said.contains("cannot open the repository"), "{said}");
    fs::rename(scene.path("away"), scene.path("mac")).unwrap();
    assert_eq!(scene.receipts("failed"), 0);
}
