//! A night's changes.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

use super::seed::{Seed, set_mtime, settle_folders};

/// 2024-05-02 00:00:00 UTC.
const CHANGED: i64 = 1_714_608_000;

/// Changes a tree of [`super::make_tree`], the same for the same `seed`, and in every way that an incremental copy can miss.
///
/// A log grows, a database is written to in the middle at the same length, a file is renamed, one is replaced by a folder, one is
/// emptied, one is gone, one is new, and one changes its mode alone. May be called again with another seed, for the next night.
pub fn mutate(root: &Path, seed: u64) {
    let mut from = Seed::new(seed, "mutate");
    let when = CHANGED + i64::from(u16::try_from(seed % 30_000).unwrap()) * 86_400;
    let touch = |name: &str| set_mtime(&root.join(name), when, 7);

    let mut log = OpenOptions::new().append(true).open(root.join("loki/wal")).unwrap();
    log.write_all(&from.text(5_000)).unwrap();
    touch("loki/wal");

    let db = OpenOptions::new().write(true).open(root.join("grafana/grafana.db")).unwrap();
    let middle = db.metadata().unwrap().len() / 2;
    db.write_all_at(&from.bytes(100), middle).unwrap();
    touch("grafana/grafana.db");

    // Different chunks every night, so that the changes add up; what a former night took is gone already.
    let chunk = |n: u64| format!("loki/chunks/{:03}", n % 40);
    let night = from.below(40);
    let gone = root.join(chunk(night));
    if gone.is_file() {
        fs::remove_file(gone).unwrap();
    }
    let (old, new) = (chunk(night + 1), format!("loki/chunks/renamed-{seed}"));
    if root.join(&old).is_file() {
        fs::rename(root.join(&old), root.join(new)).unwrap();
    }
    let replaced = chunk(night + 2);
    if root.join(&replaced).is_file() {
        fs::remove_file(root.join(&replaced)).unwrap();
        fs::create_dir(root.join(&replaced)).unwrap();
        fs::set_permissions(root.join(&replaced), fs::Permissions::from_mode(0o755)).unwrap();
    }

    let conf = |n: u64| format!("config/{n:03}.conf");
    let n = from.below(100);
    fs::write(root.join(conf(n)), b"").unwrap();
    touch(&conf(n));
    fs::set_permissions(root.join(conf(100 + n)), fs::Permissions::from_mode(0o600)).unwrap();

    let new = format!("photos/new-{seed}.jpg");
    fs::write(root.join(&new), from.bytes(20_000)).unwrap();
    fs::set_permissions(root.join(&new), fs::Permissions::from_mode(0o644)).unwrap();
    touch(&new);

    settle_folders(root, when);
}
