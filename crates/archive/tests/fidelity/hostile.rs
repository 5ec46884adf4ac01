//! Tars that lie, extracted: nothing outside the target is touched, and what cannot be made costs itself alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use offsite_archive::{ExtractError, ExtractOptions, TAR_END};

use super::support::{Tree, assert_same, extract, look, scratch};

/// A tar made by hand.
#[derive(Default, Clone)]
pub(super) struct Forge(pub(super) Vec<u8>);

impl Forge {
    pub(super) fn header(mut self, name: &[u8], flag: u8, size: &[u8], link: &[u8]) -> Self {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name);
        block[100..107].copy_from_slice(b"0000755");
        block[124..124 + size.len()].copy_from_slice(size);
        block[156] = flag;
        block[157..157 + link.len()].copy_from_slice(link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        seal(&mut block);
        self.0.extend(block);
        self
    }

    pub(super) fn data(mut self, data: &[u8]) -> Self {
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn file(self, name: &str, data: &[u8]) -> Self {
        self.header(name.as_bytes(), b'0', format!("{:011o}", data.len()).as_bytes(), b"").data(data)
    }

    pub(super) fn dir(self, name: &str) -> Self {
        self.header(name.as_bytes(), b'5', b"0", b"")
    }

    pub(super) fn link(self, name: &str, target: &str) -> Self {
        self.header(name.as_bytes(), b'2', b"0", target.as_bytes())
    }

    pub(super) fn hard(self, name: &str, target: &str) -> Self {
        self.header(name.as_bytes(), b'1', b"0", target.as_bytes())
    }

    pub(super) fn pax(self, flag: u8, records: &[u8]) -> Self {
        self.header(b"pax", flag, format!("{:011o}", records.len()).as_bytes(), b"").data(records)
    }

    pub(super) fn records(self, records: &[(&str, &str)]) -> Self {
        let text: String = records.iter().map(|(key, value)| record(key, value)).collect();
        self.pax(b'x', text.as_bytes())
    }

    /// A sparse file; `data` is its map, and what is stored of it.
    pub(super) fn sparse(self, name: &str, size: &str, data: &[u8]) -> Self {
        let records = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", name), ("GNU.sparse.realsize", size)];
        self.records(&records).file("f", data)
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend(TAR_END);
        self.0
    }
}

pub(super) fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let len = (rest.len()..).find(|len| len.to_string().len() + rest.len() == *len).unwrap();
    format!("{len}{rest}")
}

fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

/// A place with something precious beside the target.
fn sandbox() -> (tempfile::TempDir, std::path::PathBuf, Tree) {
    let (dir, path) = scratch();
    fs::create_dir_all(path.join("outside/folder")).unwrap();
    fs::write(path.join("outside/precious"), "precious").unwrap();
    let before = look(&path.join("outside"));
    fs::create_dir(path.join("into")).unwrap();
    (dir, path, before)
}

/// Extracts and makes sure that nothing outside has changed.
fn attempt(tar: &[u8], prepare: impl Fn(&Path), options: &ExtractOptions) -> (Result<Vec<String>, ExtractError>, Tree) {
    let (_dir, path, before) = sandbox();
    prepare(&path);
    let done = extract(tar, &path.join("into"), options).map(|extracted| extracted.warnings);
    assert_same(&before, &look(&path.join("outside")));
    let names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    (done, look(&path.join("into")))
}

fn options() -> [ExtractOptions; 2] {
    [ExtractOptions::default(), ExtractOptions { overwrite: true, ..ExtractOptions::default() }]
}

#[test]
fn names_that_lead_upwards_are_refused_by_name() {
    for name in ["../outside/precious", "a/../../outside/precious", "..", "/../outside/x", "a/.."] {
        for options in options() {
            let (done, _) = attempt(&Forge::default().file(name, b"bad").end(), |_| (), &options);
            let text = done.unwrap_err().to_string();
            assert_eq!(text, format!("extract {name}: refused, its path goes upwards"));
        }
    }
    let long = Forge::default().records(&[("path", "x/../../outside/precious")]).file("x", b"bad").end();
    assert!(matches!(attempt(&long, |_| (), &options()[1]).0, Err(ExtractError::Unsafe { .. })));
}

