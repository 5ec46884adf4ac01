//! A tree with one of everything that a file system can hold.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};

use super::support::{chmod, is_root, noise, os, touch};

const ACL_ACCESS: &str = "system.posix_acl_access";
const ACL_DEFAULT: &str = "system.posix_acl_default";

/// Fills `root`. What needs root is there only for root; what the file system does not know is left out, with a word on stderr.
pub(crate) fn build(root: &Path) {
    contents(root);
    names(root);
    links(root);
    attributes(root);
    if is_root() {
        devices(root);
        owners(root);
    }
    modes(root);
    times(root, root);
}

fn contents(root: &Path) {
    for len in [0, 1, 511, 512, 513, 70_000] {
        fs::write(root.join(format!("len-{len}")), noise(len as u64, len)).unwrap();
    }
    fs::write(root.join("large.bin"), noise(1, 3 << 20)).unwrap();
    fs::write(root.join("edge.bin"), noise(5, 256 << 10)).unwrap();
    let row = "INSERT INTO night VALUES (4, 'all is well');\n";
    fs::write(root.join("dump.sql"), row.repeat(12_000)).unwrap();
    fs::write(root.join("app.db"), [&b"SQLite format 3\0"[..], &noise(2, 400_000)].concat()).unwrap();
    sparse(&root.join("islands"), 20 << 20, &[(0, 10), (4 << 20, 300_000), (9_000_001, 1)]);
    sparse(&root.join("islands-small"), 1 << 20, &[(500_000, 10)]);
    sparse(&root.join("ends-in-data"), 8 << 20, &[((8 << 20) - 3, 3)]);
    sparse(&root.join("nothing-but-hole"), 5 << 20, &[]);
    sparse(&root.join(os(b"sparse-\xff\xfe")), 3 << 20, &[(1 << 20, 5)]);
    fs::create_dir(root.join("empty-folder")).unwrap();
}

fn sparse(path: &Path, size: u64, data: &[(u64, usize)]) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for &(at, len) in data {
        file.write_all_at(&noise(at, len), at).unwrap();
    }
    // Holes are known for certain once the blocks are on disk.
    file.sync_all().unwrap();
}

fn names(root: &Path) {
    let dir = root.join("names");
    fs::create_dir(&dir).unwrap();
    let long = "n".repeat(255);
    let raw_long = [&b"\xfe\xff"[..], &[b'r'; 200]].concat();
    let names: [&[u8]; 10] = [
        b"with space ",
        b" ",
        b"tab\tnewline\nend",
        b"\xc3\xa4\xe2\x82\xac",
        b"raw-\xff\x80",
        &raw_long,
        long.as_bytes(),
        b"-rf",
        b"back\\slash",
        b"a=b%3D",
    ];
    for name in names {
        fs::write(dir.join(os(name)), name).unwrap();
    }
    let deep = dir.join("x".repeat(90)).join("y".repeat(90)).join("z".repeat(90));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("bottom"), "deep").unwrap();
    for len in 95..=105_usize {
        fs::write(dir.join("l".repeat(len)), "around the limit").unwrap();
    }
}

fn links(root: &Path) {
    let dir = root.join("links");
    fs::create_dir(&dir).unwrap();
    symlink("../len-1", dir.join("relative")).unwrap();
    symlink("/etc/passwd", dir.join("absolute")).unwrap();
    symlink("nowhere", dir.join("dangling")).unwrap();
    symlink("t".repeat(100), dir.join("target-100")).unwrap();
    symlink("t".repeat(300), dir.join("target-300")).unwrap();
    symlink(os(b"raw-\xff"), dir.join("raw-target")).unwrap();
    symlink(os(&[&b"\xff"[..], &[b'q'; 150]].concat()), dir.join("raw-target-long")).unwrap();
    symlink(".", dir.join("loop")).unwrap();
    fs::write(dir.join("one"), noise(9, 1000)).unwrap();
    fs::hard_link(dir.join("one"), dir.join("two")).unwrap();
    fs::hard_link(dir.join("one"), root.join("aaa-first-name")).unwrap();
    fs::hard_link(root.join("islands"), dir.join("islands-again")).unwrap();
    fs::hard_link(root.join("large.bin"), dir.join("w".repeat(200))).unwrap();
    fs::hard_link(dir.join("dangling"), dir.join("dangling-again")).unwrap();
    mknodat(CWD, dir.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    fs::hard_link(dir.join("pipe"), dir.join("pipe-again")).unwrap();
}

fn set(path: &Path, name: &str, value: &[u8]) {
    if let Err(cause) = lsetxattr(path, name, value, XattrFlags::empty()) {
        eprintln!("not tested: {name} cannot be set on {}: {cause}", path.display());
    }
}

fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let entry =
        |&(tag, allowed, number): &(u16, u16, u32)| [&tag.to_le_bytes()[..], &allowed.to_le_bytes(), &number.to_le_bytes()].concat();
    [vec![2, 0, 0, 0], entries.iter().flat_map(entry).collect()].concat()
}

