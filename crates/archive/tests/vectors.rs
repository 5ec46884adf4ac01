//! Golden files below `tests/vectors/<version>`: what once was written must always be read, and cut alike. `v1` is all of the format's first
//! version, `v2` what is otherwise in manifests of version 2.
//!
//! The files never change. New ones are made by the ignored tests here, run with `OFFSITE_MAKE_VECTORS=1`, which refuse to
//! overwrite; then `make_sums` adds them to the `SHA256SUMS` of their version, whose lines never change either.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[path = "vectors/bad.rs"]
mod bad;
#[path = "vectors/cut.rs"]
mod cut;
mod small;
#[path = "vectors/sums.rs"]
mod sums;
#[path = "vectors/v2.rs"]
mod v2;

use std::{
    fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
};

use offsite_archive::{Entry, FrameId, Kind, Line, Manifest, decode, read_tail};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors")
}

pub(crate) fn vector(name: &str) -> Vec<u8> {
    fs::read(root().join(name)).unwrap_or_else(|error| panic!("read vector {name}: {error}"))
}

/// Whether vectors are to be made now.
pub(crate) fn making() -> bool {
    let making = std::env::var_os("OFFSITE_MAKE_VECTORS").is_some_and(|value| value == "1");
    if !making {
        eprintln!("skipped: vectors are made only with OFFSITE_MAKE_VECTORS=1");
    }
    making
}

/// Writes a vector that is not there yet; leaves one that is, if it is the same, and fails if it is not.
pub(crate) fn make(name: &str, bytes: &[u8]) {
    let path = root().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match fs::File::create_new(&path) {
        Ok(mut file) => file.write_all(bytes).unwrap(),
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "make {name}: {error}");
            assert!(fs::read(&path).unwrap() == bytes, "vector {name} exists and differs: vectors are never overwritten");
        }
    }
}

/// What a manifest and its stream hold, for people and for comparison.
fn listing(object: &[u8], stream: &[u8]) -> String {
    let reader = Manifest::entries(object).unwrap();
    let mut text = format!("archive {} sequence {}\n", reader.head().archive, reader.head().sequence);
    for line in reader {
        match line.unwrap() {
            Line::Entry(entry) => text += &entry_text(&entry, stream),
            Line::Frame(frame) => text += &format!("frame {} raw {}\n", frame.id, frame.raw),
            Line::End(end) => text += &format!("end raw {} digest {} finished {}\n", end.raw, end.digest, end.finished),
            Line::Head(_) => panic!("a second head"),
        }
    }
    text
}

fn entry_text(entry: &Entry, stream: &[u8]) -> String {
    let Entry { kind, mode, uid, gid, user, group, size, mtime, class, at, data, .. } = entry;
    let mut text = format!("{kind:?} {mode:04o} {uid}:{gid} {user}:{group} {size} {} {} ", mtime.0, mtime.1);
    text += &format!("at {at} data {data} {} {}", class.map_or("bundled".to_owned(), |class| format!("{class:?}")), entry.path);
    if let Some(link) = &entry.link {
        text += &format!(" -> {link}");
    }
    if entry.kind == Kind::File {
        text += &format!(" {}", FrameId::of(&stream[entry.data as usize..][..entry.stored as usize]));
    }
    text + "\n"
}

/// The stream of a plain archive, by way of its tail.
fn stream_of(file: &[u8], object: &[u8]) -> Vec<u8> {
    let tail = read_tail(&mut Cursor::new(file)).unwrap();
    assert!(&file[tail.manifest.start as usize..tail.manifest.end as usize] == object);
    let manifest = Manifest::read(object).unwrap();
    let mut stream = Vec::new();
    for (frame, offset) in manifest.frames.iter().zip(manifest.frame_offsets()) {
        stream.extend(decode(&file[offset as usize..][..frame.len as usize], &frame.id, frame.raw).unwrap());
    }
    match manifest.head.version {
        1 => assert_eq!(FrameId::of(&stream), manifest.end.digest),
        _ => assert_eq!(small::frames_digest(&manifest.frames), manifest.end.digest),
    }
    stream
}

#[test]
fn the_small_archive_reads_as_ever() {
    let (file, object) = (vector("v1/archive/small.tar.zst"), vector("v1/archive/small.manifest.zst"));
    let stream = stream_of(&file, &object);
    assert_eq!(listing(&object, &stream), String::from_utf8(vector("v1/archive/small.listing")).unwrap());
}

#[test]
fn the_small_archive_is_made_of_the_same_chunks_as_ever() {
    let (now, then) = (small::of_version(1), Manifest::read(&vector("v1/archive/small.manifest.zst")).unwrap());
    let ids = |manifest: &Manifest| manifest.frames.iter().map(|frame| (frame.id, frame.raw)).collect::<Vec<_>>();
    // Not the compressed bytes: those may change with zstd, and nothing depends on them.
    assert_eq!(ids(&Manifest::read(&now.manifest).unwrap()), ids(&then));
}

#[test]
fn a_damaged_archive_is_found_out() {
    let object = vector("v1/archive/small.manifest.zst");
    assert!(read_tail(&mut Cursor::new(vector("v1/archive/bad-cut-short.tar.zst"))).is_err());
    assert!(read_tail(&mut Cursor::new(vector("v1/archive/bad-seek-table.tar.zst"))).is_err());
    // A flipped bit in a frame: the tail is good, exactly one frame is not.
    let file = vector("v1/archive/bad-frame.tar.zst");
    assert!(read_tail(&mut Cursor::new(&file)).is_ok());
    let manifest = Manifest::read(&object).unwrap();
    let damaged = manifest.frames.iter().zip(manifest.frame_offsets());
    let damaged = damaged.filter(|(frame, at)| decode(&file[*at as usize..][..frame.len as usize], &frame.id, frame.raw).is_err());
    assert_eq!(damaged.count(), 1);
}

#[test]
#[ignore = "makes vectors"]
fn make_archive() {
    if !making() {
        return;
    }
    let small = small::of_version(1);
    make("v1/archive/small.tar.zst", &small.file);
    make("v1/archive/small.manifest.zst", &small.manifest);
    make("v1/archive/small.listing", listing(&small.manifest, &small.stream).as_bytes());
    make("v1/archive/bad-cut-short.tar.zst", &small.file[..small.file.len() - 1]);
    let mut damaged = small.file.clone();
    damaged[1000] ^= 0x10;
    make("v1/archive/bad-frame.tar.zst", &damaged);
    let mut damaged = small.file.clone();
    let count = damaged.len() - 9;
    damaged[count] += 1;
    make("v1/archive/bad-seek-table.tar.zst", &damaged);
}
