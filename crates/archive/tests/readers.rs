//! An archive is an ordinary `.tar.zst` to the programs that everyone has.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod small;

use std::{
    fs,
    io::{Cursor, ErrorKind},
    path::Path,
    process::Command,
};

use offsite_archive::{Kind, Manifest, decode, read_tail};

/// Says that a test is skipped and why; fails where everything is required.
fn skip(reason: &str) {
    assert!(std::env::var_os("OFFSITE_LAB").is_none_or(|value| value != "require"), "{reason}, and OFFSITE_LAB=require");
    eprintln!("skipped: {reason}");
}

/// What `program` prints in `folder`; nothing, with the reason printed, where it is not installed.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).current_dir(folder).env("LC_ALL", "C").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip(&format!("{program} is not installed"));
            return None;
        }
        output => output.unwrap(),
    };
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("small.tar.zst"), small::small().file).unwrap();
    folder
}

fn names() -> Vec<&'static str> {
    small::members().into_iter().map(|(name, ..)| name).collect()
}

fn assert_extracted(folder: &Path) {
    for (name, kind, content) in small::members() {
        let path = folder.join(name.trim_end_matches('/'));
        match kind {
            Kind::Dir => assert!(path.is_dir()),
            Kind::Symlink => assert_eq!(fs::read_link(&path).unwrap().as_os_str().as_encoded_bytes(), content),
            Kind::Hardlink => assert_eq!(fs::read(&path).unwrap(), b"hello, offsite\n"),
            _ => assert!(fs::read(&path).unwrap() == content, "{name}"),
        }
    }
}

#[test]
fn zstd_accepts_and_inflates_it() {
    let folder = folder();
    if run(folder.path(), "zstd", &["-q", "-t", "small.tar.zst"]).is_none() {
        return;
    }
    run(folder.path(), "zstd", &["-q", "-d", "small.tar.zst", "-o", "small.tar"]);
    assert!(fs::read(folder.path().join("small.tar")).unwrap() == small::small().stream);
}

#[test]
fn gnu_tar_lists_and_extracts_it() {
    let folder = folder();
    let Some(version) = run(folder.path(), "tar", &["--version"]) else { return };
    if !version.contains("GNU tar") || run(folder.path(), "zstd", &["--version"]).is_none() {
        return skip("tar is not GNU tar, or has no zstd");
    }
    let listed = run(folder.path(), "tar", &["--zstd", "-tf", "small.tar.zst"]).unwrap();
    assert_eq!(listed.lines().collect::<Vec<_>>(), names());
    run(folder.path(), "tar", &["--zstd", "--no-same-owner", "-xf", "small.tar.zst"]);
    assert_extracted(folder.path());
}

#[test]
fn bsdtar_lists_and_extracts_it() {
    let folder = folder();
    let Some(listed) = run(folder.path(), "bsdtar", &["-tf", "small.tar.zst"]) else { return };
    assert_eq!(listed.lines().collect::<Vec<_>>(), names());
    run(folder.path(), "bsdtar", &["--no-same-owner", "-xf", "small.tar.zst"]);
    assert_extracted(folder.path());
}

#[test]
fn the_tail_alone_leads_to_manifest_and_frames() {
    let small = small::small();
    let tail = read_tail(&mut Cursor::new(&small.file)).unwrap();
    let object = &small.file[tail.manifest.start as usize..tail.manifest.end as usize];
    assert!(object == small.manifest);
    let manifest = Manifest::read(object).unwrap();
    assert_eq!(tail.frames, manifest.frames.iter().map(|frame| (frame.len, frame.raw)).collect::<Vec<_>>());
    let mut stream = Vec::new();
    for (frame, offset) in manifest.frames.iter().zip(manifest.frame_offsets()) {
        let bytes = &small.file[offset as usize..][..frame.len as usize];
        stream.extend(decode(bytes, &frame.id, frame.raw).unwrap());
    }
    assert!(stream == small.stream);
}
