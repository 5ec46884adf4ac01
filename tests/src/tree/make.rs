//! A home server's data in small, with one of everything that archives get wrong.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, lchown, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::XattrFlags;

use super::seed::{Seed, set_mtime, settle_folders, system_time};
use crate::part::is_root;

/// 2024-05-01 00:00:00 UTC.
const MADE: i64 = 1_714_521_600;

/// Makes a tree at `root` (a new folder), the same for the same `seed` and `bytes`, where `bytes` is about how much is in its files.
///
/// In it: many small files, a few large ones which compress and which do not, an empty file and an empty folder, a sparse file, links
/// (also broken, and hard ones), a named pipe, names that are long, odd, or no UTF-8, extended attributes, unusual modes, times
/// before 1970 and with nanoseconds, and (as root) the owners that containers leave behind.
pub fn make_tree(root: &Path, seed: u64, bytes: u64) {
    fs::create_dir_all(root).unwrap();
    let maker = Maker { root };
    services(&maker, seed, usize::try_from(bytes).unwrap());
    oddities(&maker);
    settle_folders(root, MADE);
}

struct Maker<'a> {
    root: &'a Path,
}

impl Maker<'_> {
    fn dir(&self, name: &str, mode: u32, owner: u32) {
        let path = self.root.join(name);
        fs::create_dir_all(&path).unwrap();
        finish(&path, Some(mode), owner);
    }

    fn file(&self, name: impl AsRef<OsStr>, content: &[u8], mode: u32, owner: u32) {
        let path = self.root.join(name.as_ref());
        fs::write(&path, content).unwrap();
        finish(&path, Some(mode), owner);
        let sum = blake3::hash(path.strip_prefix(self.root).unwrap().as_os_str().as_bytes());
        let [a, b, c, ..] = *sum.as_bytes();
        set_mtime(&path, MADE - i64::from(a) * 3600, i64::from(b) * 256 + i64::from(c));
    }

    fn link(&self, name: &str, to: &str) {
        let path = self.root.join(name);
        symlink(to, &path).unwrap();
        finish(&path, None, 1000);
        set_mtime(&path, MADE + 5, 6_000_000);
    }
}

/// Owner before mode: a change of owner takes the set-user-id bits away.
fn finish(path: &Path, mode: Option<u32>, owner: u32) {
    if is_root() {
        lchown(path, Some(owner), Some(owner)).unwrap();
    }
    if let Some(mode) = mode {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
}

fn services(maker: &Maker<'_>, seed: u64, bytes: usize) {
    let mut from = Seed::new(seed, "services");
    maker.dir("grafana", 0o755, 472);
    maker.file("grafana/grafana.db", &from.bytes(bytes / 8), 0o640, 472);
    maker.file("grafana/grafana.ini", b"[server]\nhttp_port = 3000\n", 0o644, 0);
    maker.dir("loki", 0o750, 10001);
    maker.dir("loki/chunks", 0o750, 10001);
    for n in 0..40 {
        maker.file(format!("loki/chunks/{n:03}"), &from.bytes(bytes / 400), 0o640, 10001);
    }
    maker.file("loki/wal", &from.text(bytes / 4), 0o600, 10001);
    maker.dir("db", 0o700, 999);
    maker.dir("db/base", 0o700, 999);
    for n in 0..4 {
        maker.file(format!("db/base/{}", 16384 + n), &from.bytes(bytes / 16), 0o600, 999);
    }
    maker.dir("photos", 0o2775, 1000);
    maker.file("photos/one.jpg", &from.bytes(bytes / 5), 0o664, 1000);
    fs::hard_link(maker.root.join("photos/one.jpg"), maker.root.join("photos/the same.jpg")).unwrap();
    maker.dir("config", 0o755, 0);
    for n in 0..200 {
        maker.file(format!("config/{n:03}.conf"), format!("option-{n} = {}\n", from.below(1000)).as_bytes(), 0o644, 0);
    }
}

fn oddities(maker: &Maker<'_>) {
    let root = maker.root;
    maker.dir("odd", 0o755, 0);
    maker.dir("odd/empty folder", 0o1777, 0);
    // Only root reads a file that nobody may read.
    maker.file("odd/empty", b"", if is_root() { 0o000 } else { 0o400 }, 0);
    maker.file("odd/program", b"#!/bin/sh\n", 0o4755, 0);
    maker.file("odd/line\nbreak \"quote\" \\ back", b"x", 0o644, 0);
    maker.file(OsStr::from_bytes(b"odd/not utf-8 \xff\xfe"), b"y", 0o644, 0);
    maker.file("odd/-rf", b"z", 0o644, 0);
    maker.file(format!("odd/{}", "n".repeat(255)), b"the longest name", 0o644, 0);
    let deep = format!("odd/{0}/{0}/{0}", "d".repeat(90));
    fs::create_dir_all(root.join(&deep)).unwrap();
    maker.file(format!("{deep}/far down"), b"a path over 256 bytes", 0o644, 0);
    maker.link("odd/link", "program");
    maker.link("odd/broken", "/nowhere/at all");
    maker.link("odd/long link", &"l/".repeat(150));

    let sparse = root.join("odd/sparse");
    let file = File::create(&sparse).unwrap();
    file.set_len(8 << 20).unwrap();
    file.write_all_at(b"an island", 3 << 20).unwrap();
    file.write_all_at(b"the end", (8 << 20) - 7).unwrap();
    file.set_modified(system_time(1_600_000_000, 123_456_789)).unwrap();
    fs::set_permissions(&sparse, Permissions::from_mode(0o644)).unwrap();

    maker.file("odd/old", b"older than its system", 0o644, 0);
    set_mtime(&root.join("odd/old"), -86_400, 500_000_000);

    let pipe = root.join("odd/pipe");
    // By the program: the system call has no safe wrapper on a Mac.
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    finish(&pipe, Some(0o620), 1000);
    set_mtime(&pipe, MADE, 1);

    let tagged = root.join("odd/tagged");
    maker.file("odd/tagged", b"with attributes", 0o644, 0);
    rustix::fs::setxattr(&tagged, "user.offsite.note", b"kept\0binary\xff", XattrFlags::CREATE).unwrap();
    set_mtime(&tagged, MADE + 1, 2);
}
