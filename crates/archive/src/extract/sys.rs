//! The system calls that differ between Linux and macOS when extracting.
//!
//! Descriptors of what cannot be opened (a pipe, a device) come from `O_PATH` on Linux and are addressed through `/proc`, so that the
//! thing changed is the thing made. macOS makes no pipes or devices here: a Mac is where archives are looked at, not where a Pi's
//! services run.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Mode, RawMode, Timespec, Timestamps, UTIME_OMIT, XattrFlags, fsetxattr, utimensat};
use rustix::io::{Errno, Result};

#[cfg(target_os = "linux")]
use crate::meta::{acl, sys as meta};
use crate::{Kind, Mtime};

/// A mode as the system wants it.
#[allow(clippy::unnecessary_cast, reason = "the raw type differs between targets")]
pub(super) fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode((bits & 0o7777) as RawMode)
}

/// Times that set the modification time and leave the access time alone.
pub(super) fn times(mtime: Mtime) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.0, tv_nsec: mtime.1.into() },
    }
}

/// Sets the time of `name` in `dir` itself, be it a link.
pub(super) fn set_time_at(dir: BorrowedFd<'_>, name: &CStr, mtime: Mtime) -> Result<()> {
    utimensat(dir, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)
}

/// Makes a pipe or a device with permissions for its owner alone.
#[cfg(target_os = "linux")]
pub(super) fn make_node(dir: BorrowedFd<'_>, name: &CStr, kind: Kind, device: (u32, u32)) -> Result<()> {
    use rustix::fs::{FileType, makedev, mknodat};
    let file_type = match kind {
        Kind::Fifo => FileType::Fifo,
        Kind::Char => FileType::CharacterDevice,
        Kind::Block => FileType::BlockDevice,
        _ => return Err(Errno::INVAL),
    };
    mknodat(dir, name, file_type, mode(0o600), makedev(device.0, device.1))
}

/// Not on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn make_node(_dir: BorrowedFd<'_>, _name: &CStr, _kind: Kind, _device: (u32, u32)) -> Result<()> {
    Err(Errno::NOTSUP)
}

/// Sets the mode of a pipe or device that was just made, and of nothing that took its place.
#[cfg(target_os = "linux")]
pub(super) fn set_node_mode(dir: BorrowedFd<'_>, name: &CStr, kind: Kind, bits: u32) -> Result<()> {
    use std::os::fd::AsRawFd;

    use rustix::fs::{OFlags, openat};
    let node = openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if meta::stat(&node)?.kind != Some(kind) {
        return Err(Errno::LOOP);
    }
    rustix::fs::chmod(format!("/proc/self/fd/{}", node.as_raw_fd()), mode(bits))
}

/// Not on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn set_node_mode(_dir: BorrowedFd<'_>, _name: &CStr, _kind: Kind, _bits: u32) -> Result<()> {
    Err(Errno::NOTSUP)
}

/// Sets an extended attribute of what cannot be opened.
#[cfg(target_os = "linux")]
pub(super) fn set_attribute_at(dir: BorrowedFd<'_>, name: &CStr, attribute: &CStr, value: &[u8]) -> Result<()> {
    let path = meta::through(dir, name).ok_or(Errno::NOTSUP)?;
    rustix::fs::lsetxattr(path, attribute, value, XattrFlags::empty())
}

/// Not on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn set_attribute_at(_dir: BorrowedFd<'_>, _name: &CStr, _attribute: &CStr, _value: &[u8]) -> Result<()> {
    Err(Errno::NOTSUP)
}

/// Sets an extended attribute of an open file.
pub(super) fn set_attribute(file: BorrowedFd<'_>, attribute: &CStr, value: &[u8]) -> Result<()> {
    fsetxattr(file, attribute, value, XattrFlags::empty())
}

/// Removes the ACLs that a new file inherited from its folder: it gets those in the tar, or none.
#[cfg(target_os = "linux")]
pub(super) fn drop_acls(file: BorrowedFd<'_>, kind: Kind) -> Result<()> {
    let names: &[&[u8]] = if kind == Kind::Dir { &[acl::ACCESS, acl::DEFAULT] } else { &[acl::ACCESS] };
    for name in names {
        match rustix::fs::fremovexattr(file, *name) {
            Err(cause) if !meta::no_attributes(cause) => return Err(cause),
            _ => {}
        }
    }
    Ok(())
}

/// POSIX ACLs do not exist on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn drop_acls(_file: BorrowedFd<'_>, _kind: Kind) -> Result<()> {
    Ok(())
}

/// Sets an ACL from the kernel's form of it.
#[cfg(target_os = "linux")]
pub(super) fn set_acl(file: BorrowedFd<'_>, default: bool, value: &[u8]) -> Result<()> {
    fsetxattr(file, if default { acl::DEFAULT } else { acl::ACCESS }, value, XattrFlags::empty())
}

/// POSIX ACLs do not exist on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn set_acl(_file: BorrowedFd<'_>, _default: bool, _value: &[u8]) -> Result<()> {
    Err(Errno::NOTSUP)
}
