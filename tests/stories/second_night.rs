//! The second night: what one per cent of change costs on each of the two ways.
//!
//! The figures are of a home server's kind of change: a database rewrites its 8 KiB pages, mostly near each other, a log grows, some
//! small files are written, a picture comes. A third night scatters single pages as badly as can be, and shows what that costs: the
//! 64 KiB that one page lies in, each time, and no more.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use offsite_tests::{Home, Lab, Link, Mac};

const PAGE: u64 = 8 << 10;
const MIB: u64 = 1 << 20;
/// Tables of the database, each of 16 MiB.
const TABLES: u64 = 4;
const TABLE: u64 = 16 * MIB;

/// Bytes that do not compress, the same for the same seed.
fn bytes(seed: &str, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(len).unwrap()];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Writes a file with a time of its own; what night it is decides the time.
fn write(path: &Path, content: &[u8], night: u64) -> u64 {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    touch(path, night);
    content.len() as u64
}

fn touch(path: &Path, night: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + night * 86_400);
    File::open(path).unwrap().set_modified(time).unwrap();
}

fn table(root: &Path, n: u64) -> std::path::PathBuf {
    root.join(format!("db/base/16384/{}", 16_385 + n))
}

/// About 112 MiB: tables, a SQLite file, pictures, a log, and small files in folders.
fn services(root: &Path) {
    for n in 0..TABLES {
        write(&table(root, n), &bytes(&format!("table {n}"), TABLE), 0);
    }
    let mut grafana = b"SQLite format 3\0".to_vec();
    grafana.extend(bytes("grafana", 8 * MIB - 16));
    write(&root.join("grafana/grafana.db"), &grafana, 0);
    for n in 0..12 {
        write(&root.join(format!("photos/{n:02}.jpg")), &bytes(&format!("photo {n}"), 5 * MIB / 2), 0);
    }
    write(&root.join("logs/access.log"), &bytes("log", 8 * MIB), 0);
    for n in 0..500 {
        write(&root.join(format!("config/{:02}/{n:03}.conf", n / 25)), &bytes(&format!("file {n}"), 4096), 0);
    }
}

/// Overwrites `count` pages in a row with new ones; returns the bytes.
fn pages(path: &Path, at: u64, count: u64, night: u64) -> u64 {
    let new = bytes(&format!("night {night}, page {at}"), count * PAGE);
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(&new, at * PAGE).unwrap();
    touch(path, night);
    count * PAGE
}

/// A usual night; returns how many bytes are new.
fn usual(root: &Path) -> u64 {
    let mut changed = 0;
    for n in 0..TABLES {
        // Where the rows of the day lie, a run of 24 pages; indexes elsewhere, a page here and there.
        changed += pages(&table(root, n), 300 + 211 * n, 24, 1);
        changed += pages(&table(root, n), 17 + 97 * n, 1, 1) + pages(&table(root, n), 1800 - 55 * n, 1, 1);
    }
    changed += pages(&root.join("grafana/grafana.db"), 512, 12, 1);
    let log = root.join("logs/access.log");
    let end = fs::metadata(&log).unwrap().len();
    OpenOptions::new().write(true).open(&log).unwrap().write_all_at(&bytes("more log", 90_000), end).unwrap();
    touch(&log, 1);
    changed += 90_000;
    for n in 100..110 {
        changed += write(&root.join(format!("config/04/{n:03}.conf")), &bytes(&format!("new {n}"), 4096), 1);
    }
    changed + write(&root.join("photos/new.jpg"), &bytes("new photo", 100_000), 1)
}

/// The bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { size(&path) } else { fs::metadata(&path).unwrap().len() }).sum()
}

/// What one night moved: by the receipts, by the wire or the store, and the archive itself.
#[derive(Debug, Clone, Copy)]
struct Moved {
    pulled: u64,
    wire: u64,
    pushed: u64,
    stored: u64,
    total: u64,
}

fn night(home: &Home<'_>, mac: &Mac<'_>, link: &Link, disk: &Path) -> Moved {
    let archive = home.archive();
    let (wire, stored) = (link.passed(), size(disk));
    let _ = mac.offsite(&["sync"]).succeeds();
    let last = |kind: &str| {
        let receipt = mac.receipts_of(kind).pop().unwrap();
        assert_eq!(receipt["archive"], archive.as_str());
        (receipt["moved"].as_u64().unwrap(), receipt["total"].as_u64().unwrap())
    };
    let ((pulled, total), (pushed, _)) = (last("pulled"), last("pushed"));
    Moved { pulled, wire: link.passed() - wire, pushed, stored: size(disk) - stored, total }
}

fn print(night: &str, changed: u64, moved: Moved) {
    let share = |bytes: u64| format!("{bytes:>11} bytes {:>5.2} %", 100.0 * bytes as f64 / moved.total as f64);
    let mut text = format!("{night}: archive {} bytes, changed {}\n", moved.total, share(changed));
    text += &format!("  pull: receipt {}, wire  {}\n", share(moved.pulled), share(moved.wire));
    text += &format!("  push: receipt {}, store {}\n", share(moved.pushed), share(moved.stored));
    // Not print!: the test runner would swallow it when the test passes.
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_changed_per_cent_moves_at_most_three_on_both_ways() {
    let lab = Lab::new();
    let home = Home::new(&lab);
    let Some(pi) = home.pi() else { return };
    services(&home.source());
    let link = Link::to(pi.port());
    let entry = home.entry_at(&pi, link.port(), &pi.known_hosts_through(link.port()));
    let mac = Mac::new(&lab, &entry, &Mac::disk(&lab, "disk", ""), "");
    let disk = lab.join("disk");

    let first = night(&home, &mac, &link, &disk);
    print("night 1", first.total, first);
    assert!(first.total >= 100_000_000 && first.pulled >= first.total * 99 / 100);

    let changed = usual(&home.source());
    let second = night(&home, &mac, &link, &disk);
    print("night 2", changed, second);
    assert!(changed >= second.total / 100, "only {changed} bytes changed");
    for (what, moved) in [("pull", second.pulled), ("wire", second.wire), ("push", second.pushed), ("store", second.stored)] {
        assert!(moved >= changed && moved * 100 <= 3 * second.total, "{what}: {moved} of {}", second.total);
    }

    // One page in each of many places, far enough from each other that no two share a frame.
    let mut changed = 0;
    for at in 0..36 {
        for n in 0..TABLES {
            changed += pages(&table(&home.source(), n), at * 56 + 3 * n, 1, 2);
        }
    }
    let third = night(&home, &mac, &link, &disk);
    print("night 3, scattered", changed, third);
    let frames = changed / PAGE * (64 << 10);
    for (what, moved) in [("pull", third.pulled), ("wire", third.wire), ("push", third.pushed), ("store", third.stored)] {
        assert!(moved <= frames + third.total / 100, "{what}: {moved}");
    }
}
