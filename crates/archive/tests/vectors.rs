//! Golden files below `tests/vectors/<version>`: what once was written must always be read, and cut alike. `v1` is all of the format's first
//! version, `v2` what is otherwise in manifests of version 2.
//!
//! The files never change, and neither do the lines of the `SHA256SUMS` of their version; new ones get new lines.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

#[path = "vectors/bad.rs"]
mod bad;
#[path = "vectors/cut.rs"]
mod cut;
#[path = "vectors/sums.rs"]
mod sums;
#[path = "vectors/v2.rs"]
mod v2;

use std::{
    convert::Infallible,
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use offsite_archive::{Bundler, Cutter, Entry, FrameId, Kind, LARGE_MIN, Line, Manifest, classify, decode, read_tail};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors")
}

pub(crate) fn vector(name: &str) -> Vec<u8> {
    fs::read(root().join(name)).unwrap_or_else(|error| panic!("read vector {name}: {error}"))
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
    // That of version 2 is of the frames, and was compared by the reader.
    assert!(manifest.head.version != 1 || FrameId::of(&stream) == manifest.end.digest);
    stream
}

#[test]
fn the_small_archive_reads_as_ever() {
    let (file, object) = (vector("v1/archive/small.tar.zst"), vector("v1/archive/small.manifest.zst"));
    let stream = stream_of(&file, &object);
    assert_eq!(listing(&object, &stream), String::from_utf8(vector("v1/archive/small.listing")).unwrap());
}

/// Not the compressed bytes: those may change with zstd, and nothing depends on them.
#[test]
fn the_small_archive_is_cut_as_ever() {
    let (file, object) = (vector("v1/archive/small.tar.zst"), vector("v1/archive/small.manifest.zst"));
    let (stream, mut chunks) = (stream_of(&file, &object), Vec::new());
    let mut cutter = Cutter::new(|chunk: &[u8]| {
        chunks.push((FrameId::of(chunk), chunk.len() as u32));
        Ok::<(), Infallible>(())
    });
    let (mut bundler, mut end) = (Bundler::default(), 0);
    for line in Manifest::entries(&object).unwrap() {
        let Line::Entry(entry) = line.unwrap() else { continue };
        let (at, data, stored) = (entry.at as usize, entry.data as usize, entry.stored as usize);
        end = (data + stored).next_multiple_of(512);
        let (header, data) = (&stream[at..data], &stream[data..data + stored]);
        assert_eq!(entry.class, (entry.stored >= LARGE_MIN).then(|| classify(&entry.path.0, data)));
        let key = entry.path.0.strip_prefix(b"/srv/demo/").unwrap_or_default();
        cut::feed(&mut cutter, &mut bundler, key, header, data, entry.class);
    }
    cut::finish(cutter, &bundler, &stream[end..]);
    assert_eq!(chunks, Manifest::read(&object).unwrap().frames.iter().map(|frame| (frame.id, frame.raw)).collect::<Vec<_>>());
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
