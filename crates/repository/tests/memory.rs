//! What a pull of many frames takes of memory: a measurement, to be run by hand, with its goal.
//!
//! It runs in a process of its own, because what this one took to make the archive would be counted too; and step by step as a night does it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::{
    fs,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
    sync::Arc,
};

use offsite_archive::{
    ArchiveName, Chunker, End, FrameId, FrameRef, FramesDigest, Head, MANIFEST_VERSION, ManifestWriter, PathText, compress, write_tail,
};
use offsite_repository::{CopyOptions, Index, Layout, LocalStore, PackName, Repository, Scope, copy, holds, verify};

const FRAMES: u64 = 300_000;
const RAW: usize = 4096;
/// Bytes of memory.
const GOAL: u64 = 128 << 20;
const FOLDER: &str = "OFFSITE_MEASURE";
const NAME: &str = "services/2026-11-22T040000Z";

#[test]
#[ignore = "a measurement: 1.2 GB are made and copied"]
fn a_first_pull_of_many_frames_stays_below_its_goal() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return measured(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    made(folder.path());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--ignored", "--nocapture", "a_first_pull_of_many_frames_stays_below_its_goal"]).env(FOLDER, folder.path());
    assert!(child.status().unwrap().success());
}

/// An agent's archive of frames of 4 KiB that do not compress.
fn made(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let name: ArchiveName = NAME.parse().unwrap();
    let store = LocalStore::create(&folder.join("pi")).unwrap();
    let pi = runtime.block_on(Repository::create(Arc::new(store), Layout::Plain)).unwrap();
    let mut writer = ManifestWriter::new(Vec::new()).unwrap();
    let (version, finished) = (MANIFEST_VERSION, name.time());
    let (host, agent, sources) = ("pi".to_owned(), "0.1.0".to_owned(), vec![PathText(b"/srv".to_vec())]);
    writer.head(&Head { version, archive: name.clone(), sequence: 1, host, agent, sources, chunker: Chunker::files_1() }).unwrap();
    let path = folder.join("pi/archives").join(format!("{NAME}.tar.zst"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = BufWriter::new(fs::File::create(path).unwrap());
    let (mut digest, mut lengths, mut bytes, mut raw) = (FramesDigest::new(), Vec::new(), 0, vec![0; RAW]);
    for seed in 0..FRAMES {
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut raw);
        let encoded = compress(&raw, 1).unwrap();
        let frame = FrameRef { id: FrameId::of(&raw), raw: RAW as u32, len: encoded.len() as u32 };
        writer.frame(&frame).unwrap();
        digest.push(&frame.id, frame.raw);
        lengths.push((frame.len, frame.raw));
        bytes += u64::from(frame.len);
        file.write_all(&encoded).unwrap();
    }
    let (raw, digest) = (FRAMES * RAW as u64, digest.finish());
    let end = End { entries: 0, frames: FRAMES, raw, bytes, digest, finished, quiesced: vec![], warnings: vec![], complete: true };
    let manifest = writer.end(&end).unwrap();
    write_tail(&mut file, lengths.into_iter(), &manifest).unwrap();
    file.flush().unwrap();
    runtime.block_on(pi.put_manifest(&name, manifest.into())).unwrap();
}

/// The steps of a night, and the greatest memory of each.
fn measured(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let name: ArchiveName = NAME.parse().unwrap();
    let folder_of_mac = LocalStore::create(&folder.join("mac")).unwrap();
    let mut peaks = vec![("start", peak())];
    let far = LocalStore::open(&folder.join("pi")).unwrap();
    let pi = runtime.block_on(Repository::open(Arc::new(far))).unwrap();
    let mac = runtime.block_on(Repository::create(Arc::new(folder_of_mac.clone()), Layout::Packs)).unwrap();
    assert_eq!(runtime.block_on(pi.archives_beside(&[])).unwrap().good.len(), 1);
    peaks.push(("list", peak()));
    let options = CopyOptions { folder: Some(folder_of_mac), prove: true, ..CopyOptions::default() };
    let mut held = Index::default();
    let copied = runtime.block_on(copy(&pi, &mac, &mut held, &name, &options, &|_| ())).unwrap();
    assert_eq!(copied.frames_moved, FRAMES);
    peaks.push(("copy", peak()));
    drop(held);
    runtime.block_on(holds(&mac, &name)).unwrap();
    peaks.push(("judge", peak()));
    let packs = runtime.block_on(mac.packs()).unwrap().0;
    let seventh = packs.iter().take(packs.len().div_ceil(7)).map(|facts| match facts.name {
        PackName::Object(id) => id,
        PackName::Archive(_) => unreachable!("not of packs"),
    });
    let found = runtime.block_on(verify(&mac, &Scope::Packs(seventh.collect()), &|_| ())).unwrap();
    assert!(found.is_whole() && found.archives.len() == 1 && (FRAMES / 10..FRAMES).contains(&found.frames), "{found:?}");
    peaks.push(("read back a seventh", peak()));
    assert_eq!(runtime.block_on(mac.index()).unwrap().len() as u64, FRAMES);
    peaks.push(("next night's index", peak()));
    let megabytes = |peak: &Option<u64>| peak.map(|bytes| bytes as f64 / 1e6);
    peaks.iter().for_each(|(step, peak)| println!("{step}: {:?} MB", megabytes(peak)));
    let Some(most) = peaks.iter().filter_map(|(_, peak)| *peak).max() else { return println!("this system does not tell") };
    assert!(most <= GOAL, "{most} bytes");
}

/// The greatest memory of this process since this was asked for the last time, in bytes, where the system tells.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak = line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024;
    fs::write("/proc/self/clear_refs", "5").ok()?;
    Some(peak)
}
