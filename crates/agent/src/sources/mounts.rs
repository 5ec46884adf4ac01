//! Which disks belong in a place, which of those that are there will be missed, and where else their files are: pure.

use std::path::{Path, PathBuf};

use crate::mounts::{Mount, unescaped};

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

impl Mount {
    /// Whether it is a disk or a share, and will be missed.
    pub(super) fn is_lasting(&self) -> bool {
        !PASSING.contains(&self.kind.as_str())
    }

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
    // A slash at the end is nothing to the kernel.
    at_start.map(|fields| unescaped(fields[1].as_bytes()).components().collect()).collect()
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
    fn a_disk_or_a_share_is_missed_and_nothing_else_is() {
        let lasting = |kind: &str| Mount { kind: kind.into(), ..Mount::default() }.is_lasting();
        assert_eq!(["ext4", "nfs4", "fuse.mergerfs", "vfat"].map(lasting), [true; 4]);
        assert_eq!(["proc", "tmpfs", "overlay", "autofs"].map(lasting), [false; 4]);
    }

    fn mounted(lines: &[(&str, &str, &str, &str)]) -> Vec<Mount> {
        let mount = |(device, root, at, kind): &(&str, &str, &str, &str)| Mount {
            id: 0,
            device: (*device).into(),
            root: root.into(),
            at: at.into(),
            kind: (*kind).into(),
        };
        lines.iter().map(mount).collect()
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
}
