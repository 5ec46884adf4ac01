//! The launchd job as a property list.
//!
//! Built with the launchd crate, then put right: version 0.3 writes `StartCalendarIntervals`, a key launchd ignores, so the job would
//! never fire at its hour. The golden files in `launchd/` hold the exact keys, since launchd tells nobody about a wrong one.

use std::path::PathBuf;

use launchd::{CalendarInterval, Launchd};
use plist::{Dictionary, Value};

use crate::config::TimeOfDay;

/// Between hourly tries; each costs nothing when nothing is owed. Seconds.
const RETRY: u32 = 3600;

/// Seconds that launchd waits between "terminate" and "kill": enough to close a pack.
const GRACE: u32 = 20;

/// A job to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The offsite program.
    pub program: PathBuf,
    /// The configuration, where it is not the default one.
    pub config: Option<PathBuf>,
    /// When the run is due.
    pub at: TimeOfDay,
    /// The owner's home folder.
    pub home: PathBuf,
    /// Folder of log files.
    pub logs: PathBuf,
    /// Where the job lives.
    pub domain: Domain,
}

/// Where a job lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// With the owner's graphical login.
    Login,
    /// With the Mac, as one account.
    System {
        /// The account.
        user: String,
    },
}

impl Domain {
    /// When `RunAtLoad` fires here.
    pub fn start(&self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::System { .. } => "boot",
        }
    }
}

