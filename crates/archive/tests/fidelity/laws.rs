//! What holds for every tree.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use offsite_archive::{Captured, FramesDigest};
use proptest::prelude::*;

use super::nights::{after, edit, night, single, stock};
use super::support::{all, assert_same, below, capture, chmod, entries, extract, frames, look, noise, raw, scratch, touch};

#[derive(Debug, Clone)]
pub(super) enum What {
    File { seed: u64, len: usize, mode: u32 },
    Dir { mode: u32 },
    Link { target: String },
    Name { of: prop::sample::Index },
}

pub(super) type Spec = Vec<(Vec<String>, What, (i64, i64))>;

fn what() -> impl Strategy<Value = What> {
    let len = prop_oneof![4 => 0..2000_usize, 2 => 0..300_000_usize, 1 => 250_000..1_500_000_usize];
    prop_oneof![
        6 => (any::<u64>(), len, 0..0o1000_u32).prop_map(|(seed, len, mode)| What::File { seed, len, mode: mode | 0o400 }),
        2 => (0..0o1000_u32).prop_map(|mode| What::Dir { mode: mode | 0o700 }),
        1 => "[a-z./]{1,120}".prop_map(|target| What::Link { target }),
        2 => any::<prop::sample::Index>().prop_map(|of| What::Name { of }),
    ]
}

pub(super) fn spec() -> impl Strategy<Value = Spec> {
    let name = prop_oneof![4 => "[a-c]", 2 => "[a-zA-Z0-9 ._é-]{1,12}", 1 => "[x-z]{60,200}"];
    let name = name.prop_filter("a name", |name| name != "." && name != "..");
    let time = (-3_000_000_000_i64..6_000_000_000, prop_oneof![Just(0), 0..1_000_000_000_i64]);
    prop::collection::vec((prop::collection::vec(name, 1..4), what(), time), 0..24)
}

/// Builds what of `spec` can be built: later entries give way to earlier ones.
pub(super) fn build(root: &Path, spec: &Spec) {
    let mut files = Vec::new();
    let mut made = Vec::new();
    for (names, what, time) in spec {
        let path = names.iter().fold(root.to_path_buf(), |path, name| path.join(name));
        if fs::symlink_metadata(&path).is_ok() || fs::create_dir_all(path.parent().unwrap()).is_err() {
            continue;
        }
        match what {
            What::File { seed, len, .. } => {
                fs::write(&path, noise(*seed, *len)).unwrap();
                files.push(path.clone());
            }
            What::Dir { .. } => fs::create_dir(&path).unwrap(),
            What::Link { target } => symlink(target, &path).unwrap(),
            What::Name { .. } if files.is_empty() => continue,
            What::Name { of } => fs::hard_link(of.get(&files), &path).unwrap(),
        }
        made.push((path, what, *time));
    }
    // Last, and the deepest first: making an entry changes the time of its folder.
    stamp(root);
    made.sort_by_key(|(path, ..)| std::cmp::Reverse(path.components().count()));
    for (path, what, (seconds, nanos)) in made {
        if let What::File { mode, .. } | What::Dir { mode } = what {
            chmod(&path, *mode);
        }
        touch(&path, seconds, nanos);
    }
}

/// Gives everything the same time and mode, so that no law hangs on the clock or the umask.
fn stamp(path: &Path) {
    let meta = fs::symlink_metadata(path).unwrap();
    if meta.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| stamp(&entry.unwrap().path()));
        chmod(path, 0o755);
    }
    touch(path, 1_700_000_000, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_in_comes_out(spec in spec()) {
        let (_source, source) = scratch();
        let (_into, into) = scratch();
        build(&source, &spec);
        let before = look(&source);
        let captured = capture(&[&source]);
        prop_assert_eq!(&captured.end.warnings, &Vec::<String>::new());
        prop_assert_eq!(captured.end.entries, before.len() as u64);
        let extracted = extract(&raw(&captured), &into, &all()).unwrap();
        prop_assert_eq!(extracted.warnings, Vec::<String>::new());
        assert_same(&before, &look(&below(&into, &source)));
    }

    #[test]
    fn the_same_tree_gives_the_same_frames_and_elsewhere_as_many(spec in spec()) {
        // Names of one length: a header's length may depend on that of the path.
        let (_dir, dir) = scratch();
        let (here, there) = (dir.join("here-"), dir.join("there"));
        for root in [&here, &there] {
            fs::create_dir(root).unwrap();
            build(root, &spec);
        }
        let (first, again, elsewhere) = (capture(&[&here]), capture(&[&here]), capture(&[&there]));
        prop_assert!(first.out == again.out);
        prop_assert_eq!(&first.manifest, &again.manifest);
        let lengths = |captured| frames(captured).iter().map(|frame| frame.raw).collect::<Vec<_>>();
        prop_assert_eq!(lengths(&first), lengths(&elsewhere));
        let relative = |captured, root: &Path| {
            let root = root.as_os_str().len();
            entries(captured).iter().map(|entry| entry.path.0[root..].to_vec()).collect::<Vec<_>>()
        };
        prop_assert_eq!(relative(&first, &here), relative(&elsewhere, &there));
    }
}

