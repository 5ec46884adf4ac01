//! What manifests said when they were read before, by the hash of their bytes.
//!
//! Reading a manifest whole and checking it costs a hundred times what hashing it costs, and the Pi asks the same few each night. Invariant:
//! an archive is listed from here only if its manifest is, byte for byte, one that was checked whole by this version; so a manifest that rots
//! is found as ever. These are notes and no data: they may be lost, and notes that are damaged say nothing.

use std::collections::BTreeMap;

use object_store::path::Path;
use offsite_archive::{End, FrameId, Head, Manifest};
use serde::{Deserialize, Serialize};

use super::{
    ArchiveInfo, Archives, Repository,
    archives::Listing,
    manifest::{MAX_MANIFEST, checked},
    read_bounded,
};
use crate::{RepositoryError, layout::manifest_name};

/// Who checked: another version may see more.
const BY: &str = concat!("offsite ", env!("CARGO_PKG_VERSION"), " notes 1");

/// Notes of the manifests of one repository.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Remembered {
    notes: BTreeMap<FrameId, Note>,
    /// Those that were asked for since [`Remembered::begin`].
    seen: Vec<FrameId>,
    changed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    /// BLAKE3 of the manifest object.
    of: FrameId,
    head: Head,
    end: End,
}

impl Remembered {
    /// The notes that [`Remembered::to_bytes`] gave. Whatever is not such bytes of this version gives none.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Some((hash, text)) = bytes.split_at_checked(64) else { return Self::default() };
        if *hash != *FrameId::of(text).to_string().as_bytes() {
            return Self::default();
        }
        let Ok((by, notes)) = serde_json::from_slice::<(String, Vec<Note>)>(text) else { return Self::default() };
        if by != BY {
            return Self::default();
        }
        Self { notes: notes.into_iter().map(|note| (note.of, note)).collect(), ..Self::default() }
    }

    /// The notes as bytes, if they are others than those that were read.
    ///
    /// # Errors
    /// What the serialiser says.
    pub fn to_bytes(&self) -> Result<Option<Vec<u8>>, serde_json::Error> {
        if !self.changed {
            return Ok(None);
        }
        let text = serde_json::to_vec(&(BY, self.notes.values().collect::<Vec<_>>()))?;
        Ok(Some([FrameId::of(&text).to_string().as_bytes(), &text].concat()))
    }

    /// Notes the manifest whose bytes have the hash `of`: it was checked whole, or written just now by the same rules.
    pub fn note(&mut self, of: FrameId, head: &Head, end: &End) {
        self.changed |= self.notes.insert(of, Note { of, head: head.clone(), end: end.clone() }).is_none();
        self.seen.push(of);
    }

    /// What the manifest of this hash said.
    pub(super) fn get(&mut self, of: FrameId) -> Option<(Head, End)> {
        let note = self.notes.get(&of)?;
        self.seen.push(of);
        Some((note.head.clone(), note.end.clone()))
    }

    /// A listing begins.
    pub(super) fn begin(&mut self) {
        self.seen.clear();
    }

    /// It has ended: what it did not come across is not there any more.
    pub(super) fn end(&mut self) {
        let (before, seen) = (self.notes.len(), &self.seen);
        self.notes.retain(|of, _| seen.contains(of));
        self.changed |= self.notes.len() != before;
    }
}

impl Repository {
    /// As [`Repository::archives`], but a manifest whose bytes are remembered is not read again, only hashed; what is read is remembered,
    /// what is no longer there is forgotten. For layouts whose manifests are named.
    ///
    /// # Errors
    /// As there.
    pub async fn archives_again(&self, remembered: &mut Remembered) -> Result<Archives, RepositoryError> {
        let mut listing = Listing::default();
        remembered.begin();
        for object in self.manifests().await? {
            let info = self.info_again(&object.location, remembered).await;
            listing.add(&object.location, info);
        }
        remembered.end();
        listing.settled()
    }

