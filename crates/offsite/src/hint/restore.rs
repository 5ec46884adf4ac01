//! Next steps for getting data back.

use std::io::ErrorKind;

use offsite_archive::ExtractError;
use offsite_repository::{FetchError, StreamError};

use super::find;
use crate::{
    browse::{BrowseError, member::MemberError},
    cat::CatError,
    diff::DiffError,
    export::ExportError,
    find::NothingFound,
    restore::{BridgeError, RestoreError, from::FromError, select::SelectError, target::TargetError},
};

/// A list says something else than the data.
const DISTRUST: &str = "do not trust this archive: take an earlier one (offsite archives), or another place: --from CLOUD";

pub(super) fn hint(error: &anyhow::Error) -> Option<&'static str> {
    cold(error).or_else(|| asked(error)).or_else(|| written(error)).or_else(|| read(error))
}

/// S3's word for an object in a cold class, wherever in the chain it stands.
fn cold(error: &anyhow::Error) -> Option<&'static str> {
    let is_cold = error.chain().any(|cause| cause.to_string().contains("InvalidObjectState"));
    is_cold.then_some(
        "the packs lie in a cold class: thaw those that offsite restore … --dry-run lists in the provider's console, wait, then try again",
    )
}

fn asked(error: &anyhow::Error) -> Option<&'static str> {
    match find::<SelectError>(error) {
        Some(SelectError::Unreadable { .. }) => {
            return Some("repair it: offsite verify --heal-from CLOUD; or restore from there: --from CLOUD");
        }
        Some(_) => return Some("see which there are: offsite archives, offsite archives --from CLOUD"),
        None => {}
    }
    match find::<RestoreError>(error) {
        Some(RestoreError::NotRoot) => {
            return Some("run it with sudo, or carry the archive to the Pi, where root's tar sets owners: offsite export");
        }
        Some(RestoreError::Missing { .. }) => {
            return Some("paths are as on the Pi; look for it: offsite find NAME, or see what there is: offsite ls ARCHIVE");
        }
        _ => {}
    }
    if let Some(step) = looked(error) {
        return Some(step);
    }
    match find::<FromError>(error)? {
        FromError::Locked { .. } => Some("open it with the paper: --recovery-key -; or with --passphrase"),
        FromError::RecoveryFile { .. } => Some("let it be asked for instead: --recovery-key -"),
        _ => None,
    }
}

fn looked(error: &anyhow::Error) -> Option<&'static str> {
    if find::<NothingFound>(error).is_some() {
        return Some("try a part of its name, in every archive: offsite find --all -i '*PART*'");
    }
    if let Some(BrowseError::Missing { .. }) = find(error) {
        return Some("paths are as on the Pi; look for it: offsite find NAME, or see what there is: offsite ls ARCHIVE");
    }
    match find::<CatError>(error) {
        Some(CatError::Terminal { .. }) => return Some("send it to a file or a program, or show it all the same: --force"),
        Some(CatError::NoFile { .. }) => {
            return Some("to see it: offsite ls ARCHIVE PATH; to have it: offsite restore ARCHIVE --into FOLDER PATH");
        }
        Some(CatError::Member(_)) => return Some(DISTRUST),
        _ => {}
    }
    if find::<MemberError>(error).is_some() {
        return Some(DISTRUST);
    }
    find::<DiffError>(error).map(|_| "see which archives there are: offsite archives")
}

fn written(error: &anyhow::Error) -> Option<&'static str> {
    match find::<TargetError>(error) {
        Some(TargetError::NotEmpty { .. }) => return Some("name a new folder, or let what is there be replaced: --overwrite"),
        Some(TargetError::Inside { .. } | TargetError::NotAFolder { .. }) => return Some("name another folder"),
        _ => {}
    }
    match find::<ExportError>(error) {
        Some(ExportError::Exists { .. }) => return Some("name another file"),
        Some(ExportError::Terminal) => return Some("name a file, or pipe it into a program"),
        _ => {}
    }
    let Some(BridgeError::Extract(extract)) = find(error) else { return None };
    match extract {
        ExtractError::Exists { .. } => Some("name a new folder, or let what is there be replaced: --overwrite"),
        ExtractError::System { cause, .. } | ExtractError::Into { cause, .. } => match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("make room on that disk, or restore a part: offsite restore … PATH"),
            ErrorKind::PermissionDenied => Some("restore into a folder of your own, or as root"),
            _ => None,
        },
        ExtractError::Unsafe { .. } | ExtractError::NoFolder { .. } => {
            Some("the archive, or something in the folder, leads outside it: restore into a new folder and look")
        }
        _ => None,
    }
}

fn read(error: &anyhow::Error) -> Option<&'static str> {
    let stream = match find::<BridgeError>(error) {
        Some(BridgeError::Read(stream)) => stream,
        Some(_) => return None,
        None => find::<StreamError>(error)?,
    };
    match stream {
        StreamError::Fetch { source, .. } if source.is_damage() => Some(
            "another place may hold it whole: --from CLOUD; to repair this Mac: offsite verify --heal-from CLOUD; to have all that is whole: offsite restore",
        ),
        StreamError::Fetch { source: FetchError::Gone { .. }, .. } => {
            Some("it went while it was read, as by a night that forgot its archive; see what is left (offsite archives), and try again")
        }
        StreamError::Length { .. } | StreamError::Digest { .. } => Some(DISTRUST),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_frame_leads_to_another_place_by_either_way() {
        let stream = || StreamError::Fetch {
            archive: "services/2026-11-22T040000Z".parse().unwrap(),
            source: FetchError::Lacking { frame: offsite_archive::FrameId::of(b"") },
        };
        for error in [anyhow::Error::new(stream()), anyhow::Error::new(BridgeError::Read(stream()))] {
            assert!(super::super::hint(&error).unwrap().contains("--from CLOUD"), "{error}");
        }
    }

    #[test]
    fn a_full_disk_under_a_restore_is_told() {
        let cause = std::io::Error::from(ErrorKind::StorageFull);
        let error = BridgeError::Extract(ExtractError::System { member: b"a".to_vec(), operation: "write", cause });
        assert!(super::super::hint(&error.into()).unwrap().contains("make room"));
    }
}
