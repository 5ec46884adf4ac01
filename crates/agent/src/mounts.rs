//! What is mounted where, as the kernel tells this process.
//!
//! Invariant: a line that makes no sense is refused and not passed over. A mount that nobody sees would make folders look empty in a
//! snapshot, and hide a second way to the files of a service. All but [`read`] and [`number`] is pure.

use std::{
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    os::{fd::AsRawFd, unix::ffi::OsStringExt},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};

/// Where the kernel tells it.
pub(crate) const FILE: &str = "/proc/self/mountinfo";

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mount {
    /// Its number: one mount may hide another at the same place.
    pub id: u64,
    /// The number of its file system: two mounts of one number may show the same files.
    pub device: String,
    /// The folder of its file system that it shows; absolute there.
    pub root: PathBuf,
    /// Where.
    pub at: PathBuf,
    /// The kind of its file system.
    pub kind: String,
}

/// All mounts that this process sees, each after those that it may hide.
///
/// Errors: what the system says of [`FILE`]; a line of it makes no sense.
pub(crate) fn read() -> io::Result<Vec<Mount>> {
    parse(&fs::read(FILE)?).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a line of it makes no sense"))
}

/// The number of the mount that `path` lies in.
pub(crate) fn number(path: &Path) -> io::Result<u64> {
    // Not blocking: a pipe nobody writes to would keep us for ever.
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:")).and_then(|number| number.trim().parse().ok());
    number.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the system does not tell its mount"))
}

/// The mounts of such a text; `None` if a line makes no sense.
pub(crate) fn parse(text: &[u8]) -> Option<Vec<Mount>> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(line).collect()
}

/// `36 35 98:0 /root /at options… optional… - kind source options`.
fn line(line: &[u8]) -> Option<Mount> {
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    // Fields without a fixed number end at a lone hyphen.
    let dash = 6 + words.get(6..)?.iter().position(|word| word == b"-")?;
    Some(Mount {
        id: std::str::from_utf8(words[0]).ok()?.parse().ok()?,
        device: std::str::from_utf8(words[2]).ok()?.to_owned(),
        root: unescaped(words[3]),
        at: unescaped(words[4]),
        kind: String::from_utf8_lossy(words.get(dash + 1)?).into_owned(),
    })
}

/// The path that a field says: space, tab, newline and backslash are written as `\` and three octal digits.
pub(crate) fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, more @ ..] = rest {
        rest = match more {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if *first == b'\\' => {
                bytes.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                after
            }
            _ => {
                bytes.push(*first);
                more
            }
        };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"22 1 0:21 / / rw,relatime - ext4 /dev/root rw\n\
        44 22 0:39 /@data /srv/my\\040data rw,relatime shared:7 master:1 - btrfs /dev/loop0 rw,subvol=/@data\n\
        45 44 0:40 / /srv/my\\040data/a\\134b rw - tmpfs none rw\n\
        46 22 0:41 / /srv/caf\xe9 rw - fuse.mergerfs  rw\n";

    #[test]
    fn mounts_with_odd_names_and_optional_fields() {
        let mount = |id, device: &str, root: &str, at: &[u8], kind: &str| Mount {
            id,
            device: device.into(),
            root: root.into(),
            at: OsString::from_vec(at.to_vec()).into(),
            kind: kind.into(),
        };
        assert_eq!(
            parse(TEXT).unwrap(),
            [
                mount(22, "0:21", "/", b"/", "ext4"),
                mount(44, "0:39", "/@data", b"/srv/my data", "btrfs"),
                mount(45, "0:40", "/", b"/srv/my data/a\\b", "tmpfs"),
                mount(46, "0:41", "/", b"/srv/caf\xe9", "fuse.mergerfs"),
            ]
        );
    }

    #[test]
    fn a_line_that_makes_no_sense_is_not_passed_over() {
        for line in ["22 1 0:21 / / rw,relatime ext4 /dev/root rw\n", "x 1 0:21 / / rw - ext4 /dev/root rw\n", "nonsense\n"] {
            assert_eq!(parse(&[TEXT, line.as_bytes()].concat()), None, "{line}");
        }
    }

    #[test]
    fn a_backslash_that_escapes_nothing_is_one() {
        for (field, path) in
            [("/a\\", "/a\\"), ("/a\\04", "/a\\04"), ("/a\\0409", "/a 9"), ("/\\999", "/\\999"), ("/\\777", "/\\777"), ("/\\+12", "/\\+12")]
        {
            assert_eq!(unescaped(field.as_bytes()), PathBuf::from(path), "{field}");
        }
    }
}
