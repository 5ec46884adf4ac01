//! What a member has besides its content, set in the order in which nothing undoes what went before.
//!
//! Owner first, because changing it clears set-user-ID bits and capabilities; then attributes; then ACLs; then the mode; the time
//! last. An ACL and a mode share their permission bits, and writers disagree on what the mode of a file with an ACL is, so those bits
//! come from the ACL. Without `owners` nothing is restored that would give a file of the extracting user more
//! rights than a copy has: no set-user-ID bits, no `security.*` attributes.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Gid, Uid};
use rustix::io::{Errno, Result};

use super::{ExtractError, sys};
use crate::meta::{Names, acl};
use crate::notes::{Notes, shown};
use crate::{Kind, Member};

/// Something of `member` that could not be restored.
pub(super) fn warn(notes: &mut Notes, member: &Member, what: &str, cause: Errno) {
    notes.add(format!("{}: {what} could not be restored: {cause}", shown(&member.path)));
}

fn ids(uid: u32, gid: u32) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

/// The owner of an open file.
pub(super) fn set_owner(file: BorrowedFd<'_>, path: &[u8], (uid, gid): (u32, u32)) -> std::result::Result<(), ExtractError> {
    let (user, group) = ids(uid, gid);
    let failed = |cause: Errno| ExtractError::System { member: path.to_vec(), operation: "set its owner", cause: cause.into() };
    // -1 would mean "leave it".
    if uid == u32::MAX || gid == u32::MAX {
        return Err(failed(Errno::INVAL));
    }
    rustix::fs::fchown(file, user, group).map_err(failed)
}

/// The owner of `name` in `dir`, which is no file or directory.
pub(super) fn set_owner_at(dir: BorrowedFd<'_>, name: &CStr, member: &Member) -> std::result::Result<(), ExtractError> {
    let (user, group) = ids(member.uid, member.gid);
    let failed = |cause: Errno| ExtractError::System { member: member.path.clone(), operation: "set its owner", cause: cause.into() };
    if member.uid == u32::MAX || member.gid == u32::MAX {
        return Err(failed(Errno::INVAL));
    }
    rustix::fs::chownat(dir, name, user, group, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)
}

/// Extended attributes, each through `set`.
pub(super) fn set_xattrs(member: &Member, owners: bool, notes: &mut Notes, set: impl Fn(&CStr, &[u8]) -> Result<()>) {
    for (name, value) in &member.xattrs {
        let done = match CString::new(&name[..]) {
            Ok(_) if !owners && name.starts_with(b"security.") => Err(Errno::PERM),
            // See below.
            Ok(_) if name == acl::ACCESS || name == acl::DEFAULT => Ok(()),
            Ok(name) => set(&name, value),
            Err(_) => Err(Errno::INVAL),
        };
        if let Err(cause) = done {
            warn(notes, member, &format!("the attribute {}", shown(name)), cause);
        }
    }
}

/// ACLs of an open file: those of the tar, or none. Gives the permission bits of the access ACL that is set.
pub(super) fn set_acls(file: BorrowedFd<'_>, member: &Member, names: &Names, notes: &mut Notes) -> Option<u32> {
    if let Err(cause) = sys::drop_acls(file, member.kind) {
        warn(notes, member, "its lack of an ACL", cause);
    }
    let mut set = |text: Option<&Vec<u8>>, attribute: &[u8], default: bool| {
        let value = acl(member, text.map(Vec::as_slice), attribute, names)?;
        match value.ok_or(Errno::INVAL).and_then(|value| sys::set_acl(file, default, &value).map(|()| value)) {
            Ok(value) => Some(value),
            Err(cause) => {
                warn(notes, member, "an ACL", cause);
                None
            }
        }
    };
    if member.kind == Kind::Dir {
        set(member.default.as_ref(), acl::DEFAULT, true);
    }
    set(member.access.as_ref(), acl::ACCESS, false).as_deref().and_then(acl::permissions)
}

/// An ACL in the kernel's form, checked; None inside where it is not one. GNU tar writes the attribute beside the text, which then
/// names people instead of numbers, so the attribute goes first.
fn acl(member: &Member, text: Option<&[u8]>, attribute: &[u8], names: &Names) -> Option<Option<Vec<u8>>> {
    let found = member.xattrs.iter().find(|(name, _)| name == attribute);
    let checked = found.map(|(_, value)| acl::to_text(value).and_then(|text| acl::from_text(text.as_bytes(), names)));
    checked.or_else(|| text.map(|text| acl::from_text(text, names)))
}

/// The mode that is restored.
pub(super) fn restored_mode(member: &Member, acl: Option<u32>, owners: bool, notes: &mut Notes) -> u32 {
    const SET_ID: u32 = 0o6000;
    let mode = acl.map_or(member.mode, |bits| member.mode & 0o7000 | bits);
    if owners || member.kind == Kind::Dir || mode & SET_ID == 0 {
        return mode;
    }
    notes.add(format!("{}: its set-user-ID or set-group-ID bit is not restored without its owner", shown(&member.path)));
    mode & !SET_ID
}
