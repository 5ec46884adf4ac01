//! Next steps for a drill that could not be held, or that showed something bad.

use super::find;
use crate::drill::DrillError;

pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    Some(match find::<DrillError>(error)? {
        DrillError::Nothing { .. } => "see what there is: offsite archives, offsite archives --from CLOUD".to_owned(),
        DrillError::Cold { .. } => {
            "drill from this Mac, or from a cloud of a warm class; which packs a restore would need to be thawed says: offsite restore JOB --from CLOUD --into DIR --dry-run"
                .to_owned()
        }
        DrillError::NoRoom { .. } => "name a folder on a disk with room: offsite drill --into DIR; or drill a part: --path PATH".to_owned(),
        DrillError::Folder { operation: "remove", path, .. } => {
            format!("remove {} yourself: it holds what was restored, in the clear; the next drill or night tries again", path.display())
        }
        DrillError::Folder { path, .. } => format!("name another folder: offsite drill --into DIR; what is left of {} may be removed", path.display()),
        DrillError::Lost { archive, .. } => {
            format!("another place may hold it whole: offsite drill {} --from CLOUD; to repair this Mac: offsite verify {archive} --heal-from CLOUD", archive.job)
        }
        DrillError::Differs { archive, .. } => {
            format!("read it all back, and try from another place: offsite verify {archive}, offsite drill {} --from CLOUD", archive.job)
        }
        DrillError::Check { archive, .. } => format!("look at the files yourself: offsite restore {archive} --into DIR"),
        // What is below them says more.
        DrillError::Stopped { .. } | DrillError::Compare { .. } | DrillError::Run { .. } => return None,
    })
}
