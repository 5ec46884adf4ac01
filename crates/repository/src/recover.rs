//! What opens a repository without offsite, kept beside the data in every tier.
//!
//! The formats' specification and a script of a few pages lie in `recover/` of each repository from its first moment, in the clear, so that
//! getting data back never depends on finding this program. They say nothing about the data.
//!
//! A repository outlives the offsite that made it, and the script of that day refuses formats of a later one. So the files have an
//! edition, which an object's *name* states: a listing tells it, on any storage class and whatever the files say. Files of an older edition
//! are replaced before something is written that they do not know, those of a newer one are left alone. The mark of the edition comes
//! last; whoever is cut off before it replaces them again.

use futures::TryStreamExt;
use object_store::{ObjectStore, PutMode, PutOptions, path::Path};

use crate::pack::create;

/// Where the files lie.
const FOLDER: &str = "recover";
/// Name and content of each file.
const FILES: [(&str, &str); 4] = [
    ("recover/README.txt", include_str!("recover/README.txt")),
    ("recover/format.md", include_str!("../../../docs/format.md")),
    ("recover/format-sealing.md", include_str!("../../../docs/format-sealing.md")),
    ("recover/offsite_recover.py", include_str!("../../../packaging/recover/offsite_recover.py")),
];
/// One more whenever the script learns a format that older ones refuse, or older files would lead astray. The first edition had no mark; 2 reads
/// manifests of version 2; 3 keeps owners' numbers, takes the recovery key as it is printed, and gives what is whole where not all is.
const EDITION: u32 = 3;
/// What the mark of an edition is called, before its number.
const MARK: &str = "edition-";

/// Puts the files that are not there and replaces those of an older edition. Called before a repository gets what makes it one, and before
/// something new is written to one that is there. Returns whether anything was written.
///
/// # Errors
/// The path that could not be put or listed, and why not. What is there can be read as before.
pub(crate) async fn place(to: &dyn ObjectStore) -> Result<bool, (Path, object_store::Error)> {
    let (edition, there) = look(to).await?;
    let mut wrote = false;
    for (at, (name, text)) in FILES.into_iter().enumerate() {
        let path = Path::from(name);
        let put = match edition {
            // A later offsite was here: its files know what these know.
            Some(edition) if edition > EDITION => continue,
            Some(EDITION) if there[at] => continue,
            Some(EDITION) => create(to, &path, text.into()).await,
            _ => to.put_opts(&path, text.into(), PutOptions::from(PutMode::Overwrite)).await.map(drop),
        };
        wrote |= fresh(put).map_err(|error| (path, error))?;
    }
    if edition.is_none_or(|edition| edition < EDITION) {
        let path = Path::from(format!("{FOLDER}/{MARK}{EDITION}"));
        let text = format!("the files beside this one are edition {EDITION}\n");
        wrote |= fresh(create(to, &path, text.into()).await).map_err(|error| (path, error))?;
    }
    Ok(wrote)
}

/// The highest edition whose mark is there, and which of the files are.
async fn look(to: &dyn ObjectStore) -> Result<(Option<u32>, [bool; FILES.len()]), (Path, object_store::Error)> {
    let folder = Path::from(FOLDER);
    let (mut edition, mut there) = (None, [false; FILES.len()]);
    let mut listed = to.list(Some(&folder));
    while let Some(meta) = listed.try_next().await.map_err(|error| (folder.clone(), error))? {
        if let Some(at) = FILES.iter().position(|(name, _)| *name == meta.location.as_ref()) {
            there[at] = true;
        }
        let mark = meta.location.filename().and_then(|name| name.strip_prefix(MARK)?.parse().ok());
        edition = edition.max(mark);
    }
    Ok((edition, there))
}

/// Whether something was put; another run may have been faster.
fn fresh(put: Result<(), object_store::Error>) -> Result<bool, object_store::Error> {
    match put {
        Ok(()) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt, memory::InMemory};

    use super::*;

    async fn put(to: &InMemory, name: &str, text: &'static str) {
        to.put(&Path::from(name), text.into()).await.unwrap();
    }

    async fn read(from: &InMemory, name: &str) -> Option<String> {
        let bytes = from.get(&Path::from(name)).await.ok()?.bytes().await.unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn all_current(store: &InMemory) {
        for (name, text) in FILES {
            assert_eq!(read(store, name).await.as_deref(), Some(text), "{name}");
        }
        assert!(read(store, "recover/edition-3").await.is_some());
    }

    #[tokio::test]
    async fn files_of_older_editions_are_replaced_once() {
        for mark in [None, Some("recover/edition-2")] {
            let store = InMemory::new();
            for name in FILES.into_iter().map(|(name, _)| name).chain(mark) {
                put(&store, name, "of an older edition").await;
            }
            assert!(place(&store).await.unwrap());
            all_current(&store).await;
            assert!(!place(&store).await.unwrap(), "nothing is left to do");
        }
    }

    #[tokio::test]
    async fn cut_off_before_the_mark_it_begins_again() {
        let store = InMemory::new();
        put(&store, "recover/README.txt", FILES[0].1).await;
        put(&store, "recover/offsite_recover.py", "of the first edition").await;
        assert!(place(&store).await.unwrap());
        all_current(&store).await;
    }

    #[tokio::test]
    async fn files_of_a_later_edition_are_left_alone() {
        let store = InMemory::new();
        for name in ["recover/offsite_recover.py", "recover/edition-2", "recover/edition-10", "recover/edition-x"] {
            put(&store, name, "of edition 10").await;
        }
        assert!(!place(&store).await.unwrap());
        assert_eq!(read(&store, "recover/offsite_recover.py").await.as_deref(), Some("of edition 10"));
        assert_eq!(read(&store, "recover/README.txt").await, None, "and not mixed with those of this one");
    }

    #[tokio::test]
    async fn a_file_that_went_away_comes_back_and_no_other_is_touched() {
        let store = InMemory::new();
        assert!(place(&store).await.unwrap());
        put(&store, "recover/README.txt", "with the owner's notes").await;
        store.delete(&Path::from("recover/format.md")).await.unwrap();
        assert!(place(&store).await.unwrap());
        assert_eq!(read(&store, "recover/format.md").await.as_deref(), Some(FILES[1].1));
        assert_eq!(read(&store, "recover/README.txt").await.as_deref(), Some("with the owner's notes"));
    }
}
