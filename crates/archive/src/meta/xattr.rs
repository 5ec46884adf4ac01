//! Extended attributes: read from a file, in an order that does not change from night to night.
//!
//! The kernel lists them in whatever order its storage has; sorted, an unchanged file has an unchanged header. ACLs come as attributes
//! too and are turned into their own text. What a tar header cannot hold within its bound is reported, not dropped in silence.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd;

use rustix::fs::{fgetxattr, flistxattr, lgetxattr, llistxattr};
use rustix::io::{Errno, Result};

use super::{acl, sys};

/// All attributes of one file together, in bytes: what fits into a pax header of 1 MiB beside paths.
const LIMIT: usize = 768 << 10;
/// The longest value the kernel allows.
const VALUE: usize = 64 << 10;

/// The attributes of one file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Name and value, sorted by name.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The access ACL as text.
    pub(crate) access: Option<String>,
    /// The default ACL as text.
    pub(crate) default: Option<String>,
}

/// Reads the attributes of an open file or directory; `trouble` hears of each that cannot be had.
pub(crate) fn of_file(file: impl AsFd, trouble: &mut dyn FnMut(String)) -> Attributes {
    let file = file.as_fd();
    collect(grown(VALUE, |buffer| flistxattr(file, buffer)), |name| grown(VALUE, |buffer| fgetxattr(file, name, buffer)), trouble)
}

/// Reads the attributes of what cannot be opened: a symbolic link, a pipe, a device. macOS offers no way, and has none there.
pub(crate) fn of_name(dir: impl AsFd, name: &CStr, trouble: &mut dyn FnMut(String)) -> Attributes {
    let Some(path) = sys::through(dir, name) else { return Attributes::default() };
    collect(grown(VALUE, |buffer| llistxattr(&path[..], buffer)), |name| grown(VALUE, |buffer| lgetxattr(&path[..], name, buffer)), trouble)
}

/// Calls with a small buffer, then with the largest the kernel can fill: most files have nothing or very little.
fn grown(most: usize, mut call: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut small = [0; 512];
    match call(&mut small) {
        Ok(len) => Ok(small[..len].to_vec()),
        Err(Errno::RANGE) => {
            let mut large = vec![0; most];
            let len = call(&mut large)?;
            large.truncate(len);
            Ok(large)
        }
        Err(cause) => Err(cause),
    }
}

fn collect(list: Result<Vec<u8>>, value: impl Fn(&CStr) -> Result<Vec<u8>>, trouble: &mut dyn FnMut(String)) -> Attributes {
    let list = match list {
        Ok(list) => list,
        Err(cause) if sys::no_attributes(cause) => return Attributes::default(),
        Err(cause) => {
            trouble(format!("its extended attributes cannot be listed: {cause}"));
            return Attributes::default();
        }
    };
    let mut names: Vec<&[u8]> = list.split(|&byte| byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let mut found = Attributes::default();
    let mut room = LIMIT;
    for name in names {
        let Ok(text) = CString::new(name) else { continue };
        let value = match value(&text) {
            Ok(value) => value,
            Err(cause) if sys::lacking(cause) => continue, // removed since it was listed
            Err(cause) => {
                trouble(format!("its extended attribute {} cannot be read: {cause}", crate::notes::shown(name)));
                continue;
            }
        };
        let Some(left) = room.checked_sub(name.len() * 3 + value.len() + 64) else {
            trouble(format!("its extended attribute {} does not fit into the archive", crate::notes::shown(name)));
            continue;
        };
        room = left;
        match (name, acl::to_text(&value)) {
            (acl::ACCESS, Some(text)) => found.access = Some(text),
            (acl::DEFAULT, Some(text)) => found.default = Some(text),
            (acl::ACCESS | acl::DEFAULT, None) => trouble(format!("its ACL {} has a form that is not known", crate::notes::shown(name))),
            _ => found.xattrs.push((name.to_vec(), value)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_and_reports_what_does_not_fit() {
        let mut heard = Vec::new();
        let list = b"user.z\0user.big1\0user.a\0user.gone\0user.bad\0".to_vec();
        let found = collect(
            Ok(list),
            |name| match name.to_bytes() {
                b"user.big1" => Ok(vec![0; LIMIT]),
                b"user.bad" => Err(Errno::ACCESS),
                #[cfg(target_os = "linux")]
                b"user.gone" => Err(Errno::NODATA),
                other => Ok(other.to_vec()),
            },
            &mut |text| heard.push(text),
        );
        let names: Vec<&[u8]> = found.xattrs.iter().map(|(name, _)| &name[..]).filter(|name| *name != b"user.gone").collect();
        assert_eq!(names, [&b"user.a"[..], b"user.z"]);
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(heard[0].contains("user.bad") && heard[1].contains("user.big1 does not fit"), "{heard:?}");
    }

    #[test]
    fn a_file_system_without_attributes_is_no_trouble() {
        let found = collect(Err(Errno::OPNOTSUPP), |_| Ok(vec![]), &mut |text| panic!("{text}"));
        assert_eq!(found, Attributes::default());
    }
}
