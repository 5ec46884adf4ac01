//! Nights that do not go as they should: a Pi that floods, lies or holds nothing, a cloud that drops what it was given.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use jiff::{Timestamp, ToSpan};
use offsite_archive::{ArchiveName, End, FrameId, FrameRef, FramesDigest, Head, Line, Manifest, ManifestWriter};
use offsite_sftp::{keys, server::EmbeddedServer};

#[path = "nights/keep.rs"]
mod keep;
#[path = "nights/matrix.rs"]
mod matrix;
#[path = "nights/mute.rs"]
mod mute;
#[path = "nights/paper.rs"]
mod paper;
#[path = "nights/room.rs"]
mod room;
#[path = "nights/tripwire.rs"]
mod tripwire;

/// A Pi with a real agent behind an SFTP server, a Mac and a cloud in a folder; keeps six.
struct Scene {
    dir: tempfile::TempDir,
    agent: offsite_agent::Config,
    _server: EmbeddedServer,
}

impl Scene {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        for folder in ["house", "backup", "cloud"] {
            fs::create_dir(root.join(folder)).unwrap();
        }
        fs::write(root.join("house/letter.txt"), "a letter that stays as it is, night after night\n".repeat(400)).unwrap();
        let text = format!(
            "repository: {0}/backup\nstate: {0}/agent\nkeep: 100\njobs:\n  services:\n    sources: [{0}/house]\n    quiesce: none\n",
            root.display()
        );
        fs::write(root.join("agent.yaml"), text).unwrap();
        let agent = offsite_agent::Config::load(&root.join("agent.yaml")).unwrap();
        {
            let agent = agent.clone();
            tokio::task::spawn_blocking(move || offsite_agent::make_repository(&agent).unwrap()).await.unwrap();
        }
        let public = keys::generate_key_file(&root.join("id"), "test").unwrap();
        let server = EmbeddedServer::start(&root.join("backup"), &public).await.unwrap();
        fs::write(root.join("known_hosts"), format!("{}\n", server.known_hosts_line())).unwrap();
        let text = format!(
            "repository: {0}/mac\nstate: {0}/state\nkeep: 6\npis:\n- {{name: pi, host: 127.0.0.1, port: {1}, user: x, path: /, key: {0}/id, known_hosts: {0}/known_hosts}}\nclouds:\n- {{name: cold, url: 'file://{0}/cloud', keep: 6}}\n",
            root.display(),
            server.port()
        );
        fs::write(root.join("offsite.yaml"), text).unwrap();
        let scene = Self { dir, agent, _server: server };
        scene.offsite(&["init"], 0).await;
        scene.offsite(&["key", "new"], 0).await;
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The agent runs on the `day`th day before today, at 04:00 UTC.
    async fn night(&self, day: i64) -> ArchiveName {
        let now = Timestamp::now().as_second();
        let time = Timestamp::from_second(now - now % 86_400 - day * 86_400 + 4 * 3600 - 86_400).unwrap();
        let agent = self.agent.clone();
        let run = move || {
            let clock = move || time;
            // Waits, because a child that another test forks just now holds every descriptor, the lock's too, until its exec.
            offsite_agent::run(&agent, &"services".parse().unwrap(), offsite_agent::RunOptions::new(&clock, &mut |_| {})).unwrap().archive
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// Runs `offsite`, which must end with `code`; returns all that it said.
    async fn offsite(&self, arguments: &[&str], code: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offsite"));
        command.arg("--config").arg(self.path("offsite.yaml")).args(arguments).env_clear().env("HOME", self.dir.path());
        command.stdin(std::process::Stdio::null());
        let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    /// The archives in a folder of manifests that are named by time.
    fn archives(&self, place: &str) -> Vec<String> {
        let mut names: Vec<String> = list(&self.path(place).join("manifests/services"));
        names.sort();
        names
    }
}

fn list(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_archives_pushes_a_few_out_and_is_told() {
    let scene = Scene::new().await;
    for day in (20..26).rev() {
        scene.night(day).await;
        scene.offsite(&["sync"], 0).await;
    }
    let good = scene.archives("mac");
    assert_eq!(good.len(), 6);
    for day in (2..10).rev() {
        scene.night(day).await;
    }
    // What is announced is what one night takes.
    let said = scene.offsite(&["sync", "--dry-run"], 0).await;
    assert_eq!(said.lines().filter(|line| line.starts_with("would forget ") && line.ends_with("(mac)")).count(), 2, "{said}");
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains("would forget 6 archives of services at once"), "{said}");
    let left = scene.archives("mac");
    assert_eq!(good.iter().filter(|name| left.contains(name)).count(), 4, "more than a third of six went");
    // Overdue as well: the newest of the flood is named for three days ago.
    let said = scene.offsite(&["status"], 4).await;
    assert!(said.contains("would forget 6 archives") && said.contains("offsite archives"), "{said}");
}

/// The Pi offers the archive of the next day as well: the same file, and a manifest that `change` made of the true one's parts.
fn forged(scene: &Scene, honest: &ArchiveName, change: impl Fn(&mut Head, &mut Vec<FrameRef>, &mut End)) -> ArchiveName {
    let lie = ArchiveName::new(honest.job.clone(), honest.time().checked_add(24.hours()).unwrap());
    let object = fs::read(scene.path("backup/manifests").join(format!("{honest}.zst"))).unwrap();
    let Manifest { mut head, mut frames, mut end } = Manifest::read(&object).unwrap();
    (head.archive, head.sequence) = (lie.clone(), head.sequence + 1);
    change(&mut head, &mut frames, &mut end);
    let mut writer = ManifestWriter::new(Vec::new()).unwrap();
    writer.head(&head).unwrap();
    for line in Manifest::entries(&object).unwrap() {
        if let Line::Entry(entry) = line.unwrap() {
            writer.entry(&entry).unwrap();
        }
    }
    frames.iter().for_each(|frame| writer.frame(frame).unwrap());
    let object = writer.end(&end).unwrap();
    fs::copy(scene.path("backup/archives").join(format!("{honest}.tar.zst")), scene.path("backup/archives").join(format!("{lie}.tar.zst")))
        .unwrap();
    fs::write(scene.path("backup/manifests").join(format!("{lie}.zst")), object).unwrap();
    lie
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_version_1_whose_stream_is_not_what_its_manifest_says_is_held() {
    let scene = Scene::new().await;
    let honest = scene.night(3).await;
    scene.offsite(&["sync"], 0).await;
    // The next day's archive: the same frames, and a digest of something else.
    let lie = forged(&scene, &honest, |head, _, end| (head.version, end.digest) = (1, FrameId::of(b"something else")));

    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains(&format!("suspicious: {lie}: its content is not what its manifest says")), "{said}");
    scene.offsite(&["status"], 1).await;
    let plain = list(&scene.path("mac/plain/services"));
    assert_eq!(plain, [format!("{}.tar.zst", honest.time_text())], "the plain copy is of the archive that can be trusted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_archive_of_version_1_still_counts() {
    let scene = Scene::new().await;
    let honest = scene.night(3).await;
    let file = fs::read(scene.path("backup/archives").join(format!("{honest}.tar.zst"))).unwrap();
    let older = forged(&scene, &honest, |head, frames, end| {
        let (mut stream, mut at) = (Vec::new(), 0);
        for frame in frames.iter() {
            stream.extend(offsite_archive::decode(&file[at..at + frame.len as usize], &frame.id, frame.raw).unwrap());
            at += frame.len as usize;
        }
        (head.version, end.digest) = (1, FrameId::of(&stream));
    });
    // Its tail holds the other manifest, which is nobody's business but of who reads the file itself.
    scene.offsite(&["sync"], 0).await;
    assert_eq!(list(&scene.path("mac/plain/services")), [format!("{}.tar.zst", older.time_text())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_gives_one_frame_two_lengths_is_held_though_nothing_is_read_for_it() {
    let scene = Scene::new().await;
    let honest = scene.night(3).await;
    // The digest fits: it is of these frames. Nothing is held yet, so the frame moves once, as what it is where it is listed first.
    let lie = forged(&scene, &honest, |_, frames, end| {
        let twice = FrameRef { raw: frames[0].raw - 1, ..frames[0] };
        frames.push(twice);
        let mut bound = FramesDigest::new();
        frames.iter().for_each(|frame| bound.push(&frame.id, frame.raw));
        (end.frames, end.raw, end.bytes) = (end.frames + 1, end.raw + u64::from(twice.raw), end.bytes + u64::from(twice.len));
        end.digest = bound.finish();
    });
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains(&format!("suspicious: {lie}: its content is not what its manifest says")), "{said}");
    assert_eq!(list(&scene.path("mac/plain/services")), [format!("{}.tar.zst", honest.time_text())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_not_bound_to_its_frames_is_not_pulled() {
    let scene = Scene::new().await;
    scene.night(3).await;
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/v2");
    for (from, to) in [("archive/small.tar.zst", "archives/demo"), ("manifest/bad-digest.zst", "manifests/demo")] {
        fs::create_dir_all(scene.path("backup").join(to)).unwrap();
        let ending = from.split_once('.').unwrap().1;
        fs::copy(vectors.join(from), scene.path("backup").join(to).join(format!("2026-11-22T040000Z.{ending}"))).unwrap();
    }
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains("manifests/demo/2026-11-22T040000Z.zst") && said.contains("that of its frames is"), "{said}");
    assert_eq!(list(&scene.path("mac/manifests")), ["services"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_an_older_repository_without_offsite_is_renewed_before_newer_archives_come() {
    let scene = Scene::new().await;
    scene.night(3).await;
    scene.offsite(&["sync"], 0).await;
    let script = fs::read(scene.path("mac/recover/offsite_recover.py")).unwrap();
    for place in ["backup", "mac", "cloud"] {
        let recover = scene.path(place).join("recover");
        fs::rename(recover.join("edition-3"), recover.join("edition-2")).unwrap();
        fs::remove_file(scene.path(place).join("recover/offsite_recover.py")).unwrap();
        fs::write(scene.path(place).join("recover/offsite_recover.py"), "of the edition before").unwrap();
    }
    scene.night(2).await;
    scene.offsite(&["sync"], 0).await;
    for place in ["backup", "mac", "cloud"] {
        assert!(fs::read(scene.path(place).join("recover/offsite_recover.py")).unwrap() == script, "{place}");
        assert!(scene.path(place).join("recover/edition-3").is_file(), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recover_folder_that_cannot_be_renewed_is_told_and_keeps_no_data_out() {
    let scene = Scene::new().await;
    scene.night(3).await;
    // Not the root's permissions but a file in the folder's place: that stops everyone.
    fs::remove_dir_all(scene.path("mac/recover")).unwrap();
    fs::write(scene.path("mac/recover"), "a file").unwrap();
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains("configure: recover/ (mac)"), "{said}");
    assert_eq!((scene.archives("mac").len(), list(&scene.path("cloud/manifests")).len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pi_without_archives_is_no_good_news() {
    let scene = Scene::new().await;
    scene.offsite(&["sync"], 0).await;
    let said = scene.offsite(&["status"], 4).await;
    assert!(said.contains("there is none of any job"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cloud_dropped_is_told_and_sent_again() {
    let scene = Scene::new().await;
    scene.night(3).await;
    scene.night(2).await;
    scene.offsite(&["sync"], 0).await;
    let manifests = scene.path("cloud/manifests");
    let dropped = list(&manifests);
    assert_eq!(dropped.len(), 2);
    fs::remove_file(manifests.join(&dropped[0])).unwrap();
    let said = scene.offsite(&["sync"], 0).await;
    assert!(said.contains("is not whole any more in cold") && said.contains("pushed services/"), "{said}");
    assert_eq!(list(&manifests).len(), 2);
    // Of what the Mac has not either, nothing can be sent again: an alarm remains.
    fs::remove_file(manifests.join(&list(&manifests)[0])).unwrap();
    for folder in ["mac/manifests/services", "backup/manifests/services"] {
        for name in list(&scene.path(folder)) {
            fs::remove_file(scene.path(folder).join(name)).unwrap();
        }
    }
    scene.offsite(&["sync"], 3).await;
    let said = scene.offsite(&["status"], 1).await;
    assert!(said.contains("offsite forget") && said.contains("--cloud cold"), "{said}");
    // A folder that is not there at all is a disk that is away, or one to make; init makes none.
    fs::rename(scene.path("cloud"), scene.path("cloud-away")).unwrap();
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains("make the folder yourself (mkdir)") && !said.contains("offsite init"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_forgets_what_was_lost_on_purpose_but_not_the_last_good_archive_by_mistake() {
    let scene = Scene::new().await;
    let (old, new) = (scene.night(3).await.to_string(), scene.night(2).await.to_string());
    scene.offsite(&["sync"], 0).await;
    let said = scene.offsite(&["forget", "--dry-run", &old], 0).await;
    assert!(said.contains("would forget") && scene.archives("mac").len() == 2, "{said}");
    let said = scene.offsite(&["forget", &old, &new], 1).await;
    assert!(said.contains("--last"), "{said}");
    scene.offsite(&["forget", &old], 0).await;
    assert_eq!(scene.archives("mac").len(), 1);
    scene.offsite(&["forget", "--cloud", "cold", &old], 0).await;
    assert_eq!(list(&scene.path("cloud/manifests")).len(), 1);
    // Gone behind offsite's back, and from the Pi as well: an alarm, until a person says that it was meant.
    for place in ["mac", "backup"] {
        fs::remove_file(scene.path(place).join(format!("manifests/{new}.zst"))).unwrap();
    }
    scene.offsite(&["sync"], 3).await;
    scene.offsite(&["forget", &new], 0).await;
    let said = scene.offsite(&["status"], 4).await;
    assert!(!said.contains("held it and does not any more"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_it_would_do_and_changes_nothing() {
    let scene = Scene::new().await;
    let name = scene.night(1).await;
    let before = list(&scene.path("state"));
    let said = scene.offsite(&["sync", "--dry-run"], 0).await;
    assert!(said.contains(&format!("would pull {name} from pi")), "{said}");
    assert_eq!(list(&scene.path("state")), before);
    assert!(!scene.path("mac/packs").exists() && !scene.path("cloud/vault.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_among_the_pis_manifests_is_told_and_stops_nothing_else() {
    let scene = Scene::new().await;
    scene.night(2).await;
    for day in 1..=9 {
        fs::write(scene.path(&format!("backup/manifests/services/2020-01-0{day}T000000Z.zst")), "rubbish").unwrap();
    }
    let said = scene.offsite(&["sync"], 3).await;
    // Each with its own error, as long as it is not a whole folder of rubbish; the rest by number, and in the log.
    for day in 1..=8 {
        assert!(said.contains(&format!("2020-01-0{day}T000000Z.zst (pi)\nerror: ")), "{day}: {said}");
    }
    assert!(said.contains("1 more manifest in pi cannot be read either") && !said.contains("2020-01-09"), "{said}");
    assert!(said.contains("next:  nothing of it was taken") && !said.contains("offsite verify"), "{said}");
    assert_eq!(scene.archives("mac").len(), 1);
    assert_eq!(list(&scene.path("cloud/manifests")).len(), 1);

    // What a newer agent makes is no rubbish, and nobody is told to throw it away.
    let later = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/v2/manifest/bad-version-3.zst");
    let manifests = scene.path("backup/manifests/services");
    for day in 1..=9 {
        fs::remove_file(manifests.join(format!("2020-01-0{day}T000000Z.zst"))).unwrap();
    }
    fs::copy(later, manifests.join("2020-01-01T000000Z.zst")).unwrap();
    let said = scene.offsite(&["sync"], 3).await;
    assert!(said.contains("is of a newer offsite") && said.contains("next:  update offsite on this Mac"), "{said}");
    assert!(!said.contains("damaged") && !said.contains("moved away"), "{said}");
}
