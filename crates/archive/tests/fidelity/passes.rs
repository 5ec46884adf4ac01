//! Two passes, a stock and a cache change how an archive is made, never what is in it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use offsite_archive::{Capture, CaptureError, CaptureOptions, ColdPass, HotPass, Manifest, Part, Stock};

use super::nights::{after, begun, cold, edit, file_of, hot, later, made, night, single, stock, times_count};
use super::support::{bytes, capture, facts, frames, head, noise, restored, scratch, touch};

fn tree(source: &Path) {
    for (name, len) in [("a/library.db", 3 << 20), ("a/dump.sql", 900_000), ("b/photo.jpg", 5 << 20), ("b/other.jpg", 2 << 20)] {
        fs::create_dir_all(source.join(name).parent().unwrap()).unwrap();
        fs::write(source.join(name), noise(len as u64, len)).unwrap();
    }
    edit(&source.join("a/library.db"), 0, b"SQLite format 3\0", 1_700_000_000);
    for number in 0..300 {
        fs::write(source.join(format!("a/{number:03}")), noise(number, 3000)).unwrap();
    }
}

#[test]
fn an_unchanged_tree_is_not_read_again() {
    let (_source, source) = scratch();
    tree(&source);
    let full = capture(&[&source]);
    let first = night(stock(), &source, || ());
    assert!(first.out == full.out && first.manifest == full.manifest);
    let again = night(after(&first), &source, || ());
    assert!(again.out == full.out && again.manifest == full.manifest);
    let by_single = single(after(&first), &source, false);
    assert!(by_single.out == full.out && by_single.manifest == full.manifest);
    assert_eq!((again.fresh, by_single.fresh), (0, 0));
    if times_count(&source) {
        assert_eq!((first.read, again.read, by_single.read), (0, 0, 0));
    }
    // And so on from there: the cache of a night that read nothing is as good.
    let third = night(after(&again), &source, || ());
    assert!(third.out == full.out && bytes(&third.cache) == bytes(&again.cache));
}

#[test]
fn what_changes_between_the_passes_is_in_the_archive_as_it_is_then() {
    let (_source, source) = scratch();
    tree(&source);
    let first = night(stock(), &source, || ());
    let second = night(after(&first), &source, || {
        edit(&source.join("a/library.db"), 1 << 20, &noise(77, 8192), 1_800_000_000);
        edit(&source.join("a/123"), 10, b"changed", 1_800_000_001);
        // Ahead of the other one: what comes behind much that is under way has its lines elsewhere in a single pass' manifest.
        fs::rename(source.join("b/other.jpg"), source.join("b/before.jpg")).unwrap();
        fs::remove_file(source.join("a/007")).unwrap();
        fs::write(source.join("a/new"), noise(5, 100_000)).unwrap();
        super::support::chmod(&source.join("a/200"), 0o600);
    });
    let full = capture(&[&source]);
    assert!(second.manifest == full.manifest && second.out == full.out);
    if times_count(&source) {
        // The database, the renamed photo, and the bundles of the small ones: no more.
        assert!(second.read > 5 << 20 && second.read < 8 << 20, "{}", second.read);
    }
    assert!(second.fresh < 1 << 20, "{}", second.fresh);
}

/// What `touch -r` does, or a copy that keeps times: of what was written, only the time of the change itself speaks.
#[test]
fn a_write_that_puts_the_old_time_back_is_seen() {
    let (_source, source) = scratch();
    tree(&source);
    // A bundle's, and one with pieces of its own.
    let files = ["a/123", "b/photo.jpg"].map(|name| source.join(name));
    files.iter().for_each(|file| touch(file, 1_700_000_000, 0));
    let first = night(stock(), &source, || ());
    let second = night(after(&first), &source, || {
        for file in &files {
            let before = fs::metadata(file).unwrap();
            // A clock that ticks every few milliseconds may not have done so since.
            while fs::metadata(file).unwrap().ctime_nsec() == before.ctime_nsec() {
                edit(file, 1000, b"written behind its back", 1_700_000_000);
            }
            let now = fs::metadata(file).unwrap();
            assert_eq!((now.len(), now.modified().unwrap(), now.ino()), (before.len(), before.modified().unwrap(), before.ino()));
        }
    });
    let full = capture(&[&source]);
    assert!(second.out == full.out && second.manifest == full.manifest && second.out != first.out);
    // And not because everything was read.
    assert!(!times_count(&source) || second.read < 8 << 20, "{}", second.read);
}