#[test]
fn one_changed_small_file_changes_one_frame() {
    let (_source, source) = scratch();
    for number in 0..400 {
        fs::write(source.join(format!("{number:03}")), noise(number, 3000)).unwrap();
    }
    stamp(&source);
    let ids = |captured: &Captured<Vec<u8>>| frames(captured).into_iter().map(|frame| frame.id).collect::<Vec<_>>();
    let before = ids(&capture(&[&source]));
    assert!(before.len() > 5, "{} frames", before.len());
    fs::write(source.join("200"), noise(9999, 3000)).unwrap();
    stamp(&source);
    let after = ids(&capture(&[&source]));
    assert_eq!(before.len(), after.len());
    assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1);
}

#[derive(Debug, Clone)]
enum Change {
    Edit(prop::sample::Index, u64),
    Grow(prop::sample::Index, usize),
    Remove(prop::sample::Index),
    Mode(prop::sample::Index, u32),
    More(Box<Spec>),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (index(), any::<u64>()).prop_map(|(of, seed)| Change::Edit(of, seed)),
        2 => (index(), 1..600_000_usize).prop_map(|(of, by)| Change::Grow(of, by)),
        1 => index().prop_map(Change::Remove),
        1 => (index(), 0..0o1000_u32).prop_map(|(of, mode)| Change::Mode(of, mode | 0o400)),
        1 => spec().prop_map(|spec| Change::More(Box::new(spec))),
    ]
}

fn files(root: &Path, found: &mut Vec<PathBuf>) {
    let mut names: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names {
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            files(&path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

fn apply(root: &Path, changes: &[Change], time: &mut i64) {
    for change in changes {
        let mut all = Vec::new();
        files(root, &mut all);
        *time += 1;
        match change {
            Change::More(spec) => build(&root.join("more"), spec),
            _ if all.is_empty() => {}
            Change::Edit(of, seed) => {
                let path: &PathBuf = of.get(&all);
                let len = fs::metadata(path).unwrap().len();
                edit(path, seed % (len + 1), &noise(*seed, 100.min((len - seed % (len + 1)) as usize)), *time);
            }
            Change::Grow(of, by) => {
                let path: &PathBuf = of.get(&all);
                let len = fs::metadata(path).unwrap().len();
                edit(path, len, &noise(*by as u64, *by), *time);
            }
            Change::Remove(of) => fs::remove_file(of.get(&all)).unwrap(),
            Change::Mode(of, mode) => chmod(of.get::<PathBuf>(&all).as_path(), *mode),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nights follow nights, with changes between nights and between passes: each archive is that of a full reading, and its frames
    /// are those of its manifest.
    #[test]
    fn by_every_way_the_archive_is_that_of_a_full_reading(
        first in spec(),
        nights in prop::collection::vec((prop::collection::vec(change(), 0..4), prop::collection::vec(change(), 0..4), any::<bool>()), 1..4),
    ) {
        let (_source, source) = scratch();
        let (root, mut time) = (source.join("tree"), 1_800_000_000);
        fs::create_dir_all(root.join("more")).unwrap();
        build(&root, &first);
        let mut last = night(stock(), &root, || ());
        for (before, between, once) in nights {
            apply(&root, &before, &mut time);
            let made = if once { single(after(&last), &root, false) } else { night(after(&last), &root, || apply(&root, &between, &mut time)) };
            let full = capture(&[&root]);
            prop_assert_eq!(&made.end.digest, &full.end.digest);
            prop_assert!(made.manifest == full.manifest && made.out == full.out);
            let mut digest = FramesDigest::new();
            frames(&made).iter().for_each(|frame| digest.push(&frame.id, frame.raw));
            prop_assert_eq!(digest.finish(), made.end.digest);
            last = made;
        }
    }
}
