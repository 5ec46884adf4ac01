//! Bad frames of a pack that cannot be set aside: its index object names them no more.
//!
//! To set a pack aside its good frames have to be moved, which takes room. Where there is none, the pack stays, and everybody who asks where a
//! frame lies (the next archive, a pull, prune) would be sent to the rot, even with a good copy beside it. So the index object is made
//! anew, of the same length, without those ids; the pack itself is not touched, and prune leaves it to be set aside when there is room.
//! In the same way a pack that lost both its tables gets an index object by what can be read in it.

use std::collections::{HashMap, HashSet};

use offsite_archive::FrameId;

use crate::{
    Layout, MAX_FRAME_LEN, ObjectId, PackName, Repository, RepositoryError, Table, index_path,
    lack::delete,
    pack::{create, store},
    salvage::Salvage,
    table::DISOWNED,
};

/// From now on each frame of `bad` counts as not there in its pack. Those of packs that are gone, or have no readable table, count as such
/// already.
///
/// # Errors
/// [`RepositoryError::NotSupported`] but in [`Layout::Packs`]; [`RepositoryError::Store`] if the store fails. Then some may still be
/// offered, as before; doing it again goes on.
pub async fn disown(repository: &Repository, bad: &[(ObjectId, FrameId)]) -> Result<(), RepositoryError> {
    if repository.layout() != Layout::Packs {
        return Err(RepositoryError::NotSupported { operation: "disown frames", layout: repository.layout() });
    }
    let mut of_pack: HashMap<PackName, HashSet<FrameId>> = HashMap::new();
    for (pack, frame) in bad {
        of_pack.entry(PackName::Object(*pack)).or_default().insert(*frame);
    }
    for (facts, mut table) in repository.tables().await?.good {
        let PackName::Object(id) = facts.name else { continue };
        if !of_pack.get(&facts.name).is_some_and(|bad| table.disown(bad)) {
            continue;
        }
        replace(repository, &id, &table).await?;
    }
    Ok(())
}

/// Gives those of `packs` that have no readable table an index object by what is read in them, so that their good frames can be used where
/// they lie. What is between them counts as one bad frame; if that is longer than any frame, what lies behind it is not offered.
///
/// # Errors
/// [`RepositoryError::NotSupported`] but in [`Layout::Packs`]; [`RepositoryError::Store`] if the store fails. Doing it again goes on.
pub async fn describe(repository: &Repository, packs: &[ObjectId]) -> Result<(), RepositoryError> {
    if repository.layout() != Layout::Packs {
        return Err(RepositoryError::NotSupported { operation: "describe packs", layout: repository.layout() });
    }
    for facts in repository.tables().await?.unknown {
        let PackName::Object(id) = &facts.name else { continue };
        if !packs.contains(id) {
            continue;
        }
        let (mut table, mut found) = (Table::default(), Salvage::new(repository, &facts)?);
        while let Some((place, frame, _)) = found.next().await? {
            match u32::try_from(place - table.end()) {
                Ok(0) => {}
                Ok(gap) if gap <= MAX_FRAME_LEN => table.push(DISOWNED, gap, 1),
                _ => break,
            }
            table.push(frame.id, frame.len, frame.raw);
        }
        if !table.entries().is_empty() {
            // What follows is the table that was lost. This says that the pack waits to be set aside.
            table.push(DISOWNED, 1, 1);
            replace(repository, id, &table).await?;
        }
    }
    Ok(())
}

/// In between the pack's own table counts. Removed first: on a full disk that makes the room.
async fn replace(repository: &Repository, id: &ObjectId, table: &Table) -> Result<(), RepositoryError> {
    let path = index_path(id);
    delete(repository, &path).await?;
    create(&**repository.store(), &path, table.encode().into()).await.map_err(|source| store("write", &path, source))
}
