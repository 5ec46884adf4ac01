//! The launchd jobs as property lists.
//!
//! Built with the launchd crate, then put right: version 0.3 writes `StartCalendarIntervals`, a key launchd ignores, so the job would
//! never fire at its hour. The golden files in `launchd/` hold the exact keys, since launchd tells nobody about a wrong one. Why each key is
//! there, and why others are not, is in `launchd/README.md`.

use std::path::{Path, PathBuf};

use launchd::{CalendarInterval, Launchd, LoadSessionType, ProcessType};
use plist::{Dictionary, Value};

use super::{InstallError, Label};
use crate::config::TimeOfDay;

/// Seconds between tries; a start with nothing owed costs a few milliseconds. A try that falls into sleep is lost, so a Mac that is opened for
/// a quarter of an hour needs one within that.
pub(super) const RETRY: u32 = 600;

/// Seconds that launchd waits between "terminate" and "kill". The daemon needs 5 at most.
pub(super) const GRACE: u32 = 20;

/// How far a night steps back for who works on the machine. The usual value: nothing that is idle is slower for it.
pub(super) const NICE: i32 = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub program: PathBuf,
    /// The configuration. Always named: where its default is depends on variables of the shell that installs.
    pub config: PathBuf,
    /// When the run is due.
    pub at: TimeOfDay,
    pub home: PathBuf,
    /// XDG variables that lead to the owner's folders. For systemd; a Mac's folders do not follow them.
    pub xdg: Vec<(&'static str, PathBuf)>,
    pub logs: PathBuf,
    /// Folder of notices that nobody has been shown yet.
    pub notices: PathBuf,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The owner's login at the screen.
    Agent,
    /// The Mac, as this account.
    System { user: String },
}

impl Kind {
    /// When `RunAtLoad` fires.
    pub(crate) fn start(&self) -> &'static str {
        match self {
            Self::Agent => "login",
            Self::System { .. } => "boot",
        }
    }
}

impl Job {
    pub(crate) fn label(&self) -> Label {
        match self.kind {
            Kind::Agent => Label::Login,
            Kind::System { .. } => Label::System,
        }
    }

    /// The lists to install, with their labels: the daemon's, and beside one of the system the one that shows notices.
    pub(crate) fn lists(&self) -> Result<Vec<(Label, String)>, InstallError> {
        let mut lists = vec![(self.label(), self.xml(self.daemon()?)?)];
        if let Kind::System { .. } = self.kind {
            lists.push((Label::Notices, self.xml(self.shows_notices()?)?));
        }
        Ok(lists)
    }

    /// The command line of `verb`: the program by its absolute path, since launchd has no `PATH` of ours.
    pub(super) fn arguments(&self, verb: &str) -> Result<Vec<String>, InstallError> {
        Ok(vec![text(&self.program)?, "--config".to_owned(), text(&self.config)?, verb.to_owned()])
    }

    fn xml(&self, mut keys: Dictionary) -> Result<String, InstallError> {
        keys.sort_keys();
        let mut xml = Vec::new();
        Value::Dictionary(keys).to_writer_xml(&mut xml).map_err(InstallError::Xml)?;
        xml.push(b'\n');
        String::from_utf8(xml).map_err(|_| InstallError::NotText { path: self.program.clone() })
    }

    fn base(&self, label: Label, verb: &str) -> Result<Launchd, InstallError> {
        let log = self.logs.join("launchd.log");
        for path in [&log, &self.program] {
            text(path)?;
        }
        Launchd::new(label.as_str(), &self.program)
            .map_err(InstallError::Describe)?
            .with_program_arguments(self.arguments(verb)?)
            .with_run_at_load(true)
            // Decimal in the list: 0o077, because logs name files and hosts.
            .with_umask(0o077)
            .with_standard_out_path(&log)
            .and_then(|job| job.with_standard_error_path(&log))
            .map_err(InstallError::Describe)
    }

    fn daemon(&self) -> Result<Dictionary, InstallError> {
        let at = CalendarInterval::default()
            .with_hour(self.at.hour())
            .and_then(|at| at.with_minute(self.at.minute()))
            .map_err(InstallError::Describe)?;
        let mut job = self
            .base(self.label(), "daemon")?
            .with_start_calendar_intervals(vec![at])
            .with_start_interval(RETRY)
            // The disk with the repository may be one that comes and goes.
            .with_start_on_mount(true)
            // "Background" would throttle disk and cores: hours instead of minutes, in the night when nobody minds the load. Who works at that
            // hour goes first all the same.
            .with_process_type(ProcessType::Standard)
            .with_nice(NICE)
            .with_exit_timeout(GRACE);
        if let Kind::System { user } = &self.kind {
            job = job.with_user_name(user);
        }
        let mut keys = dictionary(&job)?;
        if let Some(Value::Array(mut slots)) = keys.remove("StartCalendarIntervals") {
            keys.insert("StartCalendarInterval".to_owned(), slots.pop().unwrap_or_else(|| Value::Dictionary(Dictionary::new())));
        }
        if let Kind::System { .. } = self.kind {
            // launchd promises none for a system job, and `~` in the configuration needs it.
            let home = Value::String(text(&self.home)?);
            keys.insert("EnvironmentVariables".to_owned(), Value::Dictionary([("HOME".to_owned(), home)].into_iter().collect()));
        }
        Ok(keys)
    }

    fn shows_notices(&self) -> Result<Dictionary, InstallError> {
        let job = self
            .base(Label::Notices, "notices")?
            .with_watch_paths(vec![text(&self.notices)?])
            .with_limit_load_to_session_type(LoadSessionType::BareString("Aqua".to_owned()));
        dictionary(&job)
    }
}

fn dictionary(job: &Launchd) -> Result<Dictionary, InstallError> {
    Ok(plist::to_value(job).map_err(InstallError::Xml)?.into_dictionary().unwrap_or_default())
}

pub(super) fn text(path: &Path) -> Result<String, InstallError> {
    path.to_str().map(str::to_owned).ok_or_else(|| InstallError::NotText { path: path.to_owned() })
}

#[cfg(test)]
mod tests;
