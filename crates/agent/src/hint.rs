//! The next step for those errors that have one.

use std::{error::Error, io::ErrorKind};

use offsite_repository::{RepositoryError, StreamError, is_disk_full};

use crate::{
    CommandError, ConfigError, EngineError, ExportError, LedgerError, LockError, ModesError, QuiesceError, ResumeError, RunError,
    SourceError,
};

/// What to do where repository and configuration are of two layouts.
const LAYOUT: &str = "nothing is converted: say its layout in the configuration, or name another folder as \"repository\" and make that with \
                                 offsite-agent init; the old one stays as it is";

/// What to do where services did not come back.
pub const NOT_BACK: &str =
    "repair what docker compose complains of, then: offsite-agent resume (or, if nobody wants them back: offsite-agent resume --forget)";

/// What to do about `error`, looked for in its whole chain; `None` where its text says all.
pub fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    if is_disk_full(error) {
        return Some("the disk of the repository is full: make room or keep fewer archives".into());
    }
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(hint) = one(error) {
            return Some(hint);
        }
        next = error.source();
    }
    None
}

fn one(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<RunError>() {
        // These carry their cause in their text, and not as a source.
        return match error {
            RunError::NotBack { .. } => Some(NOT_BACK.into()),
            RunError::Quiesce(QuiesceError::Engine(error)) => one(error),
            RunError::Quiesce(QuiesceError::Budget { .. }) => {
                Some("raise \"budget\" of the job, or look at what takes so long to stop: docker compose ps".into())
            }
            RunError::Lock(error) => one(error),
            RunError::Ledger(error) => one(error),
            RunError::Modes(error) => one(error),
            RunError::Source(SourceError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Some("nothing was stopped; mount the disk, or take the source out of the configuration".into())
            }
            RunError::Source(SourceError::Link { .. } | SourceError::Overlap { .. }) => {
                Some("nothing was stopped; correct \"sources\" in the configuration, then: offsite-agent check".into())
            }
            RunError::Source(SourceError::Absent(_)) => Some(
                "nothing was stopped; mount it (mount -a), or, if that is how it shall be: offsite-agent run JOB --accept-empty".into(),
            ),
            RunError::Source(SourceError::Lock(error)) => one(error),
            RunError::Layout { .. } => Some(LAYOUT.into()),
            RunError::InUse { .. } => {
                Some("nothing was stopped; a repository belongs to one configuration: give each its own, or let one have both jobs".into())
            }
            RunError::Room { .. } => Some("nothing was stopped; make room on that disk, or give the repository a larger one".into()),
            RunError::Above { above } => Some(format!("mount it; or, if the repository shall lie there: mkdir -p {}", above.display())),
            RunError::Unmounted { at, .. } => Some(format!("mount {}", at.display())),
            RunError::Vanished { .. } => {
                Some("services are back; find out what removes files there; the next run makes anew what is lacking".into())
            }
            RunError::Local(_) => Some("mount the repository's disk, or make the repository with offsite-agent init".into()),
            _ => None,
        };
    }
    if let Some(ExportError::Open(error)) = error.downcast_ref() {
        return one(error);
    }
    if let Some(ExportError::Stream { archive, source: StreamError::Fetch { .. } | StreamError::Repository { .. } }) = error.downcast_ref()
    {
        let job = &archive.job;
        return Some(format!(
            "offsite-agent run --full {job} makes anew what the files still hold; otherwise: another archive (offsite-agent archives), or the Mac's copy"
        ));
    }
    match error.downcast_ref() {
        Some(ResumeError::NotBack(_)) => return Some(NOT_BACK.into()),
        Some(ResumeError::Lock(error)) => return one(error),
        Some(ResumeError::Ledger(error)) => return one(error),
        _ => {}
    }
    match error.downcast_ref() {
        Some(RepositoryError::NotARepository { .. }) => {
            return Some("mount the repository's disk, or make the repository with offsite-agent init".into());
        }
        Some(RepositoryError::MarkerLost { .. }) => {
            return Some("offsite-agent init writes it anew; nothing else there is touched".into());
        }
        _ => {}
    }
    if let Some(error) = error.downcast_ref() {
        return config(error).map(str::to_owned);
    }
    match error.downcast_ref() {
        Some(LockError::Busy { .. }) => {
            return Some("wait until it ends (--wait), or look with: systemctl list-units 'offsite-agent@*'".into());
        }
        Some(LockError::Lock { .. } | LockError::Folder(_) | LockError::Holders { .. } | LockError::Strike { .. }) => {
            return Some("the agent needs to be root, or another state folder".into());
        }
        // Somebody wanted just that.
        Some(LockError::Stopped { .. }) | None => {}
    }
    if error.is::<ModesError>() {
        return Some("make the group (groupadd --system NAME), or take it out of the configuration".into())
            .filter(|_| matches!(error.downcast_ref(), Some(ModesError::Group(_))));
    }
    if let Some(LedgerError::Parse { .. } | LedgerError::Version { .. }) = error.downcast_ref() {
        return Some("bring the projects that it names back by hand with docker compose up, then: offsite-agent resume --forget (it keeps the file aside)".into());
    }
    match error.downcast_ref::<EngineError>() {
        Some(EngineError::Command { source: CommandError::Start { .. }, .. }) => {
            Some("install docker, or name it in the configuration: docker: /path/to/docker".into())
        }
        Some(EngineError::Command { operation, .. }) if operation == "find docker compose" => {
            Some("install the compose plugin (docker-compose-plugin); docker-compose 1.x will not do".into())
        }
        Some(EngineError::Command { operation, .. }) if operation == "reach the container engine" => {
            Some("start it: systemctl start docker".into())
        }
        _ => None,
    }
}