fn attributes(root: &Path) {
    let dir = root.join("attributes");
    fs::create_dir(&dir).unwrap();
    let file = dir.join("file");
    fs::write(&file, "attributed").unwrap();
    set(&file, "user.text", b"value");
    set(&file, "user.binary", b"\0\n=\xff 7 a=b\n");
    set(&file, "user.empty", b"");
    set(&file, "user.key=with%3Dodd%25 letters", b"x");
    set(&file, "user.long", &noise(3, 2000));
    set(&dir, "user.folder", b"yes");
    let none = u32::MAX;
    let access = acl(&[(1, 6, none), (2, 4, 472), (2, 6, 10_001), (4, 4, none), (8, 7, 65_534), (16, 5, none), (32, 0, none)]);
    set(&dir.join("file"), ACL_ACCESS, &access);
    let guarded = dir.join("guarded");
    fs::create_dir(&guarded).unwrap();
    fs::write(guarded.join("before the default"), "plain").unwrap();
    set(&guarded, ACL_ACCESS, &acl(&[(1, 7, none), (2, 5, 472), (4, 5, none), (16, 7, none), (32, 0, none)]));
    set(&guarded, ACL_DEFAULT, &acl(&[(1, 7, none), (2, 7, 472), (4, 5, none), (16, 7, none), (32, 5, none)]));
    fs::write(guarded.join("inherits"), "acl").unwrap();
    fs::create_dir(guarded.join("folder inherits")).unwrap();
    if is_root() {
        fs::write(dir.join("capable"), "#!/bin/true").unwrap();
        // cap_net_bind_service=ep, revision 2.
        set(&dir.join("capable"), "security.capability", &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        set(&dir.join("file"), "trusted.overlay.opaque", b"y");
        symlink("x", dir.join("trusted-link")).unwrap();
        set(&dir.join("trusted-link"), "trusted.link", b"l");
    }
}

fn devices(root: &Path) {
    let make = |name: &str, kind, device| {
        if let Err(cause) = mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(0o660), device) {
            eprintln!("not tested: {name} cannot be made: {cause}");
        }
    };
    make("null", FileType::CharacterDevice, makedev(1, 3));
    make("loop0", FileType::BlockDevice, makedev(7, 70_000));
}

fn owners(root: &Path) {
    let own = |path: &str, uid, gid| std::os::unix::fs::lchown(root.join(path), Some(uid), Some(gid)).unwrap();
    own("len-1", 472, 472);
    own("len-511", 10_001, 65_534);
    own("len-512", 3_000_000, 2_097_152);
    own("len-513", 2_097_151, u32::MAX - 1);
    own("empty-folder", 472, 0);
    own("links/dangling", 10_001, 10_001);
    own("links/pipe", 472, 1);
}

fn modes(root: &Path) {
    for (path, mode) in [
        ("len-0", if is_root() { 0o000 } else { 0o400 }),
        ("len-1", 0o4755),
        ("len-511", 0o2711),
        ("len-512", 0o777),
        ("len-513", 0o400),
        ("empty-folder", 0o1777),
        ("links", 0o2750),
        ("links/pipe", 0o604),
        ("names", 0o555),
    ] {
        chmod(&root.join(path), mode);
    }
}

/// Every entry gets a time of its own: whole, with parts, negative, far away.
fn times(root: &Path, path: &Path) {
    let meta = fs::symlink_metadata(path).unwrap();
    if meta.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names.iter().for_each(|name| times(root, &path.join(name)));
    }
    let key = path.strip_prefix(root).unwrap().as_os_str().as_encoded_bytes();
    let number = u64::from_le_bytes(*blake3::hash(key).as_bytes().first_chunk().unwrap());
    let seconds = 1_600_000_000 + (number % 100_000_000) as i64;
    match number % 6 {
        0 => touch(path, seconds, 0),
        1 => touch(path, seconds, 1),
        2 => touch(path, seconds, 500_000_000),
        3 => touch(path, -1, 250_000_000),
        4 => touch(path, -(seconds / 2), 0),
        _ => touch(path, seconds, 123_456_789),
    }
}
