//! The disk that a path lies on, and the name of its mount unit.
//!
//! A mount unit of that name starts what it wants whenever the disk appears, also one that a desktop mounted: that is what `StartOnMount` is
//! to launchd.

use std::{
    ffi::OsString,
    fmt::Write,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

/// The innermost mount point above `path`, by `/proc/self/mountinfo`; `None` if that is the root.
pub(super) fn of(mounts: &str, path: &Path) -> Option<PathBuf> {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped);
    points.filter(|point| path.starts_with(point) && point.parent().is_some()).max_by_key(|point| point.components().count())
}

/// The kernel writes a space, a tab, a line's end and a backslash in octal.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3)).flatten().and_then(|three| std::str::from_utf8(three).ok());
        match octal.and_then(|three| u8::from_str_radix(three, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

/// The unit's name, as `systemd-escape --path --suffix=mount` makes it.
pub(super) fn unit(point: &Path) -> String {
    let bytes = point.as_os_str().as_bytes();
    let mut name = String::new();
    for part in bytes.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        if !name.is_empty() {
            name.push('-');
        }
        for (at, &byte) in part.iter().enumerate() {
            let plain = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':' || (byte == b'.' && !(at == 0 && name.is_empty()));
            if plain {
                name.push(byte.into());
            } else {
                // Writing to a string cannot fail.
                let _ = write!(name, "\\x{byte:02x}");
            }
        }
    }
    name + ".mount"
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
36 22 8:2 / /home rw - ext4 /dev/sda2 rw
90 22 8:17 / /media/owner/My\\040Disk\\134x rw,nosuid - ext4 /dev/sdb1 rw
91 22 8:18 / /media rw - ext4 /dev/sdc1 rw";

    #[test]
    fn the_innermost_disk() {
        for (path, wanted) in [
            ("/media/owner/My Disk\\x/backups", Some("/media/owner/My Disk\\x")),
            ("/media/other", Some("/media")),
            ("/mediation", None),
            ("/home/owner/backups", Some("/home")),
            ("/srv", None),
        ] {
            assert_eq!(of(MOUNTS, Path::new(path)), wanted.map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn names_as_systemd_escapes_them() {
        for (path, wanted) in [
            ("/media/owner/My Disk", "media-owner-My\\x20Disk.mount"),
            ("/srv/a-b", "srv-a\\x2db.mount"),
            ("/.hidden/.b", "\\x2ehidden-.b.mount"),
            ("//mnt//ü/", "mnt-\\xc3\\xbc.mount"),
        ] {
            assert_eq!(unit(Path::new(path)), wanted);
        }
    }

    #[test]
    fn systemd_agrees() {
        for path in ["/media/owner/My Disk\\x", "/srv/a-b_c:d", "/.hidden/.b", "/mnt/ü$%\"'"] {
            let said = std::process::Command::new("systemd-escape").args(["--path", "--suffix=mount", path]).output();
            let Ok(said) = said else {
                let _ = offsite_tests::lacking("systemd-escape", "not installed");
                return;
            };
            assert_eq!(unit(Path::new(path)), String::from_utf8(said.stdout).unwrap().trim_end());
        }
    }
}
