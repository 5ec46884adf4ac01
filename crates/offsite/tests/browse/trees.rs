//! Whole trees of odd files, changed in odd ways: what `cat` gives and `diff` tells is what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use offsite_tests::tree::{Kind, Node, Tree, make_tree, mutate};
use serde_json::Value;

use crate::place::{NEW, OLD, Place};

/// The path of a line of JSON.
fn path(value: &Value) -> PathBuf {
    match value {
        Value::String(text) => text.into(),
        value => {
            let hex = value["hex"].as_str().unwrap().as_bytes();
            let bytes = hex.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
            OsString::from_vec(bytes.collect()).into()
        }
    }
}

/// Which words `diff` may use for a change that is seen in the trees; none where it is to be silent.
fn words(a: Option<&Node>, b: Option<&Node>) -> &'static [&'static str] {
    match (a, b) {
        (None, _) => &["added"],
        (_, None) => &["removed"],
        (Some(a), Some(b)) if a.kind != b.kind => {
            let lengths = |a: &Kind, b: &Kind| matches!((a, b), (Kind::File { len: a, .. }, Kind::File { len: b, .. }) if a == b);
            if lengths(&a.kind, &b.kind) { &["modified", "maybe"] } else { &["modified"] }
        }
        (Some(a), Some(b)) if a.mode != b.mode || a.owner != b.owner || a.same_as != b.same_as => &["metadata", "maybe"],
        (Some(a), Some(b)) if a.mtime != b.mtime && a.kind != Kind::Folder => &["metadata", "maybe"],
        _ => &[],
    }
}

fn judge(place: &Place, before: &Tree, after: &Tree, arguments: &[&str]) {
    let house = place.path("house");
    let said = place.offsite(&[&["diff", "--json"], arguments].concat()).ended(0);
    let told: BTreeMap<PathBuf, String> = said
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line.get("summary").is_none())
        .map(|line| (path(&line["path"]).strip_prefix(&house).unwrap().to_owned(), line["change"].as_str().unwrap().to_owned()))
        .collect();
    let names: BTreeSet<&PathBuf> = before.0.keys().chain(after.0.keys()).collect();
    for name in names {
        let words = words(before.0.get(name), after.0.get(name));
        match told.get(name) {
            None => assert!(words.is_empty(), "{name:?} is {words:?}, and nothing was said"),
            Some(word) => assert!(words.contains(&word.as_str()), "{name:?} is {words:?}, not {word}"),
        }
    }
    // What a read tells is certain.
    let maybe = told.values().filter(|word| *word == "maybe").count();
    assert!(!arguments.contains(&"--content") || maybe == 0);
}

fn cat(place: &Place, archive: &str, path: &Path) -> Vec<u8> {
    let output = place.command(Some("offsite.yaml")).args(["cat", archive]).arg(path).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""), "{path:?}");
    output.stdout
}

#[test]
fn what_is_told_of_a_tree_is_what_it_was() {
    for seed in [1, 7] {
        let mut trees = Vec::new();
        let place = Place::with(
            |place| {
                make_tree(&place.path("house"), seed, 2_400_000);
                // Names that drive terminals, and one that is half of another.
                fs::write(place.path("house/odd/\u{1b}]0;x\u{7}"), b"escape").unwrap();
                fs::write(place.path("house/odd/ä ü"), b"letters").unwrap();
            },
            |place| {
                trees.push(Tree::read(&place.path("house")));
                mutate(&place.path("house"), seed);
                trees.push(Tree::read(&place.path("house")));
            },
        );
        let [before, after] = trees.as_slice() else { panic!("two nights") };
        judge(&place, before, after, &[OLD, NEW]);
        judge(&place, after, before, &[NEW, OLD, "--content"]);

        // Every odd file, every database, and some of the many that are alike.
        let house = place.path("house");
        let files = after.0.iter().filter(|(_, node)| matches!(node.kind, Kind::File { .. }));
        let files = files
            .enumerate()
            .filter(|(number, (name, _))| number % 12 == 0 || !name.starts_with("config") && !name.starts_with("loki/chunks"));
        let files: Vec<&PathBuf> = files.map(|(_, (name, _))| name).collect();
        assert!(files.len() > 30 && files.iter().any(|name| name.as_os_str().as_bytes().contains(&0xff)));
        for name in files {
            assert!(cat(&place, NEW, &house.join(name)) == fs::read(house.join(name)).unwrap(), "{name:?}");
        }
        let said = place.offsite(&["ls", NEW, "-R"]).ended(0);
        assert!(!said.out.contains('\u{1b}') && !said.out.contains('\u{7}'));
        assert_eq!(said.out.lines().count(), after.0.len());
    }
}
