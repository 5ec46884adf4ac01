//! Nothing below `tests/vectors` changes, appears unlisted, or goes untested. Each version has its own list.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::root;

/// Which test program reads the vectors of a folder, and what shows it. Whoever adds a folder adds a line here.
const READERS: [(&str, &str, &str); 6] = [
    ("v1/archive", "crates/archive/tests/vectors.rs", "\"v1/archive/"),
    ("v1/cut", "crates/archive/tests/vectors/cut.rs", "\"v1/cut/"),
    ("v1/manifest", "crates/archive/tests/vectors/bad.rs", "\"v1/manifest/"),
    ("v1/seal", "crates/repository/tests/seal_vectors.rs", "\"seal"),
    ("v2/archive", "crates/archive/tests/vectors/v2.rs", "\"v2/archive/"),
    ("v2/manifest", "crates/archive/tests/vectors/bad.rs", "\"v2/manifest/"),
];
const VERSIONS: [&str; 2] = ["v1", "v2"];

/// SHA-256 of each file below `folder`, by its path relative to `base`.
fn actual(base: &Path, folder: &Path, sums: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            actual(base, &path, sums);
        } else if path != base.join("SHA256SUMS") {
            let name = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
            let sum = Sha256::digest(fs::read(&path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
            sums.insert(name, sum);
        }
    }
}

fn listed(base: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(base.join("SHA256SUMS")).unwrap_or_default();
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let (sum, name) = line.split_once("  ").expect("a line is <sum>, two spaces, <name>");
        assert!(sums.insert(name.to_owned(), sum.to_owned()).is_none(), "{name} is listed twice");
    }
    sums
}

fn folders(below: &Path) -> Vec<String> {
    let entries = fs::read_dir(below).unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn every_vector_is_listed_and_unchanged() {
    for version in VERSIONS {
        let (base, mut sums) = (root().join(version), BTreeMap::new());
        actual(&base, &base, &mut sums);
        let listed = listed(&base);
        let changed: Vec<&String> = listed.iter().filter(|(name, sum)| sums.get(*name) != Some(sum)).map(|(name, _)| name).collect();
        assert!(!listed.is_empty() && changed.is_empty(), "changed or gone in {version}: {changed:#?}");
        let unlisted: Vec<&String> = sums.keys().filter(|name| !listed.contains_key(*name)).collect();
        assert!(unlisted.is_empty(), "not in {version}/SHA256SUMS (sha256sum makes such a line): {unlisted:#?}");
    }
}

#[test]
fn every_folder_of_vectors_has_a_test() {
    let versions: BTreeSet<String> = folders(&root()).into_iter().collect();
    assert_eq!(versions, VERSIONS.map(str::to_owned).into());
    let below =
        |version: &String| folders(&root().join(version)).into_iter().map(move |folder| format!("{version}/{folder}")).collect::<Vec<_>>();
    let found: BTreeSet<String> = versions.iter().flat_map(below).collect();
    assert_eq!(found, READERS.iter().map(|(folder, ..)| (*folder).to_owned()).collect());
    for (folder, reader, shown) in READERS {
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(reader)).unwrap();
        assert!(source.contains("#[test]") && source.contains(shown), "{reader} does not read {folder}");
    }
}
