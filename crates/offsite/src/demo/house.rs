//! The demo's house: services with the kinds of files that real ones have, and days that pass in it. Deterministic, times included.
//!
//! A page file whose pages change in a few places, a log that grows, photos that come and never change, many small files of which few are
//! edited, links, an empty folder, odd modes and names. About one or two in a hundred bytes change in a day, as in a real house.

use std::{
    fs::{self, File, FileTimes, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

const PAGE: u64 = 4096;
const PAGES: u64 = 3072;
const PHOTO: usize = 150_000;
const PHOTOS: u64 = 120;
const SMALL: u64 = 240;

/// Builds the house below `root`, as it stands at `now`.
pub(super) fn build(root: &Path, now: SystemTime) -> io::Result<()> {
    let mut random = Random(1);
    let mut house = House { root, now };
    let mut pages = half_random(&mut random, (PAGE * PAGES) as usize);
    pages[..16].copy_from_slice(b"SQLite format 3\0");
    house.file("grafana/data/grafana.db", &pages, 0o640)?;
    house.file("grafana/data/grafana.ini", b"[server]\nroot_url = https://grafana.home\n", 0o600)?;
    house.file("loki/data/wal.log", &log(&mut random, 120_000), 0o644)?;
    for photo in 0..PHOTOS {
        house.photo(&mut random, photo)?;
    }
    for small in 0..SMALL {
        let length = 200 + random.below(3000) as usize;
        let bytes = half_random(&mut random, length);
        house.file(&format!("web/data/pages/{}/page {small}.html", small % 12), &bytes, 0o644)?;
    }
    house.file("web/appdata/nginx/tls/key.pem", &half_random(&mut random, 1700), 0o400)?;
    house.file("web/appdata/nginx/run.sh", b"#!/bin/sh\nexec nginx\n", 0o755)?;
    house.file("web/data/Grüße, ☕ and 'quotes'.txt", "Straße\n".as_bytes(), 0o644)?;
    house.file(&format!("web/data/{}.txt", "long-name-".repeat(20)), b"long\n", 0o664)?;
    house.file("web/data/empty", b"", 0o644)?;
    house.link("web/data/front", "pages/0")?;
    house.link("web/data/dangling", "/nowhere/at all")?;
    fs::hard_link(root.join("photos/library/photo-000.jpg"), root.join("photos/favourite.jpg"))?;
    fs::create_dir_all(root.join("web/data/uploads"))?;
    let sparse = File::create(root.join("loki/data/preallocated"))?;
    sparse.write_all_at(b"the middle", 3 << 20)?;
    sparse.set_len(5 << 20)?;
    house.stamp(&root.join("loki/data/preallocated"))?;
    fs::set_permissions(root.join("photos/library"), Permissions::from_mode(0o750))?;
    house.stamp_folders(root)
}

/// A day passes, the `day`th, which ends at `now`.
pub(super) fn live(root: &Path, day: u64, now: SystemTime) -> io::Result<()> {
    let mut random = Random(1000 + day);
    let mut house = House { root, now };
    let database = OpenOptions::new().write(true).open(root.join("grafana/data/grafana.db"))?;
    for _ in 0..2 {
        let first = 1 + random.below(PAGES - 20);
        for page in first..first + 4 {
            database.write_all_at(&half_random(&mut random, PAGE as usize), page * PAGE)?;
        }
    }
    house.stamp(&root.join("grafana/data/grafana.db"))?;
    OpenOptions::new().append(true).open(root.join("loki/data/wal.log"))?.write_all(&log(&mut random, 1500))?;
    house.stamp(&root.join("loki/data/wal.log"))?;
    house.photo(&mut random, PHOTOS + day)?;
    for _ in 0..3 {
        let small = random.below(SMALL);
        let bytes = half_random(&mut random, 900);
        house.file(&format!("web/data/pages/{}/page {small}.html", small % 12), &bytes, 0o644)?;
    }
    let upload = format!("web/data/uploads/upload-{day}.html");
    house.file(&upload, &half_random(&mut random, 5000), 0o600)?;
    if day > 1 {
        fs::remove_file(root.join(format!("web/data/uploads/upload-{}.html", day - 1)))?;
    }
    house.stamp_folders(root)
}

struct House<'a> {
    root: &'a Path,
    now: SystemTime,
}

impl House<'_> {
    fn file(&mut self, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        let path = self.root.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, bytes)?;
        self.stamp(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))
    }

    fn link(&self, name: &str, to: &str) -> io::Result<()> {
        symlink(to, self.root.join(name))?;
        let since = self.now.duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
        let time = Timespec { tv_sec: i64::try_from(since.as_secs()).map_err(io::Error::other)?, tv_nsec: 1 };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(utimensat(CWD, self.root.join(name), &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn photo(&mut self, random: &mut Random, number: u64) -> io::Result<()> {
        self.file(&format!("photos/library/photo-{number:03}.jpg"), &noise(random, PHOTO), 0o644)
    }

    /// Gives a file its time: the day's, with a fraction, so that a restore which drops fractions is found out.
    fn stamp(&self, path: &Path) -> io::Result<()> {
        let time = self.now + Duration::from_nanos(123_456_789);
        OpenOptions::new().write(true).open(path)?.set_times(FileTimes::new().set_modified(time))
    }

    /// Folders last, since making files changes theirs.
    fn stamp_folders(&self, folder: &Path) -> io::Result<()> {
        let mut inside: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                inside.push(entry.path());
            }
        }
        inside.iter().try_for_each(|folder| self.stamp_folders(folder))?;
        File::open(folder)?.set_times(FileTimes::new().set_modified(self.now - Duration::from_secs(60)))
    }
}

/// SplitMix64: the same house on every machine, for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Bytes that do not compress, like a photo's.
fn noise(random: &mut Random, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Bytes of which about half is noise, like a database's pages.
fn half_random(random: &mut Random, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        bytes.extend(noise(random, 32));
        bytes.extend(b" and offsite keeps all of this. ");
    }
    bytes.truncate(length);
    bytes
}

fn log(random: &mut Random, lines: u64) -> Vec<u8> {
    let mut text = Vec::new();
    for line in 0..lines {
        let (value, level) = (random.next(), if line % 17 == 0 { "warn" } else { "info" });
        text.extend(format!("level={level} line={line} took={}ms trace={:08x}\n", value % 900, value >> 32).as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::compare::{Tree, differences};

    #[test]
    fn the_house_is_the_same_each_time_and_a_day_changes_little() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for root in [&one, &two] {
            build(root, now).unwrap();
            live(root, 1, now + Duration::from_secs(86400)).unwrap();
        }
        let (first, second) = (Tree::read(&one).unwrap(), Tree::read(&two).unwrap());
        assert_eq!(differences(&first, &second), Vec::<String>::new());
        assert!(first.files > 300 && (30_000_000..80_000_000).contains(&first.bytes), "{} files, {} bytes", first.files, first.bytes);
        live(&two, 2, now + Duration::from_secs(2 * 86400)).unwrap();
        let changed = differences(&first, &Tree::read(&two).unwrap());
        assert!((5..60).contains(&changed.len()), "{changed:#?}");
    }
}
