//! What is good in a damaged pack goes into a new one before the old is set aside.
//!
//! A pack holds hundreds of frames and one bad spot spoils one of them. Without this the rest would have to come again from elsewhere, or,
//! where no other place has them, would be lost by the check itself. A crash in between leaves frames that are there twice, which harms nobody.

use std::collections::HashSet;

use futures::StreamExt;

use crate::{FetchError, Index, ObjectId, PackName, PackWriter, Repository, RepositoryError, fetch, pack::store};

/// Copies every good frame of `packs` into new packs of `target` bytes. Returns how many frames that were.
///
/// # Errors
/// [`RepositoryError`] if the store fails; a damaged frame is no error. Then nothing may be set aside.
pub async fn rescue(repository: &Repository, packs: &[ObjectId], target: u64) -> Result<u64, RepositoryError> {
    if packs.is_empty() {
        return Ok(0);
    }
    let packs: HashSet<PackName> = packs.iter().copied().map(PackName::Object).collect();
    let mut writer = PackWriter::new(target);
    let mut rescued = 0;
    // One whose own table is unknown is not among these: nothing tells where its frames are.
    for (facts, table) in repository.tables().await?.good.into_iter().filter(|(facts, _)| packs.contains(&facts.name)) {
        let path = facts.name.path();
        let mut index = Index::default();
        index.add(facts, &table);
        let wanted: Vec<_> = table.entries().iter().map(|entry| entry.id).collect();
        let mut frames = std::pin::pin!(fetch(repository, &index, wanted, 2));
        while let Some(frame) = frames.next().await {
            match frame {
                Ok(frame) => writer.push(frame.id, frame.location.raw, &frame.encoded),
                Err(error) if error.is_damage() => continue,
                Err(FetchError::Read { source, .. }) => return Err(store("read", &path, source)),
                // Somebody took the pack away: there is nothing left to save.
                Err(_) => continue,
            }
            rescued += 1;
            if writer.is_full() {
                writer.write(repository).await?;
            }
        }
    }
    writer.write(repository).await?;
    Ok(rescued)
}
