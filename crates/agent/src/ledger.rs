//! The ledger: what must be running again, written before anything is stopped.
//!
//! Invariant: from before the first `down` until after everything was seen running, the file is on the disk and names exactly what ran.
//! So whoever comes after a kill or a power cut needs nothing else, not even the configuration. The stage tells people and tests how
//! far the run was; bringing back is the same from each, because `up` leaves alone what is up.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use offsite_archive::JobName;
use serde::{Deserialize, Serialize};

use crate::{
    config,
    durable::{self, DurableError},
};

/// What was running when a run began to stop it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Version of this file: 1.
    pub version: u32,
    /// The job whose run it was.
    pub job: JobName,
    /// When that run began.
    pub started: Timestamp,
    /// When the services must be up again at the latest. After this, whoever finds the ledger may take the run for hung. `None` in
    /// ledgers of older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_by: Option<Timestamp>,
    /// How far it has come.
    pub stage: Stage,
    /// A stop was cut short, and may go on in the engine and end what was started since. Bringing back then looks again and again until
    /// that is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// The docker command that stopped them.
    pub docker: PathBuf,
    /// What has to be well once they run.
    #[serde(default)]
    pub checks: Checks,
    /// The projects that were running, in the order in which they are stopped.
    pub projects: Vec<Project>,
}

/// What has to be well besides the health checks of compose files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checks {
    /// Addresses that have to answer with success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<config::Url>,
    /// The certificate of an authority of the owner's, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// How long to wait, in seconds.
    #[serde(default)]
    pub wait: u64,
}

impl From<&config::Health> for Checks {
    fn from(health: &config::Health) -> Self {
        Self { urls: health.urls.clone(), ca: health.ca.clone(), wait: health.wait.as_secs() }
    }
}

/// How far a run has come between the first stop and the last service back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Projects are being stopped; some may still run.
    Stopping,
    /// All are down, the sources are being read.
    Reading,
    /// Projects are being brought back; some may run already.
    Starting,
    /// All were seen running, none is owed; only that they are healthy is still awaited.
    Checking,
}

/// One compose project as it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The folder that relative paths in its files start from.
    pub folder: PathBuf,
    /// Its compose files, in order.
    pub files: Vec<PathBuf>,
    /// Its environment files, in order.
    pub environment: Vec<PathBuf>,
    /// What of it was running, by service name. What was stopped is not here and stays stopped.
    pub services: Vec<Service>,
}

/// One running service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name in the compose files.
    pub name: String,
    /// How many containers of it were running, 1 or more.
    pub scale: u32,
    /// Whether one of them was in a restart loop: it is started again, but not waited for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restarting: bool,
}

/// Why the ledger is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Its file cannot be read, written or removed.
    #[error(transparent)]
    File(#[from] DurableError),
    /// Its file is not a ledger of this version.
    #[error("{} names services that are to be brought back, but cannot be understood: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A newer agent wrote it.
    #[error("{} is of version {version}, and this agent knows version 1", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        version: u32,
    },
}

/// Where the ledger lies in the state folder `state`.
pub(crate) fn path(state: &Path) -> PathBuf {
    state.join("ledger.json")
}

impl Ledger {
    /// Reads the ledger in `state`; `None` where nothing is owed.
    ///
    /// Errors: a file that cannot be read or understood; it stays where it is.
    pub fn read(state: &Path) -> Result<Option<Self>, LedgerError> {
        let path = path(state);
        let Some(bytes) = durable::read(&path)? else { return Ok(None) };
        let ledger: Self = serde_json::from_slice(&bytes).map_err(|source| LedgerError::Parse { path: path.clone(), source })?;
        if ledger.version == 1 { Ok(Some(ledger)) } else { Err(LedgerError::Version { path, version: ledger.version }) }
    }

    /// Puts this ledger on the disk of `state`; on return it survives a power cut.
    ///
    /// Errors: the file cannot be written; then nothing may be stopped.
    pub fn write(&self, state: &Path) -> Result<(), LedgerError> {
        let path = path(state);
        let bytes = serde_json::to_vec_pretty(self).map_err(|source| LedgerError::Parse { path: path.clone(), source })?;
        Ok(durable::replace(&path, &bytes)?)
    }

    /// Writes the next stage.
    ///
    /// Errors: as [`Ledger::write`].
    pub fn advance(&mut self, state: &Path, stage: Stage) -> Result<(), LedgerError> {
        self.stage = stage;
        self.write(state)
    }

    /// Nothing is owed any more, whether or not what the file says can be understood: it becomes `ledger.json.bad`. Returns its text.
    ///
    /// Errors: the file cannot be read or renamed.
    pub fn forget(state: &Path) -> Result<Option<String>, LedgerError> {
        let path = path(state);
        let Some(bytes) = durable::read(&path)? else { return Ok(None) };
        durable::rename(&path, &path.with_extension("json.bad"))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Nothing is owed any more.
    ///
    /// Errors: the file cannot be removed.
    pub fn clear(state: &Path) -> Result<(), LedgerError> {
        Ok(durable::remove(&path(state))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let service = Service { name: "web".into(), scale: 2, restarting: false };
        let project = Project {
            name: "p".into(),
            folder: "/srv/p".into(),
            files: vec!["/srv/p/compose.yaml".into()],
            environment: vec!["/srv/p/home.env".into()],
            services: vec![service],
        };
        Ledger {
            version: 1,
            job: "services".parse().unwrap(),
            started: Timestamp::UNIX_EPOCH,
            latest_by: Some(Timestamp::UNIX_EPOCH),
            stage: Stage::Stopping,
            cut: false,
            docker: "docker".into(),
            checks: Checks { urls: vec!["https://p.home".parse().unwrap()], ca: Some("/ca.pem".into()), wait: 60 },
            projects: vec![project],
        }
    }

    #[test]
    fn is_there_until_cleared() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Ledger::read(dir.path()).unwrap(), None);
        let mut ledger = ledger();
        ledger.write(dir.path()).unwrap();
        ledger.advance(dir.path(), Stage::Starting).unwrap();
        assert_eq!(Ledger::read(dir.path()).unwrap(), Some(ledger));
        Ledger::clear(dir.path()).unwrap();
        assert_eq!(Ledger::read(dir.path()).unwrap(), None);
    }

    #[test]
    fn a_ledger_of_an_older_agent_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let old = r#"{"version":1,"job":"services","started":"1970-01-01T00:00:00Z","stage":"reading","docker":"docker","projects":[]}"#;
        std::fs::write(path(dir.path()), old).unwrap();
        let read = Ledger::read(dir.path()).unwrap().unwrap();
        assert_eq!((read.latest_by, read.stage, read.checks), (None, Stage::Reading, Checks::default()));
    }

    #[test]
    fn what_is_no_ledger_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(path(dir.path()), "{").unwrap();
        assert!(matches!(Ledger::read(dir.path()), Err(LedgerError::Parse { .. })));
        let newer = serde_json::to_string(&Ledger { version: 2, ..ledger() }).unwrap();
        std::fs::write(path(dir.path()), newer).unwrap();
        assert!(matches!(Ledger::read(dir.path()), Err(LedgerError::Version { version: 2, .. })));
        assert!(path(dir.path()).exists());
        // Nobody is held up by it for ever.
        assert!(Ledger::forget(dir.path()).unwrap().unwrap().starts_with("{\"version\":2"));
        assert_eq!((Ledger::read(dir.path()).unwrap(), Ledger::forget(dir.path()).unwrap()), (None, None));
        assert!(dir.path().join("ledger.json.bad").exists());
    }
}
