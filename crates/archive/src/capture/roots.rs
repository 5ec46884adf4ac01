//! Which paths an archive holds already.
//!
//! A file that is reached through two sources would stand in the archive twice, and one with several names would become a hard link
//! to itself, which destroys it on restore. So sources must not overlap.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::CaptureError;

/// The paths so far, without leading slash.
#[derive(Debug, Default)]
pub(super) struct Roots(Vec<Vec<u8>>);

impl Roots {
    /// Adds an absolute path and returns it without slashes at either end, or doubled ones.
    pub(super) fn add(&mut self, path: &[u8]) -> Result<Vec<u8>, CaptureError> {
        let shown = |path: &[u8]| PathBuf::from(OsStr::from_bytes(path));
        let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
        if path.first() != Some(&b'/') || path.contains(&0) || names.iter().any(|&name| name == b"." || name == b"..") {
            return Err(CaptureError::Path(shown(path)));
        }
        let path = names.join(&b'/');
        if let Some(other) = self.0.iter().find(|other| within(&path, other) || within(other, &path)) {
            let absolute = |path: &[u8]| shown(&[b"/", path].concat());
            return Err(CaptureError::Overlap { path: absolute(&path), other: absolute(other) });
        }
        self.0.push(path.clone());
        Ok(path)
    }
}

fn within(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_overlaps_and_what_is_not_absolute() {
        let mut roots = Roots::default();
        assert_eq!(roots.add(b"/srv//services/").unwrap(), b"srv/services");
        assert_eq!(roots.add(b"/srv/services2").unwrap(), b"srv/services2");
        for path in ["/srv/services", "/srv/services/a", "/srv", "/"] {
            assert!(matches!(roots.add(path.as_bytes()), Err(CaptureError::Overlap { .. })), "{path}");
        }
        for path in ["", "etc", "/etc/../srv", "/./etc", "/a\0b"] {
            assert!(matches!(roots.add(path.as_bytes()), Err(CaptureError::Path(_))), "{path}");
        }
        assert_eq!(Roots::default().add(b"/").unwrap(), b"");
    }
}
