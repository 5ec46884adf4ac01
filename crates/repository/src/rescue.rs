//! What is good in a damaged pack goes into a new one before the old is set aside.
//!
//! A pack holds hundreds of frames and one bad spot spoils one of them. Without this the rest would have to come again from elsewhere, or,
//! where no other place has them, would be lost by the check itself. That goes for a pack without a readable table, too: its frames lie one behind
//! the other and prove what they are. A crash in between leaves frames that are there twice, which harms nobody.

use std::collections::HashSet;

use futures::StreamExt;

use crate::{
    FetchError, Index, ObjectId, PackFacts, PackName, PackWriter, Repository, RepositoryError, Table, fetch,
    pack::{read_table, store},
    salvage::Salvage,
};

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
    let tables = repository.tables().await?;
    for (facts, table) in tables.good.into_iter().filter(|(facts, _)| packs.contains(&facts.name)) {
        rescued += take(repository, facts, table, &mut writer).await?;
    }
    for facts in tables.unknown.iter().filter(|facts| packs.contains(&facts.name)) {
        rescued += salvage(repository, facts, &mut writer).await?;
    }
    writer.write(repository).await?;
    Ok(rescued)
}

/// The good frames of a pack whose table is known.
async fn take(repository: &Repository, facts: PackFacts, mut table: Table, writer: &mut PackWriter) -> Result<u64, RepositoryError> {
    let path = facts.name.path();
    if table.disowned() > 0 {
        // What was bad the last time may have been a bad moment, and not everything may be described: each frame is looked at anew.
        match read_table(&**repository.store(), &path, facts.bytes).await {
            Ok((own, _)) => table = own,
            Err(error) if error.is_damage() => return salvage(repository, &facts, writer).await,
            Err(error) => return Err(error),
        }
    }
    let mut index = Index::default();
    index.add(facts, &table);
    let wanted: Vec<_> = table.entries().iter().map(|entry| entry.id).collect();
    let mut frames = std::pin::pin!(fetch(repository, &index, wanted, 2));
    let mut rescued = 0;
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
    Ok(rescued)
}

/// The good frames of a pack that nothing describes.
async fn salvage(repository: &Repository, facts: &PackFacts, writer: &mut PackWriter) -> Result<u64, RepositoryError> {
    let mut found = Salvage::new(repository, facts)?;
    let mut rescued = 0;
    while let Some((_, frame, encoded)) = found.next().await? {
        writer.push(frame.id, frame.raw, encoded);
        rescued += 1;
        if writer.is_full() {
            writer.write(repository).await?;
        }
    }
    Ok(rescued)
}