#[test]
fn absolute_names_land_below_the_target() {
    let (done, tree) = attempt(&Forge::default().dir("/etc").file("//etc//passwd", b"x").end(), |_| (), &options()[0]);
    assert_eq!(done.unwrap(), Vec::<String>::new());
    assert!(tree.contains_key(&b"etc/passwd"[..]));
}

#[test]
fn nothing_is_written_through_a_link_that_came_along() {
    let tars = [
        Forge::default().link("a", "../outside").file("a/precious", b"bad").end(),
        Forge::default().link("a", "../outside").dir("a/folder/").file("a/folder/new", b"bad").end(),
        Forge::default().link("a", "../outside").link("a/evil", "x").end(),
        Forge::default().file("f", b"x").link("a", "../outside").hard("a/evil", "f").end(),
        Forge::default().dir("d").link("d/a", "../../outside").file("d/a/precious", b"bad").end(),
        Forge::default().link("a", "../outside/precious").hard("b", "a/..").end(),
    ];
    for (number, tar) in tars.iter().enumerate() {
        for options in options() {
            let (done, _) = attempt(tar, |_| (), &options);
            let failed = done.unwrap_err();
            assert!(matches!(failed, ExtractError::NoFolder { .. } | ExtractError::Unsafe { .. }), "{number}: {failed}");
        }
    }
}

#[test]
fn a_link_is_replaced_and_never_opened() {
    // The same name twice: a link to something outside, then a file, a folder, or a pipe.
    for second in [Forge::file as fn(Forge, &str, &[u8]) -> Forge, |tar, name, _| tar.dir(name)] {
        let there = |path: &Path| symlink("../outside/precious", path.join("into/a")).unwrap();
        let tar = second(Forge::default(), "a", b"bad").end();
        let (refused, _) = attempt(&tar, there, &options()[0]);
        assert!(matches!(refused, Err(ExtractError::Exists { .. })), "{refused:?}");
        let (done, tree) = attempt(&tar, there, &options()[1]);
        done.unwrap();
        assert_ne!(tree[&b"a"[..]].kind, 'l');
        // One that came along stays, and is not gone through either.
        let tar = second(Forge::default().link("a", "../outside/precious"), "a", b"bad").file("a/evil", b"bad").end();
        for options in options() {
            let (done, tree) = attempt(&tar, |_| (), &options);
            done.unwrap();
            assert_eq!(tree[&b"a"[..]].kind, 'l');
        }
    }
    // A folder's mode and time must not reach the target of a link that took its place: folders are never replaced.
    let tar = Forge::default().dir("a").link("a", "../outside/folder").end();
    let (done, tree) = attempt(&tar, |_| (), &options()[1]);
    done.unwrap();
    assert_eq!(tree[&b"a"[..]].kind, 'd');
}

#[test]
fn links_that_were_there_before_are_not_followed_either() {
    let prepare = |path: &Path| symlink("../outside", path.join("into/srv")).unwrap();
    for options in options() {
        let (done, _) = attempt(&Forge::default().file("srv/precious", b"bad").end(), prepare, &options);
        let text = done.unwrap_err().to_string();
        assert_eq!(text, "extract srv/precious: refused, srv is no folder but a link or a file");
    }
}

#[test]
fn hard_links_reach_only_what_was_extracted() {
    let outside = |path: &Path| fs::write(path.join("into/there-before"), "secret").unwrap();
    for target in ["there-before", "/there-before", "nowhere", "no/where", "a-folder", "."] {
        let tar = Forge::default().dir("a-folder").hard("b", target).end();
        for options in options() {
            let (done, _) = attempt(&tar, outside, &options);
            assert!(matches!(done, Err(ExtractError::Target { .. })), "{target}: {done:?}");
        }
    }
    let upwards = Forge::default().hard("b", "../outside/precious").end();
    assert!(matches!(attempt(&upwards, |_| (), &options()[1]).0, Err(ExtractError::Unsafe { .. })));
}

