//! Which disks belong in a place, and which are there: pure, from the texts of /etc/fstab and /proc/self/mountinfo.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mount {
    /// Where.
    pub at: PathBuf,
    /// Whether it is a disk or a share, and will be missed.
    pub lasting: bool,
    /// The number of its file system: two mounts of one number may show the same files.
    pub device: String,
    /// The folder of its file system that it shows; absolute there.
    pub root: PathBuf,
    /// The kind of its file system.
    pub kind: String,
}

impl Mount {
    /// The name of the docker volume that is mounted here; none where it is no volume with `driver_opts`.
    pub(crate) fn volume(&self) -> Option<String> {
        let mut parts = self.at.components().rev().map(|part| part.as_os_str().to_string_lossy());
        let (data, name, volumes) = (parts.next()?, parts.next()?, parts.next()?);
        (data == "_data" && volumes == "volumes").then(|| name.into_owned())
    }

    /// Whether the engine mounted it for a container, and takes it away with the last one that uses it.
    pub(crate) fn is_of_engine(&self) -> bool {
        let folder = |part: &str| ["overlay2", "fuse-overlayfs", "zfs", "btrfs", "plugins", "containers"].contains(&part);
        let parts: Vec<_> = self.at.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        self.volume().is_some() || parts.windows(2).any(|two| two[0] == "docker" && folder(&two[1]) && *two[1] != *parts[parts.len() - 1])
    }
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
        let fields: Vec<&str> = before.split(' ').collect();
        let [_, _, device, root, at, ..] = fields.as_slice() else { return None };
        Some(Mount {
            at: unescaped(at),
            lasting: !PASSING.contains(&kind),
            device: (*device).to_owned(),
            root: unescaped(root),
            kind: kind.to_owned(),
        })
    };
    mountinfo.lines().filter_map(mount).collect()
}

/// Each path by which what lies at or below `path` can be reached too, by way of bind mounts and of disks that are mounted twice; `path`
/// itself comes first. All paths are without symbolic links.
///
/// Errors: the mount whose files may lie anywhere, in one of `sources` too: one file system made of folders of others, or a share.
pub(crate) fn everywhere<'a>(mounts: &'a [Mount], path: &Path, sources: &[PathBuf]) -> Result<Vec<PathBuf>, &'a Mount> {
    // The last one of those at one place hides the others.
    let over = mounts.iter().filter(|mount| path.starts_with(&mount.at)).max_by_key(|mount| mount.at.components().count());
    let within: Vec<&Mount> = mounts.iter().filter(|mount| mount.at != path && mount.at.starts_with(path)).collect();
    if let Some(unclear) = over.into_iter().chain(within.iter().copied()).find(|mount| is_unclear(mounts, mount, sources)) {
        return Err(unclear);
    }
    let mut all = vec![path.to_path_buf()];
    let own = over.and_then(|mount| Some((&mount.device, under(&mount.root, path.strip_prefix(&mount.at).ok()?))));
    for (device, place) in own.into_iter().chain(within.iter().map(|mount| (&mount.device, mount.root.clone()))) {
        all.extend(whole(mounts, device, &place));
        // A part of it is shown there.
        let parts = mounts.iter().filter(|mount| mount.device == *device && mount.root != place && mount.root.starts_with(&place));
        all.extend(parts.map(|mount| mount.at.clone()));
    }
    Ok(all)
}

/// Where all of `mount` can be reached, `mount` itself included.
pub(crate) fn origins(mounts: &[Mount], mount: &Mount) -> Vec<PathBuf> {
    whole(mounts, &mount.device, &mount.root).collect()
}

/// Where the folder `place` of the file system `device` can be reached.
fn whole(mounts: &[Mount], device: &str, place: &Path) -> impl Iterator<Item = PathBuf> {
    let of = mounts.iter().filter(move |mount| mount.device == device);
    of.filter_map(move |mount| Some(under(&mount.at, place.strip_prefix(&mount.root).ok()?)))
}

/// Joined with nothing, a path would get a slash at its end.
fn under(base: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { base.to_path_buf() } else { base.join(rest) }
}

