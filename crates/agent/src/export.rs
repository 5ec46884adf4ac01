//! An archive as the plain `.tar.zst` that `tar` opens, on the Pi itself and whatever the layout.
//!
//! Every frame is decoded and hashed on the way. No lock is taken: a run beside it may forget the archive, and then this fails and says so.

use std::{collections::BTreeSet, io::Write};

use offsite_archive::ArchiveName;
use offsite_repository::{ArchiveInfo, Archives, Exported, RepositoryError, StreamError, export as write};

use crate::{config::Config, error::RunError, place};

/// Why an archive was not exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The repository cannot be opened.
    #[error(transparent)]
    Open(RunError),
    /// Its archives cannot be listed.
    #[error("cannot list the archives")]
    List(#[source] RepositoryError),
    /// No archive is meant by that.
    #[error("there is no archive \"{wanted}\"; there is: {}", if known.is_empty() { "none" } else { known })]
    None {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// Several archives or jobs could be meant.
    #[error("\"{wanted}\" could be: {known}")]
    Several {
        /// What was asked for.
        wanted: String,
        /// What it could be.
        known: String,
    },
    /// It cannot be read or written.
    #[error("cannot export {archive}")]
    Stream {
        /// The archive.
        archive: ArchiveName,
        /// Why not.
        #[source]
        source: StreamError,
    },
}

/// What `wanted` means among `archives`: an archive by its name or the beginning of it (`services/2026-11-22`), a job for its newest that is
/// complete, `latest` where there is one job only.
///
/// Errors: [`ExportError::None`] and [`ExportError::Several`], with what there is.
fn choose<'a>(wanted: &str, archives: &'a Archives) -> Result<&'a ArchiveInfo, ExportError> {
    let names = |infos: &[&ArchiveInfo]| infos.iter().map(|info| info.name.to_string()).collect::<Vec<_>>().join(", ");
    let jobs: BTreeSet<&str> = archives.good.iter().map(|info| info.name.job.as_str()).collect();
    let listed = || jobs.iter().copied().collect::<Vec<_>>().join(", ");
    let job = match (wanted, jobs.len()) {
        (job, _) if jobs.contains(job) => Some(job),
        ("latest", 1) => jobs.first().copied(),
        ("latest", 2..) => return Err(ExportError::Several { wanted: wanted.into(), known: listed() }),
        _ => None,
    };
    if let Some(job) = job {
        let newest =
            archives.good.iter().filter(|info| info.name.job.as_str() == job).max_by_key(|info| (info.end.complete, info.sequence));
        return newest.ok_or_else(|| ExportError::None { wanted: wanted.into(), known: listed() });
    }
    // Not the beginning of a job's name: that would be any archive of it.
    let begins = |info: &&ArchiveInfo| wanted.contains('/') && info.name.to_string().starts_with(wanted);
    let found: Vec<&ArchiveInfo> = archives.good.iter().filter(begins).collect();
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(ExportError::None { wanted: wanted.into(), known: names(&archives.good.iter().collect::<Vec<_>>()) }),
        several => Err(ExportError::Several { wanted: wanted.into(), known: names(several) }),
    }
}

/// Writes the archive that `wanted` means to `out`, which is not flushed. Tells which it is before anything is written.
///
/// Errors: [`ExportError`]; what was written by then is to be thrown away.
pub fn export(
    config: &Config,
    wanted: &str,
    out: &mut (impl Write + Send),
    tell: impl FnOnce(&ArchiveInfo),
) -> Result<(ArchiveInfo, Exported), ExportError> {
    let (runtime, repository) = place::opened(&config.repository).map_err(ExportError::Open)?;
    let archives = runtime.block_on(repository.archives()).map_err(ExportError::List)?;
    let info = choose(wanted, &archives)?.clone();
    tell(&info);
    let written = runtime.block_on(write(&repository, &info.name, out, &|_| ()));
    let exported = written.map_err(|source| ExportError::Stream { archive: info.name.clone(), source })?;
    Ok((info, exported))
}

#[cfg(test)]
mod tests {
    use offsite_archive::{Chunker, End, FrameId, Head};

    use super::*;

    fn info(name: &str, sequence: u64, complete: bool) -> ArchiveInfo {
        let name: ArchiveName = name.parse().unwrap();
        let (version, sources, chunker) = (offsite_archive::MANIFEST_VERSION, Vec::new(), Chunker::files_1());
        let head = Head { version, archive: name.clone(), sequence, host: String::new(), agent: String::new(), sources, chunker };
        let (digest, finished) = (FrameId::of(b""), name.time());
        let (quiesced, warnings) = (Vec::new(), Vec::new());
        let end = End { entries: 0, frames: 0, raw: 0, bytes: 0, digest, finished, quiesced, warnings, complete };
        ArchiveInfo { name, sequence, head, end, manifest_bytes: 0 }
    }

    #[test]
    fn an_archive_is_meant_by_its_name_its_beginning_or_its_job() {
        let two = Archives {
            good: vec![
                info("a/2026-11-20T040000Z", 1, true),
                info("a/2026-11-21T040000Z", 3, true),
                info("a/2026-11-22T040000Z", 5, false),
                info("ab/2026-11-22T040000Z", 4, true),
            ],
            unreadable: Vec::new(),
        };
        let chosen = |wanted: &str| choose(wanted, &two).map(|info| info.name.to_string()).map_err(|error| error.to_string());
        assert_eq!(chosen("a").unwrap(), "a/2026-11-21T040000Z", "the incomplete one only where there is no other");
        assert_eq!(chosen("a/2026-11-22T040000Z").unwrap(), "a/2026-11-22T040000Z");
        assert_eq!(chosen("a/2026-11-20").unwrap(), "a/2026-11-20T040000Z");
        assert_eq!(
            chosen("a/2026-11-2").unwrap_err(),
            "\"a/2026-11-2\" could be: a/2026-11-20T040000Z, a/2026-11-21T040000Z, a/2026-11-22T040000Z"
        );
        assert_eq!(chosen("latest").unwrap_err(), "\"latest\" could be: a, ab");
        assert!(chosen("").is_err() && chosen("b").unwrap_err().starts_with("there is no archive \"b\"; there is: a/2026-11-20"));
        let one = Archives { good: vec![info("a/2026-11-20T040000Z", 1, false)], unreadable: Vec::new() };
        assert_eq!(choose("latest", &one).unwrap().name.to_string(), "a/2026-11-20T040000Z");
        assert_eq!(choose("latest", &Archives::default()).unwrap_err().to_string(), "there is no archive \"latest\"; there is: none");
    }
}
