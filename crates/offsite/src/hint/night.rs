//! Next steps for what stops a step of a night.

use offsite_archive::{MANIFEST_VERSION, ManifestError};
use offsite_repository::{CopyError, PruneError, RepositoryError};

use super::find;
use crate::{
    cloud::CloudError,
    forget::ForgetError,
    night::{
        MixedJobs, NoRoom,
        loss::{JournalLost, Refused},
        retain::Flood,
    },
    places::PlaceError,
};

pub(super) fn hint(error: &anyhow::Error) -> Option<&'static str> {
    place(error)
        .or_else(|| refused(error))
        .or_else(|| mixed(error))
        .or_else(|| prune(error))
        .or_else(|| copy(error))
        .or_else(|| answered(error))
}

fn place(error: &anyhow::Error) -> Option<&'static str> {
    // A place's error is a cloud's own: that one does not stand in the chain besides.
    let cloud = find(error).or_else(|| match find(error) {
        Some(PlaceError::Cloud(error)) => Some(error),
        _ => None,
    });
    if let Some(CloudError::Folder { .. }) = cloud {
        return Some("mount the disk; for a new place make the folder yourself (mkdir), then: offsite sync");
    }
    Some(match find::<PlaceError>(error)? {
        PlaceError::Repository { source: RepositoryError::MarkerLost { .. }, .. } => {
            "offsite init, at a terminal, writes it anew; nothing else there is touched"
        }
        PlaceError::Repository { source: RepositoryError::MarkerDamaged { .. }, .. } => {
            "rename that file, then at a terminal: offsite init; it writes it anew and touches nothing else"
        }
        PlaceError::Pi { source: RepositoryError::MarkerLost { .. }, .. } => {
            "on the Pi: sudo offsite-agent init writes it anew; nothing else there is touched"
        }
        PlaceError::Layout { .. } => "`repository:` must name the Mac's own folder; make one with: offsite init",
        PlaceError::VaultLost { .. } => {
            "correct the address or mount the disk; to begin anew there on purpose, give the cloud another name in the configuration"
        }
        _ => return None,
    })
}

fn refused(error: &anyhow::Error) -> Option<&'static str> {
    if find::<JournalLost>(error).is_some() {
        return Some("if this Mac was not set up anew, see whether all is there that should be: offsite archives");
    }
    if find(error).is_some_and(|error| matches!(error, ManifestError::Version(version) if *version > MANIFEST_VERSION)) {
        return Some("update offsite on this Mac; nothing of it was taken, and it waits where it is");
    }
    Some(match find::<Refused>(error)? {
        Refused::Pi(_) => {
            "nothing of it was taken; on the Pi: check the disk, then offsite-agent run JOB --full; what the agent did not write can be moved away"
        }
        Refused::Cloud(_) => "what this Mac holds is sent again; move that object out of the cloud, then: offsite sync",
    })
}

fn mixed(error: &anyhow::Error) -> Option<&'static str> {
    if find::<NoRoom>(error).is_some() {
        return Some("make room on that disk, or keep less (`keep:`, `plain: none`), then: offsite sync");
    }
    if find::<Flood>(error).is_some() {
        return Some("if you did not lower `keep`, look at what came and at the Pi: offsite archives");
    }
    match find::<ForgetError>(error) {
        Some(ForgetError::Last { .. }) => return Some("nothing good of the job would be left there; if you mean it: --last"),
        Some(ForgetError::NotThere { .. }) => return Some("see which there are: offsite archives, offsite archives --from CLOUD"),
        _ => {}
    }
    if let Some(CopyError::Lies { .. } | CopyError::Foreign { .. }) = find(error) {
        return Some("do not trust that Pi before you looked at it; earlier archives are untouched");
    }
    find::<MixedJobs>(error).map(|_| "rename the job in one Pi's /etc/offsite/agent.yaml; nothing of it was mixed")
}

fn prune(error: &anyhow::Error) -> Option<&'static str> {
    match find::<PruneError>(error)? {
        PruneError::Unreadable { .. } => Some("nothing is lost by waiting; offsite sync replaces a manifest that the Pi still has"),
        PruneError::Unknown { .. } | PruneError::Move { .. } => {
            Some("read everything back, then repair from another place: offsite verify")
        }
        _ => None,
    }
}

fn copy(error: &anyhow::Error) -> Option<&'static str> {
    match find::<CopyError>(error)? {
        CopyError::Fetch { source, .. } if source.is_damage() => Some(
            "what the source holds is damaged; earlier archives are untouched (on the Pi: check the disk, then offsite-agent run JOB --full)",
        ),
        _ => None,
    }
}

fn answered(error: &anyhow::Error) -> Option<&'static str> {
    let says = |text: &str| error.chain().any(|cause| cause.to_string().contains(text));
    if says("NoSuchBucket") {
        Some("make the bucket, or correct its name in the configuration")
    } else if says("503") || says("SlowDown") || says("timed out") || says("error sending request") {
        Some("nothing is lost: the next run goes on where this one stopped")
    } else {
        None
    }
}
