//! Putting the job where launchd finds it, and making launchd read it.
//!
//! A plan first, then its steps. Boot out before bootstrap, because "already loaded" and a dozen other causes are all error 5; enable
//! before bootstrap, because a disabled mark survives re-installation; and the last step asks launchd whether it really has the job.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use super::{Domain, Job};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a folder.
    Folder(PathBuf),
    /// Give a folder to whoever owns another: made with sudo, it would be root's, and the daemon could not log.
    Own {
        /// The folder.
        path: PathBuf,
        /// Whose owner it gets.
        like: PathBuf,
    },
    /// Write a file, whole or not at all.
    Write {
        /// The file.
        path: PathBuf,
        /// What it holds.
        text: String,
    },
    /// Run launchctl.
    Launchctl {
        /// Its arguments.
        arguments: Vec<String>,
        /// Whether it may fail: booting out what is not there does.
        may_fail: bool,
    },
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchctlError {
    /// A file or folder cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// launchctl could not be started.
    #[error("cannot run launchctl {arguments}")]
    Run {
        /// Its arguments.
        arguments: String,
        /// Why.
        source: io::Error,
    },
    /// launchctl says no.
    #[error("launchctl {arguments} failed: {message}")]
    Refused {
        /// Its arguments.
        arguments: String,
        /// Its words.
        message: String,
    },
}

/// What installing `job` with this property list takes; `uid` is the owner's.
pub fn plan(job: &Job, plist: &str, uid: u32) -> Vec<Step> {
    let domain = match job.domain {
        Domain::Login => format!("gui/{uid}"),
        Domain::System { .. } => "system".to_owned(),
    };
    // Never without a label: that would boot out the whole domain.
    let target = format!("{domain}/{}", job.label());
    let path = job.path();
    let launchctl =
        |may_fail, arguments: &[&str]| Step::Launchctl { arguments: arguments.iter().map(|&text| text.to_owned()).collect(), may_fail };
    let mut steps = vec![Step::Folder(job.logs.clone())];
    if let Domain::System { .. } = job.domain {
        steps.push(Step::Own { path: job.logs.clone(), like: job.home.clone() });
    }
    steps.extend(path.parent().map(|folder| Step::Folder(folder.to_owned())));
    steps.push(Step::Write { path: path.clone(), text: plist.to_owned() });
    steps.push(launchctl(true, &["bootout", &target]));
    steps.push(launchctl(false, &["enable", &target]));
    steps.push(launchctl(false, &["bootstrap", &domain, &path.to_string_lossy()]));
    steps.push(launchctl(false, &["print", &target]));
    steps
}

pub(super) fn apply(steps: &[Step]) -> Result<(), LaunchctlError> {
    for step in steps {
        match step {
            Step::Folder(path) => std::fs::create_dir_all(path).map_err(|source| LaunchctlError::Write { path: path.clone(), source })?,
            Step::Own { path, like } => own(path, like).map_err(|source| LaunchctlError::Write { path: path.clone(), source })?,
            Step::Write { path, text } => write(path, text).map_err(|source| LaunchctlError::Write { path: path.clone(), source })?,
            Step::Launchctl { arguments, may_fail } => launchctl(arguments, *may_fail)?,
        }
    }
    Ok(())
}

fn own(path: &Path, like: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    let owner = std::fs::metadata(like)?;
    chown(path, Some(owner.uid()), Some(owner.gid()))
}

/// launchd refuses a list that others may write, so the mode is set and not left to the umask.
fn write(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn launchctl(arguments: &[String], may_fail: bool) -> Result<(), LaunchctlError> {
    let joined = arguments.join(" ");
    let output = Command::new("/bin/launchctl").args(arguments).output();
    let output = output.map_err(|source| LaunchctlError::Run { arguments: joined.clone(), source })?;
    if output.status.success() || may_fail {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(LaunchctlError::Refused { arguments: joined, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_out_and_enables_before_bootstrap_and_asks_at_the_end() {
        let job = Job {
            program: "/usr/local/bin/offsite".into(),
            config: None,
            at: "04:30".parse().unwrap(),
            home: "/Users/owner".into(),
            logs: "/Users/owner/Library/Logs/offsite".into(),
            domain: Domain::Login,
        };
        let said: Vec<String> = plan(&job, "x", 501)
            .iter()
            .filter_map(|step| if let Step::Launchctl { arguments, .. } = step { Some(arguments.join(" ")) } else { None })
            .collect();
        let wanted = [
            "bootout gui/501/offsite.login",
            "enable gui/501/offsite.login",
            "bootstrap gui/501 /Users/owner/Library/LaunchAgents/offsite.login.plist",
            "print gui/501/offsite.login",
        ];
        assert_eq!(said, wanted);
    }

    #[test]
    fn the_list_is_written_whole_and_readable_for_launchd_alone_to_change_by_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agents/offsite.login.plist");
        let folder = dir.path().join("agents");
        let steps = [
            Step::Folder(folder.clone()),
            Step::Own { path: folder, like: dir.path().into() },
            Step::Write { path: path.clone(), text: "new".into() },
        ];
        apply(&steps).unwrap();
        apply(&steps).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
    }
}
