//! A Mac and a cloud that hold two archives of a small house, made without a network.

use std::{
    collections::BTreeMap,
    fs::{self, File, FileTimes, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use offsite::{
    journal::{Fact, Receipt},
    key::Key,
    state::State,
};
use offsite_repository::{
    CopyOptions, Index, Layout, LocalStore, Repository, copy,
    seal::{MasterKey, RecoveryKey, SealedOptions, Slot, VaultId, create_vault},
};

pub(crate) const OLD: &str = "services/2026-11-21T040000Z";
pub(crate) const NEW: &str = "services/2026-11-22T040000Z";

/// See the module.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    pub(crate) root: PathBuf,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Fails the test unless the command ended with `code`.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Fails the test unless one of the outputs has `text`.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text) || self.err.contains(text), "{text}\n{self:#?}");
        self
    }
}

impl Place {
    /// The small house, on two nights.
    pub(crate) fn new() -> Self {
        Self::with(Self::house, |place| {
            place.write("house/web/index.html", b"<p>the second night</p>", 0o644);
            place.stamp();
        })
    }

    /// A house that is made by `first`, and changed by `second` between the two nights.
    pub(crate) fn with(first: impl FnOnce(&Self), second: impl FnOnce(&Self)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Self { root: fs::canonicalize(dir.path()).unwrap(), dir };
        for folder in ["house", "backup", "cloud", "home"] {
            fs::create_dir(place.path(folder)).unwrap();
        }
        first(&place);
        let agent = place.agent();
        offsite_agent::make_repository(&agent).unwrap();
        place.archive(&agent, "2026-11-21T04:00:00Z");
        second(&place);
        place.archive(&agent, "2026-11-22T04:00:00Z");
        tokio::runtime::Runtime::new().unwrap().block_on(place.copies());
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        assert!(self.dir.path().exists());
        self.root.join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8], mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn house(&self) {
        self.write("house/web/index.html", b"<p>the first night</p>", 0o644);
        self.write("house/web/key.pem", b"secret", 0o600);
        if is_root() {
            std::os::unix::fs::chown(self.path("house/web/key.pem"), Some(472), Some(10001)).unwrap();
        }
        // Larger than a frame, and not the same twice, so that the archive has several frames in its pack.
        let mut state = 1_u64;
        let mut noise = Vec::new();
        while noise.len() < 4_000_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            noise.extend(state.to_le_bytes());
        }
        self.write("house/photos/a.jpg", &noise, 0o644);
        fs::hard_link(self.path("house/photos/a.jpg"), self.path("house/photos/z.jpg")).unwrap();
        symlink("index.html", self.path("house/web/front")).unwrap();
        fs::create_dir(self.path("house/empty")).unwrap();
        self.stamp();
    }

    /// All files and folders get one time; what is changed within a second is found out by its content.
    fn stamp(&self) {
        for folder in ["photos", "web", "empty", ""] {
            let folder = self.path("house").join(folder);
            let time = SystemTime::UNIX_EPOCH + Duration::new(1_763_000_000, 123_456_789);
            let set = |path: &Path| File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
            let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.file_type().unwrap().is_file());
            files.for_each(|file| set(&file.path()));
            set(&folder);
        }
    }

    fn agent(&self) -> offsite_agent::Config {
        let text = format!(
            "repository: {0}/backup\nstate: {0}/agent\njobs:\n  services:\n    sources: [{0}/house]\n    quiesce: none\n",
            self.root.display()
        );
        fs::write(self.path("agent.yaml"), text).unwrap();
        offsite_agent::Config::load(&self.path("agent.yaml")).unwrap()
    }

    fn archive(&self, agent: &offsite_agent::Config, time: &str) {
        let time: Timestamp = time.parse().unwrap();
        let clock = move || time;
        // Waits, because a child that another test forks just now holds every descriptor, the lock's too, until its exec.
        offsite_agent::run(agent, &"services".parse().unwrap(), offsite_agent::RunOptions::new(&clock, &mut |_| {})).unwrap();
    }

    async fn copies(&self) {
        let text = format!(
            "repository: {0}/mac\nstate: {0}/state\npi: {{host: 127.0.0.1, user: nobody, path: /}}\nclouds:\n- {{name: cold, url: 'file://{0}/cloud'}}\n",
            self.root.display()
        );
        fs::write(self.path("offsite.yaml"), text).unwrap();
        let pi = Repository::open(Arc::new(LocalStore::open(&self.path("backup")).unwrap())).await.unwrap();
        let mac = Repository::create(Arc::new(LocalStore::create(&self.path("mac")).unwrap()), Layout::Packs).await.unwrap();
        let (vault, master) = (VaultId::from_bytes([1; 16]), MasterKey::from_bytes([2; 64]));
        let slots = vec![Slot::for_recovery(vault, &master, &recovery()).unwrap()];
        let cloud = Arc::new(LocalStore::open(&self.path("cloud")).unwrap());
        let cloud = create_vault(cloud, &master, &slots, &SealedOptions::default()).await.unwrap();
        Key { vault, master, slots, revoked: Default::default() }.save_new(&State::open(&self.path("state")).unwrap().key()).unwrap();
        for (from, to) in [(&pi, &mac), (&mac, &cloud)] {
            let mut held = Index::default();
            for name in [OLD, NEW] {
                copy(from, to, &mut held, &name.parse().unwrap(), &CopyOptions::default(), &|_| {}).await.unwrap();
            }
        }
    }

    /// Runs `offsite` with this place's configuration.
    pub(crate) fn offsite(&self, arguments: &[&str]) -> Said {
        said(self.command(Some("offsite.yaml")).args(arguments).output().unwrap())
    }

    /// The command with the configuration `config`, or where there is none.
    pub(crate) fn command(&self, config: Option<&str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offsite"));
        command.current_dir(&self.root).env_clear().env("HOME", self.path("home")).env("TZ", "UTC").stdin(std::process::Stdio::null());
        if let Some(config) = config {
            command.arg("--config").arg(self.path(config));
        }
        command
    }

    pub(crate) fn note(&self, fact: Fact) {
        State::open(&self.path("state")).unwrap().journal().append(&Receipt { time: Timestamp::UNIX_EPOCH, fact }).unwrap();
    }

    /// The kinds of the journal's receipts for an archive, in order.
    pub(crate) fn receipts(&self, archive: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path("state/journal.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["archive"] == archive).map(|line| line["kind"].as_str().unwrap().to_owned()).collect()
    }

    /// The house below a folder it was restored into.
    pub(crate) fn house_in(&self, into: &str) -> PathBuf {
        self.path(into).join(self.path("house").strip_prefix("/").unwrap())
    }

    /// Changes the byte in the middle of the largest pack. Returns its path.
    pub(crate) fn spoil_pack(&self) -> PathBuf {
        let packs = fs::read_dir(self.path("mac/packs")).unwrap().map(|entry| entry.unwrap());
        let path = packs.max_by_key(|entry| entry.metadata().unwrap().len()).unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        path
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn recovery() -> RecoveryKey {
    RecoveryKey::from_bytes([3; 32])
}

/// The recovery key as it stands on paper.
pub(crate) fn paper() -> String {
    recovery().groups().iter().map(|group| group.as_str()).collect::<Vec<_>>().join("-")
}

pub(crate) fn said(output: Output) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A tree by relative path: mode, time, number of names, and content or where a link points.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, u64, Vec<u8>)> {
    let mut tree = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(path) = folders.pop() {
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_dir() {
            folders.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else if meta.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).unwrap()
        };
        let names = if meta.is_dir() { 0 } else { meta.nlink() };
        tree.insert(path.strip_prefix(root).unwrap().to_owned(), (meta.mode(), meta.mtime(), meta.mtime_nsec(), names, content));
    }
    tree
}