#[test]
fn a_hard_link_to_itself_does_not_destroy_the_file() {
    let tar = Forge::default().file("a", b"kept").hard("./a", "a").end();
    let (done, tree) = attempt(&tar, |_| (), &options()[1]);
    done.unwrap();
    assert_eq!(tree[&b"a"[..]].size, 4);
}

/// What of `tar` could not be made, whether or not it may replace what was there before.
fn unmade(tar: &[u8], prepare: impl Fn(&Path), options: &ExtractOptions) -> (u64, u64, Vec<String>, Tree) {
    let (_dir, path, _) = sandbox();
    prepare(&path.join("into"));
    let done = extract(tar, &path.join("into"), options).unwrap();
    let texts = done.unmade.iter().map(|(path, why)| format!("{}: {why}", String::from_utf8_lossy(path)));
    (done.entries, done.unmade.count(), texts.collect(), look(&path.join("into")))
}

#[test]
fn what_was_made_stays_and_the_rest_goes_on() {
    // To the extraction two names that a disk does not tell apart are one name twice.
    let tar = Forge::default().file("a", b"one").file("a", b"second").hard("b", "a").hard("a", "a").link("a", "x").dir("a");
    for options in options() {
        let (entries, count, texts, tree) = unmade(&tar.clone().file("a/c", b"x").dir("a/d").file("z", b"last").end(), |_| (), &options);
        assert_eq!((entries, count), (2, 7));
        assert_eq!(texts, ["a: this disk does not tell it from a", "b: it is a further name of a, which could not be made"]);
        assert_eq!((tree[&b"a"[..]].size, tree[&b"z"[..]].size, tree.len()), (3, 4, 3));
    }
}

#[test]
fn a_name_that_a_disk_cannot_hold_costs_that_member_alone() {
    let long = "n".repeat(300);
    let path = [("path", &long[..])];
    let below = format!("d/{long}/implied");
    let below = [("path", &below[..])];
    let tar = Forge::default().records(&path).file("x", b"lost").records(&[("linkpath", &long)]).hard("y", "x");
    let tar = tar.dir("d").records(&below).file("x", b"lost").records(&[("linkpath", &"t".repeat(5000))]).link("l", "x").file("z", b"last");
    let (entries, count, texts, tree) = unmade(&tar.end(), |_| (), &options()[0]);
    assert_eq!((entries, count, tree.len()), (2, 4, 3), "{texts:?}");
    let told = |at: usize, start: &str, end: &str| assert!(texts[at].starts_with(start) && texts[at].ends_with(end), "{texts:?}");
    told(0, "d/nnn", "it cannot be made here: File name too long (os error 36)");
    told(1, "l: it cannot be made here", "");
    told(2, "nnn", "it cannot be made here: File name too long (os error 36)");
    told(3, "y: it is a further name of nnn", "which could not be made");
}

#[test]
fn a_folder_in_a_files_place_stays_and_is_told() {
    let tar = Forge::default().dir("d").file("d/a", b"one").link("d/b", "x").file("d/c", b"last").end();
    let prepare = |into: &Path| ["a/full", "b"].iter().for_each(|name| fs::create_dir_all(into.join("d").join(name)).unwrap());
    let (entries, count, texts, tree) = unmade(&tar, prepare, &options()[1]);
    assert_eq!((entries, count, tree[&b"d/c"[..]].size), (2, 2, 4));
    assert_eq!(texts, ["d/a: a folder stands in its place", "d/b: a folder stands in its place"]);
    assert!(tree.contains_key(&b"d/a/full"[..]));
}

