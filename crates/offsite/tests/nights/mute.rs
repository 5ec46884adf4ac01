//! Nights of which nobody can be told: what they do is done, and in the journal, all the same.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output, Stdio},
};

use super::Scene;

impl Scene {
    /// A night's work, of which something fails: there is rubbish among the Pi's manifests.
    async fn with_rubbish() -> Self {
        let scene = Self::new().await;
        scene.night(2).await;
        fs::write(scene.path("backup/manifests/services/2020-01-01T000000Z.zst"), "rubbish").unwrap();
        scene
    }

    async fn told_to(&self, verb: &str, events: Option<&str>, out: Stdio, err: Stdio) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offsite"));
        command.arg("--config").arg(self.path("offsite.yaml")).arg(verb).env_clear().env("HOME", self.path(""));
        command.envs(events.map(|events| ("OFFSITE_LOG", events))).stdin(Stdio::null()).stdout(out).stderr(err);
        tokio::task::spawn_blocking(move || command.spawn().unwrap().wait_with_output().unwrap()).await.unwrap()
    }

    /// How many receipts there are of a kind.
    fn receipts_of(&self, kind: &str) -> usize {
        let text = fs::read_to_string(self.path("state/journal.jsonl")).unwrap();
        text.lines().filter(|line| line.contains(&format!("\"kind\":\"{kind}\""))).count()
    }

    fn log(&self) -> std::path::PathBuf {
        self.path(if cfg!(target_os = "macos") { "Library/Logs/offsite" } else { ".local/state/offsite/log" })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_below_what_is_said_costs_no_receipt() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        println!("skipped: this system has no disk that is always full");
        return;
    }
    let full = || Stdio::from(File::options().write(true).open(full).unwrap());
    let scene = Scene::with_rubbish().await;
    // No log either: a file stands where its folder should be.
    fs::create_dir_all(scene.log().parent().unwrap()).unwrap();
    let _ = fs::remove_dir_all(scene.log());
    fs::write(scene.log(), "").unwrap();
    let ended = scene.told_to("daemon", Some("info"), full(), full()).await;
    assert_eq!(ended.status.code(), Some(1), "what it said went nowhere");
    assert_eq!((scene.receipts_of("pulled"), scene.receipts_of("pushed"), scene.receipts_of("ran")), (1, 1, 1));
    let failed = scene.receipts_of("failed");
    assert!(failed > 0);
    let ended = scene.told_to("sync", Some("info"), Stdio::piped(), full()).await;
    assert_eq!(ended.status.code(), Some(3));
    assert_eq!((scene.receipts_of("failed"), scene.receipts_of("ran")), (2 * failed, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_has_is_not_told_to_launchd() {
    let scene = Scene::with_rubbish().await;
    let ended = scene.told_to("daemon", None, Stdio::piped(), Stdio::piped()).await;
    let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
    assert_eq!((ended.status.code(), said.as_str()), (Some(3), ""));
    let days: Vec<_> = fs::read_dir(scene.log()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let log: String = days.iter().map(|day| fs::read_to_string(day).unwrap()).collect();
    for word in ["pulled", "pushed", "failed", "2020-01-01T000000Z"] {
        assert!(log.contains(word), "{word}: {log}");
    }
    // Of who asks for a night, more is wanted than that.
    let ended = scene.told_to("sync", None, Stdio::piped(), Stdio::piped()).await;
    assert!(String::from_utf8_lossy(&ended.stderr).contains("2020-01-01T000000Z"));
}
