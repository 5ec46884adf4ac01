//! Nothing below `tests/vectors/v1` changes, appears unlisted, or goes untested.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::{making, root};

/// Which test program reads the vectors of a folder. Whoever adds a folder adds a line here.
const READERS: [(&str, &str); 4] = [
    ("archive", "crates/archive/tests/vectors.rs"),
    ("cut", "crates/archive/tests/vectors/cut.rs"),
    ("manifest", "crates/archive/tests/vectors/bad.rs"),
    ("seal", "crates/repository/tests/seal_vectors.rs"),
];

/// SHA-256 of each file below `folder`, by its path relative to the vectors' root.
fn actual(folder: &Path, sums: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            actual(&path, sums);
        } else if path != root().join("SHA256SUMS") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let sum = Sha256::digest(fs::read(&path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
            sums.insert(name, sum);
        }
    }
}

fn listed() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("SHA256SUMS")).unwrap_or_default();
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let (sum, name) = line.split_once("  ").expect("a line is <sum>, two spaces, <name>");
        assert!(sums.insert(name.to_owned(), sum.to_owned()).is_none(), "{name} is listed twice");
    }
    sums
}

#[test]
fn every_vector_is_listed_and_unchanged() {
    let mut sums = BTreeMap::new();
    actual(&root(), &mut sums);
    let listed = listed();
    let changed: Vec<&String> = listed.iter().filter(|(name, sum)| sums.get(*name) != Some(sum)).map(|(name, _)| name).collect();
    assert!(!listed.is_empty() && changed.is_empty(), "changed or gone: {changed:#?}");
    let unlisted: Vec<&String> = sums.keys().filter(|name| !listed.contains_key(*name)).collect();
    assert!(unlisted.is_empty(), "not in SHA256SUMS (make_sums adds them): {unlisted:#?}");
}

#[test]
fn every_folder_of_vectors_has_a_test() {
    let folders: BTreeSet<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(folders, READERS.iter().map(|(folder, _)| (*folder).to_owned()).collect());
    for (folder, reader) in READERS {
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(reader)).unwrap();
        assert!(source.contains("#[test]") && source.contains(&format!("\"{folder}")), "{reader} does not read {folder}");
    }
}

/// Lists what is not listed yet. Run it after the makers.
#[test]
#[ignore = "makes vectors"]
fn make_sums() {
    if !making() {
        return;
    }
    let (mut sums, listed) = (BTreeMap::new(), listed());
    actual(&root(), &mut sums);
    let mut file = fs::OpenOptions::new().create(true).append(true).open(root().join("SHA256SUMS")).unwrap();
    for (name, sum) in sums.iter().filter(|(name, _)| !listed.contains_key(*name)) {
        writeln!(file, "{sum}  {name}").unwrap();
    }
}
