//! Where a member belongs below the target: a list of plain names.
//!
//! Parsed once, here; nothing after this sees a path that could lead upwards. The leading slash of an absolute name is dropped, as tar
//! does. `..` is refused rather than resolved: no honest archive has it.

use std::ffi::{CStr, CString};

/// Plain names, from the target downwards; none for the target itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(Vec<CString>);

impl Place {
    /// The place of a tar name.
    pub(super) fn of(path: &[u8]) -> Result<Self, &'static str> {
        let names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".");
        let plain = |name: &[u8]| match name {
            b".." => Err("its path goes upwards"),
            name => CString::new(name).map_err(|_| "its path holds a zero byte"),
        };
        names.map(plain).collect::<Result<_, _>>().map(Self)
    }

    /// The folder it lies in and its name there; None for the target itself.
    pub(super) fn split(&self) -> Option<(&[CString], &CStr)> {
        self.0.split_last().map(|(name, above)| (above, name.as_c_str()))
    }

    pub(super) fn names(&self) -> &[CString] {
        &self.0
    }

    /// The path below the target, with single slashes; `.` for the target itself.
    pub(super) fn join(&self) -> Vec<u8> {
        if self.0.is_empty() { b".".to_vec() } else { join(&self.0) }
    }
}

/// Names joined by slashes.
pub(super) fn join(names: &[CString]) -> Vec<u8> {
    names.iter().map(|name| name.as_bytes()).collect::<Vec<_>>().join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_only() {
        for (path, joined) in
            [("/etc/ssh/", "etc/ssh"), ("./a//./b", "a/b"), ("///", "."), ("./", "."), ("...", "..."), ("a/..b/c..", "a/..b/c..")]
        {
            assert_eq!(Place::of(path.as_bytes()).unwrap().join(), joined.as_bytes(), "{path}");
        }
        for path in ["..", "../a", "a/../b", "a/..", "/..", "a\0b"] {
            assert!(Place::of(path.as_bytes()).is_err(), "{path}");
        }
    }
}
