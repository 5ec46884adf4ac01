//! What capturing does when the tree will not hold still, and what it refuses.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use offsite_archive::{CaptureError, Captured, Class, Kind, Part, read_tail};

use super::support::{begin, capture, capture_by, entries, facts, frames, head, is_root, noise, restored, scratch, touch};

/// Captures `source`, doing `meddle` when the member `at` has been begun and none of its content read.
fn meddled(source: &Path, at: &str, meddle: impl Fn()) -> Captured<Vec<u8>> {
    let mut capture = begin(Vec::new(), head(&[source])).unwrap();
    let mut done = false;
    capture
        .part(&Part::whole(source), &mut |progress| {
            if !done && progress.path.ends_with(at) {
                done = true;
                meddle();
            }
        })
        .unwrap();
    assert!(done);
    capture.finish(facts()).unwrap()
}

#[test]
fn a_file_that_shrinks_is_padded_and_told() {
    for len in [1000, 2 << 20] {
        let (_source, source) = scratch();
        let path = source.join("log");
        fs::write(&path, noise(1, len)).unwrap();
        let captured = meddled(&source, "log", || OpenOptions::new().write(true).open(&path).unwrap().set_len(len as u64 / 3).unwrap());
        assert_eq!(captured.end.warnings, [format!("{}: it became shorter while it was read; zeros fill the rest", path.display())]);
        assert!(captured.end.complete);
        let back = restored(&captured, &path);
        assert_eq!(back.len(), len);
        assert!(back[..len / 3] == noise(1, len)[..len / 3] && back[len / 3..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_file_that_grows_is_cut_and_told() {
    let (_source, source) = scratch();
    let path = source.join("log");
    fs::write(&path, "before").unwrap();
    let captured = meddled(&source, "log", || OpenOptions::new().append(true).open(&path).unwrap().write_all(b" and after").unwrap());
    assert_eq!(captured.end.warnings, [format!("{}: it changed while it was read", path.display())]);
    assert!(captured.end.complete);
    assert_eq!(restored(&captured, &path), b"before");
}

#[test]
fn a_file_that_vanishes_is_told_and_the_rest_is_there() {
    let (_source, source) = scratch();
    for name in ["a", "b", "c"] {
        fs::write(source.join(name), name).unwrap();
    }
    let captured = meddled(&source, "a", || fs::remove_file(source.join("b")).unwrap());
    assert_eq!(captured.end.warnings, [format!("{}: it vanished before it could be read", source.join("b").display())]);
    assert!(captured.end.complete);
    assert_eq!(restored(&captured, &source.join("c")), b"c");
}

#[test]
fn a_file_that_becomes_a_link_is_not_followed() {
    let (_source, source) = scratch();
    for name in ["a", "b"] {
        fs::write(source.join(name), name).unwrap();
    }
    let captured = meddled(&source, "a", || {
        fs::remove_file(source.join("b")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", source.join("b")).unwrap();
    });
    let kinds: Vec<Kind> = entries(&captured).iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [Kind::Dir, Kind::File, Kind::Symlink]);
}

#[test]
fn what_cannot_be_read_makes_the_archive_incomplete() {
    if is_root() {
        eprintln!("skipped: root can read everything");
        return;
    }
    let (_source, source) = scratch();
    fs::write(source.join("secret"), "x").unwrap();
    fs::create_dir(source.join("closed")).unwrap();
    for name in ["secret", "closed"] {
        super::support::chmod(&source.join(name), 0);
    }
    let captured = capture(&[&source]);
    assert!(!captured.end.complete);
    assert_eq!(captured.end.warnings.len(), 2, "{:?}", captured.end.warnings);
    // The folder itself is there, with its mode.
    assert_eq!(entries(&captured).iter().map(|entry| entry.kind).collect::<Vec<_>>(), [Kind::Dir, Kind::Dir]);
    super::support::chmod(&source.join("closed"), 0o700);
}

#[test]
fn a_socket_is_left_out_and_told() {
    let (_source, source) = scratch();
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, source.join("socket"), FileType::Socket, Mode::RUSR, 0).unwrap();
    let captured = capture(&[&source]);
    assert_eq!(captured.end.warnings, [format!("{}/socket: a socket, which no archive can hold, was left out", source.display())]);
    assert!(captured.end.complete);
    assert_eq!(captured.end.entries, 1);
}

#[test]
fn a_source_that_is_a_link_is_not_passed_over_in_silence() {
    let (_source, source) = scratch();
    fs::create_dir(source.join("real")).unwrap();
    std::os::unix::fs::symlink("real", source.join("link")).unwrap();
    let captured = capture(&[&source.join("link")]);
    assert!(!captured.end.complete);
    assert_eq!(entries(&captured).iter().map(|entry| entry.kind).collect::<Vec<_>>(), [Kind::Symlink]);
}

#[test]
fn refuses_what_would_be_a_bad_archive() {
    let (_source, source) = scratch();
    let fresh = || begin(Vec::new(), head(&[])).unwrap();
    let gone = fresh().part(&Part::whole(source.join("gone")), &mut |_| ()).unwrap_err();
    assert!(matches!(gone, CaptureError::Root { .. }), "{gone}");
    let mut capture = fresh();
    capture.part(&Part::whole(&source), &mut |_| ()).unwrap();
    for path in [source.clone(), source.join("below")] {
        assert!(matches!(capture.part(&Part::whole(&path), &mut |_| ()), Err(CaptureError::Overlap { .. })), "{path:?}");
    }
    assert!(matches!(capture.part(&Part::whole("relative"), &mut |_| ()), Err(CaptureError::Path(_))));
    let mut head = head(&[]);
    head.chunker.page += 1;
    assert!(matches!(begin(Vec::new(), head).err(), Some(CaptureError::Head(_))));
}

#[test]
fn a_full_disk_is_an_error() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (_source, source) = scratch();
    fs::write(source.join("large"), noise(1, 12 << 20)).unwrap();
    fs::write(source.join("small"), noise(2, 100_000)).unwrap();
    let whole = capture(&[&source]).out.len();
    for room in [0, 1000, 3 << 20, whole - 1] {
        let mut capture = begin(Full(room), head(&[&source])).unwrap();
        let done = capture.part(&Part::whole(&source), &mut |_| ()).and_then(|()| capture.finish(facts()).map(drop));
        assert!(matches!(&done, Err(CaptureError::Write(cause)) if cause.kind() == io::ErrorKind::StorageFull), "{room}: {done:?}");
    }
}

#[test]
fn generated_files_lie_beside_the_sources() {
    let (_source, source) = scratch();
    fs::write(source.join("a"), "a").unwrap();
    let mut capture = begin(Vec::new(), head(&[])).unwrap();
    let time = Timestamp::from_nanosecond(-1_250_000_000).unwrap();
    let path = Path::new("/offsite/services.json");
    capture.data(path, b"{}", time).unwrap();
    capture.data(Path::new("/offsite/large.sql"), &noise(4, 300_000), time).unwrap();
    capture.part(&Part::whole(&source), &mut |_| ()).unwrap();
    assert!(matches!(capture.data(path, b"", time), Err(CaptureError::Overlap { .. })));
    assert!(matches!(capture.data(&source.join("b"), b"", time), Err(CaptureError::Overlap { .. })));
    let captured = capture.finish(facts()).unwrap();
    let entries = entries(&captured);
    assert_eq!((entries[0].mode, entries[0].uid, entries[0].gid, entries[0].size), (0o600, 0, 0, 2));
    assert_eq!((entries[0].mtime.0, entries[0].mtime.1), (-2, 750_000_000));
    assert_eq!(entries[1].class, Some(Class::Text));
    assert_eq!(restored(&captured, path), b"{}");
    assert_eq!(restored(&captured, Path::new("/offsite/large.sql")), noise(4, 300_000));
}

#[test]
fn the_file_ends_with_its_manifest_and_a_seek_table() {
    let (_source, source) = scratch();
    fs::write(source.join("large"), noise(1, 3 << 20)).unwrap();
    let captured = capture(&[&source]);
    let tail = read_tail(&mut io::Cursor::new(&captured.out)).unwrap();
    let expected: Vec<(u32, u32)> = frames(&captured).iter().map(|frame| (frame.len, frame.raw)).collect();
    assert_eq!(tail.frames, expected);
    assert_eq!(captured.out[tail.manifest.start as usize..tail.manifest.end as usize], captured.manifest);
}

#[test]
fn threads_change_nothing_but_time() {
    let (_source, source) = scratch();
    for (name, len) in [("a.bin", 9 << 20), ("b.sql", 2 << 20), ("c", 1000)] {
        fs::write(source.join(name), noise(len as u64, len)).unwrap();
        touch(&source.join(name), 1_700_000_000, 0);
    }
    let one = capture_by(&[&source], 1);
    for threads in [0, 2, 3, 8] {
        assert!(capture_by(&[&source], threads).out == one.out, "{threads} threads");
    }
}

#[test]
fn progress_grows_to_the_end() {
    let (_source, source) = scratch();
    fs::write(source.join("large"), noise(1, 40 << 20)).unwrap();
    let mut capture = begin(Vec::new(), head(&[])).unwrap();
    let mut seen = vec![];
    capture.part(&Part::whole(&source), &mut |progress| seen.push((progress.entries, progress.raw, progress.written))).unwrap();
    assert!(seen.len() >= 40 && seen.windows(2).all(|pair| pair[0] <= pair[1]), "{seen:?}");
    assert!(seen.iter().any(|&(_, raw, written)| raw > 35 << 20 && written > 1 << 20), "{seen:?}");
}
