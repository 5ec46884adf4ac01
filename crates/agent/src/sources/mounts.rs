//! Which disks belong in a place, and which are there: pure, from the texts of /etc/fstab and /proc/self/mountinfo.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

/// File systems that hold nothing which outlives the machine's uptime, or come and go with the services: not missed when gone.
const PASSING: [&str; 20] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "squashfs",
    "sysfs",
    "tmpfs",
];

/// A mount point at which something is mounted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where.
    pub at: PathBuf,
    /// Whether it is a disk or a share, and will be missed.
    pub lasting: bool,
}

/// The mount points that `fstab` wants to have at every start.
pub(super) fn wanted(fstab: &str) -> Vec<PathBuf> {
    let lines = fstab.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let lines = lines.filter(|fields| fields.len() >= 3 && !fields[0].starts_with('#') && fields[1].starts_with('/'));
    let at_start = lines.filter(|fields| fields.get(3).is_none_or(|options| options.split(',').all(|option| option != "noauto")));
    at_start.map(|fields| unescaped(fields[1])).collect()
}

/// What `mountinfo` says is mounted.
pub(super) fn present(mountinfo: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        // Fields without a fixed number end at a lone hyphen; the kind follows.
        let (before, after) = line.split_once(" - ")?;
        let kind = after.split(' ').next()?;
        Some(Mount { at: unescaped(before.split(' ').nth(4)?), lasting: !PASSING.contains(&kind) })
    };
    mountinfo.lines().filter_map(mount).collect()
}

/// Blanks, and what else would spoil the line, are written as `\` with three octal digits.
fn unescaped(field: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), field.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        let code =
            more.get(..3).filter(|_| *first == b'\\').and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &more[3..] } else { more };
    }
    let mut path = PathBuf::from(OsString::from_vec(bytes));
    // A slash at the end is nothing to the kernel.
    path = path.components().collect();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_belongs_where() {
        let fstab = "# <what> <where>\nUUID=1 / ext4 defaults 0 1\n/dev/sda1 /mnt/my\\040disk/ ext4 nofail,x-systemd.automount\nUUID=2 none swap sw\n\
                     UUID=3 /media/usb vfat user,noauto 0 0\nnas:/data /srv/photos nfs\n\n#UUID=4 /old ext4\nUUID=5 swap swap\n/short /line\n";
        assert_eq!(wanted(fstab), ["/", "/mnt/my disk", "/srv/photos"].map(PathBuf::from));
    }

    #[test]
    fn reads_what_is_there() {
        let info = "25 30 0:23 / /proc rw,nosuid shared:14 - proc proc rw\n30 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                    99 30 8:1 /a /mnt/my\\040disk rw shared:2 master:3 - ext4 /dev/sda1 rw\n98 30 0:40 / /var/lib/docker/x rw - overlay overlay rw\nnonsense\n";
        let mount = |at: &str, lasting| Mount { at: at.into(), lasting };
        assert_eq!(
            present(info),
            [mount("/proc", false), mount("/", true), mount("/mnt/my disk", true), mount("/var/lib/docker/x", false)]
        );
    }

    #[test]
    fn a_backslash_that_escapes_nothing_is_one() {
        for (field, path) in [("/a\\", "/a\\"), ("/a\\04", "/a\\04"), ("/a\\0409", "/a 9"), ("/\\999", "/\\999"), ("/\\777", "/\\777")] {
            assert_eq!(unescaped(field), PathBuf::from(path), "{field}");
        }
    }
}
