//! A disk whose power can be cut at any instant, as often as one likes: what a cut leaves is looked at later.
//!
//! An ext4 image lies as a file on btrfs. A reflink of that file is atomic, and holds only what ext4 had written out already: what is
//! still in the page cache is missing from it, as after a power cut. All mounts are in a namespace of their own, which goes with the
//! last process in it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use crate::{Cmd, Lab, is_root, lacking};

/// Reads commands, one a line, and answers each with a line. `$1` is the image of the host, `$2` the place of the disk.
const SCRIPT: &str = r#"
set -e
host=$2.host
mkdir -p "$host" "$2"
truncate -s 1G "$1"
mkfs.btrfs -q -m single "$1" >/dev/null
mount -o loop,nodatasum "$1" "$host"
truncate -s 96M "$host/disk"
mkfs.ext4 -q -F "$host/disk"
mount -o loop "$host/disk" "$2"
# Whoever looks through /proc at what processes have open holds a disk for that instant.
again() {
  local try
  for try in $(seq 200); do
    "$@" 2>/dev/null && return 0
    sleep 0.05
  done
  "$@"
}
echo $$
while read -r verb number; do
  case $verb in
    cut) cp --reflink=always "$host/disk" "$host/cut.$number" ;;
    look) again umount "$2"; again mount -o loop "$host/cut.$number" "$2" ;;
  esac
  echo done
done
"#;

/// The disk.
#[derive(Debug)]
pub struct Power {
    child: Mutex<(Child, Option<ChildStdin>, BufReader<ChildStdout>)>,
    pid: String,
    home: PathBuf,
}

impl Power {
    /// A disk at `at`, for commands that [`Power::sees`] it.
    #[must_use]
    pub fn new(lab: &Lab, at: &Path) -> Option<Self> {
        if !is_root() && lacking("a disk whose power can be cut", "only root can mount one") {
            return None;
        }
        if !lab.cmd("sh").args(["-c", "command -v mkfs.btrfs"]).run().succeeded() && lacking("mkfs.btrfs", "it is not installed") {
            return None;
        }
        std::fs::create_dir_all(at).unwrap();
        let log = std::fs::File::create(at.with_extension("log")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", SCRIPT, "power"]).arg(at.with_extension("img")).arg(at);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let (input, mut output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut pid = String::new();
        output.read_line(&mut pid).unwrap();
        assert!(!pid.is_empty(), "no disk: {}", std::fs::read_to_string(at.with_extension("log")).unwrap());
        Some(Self { child: Mutex::new((child, input, output)), pid: pid.trim().to_owned(), home: lab.home() })
    }

    fn ask(&self, line: &str) {
        let mut child = self.child.lock().unwrap();
        writeln!(child.1.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        child.2.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n", "{line}");
    }

    /// Keeps what the disk would hold if power went now, under this number.
    pub fn cut(&self, number: usize) {
        self.ask(&format!("cut {number}"));
    }

    /// Puts the disk as it was at this cut in the disk's place. Nobody may be using it.
    pub fn look(&self, number: usize) {
        self.ask(&format!("look {number}"));
    }

    /// The command, which sees the disk.
    #[must_use]
    pub fn sees(&self, cmd: Cmd) -> Cmd {
        let wd = format!("--wd={}", self.home.display());
        cmd.under("nsenter", &["--mount", "--target", &self.pid, &wd, "--"])
    }

    /// Where the test itself sees `path`.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        Path::new("/proc").join(&self.pid).join("root").join(path.strip_prefix("/").unwrap())
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        let Ok(mut child) = self.child.lock() else { return };
        drop(child.1.take());
        // It is waited for, so that its mounts are gone when the lab's folder goes.
        let ended = child.0.wait();
        assert!(ended.is_ok() || std::thread::panicking(), "waiting for the disk: {ended:?}");
    }
}
