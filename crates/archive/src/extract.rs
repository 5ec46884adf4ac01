//! Extracting: a tar stream becomes files under one directory, and nowhere else.
//!
//! Invariants: whatever the tar says, nothing outside `into` is created, changed or linked: every path is walked name by name from
//! an open directory, and no symbolic link is followed, whether it was there before or came with the tar. A directory gets its owner,
//! mode and time last, when nothing is put into it any more. What cannot be restored fully (an attribute the file system does not
//! know) is a warning; a member that cannot be made on this disk is left out and told; what keeps all others from being made is an error.

mod attributes;
mod below;
mod content;
mod error;
mod folders;
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
}

/// Extracts the tar stream `tar` under the directory `into`. Absolute names land under it too. The files are not synced to disk.
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
    let mut entries = 0;
    while let Some(member) = tar.next_member().map_err(ExtractError::Tar)? {
        let place = Place::of(&member.path).map_err(|reason| ExtractError::Unsafe { member: member.path.clone(), reason })?;
        let wanted = select.wants(&place);
        if wanted == Wanted::No || (wanted == Wanted::Above && member.kind != crate::Kind::Dir) {
            continue;
        }
        entries += 1;
        let path = place.join();
        let path = Path::new(OsStr::from_bytes(&path));
        let written = maker.written();
        progress(Progress { entries, raw: written, written, path });
        let mut tick = |written| progress(Progress { entries, raw: written, written, path });
        maker.make(&member, &place, wanted, &mut tar, &mut notes, &mut tick)?;
    }
    let bytes = maker.written();
    let unmade = maker.finish(&mut notes)?;
    select.missing().for_each(|path| notes.add(format!("nothing in the archive is {} or lies below it", crate::notes::shown(path))));
    Ok(Extracted { entries: entries - unmade.count(), bytes, warnings: notes.into_texts(), unmade })
}