#[test]
fn folders_that_fall_together_are_not_mixed() {
    use std::process::Command;
    if !super::support::is_root() {
        return super::support::skip("only root mounts");
    }
    let tar = Forge::default().dir("Dir").file("Dir/a", b"one").dir("dir").file("dir/a", b"two2").file("dir/b", b"three");
    let tar = tar.file("e", b"last").dir("Dir").end();
    let (_dir, path, _) = sandbox();
    let into = path.join("into");
    ["Dir", "dir"].iter().for_each(|name| fs::create_dir(into.join(name)).unwrap());
    // One folder by two names, as to a disk that does not tell them apart.
    assert!(Command::new("mount").arg("--bind").args([into.join("Dir"), into.join("dir")]).status().unwrap().success());
    let done = extract(&tar, &into, &options()[1]);
    assert!(Command::new("umount").arg(into.join("dir")).status().unwrap().success());
    let done = done.unwrap();
    assert_eq!((done.entries, done.unmade.count()), (4, 3));
    let why = done.unmade.iter().map(|(path, why)| (path.to_vec(), why.to_string())).collect::<Vec<_>>();
    assert_eq!(why.len(), 1);
    assert!(why[0].0 == b"dir" && why[0].1.starts_with("this disk does not tell it from "), "{why:?}");
    let tree = look(&into);
    assert_eq!((tree[&b"Dir/a"[..]].size, tree[&b"e"[..]].size, tree.contains_key(&b"Dir/b"[..])), (3, 4, false));
}

#[test]
fn devices_are_not_made_without_owners() {
    let tar = Forge::default().header(b"null", b'3', b"0", b"").end();
    let (done, tree) = attempt(&tar, |_| (), &options()[0]);
    assert_eq!(done.unwrap().len(), 1);
    assert_eq!(tree.len(), 1);
}

#[test]
fn capabilities_are_not_given_without_owners() {
    // Even with a value that the kernel would take: cap_net_bind_service=ep, revision 2.
    let value = "\u{1}\0\0\u{2}\0\u{4}\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let tar = Forge::default().records(&[("SCHILY.xattr.security.capability", value)]).file("tool", b"x").end();
    let (done, tree) = attempt(&tar, |_| (), &options()[0]);
    assert_eq!(done.unwrap().len(), 1);
    assert!(tree[&b"tool"[..]].attributes.is_empty());
}

#[test]
fn a_closed_folder_is_filled_before_it_closes() {
    if super::support::is_root() {
        eprintln!("skipped: no folder is closed to root");
        return;
    }
    let mut tar = Forge::default().dir("a").dir("a/b").file("a/b/c", b"x").end();
    tar[100..107].copy_from_slice(b"0000000");
    seal(&mut tar[..512]);
    let (_dir, path, _) = sandbox();
    let into = path.join("into");
    let done = extract(&tar, &into, &ExtractOptions::default());
    let closed = fs::metadata(into.join("a")).unwrap().permissions();
    super::support::chmod(&into.join("a"), 0o700);
    assert_eq!(done.unwrap().warnings, Vec::<String>::new());
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&closed) & 0o777, 0);
    assert_eq!(look(&into)[&b"a/b/c"[..]].size, 1);
}

/// A sparse file of `size` bytes, of which only the last one is stored.
fn last_byte(name: &str, size: u64) -> Forge {
    let map = format!("1\n{}\n1\n", size - 1);
    Forge::default().sparse(name, &size.to_string(), &[map.as_bytes(), &vec![0; 512 - map.len()], b"x"].concat())
}

#[test]
fn a_huge_hole_costs_nothing() {
    let (_dir, path, _) = sandbox();
    extract(&last_byte("hole", 1_000_000_000_000).end(), &path.join("into"), &ExtractOptions::default()).unwrap();
    let meta = fs::metadata(path.join("into/hole")).unwrap();
    assert_eq!(meta.len(), 1_000_000_000_000);
    assert!(std::os::unix::fs::MetadataExt::blocks(&meta) < 1000);
}

#[test]
fn a_file_that_is_too_long_for_this_disk_costs_itself_alone() {
    let tar = last_byte("long", 1 << 60).file("z", b"last").end();
    let (_dir, path, _) = sandbox();
    let done = extract(&tar, &path.join("into"), &ExtractOptions::default()).unwrap();
    // ext4 holds 16 TiB, XFS and Btrfs hold it.
    let held = path.join("into/long").exists();
    assert_eq!((done.entries, done.unmade.count()), if held { (2, 0) } else { (1, 1) });
    assert_eq!(fs::read(path.join("into/z")).unwrap(), b"last");
}
