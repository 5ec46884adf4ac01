//! Which paths an archive holds already.
//!
//! A file that is reached through two sources would stand in the archive twice, and one with several names would become a hard link
//! to itself, which destroys it on restore. So sources must not overlap.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::CaptureError;

/// The paths so far, without leading slash, and what was left out below each.
#[derive(Debug, Default)]
pub(super) struct Roots(Vec<(Vec<u8>, Vec<Vec<u8>>)>);

/// A checked path without slashes at either end, or doubled ones.
pub(super) fn plain(path: &[u8]) -> Result<Vec<u8>, CaptureError> {
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    if path.first() != Some(&b'/') || path.contains(&0) || names.iter().any(|&name| name == b"." || name == b"..") {
        return Err(CaptureError::Path(shown(path)));
    }
    Ok(names.join(&b'/'))
}

fn shown(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}

impl Roots {
    /// Adds a plain path, of which the plain paths in `exclude` are left out.
    pub(super) fn add(&mut self, path: &[u8], exclude: &[Vec<u8>]) -> Result<(), CaptureError> {
        let out = |path: &[u8], excluded: &[Vec<u8>]| excluded.iter().any(|excluded| within(path, excluded));
        let overlaps = |(other, excluded): &&(Vec<u8>, Vec<Vec<u8>>)| {
            within(path, other) && !out(path, excluded) || within(other, path) && !out(other, exclude)
        };
        if let Some((other, _)) = self.0.iter().find(overlaps) {
            let absolute = |path: &[u8]| shown(&[b"/", path].concat());
            return Err(CaptureError::Overlap { path: absolute(path), other: absolute(other) });
        }
        self.0.push((path.to_vec(), exclude.to_vec()));
        Ok(())
    }
}

/// Whether `path` is `folder` or lies in it; both are plain.
pub(super) fn within(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_overlaps_and_what_is_not_absolute() {
        let mut roots = Roots::default();
        let add = |roots: &mut Roots, path: &str, exclude: &[&str]| {
            let exclude: Vec<_> = exclude.iter().map(|path| plain(path.as_bytes()).unwrap()).collect();
            plain(path.as_bytes()).and_then(|path| roots.add(&path, &exclude))
        };
        assert_eq!(plain(b"/srv//services/").unwrap(), b"srv/services");
        add(&mut roots, "/srv/services", &["/srv/services/immich"]).unwrap();
        add(&mut roots, "/srv/services2", &[]).unwrap();
        for path in ["/srv/services", "/srv/services/a", "/srv", "/", "/srv/services/immich2"] {
            assert!(matches!(add(&mut roots, path, &[]), Err(CaptureError::Overlap { .. })), "{path}");
        }
        add(&mut roots, "/srv/services/immich", &[]).unwrap();
        add(&mut roots, "/srv", &["/srv/services", "/srv/services2"]).unwrap();
        assert!(matches!(add(&mut roots, "/srv/services/immich/a", &[]), Err(CaptureError::Overlap { .. })));
        for path in ["", "etc", "/etc/../srv", "/./etc", "/a\0b"] {
            assert!(matches!(plain(path.as_bytes()), Err(CaptureError::Path(_))), "{path}");
        }
        assert_eq!(plain(b"/").unwrap(), b"");
    }
}