    async fn info_again(&self, path: &Path, remembered: &mut Remembered) -> Result<Option<ArchiveInfo>, RepositoryError> {
        let name = manifest_name(path).ok_or_else(|| RepositoryError::Stray { object: path.to_string() })?;
        let Some(bytes) = read_bounded(&*self.store, path, MAX_MANIFEST).await? else { return Ok(None) };
        let of = FrameId::of(&bytes);
        let (head, end) = match remembered.get(of) {
            Some(known) => known,
            None => {
                let Manifest { head, end, .. } = checked(&bytes, None, path)?;
                remembered.note(of, &head, &end);
                (head, end)
            }
        };
        if name != head.archive {
            return Err(RepositoryError::Misnamed { object: path.to_string(), says: head.archive });
        }
        Ok(Some(ArchiveInfo { name, sequence: head.sequence, head, end, manifest_bytes: bytes.len() as u64 }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::{ObjectStoreExt, memory::InMemory};
    use offsite_archive::ArchiveName;

    use super::*;
    use crate::{Layout, manifest_path, repository::manifest::tests::repeating};

    #[tokio::test]
    async fn what_is_remembered_hides_no_damage() {
        let store = Arc::new(InMemory::new());
        let repository = Repository::create(store.clone(), Layout::Packs).await.unwrap();
        let name: ArchiveName = "services/2026-11-22T040000Z".parse().unwrap();
        let (path, bytes) = (manifest_path(&name), repeating(100));
        repository.put_manifest(&name, bytes.clone().into()).await.unwrap();
        let full = repository.archives().await.unwrap();
        let mut first = Remembered::default();
        assert_eq!(repository.archives_again(&mut first).await.unwrap().good, full.good);
        let kept = first.to_bytes().unwrap().unwrap();
        let remembered = || Remembered::from_bytes(&kept);
        assert!(remembered().to_bytes().unwrap().is_none(), "nothing new, nothing to write");

        let mut again = remembered();
        assert_eq!(repository.archives_again(&mut again).await.unwrap().good, full.good);
        assert!(again.to_bytes().unwrap().is_none());
        // It really is what was remembered that is told: a note that says otherwise is believed.
        let mut other = Remembered::default();
        let end = End { complete: false, ..full.good[0].end.clone() };
        other.note(FrameId::of(&bytes), &full.good[0].head, &end);
        assert!(!repository.archives_again(&mut other).await.unwrap().good[0].end.complete);

        for at in (0..bytes.len()).step_by(7) {
            let mut rotten = bytes.clone();
            rotten[at] ^= 4;
            store.put(&path, rotten.into()).await.unwrap();
            let found = repository.archives_again(&mut remembered()).await.unwrap();
            assert!(found.good.is_empty() && found.unreadable.len() == 1, "byte {at}");
        }
        // The right bytes in the wrong place are not that archive.
        store.put(&manifest_path(&"services/2026-11-23T040000Z".parse().unwrap()), bytes.into()).await.unwrap();
        store.delete(&path).await.unwrap();
        let found = repository.archives_again(&mut remembered()).await.unwrap();
        assert!(found.good.is_empty() && matches!(found.unreadable[0].error, RepositoryError::Misnamed { .. }));
    }

    #[tokio::test]
    async fn notes_that_are_damaged_say_nothing_and_what_went_is_forgotten() {
        let store = Arc::new(InMemory::new());
        let repository = Repository::create(store.clone(), Layout::Packs).await.unwrap();
        let name: ArchiveName = "services/2026-11-22T040000Z".parse().unwrap();
        repository.put_manifest(&name, repeating(3).into()).await.unwrap();
        let mut remembered = Remembered::default();
        repository.archives_again(&mut remembered).await.unwrap();
        let kept = remembered.to_bytes().unwrap().unwrap();
        assert_ne!(Remembered::from_bytes(&kept), Remembered::default());
        for at in 0..kept.len() {
            let mut rotten = kept.clone();
            rotten[at] ^= 1;
            assert_eq!(Remembered::from_bytes(&rotten), Remembered::default(), "byte {at}");
            assert_eq!(Remembered::from_bytes(&kept[..at]), Remembered::default(), "{at} bytes");
        }
        store.delete(&manifest_path(&name)).await.unwrap();
        let mut remembered = Remembered::from_bytes(&kept);
        assert!(repository.archives_again(&mut remembered).await.unwrap().good.is_empty());
        let left = remembered.to_bytes().unwrap().unwrap();
        assert!(left.len() < kept.len());
    }
}
