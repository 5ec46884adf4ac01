//! A disk that is as small as a story wants: a file system in memory, mounted where only those who are told see it.
//!
//! It lives in a mount namespace of its own, which the kernel takes down with the last process in it; the machine's mounts are not
//! touched. The story itself looks in through `/proc`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Cmd;
use crate::tied::Tied;

/// A small file system at a folder.
#[derive(Debug)]
pub struct Disk {
    _tied: Tied,
    pid: u32,
    at: PathBuf,
    home: PathBuf,
}

impl Disk {
    pub(crate) fn mount(at: &Path, bytes: u64, home: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs -o size=$1 tmpfs \"$2\" && echo $$ && exec cat >/dev/null";
        command.args(["--mount", "bash", "-c", script, "disk", &bytes.to_string()]).arg(at);
        let (tied, pid) = Tied::start(command, &at.with_extension("mount.log"));
        Self { _tied: tied, pid: pid.parse().unwrap(), at: at.to_owned(), home: home.to_owned() }
    }

    /// The command, which sees the disk.
    #[must_use]
    pub fn sees(&self, cmd: Cmd) -> Cmd {
        let pid = self.pid.to_string();
        // The folder to run in is asked for again: nsenter leaves it at the root of the namespace.
        cmd.under("nsenter", &["--mount", "--target", &pid, "--"])
    }

    /// Where it is mounted, for those who see it.
    #[must_use]
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Its folder, for the story itself.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string()).join("root").join(self.at.strip_prefix("/").unwrap())
    }

    /// Makes it as large as this.
    pub fn grow(&self, bytes: u64) {
        let options = format!("remount,size={bytes}");
        let mount = Cmd::new("mount", &self.home).args(["-o", &options]).arg(&self.at);
        let _ = self.sees(mount).run().succeeds();
    }
}
