//! Our own way back.

use std::fs;
use std::os::unix::fs::MetadataExt;

use offsite_archive::{ExtractError, ExtractOptions, Kind, Manifest, TAR_END, pick};

use super::museum;
use super::support::{all, assert_same, below, capture, chmod, entries, extract, is_root, look, raw, scratch};

#[test]
fn everything_comes_back() {
    let (_source, source) = scratch();
    let (_into, into) = scratch();
    museum::build(&source);
    let before = look(&source);
    let captured = capture(&[&source]);
    assert_eq!((&captured.end.warnings[..], captured.end.complete), (&[][..], true), "as root: {}", is_root());
    assert_eq!(captured.end.entries, before.len() as u64);

    let extracted = extract(&raw(&captured), &into, &all()).unwrap();
    let after = look(&below(&into, &source));
    if is_root() {
        assert_eq!(extracted.warnings, Vec::<String>::new());
        assert_same(&before, &after);
    } else {
        let without = |mut tree: super::support::Tree| {
            tree.values_mut().filter(|node| node.kind == '-').for_each(|node| node.mode &= 0o1777);
            tree
        };
        assert_same(&without(before.clone()), &without(after));
    }
    assert_eq!(extracted.entries, before.len() as u64);
    let files: Vec<_> = before.values().filter(|node| node.kind == '-').collect();
    assert!(extracted.bytes < files.iter().map(|node| node.size).sum(), "holes were written");
    // Where the file system has no holes, there are as few after as before.
    let blocks = |path: &std::path::Path| fs::metadata(path).unwrap().blocks() * 512;
    for name in ["islands", "ends-in-data", "nothing-but-hole"] {
        let (then, now) = (blocks(&source.join(name)), blocks(&below(&into, &source).join(name)));
        assert!(now <= then + 64 * 1024, "{name}: {then} bytes on disk before, {now} after");
    }
    make_removable(&source);
    make_removable(&below(&into, &source));
}

/// A folder without write permission keeps a user from removing what is in it.
fn make_removable(root: &std::path::Path) {
    chmod(&root.join("names"), 0o755);
}

#[test]
fn the_manifest_tells_what_the_tar_holds() {
    let (_source, source) = scratch();
    museum::build(&source);
    let captured = capture(&[&source]);
    let raw = raw(&captured);
    let mut tar = offsite_archive::TarReader::new(&raw[..]);
    for entry in entries(&captured) {
        let member = tar.next_member().unwrap().unwrap();
        assert_eq!(entry.path.0, [b"/", &member.path[..]].concat());
        assert_eq!((entry.at, entry.data, entry.stored), (member.at, member.data, member.stored), "{:?}", entry.path);
        assert_eq!((entry.kind, entry.size, entry.mtime, entry.mode), (member.kind, member.size, member.mtime, member.mode));
        assert_eq!((entry.uid, entry.gid, entry.device), (member.uid, member.gid, member.device));
        assert_eq!(entry.user.as_bytes(), member.user);
        assert_eq!(entry.group.as_bytes(), member.group);
        let link = entry.link.map(|link| if entry.kind == Kind::Hardlink { link.0[1..].to_vec() } else { link.0 });
        assert_eq!(link, member.link);
        assert_eq!(entry.class.is_some(), entry.stored >= 256 << 10);
    }
    assert_eq!(tar.next_member().unwrap(), None);
    make_removable(&source);
}

#[test]
fn what_exists_is_replaced_only_when_asked() {
    let (_source, source) = scratch();
    let (_into, into) = scratch();
    for name in ["a", "b"] {
        fs::write(source.join(name), format!("new {name}")).unwrap();
    }
    fs::hard_link(source.join("a"), source.join("c")).unwrap();
    let tar = raw(&capture(&[&source]));
    let there = below(&into, &source);
    fs::create_dir_all(&there).unwrap();
    fs::write(into.join("outside"), "precious").unwrap();
    // A link to something else must be replaced, not written through; so must a hard link.
    std::os::unix::fs::symlink(into.join("outside"), there.join("a")).unwrap();
    fs::hard_link(into.join("outside"), there.join("b")).unwrap();
    assert!(matches!(extract(&tar, &into, &ExtractOptions::default()), Err(ExtractError::Exists { .. })));
    let options = ExtractOptions { overwrite: true, ..ExtractOptions::default() };
    for _ in 0..2 {
        extract(&tar, &into, &options).unwrap();
        assert_eq!(fs::read_to_string(there.join("a")).unwrap(), "new a");
        assert!(fs::symlink_metadata(there.join("a")).unwrap().is_file());
        assert_eq!(fs::read_to_string(there.join("b")).unwrap(), "new b");
        assert_eq!(fs::metadata(there.join("c")).unwrap().ino(), fs::metadata(there.join("a")).unwrap().ino());
        assert_eq!(fs::read_to_string(into.join("outside")).unwrap(), "precious");
    }
    fs::remove_file(there.join("b")).unwrap();
    fs::create_dir(there.join("b")).unwrap();
    assert_eq!(extract(&tar, &into, &options).unwrap().unmade.count(), 1);
}

