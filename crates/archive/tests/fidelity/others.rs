//! Everybody else's tar: it reads what we write, and we read what it writes.
//!
//! GNU tar restores all of it only as root; without root, or without the program, these tests say so and pass.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::museum;
use super::support::{Tree, all, assert_same, below, capture, entries, extract, has, is_root, look, raw, scratch, skip};

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // GNU tar wonders at what it then restores rightly.
    let wonders = ["Ignoring unknown extended header keyword 'hdrcharset'", "implausibly old time stamp", "socket ignored"];
    let complaints: Vec<&str> = stderr.lines().filter(|line| !wonders.iter().any(|text| line.contains(text))).collect();
    assert!(output.status.success() && complaints.is_empty(), "{command:?}: {}: {stderr}", output.status);
    output
}

/// The museum, where root has these programs.
fn exhibits(programs: &[&str]) -> Option<(tempfile::TempDir, PathBuf)> {
    if let Some(program) = programs.iter().find(|program| !has(program)) {
        skip(&format!("{program} is not installed"));
        return None;
    }
    if !is_root() {
        skip("only root can restore owners");
        return None;
    }
    let (dir, source) = scratch();
    museum::build(&source);
    Some((dir, source))
}

#[test]
fn whoever_has_the_programs_opens_what_we_write_without_being_root() {
    let (_source, source) = scratch();
    std::fs::write(source.join("dump.sql"), "insert into reading values (7);\n".repeat(20_000)).unwrap();
    std::fs::write(source.join("hello.txt"), "hello, offsite\n").unwrap();
    std::fs::hard_link(source.join("hello.txt"), source.join("second")).unwrap();
    std::os::unix::fs::symlink("hello.txt", source.join("link")).unwrap();
    let (captured, before) = (capture(&[&source]), look(&source));
    let names = entries(&captured).into_iter().map(|entry| String::from_utf8(entry.path.0[1..].to_vec()).unwrap()).collect::<Vec<_>>();
    let (_file, file) = scratch();
    let file = file.join("archive.tar.zst");
    std::fs::write(&file, &captured.out).unwrap();
    for (program, first) in [("tar", &["--zstd"][..]), ("bsdtar", &[])] {
        if !has(program) || !has("zstd") {
            skip(&format!("{program} or zstd is not installed"));
            continue;
        }
        let listed = String::from_utf8(run(Command::new(program).args(first).arg("-tf").arg(&file)).stdout).unwrap();
        assert_eq!(listed.lines().map(|name| name.trim_end_matches('/')).collect::<Vec<_>>(), names, "{program}");
        let (_into, into) = scratch();
        run(Command::new(program).args(first).args(["--no-same-owner", "-xpf"]).arg(&file).arg("-C").arg(&into));
        assert_same(&before, &look(&below(&into, &source)));
        assert!(run(Command::new("zstd").args(["-q", "-d", "-c"]).arg(&file)).stdout == raw(&captured));
    }
}

#[test]
fn gnu_tar_restores_what_we_write() {
    let Some((_source, source)) = exhibits(&["tar", "zstd"]) else { return };
    let (_into, into) = scratch();
    let before = look(&source);
    let file = into.join("archive.tar.zst");
    std::fs::write(&file, capture(&[&source]).out).unwrap();
    let options = ["--zstd", "-xpf"];
    run(Command::new("tar").args(options).arg(&file).args(["--xattrs", "--xattrs-include=*", "--acls", "-C"]).arg(&into));
    assert_same(&before, &look(&below(&into, &source)));
    let sizes = run(Command::new("du").args(["-k", "-s"]).arg(below(&into, &source).join("nothing-but-hole")));
    assert!(sizes.stdout.starts_with(b"0\t") || sizes.stdout.starts_with(b"4\t"), "{}", String::from_utf8_lossy(&sizes.stdout));
}

