//! Extracting: a tar stream becomes files under one directory, and nowhere else.
//!
//! Invariants: whatever the tar says, nothing outside `into` is created, changed or linked: every path is walked name by name from
//! an open directory, and no symbolic link is followed, whether it was there before or came with the tar. A directory gets its owner,
//! mode and time last, when nothing is put into it any more. What cannot be restored fully (an attribute the file system does not
//! know) is a warning; a member that cannot be made on this disk, or whose bytes are lost, is left out and told; what keeps all others from
//! being made is an error.

mod attributes;
mod below;
mod content;
mod error;
mod folders;
mod lost;
mod make;
mod place;
mod select;
mod sys;
mod tree;
mod unmade;

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use below::{Below, Found};
pub use error::ExtractError;
pub use lost::{Around, Lost};
pub use unmade::{Cannot, Unmade};

use crate::notes::Notes;
use crate::{Progress, TarReader};
use make::Maker;
use place::Place;
use select::{Select, Wanted};

/// How to extract.
#[derive(Debug, Clone, Default)]
pub struct ExtractOptions {
    /// Restore owners by number, set-user-ID bits, file capabilities and devices: for root, and for a tar that is trusted as root.
    pub owners: bool,
    /// Extract only these paths and what lies below them; slashes at either end mean nothing. Empty: everything. Folders above a
    /// selected path are made as the tar describes them, if they are not there yet.
    pub select: Vec<Vec<u8>>,
    /// Replace files that were there before. Otherwise the first one ends the extraction.
    pub overwrite: bool,
}

/// What was extracted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// Members extracted.
    pub entries: u64,
    /// File content written, in bytes.
    pub bytes: u64,
    /// What could not be restored fully, and selections that nothing matched.
    pub warnings: Vec<String>,
    /// What could not be made here.
    pub unmade: Unmade,
    /// How often the reader said that bytes are lost: where it did, this is not the whole, even if no member was left out.
    pub gaps: u64,
}

/// Extracts the tar stream `tar` under the directory `into`. Absolute names land under it too. The files are not synced to disk. Where an
/// error of `tar` carries a [`Lost`], it leaves its members out, but for folders, and goes on with the header that comes next.
///
/// # Errors
/// When the stream is no whole tar, a member would leave `into` or replace what may not be replaced, or the disk is full or fails. What
/// was extracted until then stays.
pub fn extract<R: Read>(
    tar: R,
    into: &Path,
    options: &ExtractOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Extracted, ExtractError> {
    let mut tar = TarReader::new(tar);
    let mut notes = Notes::default();
    let mut select = Select::new(&options.select);
    let mut maker = Maker::open(into, options, &mut notes)?;
    let (mut entries, mut gaps) = (0, 0);
    loop {
        let before = entries;
        let error = match one(&mut tar, &mut select, &mut maker, &mut notes, &mut entries, progress) {
            Ok(true) => continue,
            Ok(false) => break,
            Err(ExtractError::Tar(error)) => error,
            Err(other) => return Err(other),
        };
        let lost = lost::lost(error).map_err(ExtractError::Tar)?;
        tar.pass();
        gaps += 1;
        // One that had begun is among them.
        entries = before;
        for entry in lost.members {
            let place = placed(&entry.path.0)?;
            if select.wants(&place) == Wanted::Yes {
                entries += 1;
                maker.lose(entry, &place, &lost.cause, &mut notes)?;
            }
        }
    }
    let bytes = maker.written();
    let unmade = maker.finish(&mut notes)?;
    select.missing().for_each(|path| notes.add(format!("nothing in the archive is {} or lies below it", crate::notes::shown(path))));
    Ok(Extracted { entries: entries - unmade.count(), bytes, warnings: notes.into_texts(), unmade, gaps })
}

/// Extracts the next member, if it is wanted; false at the end of the tar.
fn one<R: Read>(
    tar: &mut TarReader<R>,
    select: &mut Select<'_>,
    maker: &mut Maker,
    notes: &mut Notes,
    entries: &mut u64,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<bool, ExtractError> {
    let Some(member) = tar.next_member().map_err(ExtractError::Tar)? else { return Ok(false) };
    let place = placed(&member.path)?;
    let wanted = select.wants(&place);
    if wanted == Wanted::No || (wanted == Wanted::Above && member.kind != crate::Kind::Dir) {
        return Ok(true);
    }
    *entries += 1;
    let entries = *entries;
    let path = place.join();
    let path = Path::new(OsStr::from_bytes(&path));
    let written = maker.written();
    progress(Progress { entries, raw: written, written, path });
    let mut tick = |written| progress(Progress { entries, raw: written, written, path });
    maker.make(&member, &place, wanted, tar, notes, &mut tick)?;
    Ok(true)
}

fn placed(path: &[u8]) -> Result<Place, ExtractError> {
    Place::of(path).map_err(|reason| ExtractError::Unsafe { member: path.to_vec(), reason })
}
