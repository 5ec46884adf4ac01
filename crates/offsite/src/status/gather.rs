//! What the status is made from: configuration, journal, the Mac's repository, the clock.

use std::{path::Path, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use offsite_archive::ArchiveName;
use offsite_repository::{LocalStore, Repository};

use crate::{
    config::Config,
    hint,
    journal::{Read, Standing},
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
    /// Manifests that cannot be read: object and error.
    pub unreadable: Vec<(String, String)>,
    /// Why nothing can be said of it, if so, and what to do.
    pub problem: Option<(String, Option<String>)>,
    /// Bytes that are free on its disk, where the system tells.
    pub free: Option<u64>,
    /// Damaged packs that were set aside and that nobody has removed since.
    pub set_aside: usize,
}

/// An archive on the Mac.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub name: ArchiveName,
    /// Whether everything that should be in it is.
    pub complete: bool,
}

/// Reads everything. Only a journal that exists and cannot be read is an error; a repository in trouble is something to show.
pub async fn gather(config: &Config) -> anyhow::Result<Facts> {
    let Read { receipts, damaged, .. } = State::at(&config.state).journal().read()?;
    Ok(Facts {
        config: config.clone(),
        standing: Standing::of(&receipts),
        damaged_lines: damaged.iter().map(|damaged| damaged.line).collect(),
        local: local(&config.repository).await,
        now: Timestamp::now(),
        zone: TimeZone::system(),
    })
}

async fn local(root: &Path) -> Local {
    match read(root).await {
        Ok(local) => local,
        Err(error) => Local { problem: Some((hint::message(&error), hint::hint(&error))), ..Local::default() },
    }
}

async fn read(root: &Path) -> anyhow::Result<Local> {
    let store = LocalStore::open(root)?;
    let archives = Repository::open(Arc::new(store)).await?.archives().await?;
    let held = |info: offsite_repository::ArchiveInfo| Held { name: info.name, complete: info.end.complete };
    let error = |bad: offsite_repository::Unreadable| (bad.object.to_string(), hint::message(&anyhow::Error::new(bad.error)));
    Ok(Local {
        archives: archives.good.into_iter().map(held).collect(),
        unreadable: archives.unreadable.into_iter().map(error).collect(),
        problem: None,
        free: platform::free(root).ok(),
        // A folder that cannot be read is as one that is not there: what is in it is of no use but for this line.
        set_aside: std::fs::read_dir(root.join("damaged"))
            .map_or(0, |entries| entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count()),
    })
}
