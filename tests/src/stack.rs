//! Real containers: a small home server whose writers never rest (`lab/stack`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::part::script;
use crate::tied::Tied;
use crate::{Cmd, Outcome};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A compose project. Its containers, networks and volumes are gone when it is dropped.
#[derive(Debug)]
pub struct Stack {
    project: String,
    folder: PathBuf,
    home: PathBuf,
    _tied: Tied,
}

impl Stack {
    pub(crate) fn new(services: &Path, home: &Path) -> Self {
        // The engine is one for all: the project's name must be nobody else's. It is also the folder's, as compose has it by itself.
        let project = format!("lab-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = services.join(&project);
        for dir in ["init", "data/db", "data/notes", "data/web"] {
            std::fs::create_dir_all(folder.join(dir)).unwrap();
        }
        std::fs::copy(script("stack/compose.yaml"), folder.join("compose.yaml")).unwrap();
        for file in ["postgres.sh", "writer.sh", "notes.sh", "check.sh"] {
            std::fs::copy(script("stack/init").join(file), folder.join("init").join(file)).unwrap();
        }
        std::fs::write(folder.join("data/web/index.html"), "a page\n").unwrap();
        Self::over(project, folder, home)
    }

    /// The same services over a restored copy of their folder: a project of its own beside the first.
    #[must_use]
    pub fn restored(&self, folder: &Path) -> Self {
        let project = format!("{}-restored-{}", self.project, COUNT.fetch_add(1, Ordering::Relaxed));
        Self::over(project, folder.to_owned(), &self.home)
    }

    fn over(project: String, folder: PathBuf, home: &Path) -> Self {
        // The broom stands ready from the start: it sweeps when its input ends, so also after a kill of the whole test.
        let mut broom = Command::new("bash");
        broom.args([
            "-c",
            "trap '' INT TERM; echo ready; cat >/dev/null; docker compose -p \"$0\" down -v --remove-orphans -t 0 >&2",
            &project,
        ]);
        let (tied, _) = Tied::start(broom, &folder.join("../down.log"));
        Self { project, folder, home: home.to_owned(), _tied: tied }
    }

    /// The project's name.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The project's folder, with compose.yaml, and the services' data below `data`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `docker compose` in the project's folder.
    #[must_use]
    pub fn compose(&self, args: &[&str]) -> Outcome {
        Cmd::new("docker", &self.home).args(["compose", "-p", &self.project]).args(args).current_dir(&self.folder).run()
    }

    /// Starts services, and waits until they are healthy.
    pub fn up(&self, services: &[&str]) {
        let _ = self.compose(&[&["up", "-d", "--wait"], services].concat()).succeeds();
    }

    /// The services that run at this moment.
    #[must_use]
    pub fn running(&self) -> BTreeSet<String> {
        let listed = self.compose(&["ps", "--services", "--status", "running"]).succeeds();
        listed.out.lines().map(str::to_owned).collect()
    }

    /// How many rows the writer of `service` (`db` or `notes`) has left, if they are whole.
    ///
    /// # Panics
    /// If they are not.
    #[must_use]
    #[track_caller]
    pub fn rows(&self, service: &str) -> u64 {
        let said = self.compose(&["exec", "-T", service, "sh", "/init/check.sh", service]).succeeds();
        said.out.trim().parse().unwrap_or_else(|_| panic!("{service}: {}", said.out))
    }
}
