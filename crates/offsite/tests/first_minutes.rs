//! `offsite init` at a terminal, with the embedded server as the Pi, and `offsite config`. There is no `ssh` in reach, so that nothing of whoever
//! runs the tests is read or written.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
};

use offsite_sftp::{PublicKey, keys, server::EmbeddedServer};
use offsite_tests::Dialogue;

struct Scene {
    dir: tempfile::TempDir,
    server: EmbeddedServer,
}

impl Scene {
    /// A Pi with an empty repository that lets in the key which the Mac has made before.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ssh = dir.path().join("home/.ssh");
        fs::create_dir_all(&ssh).unwrap();
        let key = keys::generate_key_file(&ssh.join("offsite_ed25519"), "mac").unwrap();
        Self::with(dir, &key).await
    }

    async fn with(dir: tempfile::TempDir, key: &PublicKey) -> Self {
        let folder = dir.path().join("pi");
        let store = offsite_repository::LocalStore::create(&folder).unwrap();
        offsite_repository::Repository::open_or_create(Arc::new(store), offsite_repository::Layout::Plain).await.unwrap();
        let server = EmbeddedServer::start(dir.path(), key).await.unwrap();
        Self { dir, server }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offsite"));
        let nothing = self.path("bin");
        fs::create_dir_all(&nothing).unwrap();
        command.args(args).env_clear().env("HOME", self.path("home")).env("PATH", nothing).env("TZ", "UTC").current_dir(self.dir.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    fn talk(&self, args: &[&str]) -> Dialogue {
        Dialogue::start(self.command(&[&["init"], args].concat()))
    }

    fn address(&self) -> String {
        format!("offsite@127.0.0.1:{}", self.server.port())
    }

    fn fingerprint(&self) -> String {
        let line = self.server.known_hosts_line();
        keys::fingerprint(&keys::parse_public_line(line.split_once(' ').unwrap().1).unwrap())
    }

    fn config(&self) -> PathBuf {
        self.path("home/.config/offsite/offsite.yaml")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_is_cut_off_anywhere_keeps_what_was_made() {
    let scene = Scene::new().await;
    let (known, before) = (scene.path("home/.ssh/known_hosts"), below(&scene.path("home/.ssh")));

    // The terminal is closed at the first question, and at the host key: there is nothing that was not there.
    for questions in [&["The Pi"][..], &["The Pi", "agent's repository", "Key", "Press Enter", "Is it the same?"]] {
        let mut owner = scene.talk(&[]);
        for (at, question) in questions.iter().enumerate() {
            let _ = owner.hears(question);
            let answer = if *question == "The Pi" { scene.address() } else { String::new() };
            let address = scene.address();
            let line = match *question {
                "The Pi" => address.as_str(),
                "agent's repository" => "/pi",
                _ => answer.as_str(),
            };
            // An end of the input is what a closed terminal and Ctrl-D are.
            owner.types(&if at + 1 == questions.len() { "\u{4}".to_owned() } else { format!("{line}\n") });
        }
        let (code, said) = owner.ends();
        assert!(code == Some(1) && said.contains("what was made is kept; begin again: offsite init"), "{said}");
        assert_eq!(below(&scene.path("home/.ssh")), before);
        assert!(!scene.config().exists() && !scene.path("home/Backups").exists());
    }

    // A wrong path is asked for again; nothing is away from home; the configuration is there before the first night is offered.
    let mut owner = scene.talk(&[]);
    owner.answers("The Pi", "not an address");
    owner.answers("The Pi", &scene.address());
    owner.answers("agent's repository", "/gone");
    owner.answers("Key", "");
    let shown = owner.hears("Press Enter");
    assert!(shown.contains("is there already, and is used") && shown.contains("\nsudo sh -ec '"), "{shown}");
    owner.types("\n");
    owner.answers("Is it the same?", "yes");
    owner.answers("agent's repository", "/pi");
    let found = owner.hears("Folder for this Mac's repository");
    assert!(found.contains("has no archive yet"), "{found}");
    owner.types("backups\n");
    owner.answers("Folder for this Mac's repository", "");
    owner.answers("Sealed copies [", "");
    owner.answers("Let it run every night", "no");
    let (code, said) = owner.ends();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("neither absolute nor below ~/") && !said.contains("Run the first night now"), "{said}");
    assert_eq!(fs::read_to_string(&known).unwrap().lines().collect::<Vec<_>>(), [scene.server.known_hosts_line()]);
    let config = fs::read_to_string(scene.config()).unwrap();
    for line in ["    host: 127.0.0.1", "    path: /pi", "    key: ~/.ssh/offsite_ed25519", "repository: ~/Backups/offsite"] {
        assert!(config.lines().any(|found| found == line), "{line}\n{config}");
    }

    // Once more: nothing is asked but what is left to do, and nothing is changed.
    let mut owner = scene.talk(&["--no-install"]);
    let _ = owner.hears("kept  ");
    let (code, said) = owner.ends();
    assert!(code == Some(0) && !said.contains("The Pi,") && !said.contains("Is it the same"), "{said}");
    assert_eq!(fs::read_to_string(scene.config()).unwrap(), config);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_key_that_changed_is_refused_and_not_asked_about() {
    let scene = Scene::new().await;
    let known = scene.path("home/.ssh/known_hosts");
    let other = keys::generate().unwrap();
    let line = keys::known_hosts_line("127.0.0.1", scene.server.port(), other.public_key());
    fs::write(&known, format!("{line}\n")).unwrap();
    let mut owner = scene.talk(&["--pi", &scene.address(), "--path", "/pi", "--key", "new"]);
    owner.answers("Press Enter", "");
    let (code, said) = owner.ends();
    assert!(code == Some(1) && said.contains("is not the one on file") && !said.contains("Is it the same"), "{said}");
    assert_eq!(fs::read_to_string(&known).unwrap(), format!("{line}\n"));
    assert!(!scene.config().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_options_answer_and_what_lacks_is_named() {
    let scene = Scene::new().await;
    let said = scene.run(&["init"]);
    assert_eq!(said.status.code(), Some(2));
    assert!(
        text(&said.stderr).contains("no --pi was given") && text(&said.stderr).contains("offsite init --help"),
        "{}",
        text(&said.stderr)
    );
    assert!(!scene.path("home/.config").exists());

    let address = scene.address();
    let given = ["init", "--yes", "--pi", &address, "--path", "/pi", "--key", "new", "--repository", "~/b", "--no-install"];
    let said = scene.run(&given);
    assert_eq!(said.status.code(), Some(2), "{}", text(&said.stderr));
    assert!(text(&said.stderr).contains("no --host-key-fingerprint was given"), "{}", text(&said.stderr));
    assert!(!scene.config().exists() && !scene.path("home/.ssh/known_hosts").exists());

    let fingerprint = scene.fingerprint();
    let disk = format!("file://{}", scene.path("disk").display());
    let more = ["--host-key-fingerprint", &fingerprint, "--cloud", &disk];
    let said = scene.run(&[&given[..], &more[..]].concat());
    assert_eq!(said.status.code(), Some(0), "{}{}", text(&said.stdout), text(&said.stderr));
    assert!(scene.path("home/b/repository.json").exists() && scene.path("disk").is_dir());
    let recovery = text(&said.stdout).lines().filter(|line| line.starts_with("    ") && line.matches('-').count() == 4).count();
    assert!(recovery >= 2, "the recovery key is shown: {}", text(&said.stdout));

    let said = scene.run(&["config", "check"]);
    let words = text(&said.stdout);
    assert_eq!(said.status.code(), Some(0), "{}", text(&said.stderr));
    for line in ["is right. It says:", "/pi on offsite@127.0.0.1", "disk lies on the same disk as this Mac's repository"] {
        assert!(words.contains(line), "{line:?} in\n{words}");
    }
}

fn ignores_interrupts() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 0b10 != 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_at_a_secret_leaves_a_terminal_that_shows_what_is_typed() {
    let scene = Scene::new().await;
    let (address, fingerprint) = (scene.address(), scene.fingerprint());
    let given = ["--pi", &address, "--path", "/pi", "--key", "new", "--repository", "~/b", "--host-key-fingerprint", &fingerprint];
    let mut owner = scene.talk(&given);
    owner.answers("Press Enter", "");
    owner.answers("Sealed copies [", "s3://bucket");
    for question in ["Server,", "Region", "Storage class", "File with the credentials"] {
        owner.answers(question, "");
    }
    owner.answers("Access key ID", "AKIA");
    let _ = owner.hears("Secret access key: ");
    assert!(!owner.echoes());
    owner.types("secr\u{3}");
    let _ = owner.hears("\n");
    assert!(owner.echoes());
    let (code, said) = owner.ends();
    // What a script started in the background it started with interrupts ignored, these tests and their programs too: then the error is the end.
    let wanted = if ignores_interrupts() { Some(1) } else { None };
    assert!(code == wanted && !said.contains("secr\n"), "a signal ended it: {code:?} {said}");
    assert!(!scene.path("home/.config/offsite/aws.env").exists() && !scene.config().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_second_key_is_made_while_a_cloud_cannot_be_asked_for_the_first() {
    let scene = Scene::new().await;
    let (address, fingerprint, disk) = (scene.address(), scene.fingerprint(), format!("file://{}", scene.path("disk/offsite").display()));
    fs::create_dir(scene.path("disk")).unwrap();
    let given = ["init", "--pi", &address, "--path", "/pi", "--key", "new", "--repository", "~/b", "--cloud", &disk];
    let said = scene.run(&given);
    assert_eq!(said.status.code(), Some(0), "{}", text(&said.stderr));
    // What is left to do is said with the words that reach this configuration; there is none but the default one here.
    assert!(text(&said.stdout).contains("offsite key new\n") && !text(&said.stdout).contains("--config"), "{}", text(&said.stdout));
    fs::rename(scene.path("disk"), scene.path("carried-away")).unwrap();
    let again = ["init", "--yes", "--no-sync", "--no-install", "--host-key-fingerprint", &fingerprint];
    let said = scene.run(&again);
    assert_eq!(said.status.code(), Some(3), "{}", text(&said.stderr));
    let words = text(&said.stdout);
    assert!(words.contains("no key was made, because file://") && !words.contains("recovery key"), "{words}");
    // With the disk back it is known that nothing lies there.
    fs::rename(scene.path("carried-away"), scene.path("disk")).unwrap();
    let said = scene.run(&again);
    assert!(said.status.code() == Some(0) && text(&said.stdout).contains("recovery key"), "{}", text(&said.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_written_when_the_repository_is_there() {
    let scene = Scene::new().await;
    fs::create_dir_all(scene.path("home/b/packs")).unwrap();
    fs::write(scene.path("home/b/packs/00"), "").unwrap();
    let address = scene.address();
    let given = |folder: &'static str| ["--config", "c.yaml", "init", "--pi", &address, "--path", "/pi", "--repository", folder];
    let said = scene.run(&given("~/b"));
    assert!(said.status.code() == Some(1) && text(&said.stderr).contains("repository.json is lost"), "{}", text(&said.stderr));
    assert!(!text(&said.stderr).contains("adopt") && !scene.path("c.yaml").exists());
    let said = scene.run(&given("~/c"));
    assert!(said.status.code() == Some(0) && scene.path("c.yaml").exists() && scene.path("home/c/repository.json").exists());
    let words = text(&said.stdout);
    for verb in ["sync", "status", "install", "init"] {
        assert!(words.contains(&format!("--config {} {verb}", scene.path("c.yaml").display())), "{words}");
    }
    // What is only printed is what would have been written.
    let printed = text(&scene.run(&["init", "--print", "--pi", "pi.local"]).stdout);
    assert!(printed.contains("\n    user: offsite\n"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn config_names_a_mistake_and_prints_its_schema() {
    let scene = Scene::new().await;
    fs::write(scene.path("c.yaml"), "repository: /b\nplain: newst\npi: {host: h, path: /p}\n").unwrap();
    let said = scene.run(&["--config", "c.yaml", "config", "check"]);
    assert_eq!((said.status.code(), text(&said.stdout).as_str()), (Some(2), ""));
    assert!(text(&said.stderr).starts_with("error: c.yaml:2: plain: "), "{}", text(&said.stderr));
    let said = scene.run(&["config", "schema"]);
    assert_eq!((said.status.code(), text(&said.stdout).as_str()), (Some(0), offsite::config::SCHEMA));
}