fn config(error: &ConfigError) -> Option<&'static str> {
    match error {
        ConfigError::Read { source, .. } => match source.kind() {
            ErrorKind::NotFound => Some("offsite-agent init writes an example"),
            ErrorKind::PermissionDenied => Some("the agent needs to be root; or make the file readable for this account"),
            ErrorKind::IsADirectory => Some("name a file: offsite-agent --config FILE"),
            // It is no text.
            ErrorKind::InvalidData => Some("correct the file; nothing was changed"),
            _ => None,
        },
        ConfigError::Invalid { .. } | ConfigError::Several(_) => Some("correct the file, then: offsite-agent check; nothing was changed"),
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::*;
    use crate::Config;

    #[test]
    fn what_is_wrong_with_a_configuration_has_a_next_step() {
        let read = |kind: ErrorKind| hint(&ConfigError::Read { path: "/etc/offsite/agent.yaml".into(), source: io::Error::from(kind) });
        assert_eq!(read(ErrorKind::NotFound).unwrap(), "offsite-agent init writes an example");
        assert!(read(ErrorKind::PermissionDenied).unwrap().contains("readable for this account"));
        assert!(read(ErrorKind::IsADirectory).unwrap().contains("--config FILE"));
        assert!(read(ErrorKind::InvalidData).unwrap().starts_with("correct the file"));
        // A disk that does not answer is not the file's fault.
        assert_eq!(read(ErrorKind::TimedOut), None);
        let path = Path::new("/etc/offsite/agent.yaml");
        for text in ["", "jobs: 7", "repository: /r\njobs: {}\n", "repository: /r\njobs: {s: {sources: [/r/x]}}\n"] {
            let error = Config::parse(path, text).unwrap_err();
            assert_eq!(hint(&error).unwrap(), "correct the file, then: offsite-agent check; nothing was changed", "{text:?}: {error}");
        }
    }

    #[test]
    fn an_export_says_the_same_of_the_repository_as_a_run() {
        let dir = tempfile::tempdir().unwrap();
        for root in [dir.path(), &dir.path().join("missing")] {
            let opened = || crate::place::opened(root).map(drop).unwrap_err();
            let (run, export) = (hint(&opened()).unwrap(), hint(&ExportError::Open(opened())));
            assert!(run.starts_with("mount the repository's disk"), "{run}");
            assert_eq!(export, Some(run));
        }
    }
}