#[test]
fn a_selection_brings_what_lies_below_and_the_folders_above() {
    let (_source, source) = scratch();
    let (_into, into) = scratch();
    for path in ["one/data", "one-more", "two"] {
        fs::create_dir_all(source.join(path)).unwrap();
        fs::write(source.join(path).join("file"), path).unwrap();
    }
    chmod(&source.join("one"), 0o711);
    let tar = raw(&capture(&[&source]));
    let select = |path: &str| source.join(path).into_os_string().into_encoded_bytes();
    let options = ExtractOptions { select: vec![select("one/data/"), select("gone")], ..ExtractOptions::default() };
    let extracted = extract(&tar, &into, &options).unwrap();
    assert_eq!(extracted.warnings, [format!("nothing in the archive is {} or lies below it", source.join("gone").display())]);
    let tree = look(&below(&into, &source));
    assert_eq!(tree.keys().map(|key| String::from_utf8_lossy(key)).collect::<Vec<_>>(), ["", "one", "one/data", "one/data/file"]);
    assert_eq!(tree[&b"one"[..]].mode, 0o711);
}

#[test]
fn a_further_name_without_its_first_is_an_error_that_says_so() {
    let (_source, source) = scratch();
    let (_into, into) = scratch();
    fs::write(source.join("a"), "x").unwrap();
    fs::hard_link(source.join("a"), source.join("b")).unwrap();
    let tar = raw(&capture(&[&source]));
    let select = vec![source.join("b").into_os_string().into_encoded_bytes()];
    let failed = extract(&tar, &into, &ExtractOptions { select, ..ExtractOptions::default() }).unwrap_err();
    assert!(matches!(failed, ExtractError::Target { .. }), "{failed}");
    assert!(failed.to_string().ends_with("/a, which was not extracted before it; select that too"), "{failed}");
}

#[test]
fn without_owners_no_file_gains_rights() {
    let (_source, source) = scratch();
    let (_into, into) = scratch();
    fs::write(source.join("tool"), "x").unwrap();
    chmod(&source.join("tool"), 0o6755);
    let extracted = extract(&raw(&capture(&[&source])), &into, &ExtractOptions::default()).unwrap();
    assert_eq!(fs::metadata(below(&into, &source).join("tool")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(extracted.warnings.len(), 1, "{:?}", extracted.warnings);
}

#[test]
fn what_was_picked_extracts_without_more() {
    let (_source, source) = scratch();
    let (_into, into) = scratch();
    fs::create_dir_all(source.join("a/b")).unwrap();
    fs::write(source.join("a/b/first"), "data").unwrap();
    fs::create_dir(source.join("c")).unwrap();
    fs::hard_link(source.join("a/b/first"), source.join("c/second")).unwrap();
    fs::write(source.join("c/third"), "more").unwrap();
    fs::write(source.join("d"), [0; 60_000]).unwrap();
    let captured = capture(&[&source]);
    let raw = raw(&captured);
    let lines = Manifest::entries(&captured.manifest).unwrap();
    let picked = pick(lines, &[source.join("c").into_os_string().into_encoded_bytes()]).unwrap();
    let mut part: Vec<u8> = picked.ranges.iter().flat_map(|range| &raw[range.start as usize..range.end as usize]).copied().collect();
    assert!(part.len() < raw.len() / 2);
    part.extend(TAR_END);
    extract(&part, &into, &all()).unwrap();
    let tree = look(&below(&into, &source));
    assert_eq!(
        tree.keys().map(|key| String::from_utf8_lossy(key)).collect::<Vec<_>>(),
        ["", "a", "a/b", "a/b/first", "c", "c/second", "c/third"]
    );
    assert_eq!(tree[&b"c/second"[..]].first.as_deref(), Some(&b"a/b/first"[..]));
}

#[test]
fn deeper_than_any_path_can_name() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    const DEPTH: usize = 60;
    let name = "d".repeat(100);
    let enter = |above: &std::os::fd::OwnedFd, name: &str| openat(above, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
    let (_source, source) = scratch();
    let (_into, into) = scratch();
    let mut dir = openat(CWD, &source, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..DEPTH {
        mkdirat(&dir, &name[..], Mode::RWXU).unwrap();
        dir = enter(&dir, &name).unwrap();
    }
    let bottom = openat(&dir, "bottom", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR | Mode::WUSR).unwrap();
    rustix::io::write(&bottom, b"deep").unwrap();

    let captured = capture(&[&source]);
    assert_eq!(captured.end.warnings, Vec::<String>::new());
    extract(&raw(&captured), &into, &all()).unwrap();
    let mut dir = openat(CWD, below(&into, &source), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..DEPTH {
        dir = enter(&dir, &name).unwrap();
    }
    assert_eq!(rustix::fs::statat(&dir, "bottom", rustix::fs::AtFlags::empty()).unwrap().st_size, 4);
}