#[test]
fn bsdtar_restores_what_we_write() {
    let Some((_source, source)) = exhibits(&["bsdtar"]) else { return };
    let (_into, into) = scratch();
    let before = look(&source);
    let file = into.join("archive.tar.zst");
    std::fs::write(&file, capture(&[&source]).out).unwrap();
    run(Command::new("bsdtar").args(["--acls", "--xattrs", "--numeric-owner", "-xpf"]).arg(&file).arg("-C").arg(&into));
    // GNU's escape of attribute names is not libarchive's, and only root's namespaces differ further.
    let plain = |tree: Tree| whole_before_1970(without(tree, &|name| name.starts_with(b"user.key") || name.starts_with(b"trusted.")));
    assert_same(&plain(before), &plain(look(&below(&into, &source))));
}

fn without(mut tree: Tree, attribute: &dyn Fn(&[u8]) -> bool) -> Tree {
    tree.values_mut().for_each(|node| node.attributes.retain(|name, _| !attribute(name)));
    tree
}

/// bsdtar neither reads nor writes a time that is less than a second before 1970: it loses the sign, or counts the wrong way.
fn whole_before_1970(mut tree: Tree) -> Tree {
    let same = [(-1, 250_000_000), (-2, 750_000_000), (0, 750_000_000)];
    tree.values_mut().filter(|node| same.contains(&node.mtime)).for_each(|node| node.mtime = (-1, 250_000_000));
    tree
}

/// GNU tar writes a pipe with two names as two pipes.
fn single_pipes(mut tree: Tree) -> Tree {
    tree.values_mut().filter(|node| node.kind == 'p').for_each(|node| node.first = None);
    tree
}

fn from_other(command: &mut Command, source: &Path) -> (Tree, Tree) {
    let (_into, into) = scratch();
    let before = look(source);
    let tar = run(command).stdout;
    let extracted = extract(&tar, &into, &all()).unwrap();
    assert_eq!(extracted.warnings, Vec::<String>::new());
    (before, look(&into))
}

#[test]
fn we_restore_gnu_tars_pax() {
    let Some((_source, source)) = exhibits(&["tar"]) else { return };
    let options = ["--format=posix", "--sparse", "--xattrs", "--xattrs-include=*", "--acls", "-cf", "-", "-C"];
    let (before, after) = from_other(Command::new("tar").args(options).arg(&source).arg("."), &source);
    assert_same(&single_pipes(before), &single_pipes(after));
}

#[test]
fn we_restore_gnu_tars_own_format() {
    let Some((_source, source)) = exhibits(&["tar"]) else { return };
    let (before, after) = from_other(Command::new("tar").args(["--format=gnu", "-cf", "-", "-C"]).arg(&source).arg("."), &source);
    // It knows neither attributes nor parts of a second, and several names only of files.
    let coarse = |mut tree: Tree| {
        tree.values_mut().for_each(|node| node.mtime.1 = 0);
        single_pipes(without(tree, &|_| true))
    };
    assert_same(&coarse(before), &coarse(after));
}

#[test]
fn we_restore_bsdtars_pax() {
    let Some((_source, source)) = exhibits(&["bsdtar"]) else { return };
    // bsdtar writes names that are not text, but complains.
    for name in ["names", "links"] {
        for entry in std::fs::read_dir(source.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let text = |path: &Path| path.to_str().is_some();
            if !text(&path) || std::fs::read_link(&path).is_ok_and(|target| !text(&target)) {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
    std::fs::remove_file(source.join(super::support::os(b"sparse-\xff\xfe"))).unwrap();
    let options = ["--format=pax", "--acls", "--xattrs", "--read-sparse", "-cf", "-", "-C"];
    let (before, after) = from_other(Command::new("bsdtar").args(options).arg(&source).arg("."), &source);
    let plain = |tree: Tree| whole_before_1970(without(tree, &|name| name.starts_with(b"user.key")));
    assert_same(&plain(before), &plain(after));
}