/// Services wait for the cold pass: what it reads lies in the scratch file as it was read.
#[test]
fn nothing_is_compressed_while_services_are_away() {
    let (_source, source) = scratch();
    fs::write(source.join("log"), "").unwrap();
    let file = tempfile::tempfile().unwrap();
    let kept = || file.metadata().unwrap().len();
    let (stock, _) = hot(Stock::new(file.try_clone().unwrap()), &source, false);
    let text: String = (0..100_000).map(|line| format!("{line:>20}\n")).collect();
    edit(&source.join("log"), 0, text.as_bytes(), 1_800_000_000);
    let (before, mut pass) = (kept(), begun(stock, &source));
    pass.part(&Part::whole(&source), &mut |_| ()).unwrap();
    let recorded = pass.finish().unwrap();
    assert!(kept() - before >= text.len() as u64, "{} of {}", kept() - before, text.len());
    let made = recorded.assemble(Vec::new(), facts()).unwrap();
    assert!(made.out.len() < text.len() / 2 && restored(&made, &source.join("log")) == text.as_bytes());
}

#[test]
fn a_lost_cache_costs_reading_and_nothing_else() {
    let (_source, source) = scratch();
    tree(&source);
    let first = night(stock(), &source, || ());
    let manifest = Manifest::read(&first.manifest).unwrap();
    let cache = bytes(&first.cache);
    let mut damaged: Vec<Vec<u8>> = (0..cache.len()).step_by(97).map(|at| flipped(&cache, at)).collect();
    damaged.extend([vec![], cache[..cache.len() / 2].to_vec(), [&cache[..], b"x"].concat()]);
    for cache in damaged {
        assert!(stock().add(tempfile::tempfile().unwrap(), &manifest, Some(&cache)).is_err());
    }
    for cache in [None, Some(flipped(&cache, 200))] {
        let mut without = stock();
        let added = without.add(file_of(&first.out), &manifest, cache.as_deref());
        assert_eq!(added.is_err(), cache.is_some());
        let again = night(without, &source, || ());
        assert!(again.out == first.out && again.fresh == 0);
    }
    // Another archive's cache says nothing of this one.
    edit(&source.join("a/000"), 0, b"other", 1_800_000_000);
    let other = night(stock(), &source, || ());
    assert!(stock().add(file_of(&first.out), &manifest, Some(&bytes(&other.cache))).is_err());
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

#[test]
fn rot_in_the_earlier_archive_does_not_spread() {
    let (_source, source) = scratch();
    tree(&source);
    let first = night(stock(), &source, || ());
    let manifest = Manifest::read(&first.manifest).unwrap();
    for at in [0, first.out.len() / 3, manifest.end.bytes as usize - 1] {
        for cache in [Some(&bytes(&first.cache)[..]), None] {
            let mut stock = stock();
            stock.add(file_of(&flipped(&first.out, at)), &manifest, cache).unwrap();
            let (stock, _) = hot(stock, &source, false);
            assert!(matches!(cold(stock, &source), Err(CaptureError::Damaged { .. })), "byte {at}");
        }
    }
}

/// A cache that was made for the right archive and speaks of wrong frames: what a file system that lies would look like.
fn lying(cache: &[u8], frames: usize) -> Vec<u8> {
    const PIECE: usize = 41;
    let mut cache = cache[..cache.len() - 32].to_vec();
    let pieces = cache.len() - (8 + 4 + 8 + 32 + 8 + 16 * frames);
    assert!(pieces >= 2 * PIECE && pieces.is_multiple_of(PIECE), "{pieces}");
    let table = cache.len() - pieces;
    // Every piece's frames are those of the next one.
    let spans: Vec<Vec<u8>> = cache[table..].chunks(PIECE).map(|piece| piece[32..40].to_vec()).collect();
    for (number, piece) in cache[table..].chunks_mut(PIECE).enumerate() {
        piece[32..40].copy_from_slice(&spans[(number + 1) % spans.len()]);
    }
    let hash = blake3::hash(&cache);
    cache.extend_from_slice(hash.as_bytes());
    cache
}

#[test]
fn an_audit_finds_what_times_do_not_tell() {
    let (_source, source) = scratch();
    tree(&source);
    if !times_count(&source) {
        return;
    }
    let first = night(stock(), &source, || ());
    let frames = frames(&first).len();
    let manifest = Manifest::read(&first.manifest).unwrap();
    let misled = || {
        let mut stock = stock();
        stock.add(file_of(&first.out), &manifest, Some(&lying(&bytes(&first.cache), frames))).unwrap();
        stock
    };
    // Unaudited, the lie would be believed: so this test can fail.
    assert!(cold(hot(misled(), &source, false).0, &source).unwrap().end.digest != first.end.digest);
    let (stock, wrong) = hot(misled(), &source, true);
    assert!(wrong.iter().any(|text| text.contains("b/photo.jpg: its content is not what it was")), "{wrong:?}");
    assert_eq!(stock.pieces(), 0);
    let healed = cold(stock, &source).unwrap();
    assert!(healed.end.digest == first.end.digest && healed.read > 10 << 20);
    // In a single pass there is no second chance: it says so, and leaves no cache.
    let told = single(misled(), &source, true);
    assert!(!told.end.complete && told.end.warnings.iter().any(|text| text.contains("not what it was")), "{:?}", told.end);
    // Every piece was compared: the audit has no share of them left for another night.
    let pieces = misled().pieces();
    assert!(pieces > 1 && wrong.len() == pieces, "{} of {pieces}", wrong.len());
}

#[test]
fn an_audit_of_what_is_true_finds_nothing() {
    let (_source, source) = scratch();
    tree(&source);
    let first = night(stock(), &source, || ());
    let (stock, wrong) = hot(after(&first), &source, true);
    assert_eq!(wrong, Vec::<String>::new());
    assert!(cold(stock, &source).unwrap().out == first.out);
    let made = single(after(&first), &source, true);
    assert!(made.out == first.out && made.end.warnings.is_empty());
    assert!(!times_count(&source) || made.read > 10 << 20);
}

#[test]
fn young_files_are_read_again() {
    let (_source, source) = scratch();
    fs::write(source.join("large"), noise(1, 3 << 20)).unwrap();
    // A clock that stands still: everything is younger than it, so nothing is known by its times.
    let now = Timestamp::now();
    let clock = move || now;
    let mut pass = HotPass::new(stock(), &CaptureOptions::default(), &clock).unwrap();
    pass.part(&Part::whole(&source), &mut |_| ()).unwrap();
    let (stock, _) = pass.finish().unwrap();
    let made = cold(stock, &source).unwrap();
    assert_eq!(made.read, 3 << 20);
    assert!(made.out == capture(&[&source]).out);
}

#[test]
fn parts_of_a_source_make_up_the_source() {
    let (_source, source) = scratch();
    tree(&source);
    let part = |path: PathBuf, exclude: Vec<PathBuf>| Part { source: source.clone(), path, at: None, exclude };
    let parts = [
        part(source.clone(), vec![source.join("a"), source.join("b/photo.jpg")]),
        part(source.join("b/photo.jpg"), vec![]),
        part(source.join("a"), vec![]),
    ];
    let mut hot = HotPass::new(stock(), &CaptureOptions::default(), &later).unwrap();
    parts.iter().for_each(|part| hot.part(part, &mut |_| ()).unwrap());
    let mut cold = begun(hot.finish().unwrap().0, &source);
    parts.iter().for_each(|part| cold.part(part, &mut |_| ()).unwrap());
    let made = made(cold);
    let paths = |captured| {
        let mut paths: Vec<_> = super::support::entries(captured).into_iter().map(|entry| (entry.path.0, entry.size)).collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(&made), paths(&capture(&[&source])));
    if times_count(&source) {
        assert_eq!(made.read, 0);
    }
}

/// "/ab" does not lie in "/a": its bundles are cut as those of a source.
#[test]
fn a_part_that_only_sounds_like_its_source_is_not_in_it() {
    let (_folder, folder) = scratch();
    let (source, path) = (folder.join("a"), folder.join("ab"));
    fs::create_dir(&source).unwrap();
    tree(&path);
    let made = |part: Part| {
        let mut pass = Capture::new(Vec::new(), head(&[&path]), &CaptureOptions::default(), stock(), None).unwrap();
        pass.part(&part, &mut |_| ()).unwrap();
        pass.finish(facts()).unwrap()
    };
    let beside = made(Part { source, path: path.clone(), at: None, exclude: Vec::new() });
    assert!(beside.manifest == made(Part::whole(&path)).manifest);
}

#[test]
fn a_further_name_of_what_was_read_at_another_moment_is_a_file_of_its_own() {
    let (_source, source) = scratch();
    for name in ["first", "second"] {
        fs::create_dir(source.join(name)).unwrap();
    }
    fs::write(source.join("first/file"), "before").unwrap();
    fs::hard_link(source.join("first/file"), source.join("second/file")).unwrap();
    fs::hard_link(source.join("first/file"), source.join("second/same")).unwrap();
    let part = |name: &str| Part { source: source.clone(), path: source.join(name), at: None, exclude: Vec::new() };
    let mut pass = begun(stock(), &source);
    pass.part(&part("first"), &mut |_| ()).unwrap();
    // The second project writes until it is stopped, which is after the first part was read.
    fs::write(source.join("second/file"), "at last").unwrap();
    pass.next_moment();
    pass.part(&part("second"), &mut |_| ()).unwrap();
    let made = made(pass);
    assert!(
        made.end.complete && made.end.warnings.len() == 1 && made.end.warnings[0].contains("second/file: it is also"),
        "{:?}",
        made.end
    );
    let read = |name: &str| restored(&made, &source.join(name));
    assert_eq!([read("first/file"), read("second/file"), read("second/same")], [&b"before"[..], b"at last", b"at last"]);
}

#[test]
fn an_audit_holds_nothing_against_a_file_that_changes_while_it_is_read() {
    let (_source, source) = scratch();
    fs::write(source.join("large"), noise(1, 6 << 20)).unwrap();
    let first = night(stock(), &source, || ());
    let options = CaptureOptions { audit: true, ..CaptureOptions::default() };
    let mut pass = HotPass::new(after(&first), &options, &later).unwrap();
    let (path, mut calls) = (source.join("large"), 0);
    pass.part(&Part::whole(&source), &mut |progress| {
        if progress.path.ends_with("large") {
            calls += 1;
            if calls == 3 {
                edit(&path, 5 << 20, &noise(9, 100), 1_700_000_001);
            }
        }
    })
    .unwrap();
    let (stock, wrong) = pass.finish().unwrap();
    assert_eq!(wrong, Vec::<String>::new());
    assert!(cold(stock, &source).unwrap().out == capture(&[&source]).out);
}

#[test]
fn a_snapshot_is_read_in_place_of_the_source() {
    let (_source, source) = scratch();
    tree(&source);
    let full = capture(&[&source]);
    let (_elsewhere, elsewhere) = scratch();
    let copy = elsewhere.join("snapshot");
    let status = std::process::Command::new("cp").arg("-a").arg(&source).arg(&copy).status().unwrap();
    assert!(status.success());
    fs::remove_dir_all(source.join("a")).unwrap();
    let mut pass = begun(stock(), &source);
    pass.part(&Part { at: Some(copy), ..Part::whole(&source) }, &mut |_| ()).unwrap();
    let made = made(pass);
    assert!(made.out == full.out && made.manifest == full.manifest);
}

#[test]
fn a_file_that_is_replaced_while_it_waits_is_whole() {
    let (_source, source) = scratch();
    fs::write(source.join("a"), noise(1, 1000)).unwrap();
    fs::write(source.join("b"), noise(2, 1000)).unwrap();
    touch(&source.join("a"), 1_700_000_000, 0);
    let mut pass = begun(stock(), &source);
    let mut done = false;
    pass.part(&Part::whole(&source), &mut |progress| {
        // "a" waits in its bundle, open and unread.
        if !done && progress.path.ends_with("b") {
            done = true;
            fs::write(source.join("new"), noise(3, 1000)).unwrap();
            fs::rename(source.join("new"), source.join("a")).unwrap();
        }
    })
    .unwrap();
    let made = made(pass);
    assert!(done);
    assert!(restored(&made, &source.join("a")) == noise(1, 1000));
}

#[test]
fn a_scratch_file_that_cannot_be_written_is_an_error() {
    let (_source, source) = scratch();
    tree(&source);
    let read_only = File::open(source.join("a/000")).unwrap();
    let mut pass = begun(Stock::new(read_only), &source);
    let done = pass.part(&Part::whole(&source), &mut |_| ()).and_then(|()| pass.finish().map(drop));
    assert!(matches!(done, Err(CaptureError::Scratch(_))), "{done:?}");
}

#[test]
fn whoever_wants_it_to_stop_is_heard_at_every_point() {
    let (_source, source) = scratch();
    tree(&source);
    let stopped_at = |call: usize| {
        let options = CaptureOptions::default();
        let (stop, mut calls) = (options.stop.clone(), 0);
        let mut pass = ColdPass::new(stock(), &head(&[&source]), &options).unwrap();
        let done = pass.part(&Part::whole(&source), &mut |_| {
            calls += 1;
            stop.store(calls == call, std::sync::atomic::Ordering::SeqCst);
        });
        (done, calls)
    };
    let all = stopped_at(usize::MAX).1;
    for call in [1, 2, all / 3, all / 2, all - 2] {
        assert!(matches!(stopped_at(call), (Err(CaptureError::Stopped), calls) if calls == call), "{call} of {all}");
    }
}
