//! What opens a repository without offsite, kept beside the data in every tier.
//!
//! The formats' specification and a script of a few pages lie in `recover/` of each repository from its first moment, in the clear, so that
//! getting data back never depends on finding this program. They are written once and say nothing about the data.

use object_store::{ObjectStore, path::Path};

use crate::pack::create;

/// Name and content of each file. Version 1 of the format: files of a later one will have other names.
const FILES: [(&str, &str); 4] = [
    ("recover/README.txt", include_str!("recover/README.txt")),
    ("recover/format.md", include_str!("../../../docs/format.md")),
    ("recover/format-sealing.md", include_str!("../../../docs/format-sealing.md")),
    ("recover/offsite_recover.py", include_str!("../../../packaging/recover/offsite_recover.py")),
];

/// Puts the files that are not there. Called before a repository gets what makes it one, so each repository has them.
///
/// # Errors
/// The path that could not be put, and why not.
pub(crate) async fn place(to: &dyn ObjectStore) -> Result<(), (Path, object_store::Error)> {
    for (name, text) in FILES {
        let path = Path::from(name);
        match create(to, &path, text.into()).await {
            Ok(()) | Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err((path, error)),
        }
    }
    Ok(())
}
