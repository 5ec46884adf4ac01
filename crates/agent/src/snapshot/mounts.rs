//! What is mounted where, as the kernel tells this process.
//!
//! Pure but for [`read`]. A path is looked up by the number of its mount and not by its text, because one mount may hide another.

use std::{
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    os::{fd::AsRawFd, unix::ffi::OsStringExt},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Its number.
    pub id: u64,
    /// The folder of its file system that it shows; absolute there.
    pub root: PathBuf,
    /// Where.
    pub at: PathBuf,
    /// The kind of file system.
    pub kind: String,
}

/// All mounts that this process sees.
pub(super) fn read() -> io::Result<Vec<Mount>> {
    let text = fs::read("/proc/self/mountinfo")?;
    parse(&text).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a line of it makes no sense"))
}

/// The number of the mount that `path` lies in.
pub(super) fn number(path: &Path) -> io::Result<u64> {
    // Not blocking: a pipe nobody writes to would keep us for ever.
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:")).and_then(|number| number.trim().parse().ok());
    number.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the system does not tell its mount"))
}

/// The first mount strictly below `path`.
pub(super) fn below<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts.iter().find(|mount| mount.at != path && mount.at.starts_with(path))
}

fn parse(text: &[u8]) -> Option<Vec<Mount>> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(line).collect()
}

/// `36 35 98:0 /root /at options… optional… - kind source options`.
fn line(line: &[u8]) -> Option<Mount> {
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let dash = 6 + words.get(6..)?.iter().position(|word| word == b"-")?;
    Some(Mount {
        id: std::str::from_utf8(words[0]).ok()?.parse().ok()?,
        root: unescape(words[3]),
        at: unescape(words[4]),
        kind: String::from_utf8_lossy(words.get(dash + 1)?).into_owned(),
    })
}

/// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
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

    const TEXT: &str = "22 1 0:21 / / rw,relatime - ext4 /dev/root rw\n\
        44 22 0:39 /@data /srv/my\\040data rw,relatime shared:7 master:1 - btrfs /dev/loop0 rw,subvol=/@data\n\
        45 44 0:40 / /srv/my\\040data/a\\134b rw - tmpfs none rw\n";

    #[test]
    fn mounts_with_odd_names_and_optional_fields() {
        let mounts = parse(TEXT.as_bytes()).unwrap();
        let data = Mount { id: 44, root: "/@data".into(), at: "/srv/my data".into(), kind: "btrfs".into() };
        assert_eq!(mounts[1], data);
        assert_eq!((mounts[0].kind.as_str(), mounts[2].at.as_path()), ("ext4", Path::new("/srv/my data/a\\b")));
        assert_eq!(below(&mounts, Path::new("/srv/my data")), Some(&mounts[2]));
        assert_eq!(below(&mounts, Path::new("/srv/my")), None);
        assert_eq!(below(&mounts, &mounts[2].at), None);
        assert_eq!(below(&mounts, Path::new("/")), Some(&mounts[1]));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_not_passed_over() {
        assert_eq!(parse(b"22 1 0:21 / / rw,relatime ext4 /dev/root rw\n"), None);
        assert_eq!(parse(b"x 1 0:21 / / rw - ext4 /dev/root rw\n"), None);
    }
}
