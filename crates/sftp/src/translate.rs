//! Our errors as the object store's.
//!
//! Callers of `ObjectStore` decide by variant: an object that is missing, that exists already, that may not be touched.
//! Everything else is `Generic`; the `SftpError` always stays reachable as the source.

use object_store::Error;

use crate::error::SftpError;

pub(crate) const STORE: &str = "sftp";

pub(crate) fn translate(error: SftpError) -> Error {
    match &error {
        SftpError::NotFound { path, .. } | SftpError::NotFile { path, .. } => {
            Error::NotFound { path: path.clone(), source: Box::new(error) }
        }
        SftpError::Exists { path, .. } => Error::AlreadyExists { path: path.clone(), source: Box::new(error) },
        SftpError::Denied { path, .. } => Error::PermissionDenied { path: path.clone(), source: Box::new(error) },
        SftpError::Unsupported { .. } => Error::NotSupported { source: Box::new(error) },
        _ => Error::Generic { store: STORE, source: Box::new(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_found_again() {
        let error = translate(SftpError::Refused { host: "pi".into(), port: 22 });
        assert!(matches!(error, Error::Generic { .. }));
        assert!(matches!(SftpError::find(&error), Some(SftpError::Refused { port: 22, .. })));
        let error = translate(SftpError::NotFound { operation: "read", path: "a".into() });
        assert!(matches!(&error, Error::NotFound { path, .. } if path == "a"));
        assert!(SftpError::find(&error).is_some());
    }
}
