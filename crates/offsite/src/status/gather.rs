//! What the status is made from: configuration, journal, a listing of the Mac's repository, the clock.
//!
//! No manifest is read, since one has megabytes and the answer must come at once: what was in an archive is told by the receipt of its pull,
//! and that a manifest can still be read is seen by each night, whose receipts are here.

use std::{path::Path, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use offsite_archive::ArchiveName;
use offsite_repository::{Listed, LocalStore, Repository, RepositoryError, Unreadable, manifest_path};

use crate::{
    config::Config,
    daemon, drill, hint,
    home::Home,
    install,
    journal::{Known, Standing},
    live::{self, Now},
    platform,
    state::State,
};

/// All that the report depends on; a value, so that the report is a pure function of it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What the owner decided.
    pub config: Config,
    /// What the journal adds up to.
    pub standing: Standing,
    /// Journal lines that no offsite wrote whole.
    pub damaged_lines: Vec<usize>,
    /// What the Mac holds.
    pub local: Local,
    /// What an offsite does right now.
    pub running: Option<Now>,
    /// Now.
    pub now: Timestamp,
    /// The Mac's time zone.
    pub zone: TimeZone,
}

/// What the Mac's repository holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Local {
    /// Its archives, sorted by name.
    pub archives: Vec<Held>,
    /// Files among the manifests that are none: object and error.
    pub unreadable: Vec<(String, String)>,
    /// Why nothing can be said of it, if so, and what to do.
    pub problem: Option<(String, Option<String>)>,
    /// Whether that is because its disk is not mounted: a state of this Mac, as long as that does not last.
    pub unplugged: bool,
    /// Why no receipt can be written, if that is known, and what to do.
    pub state: Option<(String, String)>,
    /// Bytes that are free on its disk, where the system tells.
    pub free: Option<u64>,
    /// Damaged packs that were set aside and that nobody has removed since.
    pub set_aside: usize,
    /// Whether nothing is installed here that would start the daemon.
    pub unstarted: bool,
    /// What drills left that were killed: what is wrong, and what to do.
    pub drills: Vec<(String, String)>,
}

/// An archive on the Mac.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub name: ArchiveName,
    /// Whether everything that should be in it is.
    pub complete: bool,
}

/// Reads everything that is known here. Only a journal that exists and cannot be read is an error; a repository in trouble is something to
/// show.
pub async fn gather(config: &Config) -> anyhow::Result<Facts> {
    gather_at(config, Timestamp::now(), TimeZone::system()).await
}

/// The same as it looks at `now` in `zone`.
///
/// # Errors
/// As [`gather`].
pub async fn gather_at(config: &Config, now: Timestamp, zone: TimeZone) -> anyhow::Result<Facts> {
    let state = State::at(&config.state);
    let Known { standing, damaged } = state.journal().standing()?;
    let running = live::read(&state);
    // While somebody is at work it may be a drill, and its folder is none that was left.
    let drills = if running.is_some() { Vec::new() } else { drill::left(&state) };
    // Who has no home folder is started by something else than a person.
    let unstarted = Home::of_process().is_ok_and(|home| !install::has_file(&home));
    Ok(Facts {
        config: config.clone(),
        local: Local { drills, state: state.trouble(), unstarted, ..local(&config.repository, &standing).await },
        standing,
        damaged_lines: damaged,
        running,
        now,
        zone,
    })
}

async fn local(root: &Path, standing: &Standing) -> Local {
    match read(root, standing).await {
        Ok(local) => local,
        Err(error) => {
            Local { problem: Some((hint::message(&error), hint::hint(&error))), unplugged: daemon::is_unplugged(root), ..Local::default() }
        }
    }
}

async fn read(root: &Path, standing: &Standing) -> anyhow::Result<Local> {
    let store = LocalStore::open(root)?;
    let repository = Repository::open(Arc::new(store)).await?;
    let Listed { names, mut unreadable } = repository.listed().await?;
    let mut archives: Vec<Held> =
        names.into_iter().map(|name| Held { complete: standing.complete.get(&name).copied().unwrap_or(true), name }).collect();
    for at in untold(&archives, standing) {
        match repository.manifest(&archives[at].name).await {
            Ok(object) => archives[at].complete = object.manifest.end.complete,
            // It went away in between.
            Err(RepositoryError::NoSuchArchive { .. }) => {}
            Err(error) => unreadable.push(Unreadable { object: manifest_path(&archives[at].name).to_string(), error }),
        }
    }
    let error = |bad: Unreadable| (bad.object.to_string(), hint::message(&anyhow::Error::new(bad.error)));
    Ok(Local {
        archives,
        unreadable: unreadable.into_iter().map(error).collect(),
        free: platform::free(root).ok(),
        // A folder that cannot be read is as one that is not there: what is in it is of no use but for this line.
        set_aside: std::fs::read_dir(root.join("damaged"))
            .map_or(0, |entries| entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count()),
        ..Local::default()
    })
}

/// The newest archive of each job, by place in `archives`, where no receipt tells whether it is complete: it came with an older offsite, or
/// with a night that was killed, and only its manifest knows. The next night ends that.
fn untold(archives: &[Held], standing: &Standing) -> Vec<usize> {
    let newest = |at: &usize| archives.get(at + 1).is_none_or(|next| next.name.job != archives[*at].name.job);
    (0..archives.len()).filter(newest).filter(|at| !standing.complete.contains_key(&archives[*at].name)).collect()
}