/// Whether files of `mount` may be files of the sources that are reached in another way, and nothing tells.
fn is_unclear(mounts: &[Mount], mount: &Mount, sources: &[PathBuf]) -> bool {
    const SHARES: [&str; 9] = ["9p", "afs", "ceph", "cifs", "ncpfs", "nfs", "nfs4", "smb3", "virtiofs"];
    const DISKS: [&str; 18] = [
        "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuseblk", "hfsplus", "iso9660", "jfs", "msdos", "nilfs2", "ntfs3",
        "reiserfs", "vfat", "xfs", "zfs",
    ];
    let kind = mount.kind.as_str();
    let is_share = |kind: &str| SHARES.contains(&kind);
    if is_share(kind) {
        // The server may give out one folder twice.
        let other = |one: &&Mount| is_share(&one.kind) && one.at != mount.at;
        return mounts
            .iter()
            .filter(other)
            .any(|one| sources.iter().any(|source| source.starts_with(&one.at) || one.at.starts_with(source)));
    }
    // What all sources lie in has its parts elsewhere.
    let is_disk = DISKS.contains(&kind) || PASSING.contains(&kind) && kind != "overlay";
    !is_disk && !sources.iter().all(|source| source.starts_with(&mount.at))
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
        let mount = |at: &str, lasting, device: &str, root: &str, kind: &str| Mount {
            at: at.into(),
            lasting,
            device: device.into(),
            root: root.into(),
            kind: kind.into(),
        };
        assert_eq!(
            present(info),
            [
                mount("/proc", false, "0:23", "/", "proc"),
                mount("/", true, "254:0", "/", "ext4"),
                mount("/mnt/my disk", true, "8:1", "/a", "ext4"),
                mount("/var/lib/docker/x", false, "0:40", "/", "overlay"),
            ]
        );
    }

    fn mounted(lines: &[(&str, &str, &str, &str)]) -> Vec<Mount> {
        let info: String = lines.iter().map(|(device, root, at, kind)| format!("1 0 {device} {root} {at} rw - {kind} x rw\n")).collect();
        present(&info)
    }

    #[test]
    fn knows_what_the_engine_mounts_and_the_volume_s_name() {
        let at = |at: &str| Mount { at: at.into(), ..Mount::default() };
        let said = |path: &str| (at(path).is_of_engine(), at(path).volume());
        assert_eq!(said("/var/lib/docker/volumes/p_media/_data"), (true, Some("p_media".into())));
        assert_eq!(said("/big/volumes/p_media/_data"), (true, Some("p_media".into())));
        assert_eq!(said("/var/lib/docker/overlay2/0123/merged"), (true, None));
        for disk in
            ["/var/lib/docker", "/var/lib/docker/volumes", "/var/lib/docker/overlay2", "/srv/overlay2/x", "/srv/volumes/p_media", "/"]
        {
            assert_eq!(said(disk), (false, None), "{disk}");
        }
    }

    #[test]
    fn finds_a_folder_again_that_is_mounted_twice() {
        let sources = [PathBuf::from("/srv")];
        let mounts = mounted(&[
            ("254:0", "/", "/", "ext4"),
            ("8:1", "/", "/srv/disk", "ext4"),
            ("254:0", "/srv/ext", "/docker/volumes/v/_data", "ext4"),
            ("8:1", "/deep", "/mnt/deep", "ext4"),
            ("8:2", "/srv/ext", "/other", "ext4"),
        ]);
        let of = |path: &str| {
            let mut all = everywhere(&mounts, Path::new(path), &sources).unwrap();
            all.sort();
            all.dedup();
            all.into_iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of("/docker/volumes/v/_data"), ["/docker/volumes/v/_data", "/srv/ext"]);
        assert_eq!(of("/docker/volumes/v/_data/x"), ["/docker/volumes/v/_data/x", "/srv/ext/x"]);
        assert_eq!(of("/docker/volumes"), ["/docker/volumes", "/docker/volumes/v/_data", "/srv/ext"]);
        assert_eq!(of("/mnt/deep/x"), ["/mnt/deep/x", "/srv/disk/deep/x"]);
        // Seen from the other side too, and a part of it where only that is shown.
        assert_eq!(of("/srv/ext/x"), ["/docker/volumes/v/_data/x", "/srv/ext/x"]);
        assert_eq!(of("/srv/disk"), ["/mnt/deep", "/srv/disk"]);
        assert_eq!(origins(&mounts, &mounts[3]), ["/srv/disk/deep", "/mnt/deep"].map(PathBuf::from));
        assert_eq!((of("/other"), of("/opt")), (vec!["/other".to_owned()], vec!["/opt".to_owned()]));
    }

    #[test]
    fn does_not_guess_where_the_files_of_a_share_or_of_a_pool_are() {
        let mounts = mounted(&[
            ("254:0", "/", "/", "overlay"),
            ("0:50", "/", "/mnt/nas", "nfs4"),
            ("0:51", "/", "/mnt/pool", "fuse.mergerfs"),
            ("0:52", "/", "/v/_data", "nfs4"),
        ]);
        let of =
            |path: &str, source: &str| everywhere(&mounts, Path::new(path), &[source.into()]).map_err(|mount| mount.at.to_str().unwrap());
        assert_eq!(of("/mnt/pool/x", "/srv"), Err("/mnt/pool"));
        assert_eq!(of("/v/_data", "/mnt/nas/x"), Err("/v/_data"));
        assert_eq!(of("/v", "/mnt"), Err("/v/_data"));
        // A source of the same share, one without any share, and all in one pool.
        for (path, source) in [("/mnt/nas/y", "/mnt/nas/x"), ("/mnt/nas/y", "/srv"), ("/mnt/pool/x", "/mnt/pool/x"), ("/opt", "/srv")] {
            assert!(of(path, source).is_ok(), "{path} {source}");
        }
    }

    #[test]
    fn a_backslash_that_escapes_nothing_is_one() {
        for (field, path) in [("/a\\", "/a\\"), ("/a\\04", "/a\\04"), ("/a\\0409", "/a 9"), ("/\\999", "/\\999"), ("/\\777", "/\\777")] {
            assert_eq!(unescaped(field), PathBuf::from(path), "{field}");
        }
    }
}
