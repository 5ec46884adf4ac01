//! Writers that the times of a file do not show at once: stores through a shared mapping, on each file system whose times count.
//!
//! A page that is dirty already takes further stores with no change of any time. Only because the hot pass has all dirty pages written
//! out before it reads does the next store stamp the file. Without that, these tests fail.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use offsite_archive::Part;

use super::nights::{begun, cold, hot, made, stock};
use super::support::{capture, is_root, noise, restored, scratch, skip, touch};

const ROUNDS: usize = 20;

/// Another process that maps a file and stores into it on request.
struct Writer {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

const WRITER: &str = "
import mmap, sys
file = open(sys.argv[1], 'r+b')
pages = mmap.mmap(file.fileno(), 0)
file.close()
for line in sys.stdin:
    number = int(line)
    for page in range(0, len(pages), 4096):
        pages[page:page + 8] = number.to_bytes(8, 'little')
    print('stored', flush=True)
";

impl Writer {
    fn on(path: &Path) -> Option<Self> {
        let child = Command::new("python3").args(["-c", WRITER]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.ok()?;
        let answers = BufReader::new(child.stdout.take()?);
        Some(Self { child, answers })
    }

    fn store(&mut self, number: usize) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{number}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert_eq!(line, "stored\n");
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// A file system of its own, mounted while this lives.
struct Disk {
    at: PathBuf,
    _dir: tempfile::TempDir,
}

impl Disk {
    fn new(kind: &str) -> Option<Self> {
        let run = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        let (dir, at) = scratch();
        let (image, mount) = (at.join("image"), at.join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&image).unwrap().set_len(512 << 20).unwrap();
        let made = match kind {
            "tmpfs" => run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&mount)),
            _ => {
                let force = if kind == "ext4" { "-F" } else { "-f" };
                run(Command::new(format!("mkfs.{kind}")).arg(force).arg(&image))
                    && run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount))
            }
        };
        made.then_some(Self { at: mount, _dir: dir })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.at).status());
    }
}

/// Rounds of: store, hot pass, store again, cold pass. Returns whether anything was known by its times.
fn rounds(dir: &Path) -> Option<bool> {
    let (file, calm) = (dir.join("mapped"), dir.join("calm"));
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    fs::write(&calm, vec![7; 1 << 20]).unwrap();
    let mut writer = Writer::on(&file)?;
    let mut known = false;
    for round in 0..ROUNDS {
        writer.store(2 * round);
        let (stock, wrong) = hot(stock(), dir, false);
        assert_eq!(wrong, Vec::<String>::new());
        writer.store(2 * round + 1);
        let made = cold(stock, dir).unwrap();
        known |= made.read < 2 << 20;
        let found = restored(&made, &file);
        assert!(found == fs::read(&file).unwrap(), "round {round}: a store through the mapping was missed");
        assert_eq!(found[..8], (2 * round as u64 + 1).to_le_bytes());
    }
    Some(known)
}

/// A snapshot's files are known by what the hot pass read of the live ones, although they lie on a device of their own.
#[test]
fn what_a_snapshot_shows_is_known_from_the_live_source() {
    let disk = if is_root() { Disk::new("btrfs") } else { None };
    let Some(disk) = disk else {
        return skip("no btrfs can be mounted here: this needs root, mkfs.btrfs and a loop device");
    };
    let btrfs = |arguments: &[&std::ffi::OsStr]| {
        let status = Command::new("btrfs").args(arguments).stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
    };
    let (live, snapshot) = (disk.at.join("live"), disk.at.join("snapshot"));
    btrfs(&["subvolume".as_ref(), "create".as_ref(), live.as_ref()]);
    for name in ["same", "changed", "later"] {
        fs::write(live.join(name), noise(name.len() as u64, 400_000)).unwrap();
    }
    let full = capture(&[&live]);
    let (stock, _) = hot(stock(), &live, false);
    touch(&live.join("changed"), 1_800_000_000, 0);
    let then = capture(&[&live]);
    btrfs(
        &["subvolume", "snapshot", "-r"].map(AsRef::as_ref).iter().copied().chain([live.as_ref(), snapshot.as_ref()]).collect::<Vec<_>>(),
    );
    fs::write(live.join("later"), "something else").unwrap();
    let mut pass = begun(stock, &live);
    pass.part(&Part { at: Some(snapshot), ..Part::whole(&live) }, &mut |_| ()).unwrap();
    let made = made(pass);
    assert!(made.manifest == then.manifest && made.manifest != full.manifest);
    assert_eq!(made.read, 400_000);
}

#[test]
fn a_store_through_a_mapping_is_never_missed() {
    for kind in ["ext4", "xfs", "btrfs", "tmpfs"] {
        let done = if is_root() { Disk::new(kind).and_then(|disk| rounds(&disk.at)) } else { None };
        match done {
            // On a file system that does not stamp such stores nothing may be known by times.
            Some(known) => assert_eq!(known, kind != "tmpfs", "{kind}"),
            None => skip(&format!("{kind}: this needs root, mkfs.{kind}, a loop device and python3")),
        }
    }
}
