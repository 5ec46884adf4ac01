//! Stories of a repository of layout `packs` that need no engine: what a night writes, what it gives back, and what it survives.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod full;
#[allow(dead_code, unreachable_pub, reason = "shared by several test programs")]
#[path = "../lab/mod.rs"]
mod lab;

mod nights;
mod rot;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use jiff::Timestamp;
use lab::{Lab, Said, mode};
use offsite_agent::{Cancel, Config, RunOptions};
use offsite_archive::Manifest;
use offsite_repository::{LocalStore, Repository, Scope, verify};

const PACKS: &str = "docker: /nowhere/docker\nlayout: packs\n";

fn ready() -> Lab {
    let lab = Lab::ready("none", PACKS);
    lab.write("services/web/index.html", "hello");
    noise(&lab, "library", 1, 6 << 20);
    lab
}

/// Bytes that do not compress, the same for each seed.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let word = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..len / 8).flat_map(word).collect()
}

fn noise(lab: &Lab, name: &str, seed: u64, len: usize) {
    fs::write(lab.path("services").join(name), bytes(seed, len)).unwrap();
}

fn names(lab: &Lab, folder: &str) -> BTreeSet<String> {
    fs::read_dir(lab.path(folder))
        .map_or_else(|_| BTreeSet::new(), |entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
}

fn packs(lab: &Lab) -> BTreeSet<String> {
    names(lab, "repository/packs")
}

fn largest(lab: &Lab) -> String {
    packs(lab).into_iter().max_by_key(|name| fs::metadata(lab.path("repository/packs").join(name)).unwrap().len()).unwrap()
}

fn all_rotten(lab: &Lab, pack: &str) {
    let file = lab.path("repository/packs").join(pack);
    let rotten: Vec<u8> = fs::read(&file).unwrap().iter().map(|byte| byte ^ 1).collect();
    fs::write(&file, rotten).unwrap();
}

/// Bytes in the folder `name`.
fn stored(lab: &Lab, name: &str) -> u64 {
    fs::read_dir(lab.path(name)).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn run(lab: &Lab) -> Said {
    lab.agent(&["run", "services"]).ended(0)
}

/// What the last line of the journal says.
fn made(lab: &Lab) -> serde_json::Value {
    let text = fs::read_to_string(lab.path("state/journal.jsonl")).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn manifest(lab: &Lab, name: &str) -> Manifest {
    Manifest::read(&fs::read(lab.path(&format!("repository/manifests/{name}.zst"))).unwrap()).unwrap()
}

/// Fails unless every frame of every archive is there and good, and each pack has its index.
#[track_caller]
fn whole(lab: &Lab) {
    let local = LocalStore::open(&lab.path("repository")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(async {
        let repository = Repository::open(Arc::new(local)).await.unwrap();
        verify(&repository, &Scope::All, &|_| ()).await.unwrap()
    });
    assert!(found.is_whole(), "{found:?}");
    assert_eq!(packs(lab), names(lab, "repository/index"));
}

/// The archive as `export` and tar bring it back.
fn unpacked(lab: &Lab, wanted: &str) -> std::path::PathBuf {
    let into = lab.path("unpacked");
    if into.exists() {
        fs::remove_dir_all(&into).unwrap();
    }
    fs::create_dir(&into).unwrap();
    let mut agent = lab.command().args(["export", wanted]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut tar = Command::new("tar");
    let said: Said = tar.args(["--zstd", "-x", "-C"]).arg(&into).stdin(agent.stdout.take().unwrap()).output().unwrap().into();
    said.ended(0);
    assert!(agent.wait().unwrap().success());
    into.join(lab.path("services").strip_prefix("/").unwrap())
}

#[track_caller]
fn same(lab: &Lab, tree: &Path) {
    let said: Said = Command::new("diff").arg("-r").arg(lab.path("services")).arg(tree).output().unwrap().into();
    said.ended(0);
}
