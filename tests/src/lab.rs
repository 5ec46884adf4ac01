//! One story's own corner of the machine.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::part::{installed, is_root, lacking};
use crate::{Cmd, Disk, NewPi, Pi, PiBox, S3, Stack, Stuck};

/// A folder of its own, the two programs, and the parts. Declare it first in a test: it must be dropped last.
#[derive(Debug)]
pub struct Lab(TempDir);

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// An empty lab.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("offsite-lab-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        Self(dir)
    }

    /// The lab's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in the lab's folder.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A folder in the lab, made with all above it.
    #[must_use]
    pub fn dir(&self, name: &str) -> PathBuf {
        let dir = self.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// Writes a text file in the lab and gives its path.
    #[must_use]
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The home folder that programs run with.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.join("home")
    }

    /// Any program, in the lab's environment.
    #[must_use]
    pub fn cmd(&self, program: &str) -> Cmd {
        Cmd::new(program, &self.home()).current_dir(self.path())
    }

    /// The daemon and command line of the Mac.
    #[must_use]
    pub fn offsite(&self) -> Cmd {
        Cmd::new(program("offsite"), &self.home()).current_dir(self.path())
    }

    /// The agent of the Pi.
    #[must_use]
    pub fn agent(&self) -> Cmd {
        Cmd::new(program("offsite-agent"), &self.home()).current_dir(self.path())
    }

    /// A Pi's sshd over the agent's repository at `repository`, which must exist.
    #[must_use]
    pub fn pi(&self, repository: &Path) -> Option<Pi> {
        if !is_root() && lacking("a real sshd", "it needs root") {
            return None;
        }
        if !Path::new("/usr/sbin/sshd").exists() && lacking("a real sshd", "it is not installed") {
            return None;
        }
        Some(Pi::start(&self.unique("pi"), repository))
    }

    /// A Pi that nobody has set up yet, over the agent's repository at `repository`, which must exist.
    #[must_use]
    pub fn new_pi(&self, repository: &Path) -> Option<NewPi> {
        if !is_root() && lacking("a real sshd", "it needs root") {
            return None;
        }
        if !Path::new("/usr/sbin/sshd").exists() && lacking("a real sshd", "it is not installed") {
            return None;
        }
        Some(NewPi::start(&self.unique("newpi"), repository))
    }

    /// An S3 server with an empty bucket.
    #[must_use]
    pub fn s3(&self) -> Option<S3> {
        let python = installed().join("py/bin/python");
        if !python.exists() && lacking("an S3 server", "its Python environment is not there") {
            return None;
        }
        Some(S3::start(&python, &self.unique("s3")))
    }

    /// A disk of so many bytes at `name` in the lab, for commands that [`Disk::sees`] it.
    #[must_use]
    pub fn disk(&self, name: &str, bytes: u64) -> Option<Disk> {
        if !is_root() && lacking("a disk that can be full", "only root can mount one") {
            return None;
        }
        Some(Disk::mount(&self.join(name), bytes, &self.home()))
    }

    /// A Python that has what `packaging/recover` needs, and is ready to run that program.
    #[must_use]
    pub fn recover(&self) -> Option<Cmd> {
        let python = installed().join("py/bin/python");
        if !python.exists() && lacking("offsite_recover.py", "the lab's Python environment is not there") {
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/recover/offsite_recover.py");
        Some(Cmd::new(python, &self.home()).current_dir(self.path()).arg(script))
    }

    /// A Python that knows JSON schemas.
    #[must_use]
    pub fn python(&self) -> Option<Cmd> {
        let python = installed().join("py/bin/python");
        if !python.exists() && lacking("Python's jsonschema", "the lab's Python environment is not there") {
            return None;
        }
        Some(Cmd::new(python, &self.home()).current_dir(self.path()))
    }

    /// The small home server's containers, not yet up, in `services/<project>` of the lab.
    #[must_use]
    pub fn stack(&self) -> Option<Stack> {
        let image = self.cmd("docker").args(["image", "inspect", "-f", "{{.Id}}", "offsite-lab/postgres:1"]).command().output();
        let why = match image {
            Err(e) => format!("docker cannot be run: {e}"),
            Ok(o) if !o.status.success() => String::from_utf8_lossy(&o.stderr).trim().to_owned(),
            Ok(_) => return Some(Stack::new(&self.dir("services"), &self.home())),
        };
        let _ = lacking("docker with the lab's images", &why);
        None
    }

    /// A disk at `name` in the lab that can stop answering.
    #[must_use]
    pub fn stuck(&self, name: &str) -> Option<Stuck> {
        if !is_root() && lacking("a disk that can stop answering", "only root can mount one") {
            return None;
        }
        let tools = self.cmd("sh").args(["-c", "command -v mkfs.ext4 fsfreeze"]).run();
        if !tools.succeeded() && lacking("a disk that can stop answering", "mkfs.ext4 or fsfreeze is not installed") {
            return None;
        }
        Some(Stuck::mount(&self.join(name)))
    }

    /// A Pi whose first process is systemd, with the lab's folder and programs in their own places.
    #[must_use]
    pub fn pibox(&self) -> Option<PiBox> {
        if !is_root() && lacking("a Pi with systemd", "it needs root") {
            return None;
        }
        if !Path::new("/lib/systemd/systemd").exists() && lacking("a Pi with systemd", "systemd is not installed") {
            return None;
        }
        let image = self.cmd("docker").args(["image", "inspect", "-f", "{{.Id}}", "offsite-lab/busybox:1"]).command().output();
        if !image.is_ok_and(|image| image.status.success()) && lacking("a Pi with systemd", "docker with the lab's images is not there") {
            return None;
        }
        Some(PiBox::boot(self.path(), &program("offsite-agent"), &self.home()))
    }

    /// A folder that no other part of this lab has.
    pub(crate) fn unique(&self, name: &str) -> PathBuf {
        let dir = tempfile::Builder::new().prefix(name).tempdir_in(self.path()).unwrap();
        dir.keep()
    }
}

/// A program of this workspace, from the same build as the running test.
///
/// Cargo names a program only to tests of its own package, so it is found beside the test's own file (`target/PROFILE/deps/..`).
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(name);
    assert!(path.exists(), "{} is not built: cargo build --workspace --all-targets", path.display());
    path
}