/// A job that cannot be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// A system job needs an account other than root.
    #[error("cannot tell which account the daemon should run as; it must not be root")]
    NoAccount,
    /// The launchd crate refuses a value.
    #[error("cannot describe the job to launchd")]
    Describe(#[source] launchd::Error),
    /// The property list cannot be written as XML.
    #[error("cannot write the property list as XML")]
    Xml(#[source] plist::Error),
    /// A path that is not UTF-8 cannot stand in a property list.
    #[error("{} is not UTF-8, and a property list holds nothing else", path.display())]
    NotText {
        /// The path.
        path: PathBuf,
    },
}

impl Job {
    /// The job's label. A login job and a system job must not share one.
    pub fn label(&self) -> &'static str {
        match self.domain {
            Domain::Login => "offsite.login",
            Domain::System { .. } => "offsite.system",
        }
    }

    /// Where launchd looks for it.
    pub fn path(&self) -> PathBuf {
        let file = format!("{}.plist", self.label());
        match self.domain {
            Domain::Login => self.home.join("Library/LaunchAgents").join(file),
            Domain::System { .. } => PathBuf::from("/Library/LaunchDaemons").join(file),
        }
    }

    /// The property list as XML.
    pub fn plist(&self) -> Result<String, InstallError> {
        let mut keys = self.keys()?;
        keys.sort_keys();
        let mut xml = Vec::new();
        Value::Dictionary(keys).to_writer_xml(&mut xml).map_err(InstallError::Xml)?;
        xml.push(b'\n');
        String::from_utf8(xml).map_err(|_| InstallError::NotText { path: self.program.clone() })
    }

    /// What launchd is to run: the program by its absolute path, since launchd has no `PATH` of ours.
    pub fn arguments(&self) -> Result<Vec<String>, InstallError> {
        let text = |path: &PathBuf| path.to_str().map(str::to_owned).ok_or_else(|| InstallError::NotText { path: path.clone() });
        let mut arguments = vec![text(&self.program)?];
        if let Some(config) = &self.config {
            arguments.extend(["--config".to_owned(), text(config)?]);
        }
        arguments.push("daemon".to_owned());
        Ok(arguments)
    }

    fn keys(&self) -> Result<Dictionary, InstallError> {
        let describe = InstallError::Describe;
        for path in [&self.program, &self.logs, &self.home] {
            path.to_str().ok_or_else(|| InstallError::NotText { path: path.clone() })?;
        }
        let at = CalendarInterval::default().with_hour(self.at.hour()).and_then(|at| at.with_minute(self.at.minute())).map_err(describe)?;
        let mut job = Launchd::new(self.label(), &self.program)
            .map_err(describe)?
            .with_program_arguments(self.arguments()?)
            .with_start_calendar_intervals(vec![at])
            .with_start_interval(RETRY)
            .with_run_at_load(true)
            // "Background" would throttle disk and cores: hours instead of minutes, in the night when nobody minds the load.
            .with_process_type(launchd::ProcessType::Standard)
            .with_exit_timeout(GRACE)
            // Decimal in the list: 0o077, because logs name files and hosts.
            .with_umask(0o077)
            .with_standard_out_path(self.logs.join("launchd.log"))
            .and_then(|job| job.with_standard_error_path(self.logs.join("launchd.log")))
            .map_err(describe)?;
        if let Domain::System { user } = &self.domain {
            job = job.with_user_name(user);
        }
        let mut keys = plist::to_value(&job).map_err(InstallError::Xml)?.into_dictionary().unwrap_or_default();
        if let Some(Value::Array(mut slots)) = keys.remove("StartCalendarIntervals") {
            keys.insert("StartCalendarInterval".to_owned(), slots.pop().unwrap_or_else(|| Value::Dictionary(Dictionary::new())));
        }
        if let Domain::System { .. } = self.domain {
            // launchd sets none for a system job, and `~` in the configuration needs it.
            let home = Value::String(self.home.to_string_lossy().into_owned());
            keys.insert("EnvironmentVariables".to_owned(), Value::Dictionary([("HOME".to_owned(), home)].into_iter().collect()));
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key of launchd.plist(5) that this job may have, spelled as launchd spells it.
    const KNOWN: [&str; 13] = [
        "EnvironmentVariables",
        "ExitTimeOut",
        "Label",
        "ProcessType",
        "Program",
        "ProgramArguments",
        "RunAtLoad",
        "StandardErrorPath",
        "StandardOutPath",
        "StartCalendarInterval",
        "StartInterval",
        "Umask",
        "UserName",
    ];

    fn job(domain: Domain) -> Job {
        Job {
            program: "/usr/local/bin/offsite".into(),
            config: None,
            at: "04:30".parse().unwrap(),
            home: "/Users/owner".into(),
            logs: "/Users/owner/Library/Logs/offsite".into(),
            domain,
        }
    }

    fn system() -> Job {
        let config = Some("/Users/owner/.config/offsite/offsite.yaml".into());
        Job { config, ..job(Domain::System { user: "owner".into() }) }
    }

    #[test]
    fn the_golden_files_are_what_install_writes() {
        assert_eq!(job(Domain::Login).plist().unwrap(), include_str!("../../../../launchd/offsite.login.plist"));
        assert_eq!(system().plist().unwrap(), include_str!("../../../../launchd/offsite.system.plist"));
    }

    #[test]
    fn every_key_is_one_that_launchd_knows_and_the_vital_ones_are_right() {
        for job in [job(Domain::Login), system()] {
            let keys = Value::from_reader_xml(job.plist().unwrap().as_bytes()).unwrap().into_dictionary().unwrap();
            for key in keys.keys() {
                assert!(KNOWN.contains(&key.as_str()), "{key}");
            }
            let slot = keys["StartCalendarInterval"].as_dictionary().unwrap();
            let number = |value: &Value| value.as_unsigned_integer().unwrap();
            assert_eq!((number(&slot["Hour"]), number(&slot["Minute"]), slot.len()), (4, 30, 2));
            assert_eq!(keys["RunAtLoad"].as_boolean(), Some(true));
            assert_eq!(number(&keys["StartInterval"]), 3600);
            assert_eq!(number(&keys["Umask"]), 63);
            assert_eq!(keys["ProcessType"].as_string(), Some("Standard"));
            assert_eq!(keys["Label"].as_string(), Some(job.label()));
            let arguments = keys["ProgramArguments"].as_array().unwrap();
            assert_eq!(arguments.first().and_then(Value::as_string), keys["Program"].as_string());
            assert_eq!(arguments.last().and_then(Value::as_string), Some("daemon"));
        }
    }

    #[test]
    fn odd_paths_are_escaped() {
        let job = Job { program: "/Applications/A & B <1>/offsite".into(), ..job(Domain::Login) };
        let keys = Value::from_reader_xml(job.plist().unwrap().as_bytes()).unwrap().into_dictionary().unwrap();
        assert_eq!(keys["Program"].as_string(), Some("/Applications/A & B <1>/offsite"));
    }

    #[test]
    #[ignore = "writes the golden files; with OFFSITE_MAKE_VECTORS=1 only"]
    fn make_the_golden_files() {
        assert_eq!(std::env::var("OFFSITE_MAKE_VECTORS").as_deref(), Ok("1"));
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../launchd");
        for job in [job(Domain::Login), system()] {
            std::fs::write(folder.join(format!("{}.plist", job.label())), job.plist().unwrap()).unwrap();
        }
    }
}
